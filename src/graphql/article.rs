//! Articles to read.

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, Error, ID, InputObject, Object, SimpleObject};
use uuid::Uuid;

use super::body::ArticleBody;
use super::category::Category;
use super::comment::{Comment, CommentOrder, comments};
use super::context::KhabarContext;
use super::edition::{self, Edition, TextDirection};
use super::errors::error;
use super::ids::{self, Kind};
use super::loaders::{ArticleKey, AuthorsKey, CategoryKey, EditionKey, TagsKey, TranslationsKey};
use super::paging::{PageArgs, connection};
use crate::domain::article as domain;
use crate::domain::clock::Timestamp;
use crate::domain::page::{Cursor, Order};
use crate::domain::slug;
use crate::domain::viewer::Permission;
use crate::storage;
use crate::storage::article::{ArticleFilter, ArticleOrder};
use crate::storage::comment::Thread;
use crate::storage::slug_redirect::{self, Noun};

/// An article, and the old slug that a look-up found it by.
pub struct Article {
    /// The article.
    pub article: domain::Article,
    /// The slug that was asked for, when it is not the slug any more.
    pub moved_from: Option<String>,
}

impl From<domain::Article> for Article {
    fn from(article: domain::Article) -> Self {
        Self { article, moved_from: None }
    }
}

/// Where an article stands. Readers meet PUBLISHED alone.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "domain::ArticleState")]
pub enum ArticleState {
    /// Being written.
    Draft,
    /// Waiting for an editor.
    InReview,
    /// Will be published at a set time.
    Scheduled,
    /// Readers see it.
    Published,
    /// Was published and was taken back.
    Unpublished,
    /// Kept, and out of everybody's way.
    Archived,
}

/// Where a story was filed from.
#[derive(SimpleObject)]
pub struct Dateline {
    /// Who filed it, such as an agency.
    source: Option<String>,
    /// From where.
    place: Option<String>,
}

/// A picture by its address.
#[derive(SimpleObject)]
pub struct Image {
    /// An absolute http(s) address.
    url: String,
    /// What it shows, for those who cannot see it; empty when it only decorates.
    alt: String,
}

/// Whoever wrote a story, as the byline names them.
pub struct Author(pub domain::Author);

/// Whoever wrote a story, as the byline names them.
#[Object]
impl Author {
    /// The global id.
    pub async fn id(&self) -> ID {
        ids::encode(Kind::Author, self.0.id)
    }

    /// Unique.
    async fn name(&self) -> &str {
        &self.0.name
    }
}

/// A word that articles of one edition have in common.
pub struct Tag(pub domain::Tag);

/// A word that articles of one edition have in common.
#[Object]
impl Tag {
    /// The global id.
    pub async fn id(&self) -> ID {
        ids::encode(Kind::Tag, self.0.id)
    }

    /// As readers see it.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Unique in the edition.
    async fn slug(&self) -> &str {
        &self.0.slug
    }
}

/// A story. Readers get its published text; staff who may read drafts get the draft's text while
/// nothing is published.
#[Object]
impl Article {
    /// The global id; it stays when the slug changes.
    pub async fn id(&self) -> ID {
        ids::encode(Kind::Article, self.article.id)
    }

    /// The edition it belongs to.
    async fn edition(&self, ctx: &Context<'_>) -> Result<Edition, Error> {
        let edition = ctx.loaders()?.load(EditionKey(self.article.edition_id)).await?;
        edition.map(Edition).ok_or_else(|| vanished("edition"))
    }

    /// The edition's locale: the value of HTML's `lang` attribute.
    async fn locale(&self, ctx: &Context<'_>) -> Result<String, Error> {
        let edition = ctx.loaders()?.load(EditionKey(self.article.edition_id)).await?;
        edition.map(|edition| edition.locale).ok_or_else(|| vanished("edition"))
    }

    /// Which way its text runs.
    async fn direction(&self, ctx: &Context<'_>) -> Result<TextDirection, Error> {
        let edition = ctx.loaders()?.load(EditionKey(self.article.edition_id)).await?;
        edition.map(|edition| edition.direction.into()).ok_or_else(|| vanished("edition"))
    }

    /// Where it stands; always PUBLISHED for readers.
    async fn state(&self) -> ArticleState {
        self.article.state.into()
    }

    /// One line, at most 300 characters.
    async fn headline(&self) -> &str {
        &self.article.text.headline
    }

    /// The line under the headline.
    async fn subheadline(&self) -> Option<&str> {
        self.article.text.subheadline.as_deref()
    }

    /// Where it was filed from; null when neither source nor place is known.
    async fn dateline(&self) -> Option<Dateline> {
        let domain::Dateline { source, place } = self.article.text.dateline.clone();
        (source.is_some() || place.is_some()).then_some(Dateline { source, place })
    }

    /// The readable part of its address: letters of every script, NFC, unique in the edition.
    async fn slug(&self) -> &str {
        &self.article.slug
    }

    /// The old slug that this look-up found the article by; redirect the reader to `canonicalUrl`.
    /// Null when the article was found by its id or by its present slug.
    async fn moved_from(&self) -> Option<&str> {
        self.moved_from.as_deref()
    }

    /// Where readers find it: the site's address, the locale, the slug, percent-encoded.
    async fn canonical_url(&self, ctx: &Context<'_>) -> Result<String, Error> {
        let edition = ctx.loaders()?.load(EditionKey(self.article.edition_id)).await?;
        let edition = edition.ok_or_else(|| vanished("edition"))?;
        Ok(self.article.canonical_url(ctx.public_url()?, &edition))
    }

