//! Claims: who says that an endpoint is theirs, in the order in which they came.
//!
//! One of them reaches the browser. The others are decoys, which reach nobody and in all else behave the
//! same: whoever has no right to an endpoint must not learn that it is somebody's. So nothing that is asked
//! of a claim depends on whether it is the one that reaches.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Set,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::browser::Browser;
use super::entities::push_subscription::{ActiveModel, COLUMN, Column, Entity, Model};
use super::push_subscription::{Stored, insert_row, keys_of, with_choice_of};
use super::{Vault, push_service};
use crate::domain::audience::{Manners, Topics};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::{Endpoint, PushKeys};

/// Bytes of a decoy's hash that are of its endpoint; the others are random.
const PREFIX: usize = 16;

/// What somebody says of an endpoint.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The subscription's id.
    pub id: i64,
    /// Whether it reaches nobody.
    pub is_decoy: bool,
    /// Which VAPID key it subscribed with.
    pub vapid_key_id: i32,
    /// Since when it is of this endpoint.
    pub placed_at: Timestamp,
    /// `None` of a decoy, and when they were sealed by a key that is lost.
    keys: Option<PushKeys>,
    row: Model,
}

impl Claim {
    /// Whether it is of the browser with these keys.
    pub fn is_by(&self, browser: &Browser) -> bool {
        let own = match &self.keys {
            Some(keys) => Some(hash_of(keys).to_vec()),
            None => self.row.decoy_keys.clone(),
        };
        own.is_some_and(|own| own.ct_eq(&hash_of(&browser.keys)).into())
    }

    /// Whether the token with this hash is its own.
    pub fn is_opened_by(&self, token_hash: Option<[u8; 32]>) -> bool {
        token_hash.is_some_and(|hash| self.row.token_hash.ct_eq(&hash).into())
    }

    /// The subscription, with what its reader chose.
    pub async fn subscription(&self, connection: &impl ConnectionTrait) -> Result<Stored, DbErr> {
        with_choice_of(connection, self.row.clone(), self.keys.clone()).await
    }
}

/// The claim of a token, and those of an endpoint in the order in which they came, locked until the
/// transaction ends: in order of their ids, so that two that change places never wait for each other.
pub async fn lock(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    token_hash: Option<[u8; 32]>,
    endpoint: Option<&Endpoint>,
) -> Result<(Option<Claim>, Vec<Claim>), DbErr> {
    let endpoint = endpoint.map(|endpoint| endpoint.hash().to_vec());
    let of_token = Column::TokenHash.is_in(token_hash.map(|hash| hash.to_vec()));
    let which = endpoint.iter().map(|hash| at(hash)).fold(Condition::any(), Condition::add);
    let find = Entity::find().filter(which.add(of_token)).order_by_asc(COLUMN.id).lock_exclusive();
    let (mut of_token, mut there) = (None, Vec::new());
    for mut row in find.all(connection).await? {
        let is_there = endpoint.as_ref().is_some_and(|hash| is_at(hash, &row));
        let claim = Claim {
            id: row.id,
            is_decoy: row.sealed.is_none(),
            vapid_key_id: row.vapid_key_id,
            placed_at: row.placed_at.unwrap_or(row.created_at),
            keys: keys_of(connection, vault, &mut row).await,
            row,
        };
        if claim.is_opened_by(token_hash) {
            of_token = Some(claim.clone());
        }
        there.extend(is_there.then_some(claim));
    }
    there.sort_by_key(|claim| (claim.placed_at, claim.id));
    Ok((of_token, there))
}

/// Deletes subscriptions whose browsers are gone, and with them all that claims their endpoints: a decoy
/// that outlived the one that reached the browser would tell that there was one.
pub async fn delete_gone(connection: &impl ConnectionTrait, ids: &[i64]) -> Result<(), DbErr> {
    if !ids.is_empty() {
        let gone = rivals(connection, ids).await?;
        Entity::delete_many().filter(gone).exec(connection).await?;
    }
    Ok(())
}

/// The ids of subscriptions and of all that claims their endpoints.
pub async fn with_rivals(
    connection: &impl ConnectionTrait,
    ids: &[i64],
) -> Result<Vec<i64>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let find = Entity::find().select_only().column(Column::Id);
    find.filter(rivals(connection, ids).await?).into_tuple().all(connection).await
}

async fn rivals(connection: &impl ConnectionTrait, ids: &[i64]) -> Result<Condition, DbErr> {
    let hashes: Vec<Vec<u8>> = Entity::find()
        .select_only()
        .column(Column::EndpointHash)
        .filter(COLUMN.id.is_in(ids.iter().copied()))
        .into_tuple()
        .all(connection)
        .await?;
    let there = hashes.iter().map(|hash| at(hash)).fold(Condition::any(), Condition::add);
    Ok(there.add(COLUMN.id.is_in(ids.iter().copied())))
}

/// Those that claim the endpoint with this hash.
fn at(endpoint_hash: &[u8]) -> Condition {
    let span = [[0; 32], [0xff; 32]].map(|rest| decoy_hash(endpoint_hash, rest).to_vec());
    let [first, last] = span;
    Condition::any()
        .add(COLUMN.endpoint_hash.eq(endpoint_hash.to_vec()))
        .add(Column::EndpointHash.between(first, last))
}

fn is_at(endpoint_hash: &[u8], row: &Model) -> bool {
    let decoys = decoy_hash(endpoint_hash, [0; 32]);
    row.endpoint_hash == endpoint_hash || row.endpoint_hash.starts_with(&decoys[..PREFIX])
}

/// Adds a decoy of a browser.
pub async fn insert_decoy(
    connection: &impl ConnectionTrait,
    (browser, random): (&Browser, [u8; 32]),
    choice: (&Topics, &Manners),
    token: ([u8; 32], Timestamp),
) -> Result<bool, DbErr> {
    let row = decoy(connection, browser, random).await?;
    insert_row(connection, row, choice, token).await
}

/// Makes a subscription a decoy of a browser, which has been of its endpoint since an instant.
pub async fn become_decoy(
    connection: &impl ConnectionTrait,
    id: i64,
    (browser, random): (&Browser, [u8; 32]),
    (placed_at, now): (Timestamp, Timestamp),
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(id),
        placed_at: Set(Some(placed_at)),
        updated_at: Set(now),
        ..decoy(connection, browser, random).await?
    };
    row.update(connection).await?;
    Ok(())
}

async fn decoy(
    connection: &impl ConnectionTrait,
    browser: &Browser,
    random: [u8; 32],
) -> Result<ActiveModel, DbErr> {
    Ok(ActiveModel {
        service_id: Set(push_service::id_of(connection, &browser.service).await?),
        endpoint_hash: Set(decoy_hash(&browser.endpoint.hash(), random).to_vec()),
        decoy_keys: Set(Some(hash_of(&browser.keys).to_vec())),
        sealed: Set(None),
        ..<ActiveModel as Default>::default()
    })
}

fn decoy_hash(endpoint_hash: &[u8], random: [u8; 32]) -> [u8; 32] {
    let of_endpoint = Sha256::new().chain_update(b"khabar decoy").chain_update(endpoint_hash);
    let mut hash = random;
    hash[..PREFIX].copy_from_slice(&of_endpoint.finalize()[..PREFIX]);
    hash
}

fn hash_of(keys: &PushKeys) -> [u8; 32] {
    let PushKeys { p256dh, auth } = keys;
    let keys = Sha256::new().chain_update(b"khabar keys").chain_update(p256dh);
    keys.chain_update(auth).finalize().into()
}
