//! Waves: what follows a shard's first pass, for those whose quiet hours end later.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, Set};
use uuid::Uuid;

use super::alert_shard::{Shard, next_numbers, row};
use super::entities::alert_shard::{ActiveModel, COLUMN, Column, Entity};
use crate::domain::alert::Ahead;
use crate::domain::clock::Timestamp;

/// Adds a wave for what follows the cursor of a shard, unless it is there already.
pub async fn insert(
    connection: &impl ConnectionTrait,
    shard: &Shard,
    due_at: Timestamp,
) -> Result<(), DbErr> {
    let there = Entity::find()
        .filter(COLUMN.alert_id.eq(shard.alert_id))
        .filter(COLUMN.round.eq(shard.round))
        .filter(COLUMN.service_id.eq(shard.service_id))
        .filter(COLUMN.last_id.eq(shard.last_id))
        .filter(COLUMN.due_at.eq(due_at));
    if there.one(connection).await?.is_some() {
        return Ok(());
    }
    let number = next_numbers(connection, shard.alert_id, 1).await?;
    let range = (shard.cursor, shard.last_id);
    let wave = row((shard.alert_id, number), shard.round, shard.service_id, range);
    let wave = ActiveModel { due_at: Set(Some(due_at)), ..wave };
    Entity::insert(wave).exec_without_returning(connection).await?;
    Ok(())
}

/// How far the first pass over what a wave follows has come; to its end when it is over.
pub async fn first_pass(connection: &impl ConnectionTrait, wave: &Shard) -> Result<i64, DbErr> {
    let find = Entity::find()
        .select_only()
        .column(Column::Cursor)
        .filter(COLUMN.alert_id.eq(wave.alert_id))
        .filter(COLUMN.round.eq(wave.round))
        .filter(COLUMN.service_id.eq(wave.service_id))
        .filter(COLUMN.last_id.eq(wave.last_id))
        .filter(COLUMN.due_at.is_null());
    let cursor: Option<i64> = find.into_tuple().one(connection).await?;
    Ok(cursor.unwrap_or(wave.last_id))
}

/// What is open of alerts. Of those without an open shard nothing is answered.
pub async fn ahead(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Ahead>, DbErr> {
    let find = Entity::find()
        .select_only()
        .columns([Column::AlertId, Column::DueAt])
        .distinct()
        .filter(COLUMN.finished_at.is_null())
        .filter(COLUMN.alert_id.is_in(ids.iter().copied()));
    let mut ahead: HashMap<Uuid, Ahead> = HashMap::new();
    let found: Vec<(Uuid, Option<Timestamp>)> = find.into_tuple().all(connection).await?;
    for (id, due_at) in found {
        let ahead = ahead.entry(id).or_default();
        match due_at {
            Some(due_at) => ahead.waves.push(due_at),
            None => ahead.first_pass = true,
        }
    }
    Ok(ahead)
}
