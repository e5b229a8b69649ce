//! The worker: claims jobs, shards and retries as they become due, several at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lease::LeaseClock;
use super::{Unfinished, Work, deliver, plan_alert, purge, retry_sends};
use crate::app::App;
use crate::domain::job::Job;
use crate::push::Sender;
use crate::storage;
use crate::storage::job::Claimed;

/// How many things are worked on at once.
const LANES: usize = 4;
/// How long work can stay unseen when every wake-up was lost.
const POLL: Duration = Duration::from_secs(1);
/// A job that fails this often is given up and kept for a look.
const MAX_ATTEMPTS: i32 = 100;
/// No job waits longer for its next try, before jitter makes it up to twice as long.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(5);
/// How often old things are purged.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// Works on whatever is due.
#[derive(Debug, Clone)]
pub struct Worker {
    work: Work,
    healthy: Arc<AtomicBool>,
}

impl Worker {
    /// A worker that sends with the application's keys, until the shutdown.
    pub async fn new(app: App, shutdown: CancellationToken) -> anyhow::Result<Self> {
        let sender = Sender::new((*app.vapid).clone(), &app.config.push)?;
        let work = Work {
            leases: LeaseClock::new(app.clone()),
            opt_out: app.opt_out_key().await?,
            sender: Arc::new(sender),
            app,
            shutdown,
        };
        Ok(Self { work, healthy: Arc::new(AtomicBool::new(true)) })
    }

    /// Whether the last look for work went well.
    pub fn health(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.healthy)
    }

    /// Works until the shutdown, and then finishes what is on its way.
    pub async fn run(self) {
        if let Err(error) = self.work.leases.compare().await {
            tracing::warn!(%error, "the database's clock cannot be read");
        }
        let lanes = TaskTracker::new();
        for _ in 0..LANES {
            lanes.spawn(self.clone().lane());
        }
        lanes.spawn(self.work.leases.clone().keep_comparing(self.work.shutdown.clone()));
        lanes.spawn(self.purge_now_and_then());
        lanes.close();
        lanes.wait().await;
    }

    /// Works until nothing is due any more. For tests and for the command line.
    pub async fn run_until_idle(&self) -> anyhow::Result<()> {
        while self.step().await? {}
        Ok(())
    }

    async fn lane(self) {
        let shutdown = self.work.shutdown.clone();
        let mut committed = self.work.app.db.committed();
        while !shutdown.is_cancelled() {
            match self.step().await {
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

    async fn purge_now_and_then(self) {
        let mut every = tokio::time::interval(PURGE_EVERY);
        loop {
            tokio::select! {
                () = self.work.shutdown.cancelled() => return,
                _ = every.tick() => {
                    if let Err(error) = purge::run(&self.work.app).await {
                        tracing::warn!(?error, "purging failed; trying again in an hour");
                    }
                }
            }
        }
    }

    /// Does one thing that is due. False when there is nothing.
    async fn step(&self) -> anyhow::Result<bool> {
        if let Some(claimed) = self.claim_job().await? {
            self.run_job(claimed).await?;
            return Ok(true);
        }
        if let Some(shard) = deliver::claim(&self.work).await? {
            deliver::run(&self.work, shard).await?;
            return Ok(true);
        }
        retry_sends::run(&self.work).await
    }

    async fn claim_job(&self) -> Result<Option<Claimed>, sea_orm::DbErr> {
        let change = self.work.app.begin().await?;
        let (now, term) = (self.work.app.now(), self.work.leases.term());
        let claimed = storage::job::claim(change.transaction(), now, term).await?;
        change.commit().await?;
        Ok(claimed)
    }

    async fn run_job(&self, claimed: Claimed) -> Result<(), sea_orm::DbErr> {
        let done = match &claimed.job {
            Some(Job::PlanAlert { alert_id }) => plan_alert::run(&self.work.app, *alert_id).await,
            Some(Job::Purge) => purge::run(&self.work.app).await,
            None => Err(Unfinished::GiveUp("its payload cannot be read".to_owned())),
        };
        let kind = claimed.job.as_ref().map_or("unreadable", Job::kind);
        let change = self.work.app.begin().await?;
        let tx = change.transaction();
        match done {
            Ok(()) => storage::job::finish(tx, claimed.id).await?,
            Err(Unfinished::Retry(after, reason)) if claimed.attempts < MAX_ATTEMPTS => {
                tracing::warn!(kind, attempts = claimed.attempts, reason, "a job is put off");
                let first = TimeDelta::from_std(after).unwrap_or(LONGEST_WAIT);
                let wait = (first * claimed.attempts).min(LONGEST_WAIT);
                storage::job::retry(
                    tx,
                    claimed.id,
                    &reason,
                    self.work.app.now() + self.work.app.clock.jitter(wait),
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
