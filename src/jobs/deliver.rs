//! Delivers a shard of an alert, page by page.
//!
//! A page is read, sent, and then written down in one transaction: the cursor moves behind it, the
//! exceptions become rows, the counters grow. Killed before that, the page is sent again by whoever
//! takes the shard over: at least once, and one page twice at most. `Topic` and `tag` make the
//! second message replace the first on the reader's screen. Stopped for longer than its lease, a worker
//! begins no message and writes nothing down when it goes on.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use anyhow::Context;
use chrono::TimeDelta;

use super::Work;
use super::lease::Held;
use super::prepare_keys::Stock;
use super::select::{Selected, Selection};
use super::send::{Messages, letters, send_all};
use super::settle::{Ledger, Tried, insist, settle};
use crate::domain::alert::{Alert, AlertState, Counts};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;
use crate::push::{Letter, Resting, Sent};
use crate::storage;
use crate::storage::alert_retry::Retry;
use crate::storage::alert_shard::Shard;

/// Subscriptions of a page.
const PAGE: u64 = 500;
/// For how long a page that was read ahead is good: somebody in it may opt out, or go to sleep.
const FRESH: TimeDelta = TimeDelta::seconds(10);

/// Delivers a claimed shard to its end, or until the shutdown, or until somebody else has it or needs
/// the worker more, or until its push service is to be left alone.
pub(super) async fn run(work: &Work, mut shard: Shard) -> anyhow::Result<Option<Resting>> {
    let app = &work.app;
    let alert = storage::alert::by_id(app.db.connection(), shard.alert_id).await?;
    let alert = alert.context("a shard without its alert")?;
    if (alert.state, alert.round) != (AlertState::Sending, shard.round) {
        // Called back, or corrected: there is nothing left to do.
        let (nothing, no_waves) = (Ledger::default(), BTreeSet::new());
        let writing = write_down(work, &alert, &shard, (shard.last_id, &no_waves), &nothing);
        keep(work, &shard, writing).await?;
        return Ok(None);
    }
    let selection = Arc::new(Selection::of(app, &alert).await?);
    let messages = Messages::of(app, &alert, shard.due_at).await?;
    // Whatever goes wrong there, news goes out; and what may have been taken is not used.
    let mut stock = Stock::of(work, &alert, &shard).await.unwrap_or_else(|error| {
        tracing::warn!(error = format!("{error:#}"), "prepared keys cannot be taken");
        Stock::default()
    });
    let (mut selection, mut page) = read(work, &selection, &shard).await?;
    loop {
        if work.shutdown.is_cancelled() {
            storage::alert_shard::release(app.db.connection(), &shard).await?;
            return Ok(None);
        }
        if app.now() >= alert.expires_at {
            expire(work, &alert, selection, shard).await?;
            return Ok(None);
        }
        let now = letters(work, std::mem::take(&mut page.now), &mut stock);
        let behind = Shard { cursor: page.end, ..shard };
        let (done, ahead) = tokio::join!(
            deal_with(work, (&alert, &messages, &selection), (page, now), shard),
            read_ahead(work, &selection, &behind),
        );
        let Some((leased_until, resting)) = done? else { return Ok(None) };
        let Some(next) = ahead? else { return Ok(resting) };
        shard = Shard { leased_until, ..behind };
        (selection, page) = next;
        if resting.is_some() || is_outranked(work, &shard).await? {
            storage::alert_shard::release(app.db.connection(), &shard).await?;
            return Ok(resting);
        }
        if app.now() - page.read_at > FRESH {
            (selection, page) = read(work, &selection, &shard).await?;
        }
    }
}

/// Sends a page, and writes it down. Says until when the shard is held, and the push service is left alone;
/// `None` when the delivery is over.
async fn deal_with(
    work: &Work,
    alert: (&Alert, &Messages, &Selection),
    (mut page, now): (Selected, Vec<Letter>),
    shard: Shard,
) -> anyhow::Result<Option<(Timestamp, Option<Resting>)>> {
    let sent = send_page(work, alert, now, shard).await?;
    let resting = sent.resting;
    let (end, waves) = (page.end, std::mem::take(&mut page.waves));
    let ledger = ledger(sent, page, work.app.now());
    let write = || write_down(work, alert.0, &shard, (end, &waves), &ledger);
    let leased_until = keep(work, &shard, insist(write)).await?;
    Ok(leased_until.map(|until| (until, resting)))
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
        let again = match late.is_empty() || !moves {
            true => None,
            // What was sent is to be written down, whatever the database fails at here.
            false => {
                again(work, (alert, selection), &late, &mut shard).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "a slow page cannot be gone on with");
                    None
                })
            }
        };
        let Some(awake) = again else {
            all.untried.extend(late);
            return Ok(all);
        };
        let still: HashSet<i64> = awake.iter().map(|to| to.id).collect();
        all.untried.extend(late.into_iter().filter(|(to, _)| !still.contains(&to.id)));
        left = self::letters(work, awake, &mut Stock::default());
    }
}

/// Those of a page to whom it still may be sent, as they are now: somebody may have opted out, or gone to
/// sleep. `None` when it may not be gone on with.
async fn again(
    work: &Work,
    (alert, selection): (&Alert, &Selection),
    late: &[(Recipient, Option<Resting>)],
    shard: &mut Shard,
) -> Result<Option<Vec<Recipient>>, sea_orm::DbErr> {
    if !may_go_on(work, alert, shard).await? {
        return Ok(None);
    }
    let ids: Vec<i64> = late.iter().map(|(to, _)| to.id).collect();
    let page = storage::audience::by_ids(work.app.db.connection(), &work.app.vault, &ids).await?;
    if !selection.is_current(&work.app).await? {
        return Ok(None);
    }
    let now = work.app.now();
    let awake = page.candidates.into_iter().filter(|(_, reader)| {
        selection.concerns(reader) && selection.held_until(reader, now).is_none()
    });
    Ok(Some(awake.map(|(to, _)| to).collect()))
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
    let held = Held::Shard(*shard).extend(&work.leases).await?;
    shard.leased_until = held.unwrap_or(shard.leased_until);
    Ok(held.is_some())
}

