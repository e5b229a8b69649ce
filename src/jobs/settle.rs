//! Writes down what became of messages: who is gone goes, who may still be reached is tried again
//! later, and the rest is counted.

use std::collections::HashMap;
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::{ConnectionTrait, DbErr};

use crate::app::App;
use crate::domain::alert::{Alert, Counts};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;
use crate::push::Outcome;
use crate::storage::alert_retry::Retry;
use crate::storage::{self, Change};

/// The first wait before a message is tried again; it doubles with each try.
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(5);
/// No wait is longer, before jitter makes it up to twice as long.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(30);
/// For how many milliseconds a database that fails is left alone before it is tried again; shorter than a
/// lease in all.
const WRITE_AGAIN: [u64; 4] = [50, 500, 2_000, 5_000];

/// A message that was tried.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    /// To whom.
    pub recipient: Recipient,
    /// What became of it.
    pub outcome: Outcome,
    /// How often, this time included.
    pub attempts: i32,
}

impl Tried {
    /// A message that was tried for the first time.
    pub(super) fn first((recipient, outcome): (Recipient, Outcome)) -> Self {
        Self { recipient, outcome, attempts: 1 }
    }
}

/// What is to be written down of a page or of a batch.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// Messages that were tried.
    pub tried: Vec<Tried>,
    /// Those that wait: until the reader's quiet hours end, or for the next worker.
    pub waiting: Vec<(Retry, Timestamp)>,
    /// How many were not sent because the reader did not want them.
    pub suppressed: i64,
    /// Those who are given up: their row cannot be read, or it is no news any more.
    pub given_up: Vec<Retry>,
}

/// Writes down what was sent, and again if the database fails at it for a moment: what is not written
/// down is sent once more by somebody else.
pub(super) async fn insist<T, F>(write: impl Fn() -> F) -> Result<T, DbErr>
where
    F: Future<Output = Result<T, DbErr>>,
{
    for wait in WRITE_AGAIN {
        match write().await {
            Err(error) => {
                tracing::warn!(%error, "what was sent cannot be written down; trying again");
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            done => return done,
        }
    }
    write().await
}

/// Writes a ledger of one alert into the change, in a fixed number of statements. Of a `late` one, whose
/// round was called back or corrected meanwhile, nobody is tried again.
pub(super) async fn settle(
    app: &App,
    change: &Change,
    (alert, late): (&Alert, bool),
    ledger: &Ledger,
) -> Result<(), DbErr> {
    let tx = change.transaction();
    let counts_still =
        |one: &&Tried| !late || matches!(one.outcome, Outcome::Accepted | Outcome::Gone);
    let tried = || ledger.tried.iter().filter(counts_still);
    let nothing = Ledger::default();
    let rest = if late { &nothing } else { ledger };
    // Readers may have opted out, or brought new keys, while their messages were on the way.
    let excepted = tried().filter(|one| one.outcome != Outcome::Accepted);
    let others = rest.waiting.iter().map(|(retry, _)| retry).chain(&rest.given_up);
    let others = others.map(|retry| retry.push_subscription_id);
    let exceptions = excepted.map(|one| one.recipient.id).chain(others).collect();
    let living = lock(tx, exceptions, ledger).await?;
    let lives = |retry: &Retry| living.contains_key(&retry.push_subscription_id);
    let mut counts = Counts { suppressed: rest.suppressed, ..Counts::default() };
    let mut gone = Vec::new();
    let mut given_up: Vec<Retry> = rest.given_up.iter().copied().filter(lives).collect();
    counts.failed += i64::try_from(given_up.len()).unwrap_or(i64::MAX);
    let waiting = rest.waiting.iter().copied();
    let mut again: Vec<(Retry, Timestamp)> = waiting.filter(|(retry, _)| lives(retry)).collect();
    for one in tried() {
        let generation = living.get(&one.recipient.id).copied();
        match one.outcome {
            Outcome::Accepted => counts.accepted += 1,
            Outcome::Gone if generation == Some(one.recipient.generation) => {
                counts.gone += 1;
                gone.push(one.recipient.id);
            }
            _ if generation.is_none() => counts.gone += 1,
            Outcome::Gone if late => {}
            // What is gone is an older generation; the browser has new keys by now.
            outcome => match due_at(app, alert, one).filter(|_| outcome.may_change()) {
                Some(due_at) => again.push((retry(one), due_at)),
                None => {
                    counts.failed += 1;
                    given_up.push(retry(one));
                }
            },
        }
    }
    storage::claim::delete_gone(tx, &gone).await?;
    storage::alert_retry::insert_all(tx, alert.id, again).await?;
    storage::alert_dead_letter::bury(tx, alert.id, given_up, app.now()).await?;
    storage::alert_round::count(tx, alert.id, (counts, late)).await
}

/// Locks subscriptions, and what is deleted with those of a ledger that are gone, in order; answers the living
/// with their generations.
pub(super) async fn lock(
    connection: &impl ConnectionTrait,
    mut ids: Vec<i64>,
    ledger: &Ledger,
) -> Result<HashMap<i64, i64>, DbErr> {
    let gone = ledger.tried.iter().filter(|one| one.outcome == Outcome::Gone);
    let gone: Vec<i64> = gone.map(|one| one.recipient.id).collect();
    ids.extend(storage::claim::with_rivals(connection, &gone).await?);
    ids.sort_unstable();
    ids.dedup();
    storage::push_subscription::lock(connection, &ids).await
}

fn retry(one: &Tried) -> Retry {
    let (attempts, last_status) = (one.attempts, one.outcome.status());
    Retry { attempts, last_status, ..Retry::tried(&one.recipient) }
}

/// When the message is tried next; `None` when it is no news any more by then.
fn due_at(app: &App, alert: &Alert, one: &Tried) -> Option<Timestamp> {
    let doublings = u32::try_from(one.attempts - 1).unwrap_or_default().min(16);
    let wait = app.clock.jitter((FIRST_WAIT * 2_i32.pow(doublings)).min(LONGEST_WAIT));
    let asked = match one.outcome {
        // Not before the service said, and not all at the instant that it said.
        Outcome::Wait { after: Some(after), .. } => {
            TimeDelta::from_std(after).ok()? + app.clock.jitter(FIRST_WAIT)
        }
        _ => TimeDelta::zero(),
    };
    let due_at = app.now().checked_add_signed(wait.max(asked))?;
    (due_at < alert.expires_at).then_some(due_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_database_that_fails_for_a_moment_repeats_nothing() {
        let tries = &AtomicUsize::new(0);
        let write = || async move {
            match tries.fetch_add(1, Ordering::Relaxed) < 2 {
                true => Err(DbErr::Custom("gone".to_owned())),
                false => Ok(()),
            }
        };
        insist(write).await.unwrap();
        assert_eq!(tries.load(Ordering::Relaxed), 3);
    }
}
