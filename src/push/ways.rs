//! Ways: what is known of each origin, and the connections to it, from one page to the next.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::gate::Gate;
use super::lines::Lines;
use super::pace::Resting;
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::{Endpoint, Recipient};

/// Origins that are remembered while nothing is on its way to them.
const REMEMBERED: usize = 1_000;

/// The ways to all origins.
#[derive(Debug)]
pub(super) struct Ways {
    at_once: u32,
    per_second: NonZeroU32,
    all: Mutex<HashMap<String, Arc<Way>>>,
}

/// The way to an origin, and the service that it belongs to, by its well-known name and its number.
#[derive(Debug)]
pub(super) struct Way {
    service: &'static str,
    service_id: i32,
    pub(super) gate: Gate,
    pub(super) lines: Lines,
}

impl Ways {
    /// None yet; each is to take at most so many messages at once and a second.
    pub(super) fn new(at_once: u32, per_second: NonZeroU32) -> Self {
        Self { at_once, per_second, all: Mutex::default() }
    }

    /// The way to a reader.
    pub(super) fn to(&self, to: &Recipient, now: Timestamp) -> Arc<Way> {
        let mut ways = self.all();
        let origin = to.endpoint.origin();
        if let Some(way) = ways.get(origin) {
            return Arc::clone(way);
        }
        // Whoever subscribes may name a host of their own below a push service's. What is known of the
        // others is forgotten last: that they ask to be left alone above all.
        if ways.len() >= REMEMBERED {
            let is_needed = |way: &Arc<Way>| Arc::strong_count(way) > 1 || way.gate.is_proven();
            ways.retain(|_, way| is_needed(way) || way.gate.resting(now).is_some());
            if ways.len() >= REMEMBERED {
                ways.retain(|_, way| is_needed(way));
            }
        }
        let way = Arc::new(Way {
            service: to.endpoint.service(),
            service_id: to.service_id,
            gate: Gate::new(self.at_once, self.per_second),
            lines: Lines::default(),
        });
        ways.insert(origin.to_owned(), Arc::clone(&way));
        way
    }

    /// Until when a service is left alone: for as long as each of its origins is that have ever taken a
    /// message. Whoever subscribes may make some up at which nobody answers.
    pub(super) fn resting(&self, service_id: i32, now: Timestamp) -> Option<Resting> {
        let ways = self.all();
        let ways = || ways.values().filter(|way| way.service_id == service_id);
        let some_are_proven = ways().any(|way| way.gate.is_proven());
        let count = ways().filter(|way| way.gate.is_proven() || !some_are_proven);
        count.map(|way| way.gate.resting(now)).min().flatten()
    }

    /// Looks whether origins of a service have fallen silent.
    pub(super) fn listen(&self, service_id: i32, now: Timestamp) {
        for (origin, way) in self.all().iter().filter(|(_, way)| way.service_id == service_id) {
            if let Some(alarm) = way.gate.look_for_silence(now) {
                alarm.raise(origin);
            }
        }
    }

    /// Closes the connections that nobody uses any more, and tells the metrics how many services are left
    /// alone at the moment.
    pub(super) fn look_after(&self, now: Timestamp) {
        let mut open: HashMap<&str, u32> = Endpoint::services().map(|name| (name, 0)).collect();
        for way in self.all().values() {
            way.lines.close_idle(Instant::now());
            *open.entry(way.service).or_default() += u32::from(way.gate.is_open(now));
        }
        for (service, count) in open {
            metrics::gauge!("khabar_push_circuits_open", "service" => service.to_owned())
                .set(count);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Way>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
