//! Staff.

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, Set};
use uuid::Uuid;

use super::entities::user::{ActiveModel, COLUMN, Entity, Model};
use super::unreadable;
use crate::domain::clock::Timestamp;
use crate::domain::user::{User, roles_from_text, roles_to_text};

/// Whether there is any user at all.
pub async fn exists_any(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(Entity::find().count(connection).await? > 0)
}

/// An enabled user with the password's hash, by the e-mail address in its stored form.
pub async fn by_email(
    connection: &impl ConnectionTrait,
    email: &str,
) -> Result<Option<(User, String)>, DbErr> {
    let enabled =
        Entity::find().filter(COLUMN.email.eq(email)).filter(COLUMN.disabled_at.is_null());
    let Some(row) = enabled.one(connection).await? else {
        return Ok(None);
    };
    let hash = row.password_hash.clone();
    Ok(Some((from_row(row)?, hash)))
}

/// An enabled user.
pub async fn by_id(connection: &impl ConnectionTrait, id: Uuid) -> Result<Option<User>, DbErr> {
    let enabled = Entity::find_by_id(id).filter(COLUMN.disabled_at.is_null());
    enabled.one(connection).await?.map(from_row).transpose()
}

/// Whether an e-mail address belongs to a user, disabled ones included.
pub async fn email_taken(connection: &impl ConnectionTrait, email: &str) -> Result<bool, DbErr> {
    Ok(Entity::find().filter(COLUMN.email.eq(email)).count(connection).await? > 0)
}

/// Adds a user.
pub async fn insert(
    connection: &impl ConnectionTrait,
    user: &User,
    password_hash: String,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(user.id),
        email: Set(user.email.clone()),
        name: Set(user.name.clone()),
        roles: Set(roles_to_text(&user.roles)),
        password_hash: Set(password_hash),
        created_at: Set(now),
        disabled_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

fn from_row(row: Model) -> Result<User, DbErr> {
    let roles = roles_from_text(&row.roles).ok_or_else(|| unreadable("roles", &row.roles))?;
    Ok(User { id: row.id, email: row.email, name: row.name, roles })
}
