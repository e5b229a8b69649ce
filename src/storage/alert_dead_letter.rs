//! Who an alert was given up for: kept for a look, and for another try.

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use uuid::Uuid;

use super::alert_retry::{Answers, Retry};
use super::entities::alert_dead_letter::{ActiveModel, COLUMN, Column, Entity};
use super::entities::{alert_retry as retry, push_subscription as subscription};
use super::{alert_retry, alert_shard, push_subscription};
use crate::domain::clock::Timestamp;

/// Writes who was given up.
pub async fn bury(
    connection: &impl ConnectionTrait,
    alert_id: Uuid,
    given_up: Vec<Retry>,
    now: Timestamp,
) -> Result<(), DbErr> {
    if given_up.is_empty() {
        return Ok(());
    }
    let rows = given_up.into_iter().map(|retry| ActiveModel {
        alert_id: Set(alert_id),
        push_subscription_id: Set(retry.push_subscription_id),
        attempts: Set(retry.attempts),
        last_status: Set(retry.last_status.map(i32::from)),
        died_at: Set(now),
    });
    let key = [Column::AlertId, Column::PushSubscriptionId];
    Entity::insert_many(rows)
        .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Forgets who was given up for an alert. Returns how many they are.
pub async fn exhume(connection: &impl ConnectionTrait, alert_id: Uuid) -> Result<i64, DbErr> {
    let of = COLUMN.alert_id.eq(alert_id);
    let gone = delete_dead(connection, of).await?;
    Ok(i64::try_from(gone).unwrap_or(i64::MAX))
}

/// Forgets who was given up before an instant.
pub async fn purge(connection: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    delete_dead(connection, COLUMN.died_at.lt(before)).await
}

/// Deletes dead letters, in order of the subscriptions, as these take them along when they are deleted.
async fn delete_dead(connection: &impl ConnectionTrait, which: Expr) -> Result<u64, DbErr> {
    let lock = Entity::find()
        .select_only()
        .column(Column::PushSubscriptionId)
        .filter(which.clone())
        .order_by_asc(COLUMN.push_subscription_id)
        .lock_exclusive();
    let _locked: Vec<i64> = lock.into_tuple().all(connection).await?;
    let delete = Entity::delete_many().filter(which);
    Ok(delete.exec(connection).await?.rows_affected)
}

/// Brings those who were given up back, to be tried again at once. Returns how many they are.
pub async fn revive(
    connection: &impl ConnectionTrait,
    alert_id: Uuid,
    now: Timestamp,
) -> Result<i64, DbErr> {
    use retry::Column as Again;
    use subscription::Column as Subscription;
    let dead = || Query::select().from(Entity).and_where(COLUMN.alert_id.eq(alert_id)).to_owned();
    // Before what depends on them, as whoever deletes a subscription does.
    let theirs = dead().column(Column::PushSubscriptionId).to_owned();
    push_subscription::lock_those(connection, Expr::col(Subscription::Id).in_subquery(theirs))
        .await?;
    let of_subscription = |column: Subscription| Expr::col((subscription::Entity, column));
    let retries = dead()
        .columns([Column::AlertId, Column::PushSubscriptionId])
        .expr(Expr::value(0))
        .column(Column::LastStatus)
        .expr(Expr::value(now))
        .expr(Expr::value(0_i64))
        .expr(of_subscription(Subscription::ServiceId))
        .inner_join(
            subscription::Entity,
            of_subscription(Subscription::Id).eq(Expr::col(Column::PushSubscriptionId)),
        )
        .to_owned();
    let insert = Query::insert()
        .into_table(retry::Entity)
        .columns([
            Again::AlertId,
            Again::PushSubscriptionId,
            Again::Attempts,
            Again::LastStatus,
            Again::DueAt,
            Again::Claim,
            Again::ServiceId,
        ])
        .select_from(retries)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .on_conflict(alert_retry::unless_there())
        .to_owned();
    connection.execute(&insert).await?;
    exhume(connection, alert_id).await
}

/// How many were given up for alerts, by the last answer. Those to whom nothing was sent before it grew old
/// are among those without one.
pub async fn buried(connection: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Answers, DbErr> {
    let of = COLUMN.alert_id.is_in(ids.iter().copied());
    let find = Entity::find().filter(of);
    let mut buried =
        alert_retry::by_answer(connection, find, (Column::AlertId, Column::LastStatus)).await?;
    for (id, missed) in alert_shard::missed(connection, ids).await? {
        let answers = buried.entry(id).or_default();
        match answers.iter_mut().find(|(status, _)| status.is_none()) {
            Some((_, count)) => *count += missed,
            None => answers.insert(0, (None, missed)),
        }
    }
    Ok(buried)
}
