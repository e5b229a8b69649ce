//! Delivers a shard of an alert, page by page.
//!
//! A page is read, sent, and then written down in one transaction: the cursor moves behind it, the
//! exceptions become rows, the counters grow. Killed before that, the page is sent again by whoever
//! takes the shard over: at least once, and one page twice at most. `Topic` and `tag` make the
//! second message replace the first on the reader's screen. Stopped for longer than its lease, a worker
//! begins no message and writes nothing down when it goes on.

use std::collections::BTreeSet;

use anyhow::Context;

use super::Work;
use super::lease::Held;
use super::prepare_keys::Stock;
use super::select::{Selected, Selection};
use super::send::{Messages, letters, send_all};
use super::settle::{Ledger, Tried, settle};
use crate::domain::alert::Alert;
use crate::domain::clock::Timestamp;
use crate::push::{Resting, Sent};
use crate::storage;
use crate::storage::alert_retry::Retry;
use crate::storage::alert_shard::Shard;

/// Subscriptions of a page.
const PAGE: u64 = 500;

/// Delivers a claimed shard to its end, or until the shutdown, or until somebody else has it, or
/// until its push service is to be left alone.
pub(super) async fn run(work: &Work, mut shard: Shard) -> anyhow::Result<Option<Resting>> {
    let app = &work.app;
    let alert = storage::alert::by_id(app.db.connection(), shard.alert_id).await?;
    let alert = alert.context("a shard without its alert")?;
    let selection = Selection::of(app, &alert).await?;
    let messages = Messages::of(app, &alert).await?;
    // Whatever goes wrong there, news goes out; and what may have been taken is not used.
    let mut stock = Stock::of(work, &alert, &shard).await.unwrap_or_else(|error| {
        tracing::warn!(error = format!("{error:#}"), "prepared keys cannot be taken");
        Stock::default()
    });
    let mut page = selection.page(app, &shard, PAGE).await?;
    loop {
        if work.shutdown.is_cancelled() {
            storage::alert_shard::release(app.db.connection(), &shard).await?;
            return Ok(None);
        }
        if !storage::alert::is_sending(app.db.connection(), alert.id).await? {
            return Ok(None);
        }
        if app.now() >= alert.expires_at {
            expire(work, &alert, &selection, &shard).await?;
            return Ok(None);
        }
        let now = letters(work, std::mem::take(&mut page.now), &mut stock);
        let behind = Shard { cursor: page.end, ..shard };
        let (sent, ahead) = tokio::join!(
            send_all(work, &messages, now, Held::Shard(shard)),
            read_ahead(work, &selection, &behind),
        );
        let Some(sent) = sent? else { return Ok(None) };
        let resting = sent.resting;
        let written = (page.end, std::mem::take(&mut page.waves));
        if !write_down(work, &alert, &shard, written, ledger(sent, page, app.now())).await? {
            return Ok(None);
        }
        match ahead? {
            None => return Ok(resting),
            Some(_) if resting.is_some() => {
                storage::alert_shard::release(app.db.connection(), &behind).await?;
                return Ok(resting);
            }
            Some(next) => (shard, page) = (behind, next),
        }
    }
}

/// The page behind the one that is being sent; `None` when there is none.
async fn read_ahead(
    work: &Work,
    selection: &Selection,
    behind: &Shard,
) -> Result<Option<Selected>, sea_orm::DbErr> {
    if behind.cursor >= behind.last_id {
        return Ok(None);
    }
    selection.page(&work.app, behind, PAGE).await.map(Some)
}

fn ledger(sent: Sent, page: Selected, now: Timestamp) -> Ledger {
    let tried = sent.tried.into_iter().map(Tried::first);
    // Whoever was turned away is tried again when the service is; and others need not wait for it.
    let due_at = sent.resting.map_or(now, |resting| resting.until);
    let untried = sent.untried.iter().map(|recipient| (Retry::untried(recipient), due_at));
    Ledger {
        tried: tried.collect(),
        waiting: page.waiting.into_iter().chain(untried).collect(),
        suppressed: page.suppressed,
        failed: page.unreadable,
    }
}

/// Ends a shard whose news has grown old: whoever it had left is not told any more.
async fn expire(
    work: &Work,
    alert: &Alert,
    selection: &Selection,
    shard: &Shard,
) -> anyhow::Result<()> {
    let missed = match shard.due_at {
        // Those of a wave were told nothing at all: they slept until it was old news.
        Some(_) => 0,
        None => selection.count(&work.app, shard).await?,
    };
    let ledger = Ledger { failed: missed, ..Ledger::default() };
    write_down(work, alert, shard, (shard.last_id, BTreeSet::new()), ledger).await?;
    Ok(())
}

/// Writes a page down. False when the fence no longer holds: then another worker does it.
async fn write_down(
    work: &Work,
    alert: &Alert,
    shard: &Shard,
    (end, waves): (i64, BTreeSet<Timestamp>),
    ledger: Ledger,
) -> Result<bool, sea_orm::DbErr> {
    let app = &work.app;
    let change = app.begin().await?;
    let tx = change.transaction();
    let term = (app.now(), work.leases.term().1);
    if !storage::alert_shard::advance(tx, shard, end, term).await? {
        tracing::warn!(alert = %alert.id, shard = shard.number, "another worker took this shard over");
        return Ok(false);
    }
    settle(app, &change, alert, ledger).await?;
    for due_at in waves {
        storage::alert_shard::insert_wave(tx, shard, due_at).await?;
    }
    if end >= shard.last_id {
        storage::alert::finish_if_done(tx, alert.id, app.now()).await?;
    }
    change.commit().await?;
    Ok(true)
}

/// Claims a shard that nobody holds, of a push service that has a lane free.
pub(super) async fn claim(work: &Work) -> Result<Option<Shard>, sea_orm::DbErr> {
    let change = work.app.begin().await?;
    let (now, term) = (work.app.now(), work.leases.term());
    let closed = work.traffic.closed(now);
    let shard = storage::alert_shard::claim(change.transaction(), now, term, &closed).await?;
    change.commit().await?;
    Ok(shard)
}
