//! VAPID: how this newsroom identifies itself to push services (RFC 8292).

use std::collections::HashMap;
use std::sync::Mutex;

use anyhow::anyhow;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use hyper::header::HeaderValue;
use web_push::{SubscriptionInfo, VapidSignatureBuilder};

use crate::domain::clock::Timestamp;
use crate::domain::vapid_keys::VapidKeys;

/// How long a token is good for; push services refuse more than 24 hours.
const LASTS: TimeDelta = TimeDelta::hours(12);
/// When a new one is made.
const RENEWED_AFTER: TimeDelta = TimeDelta::hours(6);

/// Push services whose tokens are kept.
const REMEMBERED: usize = 1_000;

/// Signs tokens, one for each push service, and keeps them until they are due (RFC 8292 §2, §5).
#[derive(Debug)]
pub struct Signer {
    keys: VapidKeys,
    subject: String,
    tokens: Mutex<HashMap<String, (HeaderValue, Timestamp)>>,
}

impl Signer {
    /// A signer in the name of the subject, a `mailto:` or `https:` address.
    pub fn new(keys: VapidKeys, subject: String) -> Self {
        Self { keys, subject, tokens: Mutex::new(HashMap::new()) }
    }

    /// The value of the `Authorization` header for a push service.
    pub fn authorization(&self, origin: &str, now: Timestamp) -> anyhow::Result<HeaderValue> {
        let mut tokens = self.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((token, made_at)) = tokens.get(origin)
            && now < *made_at + RENEWED_AFTER
        {
            return Ok(token.clone());
        }
        let mut token = HeaderValue::from_str(&self.sign(origin, now)?)?;
        token.set_sensitive(true);
        // Whoever subscribes may name a host of their own below a push service's.
        tokens.retain(|_, (_, made_at)| now < *made_at + RENEWED_AFTER);
        if tokens.len() >= REMEMBERED {
            let oldest = tokens.iter().min_by_key(|(_, (_, made_at))| *made_at);
            let oldest = oldest.map(|(origin, _)| origin.clone());
            oldest.and_then(|origin| tokens.remove(&origin));
        }
        tokens.insert(origin.to_owned(), (token.clone(), now));
        Ok(token)
    }

    fn sign(&self, origin: &str, now: Timestamp) -> anyhow::Result<String> {
        let service = SubscriptionInfo::new(origin, "", "");
        let mut builder = VapidSignatureBuilder::from_base64(self.keys.private_key(), &service)
            .map_err(|error| anyhow!("the VAPID key cannot sign: {error}"))?;
        // The crate's own audience lacks the port, and its own subject is an example.
        builder.add_claim("aud", origin);
        builder.add_claim("sub", self.subject.as_str());
        builder.add_claim("exp", (now + LASTS).timestamp());
        let signature = builder.build().map_err(|error| anyhow!("VAPID: {error}"))?;
        Ok(format!("vapid t={}, k={}", signature.auth_t, URL_SAFE_NO_PAD.encode(&signature.auth_k)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::FixedClock;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn a_token_is_signed_for_its_origin_and_kept_for_six_hours() {
        let now = "2024-11-23T04:39:00Z".parse().unwrap();
        let keys = VapidKeys::generate(&FixedClock::new(now, 1));
        let signer = Signer::new(keys.clone(), "mailto:a@b.example".to_owned());
        let header = signer.authorization("https://push.example:8443", now).unwrap();
        let token =
            header.to_str().unwrap().strip_prefix("vapid t=").unwrap().split(',').next().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let public = URL_SAFE_NO_PAD.decode(keys.public_key()).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
            .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["aud"], "https://push.example:8443");
        assert_eq!(claims["sub"], "mailto:a@b.example");
        assert_eq!(claims["exp"], (now + LASTS).timestamp());

        let later = |hours| {
            signer
                .authorization("https://push.example:8443", now + TimeDelta::hours(hours))
                .unwrap()
        };
        assert_eq!(later(5), header);
        assert_ne!(later(6), header);
        assert_ne!(signer.authorization("https://other.example", now).unwrap(), header);
    }
}
