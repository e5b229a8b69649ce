//! Creates an article as a draft.

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{slugs, takes_field_codes};
use crate::app::App;
use crate::domain::article::{Article, ArticleState, ArticleText};
use crate::domain::article_input::{ArticleInput, parse_credits};
use crate::domain::failure::{Failure, Faults, Rejection};
use crate::domain::slug;
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;
use crate::storage::article::Visibility;
use crate::storage::article_write::Saved;

/// What the article is to be.
#[derive(Debug, Clone)]
pub struct Input {
    /// The edition's locale.
    pub locale: String,
    /// Its category.
    pub category: Uuid,
    /// Its words.
    pub text: ArticleInput,
    /// Made from the headline when absent.
    pub slug: Option<String>,
    /// Names, in the order of the byline.
    pub authors: Vec<String>,
    /// Names.
    pub tags: Vec<String>,
    /// Breaking news?
    pub breaking: bool,
    /// An article of another edition that tells the same story.
    pub translation_of: Option<Uuid>,
}

/// Why an article was not created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is no edition of this locale.
    EditionNotFound,
    /// There is no such category.
    CategoryNotFound,
    /// There is no such article to be a translation of.
    TranslationNotFound,
    /// That story is told in this edition already.
    TranslationTaken,
    /// Another article of the edition has the slug.
    SlugTaken,
}
takes_field_codes!(Code);

/// Everything about the input that needs no database.
struct Parsed {
    text: ArticleText,
    authors: Vec<String>,
    tags: Vec<String>,
    wanted_slug: Option<String>,
}

/// Creates a draft. Nobody but staff sees it until it is published.
pub async fn create_article(
    app: &App,
    viewer: &Viewer,
    input: Input,
) -> Result<Article, Failure<Code>> {
    viewer.check(Permission::WriteArticles)?;
    let mut faults = Faults::default();
    let parsed = parse(&input, &mut faults);
    let change = app.begin().await?;
    let tx = change.transaction();
    let edition =
        faults.take(storage::edition::by_locale(tx, &input.locale).await?.ok_or_else(|| {
            let message = format!("there is no edition {}", input.locale);
            Rejection::at("locale", Code::EditionNotFound, message)
        }));
    if storage::category::hold(tx, &[input.category]).await?.is_empty() {
        faults.push(Rejection::at("category", Code::CategoryNotFound, "there is no such category"));
    }
    faults.check()?;
    let (Some(parsed), Some(edition)) = (parsed, edition) else {
        return Err(anyhow::anyhow!("a field is missing though no fault was found").into());
    };

    storage::edition::lock_slugs(tx, edition.id).await?;
    let id = app.clock.new_id();
    let group = match input.translation_of {
        Some(original) => translation_group(tx, edition.id, original).await?,
        None => id,
    };
    let article = Article {
        id,
        edition_id: edition.id,
        category_id: input.category,
        translation_group_id: group,
        slug: choose_slug(tx, edition.id, &parsed, id).await?,
        state: ArticleState::Draft,
        breaking: input.breaking,
        revision_id: app.clock.new_id(),
        latest_revision_id: Uuid::nil(),
        text: parsed.text,
        word_count: 0,
        comment_count: 0,
        lock_version: 1,
        created_at: app.now(),
        updated_at: app.now(),
        published_at: None,
    };
    let article = Article { latest_revision_id: article.revision_id, ..article };
    let saved = Saved { by: viewer.user_id(), at: app.now() };
    storage::article_write::insert(tx, &article, saved).await?;
    storage::author::credit(tx, id, &parsed.authors, &*app.clock).await?;
    storage::tag::attach(tx, (id, edition.id), &parsed.tags, &*app.clock).await?;
    let created =
        storage::article::by_id(tx, id, Visibility::Everything).await?.ok_or(Failure::NotFound)?;
    change.commit().await?;
    Ok(created)
}

fn parse(input: &Input, faults: &mut Faults<Code>) -> Option<Parsed> {
    let text = input.text.clone().parse(faults);
    let authors = parse_credits("authors", &input.authors, faults);
    let tags = parse_credits("tags", &input.tags, faults);
    let wanted_slug = match &input.slug {
        Some(slug) => faults.take(slug::from_text(slug).map(Some).ok_or_else(|| {
            Rejection::invalid("slug", "must contain at least one letter or digit")
        })),
        None => Some(None),
    };
    Some(Parsed { text: text?, authors: authors?, tags: tags?, wanted_slug: wanted_slug? })
}

/// The slug that was asked for, if it is free; otherwise one from the headline.
async fn choose_slug(
    tx: &impl ConnectionTrait,
    edition_id: Uuid,
    parsed: &Parsed,
    id: Uuid,
) -> Result<String, Failure<Code>> {
    let Some(wanted) = &parsed.wanted_slug else {
        let wanted = slug::from_text_or(&parsed.text.headline, &id.simple().to_string());
        return Ok(slugs::free_article_slug(tx, edition_id, &wanted, id).await?);
    };
    if storage::article::taken_slugs(tx, edition_id, std::slice::from_ref(wanted), Some(id))
        .await?
        .is_empty()
    {
        return Ok(wanted.clone());
    }
    Err(slug_taken(wanted).into())
}

fn slug_taken(slug: &str) -> Rejection<Code> {
    Rejection::at(
        "slug",
        Code::SlugTaken,
        format!("another article of this edition is called {slug}"),
    )
}

async fn translation_group(
    tx: &impl ConnectionTrait,
    edition_id: Uuid,
    original: Uuid,
) -> Result<Uuid, Failure<Code>> {
    let Some(original) = storage::article::by_id(tx, original, Visibility::Everything).await?
    else {
        return Err(Rejection::at(
            "translationOf",
            Code::TranslationNotFound,
            "there is no such article",
        )
        .into());
    };
    let group = original.translation_group_id;
    let told =
        storage::article::by_translation_groups(tx, &[group], Visibility::Everything).await?;
    if told.iter().any(|article| article.edition_id == edition_id) {
        let message = "this edition tells that story already";
        return Err(Rejection::at("translationOf", Code::TranslationTaken, message).into());
    }
    Ok(group)
}
