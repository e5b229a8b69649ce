//! Leases: how claimed work belongs to its worker, and how others learn that the worker is gone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Work;
use crate::app::App;
use crate::domain::clock::Timestamp;
use crate::domain::job::LEASE;
use crate::storage::alert_retry::Batch;
use crate::storage::alert_shard::Shard;
use crate::storage::{self, Database};

/// How often a worker gives a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Connections for them.
const CONNECTIONS: u32 = 2;
/// How often the database's clock is looked at.
const COMPARE_EVERY: Duration = Duration::from_secs(60);

/// The clock that leases go by: the database's own, so that machines whose clocks disagree do not
/// take each other's work away.
#[derive(Debug, Clone)]
pub(super) struct LeaseClock {
    app: App,
    /// Signs of life wait for nobody: not even for a page that waits to be written down.
    db: Database,
    ahead: Arc<Mutex<TimeDelta>>,
}

impl LeaseClock {
    /// The application's own clock, until it is compared.
    pub(super) fn new(app: App) -> Self {
        Self { db: app.db.apart(CONNECTIONS), app, ahead: Arc::default() }
    }

    /// The time now, and until when work that is claimed now is held.
    pub(super) fn term(&self) -> (Timestamp, Timestamp) {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.app.now() + ahead;
        (now, now + LEASE)
    }

    /// What this machine's clock shows at an instant of the database's.
    pub(super) fn local(&self, at: Timestamp) -> Timestamp {
        at - *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks how far the database's clock is ahead.
    pub(super) async fn compare(&self) -> Result<(), DbErr> {
        let theirs = self.app.db.now().await?;
        let Some(theirs) = theirs else { return Ok(()) };
        let ahead = theirs - self.app.now();
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
        Ok(())
    }

    /// Looks again and again, until the shutdown.
    pub(super) async fn keep_comparing(self, shutdown: CancellationToken) {
        let mut every = tokio::time::interval(COMPARE_EVERY);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = every.tick() => {
                    if let Err(error) = self.compare().await {
                        tracing::warn!(%error, "the database's clock cannot be read");
                    }
                }
            }
        }
    }
}

/// Claimed work that is kept for as long as this lives.
#[derive(Debug, Clone)]
pub(super) enum Held {
    /// A shard.
    Shard(Shard),
    /// Retries of one alert.
    Retries(Batch),
}

impl Held {
    /// Until when it was held when it was claimed, or kept for longer.
    pub(super) fn until(&self) -> Timestamp {
        match self {
            Self::Shard(shard) => shard.leased_until,
            Self::Retries(batch) => batch.leased_until,
        }
    }

    /// Keeps the work, in a task of its own: a database that is slow to answer must not hold up the
    /// messages. The token is cancelled once somebody else has the work, or retries were called back.
    pub(super) fn keep(self, leases: LeaseClock) -> (AbortOnDropHandle<()>, CancellationToken) {
        let lost = CancellationToken::new();
        let tell = lost.clone();
        let beat = tokio::spawn(async move {
            let mut every = tokio::time::interval(HEARTBEAT);
            every.reset();
            loop {
                every.tick().await;
                match self.extend(&leases).await {
                    Ok(Some(_)) => {}
                    Ok(None) => return tell.cancel(),
                    // The fence decides in the end.
                    Err(error) => tracing::warn!(%error, "a lease could not be extended"),
                }
            }
        });
        (AbortOnDropHandle::new(beat), lost)
    }

    /// Keeps the work until what became of it is written down. That waits for the alert's lock, which a replay
    /// may hold for longer than a lease.
    pub(super) async fn during<T>(self, work: &Work, writing: impl Future<Output = T>) -> T {
        let _heartbeat = self.keep(work.leases.clone());
        let _turn = work.writing.acquire().await;
        writing.await
    }

    /// Keeps the work for longer, and answers until when. `None` when it is lost.
    pub(super) async fn extend(&self, leases: &LeaseClock) -> Result<Option<Timestamp>, DbErr> {
        let change = leases.db.begin(leases.app.now()).await?;
        let (tx, term) = (change.transaction(), leases.term());
        let held = match self {
            Self::Shard(shard) => storage::alert_shard::extend_lease(tx, shard, term).await?,
            Self::Retries(batch) => {
                storage::alert_retry::keep(tx, batch, term.1).await?.then_some(term.1)
            }
        };
        change.commit().await?;
        Ok(held)
    }
}
