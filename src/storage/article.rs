//! Articles with the text that is meant for the viewer.

use sea_orm::sea_query::{Expr, ExprTrait, Func, JoinType, Query};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    Select,
};
use uuid::Uuid;

use super::entities::{article, article_author, article_tag, revision};
use super::slug_redirect::{self, Noun};
use super::{category, keyset, unreadable};
use crate::domain::article::{Article, ArticleState, ArticleText, Dateline, Image};
use crate::domain::body::Body;
use crate::domain::clock::Timestamp;
use crate::domain::page::{Order, Page, PageRequest};

/// Whose eyes a look-up is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Readers: published articles only.
    Published,
    /// Staff who may read drafts: everything.
    Everything,
}

/// Which articles a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ArticleFilter {
    /// In these states.
    pub states: Vec<ArticleState>,
    /// Of this edition.
    pub edition_id: Option<Uuid>,
    /// In this category or below it.
    pub category_id: Option<Uuid>,
    /// By this author.
    pub author_id: Option<Uuid>,
    /// With this tag.
    pub tag_id: Option<Uuid>,
    /// Breaking news or not.
    pub breaking: Option<bool>,
    /// Published at this time or later.
    pub published_from: Option<Timestamp>,
    /// Published before this time.
    pub published_before: Option<Timestamp>,
}

/// What a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArticleOrder {
    /// The time of first publication; articles never published are not in such a list.
    PublishedAt(Order),
    /// The time of the last change.
    UpdatedAt(Order),
}

/// The articles with these ids that the viewer may see, in no order.
pub async fn by_ids(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
    visibility: Visibility,
) -> Result<Vec<Article>, DbErr> {
    let found = select(visibility).filter(article::COLUMN.id.is_in(ids.iter().copied()));
    found.into_model::<Row>().all(connection).await?.into_iter().map(Article::try_from).collect()
}

/// The article with this id, if the viewer may see it.
pub async fn by_id(
    connection: &impl ConnectionTrait,
    id: Uuid,
    visibility: Visibility,
) -> Result<Option<Article>, DbErr> {
    Ok(by_ids(connection, &[id], visibility).await?.pop())
}

/// The article with the text of its newest revision, whether or not readers see it.
pub async fn with_latest_text(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<Article>, DbErr> {
    let latest = Expr::col((article::Entity, article::Column::LatestRevisionId));
    let found = select_text(latest).filter(article::COLUMN.id.eq(id));
    found.into_model::<Row>().one(connection).await?.map(Article::try_from).transpose()
}

/// The article with this slug in an edition, if the viewer may see it.
async fn by_slug(
    connection: &impl ConnectionTrait,
    edition_id: Uuid,
    slug: &str,
    visibility: Visibility,
) -> Result<Option<Article>, DbErr> {
    let found = select(visibility)
        .filter(article::COLUMN.edition_id.eq(edition_id))
        .filter(article::COLUMN.slug.eq(slug));
    found.into_model::<Row>().one(connection).await?.map(Article::try_from).transpose()
}

/// The article at an address, if the viewer may see it: by its slug, or by one that it once had.
pub async fn at_address(
    connection: &impl ConnectionTrait,
    (edition_id, slug): (Uuid, &str),
    visibility: Visibility,
) -> Result<Option<Article>, DbErr> {
    if let Some(found) = by_slug(connection, edition_id, slug, visibility).await? {
        return Ok(Some(found));
    }
    match slug_redirect::target(connection, Noun::Article, edition_id, slug).await? {
        Some(target) => by_id(connection, target, visibility).await,
        None => Ok(None),
    }
}

/// The articles of these translation groups that the viewer may see.
pub async fn by_translation_groups(
    connection: &impl ConnectionTrait,
    groups: &[Uuid],
    visibility: Visibility,
) -> Result<Vec<Article>, DbErr> {
    let found = select(visibility)
        .filter(article::COLUMN.translation_group_id.is_in(groups.iter().copied()))
        .order_by_asc(article::COLUMN.created_at)
        .order_by_asc(article::COLUMN.id);
    found.into_model::<Row>().all(connection).await?.into_iter().map(Article::try_from).collect()
}

/// A page of a list.
pub async fn page(
    connection: &impl ConnectionTrait,
    filter: &ArticleFilter,
    order: ArticleOrder,
    request: &PageRequest,
) -> Result<Page<Article>, DbErr> {
    let mut select = restrict(select(Visibility::Everything), filter);
    let (column, order) = match order {
        ArticleOrder::PublishedAt(order) => {
            select = select.filter(article::COLUMN.published_at.is_not_null());
            (article::Column::PublishedAt, order)
        }
        ArticleOrder::UpdatedAt(order) => (article::Column::UpdatedAt, order),
    };
    let key = ((article::Entity, column), (article::Entity, article::Column::Id));
    keyset::restrict(QuerySelect::query(&mut select), key, order, request);
    let rows = select.into_model::<Row>().all(connection).await?;
    let articles = rows.into_iter().map(Article::try_from).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_rows(articles, request))
}

