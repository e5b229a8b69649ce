//! The exceptions of a delivery: who has to be tried again.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, Set,
};
use uuid::Uuid;

use super::entities::alert_retry::{ActiveModel, COLUMN, Column, Entity, Model};
use super::push_service;
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;

/// A subscription that an alert has to be tried again for, or was given up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The subscription.
    pub push_subscription_id: i64,
    /// Which push service it belongs to.
    pub service_id: i32,
    /// How often it was tried.
    pub attempts: i32,
    /// The status code of the last answer.
    pub last_status: Option<u16>,
}

impl Retry {
    /// Somebody whose first message has yet to be sent.
    pub fn untried(to: &Recipient) -> Self {
        Self::unsent(to.id, to.service_id)
    }

    /// Somebody to whom nothing was sent.
    pub fn unsent(push_subscription_id: i64, service_id: i32) -> Self {
        Self { push_subscription_id, service_id, attempts: 0, last_status: None }
    }

    /// Somebody whose first message was sent, and answered by nothing that says more.
    pub fn tried(to: &Recipient) -> Self {
        let Recipient { id, service_id, .. } = *to;
        Self { push_subscription_id: id, service_id, attempts: 1, last_status: None }
    }
}

/// Retries of one alert that one worker holds. Another claim of a row takes it away from this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The alert.
    pub alert_id: Uuid,
    /// The push service, of all of them.
    pub service_id: i32,
    /// Nobody else's.
    pub claim: i64,
    /// Until when it is held, unless it is kept for longer.
    pub leased_until: Timestamp,
    /// What is to be tried again.
    pub retries: Vec<Retry>,
}

