//! Push subscriptions, found by the hash of their endpoint or of their token.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Set, TryInsertResult,
};
use uuid::Uuid;

use super::entities::push_subscription::{ActiveModel, COLUMN, Column, Entity, Model};
use super::entities::push_subscription_category as topic;
use crate::domain::alert::Alert;
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::{Endpoint, EndpointRules, PushKeys, Recipient, Topics};

/// What is known of a subscription besides its topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: i64,
    /// The browser's keys.
    pub keys: PushKeys,
    /// SHA-256 of the token that may change it.
    pub token_hash: Vec<u8>,
}

/// The subscription of an endpoint, locked until the transaction ends.
pub async fn lock_by_endpoint(
    connection: &impl ConnectionTrait,
    endpoint: &Endpoint,
) -> Result<Option<Stored>, DbErr> {
    let find =
        Entity::find().filter(COLUMN.endpoint_hash.eq(endpoint.hash().to_vec())).lock_exclusive();
    find.one(connection).await?.map(stored).transpose()
}

/// Adds a subscription. False when the endpoint has one already, of a transaction that was faster.
pub async fn insert(
    connection: &impl ConnectionTrait,
    (endpoint, keys): (&Endpoint, &PushKeys),
    topics: &Topics,
    token_hash: [u8; 32],
    now: Timestamp,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        edition_id: Set(topics.edition_id),
        endpoint_hash: Set(endpoint.hash().to_vec()),
        token_hash: Set(token_hash.to_vec()),
        endpoint: Set(endpoint.url().to_string()),
        p256dh: Set(keys.p256dh.to_vec()),
        auth: Set(keys.auth.to_vec()),
        breaking_only: Set(topics.breaking_only),
        all_categories: Set(topics.categories.is_empty()),
        generation: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    let insert = Entity::insert(row).on_conflict_do_nothing_on([Column::EndpointHash]);
    let TryInsertResult::Inserted(inserted) = insert.exec(connection).await? else {
        return Ok(false);
    };
    put_topics(connection, inserted.last_insert_id, &topics.categories).await?;
    Ok(true)
}

/// Puts new topics and a new token in place of the old ones; new keys begin a new generation.
pub async fn update(
    connection: &impl ConnectionTrait,
    old: &Stored,
    keys: &PushKeys,
    topics: &Topics,
    (token_hash, now): ([u8; 32], Timestamp),
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(old.id),
        edition_id: Set(topics.edition_id),
        token_hash: Set(token_hash.to_vec()),
        p256dh: Set(keys.p256dh.to_vec()),
        auth: Set(keys.auth.to_vec()),
        breaking_only: Set(topics.breaking_only),
        all_categories: Set(topics.categories.is_empty()),
        updated_at: Set(now),
        ..Default::default()
    };
    row.update(connection).await?;
    if *keys != old.keys {
        Entity::update_many()
            .col_expr(Column::Generation, Expr::col(Column::Generation).add(1))
            .filter(COLUMN.id.eq(old.id))
            .exec(connection)
            .await?;
    }
    topic::Entity::delete_many()
        .filter(topic::COLUMN.push_subscription_id.eq(old.id))
        .exec(connection)
        .await?;
    put_topics(connection, old.id, &topics.categories).await
}

async fn put_topics(
    connection: &impl ConnectionTrait,
    id: i64,
    categories: &[Uuid],
) -> Result<(), DbErr> {
    let rows = categories.iter().map(|category| topic::ActiveModel {
        push_subscription_id: Set(id),
        category_id: Set(*category),
    });
    if categories.is_empty() {
        return Ok(());
    }
    topic::Entity::insert_many(rows).exec_without_returning(connection).await?;
    Ok(())
}

