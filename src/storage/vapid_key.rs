//! The newsroom's VAPID key pairs: browsers subscribe with the newest, and the older ones serve
//! those who subscribed with them.

use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

use super::entities::push_subscription;
use super::entities::vapid_key::{ActiveModel, COLUMN, Column, Entity, Model};
use super::{Sealed, Vault};
use crate::domain::clock::Timestamp;

/// The public key that browsers subscribe with, and its id; `None` before the first start.
pub async fn newest(connection: &impl ConnectionTrait) -> Result<Option<(i32, String)>, DbErr> {
    let find = Entity::find().select_only().columns([Column::Id, Column::PublicKey]);
    find.order_by_desc(COLUMN.id).into_tuple().one(connection).await
}

/// The id of a public key.
pub async fn id_of(
    connection: &impl ConnectionTrait,
    public_key: &str,
) -> Result<Option<i32>, DbErr> {
    let find = Entity::find().select_only().column(Column::Id);
    find.filter(COLUMN.public_key.eq(public_key)).into_tuple().one(connection).await
}

/// The key pair with an id, as it was handed over; `None` when there is none.
pub async fn open(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    id: i32,
) -> Result<Option<String>, DbErr> {
    let Some(row) = Entity::find_by_id(id).one(connection).await? else { return Ok(None) };
    let place = place(&row.public_key);
    let sealed = Sealed { key_id: row.key_id, bytes: row.sealed };
    let plain = vault.open(connection, &place, sealed).await?;
    let pair = String::from_utf8(plain);
    pair.map(Some).map_err(|_| DbErr::Custom(format!("VAPID key {id} is damaged")))
}

/// Adds a key pair, which browsers subscribe with from now on. Answers its id.
pub async fn insert(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    (public_key, pair): (&str, &str),
    now: Timestamp,
) -> Result<i32, DbErr> {
    let sealer = vault.sealer(connection).await?;
    let sealed = sealer.seal(&place(public_key), pair.as_bytes())?;
    let row = ActiveModel {
        public_key: Set(public_key.to_owned()),
        sealed: Set(sealed.bytes),
        key_id: Set(sealed.key_id),
        created_at: Set(now),
        ..Default::default()
    };
    Ok(Entity::insert(row).exec(connection).await?.last_insert_id)
}

/// Seals every key pair that can be opened by the newest data key.
pub async fn reseal_all(connection: &impl ConnectionTrait, vault: &Vault) -> Result<(), DbErr> {
    let sealer = vault.sealer(connection).await?;
    for row in Entity::find().lock_exclusive().all(connection).await? {
        let place = place(&row.public_key);
        let old = Sealed { key_id: row.key_id, bytes: row.sealed };
        let plain = match vault.open(connection, &place, old).await {
            Ok(plain) => plain,
            // Of before the master key was lost.
            Err(error) => {
                tracing::warn!(id = row.id, %error, "a VAPID key cannot be opened");
                continue;
            }
        };
        let sealed = sealer.seal(&place, &plain)?;
        let change = ActiveModel {
            id: Set(row.id),
            sealed: Set(sealed.bytes),
            key_id: Set(sealed.key_id),
            ..Default::default()
        };
        Entity::update(change).exec(connection).await?;
    }
    Ok(())
}

/// A key pair, and who depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VapidKey {
    /// Its public key.
    pub public_key: String,
    /// Since when browsers subscribe with it.
    pub created_at: Timestamp,
    /// Readers who subscribed with it.
    pub push_subscriptions: u64,
}

/// Every key pair, oldest first.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<VapidKey>, DbErr> {
    let mut keys = Vec::new();
    for Model { id, public_key, created_at, .. } in
        Entity::find().order_by_asc(COLUMN.id).all(connection).await?
    {
        let readers = push_subscription::COLUMN.vapid_key_id.eq(id);
        let readers = push_subscription::Entity::find().filter(readers).count(connection).await?;
        keys.push(VapidKey { public_key, created_at, push_subscriptions: readers });
    }
    Ok(keys)
}

fn place(public_key: &str) -> Vec<u8> {
    format!("khabar vapid key {public_key}").into_bytes()
}
