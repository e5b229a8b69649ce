//! Categories that are gone, and those that took their place.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};
use uuid::Uuid;

use super::entities::category_successor::{ActiveModel, COLUMN, Column, Entity};

/// Remembers which category takes the place of one that goes, and of all whose place that one had taken.
pub async fn put(
    connection: &impl ConnectionTrait,
    id: Uuid,
    successor_id: Uuid,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::SuccessorId, successor_id.into())
        .filter(COLUMN.successor_id.eq(id))
        .exec(connection)
        .await?;
    let row = ActiveModel { id: Set(id), successor_id: Set(successor_id) };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// The successors of those of these categories that are gone.
pub async fn of(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Uuid>, DbErr> {
    let find = Entity::find().filter(COLUMN.id.is_in(ids.iter().copied()));
    let found = find.all(connection).await?;
    Ok(found.into_iter().map(|row| (row.id, row.successor_id)).collect())
}
