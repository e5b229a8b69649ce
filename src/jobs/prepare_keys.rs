//! Prepares keys while there is nothing else to do: for each reader the key pair and the secret of
//! one message, which need nine tenths of sealing's time and nothing of its text.
//!
//! Breaking news uses them up; see `docs/decisions/prepared-keys.md`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Work;
use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::push_subscription::Recipient;
use crate::push::Prepared;
use crate::storage;
use crate::storage::alert_shard::Shard;
use crate::storage::prepared_keys::{Block, Entry, KeysOf, SPAN};

/// How long until it is looked again whether readers came.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How long news that goes out is waited for.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// Blocks that are looked for at once: few enough that another worker is seen to have made them.
const STRIDE: i64 = 10;

/// Prepares keys whenever there is nothing to send, until the shutdown.
pub(super) async fn keep_preparing(work: Work) {
    if !work.app.config.push.prepared_keys {
        // Nobody would use them, and no secret is kept for nothing.
        if let Err(error) = storage::prepared_keys::delete_all(work.app.db.connection()).await {
            tracing::warn!(%error, "prepared keys cannot be deleted");
        }
        return;
    }
    let rounds = async {
        loop {
            if let Err(error) = prepare_all(&work).await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "keys cannot be prepared; trying again"
                );
            }
            let used = work.keys_used.notified();
            let _looked_again = tokio::time::timeout(LOOK_EVERY, used).await;
        }
    };
    tokio::select! {
        () = work.shutdown.cancelled() => {}
        () = rounds => {}
    }
}

/// Prepares keys for every reader who has none.
pub(super) async fn prepare_all(work: &Work) -> anyhow::Result<()> {
    let connection = work.app.db.connection();
    for service_id in storage::push_service::ids(connection).await? {
        let span = storage::id_ranges::span_of(connection, service_id).await?;
        let Some((first, last)) = span else { continue };
        let (first, last) = ((first - 1).div_euclid(SPAN), (last - 1).div_euclid(SPAN));
        let strides = (last - first) / STRIDE + 1;
        // Each worker begins somewhere else, so that they do not all make the same.
        let begin = work.app.clock.new_claim().rem_euclid(strides);
        for step in 0..strides {
            let number = first + (begin + step) % strides * STRIDE;
            let stride = (number, number + STRIDE - 1);
            wait_for_quiet(work).await;
            let began = Instant::now();
            let missing = storage::prepared_keys::missing(connection, service_id, stride).await?;
            tokio::time::sleep(began.elapsed()).await;
            for block in missing {
                wait_for_quiet(work).await;
                let began = Instant::now();
                prepare(&work.app, block).await?;
                // Half of one core at most: readers are served meanwhile.
                tokio::time::sleep(began.elapsed()).await;
            }
        }
    }
    Ok(())
}

/// Waits until no news goes out.
async fn wait_for_quiet(work: &Work) {
    while work.traffic.is_busy() {
        tokio::time::sleep(BUSY_WAIT).await;
    }
}

/// Prepares the keys of a block.
async fn prepare(app: &App, block: Block) -> anyhow::Result<()> {
    let connection = app.db.connection();
    let (readers, generations) =
        storage::prepared_keys::readers(connection, &app.vault, block).await?;
    let entries = tokio::task::spawn_blocking(move || prepared(&readers)).await?;
    let change = app.begin().await?;
    let made = (block, generations);
    storage::prepared_keys::put(change.transaction(), &app.vault, made, &entries).await?;
    Ok(change.commit().await?)
}

fn prepared(readers: &[KeysOf]) -> Vec<Entry> {
    let entry = |(id, generation, keys): &KeysOf| {
        let key = Prepared::new(keys).ok()?.into_bytes();
        Some(Entry { id: *id, generation: *generation, key })
    };
    readers.iter().filter_map(entry).collect()
}

/// Prepared keys that were taken for one shard.
#[derive(Debug, Default)]
pub(super) struct Stock(HashMap<i64, Entry>);

impl Stock {
    /// Takes the keys of a shard's readers, when the alert is breaking news: other news can wait
    /// for fresh keys, and breaking news must not find the stock empty.
    pub(super) async fn of(work: &Work, alert: &Alert, shard: &Shard) -> anyhow::Result<Self> {
        let app = &work.app;
        let first_pass = shard.due_at.is_none();
        if !(app.config.push.prepared_keys && alert.urgency.is_highest() && first_pass) {
            return Ok(Self::default());
        }
        let change = app.begin().await?;
        let editions = alert.editions();
        let (of, range) = ((shard.service_id, &*editions), (shard.cursor, shard.last_id));
        let taken =
            storage::prepared_keys::take(change.transaction(), &app.vault, of, range).await?;
        // Only now they are nowhere else.
        change.commit().await?;
        if !taken.is_empty() {
            work.keys_used.notify_one();
        }
        Ok(Self(taken.into_iter().map(|entry| (entry.id, entry)).collect()))
    }

    /// The key of a reader, for one message; `None` when there is none for the browser's present keys.
    pub(super) fn take(&mut self, to: &Recipient) -> Option<Prepared> {
        let entry = self.0.remove(&to.id).filter(|entry| entry.generation == to.generation)?;
        Some(Prepared::from_bytes(&entry.key))
    }
}
