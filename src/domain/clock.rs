//! Time and randomness: the one place that asks the system for either.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Datelike, SubsecRound, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// An instant in UTC, in whole microseconds: what both databases keep alike.
pub type Timestamp = DateTime<Utc>;

/// Where an application gets the time and its random bytes from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Fills the buffer with bytes nobody can predict.
    fn fill_random(&self, bytes: &mut [u8]);
}

impl dyn Clock + '_ {
    /// A new id. Ids made later sort later (UUID version 7, RFC 9562 §5.7).
    pub fn new_id(&self) -> Uuid {
        let mut random = [0; 10];
        self.fill_random(&mut random);
        let millis = u64::try_from(self.now().timestamp_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// 32 random bytes: the secret behind a token.
    pub fn new_secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        self.fill_random(&mut secret);
        secret
    }

    /// A number that no other claim has.
    pub fn new_claim(&self) -> i64 {
        let mut random = [0; 8];
        self.fill_random(&mut random);
        i64::from_be_bytes(random)
    }

    /// A duration between `shortest` and twice that, so that retries do not march in step.
    pub fn jitter(&self, shortest: TimeDelta) -> TimeDelta {
        let mut byte = [0];
        self.fill_random(&mut byte);
        shortest + shortest * i32::from(byte[0]) / 255
    }
}

/// Cuts an instant to the precision that both databases keep.
pub fn to_micros(at: Timestamp) -> Timestamp {
    at.trunc_subsecs(6)
}

/// Whether both databases keep an instant and order it among others: it lies in the years 1 to 9999.
pub fn is_kept(at: Timestamp) -> bool {
    (1..=9_999).contains(&at.year())
}

/// The system's clock and random source.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks for the time")]
    fn now(&self) -> Timestamp {
        to_micros(Utc::now())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that asks for random bytes")]
    fn fill_random(&self, bytes: &mut [u8]) {
        // A system without randomness must not hand out tokens; there is nothing to fall back to.
        if let Err(error) = getrandom::fill(bytes) {
            tracing::error!(%error, "the system gives no random bytes");
            std::process::abort();
        }
    }
}

/// A clock that stands still until it is moved, and random bytes that follow from a seed.
#[derive(Debug)]
pub struct FixedClock {
    now: Mutex<Timestamp>,
    seed: u64,
    drawn: AtomicU64,
}

impl FixedClock {
    /// A clock that shows `now`; two clocks of one seed give the same bytes in the same order.
    pub fn new(now: Timestamp, seed: u64) -> Self {
        Self { now: Mutex::new(to_micros(now)), seed, drawn: AtomicU64::new(0) }
    }

    /// Moves the hands forward.
    pub fn advance(&self, by: TimeDelta) {
        let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now += by;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
            let block = Sha256::new()
                .chain_update(self.seed.to_be_bytes())
                .chain_update(drawn.to_be_bytes())
                .finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_later_sort_later() {
        let clock: &dyn Clock = &FixedClock::new(DateTime::UNIX_EPOCH, 1);
        let first = clock.new_id();
        let fixed = FixedClock::new(DateTime::UNIX_EPOCH + TimeDelta::milliseconds(1), 1);
        let later: &dyn Clock = &fixed;
        assert!(first < later.new_id());
        assert_eq!(first.get_version_num(), 7);
    }

    #[test]
    fn a_seed_gives_the_same_bytes_again_and_no_block_twice() {
        let draw = |seed| {
            let mut bytes = [0; 96];
            FixedClock::new(DateTime::UNIX_EPOCH, seed).fill_random(&mut bytes);
            bytes
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let bytes = draw(7);
        assert_ne!(bytes[..32], bytes[32..64]);
    }

    #[test]
    fn jitter_stays_between_once_and_twice() {
        let clock: &dyn Clock = &SystemClock;
        for _ in 0..200 {
            let jitter = clock.jitter(TimeDelta::seconds(10));
            assert!(jitter >= TimeDelta::seconds(10) && jitter <= TimeDelta::seconds(20));
        }
    }
}
