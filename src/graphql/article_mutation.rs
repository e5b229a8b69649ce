//! Articles to write and to publish.

use async_graphql::{Context, Error, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::alert::Alert;
use super::alert_mutation::AlertInput;
use super::article::Article;
use super::body::ArticleBodyInput;
use super::context::KhabarContext;
use super::errors::{settle, user_errors};
use super::ids::{self, Kind};
use super::patch;
use crate::actions::create_article::{self, create_article};
use crate::actions::publish_article::{self, publish_article};
use crate::actions::unpublish_article::{self, unpublish_article};
use crate::actions::update_article::{self, update_article};
use crate::domain::article as domain;
use crate::domain::article_input::ArticleInput;

/// Where a story was filed from.
#[derive(InputObject)]
pub struct DatelineInput {
    /// Who filed it; at most 100 characters.
    source: Option<String>,
    /// From where; at most 100 characters.
    place: Option<String>,
}

impl From<DatelineInput> for domain::Dateline {
    fn from(input: DatelineInput) -> Self {
        Self { source: input.source, place: input.place }
    }
}

/// A picture by its address.
#[derive(InputObject)]
pub struct ImageInput {
    /// An absolute http(s) address.
    url: String,
    /// What it shows, for those who cannot see it.
    #[graphql(default)]
    alt: String,
}

impl From<ImageInput> for domain::Image {
    fn from(input: ImageInput) -> Self {
        Self { url: input.url, alt: input.alt }
    }
}

/// What a new article is to be.
#[derive(InputObject)]
pub struct ArticleCreateInput {
    /// The locale of its edition.
    locale: String,
    /// Its category.
    category: ID,
    /// One line, 1 to 300 characters.
    headline: String,
    /// The line under it, at most 500 characters.
    subheadline: Option<String>,
    /// Where it was filed from.
    dateline: Option<DatelineInput>,
    /// The story.
    body: ArticleBodyInput,
    /// For lists, at most 1000 characters; the beginning of the body when absent.
    excerpt: Option<String>,
    /// The picture that stands for the story.
    image: Option<ImageInput>,
    /// Made from the headline when absent; a number is put behind it when it is taken.
    slug: Option<String>,
    /// Names in the order of the byline, at most 20.
    #[graphql(default)]
    authors: Vec<String>,
    /// Names, at most 20.
    #[graphql(default)]
    tags: Vec<String>,
    /// Whether it is breaking news.
    #[graphql(default)]
    breaking: bool,
    /// An article of another edition that tells the same story.
    translation_of: Option<ID>,
}

user_errors!(
    ArticleCreateUserError,
    ArticleCreateUserErrorCode = create_article::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters, blocks or names than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is no edition of this locale.
        EditionNotFound,
        /// There is no such category.
        CategoryNotFound,
        /// There is no such article to be a translation of.
        TranslationNotFound,
        /// This edition tells that story already.
        TranslationTaken,
        /// Another article of the edition has the slug.
        SlugTaken,
    }
);

/// What came of `articleCreate`.
#[derive(SimpleObject)]
pub struct ArticleCreatePayload {
    /// The draft; null when there are userErrors.
    article: Option<Article>,
    /// What is wrong with the input; empty when the draft was created.
    user_errors: Vec<ArticleCreateUserError>,
}

/// What is to change. A field that is absent stays; null empties it where that is possible.
#[derive(InputObject)]
pub struct ArticleUpdateInput {
    /// One line, 1 to 300 characters.
    headline: Option<String>,
    /// Null removes it.
    subheadline: MaybeUndefined<String>,
    /// Source and place together; null removes both.
    dateline: MaybeUndefined<DatelineInput>,
    /// The whole story.
    body: Option<ArticleBodyInput>,
    /// Null makes it the beginning of the body again.
    excerpt: MaybeUndefined<String>,
    /// Null removes it.
    image: MaybeUndefined<ImageInput>,
    /// Takes effect at once, on a published article too.
    category: Option<ID>,
    /// Takes effect at once; the old slug leads to the new one.
    slug: Option<String>,
    /// Takes effect at once.
    authors: Option<Vec<String>>,
    /// Takes effect at once.
    tags: Option<Vec<String>>,
    /// Takes effect at once.
    breaking: Option<bool>,
    /// The version you edited; STALE when somebody has changed the article since.
    lock_version: Option<i32>,
}

user_errors!(
    ArticleUpdateUserError,
    ArticleUpdateUserErrorCode = update_article::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters, blocks or names than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is no such article.
        ArticleNotFound,
        /// There is no such category.
        CategoryNotFound,
        /// Another article of the edition has the slug.
        SlugTaken,
        /// The article's state does not allow it.
        WrongState,
        /// Somebody has changed the article since the version you sent.
        Stale,
    }
);

/// What came of `articleUpdate`.
#[derive(SimpleObject)]
pub struct ArticleUpdatePayload {
    /// The article as its viewers see it: ask for `latest` to see the saved text of a published
    /// one. Null when there are userErrors.
    article: Option<Article>,
    /// What is wrong with the input; empty when it was saved.
    user_errors: Vec<ArticleUpdateUserError>,
}

/// How an article is to be published.
#[derive(InputObject, Default)]
pub struct ArticlePublishInput {
    /// The version you read; STALE when somebody has changed the article since.
    lock_version: Option<i32>,
    /// Tells the readers who opted in, if given; `{}` takes all words from the story.
    alert: Option<AlertInput>,
}

