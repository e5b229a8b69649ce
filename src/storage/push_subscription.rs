//! Push subscriptions, found by the hash of their endpoint or of their token.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Set, TryInsertResult,
};
use uuid::Uuid;

use super::audience::chosen;
use super::browser::{Browser, opened, pack, place};
use super::entities::push_subscription::{ActiveModel, COLUMN, Column, Entity, Model};
use super::entities::{push_subscription_category as category, push_subscription_tag as tag};
use super::{Vault, push_service, unreadable};
use crate::domain::audience::{Manners, Topics};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::PushKeys;
use crate::domain::quiet_hours::QuietHours;

/// What is known of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: i64,
    /// Which push service it belongs to.
    pub service_id: i32,
    /// SHA-256 of its endpoint, or what stands in for it.
    pub endpoint_hash: Vec<u8>,
    /// The browser's keys; `None` of a decoy, and when they were sealed by a key that is lost.
    pub keys: Option<PushKeys>,
    /// Which VAPID key it subscribed with.
    pub vapid_key_id: i32,
    /// What the reader wants to hear of.
    pub topics: Topics,
    /// When the reader may be alerted.
    pub manners: Manners,
    /// Since when these hours are quiet, if they have been others.
    pub quiet_since: Option<Timestamp>,
    /// When the reader opted in.
    pub created_at: Timestamp,
}

/// The subscription of a token.
pub async fn by_token(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    token_hash: [u8; 32],
) -> Result<Option<Stored>, DbErr> {
    let find = Entity::find().filter(COLUMN.token_hash.eq(token_hash.to_vec()));
    let Some(mut row) = find.one(connection).await? else { return Ok(None) };
    let keys = keys_of(connection, vault, &mut row).await;
    with_choice_of(connection, row, keys).await.map(Some)
}

/// Adds a subscription. False when the endpoint has one already, of a transaction that was faster.
pub async fn insert(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    browser: &Browser,
    choice: (&Topics, &Manners),
    token: ([u8; 32], Timestamp),
) -> Result<bool, DbErr> {
    let row = with_browser(connection, vault, browser).await?;
    insert_row(connection, row, choice, token).await
}

pub(super) async fn insert_row(
    connection: &impl ConnectionTrait,
    row: ActiveModel,
    (topics, manners): (&Topics, &Manners),
    (token_hash, now): ([u8; 32], Timestamp),
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        token_hash: Set(token_hash.to_vec()),
        generation: Set(1),
        created_at: Set(now),
        placed_at: Set(Some(now)),
        updated_at: Set(now),
        ..with_choice(row, topics, manners)?
    };
    let insert = Entity::insert(row).on_conflict_do_nothing_on([Column::EndpointHash]);
    let TryInsertResult::Inserted(inserted) = insert.exec(connection).await? else {
        return Ok(false);
    };
    put_topics(connection, inserted.last_insert_id, topics).await?;
    Ok(true)
}

/// Puts a browser's address and keys in place of the old ones; it has been of the address since an instant.
/// What is new begins a new generation.
pub async fn move_to(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    old: &Stored,
    browser: &Browser,
    (placed_at, now): (Timestamp, Timestamp),
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(old.id),
        placed_at: Set(Some(placed_at)),
        updated_at: Set(now),
        ..with_browser(connection, vault, browser).await?
    };
    row.update(connection).await?;
    let is_new = old.endpoint_hash != browser.endpoint.hash();
    if is_new || old.keys.as_ref() != Some(&browser.keys) {
        Entity::update_many()
            .col_expr(Column::Generation, Expr::col(Column::Generation).add(1))
            .filter(COLUMN.id.eq(old.id))
            .exec(connection)
            .await?;
    }
    Ok(())
}

/// Puts what a reader chose in place of what the reader chose before.
pub async fn choose(
    connection: &impl ConnectionTrait,
    old: &Stored,
    topics: &Topics,
    manners: &Manners,
    now: Timestamp,
) -> Result<(), DbErr> {
    let id = old.id;
    let mut row =
        ActiveModel { id: Set(id), updated_at: Set(now), ..<ActiveModel as Default>::default() };
    if manners.is_quiet_otherwise(&old.manners) {
        row.quiet_since = Set(Some(now));
    }
    with_choice(row, topics, manners)?.update(connection).await?;
    let of = category::COLUMN.push_subscription_id.eq(id);
    category::Entity::delete_many().filter(of).exec(connection).await?;
    let of = tag::COLUMN.push_subscription_id.eq(id);
    tag::Entity::delete_many().filter(of).exec(connection).await?;
    put_topics(connection, id, topics).await
}

/// Puts a new token in place of the old one.
pub async fn renew_token(
    connection: &impl ConnectionTrait,
    id: i64,
    token_hash: [u8; 32],
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(id),
        token_hash: Set(token_hash.to_vec()),
        ..<ActiveModel as Default>::default()
    };
    row.update(connection).await?;
    Ok(())
}

