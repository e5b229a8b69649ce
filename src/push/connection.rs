//! Connections: how one to a push service is opened, to public addresses only, and speaks HTTP/2 where the
//! service offers it.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong};
use http_body_util::Full;
use hyper::Uri;
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter};
use tokio::time::{interval, timeout};
use tower::{Service, ServiceExt};

use super::answer::MAX_ANSWER;
use super::transport::REQUEST_TIMEOUT;
use crate::domain::public_address::is_public;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a service is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Bytes of headers that are taken from a service.
const MAX_HEAD: u32 = 16 * 1_024;
/// Bytes that are written at once: the largest record of TLS.
const WRITTEN_AT_ONCE: usize = 16 * 1_024;

/// Opens connections.
#[derive(Debug)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector<PublicOnly>>,
    public_only: PublicOnly,
}

/// An open connection. It closes once this is dropped and what is under way has ended.
pub(super) enum Connection {
    /// Takes many messages at once.
    Http2(SendRequest<Bytes>),
    /// Takes one after the other.
    Http1(http1::SendRequest<Full<Bytes>>),
}

impl Connector {
    /// To public addresses; to this machine's own too if `allow_loopback`, for tests. `ca_file` holds
    /// certificates of authorities that are trusted besides the system's.
    pub(super) fn new(allow_loopback: bool, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        let public_only = PublicOnly { allow_loopback };
        let mut http = HttpConnector::new_with_resolver(public_only);
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls(ca_file)?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        Ok(Self { https, public_only })
    }

    /// Connects; `None` when that fails: what went wrong would name the address.
    pub(super) async fn connect(&self, to: Uri) -> Option<Connection> {
        // An address that is written out needs no resolver, so the resolver's check misses it.
        let host = to.host()?.trim_matches(['[', ']']);
        if host.parse().is_ok_and(|address| !self.public_only.allows(address)) {
            return None;
        }
        let stream = self.https.clone().oneshot(to).await.ok()?;
        if !stream.connected().is_negotiated_h2() {
            let (requests, connection) = http1::handshake(stream).await.ok()?;
            // How it ends, whoever waits for an answer is told.
            tokio::spawn(async move { drop(connection.await) });
            return Some(Connection::Http1(requests));
        }
        http2(TokioIo::new(stream)).await.map(Connection::Http2)
    }
}

/// Speaks HTTP/2, in a task that ends with the connection.
async fn http2<S>(stream: S) -> Option<SendRequest<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Many small messages become one record and one system call.
    let stream = BufWriter::with_capacity(WRITTEN_AT_ONCE, stream);
    let (requests, mut connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_connection_window_size(MAX_ANSWER * 16)
        .max_header_list_size(MAX_HEAD)
        .handshake(stream)
        .await
        .ok()?;
    // Before it has said how many messages it takes at once, it would have to refuse some.
    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending if connection.max_concurrent_send_streams() == 0 => Poll::Pending,
        Poll::Pending => Poll::Ready(Some(())),
    })
    .await?;
    let pings = connection.ping_pong()?;
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = connection => {}
            () = while_alive(pings) => {}
        }
    });
    Some(requests)
}

