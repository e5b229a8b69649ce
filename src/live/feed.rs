//! The feed: what the tail has read, handed to everybody who listens.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::{Stream, stream};
use sea_orm::DbErr;
use tokio::sync::broadcast;

use super::Bookmark;
use crate::domain::event::{EventId, RecordedEvent};
use crate::storage::{self, Database};

/// Events that a listener may be behind before it reads them from the table again.
const BUFFER: usize = 1_024;
/// Events read at once when a listener catches up.
const BATCH: u64 = 200;

/// The events of this instance as they come. Clones are the same feed.
#[derive(Debug, Clone)]
pub struct Live {
    sender: broadcast::Sender<Arc<RecordedEvent>>,
    /// The newest event that was handed out.
    position: Arc<AtomicI64>,
    db: Database,
}

/// Why a listener cannot go on where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum Missed {
    /// Events after that one are no longer kept, or there never was such an event.
    #[error(
        "event {0} is unknown or too old to resume from; read the page again and subscribe without an id"
    )]
    Gone(EventId),
    /// The table cannot be read.
    #[error(transparent)]
    Unreadable(#[from] DbErr),
}

impl Live {
    pub(super) fn new(db: Database, position: EventId) -> Self {
        Self {
            sender: broadcast::Sender::new(BUFFER),
            position: Arc::new(AtomicI64::new(position)),
            db,
        }
    }

    pub(super) fn publish(&self, event: RecordedEvent) {
        self.position.store(event.id, Ordering::Release);
        // An error means that nobody listens, and then nobody misses it.
        drop(self.sender.send(Arc::new(event)));
    }

    /// The newest event that this instance has handed out. What is read from the database later is
    /// at least as new.
    pub fn position(&self) -> EventId {
        self.position.load(Ordering::Acquire)
    }

    /// Every event from now on, or from after the given one, each once and in order. The bookmark
    /// is put where the listener begins.
    ///
    /// A listener that falls behind reads on in the table; it is slower then, and misses nothing.
    pub async fn follow(
        &self,
        after: Option<EventId>,
        bookmark: &Bookmark,
    ) -> Result<impl Stream<Item = Result<Arc<RecordedEvent>, DbErr>> + Send + use<>, Missed> {
        // The receiver first: what is committed while the backlog is read waits in its buffer.
        let receiver = self.sender.subscribe();
        let position = self.position();
        let cursor = after.unwrap_or(position);
        // Whoever stands where the feed stands needs nothing from the table.
        let behind = cursor != position;
        if behind {
            self.check_kept(cursor).await?;
        }
        bookmark.put(cursor);
        let listener =
            Listener { receiver, db: self.db.clone(), cursor, behind, backlog: VecDeque::new() };
        Ok(stream::unfold(listener, |mut listener| async {
            let next = listener.next().await?;
            Some((next, listener))
        }))
    }

    async fn check_kept(&self, id: EventId) -> Result<(), Missed> {
        let newest = storage::event::newest_id(self.db.connection()).await?;
        let oldest = storage::event::oldest_id(self.db.connection()).await?.unwrap_or(newest);
        if (oldest - 1..=newest).contains(&id) { Ok(()) } else { Err(Missed::Gone(id)) }
    }
}

struct Listener {
    receiver: broadcast::Receiver<Arc<RecordedEvent>>,
    db: Database,
    cursor: EventId,
    behind: bool,
    backlog: VecDeque<RecordedEvent>,
}

impl Listener {
    async fn next(&mut self) -> Option<Result<Arc<RecordedEvent>, DbErr>> {
        loop {
            if let Some(event) = self.backlog.pop_front() {
                self.cursor = event.id;
                return Some(Ok(Arc::new(event)));
            }
            if self.behind {
                match storage::event::after(self.db.connection(), self.cursor, BATCH).await {
                    Ok(events) => {
                        self.behind = !events.is_empty();
                        self.backlog = events.into();
                    }
                    Err(error) => return Some(Err(error)),
                }
                continue;
            }
            match self.receiver.recv().await {
                Ok(event) if event.id <= self.cursor => {}
                Ok(event) => {
                    self.cursor = event.id;
                    return Some(Ok(event));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
