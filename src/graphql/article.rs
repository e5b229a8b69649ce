//! Articles to read.

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, Error, ID, Object, SimpleObject};

use super::body::ArticleBody;
use super::category::Category;
use super::comment::{Comment, CommentOrder, comments};
use super::context::KhabarContext;
use super::credit::{Author, Tag};
use super::edition::{Edition, TextDirection};
use super::ids::{self, Kind};
use super::loaders::{AuthorsKey, CategoryKey, EditionKey, TagsKey, TranslationsKey};
use super::paging::PageArgs;
use crate::domain::article as domain;
use crate::domain::clock::Timestamp;
use crate::domain::page::Cursor;
use crate::domain::viewer::Permission;
use crate::storage;
use crate::storage::comment::Thread;

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

/// A row that a foreign key promises is gone: our fault, whatever the cause.
pub(super) fn vanished(what: &str) -> Error {
    Error::new_with_source(std::io::Error::other(format!("the {what} of a row is missing")))
}
