//! Shards: ranges of push subscriptions that one worker delivers.

use std::collections::{BTreeMap, HashMap};

use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, Order, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Set,
};
use uuid::Uuid;

use super::entities::alert;
use super::entities::alert_shard::{ActiveModel, COLUMN, Column, Entity, Model};
use crate::domain::clock::Timestamp;

/// A shard that one worker holds, under a fence that nobody else has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// The alert.
    pub alert_id: Uuid,
    /// Which of its shards.
    pub number: i32,
    /// Which round of the alert.
    pub round: i32,
    /// Whose subscriptions.
    pub service_id: i32,
    /// The last subscription that was dealt with.
    pub cursor: i64,
    /// The last subscription of the shard.
    pub last_id: i64,
    /// For a wave: when the quiet hours end of those whom it reaches.
    pub due_at: Option<Timestamp>,
    /// Grows with each claim: an older holder's writes are refused.
    pub fence: i64,
    /// Until when it is held, unless it is kept for longer.
    pub leased_until: Timestamp,
    /// 0 of the most urgent alerts.
    pub priority: i16,
}

/// Adds the shards of a round: push services, each with a range (after, last].
pub async fn insert_all(
    connection: &impl ConnectionTrait,
    (alert_id, round, priority): (Uuid, i32, i16),
    ranges: &[(i32, (i64, i64))],
) -> Result<(), DbErr> {
    let first = next_numbers(connection, alert_id, ranges.len()).await?;
    let rows: Vec<_> = (first..)
        .zip(ranges)
        .map(|(number, (service_id, range))| ActiveModel {
            priority: Set(priority),
            ..row((alert_id, number), round, *service_id, *range)
        })
        .collect();
    for chunk in rows.chunks(1_000) {
        Entity::insert_many(chunk.to_vec()).exec_without_returning(connection).await?;
    }
    Ok(())
}

/// The open shards that have yet to come to a subscription of a push service: of each alert the times of
/// its waves, and `None` for its first pass.
pub async fn ahead_of(
    connection: &impl ConnectionTrait,
    (service_id, push_subscription_id): (i32, i64),
) -> Result<BTreeMap<Uuid, Vec<Option<Timestamp>>>, DbErr> {
    let find = Entity::find()
        .select_only()
        .columns([Column::AlertId, Column::DueAt])
        .filter(COLUMN.finished_at.is_null())
        .filter(COLUMN.service_id.eq(service_id))
        .filter(COLUMN.cursor.lt(push_subscription_id))
        .filter(COLUMN.last_id.gte(push_subscription_id));
    let mut ahead: BTreeMap<Uuid, Vec<Option<Timestamp>>> = BTreeMap::new();
    let found: Vec<(Uuid, Option<Timestamp>)> = find.into_tuple().all(connection).await?;
    for (alert_id, due_at) in found {
        ahead.entry(alert_id).or_default().push(due_at);
    }
    Ok(ahead)
}

/// Takes numbers for new shards of an alert, and the alert's row lock with them: two workers that
/// add a wave at once come one after the other.
pub(super) async fn next_numbers(
    connection: &impl ConnectionTrait,
    alert_id: Uuid,
    count: usize,
) -> Result<i32, DbErr> {
    let count = i32::try_from(count).map_err(|error| DbErr::Custom(error.to_string()))?;
    let taken = alert::Entity::update_many()
        .col_expr(alert::Column::Waves, Expr::col(alert::Column::Waves).add(count))
        .filter(alert::COLUMN.id.eq(alert_id))
        .exec_with_returning(connection)
        .await?;
    Ok(taken.first().map_or(0, |alert| alert.waves - count))
}

pub(super) fn row(
    (alert_id, number): (Uuid, i32),
    round: i32,
    service_id: i32,
    (cursor, last): (i64, i64),
) -> ActiveModel {
    ActiveModel {
        alert_id: Set(alert_id),
        number: Set(number),
        round: Set(round),
        cursor: Set(cursor),
        last_id: Set(last),
        fence: Set(0),
        leased_until: Set(None),
        finished_at: Set(None),
        due_at: Set(None),
        priority: Set(1),
        service_id: Set(service_id),
        missed: Set(0),
    }
}

