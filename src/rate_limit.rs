//! How often one address may do what strangers may do at all.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::Config;

/// The address a request came from; put into the request's data by the edge.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// Posting a comment.
    Comment,
    /// Trying to sign in.
    SignIn,
    /// Opting in to alerts.
    PushSubscription,
}

/// The limits of this process, by address.
#[derive(Debug)]
pub struct RateLimits {
    comments: DefaultKeyedRateLimiter<IpAddr>,
    sign_ins: DefaultKeyedRateLimiter<IpAddr>,
    push_subscriptions: DefaultKeyedRateLimiter<IpAddr>,
}

impl RateLimits {
    /// The limits that the operator set.
    pub fn new(config: &Config) -> Self {
        let limiter = |per_minute: u32| {
            let most = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
            RateLimiter::keyed(Quota::per_minute(most))
        };
        Self {
            comments: limiter(config.comments_per_minute),
            sign_ins: limiter(config.sign_ins_per_minute),
            push_subscriptions: limiter(config.push_subscriptions_per_minute),
        }
    }

    /// Counts one attempt; fails with how long to wait when it is one too many.
    pub fn check(
        &self,
        what: Limited,
        ClientAddress(address): ClientAddress,
    ) -> Result<(), Duration> {
        let limiter = match what {
            Limited::Comment => &self.comments,
            Limited::SignIn => &self.sign_ins,
            Limited::PushSubscription => &self.push_subscriptions,
        };
        let allowed = limiter.check_key(&network(address));
        allowed.map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
    }

    /// Forgets addresses that have been quiet; call it now and then to bound the memory.
    pub fn forget_quiet(&self) {
        self.comments.retain_recent();
        self.sign_ins.retain_recent();
        self.push_subscriptions.retain_recent();
    }
}

/// What counts as one address: an IPv6 customer has a whole /56 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 56))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ClientAddress {
        ClientAddress(text.parse().unwrap())
    }

    #[test]
    fn one_address_is_held_back_and_others_are_not() {
        let config = Config::parse("comments_per_minute = 2", []).unwrap();
        let limits = RateLimits::new(&config);
        for _ in 0..2 {
            assert_eq!(limits.check(Limited::Comment, address("1.2.3.4")), Ok(()));
        }
        assert!(limits.check(Limited::Comment, address("::ffff:1.2.3.4")).is_err());
        assert_eq!(limits.check(Limited::Comment, address("1.2.3.5")), Ok(()));
        assert_eq!(limits.check(Limited::SignIn, address("1.2.3.4")), Ok(()));
    }

    #[test]
    fn a_customer_of_ipv6_is_one_address() {
        assert_eq!(
            network("2001:db8:0:12::1".parse().unwrap()),
            network("2001:db8:0:99::2".parse().unwrap())
        );
        assert_ne!(
            network("2001:db8:0:100::1".parse().unwrap()),
            network("2001:db8:0:200::1".parse().unwrap())
        );
    }
}
