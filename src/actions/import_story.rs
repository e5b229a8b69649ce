//! Takes over a story of a source once, however often the source is read.

use sea_orm::DbErr;
use uuid::Uuid;

use super::import_article::{ImportedArticle, import_article};
use super::import_category::{ImportedCategory, import_category};
use super::import_comments::{ImportedComment, Under, full_key, import_comments};
use crate::app::App;
use crate::storage;
use crate::storage::article::Visibility;
use crate::storage::import_key::Noun;

/// A story with the names its source has for it and for its category.
#[derive(Debug, Clone)]
pub struct ImportedStory {
    /// Names the source among all sources, such as its address.
    pub source: String,
    /// Names the story among all of the source.
    pub key: String,
    /// The way from the root of the source's tree to the story's category; not empty.
    pub category: Vec<ImportedCategory>,
    /// The story. Its category is found or made.
    pub article: ImportedArticle,
    /// Its comments, those that are answered before those that answer.
    pub comments: Vec<ImportedComment>,
}

/// What became of a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is here now, with its comments.
    Now,
    /// An earlier run took it; it was left as it is, edited or not.
    Already {
        /// The edition it is in, if that is not the one that was asked for.
        elsewhere: Option<String>,
        /// How many comments came to it that it did not have.
        comments: u64,
    },
}

/// Writes a story with its category, authors, tags and comments, and the keys by which the next run
/// knows them, in one transaction: an import that is interrupted goes on where it was.
///
/// To a story that is here already come only comments that were not in the source before.
pub async fn import_story(app: &App, story: ImportedStory) -> Result<Taken, DbErr> {
    let name = (story.source.as_str(), story.key.as_str());
    let known = storage::import_key::target(app.db.connection(), Noun::Article, name).await?;
    if let Some(id) = known {
        return add_to(app, id, &story).await;
    }
    let change = app.begin().await?;
    let edition_id = story.article.edition_id;
    let category_id =
        import_category(app, &change, (&story.source, edition_id), &story.category).await?;
    let article = ImportedArticle { category_id, ..story.article };
    let article = import_article(app, &change, article).await?;
    let under = Under { article_id: article.id, story: Some(name) };
    import_comments(app, &change, under, story.comments).await?;
    // Two imports of one file at once: the second fails here, and nothing of it was written.
    storage::import_key::insert(change.transaction(), Noun::Article, name, article.id).await?;
    change.commit().await?;
    Ok(Taken::Now)
}

async fn add_to(app: &App, article_id: Uuid, story: &ImportedStory) -> Result<Taken, DbErr> {
    let connection = app.db.connection();
    let (source, key) = (story.source.as_str(), story.key.as_str());
    let article = storage::article::by_id(connection, article_id, Visibility::Everything).await?;
    let Some(article) = article else {
        return Ok(Taken::Already { elsewhere: None, comments: 0 });
    };
    let elsewhere = if article.edition_id == story.article.edition_id {
        None
    } else {
        let editions = storage::edition::by_ids(connection, &[article.edition_id]).await?;
        editions.into_iter().next().map(|edition| edition.locale)
    };
    let keys: Vec<String> = story.comments.iter().map(|c| full_key(key, c)).collect();
    let known = storage::import_key::targets(connection, Noun::Comment, source, &keys).await?;
    if known.len() == keys.len() {
        return Ok(Taken::Already { elsewhere, comments: 0 });
    }
    let change = app.begin().await?;
    storage::article_write::lock(change.transaction(), article_id).await?;
    let under = Under { article_id, story: Some((source, key)) };
    let comments = import_comments(app, &change, under, story.comments.clone()).await?;
    change.commit().await?;
    Ok(Taken::Already { elsewhere, comments })
}
