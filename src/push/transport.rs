//! Transport: one HTTPS request per message, to public addresses only, with an end to everything.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use super::outcome::Outcome;
use super::sender::Message;
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::{Endpoint, is_public};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read: enough to keep the connection, too few to be drowned.
const MAX_ANSWER: usize = 64 * 1_024;

/// Connections to push services, kept open between messages.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
    allow_loopback: bool,
}

impl Transport {
    /// Connections to public addresses; to this machine's own too if `allow_loopback`, for tests.
    pub(super) fn new(allow_loopback: bool) -> anyhow::Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(PublicOnly { allow_loopback })
            .user_agent(concat!("khabar/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the client for push services cannot be made")?;
        Ok(Self { client, allow_loopback })
    }

    /// Sends a sealed body and says what became of it.
    pub(super) async fn send(
        &self,
        endpoint: &Endpoint,
        authorization: String,
        body: Vec<u8>,
        message: &Message,
        now: Timestamp,
    ) -> Outcome {
        // An address that is written out needs no resolver, so the resolver's check misses it.
        if endpoint.is_loopback() && !self.allow_loopback {
            return Outcome::Failed(None);
        }
        let request = self
            .client
            .post(endpoint.url().clone())
            .header("Authorization", authorization)
            .header("Content-Encoding", "aes128gcm")
            .header("Content-Type", "application/octet-stream")
            .header("TTL", (message.expires_at - now).num_seconds().max(0))
            .header("Urgency", message.urgency.as_str())
            .header("Topic", &message.topic)
            .body(body);
        match request.send().await {
            Ok(response) => {
                let outcome = Outcome::of_answer(response.status(), response.headers(), now);
                discard(response).await;
                outcome
            }
            // The error names the address; the outcome is all that may be told.
            Err(_) => Outcome::Failed(None),
        }
    }
}

/// Reads an answer to its end, so that the connection can serve again, but not for ever.
async fn discard(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
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

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_loopback = self.allow_loopback;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| {
                    is_public(address.ip()) || (allow_loopback && address.ip().is_loopback())
                })
                .collect();
            if allowed.is_empty() {
                return Err("the host has no public address".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
