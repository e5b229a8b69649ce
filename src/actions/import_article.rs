//! Takes over an article from elsewhere, with its dates, its state and its comments.

use uuid::Uuid;

use super::slugs;
use crate::app::App;
use crate::domain::article::{Article, ArticleState, ArticleText};
use crate::domain::clock::Timestamp;
use crate::domain::comment::{Comment, CommentState, MAX_DEPTH};
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
    /// Its comments, those that are answered before those that answer.
    pub comments: Vec<ImportedComment>,
}

/// A comment as it was elsewhere. Its texts are parsed already.
#[derive(Debug, Clone)]
pub struct ImportedComment {
    /// The place in the list of the comment it answers.
    pub reply_to: Option<usize>,
    /// The name its writer gave.
    pub author_name: String,
    /// Plain text.
    pub body: String,
    /// Whether others see it.
    pub state: CommentState,
    /// When it was written.
    pub created_at: Timestamp,
}

/// Writes an article with its comments into a change that the caller commits.
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
    import_comments(app, change, id, imported.comments).await?;
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
    let former = slug::from_address(former);
    let edition_id = article.edition_id;
    let usable = !former.is_empty() && former.len() <= MAX_FORMER_SLUG && former != article.slug;
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

async fn import_comments(
    app: &App,
    change: &Change,
    article_id: Uuid,
    imported: Vec<ImportedComment>,
) -> Result<(), sea_orm::DbErr> {
    let tx = change.transaction();
    let mut comments: Vec<Comment> = Vec::with_capacity(imported.len());
    let mut above: Vec<Option<usize>> = Vec::with_capacity(imported.len());
    let mut visible: Vec<bool> = Vec::with_capacity(imported.len());
    for comment in imported {
        let mut parent = comment.reply_to.filter(|&place| place < comments.len());
        // As for readers: what would stand too deep stands beside the comment it answers.
        if let Some(place) = parent.filter(|&place| comments[place].depth >= MAX_DEPTH) {
            parent = above[place];
        }
        let approved = comment.state == CommentState::Approved;
        if let Some(place) = parent {
            comments[place].reply_count += u32::from(approved);
        }
        // Readers see a reply where they see what it answers.
        visible.push(approved && parent.is_none_or(|place| visible[place]));
        comments.push(Comment {
            id: app.clock.new_id(),
            article_id,
            parent_id: parent.map(|place| comments[place].id),
            depth: parent.map_or(0, |place| comments[place].depth + 1),
            author_name: comment.author_name,
            body: comment.body,
            state: comment.state,
            reply_count: 0,
            created_at: comment.created_at,
        });
        above.push(parent);
    }
    for comment in &comments {
        storage::comment::insert(tx, comment, None).await?;
    }
    let visible = visible.into_iter().filter(|visible| *visible).count();
    let visible = i32::try_from(visible).unwrap_or(i32::MAX);
    storage::article_write::add_comments(tx, article_id, visible).await
}
