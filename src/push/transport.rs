//! Transport: one HTTPS request per message, HTTP/2 where the push service offers it, to public
//! addresses only, with an end to everything.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use tokio::time::{Instant, timeout_at};
use tower::Service;

use crate::domain::public_address::is_public;
use crate::domain::push_subscription::Endpoint;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Bytes of an answer that are read: enough to keep the connection, too few to be drowned.
const MAX_ANSWER: usize = 64 * 1_024;
/// Messages on one connection of HTTP/2 before the next one is opened: what most services allow.
const STREAMS: u32 = 100;
/// Connections of HTTP/2 to one push service.
const CONNECTIONS: usize = 8;

type Https = Client<HttpsConnector<HttpConnector<PublicOnly>>, Full<Bytes>>;

/// Connections to push services, kept open between messages.
#[derive(Debug)]
pub(super) struct Transport {
    /// Each keeps one connection of HTTP/2 to each service.
    clients: Vec<Https>,
    allow_loopback: bool,
}

/// What a push service answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

impl Transport {
    /// Connections to public addresses; to this machine's own too if `allow_loopback`, for tests.
    /// `ca_file` holds certificates of authorities that are trusted besides the system's.
    pub(super) fn new(allow_loopback: bool, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let tls = tls(ca_file)?;
        let client = || {
            let mut http = HttpConnector::new_with_resolver(PublicOnly { allow_loopback });
            http.enforce_http(false);
            http.set_nodelay(true);
            http.set_connect_timeout(Some(CONNECT_TIMEOUT));
            let https = HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(http);
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .http2_keep_alive_interval(Some(Duration::from_secs(20)))
                .http2_keep_alive_timeout(REQUEST_TIMEOUT)
                .build(https)
        };
        Ok(Self { clients: (0..CONNECTIONS).map(|_| client()).collect(), allow_loopback })
    }

    /// Sends a request and reads the answer. `place` counts the messages that are under way to the
    /// same service: they share connections in its order.
    ///
    /// `None` when nothing came back in time: what went wrong would name the address. The head alone
    /// says what became of the message: a body that does not end must not make it be sent again.
    pub(super) async fn send(
        &self,
        to: &Endpoint,
        request: Request<Full<Bytes>>,
        place: u32,
    ) -> Option<Answer> {
        // An address that is written out needs no resolver, so the resolver's check misses it.
        if to.is_loopback() && !self.allow_loopback {
            return None;
        }
        let connection = usize::try_from(place / STREAMS).unwrap_or_default();
        let client = self.clients.get(connection % self.clients.len())?;
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let answered = timeout_at(deadline, client.request(request)).await.ok()?;
        let (head, body) = answered.ok()?.into_parts();
        // Given up half-way, the connection is closed and serves nobody again.
        drop(timeout_at(deadline, discard(body)).await);
        Some(Answer { status: head.status, headers: head.headers })
    }
}

fn tls(ca_file: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut extra = Vec::new();
    if let Some(path) = ca_file {
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("push.ca_file: {} holds no PEM", path.display()))?;
        extra = certificates;
    }
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
        .context("the system's certificates cannot be read; install ca-certificates")?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS for push services")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// Reads an answer to its end, so that the connection can serve again, but not for ever.
async fn discard(mut body: Incoming) {
    let mut read = 0;
    while !body.is_end_stream() {
        let Some(Ok(frame)) = body.frame().await else { return };
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MAX_ANSWER {
            return;
        }
    }
}

/// Resolves names, and forgets every address that is not public: what was checked is what is
/// connected to.
#[derive(Debug, Clone, Copy)]
struct PublicOnly {
    allow_loopback: bool,
}

impl Service<Name> for PublicOnly {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allow_loopback = self.allow_loopback;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| {
                    is_public(address.ip()) || (allow_loopback && address.ip().is_loopback())
                })
                .collect();
            if allowed.is_empty() {
                return Err(std::io::Error::other("the host has no public address"));
            }
            Ok(allowed.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_of_this_machine_leads_nowhere_unless_tests_allow_it() {
        let resolve = |allow_loopback| {
            let name: Name = "localhost".parse().unwrap();
            PublicOnly { allow_loopback }.call(name)
        };
        assert!(resolve(false).await.is_err());
        assert!(resolve(true).await.unwrap().all(|address| address.ip().is_loopback()));
    }
}