/// Claims an open shard that is due and that nobody holds, of any push service but the given ones: of
/// the most urgent alerts, the oldest's. A correction waits for pages of an earlier round that are in
/// hand: its words must be the last to arrive. A wave waits for the first pass that it follows.
///
/// Two statements: a subquery that locks may be run again for each row of an update around it.
pub async fn claim(
    connection: &impl ConnectionTrait,
    due: Timestamp,
    (now, until): (Timestamp, Timestamp),
    except: &[i32],
) -> Result<Option<Shard>, DbErr> {
    let free = Entity::find()
        .filter(COLUMN.service_id.is_not_in(except.iter().copied()))
        .filter(COLUMN.finished_at.is_null())
        .filter(COLUMN.leased_until.is_null().or(COLUMN.leased_until.lt(now)))
        .filter(COLUMN.due_at.is_null().or(COLUMN.due_at.lte(due)))
        .filter(Expr::exists(earlier_in_hand(now)).not())
        .filter(Expr::exists(open_first_pass()).not())
        .order_by(Column::Priority, Order::Asc)
        // Ids sort by age.
        .order_by(Column::AlertId, Order::Asc)
        .order_by(Column::Number, Order::Asc)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let Some(free) = free.one(connection).await? else { return Ok(None) };
    let claimed = shard(free, until);
    Entity::update_many()
        .col_expr(Column::LeasedUntil, Some(until).into())
        .col_expr(Column::Fence, claimed.fence.into())
        .filter(COLUMN.alert_id.eq(claimed.alert_id))
        .filter(COLUMN.number.eq(claimed.number))
        .exec(connection)
        .await?;
    Ok(Some(claimed))
}

/// Shards of an earlier round of the same alert, for the same push service, that somebody holds.
fn earlier_in_hand(now: Timestamp) -> SelectStatement {
    let earlier = |column: Column| Expr::col(("earlier", column));
    let of_this = |column: Column| Expr::col((Entity, column));
    Query::select()
        .expr(Expr::value(1))
        .from_as(Entity, "earlier")
        .and_where(earlier(Column::AlertId).eq(of_this(Column::AlertId)))
        .and_where(earlier(Column::Round).lt(of_this(Column::Round)))
        .and_where(earlier(Column::ServiceId).eq(of_this(Column::ServiceId)))
        .and_where(earlier(Column::LeasedUntil).gte(now))
        .to_owned()
}

/// The first pass over what a wave follows, while it is not over.
fn open_first_pass() -> SelectStatement {
    let first = |column: Column| Expr::col(("first_pass", column));
    let of_this = |column: Column| Expr::col((Entity, column));
    Query::select()
        .expr(Expr::value(1))
        .from_as(Entity, "first_pass")
        .and_where(of_this(Column::DueAt).is_not_null())
        .and_where(first(Column::AlertId).eq(of_this(Column::AlertId)))
        .and_where(first(Column::Round).eq(of_this(Column::Round)))
        .and_where(first(Column::ServiceId).eq(of_this(Column::ServiceId)))
        .and_where(first(Column::LastId).eq(of_this(Column::LastId)))
        .and_where(first(Column::DueAt).is_null())
        .and_where(first(Column::FinishedAt).is_null())
        .to_owned()
}

/// Whether a shard of a more urgent alert waits for the same push service, which nobody holds.
pub async fn is_outranked(
    connection: &impl ConnectionTrait,
    shard: &Shard,
    (due, now): (Timestamp, Timestamp),
) -> Result<bool, DbErr> {
    if shard.priority == 0 {
        return Ok(false);
    }
    let urgent = Entity::find()
        .filter(COLUMN.service_id.eq(shard.service_id))
        .filter(COLUMN.finished_at.is_null())
        .filter(COLUMN.priority.lt(shard.priority))
        .filter(COLUMN.leased_until.is_null().or(COLUMN.leased_until.lt(now)))
        .filter(COLUMN.due_at.is_null().or(COLUMN.due_at.lte(due)))
        .filter(Expr::exists(earlier_in_hand(now)).not())
        .filter(Expr::exists(open_first_pass()).not());
    Ok(urgent.one(connection).await?.is_some())
}

/// Keeps a shard for longer, and answers until when. `None` when somebody else has it by now, or nobody: for
/// one that was given back, a correction would wait.
pub async fn extend_lease(
    connection: &impl ConnectionTrait,
    shard: &Shard,
    (now, until): (Timestamp, Timestamp),
) -> Result<Option<Timestamp>, DbErr> {
    let mine = || Entity::find().filter(held(shard)).filter(COLUMN.leased_until.is_not_null());
    let free = mine().lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    if free.one(connection).await?.is_none() {
        // Somebody may have it locked, to write a page down or to call the alert back: it is not waited for.
        let locked = mine().filter(COLUMN.leased_until.gt(now)).one(connection).await?;
        return Ok(locked.and_then(|row| row.leased_until));
    }
    let update = Entity::update_many().col_expr(Column::LeasedUntil, Some(until).into());
    let kept = update.filter(held(shard)).exec(connection).await?;
    Ok((kept.rows_affected == 1).then_some(until))
}

