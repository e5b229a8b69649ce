//! Alerts to read.

use async_graphql::{Context, Enum, Error, ID, InputObject, Object};

use super::context::KhabarContext;
use super::ids::{self, Kind};
use crate::actions::queue_alert;
use crate::domain::alert as domain;
use crate::domain::clock::Timestamp;
use crate::domain::viewer::Permission;
use crate::storage;

/// An alert.
pub struct Alert(pub domain::Alert);

/// How far the delivery of an alert has come.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::AlertState")]
pub enum AlertState {
    /// Decided; its audience is not divided into shards yet.
    Queued,
    /// On its way.
    Sending,
    /// Every subscription has been dealt with.
    Done,
}

/// How soon devices should be woken (RFC 8030 §5.3).
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::Urgency")]
pub enum AlertUrgency {
    /// When on power and Wi-Fi.
    VeryLow,
    /// When on either.
    Low,
    /// As soon as the device does something anyway.
    Normal,
    /// At once, on a low battery too.
    High,
}

/// What readers are to be told; what is absent comes from the story.
#[derive(InputObject)]
pub struct AlertInput {
    /// At most 200 characters; the headline when absent.
    title: Option<String>,
    /// At most 500 characters; the sub-headline or the excerpt when absent.
    body: Option<String>,
    /// HIGH for breaking news and NORMAL for the rest when absent.
    urgency: Option<AlertUrgency>,
}

impl From<AlertInput> for queue_alert::Input {
    fn from(input: AlertInput) -> Self {
        Self { title: input.title, body: input.body, urgency: input.urgency.map(Into::into) }
    }
}

/// The decision to notify readers of one story, and how far it has come. For editors.
#[Object]
impl Alert {
    /// The global id.
    pub async fn id(&self) -> ID {
        ids::encode(Kind::Alert, self.0.id)
    }

    /// How far it has come.
    async fn state(&self) -> AlertState {
        self.0.state.into()
    }

    /// The first line of the notification.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// What stands under it.
    async fn body(&self) -> &str {
        &self.0.body
    }

    /// How soon devices should be woken.
    async fn urgency(&self) -> AlertUrgency {
        self.0.urgency.into()
    }

    /// Messages that push services took so far.
    async fn accepted(&self) -> i64 {
        self.0.accepted
    }

    /// Subscriptions that turned out to be gone and were deleted.
    async fn gone(&self) -> i64 {
        self.0.gone
    }

    /// Messages that were given up.
    async fn failed(&self) -> i64 {
        self.0.failed
    }

    /// When it was decided.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// When it stops being news: nothing is tried again after this.
    async fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }
}

/// Looks alerts up.
#[derive(Default)]
pub struct AlertQuery;

#[Object]
impl AlertQuery {
    /// An alert; null when there is none. For editors.
    async fn alert(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Alert>, Error> {
        ctx.require(Permission::PublishArticles)?;
        let id = ids::of(Kind::Alert, &id);
        Ok(storage::alert::by_id(ctx.app()?.db.connection(), id).await?.map(Alert))
    }
}
