//! A guest replies to an article or to another comment.

use uuid::Uuid;

use super::takes_field_codes;
use crate::app::App;
use crate::domain::comment::{self, Comment, CommentState, MAX_BODY, MAX_DEPTH, MAX_NAME};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Faults, Rejection};
use crate::domain::text;
use crate::domain::token::Token;
use crate::storage;
use crate::storage::article::Visibility;

/// What the guest wrote.
#[derive(Debug, Clone)]
pub struct Input {
    /// The article.
    pub article: Uuid,
    /// The comment it answers, if it answers one.
    pub parent: Option<Uuid>,
    /// The name the guest goes by.
    pub author_name: String,
    /// Plain text.
    pub body: String,
}

/// A comment that was kept.
#[derive(Debug)]
pub struct Created {
    /// The comment.
    pub comment: Comment,
    /// With it the guest, and nobody else, finds the comment again.
    pub edit_token: Token,
}

/// Why a comment was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is no such article, or none that readers see.
    ArticleNotFound,
    /// There is no such comment under the article, or none that readers see.
    ParentNotFound,
}
takes_field_codes!(Code);

/// Keeps a guest's comment. It is shown at once unless the first verdict holds it back.
pub async fn create_comment(app: &App, input: Input) -> Result<Created, Failure<Code>> {
    let mut faults = Faults::default();
    let author_name = faults.text("authorName", text::line(&input.author_name, MAX_NAME));
    let body = faults.text("body", text::prose(&input.body, MAX_BODY));
    faults.check()?;
    let (Some(author_name), Some(body)) = (author_name, body) else {
        return Err(anyhow::anyhow!("a field is missing though no fault was found").into());
    };

    let mut change = app.begin().await?;
    let tx = change.transaction();
    // The article's row is locked, so that its counter and its state cannot change underneath.
    storage::article_write::lock(tx, input.article).await?;
    if storage::article::by_id(tx, input.article, Visibility::Published).await?.is_none() {
        return Err(
            Rejection::at("article", Code::ArticleNotFound, "there is no such article").into()
        );
    }
    let parent = match input.parent {
        Some(parent) => Some(find_parent(tx, input.article, parent).await?),
        None => None,
    };
    let comment = Comment {
        id: app.clock.new_id(),
        article_id: input.article,
        parent_id: parent.as_ref().map(|parent| parent.id),
        depth: parent.as_ref().map_or(0, |parent| parent.depth + 1),
        state: comment::first_verdict(&body),
        author_name,
        body,
        reply_count: 0,
        created_at: app.now(),
    };
    let edit_token = Token::new("khc", app.clock.new_secret());
    storage::comment::insert(tx, &comment, Some(edit_token.hash())).await?;
    if comment.state == CommentState::Approved {
        storage::article_write::add_comments(tx, comment.article_id, 1).await?;
        if let Some(parent) = comment.parent_id {
            storage::comment::add_replies(tx, parent, 1).await?;
        }
        change.record(Event::CommentCreated {
            comment_id: comment.id,
            article_id: comment.article_id,
        });
    }
    change.commit().await?;
    Ok(Created { comment, edit_token })
}

/// The comment that the new one is attached to: the one it answers, or, at the deepest level,
/// the one above that. Only what readers see can be answered.
async fn find_parent(
    tx: &impl sea_orm::ConnectionTrait,
    article: Uuid,
    parent: Uuid,
) -> Result<Comment, Failure<Code>> {
    let not_found = || Rejection::at("parent", Code::ParentNotFound, "there is no such comment");
    let answered = storage::comment::by_ids(tx, &[parent]).await?.pop();
    let is_shown = |one: &Comment| one.article_id == article && one.state == CommentState::Approved;
    let answered = answered.filter(is_shown).ok_or_else(not_found)?;
    if !storage::comment::is_reachable(tx, &answered).await? {
        return Err(not_found().into());
    }
    match answered {
        Comment { depth: MAX_DEPTH.., parent_id: Some(above), .. } => {
            let above = storage::comment::by_ids(tx, &[above]).await?.pop();
            Ok(above.ok_or_else(not_found)?)
        }
        answered => Ok(answered),
    }
}
