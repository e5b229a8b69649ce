//! Delivers a shard of an alert, page by page.
//!
//! A page is read, sent, and then written down in one transaction: the cursor moves behind it, the
//! exceptions become rows, the counters grow. Killed before that, the page is sent again by whoever
//! takes the shard over: at least once, and one page twice at most. `Topic` and `tag` make the
//! second message replace the first on the reader's screen.

use std::collections::BTreeSet;

use anyhow::Context;

use super::Work;
use super::lease::Held;
use super::select::Selection;
use super::send::{Messages, Sent, send_all};
use super::settle::{Ledger, Tried, settle};
use crate::domain::alert::Alert;
use crate::domain::clock::Timestamp;
use crate::storage;
use crate::storage::alert_retry::Retry;
use crate::storage::alert_shard::Shard;

/// Subscriptions of a page.
const PAGE: u64 = 500;

/// Delivers a claimed shard to its end, or until the shutdown, or until somebody else has it.
pub(super) async fn run(work: &Work, mut shard: Shard) -> anyhow::Result<()> {
    let app = &work.app;
    let alert = storage::alert::by_id(app.db.connection(), shard.alert_id).await?;
    let alert = alert.context("a shard without its alert")?;
    let selection = Selection::of(app, &alert).await?;
    let messages = Messages::of(app, &alert).await?;
    while shard.cursor < shard.last_id {
        if work.shutdown.is_cancelled() {
            storage::alert_shard::release(app.db.connection(), &shard).await?;
            return Ok(());
        }
        if !storage::alert::is_sending(app.db.connection(), alert.id).await? {
            return Ok(());
        }
        if app.now() >= alert.expires_at {
            return expire(work, &alert, &selection, &shard).await;
        }
        let page = selection.page(app, &shard, PAGE).await?;
        let held = Held::Shard(shard);
        let Some(sent) = send_all(work, &messages, page.now, held).await? else { return Ok(()) };
        let ledger = Ledger {
            suppressed: page.suppressed,
            failed: page.unreadable,
            ..ledger(sent, page.waiting, app.now())
        };
        if !write_down(work, &alert, &shard, (page.end, &page.waves), ledger).await? {
            return Ok(());
        }
        shard.cursor = page.end;
    }
    Ok(())
}

fn ledger(sent: Sent, mut waiting: Vec<(Retry, Timestamp)>, now: Timestamp) -> Ledger {
    let tried = sent.outcomes.into_iter().map(|(recipient, outcome)| Tried {
        recipient,
        outcome,
        attempts: 1,
    });
    let untried = sent.unsent.iter().map(|recipient| (Retry::untried(recipient.id), now));
    waiting.extend(untried);
    Ledger { tried: tried.collect(), waiting, ..Ledger::default() }
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
    write_down(work, alert, shard, (shard.last_id, &BTreeSet::new()), ledger).await?;
    Ok(())
}

/// Writes a page down. False when the fence no longer holds: then another worker does it.
async fn write_down(
    work: &Work,
    alert: &Alert,
    shard: &Shard,
    (end, waves): (i64, &BTreeSet<Timestamp>),
    ledger: Ledger,
) -> Result<bool, sea_orm::DbErr> {
    let app = &work.app;
    let change = app.begin().await?;
    let tx = change.transaction();
    if !storage::alert_shard::advance(tx, shard, end, app.now()).await? {
        tracing::warn!(alert = %alert.id, shard = shard.number, "another worker took this shard over");
        return Ok(false);
    }
    storage::alert_shard::extend_lease(tx, shard, work.leases.term().1).await?;
    settle(app, &change, alert, ledger).await?;
    for due_at in waves {
        storage::alert_shard::insert_wave(tx, shard, *due_at).await?;
    }
    if end >= shard.last_id {
        storage::alert::finish_if_done(tx, alert.id, app.now()).await?;
    }
    change.commit().await?;
    Ok(true)
}

/// Claims a shard that nobody holds.
pub(super) async fn claim(work: &Work) -> Result<Option<Shard>, sea_orm::DbErr> {
    let change = work.app.begin().await?;
    let (now, term) = (work.app.now(), work.leases.term());
    let shard = storage::alert_shard::claim(change.transaction(), now, term).await?;
    change.commit().await?;
    Ok(shard)
}