user_errors!(
    ArticlePublishUserError,
    ArticlePublishUserErrorCode = publish_article::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is no such article.
        ArticleNotFound,
        /// The article's state does not allow it.
        WrongState,
        /// Somebody has changed the article since the version you sent.
        Stale,
        /// There is no edition of the locale that the alert names.
        EditionNotFound,
        /// Readers have been alerted of the article; say `alert.again` to alert them once more.
        AlertExists,
    }
);

/// What came of `articlePublish`.
#[derive(SimpleObject)]
pub struct ArticlePublishPayload {
    /// The article as readers see it now; null when there are userErrors.
    article: Option<Article>,
    /// The alert that is on its way; null when none was asked for.
    alert: Option<Alert>,
    /// What is wrong with the input; empty when it was published.
    user_errors: Vec<ArticlePublishUserError>,
}

user_errors!(
    ArticleUnpublishUserError,
    ArticleUnpublishUserErrorCode = unpublish_article::Code {
        /// There is no such article.
        ArticleNotFound,
        /// It is not published.
        WrongState,
    }
);

/// What came of `articleUnpublish`.
#[derive(SimpleObject)]
pub struct ArticleUnpublishPayload {
    /// The article, which readers do not see any more; null when there are userErrors.
    article: Option<Article>,
    /// What is wrong with the input; empty when it was taken back.
    user_errors: Vec<ArticleUnpublishUserError>,
}

/// Changes articles.
#[derive(Default)]
pub struct ArticleMutation;

#[Object]
impl ArticleMutation {
    /// Creates a draft. For reporters and editors.
    async fn article_create(
        &self,
        ctx: &Context<'_>,
        input: ArticleCreateInput,
    ) -> Result<Option<ArticleCreatePayload>, Error> {
        let created = create_article(ctx.app()?, ctx.viewer(), input.into()).await;
        let (article, user_errors) = settle(created)?;
        Ok(Some(ArticleCreatePayload { article: article.map(Article::from), user_errors }))
    }

    /// Saves edits. Words become a new revision, which readers of a published article see when it is
    /// published again; placement takes effect at once. For reporters and editors.
    async fn article_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: ArticleUpdateInput,
    ) -> Result<Option<ArticleUpdatePayload>, Error> {
        let id = ids::of(Kind::Article, &id);
        let updated = update_article(ctx.app()?, ctx.viewer(), id, input.into()).await;
        let (article, user_errors) = settle(updated)?;
        Ok(Some(ArticleUpdatePayload { article: article.map(Article::from), user_errors }))
    }

    /// Puts the newest text before readers, tells open pages, and sends the alert if one is asked
    /// for. For editors.
    async fn article_publish(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: Option<ArticlePublishInput>,
    ) -> Result<Option<ArticlePublishPayload>, Error> {
        let id = ids::of(Kind::Article, &id);
        let input = input.unwrap_or_default();
        let input = publish_article::Input {
            lock_version: input.lock_version,
            alert: input.alert.map(Into::into),
        };
        let (published, user_errors) =
            settle(publish_article(ctx.app()?, ctx.viewer(), id, input).await)?;
        let (article, alert) =
            published.map(|published| (published.article, published.alert)).unzip();
        Ok(Some(ArticlePublishPayload {
            article: article.map(Article::from),
            alert: alert.flatten().map(Alert),
            user_errors,
        }))
    }

    /// Takes a published article back from readers; its comments and its slug are kept. For editors.
    async fn article_unpublish(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<Option<ArticleUnpublishPayload>, Error> {
        let id = ids::of(Kind::Article, &id);
        let (article, user_errors) = settle(unpublish_article(ctx.app()?, ctx.viewer(), id).await)?;
        Ok(Some(ArticleUnpublishPayload { article: article.map(Article::from), user_errors }))
    }
}

impl From<ArticleCreateInput> for create_article::Input {
    fn from(input: ArticleCreateInput) -> Self {
        Self {
            locale: crate::domain::edition::canonical_locale(&input.locale).unwrap_or(input.locale),
            category: ids::of(Kind::Category, &input.category),
            text: ArticleInput {
                headline: input.headline,
                subheadline: input.subheadline,
                dateline: input.dateline.map(Into::into).unwrap_or_default(),
                body: input.body.into(),
                excerpt: input.excerpt,
                image: input.image.map(Into::into),
            },
            slug: input.slug,
            authors: input.authors,
            tags: input.tags,
            breaking: input.breaking,
            translation_of: input.translation_of.map(|id| ids::of(Kind::Article, &id)),
        }
    }
}

impl From<ArticleUpdateInput> for update_article::Input {
    fn from(input: ArticleUpdateInput) -> Self {
        Self {
            headline: input.headline,
            subheadline: patch(input.subheadline),
            dateline: patch(input.dateline)
                .map(|dateline| dateline.map(Into::into).unwrap_or_default()),
            body: input.body.map(Into::into),
            excerpt: patch(input.excerpt),
            image: patch(input.image).map(|image| image.map(Into::into)),
            category: input.category.map(|id| ids::of(Kind::Category, &id)),
            slug: input.slug,
            authors: input.authors,
            tags: input.tags,
            breaking: input.breaking,
            lock_version: input.lock_version,
        }
    }
}
