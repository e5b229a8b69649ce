//! Takes over a story of a source once, however often the source is read.

use uuid::Uuid;

use super::import_article::{ImportedArticle, import_article};
use super::import_category::{ImportedCategory, import_category};
use crate::app::App;
use crate::storage;
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
}

/// What became of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is here now.
    Now(Uuid),
    /// An earlier run took it; it was left as it is, edited or not.
    Already(Uuid),
}

/// Writes a story with its category, authors, tags and comments, and the keys by which the next run
/// knows them, in one transaction: an import that is interrupted goes on where it was.
pub async fn import_story(app: &App, story: ImportedStory) -> Result<Taken, sea_orm::DbErr> {
    let name = (story.source.as_str(), story.key.as_str());
    let known = storage::import_key::target(app.db.connection(), Noun::Article, name).await?;
    if let Some(id) = known {
        return Ok(Taken::Already(id));
    }
    let change = app.begin().await?;
    let edition_id = story.article.edition_id;
    let category_id =
        import_category(app, &change, (&story.source, edition_id), &story.category).await?;
    let article = ImportedArticle { category_id, ..story.article };
    let article = import_article(app, &change, article).await?;
    // Two imports of one file at once: the second fails here, and nothing of it was written.
    storage::import_key::insert(change.transaction(), Noun::Article, name, article.id).await?;
    change.commit().await?;
    Ok(Taken::Now(article.id))
}
