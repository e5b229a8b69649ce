//! Tries again what could not be delivered, until the alert stops being news.

use std::collections::HashMap;

use super::send::{LEASE, Lease, message, send_all};
use super::settle::{Tried, settle};
use crate::app::App;
use crate::domain::push_subscription::Recipient;
use crate::push::{Outcome, Sender};
use crate::storage;

/// Messages tried again at once.
const BATCH: u64 = 200;

/// Tries a batch that is due. False when nothing is.
pub(super) async fn run(app: &App, sender: &Sender) -> anyhow::Result<bool> {
    let now = app.now();
    let change = app.begin().await?;
    let due =
        storage::alert::claim_retries(change.transaction(), (now, now + LEASE), BATCH).await?;
    change.commit().await?;
    let Some(first) = due.first() else { return Ok(false) };
    let Some(alert) = storage::alert::by_id(app.db.connection(), first.alert_id).await? else {
        // Its retries went with it.
        return Ok(true);
    };
    let message = message(app, &alert).await?;
    let attempts: HashMap<i64, i32> =
        due.iter().map(|retry| (retry.push_subscription_id, retry.attempts)).collect();
    let ids: Vec<i64> = attempts.keys().copied().collect();
    let recipients = storage::push_subscription::by_ids(app.db.connection(), &ids).await?;
    let lease = Lease::Retries(alert.id, &ids);
    let Some(sent) = send_all(app, sender, (&alert, &message), recipients, lease).await else {
        return Ok(true);
    };
    let again = |(recipient, outcome): (Recipient, Outcome)| {
        let before = attempts.get(&recipient.id).copied().unwrap_or_default();
        Tried { recipient, outcome, attempts: before + 1 }
    };
    let tried: Vec<Tried> = sent.into_iter().map(again).collect();
    let change = app.begin().await?;
    settle(app, &change, &alert, &tried).await?;
    storage::alert::finish_if_done(change.transaction(), alert.id, app.now()).await?;
    change.commit().await?;
    Ok(true)
}
