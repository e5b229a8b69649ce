//! A push service on a loopback port, as strict as the real ones, with browsers that subscribe at
//! it and open what it receives. Shares no code with `src/push`.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use ece::crypto::EcKeyComponents;
use khabar::domain::clock::Clock;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What the service does with a request whose form is right, instead of taking the message.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Answers a status.
    Status(u16),
    /// Answers a status with a `Retry-After`.
    RetryAfter(u16, String),
    /// Answers a status with a `Location`.
    Redirect(String),
    /// Answers 201 with more bytes than anybody should read.
    Flood,
    /// Waits for [`PushService::release`], then answers a status.
    Hold(u16),
    /// Drops the connection.
    Reset,
}

/// A message as the browser reads it.
#[derive(Debug, Clone)]
pub struct Message {
    /// The opened payload.
    pub payload: Value,
    /// Bytes of the payload before it was sealed.
    pub length: usize,
    pub ttl: u64,
    pub urgency: String,
    pub topic: String,
    /// The public key of the pair that sealed it.
    pub sender_key: Vec<u8>,
    /// Whom the sender's token names as its subject.
    pub sender: String,
}

/// A browser: its subscription, and the private key that opens its messages.
#[derive(Debug, Clone)]
pub struct Browser {
    /// Where its messages are sent.
    pub endpoint: String,
    /// The last part of the endpoint.
    pub name: String,
    keys: EcKeyComponents,
    auth: [u8; 16],
}

impl Browser {
    /// `PushSubscription.toJSON().keys`.
    pub fn keys(&self) -> Value {
        json!({
            "p256dh": URL_SAFE_NO_PAD.encode(self.keys.public_key()),
            "auth": URL_SAFE_NO_PAD.encode(self.auth),
        })
    }

    /// The same endpoint with new keys.
    pub fn with_new_keys(&self) -> Self {
        let (keys, auth) = new_keys();
        Self { keys, auth, ..self.clone() }
    }

    /// The same keys at another endpoint.
    pub fn at(&self, endpoint: String) -> Self {
        let name = endpoint.rsplit('/').next().unwrap_or_default().to_owned();
        Self { endpoint, name, ..self.clone() }
    }

    /// The public key and the secret as they are stored.
    pub fn raw_keys(&self) -> ([u8; 65], [u8; 16]) {
        (self.keys.public_key().try_into().unwrap(), self.auth)
    }
}

#[derive(Default)]
struct Inner {
    browsers: HashMap<String, Browser>,
    scripts: HashMap<String, VecDeque<Behaviour>>,
    otherwise: Option<Behaviour>,
    received: HashMap<String, Vec<Message>>,
    answered: Vec<(String, u16)>,
    /// Each key pair that has sealed, with what it sealed.
    sealed_by: HashMap<Vec<u8>, Bytes>,
    reused: bool,
    delay: Duration,
}

struct Service {
    origin: String,
    key: String,
    clock: Arc<dyn Clock>,
    holds: Semaphore,
    inner: Mutex<Inner>,
}

/// The service. It stops when it is dropped.
pub struct PushService {
    service: Arc<Service>,
    server: tokio::task::JoinHandle<()>,
}

impl PushService {
    /// A service that takes messages signed with this public key, by this clock.
    pub async fn start(key: &str, clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let service = Arc::new(Service {
            origin: format!("http://{}", listener.local_addr().unwrap()),
            key: key.to_owned(),
            clock,
            holds: Semaphore::new(0),
            inner: Mutex::default(),
        });
        let router =
            Router::new().route("/push/{name}", post(receive)).with_state(Arc::clone(&service));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { service, server }
    }

    /// A new browser that has permitted notifications.
    pub fn browser(&self, name: &str) -> Browser {
        let (keys, auth) = new_keys();
        let endpoint = format!("{}/push/{name}", self.service.origin);
        let browser = Browser { endpoint, name: name.to_owned(), keys, auth };
        self.know(&browser);
        browser
    }

