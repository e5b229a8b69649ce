//! Claims: who says that an endpoint is theirs, in the order in which they came.
//!
//! One of them reaches the browser. The others are decoys, which reach nobody and in all else behave the
//! same: whoever has no right to an endpoint must not learn that it is somebody's. So nothing that is asked
//! of a claim depends on whether it is the one that reaches.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Set,
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::browser::{Browser, opened};
use super::entities::push_subscription::{ActiveModel, COLUMN, Column, Entity, Model};
use super::push_subscription::insert_row;
use super::{Vault, push_service};
use crate::domain::audience::{Manners, Topics};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::{Endpoint, PushKeys};

/// Bytes of a decoy's hash that are of its endpoint; the others are random.
const PREFIX: usize = 16;

/// What somebody says of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The subscription's id.
    pub id: i64,
    /// Whether it reaches nobody.
    pub is_decoy: bool,
    /// Which VAPID key it subscribed with.
    pub vapid_key_id: i32,
    /// Since when it is of this endpoint.
    pub placed_at: Timestamp,
    /// `None` when they were sealed by a key that is lost.
    keys_hash: Option<Vec<u8>>,
    token_hash: Vec<u8>,
}

impl Claim {
    /// Whether it is of the browser with these keys.
    pub fn is_by(&self, browser: &Browser) -> bool {
        let keys = hash_of(&browser.keys);
        self.keys_hash.as_ref().is_some_and(|hash| hash.ct_eq(&keys).into())
    }

    /// Whether the token with this hash is its own.
    pub fn is_opened_by(&self, token_hash: Option<[u8; 32]>) -> bool {
        token_hash.is_some_and(|hash| self.token_hash.ct_eq(&hash).into())
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
    let mut which = sea_orm::Condition::any();
    if let Some(hash) = token_hash {
        which = which.add(COLUMN.token_hash.eq(hash.to_vec()));
    }
    if let Some(endpoint) = endpoint {
        which = which.add(COLUMN.endpoint_hash.eq(endpoint.hash().to_vec()));
        let (first, last) = (decoy_hash(endpoint, [0; 32]), decoy_hash(endpoint, [0xff; 32]));
        which = which.add(Column::EndpointHash.between(first.to_vec(), last.to_vec()));
    }
    let find = Entity::find().filter(which).order_by_asc(COLUMN.id).lock_exclusive();
    let is_there = |row: &Model| {
        endpoint.is_some_and(|endpoint| {
            row.endpoint_hash == endpoint.hash()
                || row.endpoint_hash[..PREFIX] == decoy_hash(endpoint, [0; 32])[..PREFIX]
        })
    };
    let (mut of_token, mut there) = (None, Vec::new());
    for row in find.all(connection).await? {
        let is_there = is_there(&row);
        let claim = claim(connection, vault, row).await?;
        if claim.is_opened_by(token_hash) {
            of_token = Some(claim.clone());
        }
        there.extend(is_there.then_some(claim));
    }
    there.sort_by_key(|claim| (claim.placed_at, claim.id));
    Ok((of_token, there))
}

async fn claim(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    mut row: Model,
) -> Result<Claim, DbErr> {
    let is_decoy = row.sealed.is_none();
    let keys_hash = match is_decoy {
        true => row.decoy_keys.take(),
        // Whoever has the token may put new keys in place of those that cannot be opened any more.
        false => match opened(connection, vault, &mut row).await {
            Ok((keys, _)) => Some(hash_of(&keys).to_vec()),
            Err(error) => {
                tracing::warn!(id = row.id, %error, "a push subscription cannot be opened");
                None
            }
        },
    };
    Ok(Claim {
        id: row.id,
        is_decoy,
        vapid_key_id: row.vapid_key_id,
        placed_at: row.placed_at.unwrap_or(row.created_at),
        keys_hash,
        token_hash: row.token_hash,
    })
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
        endpoint_hash: Set(decoy_hash(&browser.endpoint, random).to_vec()),
        decoy_keys: Set(Some(hash_of(&browser.keys).to_vec())),
        sealed: Set(None),
        ..<ActiveModel as Default>::default()
    })
}

fn decoy_hash(endpoint: &Endpoint, random: [u8; 32]) -> [u8; 32] {
    let of_endpoint = Sha256::new().chain_update(b"khabar decoy").chain_update(endpoint.hash());
    let mut hash = random;
    hash[..PREFIX].copy_from_slice(&of_endpoint.finalize()[..PREFIX]);
    hash
}

fn hash_of(keys: &PushKeys) -> [u8; 32] {
    let PushKeys { p256dh, auth } = keys;
    let keys = Sha256::new().chain_update(b"khabar keys").chain_update(p256dh);
    keys.chain_update(auth).finalize().into()
}
