//! Browsers as they are stored: where they are reached, and by which keys, sealed together.

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, QueryFilter, QueryOrder, QuerySelect, Set,
};

use super::audience::living;
use super::claim::Claim;
use super::entities::push_subscription::{ActiveModel, COLUMN, Model};
use super::{Sealed, Vault};
use crate::domain::push_subscription::{Endpoint, PushKeys, Recipient};

/// What a browser handed over: where it is reached, and by which keys.
#[derive(Debug, Clone)]
pub struct Browser {
    /// The address at its push service.
    pub endpoint: Endpoint,
    /// The push service's name: see [`Endpoint::group`].
    pub service: String,
    /// Its keys.
    pub keys: PushKeys,
    /// Which VAPID key it subscribed with.
    pub vapid_key_id: i32,
}

impl Browser {
    /// The browser at an address that is known: without a word about the VAPID key it keeps that of
    /// the address, which never changes its own (RFC 8292 §4.2).
    pub fn at_address_of(&self, known: &Claim, names_key: bool) -> Self {
        let keeps = !names_key && !known.is_decoy;
        let kept = if keeps { known.vapid_key_id } else { self.vapid_key_id };
        Self { vapid_key_id: kept, ..self.clone() }
    }
}

/// Where a row's sealed bytes belong: those of another row do not open here.
pub(super) fn place(endpoint_hash: &[u8]) -> Vec<u8> {
    [b"khabar push subscription ", endpoint_hash].concat()
}

/// What is sealed of a browser.
pub(super) fn pack(p256dh: &[u8], auth: &[u8], endpoint: &str) -> Vec<u8> {
    [p256dh, auth, endpoint.as_bytes()].concat()
}

/// What was sealed of a browser: its keys and its endpoint.
pub(super) async fn opened(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    row: &mut Model,
) -> Result<(PushKeys, String), DbErr> {
    let plain = plain(connection, vault, row).await?;
    unpack(&plain).ok_or_else(|| DbErr::Custom("what was sealed of it is damaged".to_owned()))
}

async fn plain(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    row: &mut Model,
) -> Result<Vec<u8>, DbErr> {
    let bytes = row.sealed.take();
    let bytes = bytes.ok_or_else(|| DbErr::Custom("nothing is sealed of it".to_owned()))?;
    let sealed = Sealed { key_id: row.key_id, bytes };
    vault.open(connection, &place(&row.endpoint_hash), sealed).await
}

fn unpack(plain: &[u8]) -> Option<(PushKeys, String)> {
    let (p256dh, rest) = plain.split_first_chunk()?;
    let (auth, endpoint) = rest.split_first_chunk()?;
    let keys = PushKeys { p256dh: *p256dh, auth: *auth };
    Some((keys, String::from_utf8(endpoint.to_vec()).ok()?))
}

/// Whom a row's messages go to.
pub(super) async fn recipient(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    mut row: Model,
) -> Result<Recipient, DbErr> {
    let (keys, endpoint) = opened(connection, vault, &mut row).await?;
    let endpoint = Endpoint::stored(&endpoint)
        .map_err(|fault| DbErr::Custom(format!("its endpoint {fault}")))?;
    Ok(Recipient {
        id: row.id,
        generation: row.generation,
        service_id: row.service_id,
        edition_id: row.edition_id,
        vapid_key_id: row.vapid_key_id,
        endpoint,
        keys,
    })
}

/// Seals up to `limit` subscriptions behind an id anew that another data key than this one seals.
/// Answers the last one's id; `None` when none was left.
pub async fn reseal(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    (after, limit): (i64, u64),
    key_id: i32,
) -> Result<Option<i64>, DbErr> {
    let find = living()
        .filter(COLUMN.id.gt(after))
        .filter(COLUMN.key_id.ne(key_id))
        .order_by_asc(COLUMN.id)
        .limit(limit)
        .lock_exclusive();
    let sealer = vault.sealer(connection).await?;
    let mut last = None;
    for mut row in find.all(connection).await? {
        last = Some(row.id);
        let plain = match plain(connection, vault, &mut row).await {
            Ok(plain) => plain,
            Err(error) => {
                tracing::warn!(id = row.id, %error, "a push subscription cannot be opened");
                continue;
            }
        };
        let sealed = sealer.seal(&place(&row.endpoint_hash), &plain)?;
        let (id, bytes, key_id) = (Set(row.id), Set(Some(sealed.bytes)), Set(sealed.key_id));
        let change =
            ActiveModel { id, sealed: bytes, key_id, ..<ActiveModel as Default>::default() };
        change.update(connection).await?;
    }
    Ok(last)
}
