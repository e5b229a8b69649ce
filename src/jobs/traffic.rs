//! Traffic: which push services a worker is busy with, and which it leaves alone, so that a service
//! that is slow keeps no more than its share of the worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::clock::Timestamp;
use crate::push::Resting;

/// Shards or batches of one push service at once: one is read and written down while others are on
/// their way.
const LANES: usize = 4;
/// How many of them what is tried again may take: news finds one free, however long others hang.
const RETRY_LANES: usize = LANES - 1;

/// What is known of the push services, by their numbers. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic(Arc<Mutex<HashMap<i32, Service>>>);

#[derive(Debug, Default)]
struct Service {
    busy: usize,
    resting: Option<Resting>,
}

/// Work for one push service, for as long as this lives.
#[derive(Debug)]
pub(super) struct Lane {
    traffic: Traffic,
    service_id: i32,
}

impl Traffic {
    /// The services that have no lane free for news, or are left alone.
    pub(super) fn closed(&self, now: Timestamp) -> Vec<i32> {
        self.closed_to(LANES, now)
    }

    /// The services that have no lane free for what is tried again, or are left alone.
    pub(super) fn closed_to_retries(&self, now: Timestamp) -> Vec<i32> {
        self.closed_to(RETRY_LANES, now)
    }

    fn closed_to(&self, lanes: usize, now: Timestamp) -> Vec<i32> {
        let closed = |(id, service): (&i32, &Service)| {
            let rests = service.resting.is_some_and(|resting| now < resting.until);
            (service.busy >= lanes || rests).then_some(*id)
        };
        self.services().iter().filter_map(closed).collect()
    }

    /// Whether anything is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.services().values().any(|service| service.busy > 0)
    }

    /// Takes a lane.
    pub(super) fn enter(&self, service_id: i32) -> Lane {
        self.services().entry(service_id).or_default().busy += 1;
        Lane { traffic: self.clone(), service_id }
    }

    fn services(&self) -> MutexGuard<'_, HashMap<i32, Service>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Leaves the service alone for a while.
    pub(super) fn rest(&self, resting: Resting) {
        self.traffic.services().entry(self.service_id).or_default().resting = Some(resting);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(service) = self.traffic.services().get_mut(&self.service_id) {
            service.busy -= 1;
        }
    }
}
