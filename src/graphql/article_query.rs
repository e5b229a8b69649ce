//! Articles to find: by id, by slug, in lists.

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, Error, ID, InputObject, Object};
use uuid::Uuid;

use super::article::{Article, ArticleState};
use super::context::KhabarContext;
use super::edition;
use super::errors::error;
use super::ids::{self, Kind};
use super::instant::Instant;
use super::loaders::ArticleKey;
use super::paging::{PageArgs, connection};
use crate::domain::article as domain;
use crate::domain::page::{Cursor, Order};
use crate::domain::slug;
use crate::domain::viewer::Permission;
use crate::storage;
use crate::storage::article::{ArticleFilter, ArticleOrder};

/// Which articles a list holds; all conditions must hold.
#[derive(InputObject, Default)]
pub struct ArticleFilterInput {
    /// Of the edition of this locale.
    locale: Option<String>,
    /// In this category or below it.
    category: Option<ID>,
    /// By this author.
    author: Option<ID>,
    /// With this tag.
    tag: Option<ID>,
    /// Only breaking news, or none of it.
    breaking: Option<bool>,
    /// Published at this instant or later.
    published_from: Option<Instant>,
    /// Published before this instant.
    published_before: Option<Instant>,
    /// In these states; PUBLISHED when absent. Other states are for staff.
    states: Option<Vec<ArticleState>>,
}

/// What a list of articles is ordered by.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArticleOrderBy {
    /// Last published first; holds no article that was never published.
    PublishedAtDesc,
    /// First published first; holds no article that was never published.
    PublishedAtAsc,
    /// Last changed first.
    UpdatedAtDesc,
    /// First changed first.
    UpdatedAtAsc,
}

impl From<ArticleOrderBy> for ArticleOrder {
    fn from(order: ArticleOrderBy) -> Self {
        match order {
            ArticleOrderBy::PublishedAtDesc => Self::PublishedAt(Order::Descending),
            ArticleOrderBy::PublishedAtAsc => Self::PublishedAt(Order::Ascending),
            ArticleOrderBy::UpdatedAtDesc => Self::UpdatedAt(Order::Descending),
            ArticleOrderBy::UpdatedAtAsc => Self::UpdatedAt(Order::Ascending),
        }
    }
}

/// Looks articles up.
#[derive(Default)]
pub struct ArticleQuery;

#[Object]
impl ArticleQuery {
    /// One article, by its id or by its slug in an edition; null when there is none that the viewer
    /// may see. A slug that the article once had finds it too: see `movedFrom`.
    async fn article(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id; then neither slug nor locale is needed.")] id: Option<ID>,
        #[graphql(desc = "The slug, percent-decoded.")] slug: Option<String>,
        #[graphql(desc = "The edition's locale; required with a slug.")] locale: Option<String>,
    ) -> Result<Option<Article>, Error> {
        match (id, slug, locale) {
            (Some(id), None, _) => {
                let key = ArticleKey(ids::of(Kind::Article, &id), ctx.visibility());
                Ok(ctx.loaders()?.load(key).await?.map(Article::from))
            }
            (None, Some(slug), Some(locale)) => by_slug(ctx, &slug, &locale).await,
            _ => Err(error("BAD_USER_INPUT", "give either id, or slug and locale")),
        }
    }

    /// Articles, page by page. Pages stay right while new articles come in.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Relay connection")]
    async fn articles(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which articles; all that are published when absent.")] filter: Option<
            ArticleFilterInput,
        >,
        #[graphql(
            desc = "PUBLISHED_AT_DESC when absent, or UPDATED_AT_DESC with unpublished states."
        )]
        order_by: Option<ArticleOrderBy>,
        #[graphql(desc = "From the beginning, 1 to 100; 20 when nothing is said.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "From the end, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only those before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Cursor, Article>, Error> {
        let filter = parse_filter(ctx, filter.unwrap_or_default()).await?;
        let page = PageArgs { first, after, last, before };
        articles(ctx, filter, order_by.map(Into::into), page).await
    }
}

/// A page of articles as a connection.
pub async fn articles(
    ctx: &Context<'_>,
    filter: ArticleFilter,
    order: Option<ArticleOrder>,
    page: PageArgs,
) -> Result<Connection<Cursor, Article>, Error> {
    let published_only = filter.states == [domain::ArticleState::Published];
    let order = order.unwrap_or(match published_only {
        true => ArticleOrder::PublishedAt(Order::Descending),
        false => ArticleOrder::UpdatedAt(Order::Descending),
    });
    let request = page.parse()?;
    let found =
        storage::article::page(ctx.app()?.db.connection(), &filter, order, &request).await?;
    let cursor = move |article: &domain::Article| match order {
        ArticleOrder::PublishedAt(_) => {
            Cursor { at: article.published_at.unwrap_or(article.updated_at), id: article.id }
        }
        ArticleOrder::UpdatedAt(_) => Cursor { at: article.updated_at, id: article.id },
    };
    Ok(connection(found, cursor, Article::from))
}

async fn parse_filter(
    ctx: &Context<'_>,
    input: ArticleFilterInput,
) -> Result<ArticleFilter, Error> {
    let mut states: Vec<domain::ArticleState> = match input.states {
        Some(states) => states.into_iter().map(Into::into).collect(),
        None => vec![domain::ArticleState::Published],
    };
    states.sort_unstable();
    states.dedup();
    if states.iter().any(|state| *state != domain::ArticleState::Published) {
        ctx.require(Permission::ReadDrafts)?;
    }
    let edition_id = match input.locale {
        Some(locale) => {
            Some(edition::by_locale(ctx, &locale).await?.map_or(Uuid::nil(), |edition| edition.id))
        }
        None => None,
    };
    Ok(ArticleFilter {
        states,
        edition_id,
        category_id: input.category.map(|id| ids::of(Kind::Category, &id)),
        author_id: input.author.map(|id| ids::of(Kind::Author, &id)),
        tag_id: input.tag.map(|id| ids::of(Kind::Tag, &id)),
        breaking: input.breaking,
        published_from: input.published_from.map(Into::into),
        published_before: input.published_before.map(Into::into),
    })
}

async fn by_slug(ctx: &Context<'_>, slug: &str, locale: &str) -> Result<Option<Article>, Error> {
    let Some(edition) = edition::by_locale(ctx, locale).await? else {
        return Ok(None);
    };
    let Some(slug) = slug::from_address(slug) else {
        return Ok(None);
    };
    let connection = ctx.app()?.db.connection();
    let address = (edition.id, slug.as_str());
    let found = storage::article::at_address(connection, address, ctx.visibility()).await?;
    Ok(found.map(|article| Article { moved_from: (article.slug != slug).then_some(slug), article }))
}