/// Deletes the subscription of a token. Whether there was one is not told.
pub async fn delete_by_token(
    connection: &impl ConnectionTrait,
    token_hash: [u8; 32],
) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(COLUMN.token_hash.eq(token_hash.to_vec()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Locks the subscriptions with these ids until the transaction ends, in order, so that two alerts
/// never wait for each other; those that are still there, each with its generation.
pub async fn lock(
    connection: &impl ConnectionTrait,
    ids: &[i64],
) -> Result<HashMap<i64, i64>, DbErr> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let find = Entity::find()
        .select_only()
        .columns([Column::Id, Column::Generation])
        .filter(COLUMN.id.is_in(ids.iter().copied()))
        .order_by_asc(COLUMN.id)
        .lock_exclusive();
    let living: Vec<(i64, i64)> = find.into_tuple().all(connection).await?;
    Ok(living.into_iter().collect())
}

/// Deletes subscriptions.
pub async fn delete(connection: &impl ConnectionTrait, ids: &[i64]) -> Result<(), DbErr> {
    if !ids.is_empty() {
        let delete = Entity::delete_many().filter(COLUMN.id.is_in(ids.iter().copied()));
        delete.exec(connection).await?;
    }
    Ok(())
}

/// The largest id there is; 0 without subscriptions.
pub async fn last_id(connection: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let last = Entity::find().order_by_desc(COLUMN.id).one(connection).await?;
    Ok(last.map_or(0, |row| row.id))
}

/// A page of an alert's audience: ids after one and up to another, in order.
///
/// `path` is the alert's category with all above it: who chose one of these chose the story.
pub async fn audience(
    connection: &impl ConnectionTrait,
    alert: &Alert,
    path: &[Uuid],
    (after, last): (i64, i64),
    limit: u64,
) -> Result<Vec<Recipient>, DbErr> {
    let chose = Query::select()
        .column(topic::Column::PushSubscriptionId)
        .from(topic::Entity)
        .and_where(topic::COLUMN.category_id.is_in(path.iter().copied()))
        .and_where(topic::COLUMN.push_subscription_id.gt(after))
        .and_where(topic::COLUMN.push_subscription_id.lte(last))
        .to_owned();
    let mut find = Entity::find()
        .filter(COLUMN.id.gt(after))
        .filter(COLUMN.id.lte(last))
        .filter(COLUMN.edition_id.eq(alert.edition_id))
        .filter(
            COLUMN.all_categories.eq(true).or(Expr::col((Entity, Column::Id)).in_subquery(chose)),
        )
        .order_by_asc(COLUMN.id)
        .limit(limit);
    if !alert.breaking {
        find = find.filter(COLUMN.breaking_only.eq(false));
    }
    find.all(connection).await?.into_iter().map(recipient).collect()
}

/// The subscriptions with these ids that are still there.
pub async fn by_ids(
    connection: &impl ConnectionTrait,
    ids: &[i64],
) -> Result<Vec<Recipient>, DbErr> {
    let find = Entity::find().filter(COLUMN.id.is_in(ids.iter().copied()));
    find.all(connection).await?.into_iter().map(recipient).collect()
}

fn keys(p256dh: Vec<u8>, auth: Vec<u8>) -> Result<PushKeys, DbErr> {
    match (p256dh.try_into(), auth.try_into()) {
        (Ok(p256dh), Ok(auth)) => Ok(PushKeys { p256dh, auth }),
        _ => Err(DbErr::Custom("the keys of a push subscription have the wrong length".to_owned())),
    }
}

fn stored(row: Model) -> Result<Stored, DbErr> {
    Ok(Stored { id: row.id, keys: keys(row.p256dh, row.auth)?, token_hash: row.token_hash })
}

fn recipient(row: Model) -> Result<Recipient, DbErr> {
    // What is stored was checked by the rules of its day; the transport checks the address anyway.
    let host =
        url::Url::parse(&row.endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
    let rules = EndpointRules { extra_hosts: host.into_iter().collect(), allow_loopback: true };
    let endpoint = Endpoint::parse(&row.endpoint, &rules).map_err(|fault| {
        DbErr::Custom(format!("the endpoint of push subscription {} {fault}", row.id))
    })?;
    Ok(Recipient {
        id: row.id,
        generation: row.generation,
        endpoint,
        keys: keys(row.p256dh, row.auth)?,
    })
}
