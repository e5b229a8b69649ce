//! Tries again what could not be delivered, until the alert stops being news.

use std::collections::HashMap;

use chrono::TimeDelta;
use futures_util::{StreamExt, stream};

use super::deliver::{message, settle};
use crate::app::App;
use crate::push::Sender;
use crate::storage::alert::Retry;
use crate::storage;

/// How long claimed retries belong to their worker: longer than a batch of them can take.
const LEASE: TimeDelta = TimeDelta::minutes(2);
/// Messages tried again at once.
const BATCH: u64 = 200;
/// See [`BATCH`].
const AT_ONCE: usize = 64;

/// Tries a batch that is due. False when nothing is.
pub(super) async fn run(app: &App, sender: &Sender) -> anyhow::Result<bool> {
    let now = app.now();
    let change = app.begin().await?;
    let due = storage::alert::claim_retries(change.transaction(), (now, now + LEASE), BATCH).await?;
    change.commit().await?;
    let Some(first) = due.first() else { return Ok(false) };
    let Some(alert) = storage::alert::by_id(app.db.connection(), first.alert_id).await? else {
        // Its retries went with it.
        return Ok(true);
    };
    let message = message(app, &alert).await?;
    let attempts: HashMap<i64, Retry> = due.iter().map(|retry| (retry.push_subscription_id, *retry)).collect();
    let ids: Vec<i64> = attempts.keys().copied().collect();
    let recipients = storage::push_subscription::by_ids(app.db.connection(), &ids).await?;
    let message = &message;
    let outcomes = stream::iter(recipients)
        .map(|recipient| async move {
            let outcome = sender.send(&recipient, message, now).await;
            (recipient, outcome)
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let change = app.begin().await?;
    let tried = outcomes.iter().filter_map(|(recipient, outcome)| {
        Some((recipient, *outcome, attempts.get(&recipient.id)?.attempts + 1))
    });
    settle(app, &change, &alert, tried).await?;
    storage::alert::finish_if_done(change.transaction(), alert.id, app.now()).await?;
    change.commit().await?;
    Ok(true)
}
