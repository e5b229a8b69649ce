//! What the sink was sent since it was last asked: checked in form while it comes in, and in
//! substance, by a sample, once nobody waits any more.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ece::crypto::EcKeyComponents;
use hyper::StatusCode;
use hyper::http::request::Parts;
use khabar::domain::clock::Timestamp;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::browsers::{self, Browsers};

/// More subscriptions than this are not made.
const MOST: u64 = 16_000_000;
/// Four weeks: no push service keeps a message longer.
const LONGEST_TTL: u64 = 28 * 24 * 3_600;
/// Salt, record size, and the sender's public key with its length (RFC 8188 §2.1, RFC 8291 §4).
const HEADER: usize = 86;
/// One message of so many is opened, and no more than [`SAMPLES`].
const EVERY: u64 = 97;
const SAMPLES: usize = 500;

/// What came in.
pub struct Tally {
    began: Timestamp,
    last: Timestamp,
    accepted: u64,
    refused: BTreeMap<String, u64>,
    /// A bit for each subscription.
    seen: Vec<u64>,
    duplicates: u64,
    /// Beginnings of the senders' public keys.
    keys: HashSet<[u8; 8]>,
    repeated_keys: u64,
    first: BTreeMap<String, Timestamp>,
    each_second: Vec<u64>,
    versions: BTreeMap<String, u64>,
    sample: Vec<Sampled>,
}

struct Sampled {
    number: u64,
    body: Bytes,
    authorization: String,
}

/// What is told of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Requests that were answered 201.
    pub accepted: u64,
    /// The others, by what was wrong.
    pub refused: BTreeMap<String, u64>,
    /// Subscriptions that got a message, and messages to one that had one already.
    pub distinct: u64,
    pub duplicates: u64,
    /// Messages whose key pair had served another one.
    pub repeated_keys: u64,
    /// When the first message of each topic was taken, and when the last of all.
    pub first: BTreeMap<String, Timestamp>,
    pub last: Timestamp,
    /// Messages in each second since the tally began.
    pub each_second: Vec<u64>,
    /// Messages by version of HTTP.
    pub versions: BTreeMap<String, u64>,
    /// How many were opened, which words they held, and how long their payloads were.
    pub opened: usize,
    pub words: BTreeSet<String>,
    pub payload: String,
}

impl Tally {
    /// An empty one.
    pub fn begin(now: Timestamp) -> Self {
        Self {
            began: now,
            last: now,
            accepted: 0,
            refused: BTreeMap::new(),
            seen: Vec::new(),
            duplicates: 0,
            keys: HashSet::new(),
            repeated_keys: 0,
            first: BTreeMap::new(),
            each_second: Vec::new(),
            versions: BTreeMap::new(),
            sample: Vec::new(),
        }
    }

    /// Checks a request as push services do, and counts it.
    pub fn take(&mut self, head: &Parts, body: &Bytes, now: Timestamp) -> StatusCode {
        match check(head, body) {
            Ok((number, topic)) => {
                self.count(number, head, body, now);
                if !self.first.contains_key(topic) {
                    self.first.insert(topic.to_owned(), now);
                }
                StatusCode::CREATED
            }
            Err((fault, status)) => self.refuse(fault, status),
        }
    }

    /// Counts a request that is refused.
    pub fn refuse(&mut self, fault: &str, status: StatusCode) -> StatusCode {
        *self.refused.entry(fault.to_owned()).or_default() += 1;
        status
    }

    fn count(&mut self, number: u64, head: &Parts, body: &Bytes, now: Timestamp) {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        self.duplicates += u64::from(self.seen[word] & bit != 0);
        self.seen[word] |= bit;
        if let Some(key) = body.get(22..30).and_then(|key| key.try_into().ok()) {
            self.repeated_keys += u64::from(!self.keys.insert(key));
        }
        let second = usize::try_from((now - self.began).num_seconds()).unwrap_or_default();
        if self.each_second.len() <= second {
            self.each_second.resize(second + 1, 0);
        }
        self.each_second[second] += 1;
        let version = if head.version == hyper::Version::HTTP_2 { "HTTP/2" } else { "HTTP/1.1" };
        match self.versions.get_mut(version) {
            Some(count) => *count += 1,
            None => drop(self.versions.insert(version.to_owned(), 1)),
        }
        if self.accepted.is_multiple_of(EVERY) && self.sample.len() < SAMPLES {
            let authorization = head.headers.get("authorization");
            let authorization = authorization.and_then(|value| value.to_str().ok());
            let authorization = authorization.unwrap_or_default().to_owned();
            self.sample.push(Sampled { number, body: body.clone(), authorization });
        }
        self.accepted += 1;
        self.last = now;
    }

