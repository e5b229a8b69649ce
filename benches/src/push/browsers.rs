//! Browsers that the subscriptions belong to.
//!
//! A thousand key pairs, made from a seed so that every process knows them, serve all subscriptions
//! in turn. What sealing costs does not depend on whose key it is, and sealing makes its own pair for
//! each message all the same.

use std::sync::Arc;

use anyhow::Context;
use khabar::domain::clock::{Clock, FixedClock};
use khabar::domain::push_subscription::PushKeys;
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToEncodedPoint;

const COUNT: usize = 1_000;

/// A browser's keys, the private one included.
pub struct Browser {
    /// The private scalar.
    pub private: [u8; 32],
    /// What it hands over.
    pub keys: PushKeys,
}

/// All browsers.
pub struct Browsers(Vec<Browser>);

impl Browsers {
    /// The same every time.
    pub fn new() -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(FixedClock::new(Default::default(), 8_030));
        let mut browsers = Vec::with_capacity(COUNT);
        while browsers.len() < COUNT {
            let private = clock.new_secret();
            // Hardly any 32 bytes are no scalar; the next ones are.
            let Ok(key) = SecretKey::from_slice(&private) else { continue };
            let point = key.public_key().to_encoded_point(false);
            let p256dh = point.as_bytes().try_into().context("a point has another length")?;
            let mut auth = [0; 16];
            clock.fill_random(&mut auth);
            browsers.push(Browser { private, keys: PushKeys { p256dh, auth } });
        }
        Ok(Self(browsers))
    }

    /// Whose the subscription with this number is.
    pub fn of(&self, number: u64) -> &Browser {
        let index = usize::try_from(number).unwrap_or_default() % self.0.len();
        &self.0[index]
    }

    /// Each of them once.
    pub fn iter(&self) -> impl Iterator<Item = &Browser> {
        self.0.iter()
    }
}

/// Where the subscription with this number is reached.
pub fn endpoint(origin: &str, number: u64) -> String {
    format!("{origin}/push/{number}")
}

/// The number in the path of an endpoint.
pub fn number(path: &str) -> Option<u64> {
    path.strip_prefix("/push/")?.parse().ok()
}
