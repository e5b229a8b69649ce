//! Decoys: what looks like a subscription and reaches nobody, for whoever has no right to an endpoint and
//! must not learn that it is somebody's.
//!
//! Whatever is asked of one, it answers what the subscription would that there were if the endpoint were
//! nobody's. It has no sealed part; its hash is half of the endpoint and half of the keys.

use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Set,
};
use sha2::{Digest, Sha256};

use super::browser::Browser;
use super::entities::push_subscription::{ActiveModel, COLUMN, Column, Entity};
use super::push_subscription::{Stored, insert_row, stored};
use super::{Vault, push_service};
use crate::domain::audience::{Manners, Topics};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::PushKeys;

/// Bytes of the hash that are of the endpoint alone.
const HALF: usize = 16;

/// The decoy of a browser, or of its endpoint and a token, locked until the transaction ends. The oldest
/// of them stands for the subscription that there would be if the endpoint were nobody's.
pub async fn lock(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    browser: &Browser,
    token_hash: Option<[u8; 32]>,
) -> Result<Option<Stored>, DbErr> {
    let of_token = Column::TokenHash.is_in(token_hash.map(|hash| hash.to_vec()));
    let find = Entity::find()
        .filter(COLUMN.sealed.is_null())
        .filter(COLUMN.endpoint_hash.eq(browser.decoy_hash().to_vec()).or(of_token))
        .order_by_asc(COLUMN.id);
    let mut rows = find.lock_exclusive().all(connection).await?.into_iter();
    stored(connection, vault, rows.find(|row| browser.is_decoy(&row.endpoint_hash))).await
}

/// Makes a row the decoy of a browser, which reaches nobody. One that was it already is deleted.
pub async fn take_place(
    connection: &impl ConnectionTrait,
    id: i64,
    browser: &Browser,
    now: Timestamp,
) -> Result<(), DbErr> {
    let same = COLUMN.endpoint_hash.eq(browser.decoy_hash().to_vec()).and(COLUMN.id.ne(id));
    Entity::delete_many().filter(same).exec(connection).await?;
    let row = ActiveModel {
        id: Set(id),
        service_id: Set(push_service::id_of(connection, &browser.service).await?),
        endpoint_hash: Set(browser.decoy_hash().to_vec()),
        sealed: Set(None),
        updated_at: Set(now),
        ..<ActiveModel as Default>::default()
    };
    row.update(connection).await?;
    Ok(())
}

/// Lets the decoy of a browser be found by nothing but its token from now on.
pub async fn hide(
    connection: &impl ConnectionTrait,
    browser: &Browser,
    random: [u8; 32],
) -> Result<(), DbErr> {
    let hidden = browser.decoy_hash_of_nobody(random).to_vec();
    Entity::update_many()
        .col_expr(Column::EndpointHash, hidden.into())
        .filter(COLUMN.endpoint_hash.eq(browser.decoy_hash().to_vec()))
        .exec(connection)
        .await?;
    Ok(())
}

/// Adds the decoy of a browser. False as with [`super::push_subscription::insert`].
pub async fn insert(
    connection: &impl ConnectionTrait,
    browser: &Browser,
    choice: (&Topics, &Manners),
    token: ([u8; 32], Timestamp),
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        service_id: Set(push_service::id_of(connection, &browser.service).await?),
        endpoint_hash: Set(browser.decoy_hash().to_vec()),
        ..<ActiveModel as Default>::default()
    };
    insert_row(connection, row, choice, token).await
}

impl Browser {
    /// By what the decoy of a browser is found that is not the one of its endpoint: half of it is of the
    /// endpoint, and half of the keys.
    fn decoy_hash(&self) -> [u8; 32] {
        let PushKeys { p256dh, auth } = &self.keys;
        let endpoint =
            Sha256::new().chain_update(b"khabar decoy").chain_update(self.endpoint.hash());
        let keys = endpoint.clone().chain_update(p256dh).chain_update(auth);
        let (mut hash, keys) = (endpoint.finalize(), keys.finalize());
        hash[HALF..].copy_from_slice(&keys[HALF..]);
        hash.into()
    }

    /// A hash of a decoy of the same endpoint that no keys lead to.
    fn decoy_hash_of_nobody(&self, random: [u8; 32]) -> [u8; 32] {
        let mut hash = self.decoy_hash();
        hash[HALF..].copy_from_slice(&random[HALF..]);
        hash
    }

    /// Whether a row is its decoy.
    pub fn has_decoy(&self, row: &Stored) -> bool {
        row.endpoint_hash == self.decoy_hash()
    }

    /// Whether what is stored stands for the same endpoint.
    fn is_decoy(&self, hash: &[u8]) -> bool {
        hash.first_chunk::<HALF>() == self.decoy_hash().first_chunk()
    }
}
