//! Takes a published article back from readers.

use uuid::Uuid;

use crate::app::App;
use crate::domain::article::{Article, ArticleState};
use crate::domain::failure::{Failure, Rejection};
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;
use crate::storage::article::Visibility;

/// Why an article was not taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// There is no such article.
    ArticleNotFound,
    /// It is not published.
    WrongState,
}

/// Hides an article from readers, and calls its alerts back. Its text, comments and slug are kept
/// for when it comes back.
pub async fn unpublish_article(
    app: &App,
    viewer: &Viewer,
    id: Uuid,
) -> Result<Article, Failure<Code>> {
    viewer.check(Permission::PublishArticles)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    let locked = storage::article_write::lock(tx, id).await?;
    let article = storage::article::by_id(tx, id, Visibility::Everything).await?;
    let (Some(_), Some(mut article)) = (locked, article) else {
        return Err(Rejection::at("id", Code::ArticleNotFound, "there is no such article").into());
    };
    if !article.state.may_unpublish() {
        let message =
            format!("an article in state {} is not before readers", article.state.as_str());
        return Err(Rejection::at("id", Code::WrongState, message).into());
    }
    article.state = ArticleState::Unpublished;
    article.updated_at = app.now();
    storage::article_write::update(tx, &article, None).await?;
    for alert in storage::alert::open_of_article(tx, id).await? {
        storage::alert_round::call_back(tx, alert.id, app.now()).await?;
    }
    let hidden = storage::article::by_id(tx, id, Visibility::Everything).await?;
    change.commit().await?;
    hidden.ok_or(Failure::NotFound)
}
