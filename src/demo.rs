//! The demo newsroom: fictional, in three editions, written through the actions.

use std::collections::HashMap;

use anyhow::{Context, anyhow, bail};
use chrono::TimeDelta;
use serde::Deserialize;
use uuid::Uuid;

use crate::actions::create_category::{self, NameInput, write_category};
use crate::actions::create_edition::{self, write_edition};
use crate::actions::import_article::{ImportedArticle, import_article};
use crate::actions::import_comments::{ImportedComment, Under, import_comments};
use crate::app::App;
use crate::domain::article::{ArticleState, Dateline, Image};
use crate::domain::article_input::ArticleInput;
use crate::domain::body::Body;
use crate::domain::comment::CommentState;
use crate::domain::edition::{Direction, Edition, Place};
use crate::domain::failure::{Failure, Faults, FieldCode};
use crate::domain::slug;
use crate::storage::{self, Change};

/// The setting that remembers that the demo was loaded, or refused, once.
const LOADED: &str = "demo_loaded";

const EDITIONS: &str = include_str!("../demo/editions.json");
const CATEGORIES: &str = include_str!("../demo/categories.json");
const ARTICLES: [&str; 3] = [
    include_str!("../demo/ar-IQ.json"),
    include_str!("../demo/ckb-IQ.json"),
    include_str!("../demo/en.json"),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DemoEdition {
    locale: String,
    name: String,
    direction: String,
    time_zone: String,
    place: String,
    latitude: f64,
    longitude: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DemoCategory {
    /// What articles and children refer to.
    key: String,
    #[serde(default)]
    parent: Option<String>,
    /// By locale.
    names: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DemoEditionArticles {
    locale: String,
    articles: Vec<DemoArticle>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DemoArticle {
    /// Shared by the articles that tell one story.
    #[serde(default)]
    story: Option<String>,
    category: String,
    headline: String,
    #[serde(default)]
    subheadline: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    place: Option<String>,
    #[serde(default)]
    image: Option<DemoImage>,
    authors: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    /// How long ago it was published; a draft when absent.
    #[serde(default)]
    hours_ago: Option<i64>,
    #[serde(default)]
    breaking: bool,
    body: DemoBody,
    #[serde(default)]
    comments: Vec<DemoComment>,
}

/// Blocks, or plain text with an empty line between paragraphs.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum DemoBody {
    Text(String),
    Blocks(Body),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DemoImage {
    url: String,
    alt: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DemoComment {
    name: String,
    text: String,
    #[serde(default)]
    replies: Vec<DemoComment>,
}

/// What was loaded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    articles: usize,
    comments: u64,
}

impl std::fmt::Display for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the demo newsroom is loaded: {} articles, {} comments",
            self.articles, self.comments
        )
    }
}

/// Loads the demo into a database that has never been asked, and has no edition of its own.
///
/// Of instances that start at once on one empty database, the first loads it and the others see
/// that it is there.
pub async fn load_once(app: &App) -> anyhow::Result<()> {
    app.alone(async {
        let connection = app.db.connection();
        let asked = storage::setting::get(connection, LOADED).await?.is_some();
        if !asked && storage::edition::all(connection).await?.is_empty() {
            let loaded = load(app).await?;
            tracing::info!("{loaded}");
        }
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// Loads the demo in one transaction: a newsroom has all of it or nothing. Fails when there are
/// editions already.
pub async fn load(app: &App) -> anyhow::Result<Loaded> {
    let change = app.begin().await?;
    if !storage::edition::all(change.transaction()).await?.is_empty() {
        bail!("this newsroom has editions already; the demo is for an empty database");
    }
    let editions = create_editions(app, &change).await?;
    let categories = create_categories(app, &change).await?;
    let mut loaded = Loaded::default();
    let mut stories: HashMap<String, Uuid> = HashMap::new();
    for json in ARTICLES {
        let of_edition: DemoEditionArticles = serde_json::from_str(json)?;
        let edition = editions.get(&of_edition.locale).context("articles of an unknown edition")?;
        for article in of_edition.articles {
            let story = article.story.clone();
            let category = *categories
                .get(&article.category)
                .with_context(|| format!("category {}", article.category))?;
            let (mut imported, comments) = imported(app, article, edition.id, category)?;
            imported.translation_group_id =
                story.as_ref().and_then(|story| stories.get(story).copied());
            loaded.articles += 1;
            let written = import_article(app, &change, imported).await?;
            let under = Under { article_id: written.id, story: None };
            loaded.comments += import_comments(app, &change, under, comments).await?;
            if let Some(story) = story {
                stories.entry(story).or_insert(written.translation_group_id);
            }
        }
    }
    storage::setting::set(change.transaction(), LOADED, "yes").await?;
    change.commit().await?;
    Ok(loaded)
}

async fn create_editions(app: &App, change: &Change) -> anyhow::Result<HashMap<String, Edition>> {
    let mut created = HashMap::new();
    for edition in serde_json::from_str::<Vec<DemoEdition>>(EDITIONS)? {
        let input = create_edition::Input {
            locale: edition.locale,
            name: edition.name,
            direction: Direction::from_word(&edition.direction).context("a direction")?,
            time_zone: edition.time_zone,
            place: Some(Place {
                name: edition.place,
                latitude: edition.latitude,
                longitude: edition.longitude,
            }),
            alerts_per_day: None,
        };
        let edition = write_edition(app, change, input).await.map_err(told)?;
        created.insert(edition.locale.clone(), edition);
    }
    Ok(created)
}

async fn create_categories(app: &App, change: &Change) -> anyhow::Result<HashMap<String, Uuid>> {
    let mut created: HashMap<String, Uuid> = HashMap::new();
    for category in serde_json::from_str::<Vec<DemoCategory>>(CATEGORIES)? {
        let parent = match &category.parent {
            Some(key) => Some(*created.get(key).with_context(|| format!("parent {key}"))?),
            None => None,
        };
        let names =
            category.names.into_iter().map(|(locale, name)| NameInput { locale, name, slug: None });
        let input = create_category::Input { parent, names: names.collect(), position: None };
        let node = write_category(app, change, input).await.map_err(told)?;
        created.insert(category.key, node.id);
    }
    Ok(created)
}

fn imported(
    app: &App,
    article: DemoArticle,
    edition_id: Uuid,
    category_id: Uuid,
) -> anyhow::Result<(ImportedArticle, Vec<ImportedComment>)> {
    let published_at = article.hours_ago.map(|hours| app.now() - TimeDelta::hours(hours));
    let input = ArticleInput {
        headline: article.headline,
        subheadline: article.subheadline,
        dateline: Dateline { source: article.source, place: article.place },
        body: match article.body {
            DemoBody::Text(text) => Body::from_plain_text(&text),
            DemoBody::Blocks(body) => body,
        },
        excerpt: None,
        image: article.image.map(|image| Image { url: image.url, alt: image.alt }),
    };
    let mut faults = Faults::<FieldCode>::default();
    let text = input.parse(&mut faults);
    faults.check().map_err(told)?;
    let text = text.context("a text without faults")?;
    let written_at = published_at.unwrap_or_else(|| app.now());
    let mut comments = Vec::new();
    for (number, comment) in (1..).zip(article.comments) {
        flatten(comment, None, written_at + TimeDelta::minutes(7 * number), &mut comments);
    }
    let article = ImportedArticle {
        edition_id,
        category_id,
        translation_group_id: None,
        slug: slug::from_text(&text.headline).context("a headline without letters")?,
        state: if published_at.is_some() { ArticleState::Published } else { ArticleState::Draft },
        breaking: article.breaking,
        text,
        authors: article.authors,
        tags: article.tags,
        created_at: written_at,
        published_at,
    };
    Ok((article, comments))
}

/// A comment and its replies, each behind the one it answers.
fn flatten(
    comment: DemoComment,
    reply_to: Option<usize>,
    at: crate::domain::clock::Timestamp,
    comments: &mut Vec<ImportedComment>,
) {
    let place = comments.len();
    comments.push(ImportedComment {
        key: String::new(),
        reply_to,
        author_name: comment.name,
        body: comment.text,
        state: CommentState::Approved,
        created_at: at,
    });
    for (number, reply) in (1..).zip(comment.replies) {
        flatten(reply, Some(place), at + TimeDelta::minutes(3 * number), comments);
    }
}

/// A rejection of what is written in this repository is a mistake in it.
fn told<C: std::fmt::Debug>(failure: Failure<C>) -> anyhow::Error {
    match failure {
        Failure::Rejected(faults) => anyhow!("the demo's content is at fault: {faults:?}"),
        Failure::Internal(cause) => cause,
        other => anyhow!("{other:?}"),
    }
}
