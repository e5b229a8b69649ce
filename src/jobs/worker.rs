//! The worker: claims jobs, shards and retries as they become due, several at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Unfinished, deliver, plan_alert, purge, retry_sends};
use crate::app::App;
use crate::domain::job::Job;
use crate::push::Sender;
use crate::storage;
use crate::storage::job::Claimed;

/// How many things are worked on at once.
const LANES: usize = 4;
/// How long work can stay unseen when every wake-up was lost.
const POLL: Duration = Duration::from_secs(1);
/// How long a claimed job belongs to its worker.
const JOB_LEASE: TimeDelta = TimeDelta::seconds(60);
/// A job that fails this often is given up and kept for a look.
const MAX_ATTEMPTS: i32 = 20;
/// How often old things are purged.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// Works on whatever is due.
#[derive(Debug, Clone)]
pub struct Worker {
    app: App,
    sender: Arc<Sender>,
    healthy: Arc<AtomicBool>,
}

impl Worker {
    /// A worker that sends with the application's keys.
    pub fn new(app: App) -> anyhow::Result<Self> {
        let sender = Sender::new((*app.vapid).clone(), &app.config.push)?;
        Ok(Self { app, sender: Arc::new(sender), healthy: Arc::new(AtomicBool::new(true)) })
    }

    /// Whether the last look for work went well.
    pub fn health(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.healthy)
    }

    /// Works until the shutdown, and then finishes the page in hand.
    pub async fn run(self, shutdown: CancellationToken) {
        let lanes = TaskTracker::new();
        for _ in 0..LANES {
            lanes.spawn(self.clone().lane(shutdown.clone()));
        }
        lanes.spawn(self.clone().purge_now_and_then(shutdown));
        lanes.close();
        lanes.wait().await;
    }

    /// Works until nothing is due any more. For tests and for the command line.
    pub async fn run_until_idle(&self) -> anyhow::Result<()> {
        let never = CancellationToken::new();
        while self.step(&never).await? {}
        Ok(())
    }

    async fn lane(self, shutdown: CancellationToken) {
        let mut committed = self.app.db.committed();
        while !shutdown.is_cancelled() {
            match self.step(&shutdown).await {
                Ok(true) => {
                    self.healthy.store(true, Ordering::Relaxed);
                    continue;
                }
                Ok(false) => self.healthy.store(true, Ordering::Relaxed),
                Err(error) => {
                    self.healthy.store(false, Ordering::Relaxed);
                    tracing::error!(error = format!("{error:#}"), "work failed; trying again");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
                _ = committed.changed() => {}
            }
        }
    }

    async fn purge_now_and_then(self, shutdown: CancellationToken) {
        let mut every = tokio::time::interval(PURGE_EVERY);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = every.tick() => {
                    if let Err(error) = purge::run(&self.app).await {
                        tracing::warn!(?error, "purging failed; trying again in an hour");
                    }
                }
            }
        }
    }

    /// Does one thing that is due. False when there is nothing.
    async fn step(&self, shutdown: &CancellationToken) -> anyhow::Result<bool> {
        if let Some(claimed) = self.claim_job().await? {
            self.run_job(claimed).await?;
            return Ok(true);
        }
        if let Some(shard) = deliver::claim(&self.app).await? {
            deliver::run(&self.app, &self.sender, shard, shutdown).await?;
            return Ok(true);
        }
        retry_sends::run(&self.app, &self.sender).await
    }

    async fn claim_job(&self) -> Result<Option<Claimed>, sea_orm::DbErr> {
        let change = self.app.begin().await?;
        let now = self.app.now();
        let claimed = storage::job::claim(change.transaction(), now, now + JOB_LEASE).await?;
        change.commit().await?;
        Ok(claimed)
    }

    async fn run_job(&self, claimed: Claimed) -> Result<(), sea_orm::DbErr> {
        let done = match &claimed.job {
            Some(Job::PlanAlert { alert_id }) => plan_alert::run(&self.app, *alert_id).await,
            Some(Job::Purge) => purge::run(&self.app).await,
            None => Err(Unfinished::GiveUp("its payload cannot be read".to_owned())),
        };
        let kind = claimed.job.as_ref().map_or("unreadable", Job::kind);
        let change = self.app.begin().await?;
        let tx = change.transaction();
        match done {
            Ok(()) => storage::job::finish(tx, claimed.id).await?,
            Err(Unfinished::Retry(after, reason)) if claimed.attempts < MAX_ATTEMPTS => {
                tracing::warn!(kind, attempts = claimed.attempts, reason, "a job is put off");
                let wait = TimeDelta::from_std(after).unwrap_or(JOB_LEASE);
                storage::job::retry(
                    tx,
                    claimed.id,
                    &reason,
                    self.app.now() + self.app.clock.jitter(wait),
                )
                .await?;
            }
            Err(Unfinished::Retry(_, reason) | Unfinished::GiveUp(reason)) => {
                tracing::error!(kind, id = claimed.id, reason, "a job is given up");
                storage::job::give_up(tx, claimed.id, &reason).await?;
            }
        }
        change.commit().await
    }
}