/// Moves a shard's cursor behind a page that was dealt with, and keeps the shard for longer, unless
/// that was the last one. False when somebody else has it.
pub async fn advance(
    connection: &impl ConnectionTrait,
    shard: &Shard,
    cursor: i64,
    (now, until): (Timestamp, Timestamp),
) -> Result<bool, DbErr> {
    let ends = cursor >= shard.last_id;
    let mut update = Entity::update_many()
        .col_expr(Column::Cursor, cursor.into())
        .col_expr(Column::LeasedUntil, Expr::value((!ends).then_some(until)));
    if ends {
        update = update.col_expr(Column::FinishedAt, Some(now).into());
    }
    // From where it stands: what was written down already is not written down again.
    let update = update.filter(held(shard)).filter(COLUMN.cursor.eq(shard.cursor));
    Ok(update.exec(connection).await?.rows_affected == 1)
}

/// Whether a shard that is still its holder's stands at a place.
pub async fn stands_at(
    connection: &impl ConnectionTrait,
    shard: &Shard,
    cursor: i64,
) -> Result<bool, DbErr> {
    let find = Entity::find().filter(held(shard)).filter(COLUMN.cursor.eq(cursor));
    Ok(find.one(connection).await?.is_some())
}

/// Ends a shard whose news has grown old where it stands, and notes how many it has not come to. False
/// when somebody else has it.
pub async fn miss(
    connection: &impl ConnectionTrait,
    shard: &Shard,
    missed: i64,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::Missed, missed.into())
        .col_expr(Column::FinishedAt, Some(now).into())
        .col_expr(Column::LeasedUntil, Expr::value(Option::<Timestamp>::None));
    let update = update.filter(held(shard)).filter(COLUMN.missed.eq(0));
    Ok(update.exec(connection).await?.rows_affected == 1)
}

/// How many alerts have not come to before they grew old.
pub async fn missed(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, i64>, DbErr> {
    let find = Entity::find()
        .select_only()
        .columns([Column::AlertId, Column::Missed])
        .filter(COLUMN.alert_id.is_in(ids.iter().copied()))
        .filter(COLUMN.missed.gt(0));
    let found: Vec<(Uuid, i64)> = find.into_tuple().all(connection).await?;
    let mut missed = HashMap::new();
    for (id, count) in found {
        *missed.entry(id).or_default() += count;
    }
    Ok(missed)
}

/// Forgets how many an alert has not come to; answers how many they are. Its shards may go on from where
/// they stand if it is news again.
pub async fn forget_missed(
    connection: &impl ConnectionTrait,
    alert_id: Uuid,
    goes_on: bool,
) -> Result<i64, DbErr> {
    let missed = missed(connection, &[alert_id]).await?.remove(&alert_id).unwrap_or_default();
    let mut update = Entity::update_many().col_expr(Column::Missed, 0_i64.into());
    if goes_on {
        let open = Expr::value(Option::<Timestamp>::None);
        update = update.col_expr(Column::FinishedAt, open);
    }
    let of = update.filter(COLUMN.alert_id.eq(alert_id)).filter(COLUMN.missed.gt(0));
    of.exec(connection).await?;
    Ok(missed)
}

/// Forgets the shards of alerts that were over before an instant.
pub async fn purge(connection: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    let over = Query::select()
        .column(alert::Column::Id)
        .from(alert::Entity)
        .and_where(alert::COLUMN.finished_at.lt(before))
        .to_owned();
    let of = Expr::col(Column::AlertId).in_subquery(over);
    Ok(Entity::delete_many().filter(of).exec(connection).await?.rows_affected)
}

/// Gives a shard back, so that another worker need not wait for the lease to end.
pub async fn release(connection: &impl ConnectionTrait, shard: &Shard) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::LeasedUntil, Expr::value(Option::<Timestamp>::None))
        .filter(held(shard))
        .exec(connection)
        .await?;
    Ok(())
}

/// Ends every open shard of an alert. Who holds one keeps it until the page in hand is written down.
pub async fn finish_all(
    connection: &impl ConnectionTrait,
    alert_id: Uuid,
    now: Timestamp,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::FinishedAt, Some(now).into())
        .filter(COLUMN.alert_id.eq(alert_id))
        .filter(COLUMN.finished_at.is_null())
        .exec(connection)
        .await?;
    Ok(())
}

/// Whether a shard of an alert is still to be delivered.
pub async fn any_open(connection: &impl ConnectionTrait, alert_id: Uuid) -> Result<bool, DbErr> {
    let open =
        Entity::find().filter(COLUMN.alert_id.eq(alert_id)).filter(COLUMN.finished_at.is_null());
    Ok(open.one(connection).await?.is_some())
}

fn held(shard: &Shard) -> Condition {
    Condition::all()
        .add(Column::AlertId.eq(shard.alert_id))
        .add(Column::Number.eq(shard.number))
        .add(Column::Fence.eq(shard.fence))
}

fn shard(row: Model, leased_until: Timestamp) -> Shard {
    Shard {
        leased_until,
        alert_id: row.alert_id,
        number: row.number,
        round: row.round,
        service_id: row.service_id,
        cursor: row.cursor,
        last_id: row.last_id,
        due_at: row.due_at,
        fence: row.fence + 1,
        priority: row.priority,
    }
}
