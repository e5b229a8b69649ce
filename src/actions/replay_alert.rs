//! Tries those again whom an alert was given up for.

use chrono::TimeDelta;
use uuid::Uuid;

use super::lock_alert::lock_alert;
use crate::app::App;
use crate::domain::alert::{Alert, AlertState, Counts};
use crate::domain::failure::{Failure, Rejection};
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;

/// Why nobody is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// There is no such alert.
    AlertNotFound,
    /// It has not begun, or is old and not over yet, or was called back, or its story is not before readers.
    WrongState,
    /// Nobody was given up.
    NothingToReplay,
}

/// Makes an alert news again for those whom it was given up for, and for nobody else. One that is still on its
/// way, to readers who sleep perhaps, tries them again for as long as it is news.
pub async fn replay_alert(app: &App, viewer: &Viewer, id: Uuid) -> Result<Alert, Failure<Code>> {
    viewer.check(Permission::PublishArticles)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    let missing = || Rejection::at("id", Code::AlertNotFound, "there is no such alert");
    let (alert, is_published) = lock_alert(tx, id).await?.ok_or_else(missing)?;
    if !is_published && !alert.test {
        let message = "its story is not before readers; publish it first";
        return Err(Rejection::at("id", Code::WrongState, message).into());
    }
    let is_over = alert.state == AlertState::Done;
    if !is_over && alert.state != AlertState::Sending {
        let state = alert.state.as_str();
        let message = format!("the alert is {state}; one that is SENDING or DONE is replayed");
        return Err(Rejection::at("id", Code::WrongState, message).into());
    }
    if !is_over && app.now() >= alert.expires_at {
        let message = "it is no news any more, and not over yet; replay it once it is DONE";
        return Err(Rejection::at("id", Code::WrongState, message).into());
    }
    // What grew old before it came to somebody is over.
    let missed = if is_over { storage::alert_shard::forget_missed(tx, id, true).await? } else { 0 };
    let revived = missed + storage::alert_dead_letter::revive(tx, id, app.now()).await?;
    if revived == 0 {
        let message = "nobody was given up who is still subscribed";
        return Err(Rejection::at("id", Code::NothingToReplay, message).into());
    }
    let counts = Counts { failed: -revived, ..Counts::default() };
    storage::alert_round::count(tx, id, (counts, false)).await?;
    if is_over {
        let lasts = TimeDelta::from_std(app.config.push.ttl).map_err(anyhow::Error::from)?;
        storage::alert_round::reopen(tx, id, (app.now(), app.now() + lasts)).await?;
    }
    let reopened = storage::alert::by_id(tx, id).await?;
    change.commit().await?;
    app.db.wake();
    reopened.ok_or(Failure::NotFound)
}
