//! A push service that breaks the rules below HTTP: it hangs, drips, resets, floods, breaks TLS.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use khabar::domain::clock::{Clock, SystemClock};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What the service does with whoever connects.
#[derive(Debug, Clone)]
pub(crate) enum Conduct {
    /// Closes without a word, with what was sent unread: a reset.
    Reset,
    /// Reads, and says nothing for ever.
    Hang,
    /// Says this and closes.
    Say(String),
    /// Says this a byte a second.
    Drip(String),
    /// Says this at once, and then a byte a second for ever.
    Linger(String),
    /// Says the first, and then the second again and again, up to ten gigabytes.
    Flood(String, String),
}

/// By which certificate it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// None: it speaks no TLS.
    None,
    /// A good one, of an authority that is trusted.
    Trusted,
    /// Of an authority that nobody knows.
    Unknown,
    /// Of the trusted authority, but of yesterday.
    Expired,
    /// Of the trusted authority, but for another name.
    OfAnother,
    /// It is said to speak TLS, and does not.
    Lie,
}

/// Signs certificates.
pub(crate) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// A new authority, whose own certificate is written to the file.
    pub(crate) fn new(file: &Path) -> Self {
        let mut itself = CertificateParams::default();
        itself.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        std::fs::write(file, itself.self_signed(&key).unwrap().pem()).unwrap();
        Self(Issuer::new(itself, key))
    }

    fn acceptor(&self, kind: Certificate) -> TlsAcceptor {
        let name = if kind == Certificate::OfAnother { "127.0.0.2" } else { "127.0.0.1" };
        let mut certificate = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if kind == Certificate::Expired {
            let yesterday = SystemClock.now() - chrono::TimeDelta::days(1);
            let (year, month, day) = date(yesterday);
            certificate.not_after = rcgen::date_time_ymd(year, month, day);
        }
        let key = KeyPair::generate().unwrap();
        let signed = match kind {
            Certificate::Unknown => certificate.self_signed(&key),
            _ => certificate.signed_by(&key, &self.0),
        };
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![signed.unwrap().der().clone()], private)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

fn date(at: khabar::domain::clock::Timestamp) -> (i32, u8, u8) {
    use chrono::Datelike;
    (at.year(), u8::try_from(at.month()).unwrap(), u8::try_from(at.day()).unwrap())
}

/// The service. It stops when it is dropped.
pub(crate) struct BadService {
    pub(crate) origin: String,
    counts: Arc<Counts>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    /// Requests that were read.
    requests: AtomicUsize,
    /// The most bytes that somebody took in one connection.
    taken: AtomicUsize,
}

impl BadService {
    pub(crate) async fn start(
        conduct: Conduct,
        certificate: Certificate,
        authority: &Authority,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let scheme = if certificate == Certificate::None { "http" } else { "https" };
        let origin = format!("{scheme}://{}", listener.local_addr().unwrap());
        let acceptor = match certificate {
            Certificate::None | Certificate::Lie => None,
            kind => Some(authority.acceptor(kind)),
        };
        let counts = Arc::<Counts>::default();
        let counted = Arc::clone(&counts);
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (conduct, acceptor) = (conduct.clone(), acceptor.clone());
                tokio::spawn(converse(socket, acceptor, conduct, Arc::clone(&counted)));
            }
        });
        Self { origin, counts, server }
    }

    /// Requests that arrived, as far as it read them.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// The most bytes that somebody took in one connection.
    pub(crate) fn taken(&self) -> usize {
        self.counts.taken.load(Ordering::Relaxed)
    }
}

impl Drop for BadService {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn converse(
    socket: TcpStream,
    acceptor: Option<TlsAcceptor>,
    conduct: Conduct,
    counts: Arc<Counts>,
) {
    // Whoever goes away has heard enough: no fault of this service.
    match acceptor {
        None => drop(behave(socket, conduct, &counts).await),
        Some(tls) => {
            if let Ok(stream) = tls.accept(socket).await {
                drop(behave(stream, conduct, &counts).await);
            }
        }
    }
}

async fn behave(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    conduct: Conduct,
    counts: &Counts,
) -> std::io::Result<()> {
    if matches!(conduct, Conduct::Reset) {
        // Something must have come that stays unread.
        stream.read_exact(&mut [0; 1]).await?;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    // Message and headers come in one piece or two; what matters is that the sender has begun.
    let mut request = vec![0; 16 * 1_024];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    counts.requests.fetch_add(1, Ordering::Relaxed);
    match conduct {
        Conduct::Reset => {}
        Conduct::Hang => std::future::pending().await,
        Conduct::Say(text) => {
            stream.write_all(text.as_bytes()).await?;
            // To close with something unread would be a reset, and take the answer along.
            stream.shutdown().await?;
            while stream.read(&mut request).await? > 0 {}
        }
        Conduct::Drip(text) => {
            for byte in text.bytes() {
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Conduct::Linger(text) => {
            stream.write_all(text.as_bytes()).await?;
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                stream.write_all(b"x").await?;
            }
        }
        Conduct::Flood(first, again) => {
            stream.write_all(first.as_bytes()).await?;
            let piece = again.repeat(64 * 1_024 / again.len());
            let mut taken = 0;
            while taken < 10_000_000_000 {
                taken += stream.write(piece.as_bytes()).await?;
                counts.taken.fetch_max(taken, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}
