//! Categories that are gone, and those that took their place.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};
use uuid::Uuid;

use super::category;
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

/// Keeps these categories until the transaction ends, or those that took the place of the ones that are gone:
/// each that there is, with the one that stands for it.
pub async fn hold(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Uuid>, DbErr> {
    let mut wanted: HashMap<Uuid, Uuid> = ids.iter().map(|id| (*id, *id)).collect();
    let mut held = HashMap::new();
    // Again, for what is deleted while it is waited for.
    while !wanted.is_empty() {
        let there = category::hold(connection, &Vec::from_iter(wanted.values().copied())).await?;
        held.extend(wanted.extract_if(|_, now| there.contains(now)));
        let gone = wanted.keys().copied();
        let successors = Entity::find().filter(COLUMN.id.is_in(gone)).all(connection).await?;
        wanted = successors.into_iter().map(|row| (row.id, row.successor_id)).collect();
    }
    Ok(held)
}