    /// New browsers that share their keys: to make keys for each takes longer than all else.
    pub fn browsers(&self, count: usize) -> Vec<Browser> {
        let one = self.browser("reader");
        let another = |number: usize| {
            let name = format!("reader{number}");
            let endpoint = format!("{}/push/{name}", self.service.origin);
            let browser = Browser { endpoint, name, ..one.clone() };
            self.know(&browser);
            browser
        };
        (0..count).map(another).collect()
    }

    /// Opens messages to this endpoint with these keys from now on.
    pub fn know(&self, browser: &Browser) {
        self.inner().browsers.insert(browser.name.clone(), browser.clone());
    }

    /// What is done with the next requests to a browser, one after the other.
    pub fn script(&self, browser: &Browser, script: impl IntoIterator<Item = Behaviour>) {
        self.inner().scripts.entry(browser.name.clone()).or_default().extend(script);
    }

    /// What is done with every request that has no script; `None` takes the message.
    pub fn otherwise(&self, behaviour: Option<Behaviour>) {
        self.inner().otherwise = behaviour;
    }

    /// Waits so long before each answer from now on.
    pub fn slow_down(&self, delay: Duration) {
        self.inner().delay = delay;
    }

    /// Lets one held request go on.
    pub fn release(&self) {
        self.service.holds.add_permits(1);
    }

    /// The messages that a browser has got.
    pub fn received(&self, browser: &Browser) -> Vec<Message> {
        self.inner().received.get(&browser.name).cloned().unwrap_or_default()
    }

    /// Every answer that was given: to whom, and the status. A reset counts as 0, a hold when it
    /// begins as 1.
    pub fn answered(&self) -> Vec<(String, u16)> {
        self.inner().answered.clone()
    }

    /// How many answers were given.
    pub fn answers(&self) -> usize {
        self.inner().answered.len()
    }

    /// The titles of the messages that a browser has got.
    pub fn titles(&self, browser: &Browser) -> Vec<String> {
        let title =
            |message: Message| message.payload["notification"]["title"].as_str().map(str::to_owned);
        self.received(browser).into_iter().filter_map(title).collect()
    }

    /// The statuses that requests to a browser were answered with.
    pub fn statuses(&self, browser: &Browser) -> Vec<u16> {
        let to_it = self.answered().into_iter().filter(|(name, _)| *name == browser.name);
        to_it.map(|(_, status)| status).collect()
    }

    /// Returns once a request to the browser is being held.
    pub async fn until_held(&self, browser: &Browser) {
        self.until_held_times(browser, 1).await;
    }

