//! Opt-out links: what a notification carries so that one tap ends the alerts, without an account,
//! a cookie or anything kept in the browser.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

/// Bytes of the signature that a token carries.
const SIGNATURE: usize = 16;

/// Makes and checks opt-out tokens. Whoever has one can end that reader's alerts and nothing else.
#[derive(Clone)]
pub struct OptOutKey(hmac::Key);

impl OptOutKey {
    /// A key from its bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }

    /// The token of a subscription: 32 characters that need no escaping in an address. It is good for
    /// as long as the reader has alerts: a notification may stay on a screen for long.
    pub fn token(&self, id: i64) -> String {
        let mut token = [0; 8 + SIGNATURE];
        token[..8].copy_from_slice(&id.to_be_bytes());
        token[8..].copy_from_slice(&self.sign(id).as_ref()[..SIGNATURE]);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Which subscription a token is of; `None` of what this key did not make.
    pub fn open(&self, token: &str) -> Option<i64> {
        use subtle::ConstantTimeEq;
        let bytes: [u8; 8 + SIGNATURE] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let id = i64::from_be_bytes(*bytes.first_chunk()?);
        let is_ours: bool = self.sign(id).as_ref()[..SIGNATURE].ct_eq(&bytes[8..]).into();
        is_ours.then_some(id)
    }

    fn sign(&self, id: i64) -> hmac::Tag {
        let mut signing = hmac::Context::with_key(&self.0);
        signing.update(b"khabar opt-out");
        signing.update(&id.to_be_bytes());
        signing.sign()
    }
}

impl std::fmt::Debug for OptOutKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OptOutKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert_message::OPT_OUT_TOKEN;

    #[test]
    fn a_token_opens_its_own_subscription_alone() {
        let key = OptOutKey::new([7; 32]);
        let token = key.token(42);
        assert_eq!(token.len(), OPT_OUT_TOKEN);
        assert_eq!(key.open(&token), Some(42));
        assert_eq!(OptOutKey::new([8; 32]).open(&token), None);
        let other = format!("{}{}", &key.token(43)[..11], &token[11..]);
        for bad in ["", "x", &token[1..], &format!("{token}A"), &other] {
            assert_eq!(key.open(bad), None, "{bad}");
        }
    }
}
