//! What changes articles: new ones, new revisions, new states, counters.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Set,
};
use uuid::Uuid;

use super::entities::{article, revision};
use crate::domain::article::{Article, ArticleState, ArticleText};
use crate::domain::clock::Timestamp;
use crate::domain::text;

/// Who saves a revision, and when.
#[derive(Debug, Clone, Copy)]
pub struct Saved {
    /// The member of staff; `None` for an import or the demo.
    pub by: Option<Uuid>,
    /// The time.
    pub at: Timestamp,
}

/// Adds an article with its first revision, as a draft.
pub async fn insert(
    connection: &impl ConnectionTrait,
    article: &Article,
    saved: Saved,
) -> Result<(), DbErr> {
    let row = article::ActiveModel {
        id: Set(article.id),
        edition_id: Set(article.edition_id),
        category_id: Set(article.category_id),
        translation_group_id: Set(article.translation_group_id),
        slug: Set(article.slug.clone()),
        state: Set(article.state.as_str().to_owned()),
        breaking: Set(article.breaking),
        latest_revision_id: Set(article.latest_revision_id),
        published_revision_id: Set(
            (article.state == ArticleState::Published).then_some(article.revision_id)
        ),
        comment_count: Set(0),
        lock_version: Set(article.lock_version),
        created_by: Set(saved.by),
        created_at: Set(article.created_at),
        updated_at: Set(article.updated_at),
        published_at: Set(article.published_at),
    };
    article::Entity::insert(row).exec_without_returning(connection).await?;
    insert_revision(connection, (article.id, article.latest_revision_id), 1, &article.text, saved)
        .await
}

/// Saves a new text as the latest revision of an article. What readers see stays.
pub async fn revise(
    connection: &impl ConnectionTrait,
    (article_id, revision_id): (Uuid, Uuid),
    text: &ArticleText,
    saved: Saved,
) -> Result<(), DbErr> {
    let last = revision::Entity::find()
        .filter(revision::COLUMN.article_id.eq(article_id))
        .order_by_desc(revision::COLUMN.number)
        .one(connection)
        .await?;
    let number = last.map_or(1, |row| row.number + 1);
    insert_revision(connection, (article_id, revision_id), number, text, saved).await
}

/// Writes back where an article stands, and counts the change.
///
/// `published_revision_id` is what readers see from now on; `None` hides the article's text.
pub async fn update(
    connection: &impl ConnectionTrait,
    article: &Article,
    published_revision_id: Option<Uuid>,
) -> Result<(), DbErr> {
    let row = article::ActiveModel {
        id: Set(article.id),
        category_id: Set(article.category_id),
        slug: Set(article.slug.clone()),
        state: Set(article.state.as_str().to_owned()),
        breaking: Set(article.breaking),
        latest_revision_id: Set(article.latest_revision_id),
        published_revision_id: Set(published_revision_id),
        lock_version: Set(article.lock_version + 1),
        updated_at: Set(article.updated_at),
        published_at: Set(article.published_at),
        ..Default::default()
    };
    row.update(connection).await?;
    Ok(())
}

/// Locks an article's row until the transaction ends, so that changes come one after another.
///
/// Answers the revision that readers see, or `None` when there is no such article.
pub async fn lock(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<Option<Uuid>>, DbErr> {
    let row = article::Entity::find_by_id(id).lock_exclusive().one(connection).await?;
    Ok(row.map(|row| row.published_revision_id))
}

/// Adds to the count of approved comments.
pub async fn add_comments(
    connection: &impl ConnectionTrait,
    id: Uuid,
    by: i32,
) -> Result<(), DbErr> {
    article::Entity::update_many()
        .col_expr(article::Column::CommentCount, Expr::col(article::Column::CommentCount).add(by))
        .filter(article::COLUMN.id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

async fn insert_revision(
    connection: &impl ConnectionTrait,
    (article_id, id): (Uuid, Uuid),
    number: i32,
    text: &ArticleText,
    saved: Saved,
) -> Result<(), DbErr> {
    let words = text::count_words(&text.body.to_text());
    let row = revision::ActiveModel {
        id: Set(id),
        article_id: Set(article_id),
        number: Set(number),
        headline: Set(text.headline.clone()),
        subheadline: Set(text.subheadline.clone()),
        dateline_source: Set(text.dateline.source.clone()),
        dateline_place: Set(text.dateline.place.clone()),
        body: Set(text.body.to_json().map_err(|error| DbErr::Json(error.to_string()))?),
        excerpt: Set(text.excerpt.clone()),
        image_url: Set(text.image.as_ref().map(|image| image.url.clone())),
        image_alt: Set(text.image.as_ref().map(|image| image.alt.clone())),
        word_count: Set(i32::try_from(words).unwrap_or(i32::MAX)),
        created_by: Set(saved.by),
        created_at: Set(saved.at),
    };
    revision::Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}