    /// Opens the sample and tells everything.
    pub fn report(
        self,
        browsers: &Browsers,
        origin: &str,
        now: Timestamp,
    ) -> anyhow::Result<Report> {
        let mut words = BTreeSet::new();
        let mut payload = String::new();
        for sampled in &self.sample {
            verify(&sampled.authorization, origin, now)?;
            let browser = browsers.of(sampled.number);
            let private =
                EcKeyComponents::new(browser.private.to_vec(), browser.keys.p256dh.to_vec());
            let opened = ece::decrypt(&private, &browser.keys.auth, &sampled.body)
                .context("a message cannot be opened")?;
            payload = String::from_utf8(opened).context("a payload is no text")?;
            let value: Value = serde_json::from_str(&payload).context("a payload is no JSON")?;
            let notification = &value["notification"];
            words.insert(format!("{} / {}", notification["title"], notification["body"]));
        }
        Ok(Report {
            accepted: self.accepted,
            refused: self.refused,
            distinct: self.seen.iter().map(|word| u64::from(word.count_ones())).sum(),
            duplicates: self.duplicates,
            repeated_keys: self.repeated_keys,
            first: self.first,
            last: self.last,
            each_second: self.each_second,
            versions: self.versions,
            opened: self.sample.len(),
            words,
            payload,
        })
    }
}

type Fault = (&'static str, StatusCode);

/// The number of the subscription and the topic of the message, or what is wrong.
fn check<'a>(head: &'a Parts, body: &[u8]) -> Result<(u64, &'a str), Fault> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let number = browsers::number(head.uri.path()).filter(|number| *number < MOST);
    let number = number.ok_or(("no such subscription", StatusCode::NOT_FOUND))?;
    if head.method != hyper::Method::POST {
        return Err(("method", StatusCode::METHOD_NOT_ALLOWED));
    }
    let ttl: Option<u64> = header("ttl").and_then(|ttl| ttl.parse().ok());
    if ttl.is_none_or(|ttl| ttl > LONGEST_TTL) {
        return Err(("ttl", BAD));
    }
    if header("content-encoding") != Some("aes128gcm") {
        return Err(("content-encoding", BAD));
    }
    if !matches!(header("urgency"), None | Some("very-low" | "low" | "normal" | "high")) {
        return Err(("urgency", BAD));
    }
    let topic = header("topic").unwrap_or_default();
    if topic.len() > 32 {
        return Err(("topic", BAD));
    }
    if !header("authorization").is_some_and(|value| value.starts_with("vapid t=")) {
        return Err(("authorization", StatusCode::UNAUTHORIZED));
    }
    if body.len() <= HEADER + 17 || body[20] != 65 || body[21] != 4 {
        return Err(("body", BAD));
    }
    Ok((number, topic))
}

/// Verifies a VAPID token (RFC 8292 §2). The crate's tokens lack the port, which real services mind.
fn verify(authorization: &str, origin: &str, now: Timestamp) -> anyhow::Result<()> {
    let parameters = authorization.strip_prefix("vapid ").context("no VAPID")?;
    let mut parameters = parameters.split(',').filter_map(|one| one.trim().split_once('='));
    let (_, token) = parameters.next().context("VAPID without a token")?;
    let (_, key) = parameters.next().context("VAPID without a key")?;
    let (signed, signature) = token.rsplit_once('.').context("a token without a signature")?;
    let signature = URL_SAFE_NO_PAD.decode(signature)?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, URL_SAFE_NO_PAD.decode(key)?);
    ensure!(key.verify(signed.as_bytes(), &signature).is_ok(), "a token with a wrong signature");
    let claims = signed.split_once('.').context("a token without claims")?.1;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    let audience = claims["aud"].as_str().unwrap_or_default();
    ensure!(!audience.is_empty() && origin.starts_with(audience), "a token for {audience}");
    let expires = claims["exp"].as_i64().unwrap_or_default() - now.timestamp();
    ensure!((0..=24 * 3_600).contains(&expires), "a token that ends in {expires} s");
    Ok(())
}
