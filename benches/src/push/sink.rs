//! The sink: a push service on this machine, over TLS, as a process of its own. It reads every
//! request to its end, checks its form, answers 201, and opens a sample afterwards.
//!
//! It has one thread, so that whoever sends can have another core, and is asked over its standard
//! input: `reset` begins a new tally, `report` ends it.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use khabar::domain::clock::{Clock, SystemClock};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::browsers::Browsers;
use super::tally::Tally;

/// The largest body that push services take (RFC 8030 §7.2).
const MAX_BODY: usize = 4_096;
/// Messages that one connection of HTTP/2 may carry at once.
const STREAMS: u32 = 100;
/// Bytes that a connection takes before it is read.
const WINDOW: u32 = 1_024 * 1_024;
/// Bytes that are read at once.
const READ_AT_ONCE: usize = 64 * 1_024;

/// How a sink is to be started.
#[derive(Debug, Serialize, Deserialize)]
pub struct Specification {
    /// Where it writes the certificate of its authority.
    pub ca_file: std::path::PathBuf,
}

/// What it says once it listens.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Where it is reached.
    pub origin: String,
}

struct Sink {
    origin: String,
    browsers: Browsers,
    tally: Mutex<Tally>,
}

impl Sink {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until the standard input ends.
pub fn serve(specification: &Specification) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let origin = format!("https://{}", listener.local_addr()?);
        let tls = TlsAcceptor::from(Arc::new(tls(specification)?));
        let sink = Arc::new(Sink {
            browsers: Browsers::new()?,
            tally: Mutex::new(Tally::begin(SystemClock.now())),
            origin: origin.clone(),
        });
        say(&Ready { origin })?;
        let asked = Arc::clone(&sink);
        std::thread::spawn(move || {
            let ended = listen_to_orders(&asked);
            std::process::exit(i32::from(ended.is_err()));
        });
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::spawn(converse(tls.clone(), socket, Arc::clone(&sink)));
        }
    })
}

fn listen_to_orders(sink: &Sink) -> anyhow::Result<()> {
    for order in std::io::stdin().lines() {
        match order?.as_str() {
            "reset" => {
                *sink.tally() = Tally::begin(SystemClock.now());
                say(&())?;
            }
            "report" => {
                let tally = std::mem::replace(&mut *sink.tally(), Tally::begin(SystemClock.now()));
                say(&tally.report(&sink.browsers, &sink.origin, SystemClock.now())?)?;
            }
            other => bail!("an order that is not known: {other}"),
        }
    }
    Ok(())
}

fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(what)?)?;
    Ok(out.flush()?)
}

/// An authority and a certificate of this moment.
fn tls(specification: &Specification) -> anyhow::Result<ServerConfig> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Khabar bench authority");
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    std::fs::write(&specification.ca_file, authority.self_signed(&key)?.pem())
        .with_context(|| format!("{} cannot be written", specification.ca_file.display()))?;
    let issuer = Issuer::new(authority, key);

    let mut service = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    service.distinguished_name.push(DnType::CommonName, "Khabar bench sink");
    service.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = service.signed_by(&key, &issuer)?;
    let private = PrivateKeyDer::try_from(key.serialize_der());
    let private = private.map_err(|fault| anyhow::anyhow!("the key of the sink: {fault}"))?;
    let mut tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

async fn converse(tls: TlsAcceptor, socket: TcpStream, sink: Arc<Sink>) {
    // It reads as much at once as there is, so that whoever is measured has the machine.
    let socket = BufReader::with_capacity(READ_AT_ONCE, socket);
    let Ok(stream) = tls.accept(socket).await else { return };
    // A sender that goes away is no fault.
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        drop(converse_h2(stream, sink).await);
    } else {
        let service = service_fn(|request| receive(request, Arc::clone(&sink)));
        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    }
}

async fn converse_h2(
    stream: TlsStream<BufReader<TcpStream>>,
    sink: Arc<Sink>,
) -> Result<(), h2::Error> {
    let mut server = h2::server::Builder::new();
    server.max_concurrent_streams(STREAMS).initial_connection_window_size(WINDOW);
    let mut connection = server.handshake::<_, Bytes>(stream).await?;
    while let Some(asked) = connection.accept().await {
        let (request, mut answer) = asked?;
        let sink = Arc::clone(&sink);
        tokio::spawn(async move {
            let (head, body) = request.into_parts();
            let mut taken = Response::new(());
            *taken.status_mut() = match read(body).await {
                Some(body) => sink.tally().take(&head, &body, SystemClock.now()),
                None => sink.tally().refuse("too large", StatusCode::PAYLOAD_TOO_LARGE),
            };
            drop(answer.send_response(taken, true));
        });
    }
    Ok(())
}

/// Reads a body to its end; `None` when it is too large, or breaks off.
async fn read(mut body: h2::RecvStream) -> Option<Bytes> {
    let mut whole = Bytes::new();
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        body.flow_control().release_capacity(data.len()).ok()?;
        // Nearly always there is one piece.
        whole = if whole.is_empty() { data } else { [whole, data].concat().into() };
        if whole.len() > MAX_BODY {
            return None;
        }
    }
    Some(whole)
}

async fn receive(
    request: Request<Incoming>,
    sink: Arc<Sink>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let status = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => sink.tally().take(&head, &body.to_bytes(), SystemClock.now()),
        Err(_) => sink.tally().refuse("too large", StatusCode::PAYLOAD_TOO_LARGE),
    };
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = status;
    Ok(answer)
}
