//! Writes down what became of messages: who is gone goes, who may still be reached is tried again
//! later, and the rest is counted.

use chrono::TimeDelta;
use sea_orm::DbErr;

use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;
use crate::push::Outcome;
use crate::storage::alert::{Counts, Retry};
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

/// Writes what became of messages of one alert into the change, in a fixed number of statements.
pub(super) async fn settle(
    app: &App,
    change: &Change,
    alert: &Alert,
    tried: &[Tried],
) -> Result<(), DbErr> {
    let tx = change.transaction();
    let ids = |keep: fn(&Tried) -> bool| -> Vec<i64> {
        tried.iter().filter(|one| keep(one)).map(|one| one.recipient.id).collect()
    };
    // Readers may have opted out, or brought new keys, while their messages were on the way.
    let exceptions = ids(|one| one.outcome != Outcome::Accepted);
    let living = storage::push_subscription::lock(tx, &exceptions).await?;
    let mut counts = Counts::default();
    let (mut gone, mut retries) = (Vec::new(), Vec::new());
    for one in tried {
        let generation = living.get(&one.recipient.id).copied();
        match one.outcome {
            Outcome::Accepted => counts.accepted += 1,
            Outcome::Gone if generation == Some(one.recipient.generation) => {
                counts.gone += 1;
                gone.push(one.recipient.id);
            }
            Outcome::Gone if generation.is_none() => counts.gone += 1,
            _ if generation.is_none() => {}
            // Shortened already and still too large: no later try would be shorter.
            Outcome::TooLarge => counts.failed += 1,
            _ => match due_at(app, alert, one) {
                Some(due_at) => retries.push((retry(alert, one), one.outcome.status(), due_at)),
                None => counts.failed += 1,
            },
        }
    }
    storage::push_subscription::delete(tx, &gone).await?;
    let again = ids(|one| one.attempts > 1);
    if !again.is_empty() {
        storage::alert::delete_retries(tx, alert.id, &again).await?;
    }
    storage::alert::insert_retries(tx, retries).await?;
    storage::alert::count(tx, alert.id, counts).await
}

fn retry(alert: &Alert, one: &Tried) -> Retry {
    Retry { alert_id: alert.id, push_subscription_id: one.recipient.id, attempts: one.attempts }
}

/// When the message is tried next; `None` when it is no news any more by then.
fn due_at(app: &App, alert: &Alert, one: &Tried) -> Option<Timestamp> {
    let doublings = u32::try_from(one.attempts - 1).unwrap_or_default().min(16);
    let wait = app.clock.jitter((FIRST_WAIT * 2_i32.pow(doublings)).min(LONGEST_WAIT));
    let asked = match one.outcome {
        Outcome::Wait(Some(after)) => TimeDelta::from_std(after).ok()?,
        _ => TimeDelta::zero(),
    };
    let due_at = app.now().checked_add_signed(wait.max(asked))?;
    (due_at < alert.expires_at).then_some(due_at)
}
