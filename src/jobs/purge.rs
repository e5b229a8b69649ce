//! Deletes what nobody needs any more: old events, sessions that have ended. Closes what nobody is
//! left to close.

use chrono::TimeDelta;

use super::Unfinished;
use crate::app::App;
use crate::storage;

/// How long an open page may be away and still resume from its last event.
const EVENTS_KEPT: TimeDelta = TimeDelta::days(7);

/// Purges once.
pub(super) async fn run(app: &App) -> Result<(), Unfinished> {
    let change = app.begin().await?;
    let tx = change.transaction();
    let events = storage::event::purge(tx, app.now() - EVENTS_KEPT).await?;
    let sessions = storage::session::purge(tx, app.now()).await?;
    storage::alert::finish_abandoned(tx, app.now()).await?;
    change.commit().await?;
    tracing::debug!(events, sessions, "purged");
    Ok(())
}
