//! Delivers a shard of an alert, page by page.
//!
//! A page is read, sent, and then written down in one transaction: the cursor moves behind it, the
//! exceptions become rows, the counters grow. Killed before that, the page is sent again by whoever
//! takes the shard over: at least once, and one page twice at most. `Topic` and `tag` make the
//! second message replace the first on the reader's screen.

use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::alert::{Alert, MAX_PAYLOAD, SHORT_PAYLOAD, StoryLink};
use crate::domain::push_subscription::Recipient;
use crate::push::{Message, Outcome, Sender};
use crate::storage::alert::{Counts, Retry, Shard};
use crate::storage::article::Visibility;
use crate::storage::{self, Change};

/// How long a claimed shard belongs to its worker without a sign of life.
pub(super) const LEASE: TimeDelta = TimeDelta::seconds(30);
/// How often the lease is extended while a page is on its way.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Subscriptions of a page.
const PAGE: u64 = 500;
/// Messages under way at once for one shard; each push service has a bound of its own besides.
const AT_ONCE: usize = 256;
/// The first wait before a message is tried again; it doubles with each try.
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(5);
/// No wait is longer.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(30);

/// Delivers a claimed shard to its end, or until the shutdown, or until somebody else has it.
pub(super) async fn run(
    app: &App,
    sender: &Sender,
    mut shard: Shard,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let Some(alert) = storage::alert::by_id(app.db.connection(), shard.alert_id).await? else {
        anyhow::bail!("a shard without its alert");
    };
    let message = message(app, &alert).await?;
    let path = storage::category::path(app.db.connection(), alert.category_id).await?;
    while shard.cursor < shard.last_id {
        if shutdown.is_cancelled() {
            storage::alert::release(app.db.connection(), &shard).await?;
            return Ok(());
        }
        let range = (shard.cursor, shard.last_id);
        let page = storage::push_subscription::audience(app.db.connection(), &alert, &path, range, PAGE).await?;
        let end = if page.len() < usize::try_from(PAGE)? { shard.last_id } else { last_id(&page, &shard) };
        let Some(outcomes) = send_page(app, sender, &message, page, &shard).await? else {
            return Ok(());
        };
        if !write_down(app, &alert, &shard, end, &outcomes).await? {
            return Ok(());
        }
        shard.cursor = end;
    }
    Ok(())
}

fn last_id(page: &[Recipient], shard: &Shard) -> i64 {
    page.last().map_or(shard.last_id, |recipient| recipient.id)
}

/// The message of an alert: the same for everybody until it is sealed.
pub(super) async fn message(app: &App, alert: &Alert) -> anyhow::Result<Message> {
    let connection = app.db.connection();
    let article = storage::article::by_id(connection, alert.article_id, Visibility::Everything).await?;
    let article = article.context("an alert without its article")?;
    let edition = storage::edition::by_ids(connection, &[alert.edition_id]).await?.pop();
    let edition = edition.context("an alert without its edition")?;
    let url = article.canonical_url(&app.config.public_url, &edition);
    let story = StoryLink { url: &url, locale: &edition.locale, direction: edition.direction };
    let ttl = (alert.expires_at - app.now()).to_std().unwrap_or_default();
    Ok(Message {
        payload: alert.payload(&story, MAX_PAYLOAD)?.into(),
        short_payload: alert.payload(&story, SHORT_PAYLOAD)?.into(),
        ttl,
        urgency: alert.urgency,
        topic: alert.topic(),
    })
}

type Outcomes = Vec<(Recipient, Outcome)>;

/// Sends a page while the lease is kept alive; `None` when the shard was lost meanwhile.
async fn send_page(
    app: &App,
    sender: &Sender,
    message: &Message,
    page: Vec<Recipient>,
    shard: &Shard,
) -> anyhow::Result<Option<Outcomes>> {
    let now = app.now();
    let sending = stream::iter(page)
        .map(|recipient| async move {
            let outcome = sender.send(&recipient, message, now).await;
            (recipient, outcome)
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>();
    tokio::pin!(sending);
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.reset();
    loop {
        tokio::select! {
            outcomes = &mut sending => return Ok(Some(outcomes)),
            _ = heartbeat.tick() => {
                let until = app.now() + LEASE;
                if !storage::alert::extend_lease(app.db.connection(), shard, until).await? {
                    return Ok(None);
                }
            }
        }
    }
}

/// Writes a page down. False when the fence no longer holds: then another worker does it.
async fn write_down(
    app: &App,
    alert: &Alert,
    shard: &Shard,
    end: i64,
    outcomes: &Outcomes,
) -> Result<bool, sea_orm::DbErr> {
    let change = app.begin().await?;
    let tx = change.transaction();
    if !storage::alert::advance(tx, shard, end, app.now()).await? {
        tracing::warn!(alert = %alert.id, shard = shard.number, "another worker took this shard over");
        return Ok(false);
    }
    storage::alert::extend_lease(tx, shard, app.now() + LEASE).await?;
    settle(app, &change, alert, outcomes.iter().map(|(recipient, outcome)| (recipient, *outcome, 1))).await?;
    storage::alert::finish_if_done(tx, alert.id, app.now()).await?;
    change.commit().await?;
    Ok(true)
}

/// Writes what became of messages that were tried so many times: who is gone goes, who may still be
/// reached is tried again later, and the rest is counted.
pub(super) async fn settle(
    app: &App,
    change: &Change,
    alert: &Alert,
    tried: impl Iterator<Item = (&Recipient, Outcome, i32)>,
) -> Result<(), sea_orm::DbErr> {
    let tx = change.transaction();
    let mut counts = Counts::default();
    for (recipient, outcome, attempts) in tried {
        let retry = Retry { alert_id: alert.id, push_subscription_id: recipient.id, attempts };
        let due_at = match outcome {
            Outcome::Accepted => {
                counts.accepted += 1;
                None
            }
            Outcome::Gone => {
                counts.gone += 1;
                storage::push_subscription::delete_gone(tx, recipient.id, recipient.generation).await?;
                None
            }
            // Shortened already and still too large: no later try would be shorter.
            Outcome::TooLarge => {
                counts.failed += 1;
                None
            }
            Outcome::Wait(after) => Some(app.now() + wait(app, attempts).max(from_std(after))),
            Outcome::Refused(_) | Outcome::Failed(_) => Some(app.now() + wait(app, attempts)),
        };
        match due_at {
            Some(due_at) if due_at < alert.expires_at => {
                storage::alert::put_retry(tx, &retry, outcome.status(), due_at).await?;
            }
            Some(_) => {
                counts.failed += 1;
                storage::alert::delete_retry(tx, &retry).await?;
            }
            None if attempts > 1 => storage::alert::delete_retry(tx, &retry).await?,
            None => {}
        }
    }
    storage::alert::count(tx, alert.id, counts).await
}

/// How long to wait after so many tries.
fn wait(app: &App, attempts: i32) -> TimeDelta {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(16);
    app.clock.jitter((FIRST_WAIT * 2_i32.pow(doublings)).min(LONGEST_WAIT))
}

fn from_std(after: Option<Duration>) -> TimeDelta {
    after.and_then(|after| TimeDelta::from_std(after).ok()).unwrap_or_default()
}

/// Claims a shard that nobody holds.
pub(super) async fn claim(app: &App) -> Result<Option<Shard>, sea_orm::DbErr> {
    let change = app.begin().await?;
    let now = app.now();
    let shard = storage::alert::claim_shard(change.transaction(), now, now + LEASE).await?;
    change.commit().await?;
    Ok(shard)
}
