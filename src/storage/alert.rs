//! Alerts, the shards of their delivery, and the exceptions.

use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QueryResult,
    QuerySelect, Set,
};
use uuid::Uuid;

use super::entities::{alert, alert_retry, alert_shard};
use super::unreadable;
use crate::domain::alert::{Alert, AlertState, Urgency};
use crate::domain::clock::Timestamp;

/// A shard that one worker holds, under a fence that nobody else has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// The alert.
    pub alert_id: Uuid,
    /// Which of its shards.
    pub number: i32,
    /// The last subscription that was dealt with.
    pub cursor: i64,
    /// The last subscription of the shard.
    pub last_id: i64,
    /// Grows with each claim: an older holder's writes are refused.
    pub fence: i64,
}

/// A subscription that has to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The alert.
    pub alert_id: Uuid,
    /// The subscription.
    pub push_subscription_id: i64,
    /// How often it was tried.
    pub attempts: i32,
}

/// What became of a page, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that push services took.
    pub accepted: i64,
    /// Subscriptions that turned out to be gone.
    pub gone: i64,
    /// Messages given up.
    pub failed: i64,
}

/// Adds an alert.
pub async fn insert(
    connection: &impl ConnectionTrait,
    alert: &Alert,
    created_by: Option<Uuid>,
) -> Result<(), DbErr> {
    let row = alert::ActiveModel {
        id: Set(alert.id),
        article_id: Set(alert.article_id),
        edition_id: Set(alert.edition_id),
        category_id: Set(alert.category_id),
        breaking: Set(alert.breaking),
        title: Set(alert.title.clone()),
        body: Set(alert.body.clone()),
        state: Set(alert.state.as_str().to_owned()),
        urgency: Set(alert.urgency.as_str().to_owned()),
        accepted: Set(0),
        gone: Set(0),
        failed: Set(0),
        created_by: Set(created_by),
        created_at: Set(alert.created_at),
        expires_at: Set(alert.expires_at),
        finished_at: Set(None),
    };
    alert::Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// An alert.
pub async fn by_id(connection: &impl ConnectionTrait, id: Uuid) -> Result<Option<Alert>, DbErr> {
    alert::Entity::find_by_id(id).one(connection).await?.map(from_row).transpose()
}

/// Writes the shards of a queued alert and sets it on its way. False when that was done before.
pub async fn plan(
    connection: &impl ConnectionTrait,
    id: Uuid,
    shards: &[(i64, i64)],
) -> Result<bool, DbErr> {
    let begun = alert::Entity::update_many()
        .col_expr(alert::Column::State, AlertState::Sending.as_str().into())
        .filter(alert::COLUMN.id.eq(id))
        .filter(alert::COLUMN.state.eq(AlertState::Queued.as_str()))
        .exec(connection)
        .await?;
    if begun.rows_affected == 0 {
        return Ok(false);
    }
    let rows: Vec<_> = (0..)
        .zip(shards)
        .map(|(number, (after, last))| alert_shard::ActiveModel {
            alert_id: Set(id),
            number: Set(number),
            cursor: Set(*after),
            last_id: Set(*last),
            fence: Set(0),
            leased_until: Set(None),
            finished_at: Set(None),
        })
        .collect();
    for chunk in rows.chunks(1_000) {
        alert_shard::Entity::insert_many(chunk.to_vec()).exec_without_returning(connection).await?;
    }
    Ok(true)
}

/// Claims an open shard that nobody holds, the oldest alert's first.
pub async fn claim_shard(
    connection: &impl ConnectionTrait,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Shard>, DbErr> {
    use alert_shard::{COLUMN, Column, Entity};
    let free = Query::select()
        .columns([Column::AlertId, Column::Number])
        .from(Entity)
        .and_where(COLUMN.finished_at.is_null())
        .and_where(COLUMN.leased_until.is_null().or(COLUMN.leased_until.lt(now)))
        // Ids sort by age.
        .order_by(Column::AlertId, sea_orm::Order::Asc)
        .order_by(Column::Number, sea_orm::Order::Asc)
        .limit(1)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    let claim = Query::update()
        .table(Entity)
        .value(Column::LeasedUntil, until)
        .value(Column::Fence, Expr::col(Column::Fence).add(1))
        .and_where(
            Expr::tuple([Expr::col(Column::AlertId), Expr::col(Column::Number)]).in_subquery(free),
        )
        .returning_all()
        .to_owned();
    connection.query_one(&claim).await?.map(|row| shard(&row)).transpose()
}

/// Keeps a shard for longer. False when somebody else has it by now.
pub async fn extend_lease(
    connection: &impl ConnectionTrait,
    shard: &Shard,
    until: Timestamp,
) -> Result<bool, DbErr> {
    let update =
        alert_shard::Entity::update_many().col_expr(alert_shard::Column::LeasedUntil, until.into());
    let held = update.filter(held(shard)).exec(connection).await?;
    Ok(held.rows_affected == 1)
}

/// Moves a shard's cursor behind a page that was dealt with. False when somebody else has the shard.
pub async fn advance(
    connection: &impl ConnectionTrait,
    shard: &Shard,
    cursor: i64,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let finished = (cursor >= shard.last_id).then_some(now);
    let moved = alert_shard::Entity::update_many()
        .col_expr(alert_shard::Column::Cursor, cursor.into())
        .col_expr(alert_shard::Column::FinishedAt, finished.into())
        .filter(held(shard))
        .exec(connection)
        .await?;
    Ok(moved.rows_affected == 1)
}

/// Gives a shard back, so that another worker need not wait for the lease to end.
pub async fn release(connection: &impl ConnectionTrait, shard: &Shard) -> Result<(), DbErr> {
    alert_shard::Entity::update_many()
        .col_expr(alert_shard::Column::LeasedUntil, Expr::value(Option::<Timestamp>::None))
        .filter(held(shard))
        .exec(connection)
        .await?;
    Ok(())
}

fn held(shard: &Shard) -> sea_orm::Condition {
    sea_orm::Condition::all()
        .add(alert_shard::COLUMN.alert_id.eq(shard.alert_id))
        .add(alert_shard::COLUMN.number.eq(shard.number))
        .add(alert_shard::COLUMN.fence.eq(shard.fence))
}

/// Adds what became of a page to an alert's counters.
pub async fn count(
    connection: &impl ConnectionTrait,
    id: Uuid,
    counts: Counts,
) -> Result<(), DbErr> {
    if counts == Counts::default() {
        return Ok(());
    }
    use alert::Column;
    alert::Entity::update_many()
        .col_expr(Column::Accepted, Expr::col(Column::Accepted).add(counts.accepted))
        .col_expr(Column::Gone, Expr::col(Column::Gone).add(counts.gone))
        .col_expr(Column::Failed, Expr::col(Column::Failed).add(counts.failed))
        .filter(alert::COLUMN.id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

/// Writes who has to be tried again.
pub async fn insert_retries(
    connection: &impl ConnectionTrait,
    retries: Vec<(Retry, Option<u16>, Timestamp)>,
) -> Result<(), DbErr> {
    if retries.is_empty() {
        return Ok(());
    }
    let rows = retries.into_iter().map(|(retry, status, due_at)| alert_retry::ActiveModel {
        alert_id: Set(retry.alert_id),
        push_subscription_id: Set(retry.push_subscription_id),
        attempts: Set(retry.attempts),
        last_status: Set(status.map(i32::from)),
        due_at: Set(due_at),
    });
    alert_retry::Entity::insert_many(rows).exec_without_returning(connection).await?;
    Ok(())
}

/// Forgets that these subscriptions had to be tried again.
pub async fn delete_retries(
    connection: &impl ConnectionTrait,
    alert_id: Uuid,
    ids: &[i64],
) -> Result<(), DbErr> {
    alert_retry::Entity::delete_many()
        .filter(alert_retry::COLUMN.alert_id.eq(alert_id))
        .filter(alert_retry::COLUMN.push_subscription_id.is_in(ids.iter().copied()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Keeps claimed retries for longer.
pub async fn keep_retries(
    connection: &impl ConnectionTrait,
    (alert_id, ids): (Uuid, &[i64]),
    until: Timestamp,
) -> Result<(), DbErr> {
    alert_retry::Entity::update_many()
        .col_expr(alert_retry::Column::DueAt, until.into())
        .filter(alert_retry::COLUMN.alert_id.eq(alert_id))
        .filter(alert_retry::COLUMN.push_subscription_id.is_in(ids.iter().copied()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Claims retries of one alert that are due, by making them due again only after the lease.
pub async fn claim_retries(
    connection: &impl ConnectionTrait,
    (now, until): (Timestamp, Timestamp),
    limit: u64,
) -> Result<Vec<Retry>, DbErr> {
    use alert_retry::{COLUMN, Column, Entity};
    let first = Entity::find().filter(COLUMN.due_at.lte(now)).order_by_asc(COLUMN.due_at);
    let Some(first) = first.one(connection).await? else { return Ok(Vec::new()) };
    let due = Query::select()
        .columns([Column::AlertId, Column::PushSubscriptionId])
        .from(Entity)
        .and_where(COLUMN.alert_id.eq(first.alert_id))
        .and_where(COLUMN.due_at.lte(now))
        .order_by(Column::DueAt, sea_orm::Order::Asc)
        .limit(limit)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .to_owned();
    let key = Expr::tuple([Expr::col(Column::AlertId), Expr::col(Column::PushSubscriptionId)]);
    let claim = Query::update()
        .table(Entity)
        .value(Column::DueAt, until)
        .and_where(key.in_subquery(due))
        .returning_all()
        .to_owned();
    let rows = connection.query_all(&claim).await?;
    rows.iter()
        .map(|row| {
            Ok(Retry {
                alert_id: row.try_get("", "alert_id")?,
                push_subscription_id: row.try_get("", "push_subscription_id")?,
                attempts: row.try_get("", "attempts")?,
            })
        })
        .collect()
}

/// Closes an alert whose shards are finished and that has nobody left to try again.
pub async fn finish_if_done(
    connection: &impl ConnectionTrait,
    id: Uuid,
    now: Timestamp,
) -> Result<(), DbErr> {
    // Two workers that end the last two shards at once must not each see the other's as open: who
    // comes second waits here. A weaker lock than FOR UPDATE, which their new retries would block.
    alert::Entity::find_by_id(id).lock(LockType::NoKeyUpdate).one(connection).await?;
    let shards = alert_shard::Entity::find()
        .filter(alert_shard::COLUMN.alert_id.eq(id))
        .filter(alert_shard::COLUMN.finished_at.is_null());
    let retries = alert_retry::Entity::find().filter(alert_retry::COLUMN.alert_id.eq(id));
    if shards.count(connection).await? > 0 || retries.count(connection).await? > 0 {
        return Ok(());
    }
    alert::Entity::update_many()
        .col_expr(alert::Column::State, AlertState::Done.as_str().into())
        .col_expr(alert::Column::FinishedAt, Some(now).into())
        .filter(alert::COLUMN.id.eq(id))
        .filter(alert::COLUMN.state.eq(AlertState::Sending.as_str()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Closes every alert that nobody is left to close: the last reader to be tried again has opted out.
pub async fn finish_abandoned(
    connection: &impl ConnectionTrait,
    now: Timestamp,
) -> Result<(), DbErr> {
    let sending = alert::Entity::find()
        .select_only()
        .column(alert::Column::Id)
        .filter(alert::COLUMN.state.eq(AlertState::Sending.as_str()))
        .order_by_asc(alert::COLUMN.id);
    let sending: Vec<Uuid> = sending.into_tuple().all(connection).await?;
    for id in sending {
        finish_if_done(connection, id, now).await?;
    }
    Ok(())
}

fn shard(row: &QueryResult) -> Result<Shard, DbErr> {
    Ok(Shard {
        alert_id: row.try_get("", "alert_id")?,
        number: row.try_get("", "number")?,
        cursor: row.try_get("", "cursor")?,
        last_id: row.try_get("", "last_id")?,
        fence: row.try_get("", "fence")?,
    })
}

fn from_row(row: alert::Model) -> Result<Alert, DbErr> {
    Ok(Alert {
        id: row.id,
        article_id: row.article_id,
        edition_id: row.edition_id,
        category_id: row.category_id,
        breaking: row.breaking,
        title: row.title,
        body: row.body,
        state: AlertState::from_word(&row.state)
            .ok_or_else(|| unreadable("alert state", &row.state))?,
        urgency: Urgency::from_word(&row.urgency)
            .ok_or_else(|| unreadable("urgency", &row.urgency))?,
        accepted: row.accepted,
        gone: row.gone,
        failed: row.failed,
        created_at: row.created_at,
        expires_at: row.expires_at,
    })
}
