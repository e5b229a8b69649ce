//! VAPID key pairs: how a newsroom identifies itself to push services (RFC 8292 §3.2).

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::clock::Clock;

/// The key pair that subscriptions are bound to. Whoever loses it loses every subscription.
#[derive(Clone, Serialize, Deserialize)]
pub struct VapidKeys {
    /// The private scalar of P-256, base64url.
    #[serde(alias = "privateKey")]
    private_key: String,
    /// The uncompressed public point, base64url.
    #[serde(alias = "publicKey")]
    public_key: String,
}

impl VapidKeys {
    /// A new key pair.
    pub fn generate(clock: &dyn Clock) -> Self {
        loop {
            // Almost every 32 bytes are a scalar below the order of the curve; else draw again.
            if let Ok(private) = p256::SecretKey::from_slice(&clock.new_secret()) {
                return Self::from_private(&private);
            }
        }
    }

    /// A key pair from its JSON, ours or that of npm's `web-push generate-vapid-keys`; fails when the two keys do not belong together.
    pub fn from_json(json: &str) -> anyhow::Result<Self> {
        let keys: Self = serde_json::from_str(json).map_err(|_| {
            // Not in the library's words, which name one of two spellings and may quote a secret.
            anyhow!(
                "expected {{\"publicKey\": \"…\", \"privateKey\": \"…\"}}, both base64url, as \
                 `web-push generate-vapid-keys --json` prints them"
            )
        })?;
        let private = URL_SAFE_NO_PAD
            .decode(&keys.private_key)
            .context("the private key is not base64url")?;
        let private = p256::SecretKey::from_slice(&private)
            .map_err(|_| anyhow!("the private key is none of P-256"))?;
        if Self::from_private(&private).public_key == keys.public_key {
            Ok(keys)
        } else {
            Err(anyhow!("the VAPID keys do not belong together"))
        }
    }

    /// The key pair as JSON, to be kept secret.
    pub fn to_json(&self) -> anyhow::Result<String> {
        serde_json::to_string_pretty(self).context("the VAPID keys cannot be written")
    }

    /// The secret half, base64url.
    pub fn private_key(&self) -> &str {
        &self.private_key
    }

    /// What browsers subscribe with: the `applicationServerKey`.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    fn from_private(private: &p256::SecretKey) -> Self {
        use p256::elliptic_curve::sec1::ToEncodedPoint;
        let public = private.public_key().to_encoded_point(false);
        Self {
            private_key: URL_SAFE_NO_PAD.encode(private.to_bytes()),
            public_key: URL_SAFE_NO_PAD.encode(public.as_bytes()),
        }
    }
}

impl std::fmt::Debug for VapidKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VapidKeys({})", self.public_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemClock;

    #[test]
    fn keys_of_npm_web_push_are_read() {
        let ours = VapidKeys::generate(&SystemClock);
        let json = ours.to_json().unwrap();
        let theirs = json.replace("public_key", "publicKey").replace("private_key", "privateKey");
        assert_eq!(VapidKeys::from_json(&theirs).unwrap().public_key(), ours.public_key());
    }

    #[test]
    fn keys_survive_being_saved_and_mixed_ones_are_refused() {
        let (one, other) = (VapidKeys::generate(&SystemClock), VapidKeys::generate(&SystemClock));
        let json = one.to_json().unwrap();
        assert_eq!(VapidKeys::from_json(&json).unwrap().public_key(), one.public_key());
        let mixed = json.replace(one.public_key(), other.public_key());
        assert!(VapidKeys::from_json(&mixed).is_err());
        assert!(!format!("{one:?}").contains(&one.private_key));
    }
}
