//! Tries again what could not be delivered, until the alert stops being news.

use std::collections::{HashMap, HashSet};

use anyhow::Context;

use super::Work;
use super::lease::Held;
use super::prepare_keys::Stock;
use super::select::Selection;
use super::send::{Messages, letters, send_all};
use super::settle::{Ledger, Tried, insist, lock, settle};
use crate::app::App;
use crate::domain::alert::{Alert, AlertState};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;
use crate::push::{Outcome, Resting, Sent};
use crate::storage;
use crate::storage::alert_retry::{Batch, Retry};

/// Messages tried again at once.
const BATCH: u64 = 200;

/// Tries a claimed batch. Says so when its push service is to be left alone.
pub(super) async fn run(work: &Work, batch: Batch) -> anyhow::Result<Option<Resting>> {
    let app = &work.app;
    let alert = storage::alert::by_id(app.db.connection(), batch.alert_id).await?;
    let alert = alert.context("a retry without its alert")?;
    if alert.state != AlertState::Sending {
        // Called back, or corrected: a further round reaches them.
        let nothing = Ledger::default();
        let writing = write_down(app, &alert, &batch, (&nothing, &[]));
        Held::Retries(batch.clone()).during(work, writing).await?;
        return Ok(None);
    }
    if Held::Retries(batch.clone()).extend(&work.leases).await?.is_none() {
        // Called back or corrected before the alert was read; or somebody has them locked, and they are due
        // again once the lease ends.
        return Ok(None);
    }
    let before: HashMap<i64, Retry> =
        batch.retries.iter().map(|retry| (retry.push_subscription_id, *retry)).collect();
    let ids: Vec<i64> = before.keys().copied().collect();
    let selection = Selection::of(app, &alert).await?;
    let page = storage::audience::by_ids(app.db.connection(), &app.vault, &ids).await?;
    if !selection.is_current(app).await? {
        // Due again once the lease ends, when what decides has come to rest.
        return Ok(None);
    }
    let of = |id| Retry::unsent(id, batch.service_id);
    let given_up = page.unreadable.into_iter().map(of).collect();
    let mut ledger = Ledger { given_up, ..Ledger::default() };
    let expired = app.now() >= alert.expires_at;
    let (mut now, mut declined) = (Vec::new(), Vec::new());
    for (recipient, reader) in page.candidates {
        match selection.held_until(&reader, app.now()) {
            // They have chosen otherwise by now: another edition perhaps, for which it has no words.
            _ if !selection.concerns(&reader) => declined.push(recipient.id),
            _ if expired => {
                let retry = before.get(&recipient.id);
                ledger.tried.push(Tried {
                    attempts: retry.map_or(0, |retry| retry.attempts),
                    outcome: Outcome::Failed(retry.and_then(|retry| retry.last_status)),
                    recipient,
                });
            }
            None => now.push(recipient),
            Some(until) if until < alert.expires_at => {
                let waits = before.get(&recipient.id).copied();
                ledger.waiting.push((waits.unwrap_or(Retry::untried(&recipient)), until));
            }
            Some(_) => declined.push(recipient.id),
        }
    }
    let messages = Messages::of(app, &alert, None).await?;
    let held = Held::Retries(batch.clone());
    let letters = letters(work, now, &mut Stock::default());
    let sent = send_all(work, &messages, letters, held).await?;
    let resting = sent.resting;
    enter(&mut ledger, sent, &before, app.now());
    let writing = insist(|| write_down(app, &alert, &batch, (&ledger, &declined)));
    Held::Retries(batch.clone()).during(work, writing).await?;
    Ok(resting)
}

/// Enters what was sent, after what was known before.
fn enter(ledger: &mut Ledger, sent: Sent, before: &HashMap<i64, Retry>, now: Timestamp) {
    ledger.tried.extend(sent.tried.into_iter().map(|(recipient, outcome)| Tried {
        attempts: before.get(&recipient.id).map_or(1, |retry| retry.attempts + 1),
        recipient,
        outcome,
    }));
    let waits = |(recipient, resting): (Recipient, Option<Resting>)| {
        let due_at = resting.map_or(now, |resting| resting.until);
        before.get(&recipient.id).map(|retry| (*retry, due_at))
    };
    ledger.waiting.extend(sent.untried.into_iter().filter_map(waits));
}

/// Claims a batch that is due, of a push service that has a lane free.
pub(super) async fn claim(work: &Work) -> Result<Option<Batch>, sea_orm::DbErr> {
    let app = &work.app;
    let change = app.begin().await?;
    let (term, claim) = (work.leases.term(), app.clock.new_claim());
    let bounds = (BATCH, &*work.traffic.closed_to_retries(app.now()));
    let batch = storage::alert_retry::claim(change.transaction(), term, claim, bounds).await?;
    change.commit().await?;
    Ok(batch)
}

/// Writes a batch down: those parts of it that nobody else has taken over meanwhile. `declined` are those who
/// do not want it any more.
async fn write_down(
    app: &App,
    alert: &Alert,
    batch: &Batch,
    (ledger, declined): (&Ledger, &[i64]),
) -> Result<(), sea_orm::DbErr> {
    let mut ledger = ledger.clone();
    let change = app.begin().await?;
    let tx = change.transaction();
    let Some((state, round)) = storage::alert_round::lock_round(tx, alert.id).await? else {
        return Ok(());
    };
    let ids = batch.retries.iter().map(|retry| retry.push_subscription_id).collect();
    let living = lock(tx, ids, &ledger).await?;
    let mine: HashSet<i64> = storage::alert_retry::take(tx, batch).await?;
    let late = (state, round) != (AlertState::Sending, alert.round);
    if round > alert.round && matches!(state, AlertState::Sending | AlertState::Done) {
        // They were told the old words when others had the new ones already, and they perhaps too.
        let perhaps =
            |one: &&Tried| matches!(one.outcome, Outcome::Accepted | Outcome::Failed(None));
        let told = ledger.tried.iter().filter(perhaps);
        let told = told.filter(|one| living.contains_key(&one.recipient.id));
        let again: Vec<_> = told.map(|one| (Retry::untried(&one.recipient), app.now())).collect();
        if !again.is_empty() {
            storage::alert_retry::insert_all(tx, alert.id, again).await?;
            storage::alert_round::go_on(tx, alert.id).await?;
        }
    }
    if !late {
        ledger.tried.retain(|one| mine.contains(&one.recipient.id));
        ledger.waiting.retain(|(retry, _)| mine.contains(&retry.push_subscription_id));
        let declined = declined.iter().filter(|id| mine.contains(id)).count();
        ledger.suppressed = i64::try_from(declined).unwrap_or(i64::MAX);
        ledger.given_up.retain(|retry| mine.contains(&retry.push_subscription_id));
    }
    settle(app, &change, (alert, late), &ledger).await?;
    storage::alert_round::finish_if_done(tx, alert.id, app.now()).await?;
    change.commit().await
}
