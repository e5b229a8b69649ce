//! Tries those again whom an alert was given up for.

use chrono::TimeDelta;
use uuid::Uuid;

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
    /// It is not over yet, or it was called back.
    WrongState,
    /// Nobody was given up.
    NothingToReplay,
}

/// Makes an alert news again for those whom it was given up for, and for nobody else.
pub async fn replay_alert(app: &App, viewer: &Viewer, id: Uuid) -> Result<Alert, Failure<Code>> {
    viewer.check(Permission::PublishArticles)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    let Some(alert) = storage::alert::lock(tx, id).await? else {
        return Err(Rejection::at("id", Code::AlertNotFound, "there is no such alert").into());
    };
    if alert.state != AlertState::Done {
        let message =
            format!("the alert is {}; only one that is DONE is replayed", alert.state.as_str());
        return Err(Rejection::at("id", Code::WrongState, message).into());
    }
    let revived = storage::alert_retry::revive(tx, id, app.now()).await?;
    if revived == 0 {
        let message = "nobody was given up who is still subscribed";
        return Err(Rejection::at("id", Code::NothingToReplay, message).into());
    }
    let lasts = TimeDelta::from_std(app.config.push.ttl).map_err(anyhow::Error::from)?;
    let counts = Counts { failed: -revived, ..Counts::default() };
    storage::alert_round::count(tx, id, (counts, false)).await?;
    storage::alert_round::reopen(tx, id, (app.now(), app.now() + lasts)).await?;
    let reopened = storage::alert::by_id(tx, id).await?;
    change.commit().await?;
    app.db.wake();
    reopened.ok_or(Failure::NotFound)
}