/// Which of these slugs are taken in an edition, by articles other than the given one.
pub async fn taken_slugs(
    connection: &impl ConnectionTrait,
    edition_id: Uuid,
    slugs: &[String],
    except: Option<Uuid>,
) -> Result<Vec<String>, DbErr> {
    let mut find = article::Entity::find()
        .filter(article::COLUMN.edition_id.eq(edition_id))
        .filter(article::COLUMN.slug.is_in(slugs.iter().cloned()));
    if let Some(id) = except {
        find = find.filter(article::COLUMN.id.ne(id));
    }
    Ok(find.all(connection).await?.into_iter().map(|row| row.slug).collect())
}

/// Joins each article with the revision that shows: the published one, else the latest.
fn select(visibility: Visibility) -> Select<article::Entity> {
    let shown = Func::coalesce([
        Expr::col((article::Entity, article::Column::PublishedRevisionId)),
        Expr::col((article::Entity, article::Column::LatestRevisionId)),
    ]);
    let select = select_text(shown.into());
    match visibility {
        Visibility::Published => {
            select.filter(article::COLUMN.state.eq(ArticleState::Published.as_str()))
        }
        Visibility::Everything => select,
    }
}

fn select_text(revision_id: Expr) -> Select<article::Entity> {
    let mut select = article::Entity::find()
        .column_as(Expr::col((revision::Entity, revision::Column::Id)), "revision_id")
        .columns([
            revision::Column::Headline,
            revision::Column::Subheadline,
            revision::Column::DatelineSource,
            revision::Column::DatelinePlace,
            revision::Column::Body,
            revision::Column::Excerpt,
            revision::Column::ImageUrl,
            revision::Column::ImageAlt,
            revision::Column::WordCount,
        ]);
    let on = Expr::col((revision::Entity, revision::Column::Id)).eq(revision_id);
    QuerySelect::query(&mut select).join(JoinType::InnerJoin, revision::Entity, on);
    select
}

fn restrict(
    mut select: Select<article::Entity>,
    filter: &ArticleFilter,
) -> Select<article::Entity> {
    select = select
        .filter(article::COLUMN.state.is_in(filter.states.iter().map(|state| state.as_str())));
    if let Some(id) = filter.edition_id {
        select = select.filter(article::COLUMN.edition_id.eq(id));
    }
    if let Some(id) = filter.category_id {
        let subtree = category::subtree_query(&[id]);
        select = select
            .filter(Expr::col((article::Entity, article::Column::CategoryId)).in_subquery(subtree));
    }
    if let Some(breaking) = filter.breaking {
        select = select.filter(article::COLUMN.breaking.eq(breaking));
    }
    if let Some(from) = filter.published_from {
        select = select.filter(article::COLUMN.published_at.gte(from));
    }
    if let Some(before) = filter.published_before {
        select = select.filter(article::COLUMN.published_at.lt(before));
    }
    if let Some(id) = filter.author_id {
        let by_author = Query::select()
            .column(article_author::Column::ArticleId)
            .from(article_author::Entity)
            .and_where(article_author::COLUMN.author_id.eq(id))
            .to_owned();
        select =
            select.filter(Expr::col((article::Entity, article::Column::Id)).in_subquery(by_author));
    }
    if let Some(id) = filter.tag_id {
        let with_tag = Query::select()
            .column(article_tag::Column::ArticleId)
            .from(article_tag::Entity)
            .and_where(article_tag::COLUMN.tag_id.eq(id))
            .to_owned();
        select =
            select.filter(Expr::col((article::Entity, article::Column::Id)).in_subquery(with_tag));
    }
    select
}

/// An article's row joined with the revision that shows.
#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    edition_id: Uuid,
    category_id: Uuid,
    translation_group_id: Uuid,
    slug: String,
    state: String,
    breaking: bool,
    latest_revision_id: Uuid,
    comment_count: i32,
    lock_version: i32,
    created_at: Timestamp,
    updated_at: Timestamp,
    published_at: Option<Timestamp>,
    revision_id: Uuid,
    headline: String,
    subheadline: Option<String>,
    dateline_source: Option<String>,
    dateline_place: Option<String>,
    body: String,
    excerpt: String,
    image_url: Option<String>,
    image_alt: Option<String>,
    word_count: i32,
}

impl TryFrom<Row> for Article {
    type Error = DbErr;

    fn try_from(row: Row) -> Result<Self, DbErr> {
        let image = row.image_url.map(|url| Image { url, alt: row.image_alt.unwrap_or_default() });
        Ok(Self {
            id: row.id,
            edition_id: row.edition_id,
            category_id: row.category_id,
            translation_group_id: row.translation_group_id,
            slug: row.slug,
            state: ArticleState::from_word(&row.state)
                .ok_or_else(|| unreadable("article state", &row.state))?,
            breaking: row.breaking,
            revision_id: row.revision_id,
            latest_revision_id: row.latest_revision_id,
            text: ArticleText {
                headline: row.headline,
                subheadline: row.subheadline,
                dateline: Dateline { source: row.dateline_source, place: row.dateline_place },
                body: Body::from_json(&row.body).map_err(|error| DbErr::Json(error.to_string()))?,
                excerpt: row.excerpt,
                image,
            },
            word_count: u32::try_from(row.word_count).unwrap_or_default(),
            comment_count: u32::try_from(row.comment_count).unwrap_or_default(),
            lock_version: row.lock_version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            published_at: row.published_at,
        })
    }
}