/// Writes who has to be tried again, and when. Who is to be tried again already stays as it is.
pub async fn insert_all(
    connection: &impl ConnectionTrait,
    alert_id: Uuid,
    retries: Vec<(Retry, Timestamp)>,
) -> Result<(), DbErr> {
    if retries.is_empty() {
        return Ok(());
    }
    let rows = retries.into_iter().map(|(retry, due_at)| ActiveModel {
        alert_id: Set(alert_id),
        push_subscription_id: Set(retry.push_subscription_id),
        attempts: Set(retry.attempts),
        last_status: Set(retry.last_status.map(i32::from)),
        due_at: Set(due_at),
        claim: Set(0),
        service_id: Set(retry.service_id),
    });
    Entity::insert_many(rows)
        .on_conflict(unless_there())
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Who is to be tried again already stays as it is.
pub(super) fn unless_there() -> OnConflict {
    OnConflict::columns([Column::AlertId, Column::PushSubscriptionId]).do_nothing().to_owned()
}

/// Claims retries that are due, of one alert and of one push service but the given ones, by making
/// them due again only after the lease.
pub async fn claim(
    connection: &impl ConnectionTrait,
    (now, until): (Timestamp, Timestamp),
    claim: i64,
    (limit, except): (u64, &[i32]),
) -> Result<Option<Batch>, DbErr> {
    let Some(first) = first_due(connection, now, except).await? else { return Ok(None) };
    let due = Entity::find()
        .filter(COLUMN.alert_id.eq(first.alert_id))
        .filter(COLUMN.service_id.eq(first.service_id))
        .filter(COLUMN.due_at.lte(now))
        .order_by_asc(COLUMN.due_at)
        .limit(limit)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let due = due.all(connection).await?;
    let retries: Vec<Retry> = due
        .into_iter()
        .map(|row| Retry {
            push_subscription_id: row.push_subscription_id,
            service_id: row.service_id,
            attempts: row.attempts,
            last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
        })
        .collect();
    Entity::update_many()
        .col_expr(Column::DueAt, until.into())
        .col_expr(Column::Claim, claim.into())
        .filter(COLUMN.alert_id.eq(first.alert_id))
        .filter(COLUMN.push_subscription_id.is_in(retries.iter().map(|r| r.push_subscription_id)))
        .exec(connection)
        .await?;
    let (alert_id, service_id) = (first.alert_id, first.service_id);
    Ok(Some(Batch { alert_id, service_id, claim, leased_until: until, retries }))
}

/// Who has waited longest, of any push service but the given ones.
async fn first_due(
    connection: &impl ConnectionTrait,
    now: Timestamp,
    except: &[i32],
) -> Result<Option<Model>, DbErr> {
    let due = || Entity::find().filter(COLUMN.due_at.lte(now)).order_by_asc(COLUMN.due_at);
    let first = due().one(connection).await?;
    if first.as_ref().is_none_or(|first| !except.contains(&first.service_id)) {
        return Ok(first);
    }
    // One by one: a million that wait for a closed service are not to be read to find another's.
    let mut found: Vec<Model> = Vec::new();
    for service_id in push_service::ids(connection).await? {
        if !except.contains(&service_id) {
            let of = due().filter(COLUMN.service_id.eq(service_id));
            found.extend(of.one(connection).await?);
        }
    }
    Ok(found.into_iter().min_by_key(|row| row.due_at))
}

/// Keeps a batch for longer. False when nothing of it is left to its holder.
pub async fn keep(
    connection: &impl ConnectionTrait,
    batch: &Batch,
    until: Timestamp,
) -> Result<bool, DbErr> {
    // What somebody has locked is being written down or called back: it is not waited for.
    let mine: Vec<i64> = held(batch)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_tuple()
        .all(connection)
        .await?;
    let kept = Entity::update_many()
        .col_expr(Column::DueAt, until.into())
        .filter(COLUMN.alert_id.eq(batch.alert_id))
        .filter(COLUMN.push_subscription_id.is_in(mine))
        .exec(connection)
        .await?;
    Ok(kept.rows_affected > 0)
}

/// Takes a batch out, to be written anew or not at all. Returns what was still its holder's: of
/// the rest somebody else takes care by now.
pub async fn take(connection: &impl ConnectionTrait, batch: &Batch) -> Result<HashSet<i64>, DbErr> {
    let mine: Vec<i64> = held(batch).lock_exclusive().into_tuple().all(connection).await?;
    Entity::delete_many()
        .filter(COLUMN.alert_id.eq(batch.alert_id))
        .filter(COLUMN.claim.eq(batch.claim))
        .exec(connection)
        .await?;
    Ok(mine.into_iter().collect())
}

/// The subscriptions of a batch that are still its holder's.
fn held(batch: &Batch) -> Select<Entity> {
    Entity::find()
        .select_only()
        .column(Column::PushSubscriptionId)
        .filter(COLUMN.alert_id.eq(batch.alert_id))
        .filter(COLUMN.claim.eq(batch.claim))
        .order_by_asc(COLUMN.push_subscription_id)
}

/// Whether anybody has to be tried again for an alert.
pub async fn any(connection: &impl ConnectionTrait, alert_id: Uuid) -> Result<bool, DbErr> {
    let find = Entity::find().filter(COLUMN.alert_id.eq(alert_id));
    Ok(find.one(connection).await?.is_some())
}

/// Forgets all that had to be tried again for an alert.
pub async fn delete_all(connection: &impl ConnectionTrait, alert_id: Uuid) -> Result<(), DbErr> {
    // In order of the subscriptions, as these take them along when they are deleted.
    let lock = Entity::find()
        .select_only()
        .column(Column::PushSubscriptionId)
        .filter(COLUMN.alert_id.eq(alert_id))
        .order_by_asc(COLUMN.push_subscription_id)
        .lock_exclusive();
    let _locked: Vec<i64> = lock.into_tuple().all(connection).await?;
    Entity::delete_many().filter(COLUMN.alert_id.eq(alert_id)).exec(connection).await?;
    Ok(())
}

/// How many, by the status code of the last answer, of each alert.
pub type Answers = HashMap<Uuid, Vec<(Option<i32>, i64)>>;

/// How many have to be tried again for alerts, by the last answer.
pub async fn waiting(connection: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Answers, DbErr> {
    let find = Entity::find().filter(COLUMN.alert_id.is_in(ids.iter().copied()));
    by_answer(connection, find, (Column::AlertId, Column::LastStatus)).await
}

/// How many there are of each alert, by the last answer.
pub(super) async fn by_answer<E: EntityTrait>(
    connection: &impl ConnectionTrait,
    find: Select<E>,
    (alert, status): (E::Column, E::Column),
) -> Result<Answers, DbErr> {
    let find = find
        .select_only()
        .columns([alert, status])
        .expr_as(Expr::cust("COUNT(*)"), "count")
        .group_by(alert)
        .group_by(status);
    let found: Vec<(Uuid, Option<i32>, i64)> = find.into_tuple().all(connection).await?;
    let mut answers = Answers::new();
    for (id, status, count) in found {
        answers.entry(id).or_default().push((status, count));
    }
    // Databases disagree whether what is missing comes first.
    answers.values_mut().for_each(|answers| answers.sort_unstable());
    Ok(answers)
}
