//! How far alerts have come: rounds that begin, pages that are counted, deliveries that end.

use sea_orm::sea_query::{Expr, ExprTrait, LockType};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::entities::alert;
use super::{alert_retry, alert_shard, unreadable};
use crate::domain::alert::{AlertState, Counts};
use crate::domain::clock::Timestamp;

/// Locks an alert until the transaction ends, and answers its state and its latest round.
///
/// Whoever writes down what became of messages takes this lock first, then shards, then subscriptions
/// in order of their ids, then retries: as does who calls the alert back or corrects it, so that
/// neither waits for the other for ever, and no page adds to a round that is over.
pub async fn lock_round(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<(AlertState, i32)>, DbErr> {
    let find = alert::Entity::find_by_id(id)
        .select_only()
        .columns([alert::Column::State, alert::Column::Round])
        .lock(LockType::NoKeyUpdate);
    let row: Option<(String, i32)> = find.into_tuple().one(connection).await?;
    let state =
        |word: &str| AlertState::from_word(word).ok_or_else(|| unreadable("alert state", word));
    row.map(|(word, round)| Ok((state(&word)?, round))).transpose()
}

/// Whether a round of an alert is on its way.
pub async fn is_sending(
    connection: &impl ConnectionTrait,
    id: Uuid,
    round: i32,
) -> Result<bool, DbErr> {
    let find = alert::Entity::find_by_id(id)
        .filter(alert::COLUMN.state.eq(AlertState::Sending.as_str()))
        .filter(alert::COLUMN.round.eq(round));
    Ok(find.one(connection).await?.is_some())
}

/// Sets an alert on its way: its round begins now.
pub async fn start(
    connection: &impl ConnectionTrait,
    id: Uuid,
    now: Timestamp,
) -> Result<(), DbErr> {
    use alert::Column;
    let first = Expr::col(Column::StartedAt).if_null(Expr::value(now));
    alert::Entity::update_many()
        .col_expr(Column::DealtBefore, dealt())
        .col_expr(Column::DealtAtStart, dealt())
        .col_expr(Column::State, AlertState::Sending.as_str().into())
        .col_expr(Column::StartedAt, first)
        .col_expr(Column::RoundStartedAt, Some(now).into())
        .filter(alert::COLUMN.id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

/// Calls an alert back: whoever has not been told by now is not told.
pub async fn call_back(
    connection: &impl ConnectionTrait,
    id: Uuid,
    now: Timestamp,
) -> Result<(), DbErr> {
    alert::Entity::update_many()
        .col_expr(alert::Column::State, AlertState::Cancelled.as_str().into())
        .col_expr(alert::Column::FinishedAt, Some(now).into())
        .filter(alert::COLUMN.id.eq(id))
        .exec(connection)
        .await?;
    end_delivery(connection, id, now).await
}

/// Ends what is under way of a delivery. Who holds a page may still write it down.
pub async fn end_delivery(
    connection: &impl ConnectionTrait,
    id: Uuid,
    now: Timestamp,
) -> Result<(), DbErr> {
    alert_shard::finish_all(connection, id, now).await?;
    alert_retry::delete_all(connection, id).await
}

/// Makes an alert that is over news again, for those who are to be tried again.
pub async fn reopen(
    connection: &impl ConnectionTrait,
    id: Uuid,
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<(), DbErr> {
    use alert::Column;
    alert::Entity::update_many()
        .col_expr(Column::State, AlertState::Sending.as_str().into())
        .col_expr(Column::RoundStartedAt, Some(now).into())
        .col_expr(Column::DealtAtStart, dealt())
        .col_expr(Column::ExpiresAt, expires_at.into())
        .col_expr(Column::FinishedAt, Expr::value(Option::<Timestamp>::None))
        .filter(alert::COLUMN.id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

/// Lets an alert that was done go on, for those of an earlier round who have to be told anew.
pub async fn go_on(connection: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    use alert::Column;
    alert::Entity::update_many()
        .col_expr(Column::State, AlertState::Sending.as_str().into())
        .col_expr(Column::FinishedAt, Expr::value(Option::<Timestamp>::None))
        .filter(alert::COLUMN.id.eq(id))
        .filter(alert::COLUMN.state.eq(AlertState::Done.as_str()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Adds what became of a page to an alert's counters; `late` when its round was over by then.
pub async fn count(
    connection: &impl ConnectionTrait,
    id: Uuid,
    (counts, late): (Counts, bool),
) -> Result<(), DbErr> {
    if counts == Counts::default() {
        return Ok(());
    }
    use alert::Column;
    let before = if late { counts.total() } else { 0 };
    alert::Entity::update_many()
        .col_expr(Column::DealtBefore, Expr::col(Column::DealtBefore).add(before))
        .col_expr(Column::DealtAtStart, Expr::col(Column::DealtAtStart).add(before))
        .col_expr(Column::Accepted, Expr::col(Column::Accepted).add(counts.accepted))
        .col_expr(Column::Gone, Expr::col(Column::Gone).add(counts.gone))
        .col_expr(Column::Failed, Expr::col(Column::Failed).add(counts.failed))
        .col_expr(Column::Suppressed, Expr::col(Column::Suppressed).add(counts.suppressed))
        .filter(alert::COLUMN.id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
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
    if alert_shard::any_open(connection, id).await? || alert_retry::any(connection, id).await? {
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

/// The alerts that are on their way. The last reader to be tried again may have opted out, and nobody be left
/// to close them.
pub async fn sending(connection: &impl ConnectionTrait) -> Result<Vec<Uuid>, DbErr> {
    let sending = alert::Entity::find()
        .select_only()
        .column(alert::Column::Id)
        .filter(alert::COLUMN.state.eq(AlertState::Sending.as_str()))
        .order_by_asc(alert::COLUMN.id);
    sending.into_tuple().all(connection).await
}

/// How many have been dealt with in all rounds.
fn dealt() -> Expr {
    use alert::Column;
    let parts = [Column::Accepted, Column::Gone, Column::Failed, Column::Suppressed];
    parts.into_iter().map(Expr::col).reduce(ExprTrait::add).unwrap_or_else(|| Expr::value(0))
}
