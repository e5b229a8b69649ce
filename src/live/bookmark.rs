//! Where a listener stands, shared with whoever carries its events.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::event::EventId;

/// The event after which a listener would have to resume: the one it began after, then the last
/// one that was passed on to it. Clones are the same bookmark.
#[derive(Debug, Clone)]
pub struct Bookmark(Arc<AtomicI64>);

/// Below every id.
const NOWHERE: EventId = EventId::MIN;

impl Default for Bookmark {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NOWHERE)))
    }
}

impl Bookmark {
    /// Moves it.
    pub fn put(&self, id: EventId) {
        self.0.store(id, Ordering::Release);
    }

    /// Where it lies; `None` until somebody listens.
    pub fn get(&self) -> Option<EventId> {
        Some(self.0.load(Ordering::Acquire)).filter(|id| *id != NOWHERE)
    }
}
