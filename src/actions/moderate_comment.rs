//! A moderator rules on a comment.

use uuid::Uuid;

use crate::app::App;
use crate::domain::comment::{Comment, CommentState};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Rejection};
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;

/// Why a comment was not ruled on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// There is no such comment.
    CommentNotFound,
}

/// Sets whether others see a comment, and keeps the counters exact. Its replies keep their own state,
/// and are seen where it is.
pub async fn moderate_comment(
    app: &App,
    viewer: &Viewer,
    id: Uuid,
    state: CommentState,
) -> Result<Comment, Failure<Code>> {
    viewer.check(Permission::ModerateComments)?;
    let mut change = app.begin().await?;
    let tx = change.transaction();
    let not_found = || Rejection::at("id", Code::CommentNotFound, "there is no such comment");
    let article =
        storage::comment::by_ids(tx, &[id]).await?.pop().ok_or_else(not_found)?.article_id;
    // Article before comment, as everywhere: two who lock in one order never wait for each other.
    storage::article_write::lock(tx, article).await?;
    let mut comment = storage::comment::lock(tx, id).await?.ok_or_else(not_found)?;
    let was_shown = comment.state == CommentState::Approved;
    let is_shown = state == CommentState::Approved;
    if comment.state != state {
        storage::comment::set_state(tx, id, state, app.now()).await?;
        comment.state = state;
    }
    if was_shown != is_shown {
        let by = if is_shown { 1 } else { -1 };
        if let Some(parent) = comment.parent_id {
            storage::comment::add_replies(tx, parent, by).await?;
        }
        // Below a comment that is hidden nothing is seen, and nothing counts.
        if storage::comment::is_reachable(tx, &comment).await? {
            let below = storage::comment::count_below(tx, &comment).await?;
            let seen = 1 + i32::try_from(below).unwrap_or(i32::MAX - 1);
            storage::article_write::add_comments(tx, article, by * seen).await?;
            if is_shown {
                change.record(Event::CommentCreated { comment_id: id, article_id: article });
            }
        }
    }
    change.commit().await?;
    Ok(comment)
}
