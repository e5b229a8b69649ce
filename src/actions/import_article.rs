//! Takes over an article from elsewhere, with its dates and its state.

use uuid::Uuid;

use super::slugs;
use crate::app::App;
use crate::domain::article::{Article, ArticleState, ArticleText};
use crate::domain::clock::Timestamp;
use crate::domain::slug;
use crate::storage;
use crate::storage::Change;
use crate::storage::article_write::Saved;
use crate::storage::slug_redirect::{self, Noun};

/// Bytes of a former slug that is worth a redirect; no address on the web has a longer part.
const MAX_FORMER_SLUG: usize = 1_000;

/// An article as it was elsewhere. Its texts are parsed already.
#[derive(Debug, Clone)]
pub struct ImportedArticle {
    /// The edition it goes to.
    pub edition_id: Uuid,
    /// Its category.
    pub category_id: Uuid,
    /// Shared by articles that tell the same story; its own id when `None`.
    pub translation_group_id: Option<Uuid>,
    /// The slug it had, or would like; it leads here even where the article gets another.
    pub slug: String,
    /// Draft, in review or published.
    pub state: ArticleState,
    /// Breaking news?
    pub breaking: bool,
    /// Its words.
    pub text: ArticleText,
    /// Names, in the order of the byline.
    pub authors: Vec<String>,
    /// Names.
    pub tags: Vec<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was first published; required for a published one.
    pub published_at: Option<Timestamp>,
}

/// Writes an article into a change that the caller commits. Its comments are the caller's.
///
/// No event and no alert: old news is no news to an open page or to a pocket.
pub async fn import_article(
    app: &App,
    change: &Change,
    imported: ImportedArticle,
) -> Result<Article, sea_orm::DbErr> {
    let tx = change.transaction();
    storage::edition::lock_slugs(tx, imported.edition_id).await?;
    let id = app.clock.new_id();
    let revision_id = app.clock.new_id();
    let wanted = slug::from_text(&imported.slug)
        .unwrap_or_else(|| slug::from_text_or(&imported.text.headline, &id.simple().to_string()));
    let article = Article {
        id,
        edition_id: imported.edition_id,
        category_id: imported.category_id,
        translation_group_id: imported.translation_group_id.unwrap_or(id),
        slug: slugs::free_article_slug(tx, imported.edition_id, &wanted, id).await?,
        state: imported.state,
        breaking: imported.breaking,
        revision_id,
        latest_revision_id: revision_id,
        text: imported.text,
        word_count: 0,
        comment_count: 0,
        lock_version: 1,
        created_at: imported.created_at,
        updated_at: imported.published_at.unwrap_or(imported.created_at),
        published_at: imported.published_at,
    };
    let saved = Saved { by: None, at: imported.created_at };
    storage::article_write::insert(tx, &article, saved).await?;
    keep_former_slug(app, change, &article, &imported.slug).await?;
    storage::author::credit(tx, id, &imported.authors, &*app.clock).await?;
    storage::tag::attach(tx, (id, article.edition_id), &imported.tags, &*app.clock).await?;
    Ok(article)
}

/// Makes the slug that an article had elsewhere lead to it, where nothing else goes by that slug.
async fn keep_former_slug(
    app: &App,
    change: &Change,
    article: &Article,
    former: &str,
) -> Result<(), sea_orm::DbErr> {
    let tx = change.transaction();
    let Some(former) = slug::from_address(former) else {
        return Ok(());
    };
    let edition_id = article.edition_id;
    let usable = former.len() <= MAX_FORMER_SLUG && former != article.slug;
    if !usable
        || slug_redirect::target(tx, Noun::Article, edition_id, &former).await?.is_some()
        || !storage::article::taken_slugs(tx, edition_id, std::slice::from_ref(&former), None)
            .await?
            .is_empty()
    {
        return Ok(());
    }
    let key = (edition_id, former.as_str());
    slug_redirect::put(tx, Noun::Article, key, article.id, app.now()).await
}
