//! Delivers a shard of an alert, page by page.
//!
//! A page is read, sent, and then written down in one transaction: the cursor moves behind it, the
//! exceptions become rows, the counters grow. Killed before that, the page is sent again by whoever
//! takes the shard over: at least once, and one page twice at most. `Topic` and `tag` make the
//! second message replace the first on the reader's screen.

use tokio_util::sync::CancellationToken;

use super::send::{LEASE, Lease, message, send_all};
use super::settle::{Tried, settle};
use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::push_subscription::Recipient;
use crate::push::Sender;
use crate::storage;
use crate::storage::alert::Shard;

/// Subscriptions of a page.
const PAGE: u64 = 500;

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
        let page =
            storage::push_subscription::audience(app.db.connection(), &alert, &path, range, PAGE)
                .await?;
        let end = if page.len() < usize::try_from(PAGE)? {
            shard.last_id
        } else {
            last_id(&page, &shard)
        };
        let sent = send_all(app, sender, (&alert, &message), page, Lease::Shard(&shard)).await;
        let Some(sent) = sent else { return Ok(()) };
        let tried: Vec<Tried> = sent.into_iter().map(Tried::first).collect();
        if !write_down(app, &alert, &shard, end, &tried).await? {
            return Ok(());
        }
        shard.cursor = end;
    }
    Ok(())
}

fn last_id(page: &[Recipient], shard: &Shard) -> i64 {
    page.last().map_or(shard.last_id, |recipient| recipient.id)
}

/// Writes a page down. False when the fence no longer holds: then another worker does it.
async fn write_down(
    app: &App,
    alert: &Alert,
    shard: &Shard,
    end: i64,
    tried: &[Tried],
) -> Result<bool, sea_orm::DbErr> {
    let change = app.begin().await?;
    let tx = change.transaction();
    if !storage::alert::advance(tx, shard, end, app.now()).await? {
        tracing::warn!(alert = %alert.id, shard = shard.number, "another worker took this shard over");
        return Ok(false);
    }
    storage::alert::extend_lease(tx, shard, app.now() + LEASE).await?;
    settle(app, &change, alert, tried).await?;
    if end >= shard.last_id {
        storage::alert::finish_if_done(tx, alert.id, app.now()).await?;
    }
    change.commit().await?;
    Ok(true)
}

/// Claims a shard that nobody holds.
pub(super) async fn claim(app: &App) -> Result<Option<Shard>, sea_orm::DbErr> {
    let change = app.begin().await?;
    let now = app.now();
    let shard = storage::alert::claim_shard(change.transaction(), now, now + LEASE).await?;
    change.commit().await?;
    Ok(shard)
}