    /// The same, when so many have been held so far.
    pub async fn until_held_times(&self, browser: &Browser, times: usize) {
        for _ in 0..1_000 {
            if self.statuses(browser).iter().filter(|status| **status == 1).count() >= times {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no request to {} is held", browser.name);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.service.inner.lock().unwrap()
    }
}

impl Drop for PushService {
    /// Fails a test in which one key pair has sealed two messages (RFC 8291 §3.1).
    fn drop(&mut self) {
        self.server.abort();
        let reused = !std::thread::panicking() && self.inner().reused;
        assert!(!reused, "a key pair has sealed two messages");
    }
}

fn new_keys() -> (EcKeyComponents, [u8; 16]) {
    let (pair, auth) = ece::generate_keypair_and_auth_secret().unwrap();
    (pair.raw_components().unwrap(), auth)
}

async fn receive(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let message = check(&service, &name, &headers, &body);
    if let Ok(message) = &message {
        // The same bytes again are the same message; anything else is what must never happen.
        let mut inner = service.inner.lock().unwrap();
        let first = inner.sealed_by.entry(message.sender_key.clone()).or_insert(body.clone());
        let reused = *first != body;
        inner.reused |= reused;
    }
    let (behaviour, delay) = {
        let mut inner = service.inner.lock().unwrap();
        let scripted = inner.scripts.get_mut(&name).and_then(VecDeque::pop_front);
        (scripted.or_else(|| inner.otherwise.clone()), inner.delay)
    };
    tokio::time::sleep(delay).await;
    let answered = |status: u16| {
        service.inner.lock().unwrap().answered.push((name.clone(), status));
        StatusCode::from_u16(status)
    };
    let message = match message {
        Ok(message) => message,
        Err(status) => return answered(status).unwrap().into_response(),
    };
    let taken = || {
        service.inner.lock().unwrap().received.entry(name.clone()).or_default().push(message);
    };
    match behaviour {
        None | Some(Behaviour::Status(201)) => {
            taken();
            answered(201).unwrap().into_response()
        }
        Some(Behaviour::Status(status)) => answered(status).unwrap().into_response(),
        Some(Behaviour::RetryAfter(status, after)) => {
            (answered(status).unwrap(), [("retry-after", after)]).into_response()
        }
        Some(Behaviour::Redirect(to)) => {
            (answered(307).unwrap(), [("location", to)]).into_response()
        }
        Some(Behaviour::Flood) => {
            taken();
            (answered(201).unwrap(), vec![b'x'; 8 * 1_024 * 1_024]).into_response()
        }
        Some(Behaviour::Hold(status)) => {
            drop(answered(1));
            service.holds.acquire().await.unwrap().forget();
            if status == 201 {
                taken();
            }
            answered(status).unwrap().into_response()
        }
        Some(Behaviour::Reset) => {
            drop(answered(0));
            // Unwinds the connection's task, which closes the socket without an answer.
            std::panic::resume_unwind(Box::new("reset"))
        }
    }
}

/// The message in a request, or the status that a real service would answer.
fn check(service: &Service, name: &str, headers: &HeaderMap, body: &[u8]) -> Result<Message, u16> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let ttl = header("ttl").and_then(|ttl| ttl.parse().ok()).ok_or(400_u16)?;
    if header("content-encoding") != Some("aes128gcm") {
        return Err(400);
    }
    if body.len() > 4_096 {
        return Err(413);
    }
    let urgency = header("urgency").unwrap_or("normal");
    let topic = header("topic").unwrap_or_default();
    let is_topic = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !["very-low", "low", "normal", "high"].contains(&urgency)
        || topic.len() > 32
        || !topic.chars().all(is_topic)
    {
        return Err(400);
    }
    let sender = authorize(service, header("authorization").ok_or(401_u16)?).ok_or(401_u16)?;
    let browser = service.inner.lock().unwrap().browsers.get(name).cloned().ok_or(404_u16)?;
    let opened = ece::decrypt(&browser.keys, &browser.auth, body).map_err(|_| 400_u16)?;
    Ok(Message {
        payload: serde_json::from_slice(&opened).map_err(|_| 400_u16)?,
        length: opened.len(),
        ttl,
        urgency: urgency.to_owned(),
        topic: topic.to_owned(),
        sender_key: body[21..86].to_vec(),
        sender,
    })
}

/// Verifies a VAPID token as RFC 8292 §2 and §4.2 demand; its subject.
fn authorize(service: &Service, authorization: &str) -> Option<String> {
    let parameters: HashMap<&str, &str> = authorization
        .strip_prefix("vapid ")?
        .split(',')
        .filter_map(|parameter| parameter.trim().split_once('='))
        .collect();
    let (token, key) = (parameters.get("t")?, parameters.get("k")?);
    if *key != service.key {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let key = URL_SAFE_NO_PAD.decode(key).ok()?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
        .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?)
        .ok()?;
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?).ok()?;
    let now = service.clock.now();
    let expires = claims["exp"].as_i64()?;
    let in_time = expires > now.timestamp() && expires <= (now + TimeDelta::hours(24)).timestamp();
    let subject = claims["sub"].as_str()?;
    let reachable = subject.starts_with("mailto:") || subject.starts_with("https://");
    // Each of its names is an origin of its own.
    let by_name = service.origin.replace("127.0.0.1", "localhost");
    let is_ours = claims["aud"] == service.origin || claims["aud"] == by_name;
    (is_ours && in_time && reachable).then(|| subject.to_owned())
}
