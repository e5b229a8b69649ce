//! What Khabar remembers about itself, such as that the demo newsroom was loaded.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Set};

use super::entities::setting::{ActiveModel, Column, Entity};

/// The value under a key.
pub async fn get(connection: &impl ConnectionTrait, key: &str) -> Result<Option<String>, DbErr> {
    Ok(Entity::find_by_id(key.to_owned()).one(connection).await?.map(|row| row.value))
}

/// Puts a value under a key, in place of the one that was there.
pub async fn set(connection: &impl ConnectionTrait, key: &str, value: &str) -> Result<(), DbErr> {
    let row = ActiveModel { key: Set(key.to_owned()), value: Set(value.to_owned()) };
    Entity::insert(row)
        .on_conflict(OnConflict::column(Column::Key).update_column(Column::Value).to_owned())
        .exec_without_returning(connection)
        .await?;
    Ok(())
}
