//! Delivers a shard of an alert, page by page.
//!
//! A page is read, sent, and then written down in one transaction: the cursor moves behind it, the
//! exceptions become rows, the counters grow. Killed before that, the page is sent again by whoever
//! takes the shard over: at least once, and one page twice at most. `Topic` and `tag` make the
//! second message replace the first on the reader's screen. Stopped for longer than its lease, a worker
//! begins no message and writes nothing down when it goes on.

use std::collections::{BTreeSet, HashSet};

use anyhow::Context;

use super::Work;
use super::lease::Held;
use super::prepare_keys::Stock;
use super::select::{Selected, Selection};
use super::send::{Messages, letters, send_all};
use super::settle::{Ledger, Tried, settle};
use crate::domain::alert::{Alert, AlertState};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;
use crate::push::{Letter, Resting, Sent};
use crate::storage;
use crate::storage::alert_retry::Retry;
use crate::storage::alert_shard::Shard;

/// Subscriptions of a page.
const PAGE: u64 = 500;

/// Delivers a claimed shard to its end, or until the shutdown, or until somebody else has it or needs
/// the worker more, or until its push service is to be left alone.
pub(super) async fn run(work: &Work, mut shard: Shard) -> anyhow::Result<Option<Resting>> {
    let app = &work.app;
    let alert = storage::alert::by_id(app.db.connection(), shard.alert_id).await?;
    let alert = alert.context("a shard without its alert")?;
    if (alert.state, alert.round) != (AlertState::Sending, shard.round) {
        // Called back, or corrected: there is nothing left to do.
        let end = (shard.last_id, BTreeSet::new());
        write_down(work, &alert, &shard, end, Ledger::default()).await?;
        return Ok(None);
    }
    let selection = Selection::of(app, &alert).await?;
    let messages = Messages::of(app, &alert, shard.due_at).await?;
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
        if app.now() >= alert.expires_at {
            expire(work, &alert, &selection, &shard).await?;
            return Ok(None);
        }
        let now = letters(work, std::mem::take(&mut page.now), &mut stock);
        let behind = Shard { cursor: page.end, ..shard };
        let (sent, ahead) = tokio::join!(
            send_page(work, (&alert, &messages, &selection), now, shard),
            read_ahead(work, &selection, &behind),
        );
        let sent = sent?;
        let resting = sent.resting;
        let written = (page.end, std::mem::take(&mut page.waves));
        let ledger = ledger(sent, page, app.now());
        let Some(leased_until) = write_down(work, &alert, &shard, written, ledger).await? else {
            return Ok(None);
        };
        let Some(next) = ahead? else { return Ok(resting) };
        (shard, page) = (Shard { leased_until, ..behind }, next);
        if resting.is_some() || is_outranked(work, &shard).await? {
            storage::alert_shard::release(app.db.connection(), &shard).await?;
            return Ok(resting);
        }
    }
}

/// Sends a page. Those who have not got their turn in time, though their service takes messages, are
/// waited for as long as it takes a tenth of them each time: a row for each would cost more.
async fn send_page(
    work: &Work,
    (alert, messages, selection): (&Alert, &Messages, &Selection),
    letters: Vec<Letter>,
    mut shard: Shard,
) -> anyhow::Result<Sent> {
    let mut all = Sent::default();
    let mut left = letters;
    loop {
        let sent = send_all(work, messages, left, Held::Shard(shard)).await?;
        let (late, resting): (Vec<_>, Vec<_>) =
            sent.untried.into_iter().partition(|(_, resting)| resting.is_none());
        let moves = sent.tried.len() * 10 >= late.len();
        all.tried.extend(sent.tried);
        all.untried.extend(resting);
        all.resting = sent.resting;
        if late.is_empty() || !moves || !may_go_on(work, alert, &mut shard).await? {
            all.untried.extend(late);
            return Ok(all);
        }
        // As they are now: somebody may have opted out, or gone to sleep.
        let ids: Vec<i64> = late.iter().map(|(to, _)| to.id).collect();
        let page =
            storage::audience::by_ids(work.app.db.connection(), &work.app.vault, &ids).await?;
        let awake = page.candidates.into_iter().filter(|(to, reader)| {
            messages.reach(to.edition_id) && selection.held_until(reader, work.app.now()).is_none()
        });
        let awake: Vec<Recipient> = awake.map(|(to, _)| to).collect();
        let still: HashSet<i64> = awake.iter().map(|to| to.id).collect();
        all.untried.extend(late.into_iter().filter(|(to, _)| !still.contains(&to.id)));
        left = self::letters(work, awake, &mut Stock::default());
    }
}

/// Whether a page may be gone on with: it is news, the shard is this worker's, and nobody needs its lane
/// more. Keeps the shard for longer.
async fn may_go_on(work: &Work, alert: &Alert, shard: &mut Shard) -> Result<bool, sea_orm::DbErr> {
    let connection = work.app.db.connection();
    let is_news = !work.shutdown.is_cancelled() && work.app.now() < alert.expires_at;
    if !is_news || !storage::alert_round::is_sending(connection, alert.id, shard.round).await? {
        return Ok(false);
    }
    if is_outranked(work, shard).await? {
        return Ok(false);
    }
    shard.leased_until = work.leases.term().1;
    Held::Shard(*shard).extend(&work.leases).await
}

/// Whether more urgent news waits for the same push service.
async fn is_outranked(work: &Work, shard: &Shard) -> Result<bool, sea_orm::DbErr> {
    let now = (work.app.now(), work.leases.term().0);
    storage::alert_shard::is_outranked(work.app.db.connection(), shard, now).await
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
    // Whoever was turned away is tried again when the origin is; and others need not wait for it.
    let untried = sent.untried.iter().map(|(recipient, resting)| {
        (Retry::untried(recipient), resting.map_or(now, |resting| resting.until))
    });
    Ledger {
        tried: tried.collect(),
        waiting: page.waiting.into_iter().chain(untried).collect(),
        suppressed: page.suppressed,
        unreadable: page.unreadable,
        missed: 0,
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
    let ledger = Ledger { missed, ..Ledger::default() };
    write_down(work, alert, shard, (shard.last_id, BTreeSet::new()), ledger).await?;
    Ok(())
}

/// Writes a page down, and answers until when the shard is held. `None` when the delivery is over: the
/// fence no longer holds, and another worker does it; or the alert was called back or corrected.
async fn write_down(
    work: &Work,
    alert: &Alert,
    shard: &Shard,
    (end, waves): (i64, BTreeSet<Timestamp>),
    ledger: Ledger,
) -> Result<Option<Timestamp>, sea_orm::DbErr> {
    let app = &work.app;
    let change = app.begin().await?;
    let tx = change.transaction();
    let now = storage::alert_round::lock_round(tx, alert.id).await?;
    let late = now != Some((AlertState::Sending, shard.round));
    let end = if late { shard.last_id } else { end };
    let (_, until) = work.leases.term();
    if !storage::alert_shard::advance(tx, shard, end, (app.now(), until)).await? {
        tracing::warn!(alert = %alert.id, shard = shard.number, "another worker took this shard over");
        return Ok(None);
    }
    settle(app, &change, (alert, late), ledger).await?;
    if !late {
        for due_at in waves {
            storage::alert_shard::insert_wave(tx, shard, due_at).await?;
        }
    }
    if end >= shard.last_id {
        storage::alert_round::finish_if_done(tx, alert.id, app.now()).await?;
    }
    change.commit().await?;
    Ok((!late).then_some(until))
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
