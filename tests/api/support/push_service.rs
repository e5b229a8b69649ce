//! A push service on this machine, as strict as the real ones, that can be told to misbehave.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ece::crypto::EcKeyComponents;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

/// What the service answers to the next messages of a browser.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// As it should.
    Deliver,
    /// A status code, with `Retry-After` if given.
    Answer(u16, Option<&'static str>),
    /// Takes only messages up to so many bytes.
    AtMost(usize),
    /// Takes the message and never answers.
    Hang,
}

/// A browser that subscribed.
struct Browser {
    private: EcKeyComponents,
    auth: Vec<u8>,
    behaviour: Vec<Behaviour>,
    received: Vec<Received>,
    requests: usize,
}

/// A message that a browser got.
#[derive(Debug, Clone)]
pub struct Received {
    pub message: Value,
    pub headers: HeaderMap,
}

#[derive(Clone)]
pub struct PushService {
    address: SocketAddr,
    application_server_key: Arc<str>,
    browsers: Arc<Mutex<HashMap<String, Browser>>>,
}

impl PushService {
    /// A service whose subscriptions are bound to the newsroom's key.
    pub async fn start(application_server_key: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self {
            address: listener.local_addr().unwrap(),
            application_server_key: application_server_key.into(),
            browsers: Arc::default(),
        };
        let router =
            Router::new().route("/push/{token}", post(receive)).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        service
    }

    /// What a new browser hands to `pushSubscriptionCreate`.
    pub fn subscribe(&self, name: &str) -> Value {
        let (keys, auth) = ece::generate_keypair_and_auth_secret().unwrap();
        let public = keys.pub_as_raw().unwrap();
        let private = keys.raw_components().unwrap();
        let subscription = json!({
            "endpoint": format!("http://{}/push/{name}", self.address),
            "keys": { "p256dh": URL_SAFE_NO_PAD.encode(public), "auth": URL_SAFE_NO_PAD.encode(auth) },
        });
        let browser = Browser {
            private,
            auth: auth.to_vec(),
            behaviour: Vec::new(),
            received: Vec::new(),
            requests: 0,
        };
        self.browsers.lock().unwrap().insert(name.to_owned(), browser);
        subscription
    }

    /// How the next messages of a browser are answered, one after the other; then as they should.
    pub fn behave(&self, name: &str, behaviour: &[Behaviour]) {
        let mut browsers = self.browsers.lock().unwrap();
        browsers.get_mut(name).unwrap().behaviour = behaviour.iter().rev().cloned().collect();
    }

    /// What a browser got.
    pub fn received(&self, name: &str) -> Vec<Received> {
        self.browsers.lock().unwrap()[name].received.clone()
    }

    /// How many requests came for a browser, answered well or not.
    pub fn requests(&self, name: &str) -> usize {
        self.browsers.lock().unwrap()[name].requests
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// RFC 8292 §3, checked without the crate that signed.
    fn check_vapid(&self, headers: &HeaderMap) -> Option<()> {
        let value = headers.get("authorization")?.to_str().ok()?.strip_prefix("vapid t=")?;
        let (token, key) = value.split_once(", k=")?;
        let (signed, signature) = token.rsplit_once('.')?;
        let public = URL_SAFE_NO_PAD.decode(key).ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(1)?).ok()?)
                .ok()?;
        let issued = claims["iat"].as_i64().unwrap_or_default();
        let good = key == &*self.application_server_key
            && claims["aud"] == self.origin()
            && claims["sub"].as_str()?.starts_with("mailto:")
            && claims["exp"].as_i64()? <= issued.max(0) + 24 * 3_600;
        good.then_some(())
    }
}

async fn receive(
    State(service): State<PushService>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let behaviour = {
        let mut browsers = service.browsers.lock().unwrap();
        let Some(browser) = browsers.get_mut(&name) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        browser.requests += 1;
        browser.behaviour.pop().unwrap_or(Behaviour::Deliver)
    };
    let limit = match behaviour {
        Behaviour::Answer(status, after) => {
            let status = StatusCode::from_u16(status).unwrap();
            return match after {
                Some(after) => (status, [("retry-after", after)]).into_response(),
                None => status.into_response(),
            };
        }
        Behaviour::Hang => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return StatusCode::CREATED.into_response();
        }
        Behaviour::AtMost(bytes) => bytes,
        Behaviour::Deliver => 4_096,
    };
    if body.len() > limit {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let topic = text("topic");
    let topic_fits =
        topic.len() <= 32 && topic.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if text("ttl").parse::<u64>().is_err() || text("content-encoding") != "aes128gcm" || !topic_fits
    {
        return StatusCode::BAD_REQUEST.into_response();
    }
    if service.check_vapid(&headers).is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut browsers = service.browsers.lock().unwrap();
    let browser = browsers.get_mut(&name).unwrap();
    match ece::decrypt(&browser.private, &browser.auth, &body) {
        Ok(plain) => {
            let message = serde_json::from_slice(&plain).unwrap();
            browser.received.push(Received { message, headers });
            StatusCode::CREATED.into_response()
        }
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}