    /// The story.
    async fn body(&self) -> ArticleBody {
        ArticleBody(self.article.text.body.clone())
    }

    /// For lists: written by an editor, or the beginning of the body, at most 200 characters of it.
    async fn excerpt(&self) -> &str {
        &self.article.text.excerpt
    }

    /// The picture that stands for the story.
    async fn image(&self) -> Option<Image> {
        let image = self.article.text.image.clone()?;
        Some(Image { url: image.url, alt: image.alt })
    }

    /// In the order of the byline.
    async fn authors(&self, ctx: &Context<'_>) -> Result<Vec<Author>, Error> {
        let authors = ctx.loaders()?.load_or_default(AuthorsKey(self.article.id)).await?;
        Ok(authors.into_iter().map(Author).collect())
    }

    /// Its node in the category tree, named as in this edition.
    async fn category(&self, ctx: &Context<'_>) -> Result<Category, Error> {
        let category = ctx.loaders()?.load(CategoryKey(self.article.category_id)).await?;
        let category = category.ok_or_else(|| vanished("category"))?;
        Ok(Category::new(category, self.article.edition_id))
    }

    /// In the order the editors gave them.
    async fn tags(&self, ctx: &Context<'_>) -> Result<Vec<Tag>, Error> {
        let tags = ctx.loaders()?.load_or_default(TagsKey(self.article.id)).await?;
        Ok(tags.into_iter().map(Tag).collect())
    }

    /// The same story in other editions.
    async fn translations(&self, ctx: &Context<'_>) -> Result<Vec<Article>, Error> {
        let key = TranslationsKey(self.article.translation_group_id, ctx.visibility());
        let told = ctx.loaders()?.load_or_default(key).await?;
        Ok(told
            .into_iter()
            .filter(|other| other.id != self.article.id)
            .map(Article::from)
            .collect())
    }

    /// When it was first published; null before.
    async fn published_at(&self) -> Option<Timestamp> {
        self.article.published_at
    }

    /// When it last changed.
    async fn updated_at(&self) -> Timestamp {
        self.article.updated_at
    }

    /// Whole minutes at 200 words a minute, at least 1.
    async fn reading_time_minutes(&self) -> u32 {
        self.article.reading_minutes()
    }

    /// Whether it is breaking news.
    async fn breaking(&self) -> bool {
        self.article.breaking
    }

    /// Approved comments, replies included, exactly.
    async fn comment_count(&self) -> u32 {
        self.article.comment_count
    }

    /// Approved comments right under the article; an article without any has an empty list.
    async fn comments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From the beginning, 1 to 100; 20 when nothing is said.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only those after this cursor.")] after: Option<String>,
        #[graphql(desc = "Which come first.", default_with = "CommentOrder::Newest")]
        order_by: CommentOrder,
    ) -> Result<Connection<Cursor, Comment>, Error> {
        let page = PageArgs { first, after, ..PageArgs::default() };
        comments(ctx, Thread::Article(self.article.id), order_by, page).await
    }

    /// Counts the changes; send it with a mutation to be told when somebody was faster. For staff.
    async fn lock_version(&self, ctx: &Context<'_>) -> Option<Result<i32, Error>> {
        Some(ctx.require(Permission::ReadDrafts).map(|()| self.article.lock_version))
    }

    /// Whether there are edits that readers do not see yet. For staff.
    async fn has_unpublished_changes(&self, ctx: &Context<'_>) -> Option<Result<bool, Error>> {
        let granted = ctx.require(Permission::ReadDrafts);
        Some(granted.map(|()| self.article.has_unpublished_changes()))
    }

    /// The article with its newest text, whether or not readers see it. For staff.
    async fn latest(&self, ctx: &Context<'_>) -> Option<Result<Article, Error>> {
        let latest = async {
            ctx.require(Permission::ReadDrafts)?;
            let connection = ctx.app()?.db.connection();
            let latest = storage::article::with_latest_text(connection, self.article.id).await?;
            latest.map(Article::from).ok_or_else(|| vanished("text"))
        };
        Some(latest.await)
    }
}

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
    published_from: Option<Timestamp>,
    /// Published before this instant.
    published_before: Option<Timestamp>,
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
    let states: Vec<domain::ArticleState> = match input.states {
        Some(states) => states.into_iter().map(Into::into).collect(),
        None => vec![domain::ArticleState::Published],
    };
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
        published_from: input.published_from,
        published_before: input.published_before,
    })
}

async fn by_slug(ctx: &Context<'_>, slug: &str, locale: &str) -> Result<Option<Article>, Error> {
    let Some(edition) = edition::by_locale(ctx, locale).await? else {
        return Ok(None);
    };
    let slug = slug::from_address(slug);
    let connection = ctx.app()?.db.connection();
    let found = storage::article::by_slug(connection, edition.id, &slug, ctx.visibility()).await?;
    if let Some(article) = found {
        return Ok(Some(article.into()));
    }
    let Some(target) = slug_redirect::target(connection, Noun::Article, edition.id, &slug).await?
    else {
        return Ok(None);
    };
    let moved = storage::article::by_id(connection, target, ctx.visibility()).await?;
    Ok(moved.map(|article| Article { article, moved_from: Some(slug) }))
}

/// A row that a foreign key promises is gone: our fault, whatever the cause.
pub(super) fn vanished(what: &str) -> Error {
    Error::new_with_source(std::io::Error::other(format!("the {what} of a row is missing")))
}
