//! Jobs: written with the change that asks for them, claimed by workers, kept until they are done.

use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, Set,
};

use super::entities::job::{ActiveModel, COLUMN, Column, Entity};
use crate::domain::clock::Timestamp;
use crate::domain::job::Job;

/// Waits for its time.
const QUEUED: &str = "QUEUED";
/// Was given up; kept with its reason, so that nothing is lost unseen.
const DEAD: &str = "DEAD";

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
pub async fn claim(
    connection: &impl ConnectionTrait,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Claimed>, DbErr> {
    let due = Query::select()
        .column(Column::Id)
        .from(Entity)
        .and_where(COLUMN.state.eq(QUEUED))
        .and_where(COLUMN.kind.is_in(Job::KINDS))
        .and_where(COLUMN.run_at.lte(now))
        .and_where(COLUMN.leased_until.is_null().or(COLUMN.leased_until.lt(now)))
        .order_by(Column::RunAt, sea_orm::Order::Asc)
        .order_by(Column::Id, sea_orm::Order::Asc)
        .limit(1)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    let claim = Query::update()
        .table(Entity)
        .value(Column::LeasedUntil, until)
        .value(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .and_where(Expr::col(Column::Id).in_subquery(due))
        .returning_all()
        .to_owned();
    let Some(row) = connection.query_one(&claim).await? else { return Ok(None) };
    let payload: String = row.try_get("", "payload")?;
    Ok(Some(Claimed {
        id: row.try_get("", "id")?,
        job: serde_json::from_str(&payload).ok(),
        attempts: row.try_get("", "attempts")?,
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
