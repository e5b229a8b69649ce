//! Jobs: written with the change that asks for them, claimed by workers, kept until they are done.

use sea_orm::sea_query::{ExprTrait, LockBehavior, LockType};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Set,
};

use super::entities::job::{ActiveModel, COLUMN, Entity};
use crate::domain::clock::Timestamp;
use crate::domain::job::Job;

/// Waits for its time.
pub(super) const QUEUED: &str = "QUEUED";
/// Was given up; kept with its reason, so that nothing is lost unseen.
pub(super) const DEAD: &str = "DEAD";

/// A job that one worker holds until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Its id.
    pub id: i64,
    /// What is to be done; `None` when its payload cannot be read.
    pub job: Option<Job>,
    /// How often it was begun, this time included.
    pub attempts: i32,
}

/// Queues a job. Called by [`super::Change::commit`] alone.
pub(super) async fn insert(
    connection: &impl ConnectionTrait,
    job: &Job,
    run_at: Timestamp,
    now: Timestamp,
) -> Result<(), DbErr> {
    let payload = serde_json::to_string(job).map_err(|error| DbErr::Json(error.to_string()))?;
    let row = ActiveModel {
        kind: Set(job.kind().to_owned()),
        payload: Set(payload),
        state: Set(QUEUED.to_owned()),
        attempts: Set(0),
        run_at: Set(run_at),
        leased_until: Set(None),
        last_error: Set(None),
        created_at: Set(now),
        ..Default::default()
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Claims the job that has been due for longest, of the kinds that this version knows: others wait
/// for a worker that is newer.
///
/// `lease` is the time by the clock of leases, and until when the job is held.
pub async fn claim(
    connection: &impl ConnectionTrait,
    now: Timestamp,
    lease: (Timestamp, Timestamp),
) -> Result<Option<Claimed>, DbErr> {
    // Two statements: a subquery that locks may be run again for each row of an update around it.
    let due = Entity::find()
        .filter(COLUMN.state.eq(QUEUED))
        .filter(COLUMN.kind.is_in(Job::KINDS))
        .filter(COLUMN.run_at.lte(now))
        .filter(COLUMN.leased_until.is_null().or(COLUMN.leased_until.lt(lease.0)))
        .order_by_asc(COLUMN.run_at)
        .order_by_asc(COLUMN.id)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let Some(due) = due.one(connection).await? else { return Ok(None) };
    let row = ActiveModel {
        id: Set(due.id),
        leased_until: Set(Some(lease.1)),
        attempts: Set(due.attempts + 1),
        ..Default::default()
    };
    row.update(connection).await?;
    Ok(Some(Claimed {
        id: due.id,
        job: serde_json::from_str(&due.payload).ok(),
        attempts: due.attempts + 1,
    }))
}

/// Deletes a job that is done.
pub async fn finish(connection: &impl ConnectionTrait, id: i64) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(connection).await?;
    Ok(())
}

/// Puts a job off until its next try.
pub async fn retry(
    connection: &impl ConnectionTrait,
    id: i64,
    reason: &str,
    run_at: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(id),
        run_at: Set(run_at),
        leased_until: Set(None),
        last_error: Set(Some(reason.to_owned())),
        ..Default::default()
    };
    row.update(connection).await?;
    Ok(())
}

/// Gives a job up and keeps it with the reason.
pub async fn give_up(
    connection: &impl ConnectionTrait,
    id: i64,
    reason: &str,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(id),
        state: Set(DEAD.to_owned()),
        last_error: Set(Some(reason.to_owned())),
        ..Default::default()
    };
    row.update(connection).await?;
    Ok(())
}

/// How many jobs that this version can do wait or are being worked on.
pub async fn count_open(connection: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let open = Entity::find().filter(COLUMN.state.eq(QUEUED)).filter(COLUMN.kind.is_in(Job::KINDS));
    open.count(connection).await
}
