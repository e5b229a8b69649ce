//! The queue: what waits for workers and what they hold, over all jobs, shards and retries.

use std::cmp::{max, min};

use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Func, JoinType, Query};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
};

use super::entities::{alert, alert_dead_letter, alert_retry, alert_shard, job};
use super::job::{DEAD, QUEUED};
use crate::domain::clock::Timestamp;
use crate::domain::job::Job;

/// Rows are counted no further than this: whoever watches knows enough by then.
pub const MANY: u64 = 1_000_000;

/// What waits for workers and what they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    /// Since when the oldest job waits that is due and that nobody holds.
    pub job_waits_since: Option<Timestamp>,
    /// The same of shards.
    pub shard_waits_since: Option<Timestamp>,
    /// The same of retries.
    pub retry_waits_since: Option<Timestamp>,
    /// When the first and the last lease end. Of a worker that is gone it has ended.
    pub leases_end: Option<(Timestamp, Timestamp)>,
    /// Shards that are not delivered to their end.
    pub open_shards: u64,
    /// Messages that are tried again, now or later; counted up to [`MANY`].
    pub retries: u64,
    /// Messages that were given up and can be replayed; counted up to [`MANY`].
    pub dead_letters: u64,
    /// Jobs that were given up.
    pub dead_jobs: u64,
}

impl Queue {
    /// Since when something waits that is due and that nobody holds.
    pub fn waits_since(&self) -> Option<Timestamp> {
        let kinds = [self.job_waits_since, self.shard_waits_since, self.retry_waits_since];
        kinds.into_iter().flatten().min()
    }

    /// Whether somebody works.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.leases_end.is_some_and(|(_, last)| last >= now)
    }
}

/// The first and the last instant of some.
type Span = Option<(Timestamp, Timestamp)>;

/// Looks at the queue.
pub async fn look(connection: &impl ConnectionTrait, now: Timestamp) -> Result<Queue, DbErr> {
    let (jobs_wait, jobs_held) = jobs(connection, now).await?;
    let (shards_wait, shards_held) = shards(connection, now).await?;
    let (retries_wait, retries_held) = retries(connection, now).await?;
    let leases = [jobs_held, shards_held, retries_held].into_iter().flatten();
    let dead_jobs = job::Entity::find().filter(job::COLUMN.state.eq(DEAD));
    let first = |span: Span| span.map(|(first, _)| first);
    Ok(Queue {
        job_waits_since: first(jobs_wait),
        shard_waits_since: first(shards_wait),
        retry_waits_since: first(retries_wait),
        leases_end: leases.reduce(|one, other| (min(one.0, other.0), max(one.1, other.1))),
        open_shards: open_shards().count(connection).await?,
        retries: up_to_many(connection, alert_retry::Entity::find()).await?,
        dead_letters: up_to_many(connection, alert_dead_letter::Entity::find()).await?,
        dead_jobs: dead_jobs.count(connection).await?,
    })
}

/// Since when jobs wait, and until when others are held.
async fn jobs(connection: &impl ConnectionTrait, now: Timestamp) -> Result<(Span, Span), DbErr> {
    use job::{COLUMN, Column};
    let open = || {
        let open = job::Entity::find().filter(COLUMN.state.eq(QUEUED));
        open.filter(COLUMN.kind.is_in(Job::KINDS))
    };
    let free = open()
        .filter(COLUMN.run_at.lte(now))
        .filter(COLUMN.leased_until.is_null().or(COLUMN.leased_until.lt(now)));
    let since = Func::coalesce([Expr::col(Column::LeasedUntil), Expr::col(Column::RunAt)]);
    let held = open().filter(COLUMN.leased_until.is_not_null());
    let until = Expr::col(Column::LeasedUntil);
    Ok((span(connection, free, since).await?, span(connection, held, until).await?))
}

/// Since when shards wait, and until when others are held.
async fn shards(connection: &impl ConnectionTrait, now: Timestamp) -> Result<(Span, Span), DbErr> {
    use alert_shard::{COLUMN, Column, Entity};
    let mut free = open_shards()
        .filter(COLUMN.due_at.is_null().or(COLUMN.due_at.lte(now)))
        .filter(COLUMN.leased_until.is_null().or(COLUMN.leased_until.lt(now)));
    let of = Expr::col((Entity, Column::AlertId)).equals((alert::Entity, alert::Column::Id));
    QuerySelect::query(&mut free).join(JoinType::InnerJoin, alert::Entity, of);
    // One that was never held waits since its alert was planned.
    let since = Func::coalesce([
        Expr::col(Column::LeasedUntil),
        Expr::col(Column::DueAt),
        Expr::col(alert::Column::RoundStartedAt),
    ]);
    let held = open_shards().filter(COLUMN.leased_until.is_not_null());
    let until = Expr::col(Column::LeasedUntil);
    Ok((span(connection, free, since).await?, span(connection, held, until).await?))
}

/// Since when retries wait, and until when others are held: a claim makes them due after the lease.
async fn retries(connection: &impl ConnectionTrait, now: Timestamp) -> Result<(Span, Span), DbErr> {
    use alert_retry::{COLUMN, Column, Entity};
    // Only the first, which the index finds: there may be millions.
    let free = Entity::find().filter(COLUMN.due_at.lte(now)).order_by_asc(COLUMN.due_at);
    let first = free.one(connection).await?.map(|row| (row.due_at, row.due_at));
    let held = Entity::find().filter(COLUMN.claim.lt(0).or(COLUMN.claim.gt(0)));
    Ok((first, span(connection, held, Expr::col(Column::DueAt)).await?))
}

fn open_shards() -> Select<alert_shard::Entity> {
    alert_shard::Entity::find().filter(alert_shard::COLUMN.finished_at.is_null())
}

/// How many rows there are, or [`MANY`].
async fn up_to_many<E: EntityTrait>(
    connection: &impl ConnectionTrait,
    rows: Select<E>,
) -> Result<u64, DbErr> {
    let mut some = rows.select_only().expr(Expr::value(1)).limit(MANY);
    let some = QuerySelect::query(&mut some).take();
    let count = Query::select()
        .expr_as(Func::count(Expr::col(Asterisk)), "count")
        .from_subquery(some, "some")
        .take();
    let row = connection.query_one(&count).await?;
    let count: Option<i64> = row.map(|row| row.try_get("", "count")).transpose()?;
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
}

/// The first and the last instant of some rows.
async fn span<E: EntityTrait>(
    connection: &impl ConnectionTrait,
    rows: Select<E>,
    at: impl Into<Expr>,
) -> Result<Span, DbErr> {
    let at = at.into();
    let ends = rows
        .select_only()
        .expr_as(Func::min(at.clone()), "first")
        .expr_as(Func::max(at), "last")
        .into_tuple::<(Option<Timestamp>, Option<Timestamp>)>();
    Ok(ends.one(connection).await?.and_then(|(first, last)| first.zip(last)))
}
