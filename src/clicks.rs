//! Clicks: how often stories are opened from alerts, gathered here and written down together.
//!
//! An alert that works is opened by thousands within a second; a write for each would make them wait
//! for one row. A crash loses what was gathered since the last write: a second's worth of a
//! statistic.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

/// Clicks that are not written down yet, by alert.
#[derive(Debug, Default)]
pub struct Clicks(Mutex<HashMap<Uuid, i64>>);

impl Clicks {
    /// Counts one.
    pub fn count(&self, alert_id: Uuid) {
        self.add(alert_id, 1);
    }

    /// Takes all that were gathered.
    pub fn take(&self) -> HashMap<Uuid, i64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds some: of an alert, or some that could not be written down.
    pub fn add(&self, alert_id: Uuid, clicks: i64) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *gathered.entry(alert_id).or_default() += clicks;
    }
}
