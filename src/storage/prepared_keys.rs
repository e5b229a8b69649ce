//! Keys that were prepared before the news breaks, in blocks: one for the readers of one push
//! service and one edition whose ids lie in one range.
//!
//! A key must never serve two messages. So whoever wants to use a block deletes it first, and commits
//! that: from then on it is in that process's memory and nowhere else. What a crash loses is made anew.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Set,
};
use uuid::Uuid;

use super::audience::living;
use super::browser::opened;
use super::entities::prepared_keys::{ActiveModel, COLUMN, Column, Entity};
use super::entities::push_subscription as subscription;
use super::{Sealed, Vault};
use crate::domain::push_subscription::PushKeys;

/// Ids that a block spans: block `n` is of the ids after `n * SPAN` and up to `(n + 1) * SPAN`.
pub const SPAN: i64 = 1_000;
/// Bytes of a prepared key.
pub const KEY: usize = 97;

/// Which readers a block is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Block {
    /// Those of this push service,
    pub service_id: i32,
    /// who read this edition,
    pub edition_id: Uuid,
    /// and have these ids: see [`SPAN`].
    pub number: i64,
}

impl Block {
    fn place(&self) -> Vec<u8> {
        let Self { service_id, edition_id, number } = self;
        format!("khabar prepared keys {service_id} {edition_id} {number}").into_bytes()
    }

    fn is(&self) -> Condition {
        Condition::all()
            .add(Column::ServiceId.eq(self.service_id))
            .add(Column::EditionId.eq(self.edition_id))
            .add(Column::Number.eq(self.number))
    }
}

/// A reader's prepared key. It cannot be copied.
pub struct Entry {
    /// The push subscription.
    pub id: i64,
    /// The generation of its keys that the prepared one belongs to.
    pub generation: i64,
    /// The prepared key, a secret.
    pub key: [u8; KEY],
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({}, …)", self.id)
    }
}

/// Takes the blocks of some editions and of the ids after one and up to another out of the database.
/// They may be used once the transaction is committed.
pub async fn take(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    (service_id, editions): (i32, &[Uuid]),
    (after, last): (i64, i64),
) -> Result<Vec<Entry>, DbErr> {
    let blocks = Condition::all()
        .add(Column::ServiceId.eq(service_id))
        .add(Column::EditionId.is_in(editions.iter().copied()))
        .add(Column::Number.gte(after.div_euclid(SPAN)))
        .add(Column::Number.lte((last - 1).div_euclid(SPAN)));
    // Locked, so that of two who take the same block the second finds nothing; in one order, so that
    // neither waits for the other.
    let find = Entity::find().filter(blocks.clone());
    let find = find.order_by_asc(COLUMN.number).order_by_asc(COLUMN.edition_id);
    let rows = find.lock_exclusive().all(connection).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    Entity::delete_many().filter(blocks).exec(connection).await?;
    let mut entries = Vec::new();
    for row in rows {
        let block = Block { service_id, edition_id: row.edition_id, number: row.number };
        let sealed = Sealed { key_id: row.key_id, bytes: row.sealed };
        match vault.open(connection, &block.place(), sealed).await {
            Ok(plain) => entries.extend(plain.chunks_exact(16 + KEY).filter_map(unpack)),
            Err(error) => tracing::warn!(?block, %error, "prepared keys cannot be opened"),
        }
    }
    Ok(entries)
}

