//! The worker: claims jobs, shards and retries as they become due, several at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lease::LeaseClock;
use super::traffic::{Lane, Traffic};
use super::{Unfinished, Work, deliver, plan_alert, prepare_keys, purge, retry_sends};
use crate::actions::agree_on_opt_out_key::opt_out_key;
use crate::app::App;
use crate::domain::job::Job;
use crate::push::{Resting, Sender};
use crate::storage;
use crate::storage::alert_retry::Batch;
use crate::storage::alert_shard::Shard;
use crate::storage::job::Claimed;

/// How many things are worked on at once, over all push services.
const AT_ONCE: usize = 32;
/// How long work can stay unseen when every wake-up was lost.
const POLL: Duration = Duration::from_secs(1);
/// A job that fails this often is given up and kept for a look.
const MAX_ATTEMPTS: i32 = 100;
/// No job waits longer for its next try, before jitter makes it up to twice as long.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(5);
/// How long a push service is left to other workers after something failed.
const FAILED_REST: Duration = Duration::from_secs(5);
/// How often old things are purged.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// Works on whatever is due.
#[derive(Debug, Clone)]
pub struct Worker {
    work: Work,
    healthy: Arc<AtomicBool>,
}

/// Something that was claimed.
#[derive(Debug)]
enum Task {
    Job(Claimed),
    Shard(Shard, Lane),
    Retries(Batch, Lane),
}

/// How many may write down what was sent at once, of so many connections.
fn writers(connections: u32) -> usize {
    usize::try_from(connections / 2).unwrap_or_default().max(1)
}

/// How a task ended. One that panicked counts as failed; its lease ends by itself.
fn outcome(done: Result<anyhow::Result<()>, JoinError>) -> anyhow::Result<()> {
    done.context("a task did not end by itself").flatten()
}

impl Worker {
    /// A worker that sends with the application's keys, until the shutdown.
    pub async fn new(app: App, shutdown: CancellationToken) -> anyhow::Result<Self> {
        let sender = Sender::new(&app.config.push, app.clock.clone())?;
        let work = Work {
            leases: LeaseClock::new(app.clone()),
            traffic: Traffic::default(),
            opt_out: opt_out_key(&app).await?.clone(),
            sender: Arc::new(sender),
            writing: Arc::new(Semaphore::new(writers(app.config.database_connections))),
            keys_used: Arc::default(),
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
        let beside = TaskTracker::new();
        beside.spawn(self.work.leases.clone().keep_comparing(self.work.shutdown.clone()));
        beside.spawn(self.clone().purge_now_and_then());
        beside.spawn(prepare_keys::keep_preparing(self.work.clone()));
        beside.close();
        self.work_until_shutdown().await;
        beside.wait().await;
    }

    async fn work_until_shutdown(&self) {
        let shutdown = &self.work.shutdown;
        let mut committed = self.work.app.db.committed();
        let mut under_way = JoinSet::new();
        while !shutdown.is_cancelled() {
            let begun = self.begin_all(&mut under_way).await;
            self.note(begun);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
                _ = committed.changed() => {}
                Some(done) = under_way.join_next() => self.note(outcome(done)),
            }
        }
        while let Some(done) = under_way.join_next().await {
            self.note(outcome(done));
        }
    }

    /// Works until nothing is due any more. For tests and for the command line.
    pub async fn run_until_idle(&self) -> anyhow::Result<()> {
        let mut under_way = JoinSet::new();
        loop {
            self.begin_all(&mut under_way).await?;
            match under_way.join_next().await {
                Some(done) => outcome(done)?,
                None => return Ok(()),
            }
        }
    }

    /// Prepares every key that is missing. For tests; a worker that runs does so by itself.
    pub async fn prepare_keys(&self) -> anyhow::Result<()> {
        prepare_keys::prepare_all(&self.work).await
    }

    /// Begins everything that is due, as far as there are hands for it.
    async fn begin_all(&self, under_way: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
        self.work.sender.look_after();
        while under_way.len() < AT_ONCE {
            let Some(task) = self.claim().await? else { return Ok(()) };
            let worker = self.clone();
            under_way.spawn(async move { worker.perform(task).await });
        }
        Ok(())
    }

    /// Whether the last thing went well; what did not is done again by whoever claims it next.
    fn note(&self, done: anyhow::Result<()>) {
        self.healthy.store(done.is_ok(), Ordering::Relaxed);
        if let Err(error) = done {
            tracing::error!(error = format!("{error:#}"), "work failed; trying again");
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

    /// The next thing to do: jobs first, news before what is tried again.
    async fn claim(&self) -> anyhow::Result<Option<Task>> {
        if let Some(job) = self.claim_job().await? {
            return Ok(Some(Task::Job(job)));
        }
        if let Some(shard) = deliver::claim(&self.work).await? {
            let lane = self.work.traffic.enter(shard.service_id);
            return Ok(Some(Task::Shard(shard, lane)));
        }
        let batch = retry_sends::claim(&self.work).await?;
        Ok(batch.map(|batch| {
            let lane = self.work.traffic.enter(batch.service_id);
            Task::Retries(batch, lane)
        }))
    }

    async fn perform(&self, task: Task) -> anyhow::Result<()> {
        let (done, lane) = match task {
            Task::Job(job) => return Ok(self.run_job(job).await?),
            Task::Shard(shard, lane) => (deliver::run(&self.work, shard).await, lane),
            Task::Retries(batch, lane) => (retry_sends::run(&self.work, batch).await, lane),
        };
        // What fails here is left to other workers: one that fails at everything at once would else
        // hold all there is.
        let failed = Resting { until: self.work.app.now() + FAILED_REST };
        if let Some(resting) = done.as_ref().map_or(Some(failed), |resting| *resting) {
            lane.rest(resting);
        }
        done.map(|_| ())
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