/// Ends when the service does not answer a ping in time: a connection may break without a word.
async fn while_alive(mut pings: PingPong) {
    let mut every = interval(PING_EVERY);
    every.tick().await;
    loop {
        every.tick().await;
        if !matches!(timeout(REQUEST_TIMEOUT, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
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

/// Resolves names, and forgets every address that is not public: what was checked is what is
/// connected to.
#[derive(Debug, Clone, Copy)]
struct PublicOnly {
    allow_loopback: bool,
}

impl PublicOnly {
    fn allows(self, address: IpAddr) -> bool {
        is_public(address) || (self.allow_loopback && address.is_loopback())
    }
}

impl Service<Name> for PublicOnly {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let this = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| this.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(std::io::Error::other("the host has no public address"));
            }
            Ok(allowed.into_iter())
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::push::transport::Transport;
    use h2::RecvStream;
    use h2::server::{Builder, Connection, SendResponse};
    use hyper::{Request, Response, StatusCode};
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tempfile::NamedTempFile;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::server::TlsStream;
    use tokio_util::task::AbortOnDropHandle;

    pub(in crate::push) type Socket = TlsStream<TcpStream>;
    type Asked = (Request<RecvStream>, SendResponse<Bytes>);

    /// A push service on loopback, over TLS, that does with each connection what a test says. It stops when it
    /// is dropped.
    pub(in crate::push) struct TestService {
        pub(in crate::push) origin: String,
        authority: NamedTempFile,
        connections: Arc<AtomicUsize>,
        _server: AbortOnDropHandle<()>,
    }

    impl TestService {
        /// Speaks a protocol of ALPN, and leaves each connection, with its number, to `converse`.
        pub(in crate::push) async fn start<F>(
            protocol: &str,
            converse: impl Fn(usize, Socket) -> F + Send + 'static,
        ) -> Self
        where
            F: Future<Output = ()> + Send + 'static,
        {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let origin = format!("https://{}", listener.local_addr().unwrap());
            let authority = NamedTempFile::new().unwrap();
            let acceptor = acceptor(&authority, protocol);
            let connections = Arc::<AtomicUsize>::default();
            let counted = Arc::clone(&connections);
            let server = tokio::spawn(async move {
                let mut conversations = tokio::task::JoinSet::new();
                while let Ok((socket, _)) = listener.accept().await {
                    let socket = acceptor.accept(socket).await.unwrap();
                    conversations.spawn(converse(counted.fetch_add(1, Ordering::SeqCst), socket));
                }
            });
            Self { origin, authority, connections, _server: AbortOnDropHandle::new(server) }
        }

        /// What sends to it.
        pub(in crate::push) fn transport(&self) -> Transport {
            Transport::new(true, Some(self.authority.path())).unwrap()
        }

        /// How many connections were opened.
        pub(in crate::push) fn connections(&self) -> usize {
            self.connections.load(Ordering::SeqCst)
        }
    }

    fn acceptor(authority: &NamedTempFile, protocol: &str) -> TlsAcceptor {
        let mut itself = CertificateParams::default();
        itself.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(authority, itself.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(itself, key);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &issuer).unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Speaks HTTP/2, and takes so many messages at once.
    pub(in crate::push) async fn speak(socket: Socket, streams: u32) -> Connection<Socket, Bytes> {
        Builder::new().max_concurrent_streams(streams).handshake(socket).await.unwrap()
    }

    /// Reads a message to its end and takes it.
    pub(in crate::push) async fn take((request, mut answer): Asked) -> Vec<u8> {
        let mut body = request.into_body();
        let mut read = Vec::new();
        while let Some(Ok(data)) = body.data().await {
            read.extend_from_slice(&data);
        }
        let taken = Response::builder().status(StatusCode::CREATED).body(()).unwrap();
        answer.send_response(taken, true).unwrap();
        read
    }

    #[tokio::test]
    async fn a_name_of_this_machine_leads_nowhere_unless_tests_allow_it() {
        let resolve = |allow_loopback| {
            let name: Name = "localhost".parse().unwrap();
            PublicOnly { allow_loopback }.call(name)
        };
        assert!(resolve(false).await.is_err());
        assert!(resolve(true).await.unwrap().all(|address| address.ip().is_loopback()));
    }

    #[tokio::test]
    async fn an_address_of_this_machine_is_not_connected_to_unless_tests_allow_it() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let to: Uri = format!("http://{}/push", listener.local_addr().unwrap()).parse().unwrap();
        let connector = |allow_loopback| Connector::new(allow_loopback, None).unwrap();
        assert!(connector(true).connect(to.clone()).await.is_some());
        listener.accept().await.unwrap();
        assert!(connector(false).connect(to).await.is_none());
        let another = timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(another.is_err(), "nobody came");
    }
}
