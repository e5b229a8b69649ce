//! Edits an article. What readers see of a published one changes when it is published again.

use uuid::Uuid;

use super::takes_field_codes;
use crate::app::App;
use crate::domain::article::{Article, Dateline, Image};
use crate::domain::article_input::{ArticleInput, parse_credits};
use crate::domain::body::Body;
use crate::domain::failure::{Failure, Faults, Rejection};
use crate::domain::slug;
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;
use crate::storage::article_write::Saved;
use crate::storage::slug_redirect::{self, Noun};

/// What is to change; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Words: these make a new revision.
    pub headline: Option<String>,
    /// `Some(None)` removes it.
    pub subheadline: Option<Option<String>>,
    /// Source and place together.
    pub dateline: Option<Dateline>,
    /// The whole body.
    pub body: Option<Body>,
    /// `Some(None)` makes it follow the body again.
    pub excerpt: Option<Option<String>>,
    /// `Some(None)` removes it.
    pub image: Option<Option<Image>>,
    /// Placement: these take effect at once.
    pub category: Option<Uuid>,
    /// The old slug leads to the new one.
    pub slug: Option<String>,
    /// Names, in the order of the byline.
    pub authors: Option<Vec<String>>,
    /// Names.
    pub tags: Option<Vec<String>>,
    /// Breaking news?
    pub breaking: Option<bool>,
    /// The version that was edited; refused when somebody has changed the article since.
    pub lock_version: Option<i32>,
}

impl Input {
    /// Whether anything is to change that takes effect at once.
    fn changes_placement(&self) -> bool {
        self.category.is_some()
            || self.slug.is_some()
            || self.authors.is_some()
            || self.tags.is_some()
            || self.breaking.is_some()
    }
}

/// Why an article was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is no such article.
    ArticleNotFound,
    /// There is no such category.
    CategoryNotFound,
    /// Another article of the edition has the slug.
    SlugTaken,
    /// The article's state does not allow it.
    WrongState,
    /// Somebody has changed the article in the meantime.
    Stale,
}
takes_field_codes!(Code);

/// Saves the changed words as a new revision, and the changed placement at once.
pub async fn update_article(
    app: &App,
    viewer: &Viewer,
    id: Uuid,
    input: Input,
) -> Result<Article, Failure<Code>> {
    viewer.check(Permission::WriteArticles)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    // Category before article, as whoever deletes a category takes them.
    let held = storage::category::hold(tx, &Vec::from_iter(input.category)).await?;
    let published = storage::article_write::lock(tx, id).await?;
    let article = storage::article::with_latest_text(tx, id).await?;
    let (Some(published), Some(mut article)) = (published, article) else {
        return Err(Rejection::at("id", Code::ArticleNotFound, "there is no such article").into());
    };
    check_editable(&article, input.lock_version)?;

    let mut faults = Faults::default();
    let text = patched(&article, &input).parse(&mut faults);
    let authors = input.authors.as_ref().map(|names| parse_credits("authors", names, &mut faults));
    let tags = input.tags.as_ref().map(|names| parse_credits("tags", names, &mut faults));
    let slug =
        input.slug.as_ref().map(|wanted| {
            faults.take(slug::from_text(wanted).ok_or_else(|| {
                Rejection::invalid("slug", "must contain at least one letter or digit")
            }))
        });
    if let Some(category) = input.category {
        if held.is_empty() {
            faults.push(Rejection::at(
                "category",
                Code::CategoryNotFound,
                "there is no such category",
            ));
        }
        article.category_id = category;
    }
    faults.check()?;

    if let Some(text) = text.filter(|text| *text != article.text) {
        article.latest_revision_id = app.clock.new_id();
        let saved = Saved { by: viewer.user_id(), at: app.now() };
        storage::article_write::revise(tx, (id, article.latest_revision_id), &text, saved).await?;
    }
    if let Some(Some(names)) = authors {
        storage::author::credit(tx, id, &names, &*app.clock).await?;
    }
    if let Some(Some(names)) = tags {
        storage::tag::attach(tx, (id, article.edition_id), &names, &*app.clock).await?;
    }
    if let Some(Some(slug)) = slug.filter(|slug| slug.as_ref() != Some(&article.slug)) {
        rename(app, tx, &mut article, slug).await?;
    }
    article.breaking = input.breaking.unwrap_or(article.breaking);
    // Words of a published article wait to be published; the rest readers see at once.
    if published.is_none() || input.changes_placement() {
        article.updated_at = app.now();
    }
    storage::article_write::update(tx, &article, published).await?;
    let updated = storage::article::by_id(tx, id, storage::article::Visibility::Everything).await?;
    change.commit().await?;
    updated.ok_or(Failure::NotFound)
}

fn check_editable(article: &Article, lock_version: Option<i32>) -> Result<(), Failure<Code>> {
    if !article.state.may_edit() {
        let message = format!("an article in state {} cannot be edited", article.state.as_str());
        return Err(Rejection::at("id", Code::WrongState, message).into());
    }
    match lock_version {
        Some(version) if version != article.lock_version => {
            let message = format!(
                "the article was changed since version {version} (it is now at {}); load it again and repeat your edit",
                article.lock_version
            );
            Err(Rejection::at("lockVersion", Code::Stale, message).into())
        }
        _ => Ok(()),
    }
}

/// The latest words with the changed ones in their place.
fn patched(article: &Article, input: &Input) -> ArticleInput {
    let mut words = ArticleInput::from(article.text.clone());
    if let Some(headline) = &input.headline {
        words.headline.clone_from(headline);
    }
    if let Some(subheadline) = &input.subheadline {
        words.subheadline.clone_from(subheadline);
    }
    if let Some(dateline) = &input.dateline {
        words.dateline.clone_from(dateline);
    }
    if let Some(body) = &input.body {
        words.body.clone_from(body);
    }
    if let Some(excerpt) = &input.excerpt {
        words.excerpt.clone_from(excerpt);
    }
    if let Some(image) = &input.image {
        words.image.clone_from(image);
    }
    words
}

async fn rename(
    app: &App,
    tx: &impl sea_orm::ConnectionTrait,
    article: &mut Article,
    slug: String,
) -> Result<(), Failure<Code>> {
    storage::edition::lock_slugs(tx, article.edition_id).await?;
    let wanted = std::slice::from_ref(&slug);
    if !storage::article::taken_slugs(tx, article.edition_id, wanted, Some(article.id))
        .await?
        .is_empty()
    {
        let message = format!("another article of this edition is called {slug}");
        return Err(Rejection::at("slug", Code::SlugTaken, message).into());
    }
    // A slug that readers never saw needs no redirect, and would leak that there is a draft.
    if article.published_at.is_some() {
        let old = (article.edition_id, article.slug.as_str());
        slug_redirect::put(tx, Noun::Article, old, article.id, app.now()).await?;
    }
    article.slug = slug;
    Ok(())
}