/// Keeps the shard while a page of it waits to be written down.
async fn keep<T>(work: &Work, shard: &Shard, writing: impl Future<Output = T>) -> T {
    Held::Shard(*shard).during(work, writing).await
}

/// Whether more urgent news waits for the same push service.
async fn is_outranked(work: &Work, shard: &Shard) -> Result<bool, sea_orm::DbErr> {
    let now = (work.app.now(), work.leases.term().0);
    storage::alert_shard::is_outranked(work.app.db.connection(), shard, now).await
}

/// The page behind the one that is being sent; `None` when there is none.
async fn read_ahead(
    work: &Work,
    selection: &Arc<Selection>,
    behind: &Shard,
) -> Result<Option<(Arc<Selection>, Selected)>, sea_orm::DbErr> {
    if behind.cursor >= behind.last_id {
        return Ok(None);
    }
    read(work, selection, behind).await.map(Some)
}

/// A page, and what has decided on it: something else than before if the alert's category was deleted, and
/// its readers have passed to another.
async fn read(
    work: &Work,
    selection: &Arc<Selection>,
    shard: &Shard,
) -> Result<(Arc<Selection>, Selected), sea_orm::DbErr> {
    let (app, mut selection) = (&work.app, Arc::clone(selection));
    loop {
        let page = selection.page(app, shard, PAGE).await?;
        if selection.is_current(app).await? {
            return Ok((selection, page));
        }
        let Some(alert) = storage::alert::by_id(app.db.connection(), shard.alert_id).await? else {
            return Ok((selection, page));
        };
        selection = Arc::new(Selection::of(app, &alert).await?);
    }
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
        given_up: page.unreadable,
    }
}

/// Ends a shard whose news has grown old: whoever it had left is not told any more, but by a replay.
async fn expire(
    work: &Work,
    alert: &Alert,
    mut selection: Arc<Selection>,
    mut shard: Shard,
) -> anyhow::Result<()> {
    if shard.due_at.is_none() {
        let missed = selection.count(&work.app, &shard).await?;
        keep(work, &shard, insist(|| give_up(work, alert, &shard, missed))).await?;
        return Ok(());
    }
    // Those of a wave are told apart by reading them. Whom the first pass did not come to is not its own.
    let last = storage::alert_wave::first_pass(work.app.db.connection(), &shard).await?;
    while shard.cursor < shard.last_id {
        let its_own = Shard { last_id: last.max(shard.cursor), ..shard };
        let (decides, page) = read(work, &selection, &its_own).await?;
        let end = if page.end >= last { shard.last_id } else { page.end };
        let ledger = Ledger {
            given_up: page.now.iter().map(Retry::untried).collect(),
            suppressed: page.suppressed + i64::try_from(page.waiting.len())?,
            ..Ledger::default()
        };
        let write = || write_down(work, alert, &shard, (end, &page.waves), &ledger);
        let Some(leased_until) = keep(work, &shard, insist(write)).await? else { return Ok(()) };
        (shard, selection) = (Shard { cursor: end, leased_until, ..shard }, decides);
    }
    Ok(())
}

/// Ends a shard where it stands: should the alert be replayed, it goes on from there.
async fn give_up(
    work: &Work,
    alert: &Alert,
    shard: &Shard,
    missed: i64,
) -> Result<(), sea_orm::DbErr> {
    let change = work.app.begin().await?;
    let tx = change.transaction();
    let now = storage::alert_round::lock_round(tx, alert.id).await?;
    let late = now != Some((AlertState::Sending, shard.round));
    let missed = if late { 0 } else { missed };
    if storage::alert_shard::miss(tx, shard, missed, work.app.now()).await? {
        let counts = Counts { failed: missed, ..Counts::default() };
        storage::alert_round::count(tx, alert.id, (counts, late)).await?;
        storage::alert_round::finish_if_done(tx, alert.id, work.app.now()).await?;
    }
    change.commit().await
}

/// Writes a page down, and answers until when the shard is held. `None` when the delivery is over: the
/// fence no longer holds, and another worker does it; or the alert was called back or corrected.
async fn write_down(
    work: &Work,
    alert: &Alert,
    shard: &Shard,
    (end, waves): (i64, &BTreeSet<Timestamp>),
    ledger: &Ledger,
) -> Result<Option<Timestamp>, sea_orm::DbErr> {
    let app = &work.app;
    let change = app.begin().await?;
    let tx = change.transaction();
    let now = storage::alert_round::lock_round(tx, alert.id).await?;
    let late = now != Some((AlertState::Sending, shard.round));
    let end = if late { shard.last_id } else { end };
    let (_, until) = work.leases.term();
    if !storage::alert_shard::advance(tx, shard, end, (app.now(), until)).await? {
        if storage::alert_shard::stands_at(tx, shard, end).await? {
            // The database did so before it failed to answer.
            return Ok((!late).then_some(until));
        }
        tracing::warn!(alert = %alert.id, shard = shard.number, "another worker took this shard over");
        return Ok(None);
    }
    settle(app, &change, (alert, late), ledger).await?;
    if !late {
        for due_at in waves {
            storage::alert_wave::insert(tx, shard, *due_at).await?;
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
