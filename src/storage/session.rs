//! Signed-in staff. A session is found by the hash of its token.

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};
use uuid::Uuid;

use super::entities::session::{ActiveModel, COLUMN, Entity};
use crate::domain::clock::Timestamp;

/// A session to write.
#[derive(Debug, Clone, Copy)]
pub struct NewSession {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Adds a session.
pub async fn insert(
    connection: &impl ConnectionTrait,
    session: NewSession,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(session.id),
        user_id: Set(session.user_id),
        token_hash: Set(session.token_hash.to_vec()),
        created_at: Set(now),
        expires_at: Set(session.expires_at),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// The session of a token and whose it is, unless it has ended.
pub async fn by_token(
    connection: &impl ConnectionTrait,
    token_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<(Uuid, Uuid)>, DbErr> {
    let running = Entity::find()
        .filter(COLUMN.token_hash.eq(token_hash.to_vec()))
        .filter(COLUMN.expires_at.gt(now));
    Ok(running.one(connection).await?.map(|row| (row.id, row.user_id)))
}

/// Ends a session.
pub async fn delete(connection: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(connection).await?;
    Ok(())
}

/// Deletes sessions that have ended.
pub async fn purge(connection: &impl ConnectionTrait, now: Timestamp) -> Result<u64, DbErr> {
    let ended = Entity::delete_many().filter(COLUMN.expires_at.lte(now));
    Ok(ended.exec(connection).await?.rows_affected)
}
