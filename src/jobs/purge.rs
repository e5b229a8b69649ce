//! Deletes what nobody needs any more: old events, sessions that have ended, who was given up long ago.
//! Closes what nobody is left to close.

use chrono::TimeDelta;

use super::Unfinished;
use crate::app::App;
use crate::storage;

/// How long an open page may be away and still resume from its last event.
const EVENTS_KEPT: TimeDelta = TimeDelta::days(7);

/// How long an alert can be replayed for those whom it was given up for.
const DEAD_LETTERS_KEPT: TimeDelta = TimeDelta::days(28);

/// Purges once.
pub(super) async fn run(app: &App) -> Result<(), Unfinished> {
    let change = app.begin().await?;
    let tx = change.transaction();
    let events = storage::event::purge(tx, app.now() - EVENTS_KEPT).await?;
    let sessions = storage::session::purge(tx, app.now()).await?;
    change.commit().await?;
    // By themselves: whoever writes a page down takes these locks in another order.
    let change = app.begin().await?;
    let tx = change.transaction();
    let before = app.now() - DEAD_LETTERS_KEPT;
    let dead_letters = storage::alert_dead_letter::purge(tx, before).await?;
    change.commit().await?;
    let change = app.begin().await?;
    let shards = storage::alert_shard::purge(change.transaction(), before).await?;
    change.commit().await?;
    for id in storage::alert_round::sending(app.db.connection()).await? {
        let change = app.begin().await?;
        storage::alert_round::finish_if_done(change.transaction(), id, app.now()).await?;
        change.commit().await?;
    }
    tracing::debug!(events, sessions, dead_letters, shards, "purged");
    Ok(())
}
