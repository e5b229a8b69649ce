//! Events: what happened, recorded in the transaction of the change itself.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An event's place in the one order in which all instances see all events.
pub type EventId = i64;

/// The event that a client says it had last, as it came in a `Last-Event-ID` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEventId(pub String);

/// What happened. Carries what listeners filter by, so that most need no look-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// Readers see a story that they did not see before.
    ArticlePublished {
        /// The article.
        article_id: Uuid,
        /// Its edition.
        edition_id: Uuid,
        /// Its category and all above it.
        category_path: Vec<Uuid>,
    },
    /// Readers see a comment that they did not see before.
    CommentCreated {
        /// The comment.
        comment_id: Uuid,
        /// The article it stands under.
        article_id: Uuid,
    },
}

/// An event with its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Larger than that of every event committed before.
    pub id: EventId,
    /// What happened; `None` when this version cannot read it, as while a newer one is rolled out.
    pub event: Option<Event>,
}
