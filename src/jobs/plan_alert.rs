//! Divides an alert's audience into shards: ranges of subscription ids, for each push service on its
//! own, so that one that is slow holds up nobody else's readers.

use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::Unfinished;
use crate::app::App;
use crate::domain::alert::{Alert, AlertState};
use crate::storage;
use crate::storage::article::Visibility;

/// Subscription ids that a shard spans. Each begins at a multiple of this, as blocks of prepared keys do: no
/// block is of two shards.
const SHARD: i64 = 10_000;
/// An audience of so many shards is counted while they are planned: it may be told before a count
/// that comes afterwards.
const FEW: usize = 3;

/// Plans an alert. Planning it again changes nothing but how large its audience is said to be.
pub(super) async fn run(app: &App, alert_id: Uuid) -> Result<(), Unfinished> {
    divide(app, alert_id).await?;
    // Afterwards: a large audience takes a moment to reckon, and no reader need wait for a number.
    // Whoever does this job again, after its worker was killed in between, makes up for it.
    reckon(app, alert_id).await
}

/// Sets an alert that is due on its way, shard by shard.
async fn divide(app: &App, alert_id: Uuid) -> Result<(), Unfinished> {
    let change = app.begin().await?;
    let tx = change.transaction();
    let Some(alert) = storage::alert::lock(tx, alert_id).await? else {
        return Err(Unfinished::GiveUp("there is no such alert".to_owned()));
    };
    let is_due = alert.scheduled_at.is_none_or(|at| at <= app.now());
    let waits = matches!(alert.state, AlertState::Scheduled | AlertState::Queued);
    if !waits || !is_due || alert.test {
        // Planned or called back already; or put off, and another job is to come; or for one browser.
        return Ok(());
    }
    let story = storage::article::by_id(tx, alert.article_id, Visibility::Published).await?;
    if story.is_none() || app.now() >= alert.expires_at {
        tracing::warn!(alert = %alert.id, "an alert is called back: its story is not before readers, or no news any more");
        storage::alert_round::call_back(tx, alert_id, app.now()).await?;
        change.commit().await?;
        return Ok(());
    }
    storage::alert_round::start(tx, alert_id, app.now()).await?;
    // Whoever subscribes after this moment, or comes from another edition, has read the story already or
    // reads it by visiting.
    let shards = storage::id_ranges::of_editions(tx, &alert.editions(), SHARD).await?;
    let priority = i16::from(!alert.urgency.is_highest());
    storage::alert_shard::insert_all(tx, (alert_id, alert.round, priority), &shards).await?;
    storage::alert_round::finish_if_done(tx, alert_id, app.now()).await?;
    if shards.len() <= FEW {
        note_audience(tx, &alert).await?;
    }
    change.commit().await?;
    app.db.wake();
    Ok(())
}

/// Notes how large the audience is of an alert that was sent on its way.
async fn reckon(app: &App, alert_id: Uuid) -> Result<(), Unfinished> {
    let alert = storage::alert::by_id(app.db.connection(), alert_id).await?;
    let started = |alert: &Alert| matches!(alert.state, AlertState::Sending | AlertState::Done);
    let Some(alert) = alert.filter(started) else { return Ok(()) };
    Ok(note_audience(app.db.connection(), &alert).await?)
}

async fn note_audience(connection: &impl ConnectionTrait, alert: &Alert) -> Result<(), DbErr> {
    let size = storage::audience::size_of(connection, alert).await?;
    storage::audience::note_size(connection, (alert.id, alert.round), size).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_block_of_prepared_keys_is_of_two_shards() {
        assert_eq!(SHARD % storage::prepared_keys::SPAN, 0);
    }
}
