//! Tries again what could not be delivered, until the alert stops being news.

use std::collections::{HashMap, HashSet};

use anyhow::Context;

use super::Work;
use super::lease::Held;
use super::prepare_keys::Stock;
use super::select::Selection;
use super::send::{Messages, letters, send_all};
use super::settle::{Ledger, Tried, settle};
use crate::app::App;
use crate::domain::alert::Alert;
use crate::push::{Outcome, Resting};
use crate::storage;
use crate::storage::alert_retry::{Batch, Retry};

/// Messages tried again at once.
const BATCH: u64 = 200;

/// Tries a claimed batch. Says so when its push service is to be left alone.
pub(super) async fn run(work: &Work, batch: Batch) -> anyhow::Result<Option<Resting>> {
    let app = &work.app;
    let alert = storage::alert::by_id(app.db.connection(), batch.alert_id).await?;
    let alert = alert.context("a retry without its alert")?;
    let before: HashMap<i64, Retry> =
        batch.retries.iter().map(|retry| (retry.push_subscription_id, *retry)).collect();
    let ids: Vec<i64> = before.keys().copied().collect();
    let page = storage::audience::by_ids(app.db.connection(), &app.vault, &ids).await?;
    let mut ledger = Ledger { failed: i64::try_from(page.unreadable.len())?, ..Ledger::default() };
    let expired = app.now() >= alert.expires_at;
    let selection = Selection::of(app, &alert).await?;
    let mut now = Vec::new();
    for (recipient, reader) in page.candidates {
        match selection.held_until(&reader, app.now()) {
            _ if expired => ledger.tried.push(Tried {
                attempts: before.get(&recipient.id).map_or(0, |retry| retry.attempts),
                recipient,
                outcome: Outcome::Failed(None),
            }),
            None => now.push(recipient),
            Some(until) if until < alert.expires_at => {
                let waits = before.get(&recipient.id).copied();
                ledger.waiting.push((waits.unwrap_or(Retry::untried(&recipient)), until));
            }
            Some(_) => ledger.suppressed += 1,
        }
    }
    let messages = Messages::of(app, &alert).await?;
    let held = Held::Retries(batch.clone());
    let letters = letters(work, now, &mut Stock::default());
    let Some(sent) = send_all(work, &messages, letters, held).await? else { return Ok(None) };
    ledger.tried.extend(sent.tried.into_iter().map(|(recipient, outcome)| Tried {
        attempts: before.get(&recipient.id).map_or(1, |retry| retry.attempts + 1),
        recipient,
        outcome,
    }));
    let untried = sent.untried.iter().filter_map(|recipient| before.get(&recipient.id));
    let due_at = sent.resting.map_or(app.now(), |resting| resting.until);
    ledger.waiting.extend(untried.map(|retry| (*retry, due_at)));
    write_down(app, &alert, &batch, ledger).await?;
    Ok(sent.resting)
}

/// Claims a batch that is due, of a push service that has a lane free.
pub(super) async fn claim(work: &Work) -> Result<Option<Batch>, sea_orm::DbErr> {
    let app = &work.app;
    let change = app.begin().await?;
    let (term, claim) = (work.leases.term(), app.clock.new_claim());
    let bounds = (BATCH, &*work.traffic.closed(app.now()));
    let batch = storage::alert_retry::claim(change.transaction(), term, claim, bounds).await?;
    change.commit().await?;
    Ok(batch)
}

/// Writes a batch down: those parts of it that nobody else has taken over meanwhile.
async fn write_down(
    app: &App,
    alert: &Alert,
    batch: &Batch,
    mut ledger: Ledger,
) -> Result<(), sea_orm::DbErr> {
    let change = app.begin().await?;
    let tx = change.transaction();
    let mine: HashSet<i64> = storage::alert_retry::take(tx, batch).await?;
    ledger.tried.retain(|one| mine.contains(&one.recipient.id));
    ledger.waiting.retain(|(retry, _)| mine.contains(&retry.push_subscription_id));
    settle(app, &change, alert, ledger).await?;
    storage::alert::finish_if_done(tx, alert.id, app.now()).await?;
    change.commit().await
}
