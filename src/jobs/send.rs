//! Sends one alert to many, while whoever sends keeps the lease on them.

use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use sea_orm::DbErr;
use uuid::Uuid;

use crate::app::App;
use crate::domain::alert::{Alert, MAX_PAYLOAD, SHORT_PAYLOAD, StoryLink};
use crate::domain::push_subscription::Recipient;
use crate::push::{Message, Outcome, Sender};
use crate::storage;
use crate::storage::alert::Shard;
use crate::storage::article::Visibility;

/// How long claimed work belongs to its worker without a sign of life.
pub(super) const LEASE: TimeDelta = TimeDelta::seconds(30);
/// How often the lease is extended while messages are on their way.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Messages under way at once; each push service has a bound of its own besides.
const AT_ONCE: usize = 256;

/// What the worker holds while it sends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lease<'a> {
    /// A shard.
    Shard(&'a Shard),
    /// Retries of an alert.
    Retries(Uuid, &'a [i64]),
}

impl Lease<'_> {
    /// Keeps it for longer. False when somebody else has it by now.
    async fn extend(self, app: &App) -> Result<bool, DbErr> {
        let (connection, until) = (app.db.connection(), app.now() + LEASE);
        match self {
            Self::Shard(shard) => storage::alert::extend_lease(connection, shard, until).await,
            Self::Retries(alert_id, ids) => {
                storage::alert::keep_retries(connection, (alert_id, ids), until).await?;
                Ok(true)
            }
        }
    }
}

/// The message of an alert: the same for everybody until it is sealed.
pub(super) async fn message(app: &App, alert: &Alert) -> anyhow::Result<Message> {
    let connection = app.db.connection();
    let article =
        storage::article::by_id(connection, alert.article_id, Visibility::Everything).await?;
    let article = article.context("an alert without its article")?;
    let edition = storage::edition::by_ids(connection, &[alert.edition_id]).await?.pop();
    let edition = edition.context("an alert without its edition")?;
    let url = article.canonical_url(&app.config.public_url, &edition);
    let story = StoryLink { url: &url, locale: &edition.locale, direction: edition.direction };
    let ttl = (alert.expires_at - app.now()).to_std().unwrap_or_default();
    Ok(Message {
        payload: alert.payload(&story, MAX_PAYLOAD)?.into(),
        short_payload: alert.payload(&story, SHORT_PAYLOAD)?.into(),
        ttl,
        urgency: alert.urgency,
        topic: alert.topic(),
    })
}

/// Sends to everybody and says what became of each message; `None` when the lease was lost
/// meanwhile. News that has expired is not sent: its messages count as failed.
pub(super) async fn send_all(
    app: &App,
    sender: &Sender,
    (alert, message): (&Alert, &Message),
    recipients: Vec<Recipient>,
    lease: Lease<'_>,
) -> Option<Vec<(Recipient, Outcome)>> {
    let now = app.now();
    if now >= alert.expires_at {
        let missed = recipients.into_iter().map(|recipient| (recipient, Outcome::Failed(None)));
        return Some(missed.collect());
    }
    let sending = stream::iter(recipients)
        .map(|recipient| async move {
            let outcome = sender.send(&recipient, message, now).await;
            (recipient, outcome)
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>();
    tokio::pin!(sending);
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.reset();
    loop {
        tokio::select! {
            outcomes = &mut sending => return Some(outcomes),
            _ = heartbeat.tick() => match lease.extend(app).await {
                Ok(true) => {}
                Ok(false) => return None,
                // What is on its way cannot be called back. The fence decides in the end.
                Err(error) => tracing::warn!(%error, "a lease could not be extended"),
            }
        }
    }
}
