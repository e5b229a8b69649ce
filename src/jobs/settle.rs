//! Writes down what became of messages: who is gone goes, who may still be reached is tried again
//! later, and the rest is counted.

use chrono::TimeDelta;
use sea_orm::DbErr;

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

/// A message that was tried.
#[derive(Debug)]
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
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Messages that were tried.
    pub tried: Vec<Tried>,
    /// Those that wait: until the reader's quiet hours end, or for the next worker.
    pub waiting: Vec<(Retry, Timestamp)>,
    /// How many were not sent because the reader did not want them.
    pub suppressed: i64,
    /// Those whose row cannot be read.
    pub unreadable: Vec<Retry>,
    /// How many were not even tried: it is no news any more.
    pub missed: i64,
}

/// Writes a ledger of one alert into the change, in a fixed number of statements. Of a `late` one, whose
/// round was called back or corrected meanwhile, nobody is tried again.
pub(super) async fn settle(
    app: &App,
    change: &Change,
    (alert, late): (&Alert, bool),
    mut ledger: Ledger,
) -> Result<(), DbErr> {
    let tx = change.transaction();
    if late {
        ledger.tried.retain(|one| matches!(one.outcome, Outcome::Accepted | Outcome::Gone));
        ledger = Ledger { tried: ledger.tried, ..Ledger::default() };
    }
    // Readers may have opted out, or brought new keys, while their messages were on the way.
    let excepted = ledger.tried.iter().filter(|one| one.outcome != Outcome::Accepted);
    let others = ledger.waiting.iter().map(|(retry, _)| retry).chain(&ledger.unreadable);
    let others = others.map(|retry| retry.push_subscription_id);
    let mut exceptions: Vec<i64> = excepted.map(|one| one.recipient.id).chain(others).collect();
    exceptions.sort_unstable();
    let living = storage::push_subscription::lock(tx, &exceptions).await?;
    let mut counts =
        Counts { suppressed: ledger.suppressed, failed: ledger.missed, ..Counts::default() };
    let (mut gone, mut given_up) = (Vec::new(), ledger.unreadable);
    given_up.retain(|retry| living.contains_key(&retry.push_subscription_id));
    counts.failed += i64::try_from(given_up.len()).unwrap_or(i64::MAX);
    let mut again: Vec<(Retry, Timestamp)> = Vec::new();
    again.extend(
        ledger
            .waiting
            .into_iter()
            .filter(|(retry, _)| living.contains_key(&retry.push_subscription_id)),
    );
    for one in &ledger.tried {
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
    storage::push_subscription::delete(tx, &gone).await?;
    storage::alert_retry::insert_all(tx, alert.id, again).await?;
    storage::alert_retry::bury(tx, alert.id, given_up, app.now()).await?;
    storage::alert_round::count(tx, alert.id, (counts, late)).await
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
