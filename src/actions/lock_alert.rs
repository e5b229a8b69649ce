//! Locks an alert and its story, in the order in which everybody does.

use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use crate::domain::alert::Alert;
use crate::storage::{self, article::Visibility};

/// Keeps an alert as it is until the transaction ends, and its story, whose lock comes first as with whoever
/// takes the story back. Says whether the story is before readers; `None` when there is no such alert.
pub(super) async fn lock_alert(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<(Alert, bool)>, DbErr> {
    let Some(alert) = storage::alert::by_id(connection, id).await? else { return Ok(None) };
    let (article_id, published) = (alert.article_id, Visibility::Published);
    storage::article_write::lock(connection, article_id).await?;
    let story = storage::article::by_id(connection, article_id, published).await?;
    let alert = storage::alert::lock(connection, id).await?;
    Ok(alert.map(|alert| (alert, story.is_some())))
}