/// Puts a block in place of an older one or of none. `generations` are those of all its readers.
pub async fn put(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    (block, generations): (Block, i64),
    entries: &[Entry],
) -> Result<(), DbErr> {
    let plain: Vec<u8> = entries.iter().flat_map(pack).collect();
    let sealed = vault.sealer(connection).await?.seal(&block.place(), &plain)?;
    let older = block.is().add(Column::Generations.lt(generations));
    Entity::delete_many().filter(older).exec(connection).await?;
    let row = ActiveModel {
        service_id: Set(block.service_id),
        edition_id: Set(block.edition_id),
        number: Set(block.number),
        count: Set(i32::try_from(entries.len()).unwrap_or(i32::MAX)),
        generations: Set(generations),
        sealed: Set(sealed.bytes),
        key_id: Set(sealed.key_id),
    };
    let columns = [Column::ServiceId, Column::EditionId, Column::Number];
    Entity::insert(row)
        .on_conflict(OnConflict::columns(columns).do_nothing().to_owned())
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Which blocks of a push service, from one number up to another, are missing, or lack a tenth of
/// their readers: a reader who came or whose keys are new adds one to the sum of generations.
pub async fn missing(
    connection: &impl ConnectionTrait,
    service_id: i32,
    (first, last): (i64, i64),
) -> Result<Vec<Block>, DbErr> {
    // Written out: PostgreSQL takes two expressions with bound values for two.
    let number = || Expr::cust(format!("(id - 1) / {SPAN}"));
    let readers = living()
        .select_only()
        .column(subscription::Column::EditionId)
        .column_as(number(), "number")
        .column_as(subscription::COLUMN.id.count(), "readers")
        .column_as(Expr::cust("CAST(SUM(generation) AS BIGINT)"), "generations")
        .filter(subscription::COLUMN.service_id.eq(service_id))
        .filter(subscription::COLUMN.id.gt(first * SPAN))
        .filter(subscription::COLUMN.id.lte((last + 1) * SPAN))
        .group_by(subscription::Column::EditionId)
        .group_by(number());
    let readers: Vec<(Uuid, i64, i64, i64)> = readers.into_tuple().all(connection).await?;
    let prepared = Entity::find()
        .select_only()
        .columns([Column::EditionId, Column::Number, Column::Generations, Column::Count])
        .filter(COLUMN.service_id.eq(service_id))
        .filter(COLUMN.number.gte(first))
        .filter(COLUMN.number.lte(last));
    let prepared: Vec<(Uuid, i64, i64, i32)> = prepared.into_tuple().all(connection).await?;
    let prepared: HashMap<(Uuid, i64), (i64, i64)> = prepared
        .into_iter()
        .map(|(edition, number, sum, count)| ((edition, number), (sum, count.into())))
        .collect();
    let lacks = |(edition_id, number, readers, generations): &(Uuid, i64, i64, i64)| {
        let Some((made_for, count)) = prepared.get(&(*edition_id, *number)) else { return true };
        // Each reader who left has taken one from the sum.
        let anew = generations - made_for + (count - readers).max(0);
        anew * 10 > *readers
    };
    let block = |(edition_id, number, _, _)| Block { service_id, edition_id, number };
    Ok(readers.into_iter().filter(lacks).map(block).collect())
}

/// A reader of a block: the subscription's id, its keys, and their generation.
pub type KeysOf = (i64, i64, PushKeys);

/// The readers of a block, each with id, generation and keys; and the sum of generations, of those too
/// whose keys cannot be read: they must not be asked for again and again.
pub async fn readers(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    block: Block,
) -> Result<(Vec<KeysOf>, i64), DbErr> {
    let rows = living()
        .filter(subscription::COLUMN.service_id.eq(block.service_id))
        .filter(subscription::COLUMN.edition_id.eq(block.edition_id))
        .filter(subscription::COLUMN.id.gt(block.number * SPAN))
        .filter(subscription::COLUMN.id.lte((block.number + 1) * SPAN));
    let (mut readers, mut generations) = (Vec::new(), 0);
    for mut row in rows.all(connection).await? {
        generations += row.generation;
        if let Ok((keys, _)) = opened(connection, vault, &mut row).await {
            readers.push((row.id, row.generation, keys));
        }
    }
    Ok((readers, generations))
}

/// How many keys are prepared.
pub async fn count(connection: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let find = Entity::find().select_only().column_as(COLUMN.count.sum(), "keys");
    let sum: Option<Option<i64>> = find.into_tuple().one(connection).await?;
    Ok(sum.flatten().and_then(|sum| u64::try_from(sum).ok()).unwrap_or(0))
}

/// Deletes all of them.
pub async fn delete_all(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    Entity::delete_many().exec(connection).await?;
    Ok(())
}

fn pack(entry: &Entry) -> Vec<u8> {
    [&entry.id.to_be_bytes(), &entry.generation.to_be_bytes(), &entry.key[..]].concat()
}

fn unpack(bytes: &[u8]) -> Option<Entry> {
    let (id, rest) = bytes.split_first_chunk()?;
    let (generation, key) = rest.split_first_chunk()?;
    let key = key.try_into().ok()?;
    Some(Entry { id: i64::from_be_bytes(*id), generation: i64::from_be_bytes(*generation), key })
}