async fn put_topics(
    connection: &impl ConnectionTrait,
    id: i64,
    topics: &Topics,
) -> Result<(), DbErr> {
    if !topics.categories.is_empty() {
        let rows = topics.categories.iter().map(|chosen| category::ActiveModel {
            push_subscription_id: Set(id),
            category_id: Set(*chosen),
        });
        category::Entity::insert_many(rows).exec_without_returning(connection).await?;
    }
    if !topics.tags.is_empty() {
        let rows = topics
            .tags
            .iter()
            .map(|chosen| tag::ActiveModel { push_subscription_id: Set(id), tag_id: Set(*chosen) });
        tag::Entity::insert_many(rows).exec_without_returning(connection).await?;
    }
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

/// The edition that a subscription was made for.
pub async fn edition_of(connection: &impl ConnectionTrait, id: i64) -> Result<Option<Uuid>, DbErr> {
    let find = Entity::find_by_id(id).select_only().column(Column::EditionId);
    find.into_tuple().one(connection).await
}

/// How many there are, those of an older version that are not sealed among them; decoys are none.
pub async fn count(connection: &impl ConnectionTrait) -> Result<u64, DbErr> {
    Entity::find().filter(COLUMN.decoy_keys.is_null()).count(connection).await
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
    lock_those(connection, COLUMN.id.is_in(ids.iter().copied())).await
}

/// Locks subscriptions as [`lock`] does.
pub(super) async fn lock_those(
    connection: &impl ConnectionTrait,
    which: Expr,
) -> Result<HashMap<i64, i64>, DbErr> {
    let find = Entity::find()
        .select_only()
        .columns([Column::Id, Column::Generation])
        .filter(which)
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

async fn with_browser(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    browser: &Browser,
) -> Result<ActiveModel, DbErr> {
    let hash = browser.endpoint.hash();
    let PushKeys { p256dh, auth } = &browser.keys;
    let plain = pack(p256dh, auth, browser.endpoint.url().as_str());
    let sealed = vault.sealer(connection).await?.seal(&place(&hash), &plain)?;
    Ok(ActiveModel {
        service_id: Set(push_service::id_of(connection, &browser.service).await?),
        endpoint_hash: Set(hash.to_vec()),
        sealed: Set(Some(sealed.bytes)),
        key_id: Set(sealed.key_id),
        vapid_key_id: Set(browser.vapid_key_id),
        decoy_keys: Set(None),
        ..<ActiveModel as Default>::default()
    })
}

fn with_choice(row: ActiveModel, topics: &Topics, manners: &Manners) -> Result<ActiveModel, DbErr> {
    let number = |minutes: u16| i16::try_from(minutes).map_err(|e| DbErr::Custom(e.to_string()));
    let quiet = manners.quiet;
    Ok(ActiveModel {
        edition_id: Set(topics.edition_id),
        breaking_only: Set(topics.breaking_only),
        all_categories: Set(topics.are_all()),
        quiet_from: Set(quiet.map(|quiet| number(quiet.from())).transpose()?),
        quiet_until: Set(quiet.map(|quiet| number(quiet.until())).transpose()?),
        time_zone: Set(quiet.map(|quiet| quiet.time_zone().name().to_owned())),
        breaking_always: Set(manners.breaking_always),
        max_per_day: Set(manners.max_per_day.map(number).transpose()?),
        ..row
    })
}

/// The keys of a row's browser; `None` of a decoy, and when they cannot be opened any more: whoever has the
/// token may put new ones in their place.
pub(super) async fn keys_of(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    row: &mut Model,
) -> Option<PushKeys> {
    row.sealed.as_ref()?;
    match opened(connection, vault, row).await {
        Ok((keys, _)) => Some(keys),
        Err(error) => {
            tracing::warn!(id = row.id, %error, "a push subscription cannot be opened");
            None
        }
    }
}

/// A row with what its reader chose.
pub(super) async fn with_choice_of(
    connection: &impl ConnectionTrait,
    row: Model,
    keys: Option<PushKeys>,
) -> Result<Stored, DbErr> {
    let (categories, tags) =
        chosen(connection, &[row.id]).await?.remove(&row.id).unwrap_or_default();
    Ok(Stored {
        topics: topics(&row, categories, tags),
        manners: manners(&row)?,
        quiet_since: row.quiet_since,
        id: row.id,
        service_id: row.service_id,
        endpoint_hash: row.endpoint_hash,
        keys,
        vapid_key_id: row.vapid_key_id,
        created_at: row.created_at,
    })
}

pub(super) fn topics(row: &Model, categories: Vec<Uuid>, tags: Vec<Uuid>) -> Topics {
    Topics { edition_id: row.edition_id, categories, tags, breaking_only: row.breaking_only }
}

pub(super) fn manners(row: &Model) -> Result<Manners, DbErr> {
    let quiet = match (row.quiet_from, row.quiet_until, &row.time_zone) {
        (Some(from), Some(until), Some(zone)) => {
            let time = |minutes: i16| u16::try_from(minutes).unwrap_or(u16::MAX);
            let zone = zone.parse().map_err(|_| unreadable("time zone", zone))?;
            QuietHours::new(time(from), time(until), zone)
        }
        _ => None,
    };
    Ok(Manners {
        quiet,
        max_per_day: row.max_per_day.and_then(|most| u16::try_from(most).ok()),
        breaking_always: row.breaking_always,
    })
}
