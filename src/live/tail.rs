//! The tail: reads the event table behind a cursor, woken by commits and by the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::DbErr;
use sea_orm::sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Live;
use crate::storage::db::EVENT_CHANNEL;
use crate::storage::{self, Database};

/// How long an event can stay unseen when every wake-up was lost, unless said otherwise.
const POLL: Duration = Duration::from_secs(1);
/// Events read at once.
const BATCH: u64 = 500;

/// The one reader of the event table in this instance.
#[derive(Debug)]
pub struct Tail {
    db: Database,
    live: Live,
    committed: watch::Receiver<u64>,
    healthy: Arc<AtomicBool>,
    poll: Duration,
    /// Whether events that cannot be read were warned of already.
    warned: bool,
}

impl Tail {
    /// Starts at the newest event there is.
    pub async fn open(db: &Database) -> Result<Self, DbErr> {
        // Subscribed before the first read, so that no commit falls between the two.
        let committed = db.committed();
        let newest = storage::event::newest_id(db.connection()).await?;
        let live = Live::new(db.clone(), newest);
        let healthy = Arc::new(AtomicBool::new(true));
        Ok(Self { db: db.clone(), live, committed, healthy, poll: POLL, warned: false })
    }

    /// The same with another wait between two looks when nothing wakes it.
    pub fn polling_every(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    /// The feed that this tail fills.
    pub fn live(&self) -> Live {
        self.live.clone()
    }

    /// Whether the last read went well.
    pub fn health(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.healthy)
    }

    /// Reads until the shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut listener = None;
        while !shutdown.is_cancelled() {
            if self.db.is_postgres() && listener.is_none() {
                listener = self.listen().await;
            }
            let read = self.read().await;
            self.healthy.store(read.is_ok(), Ordering::Relaxed);
            if let Err(error) = read {
                tracing::error!(%error, "the event table cannot be read; trying again");
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(self.poll) => {}
                _ = self.committed.changed() => {}
                alive = notified(&mut listener) => if !alive { listener = None },
            }
        }
    }

    /// Hands out everything behind the cursor. What cannot be read moves it on all the same: one
    /// event of a newer version must not hold up every event after it.
    async fn read(&mut self) -> Result<(), DbErr> {
        loop {
            let events =
                storage::event::after(self.db.connection(), self.live.position(), BATCH).await?;
            if events.is_empty() {
                return Ok(());
            }
            for event in events {
                if event.event.is_none() && !std::mem::replace(&mut self.warned, true) {
                    let id = event.id;
                    tracing::warn!(
                        id,
                        "an event is of no kind that this version knows; skipping all such"
                    );
                }
                self.live.publish(event);
            }
        }
    }

    async fn listen(&self) -> Option<PgListener> {
        let pool = self.db.connection().get_postgres_connection_pool();
        let listener = async {
            let mut listener = PgListener::connect_with(pool).await?;
            listener.listen(EVENT_CHANNEL).await?;
            Ok::<_, sea_orm::sqlx::Error>(listener)
        };
        listener
            .await
            .inspect_err(
                |error| tracing::warn!(%error, "cannot listen for events; polling instead"),
            )
            .ok()
    }
}

/// Waits for another instance's commit. False when the connection broke.
async fn notified(listener: &mut Option<PgListener>) -> bool {
    match listener {
        Some(listener) => listener.recv().await.is_ok(),
        None => std::future::pending().await,
    }
}
