//! What the pages ask: committed documents, run against the schema as any reader's client runs them.

use async_graphql::{Request, Variables};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::clock::Timestamp;
use crate::domain::viewer::Viewer;
use crate::http::Edge;
use crate::http::graphql::Caller;

pub(super) const ARTICLE_COMMENTS: &str =
    include_str!("../../../schema/operations/ArticleComments.graphql");
pub(super) const ARTICLE_PAGE: &str =
    include_str!("../../../schema/operations/ArticlePage.graphql");
pub(super) const CATEGORY_PAGE: &str =
    include_str!("../../../schema/operations/CategoryPage.graphql");
pub(super) const COMMENT_CREATE: &str =
    include_str!("../../../schema/operations/CommentCreate.graphql");
pub(super) const COMMENT_REPLIES: &str =
    include_str!("../../../schema/operations/CommentReplies.graphql");
pub(super) const EDITIONS: &str = include_str!("../../../schema/operations/Editions.graphql");
pub(super) const FRONT_PAGE: &str = include_str!("../../../schema/operations/FrontPage.graphql");
pub(super) const SITE_HEADER: &str = include_str!("../../../schema/operations/SiteHeader.graphql");

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The address asks for something that cannot be: a cursor of nowhere, say.
    NoSuchThing,
    /// The reader's address asks too often.
    TooOften,
    /// Our fault, in the log already.
    Broken,
}

/// A reader whose browser asks for a page.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    edge: &'a Edge,
    caller: &'a Caller,
}

impl<'a> Reader<'a> {
    pub(super) fn new(edge: &'a Edge, caller: &'a Caller) -> Self {
        Self { edge, caller }
    }

    /// Runs a document as nobody in particular.
    pub(super) async fn ask<T: DeserializeOwned>(
        self,
        document: &str,
        variables: Value,
    ) -> Result<T, Fault> {
        let request = Request::new(document).variables(Variables::from_json(variables));
        let request = self.caller.attach(request).data(Viewer::Anonymous);
        let answer = self.edge.schema.execute(request).await;
        if let Some(error) = answer.errors.first() {
            let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
            return Err(match code {
                Some(async_graphql::Value::String(code)) if code == "BAD_USER_INPUT" => {
                    Fault::NoSuchThing
                }
                Some(async_graphql::Value::String(code)) if code == "RATE_LIMITED" => {
                    Fault::TooOften
                }
                _ => Fault::Broken,
            });
        }
        answer.data.into_json().and_then(serde_json::from_value).map_err(|error| {
            tracing::error!(%error, "an answer of the schema has not the form that a page expects");
            Fault::Broken
        })
    }
}

/// An edition, as the links to the others name it.
#[derive(Debug, Deserialize)]
pub(super) struct EditionLink {
    pub locale: String,
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Editions {
    pub editions: Vec<EditionLink>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SiteHeader {
    pub edition: Option<Edition>,
    pub categories: Vec<Category>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Edition {
    pub name: String,
    pub locale: String,
    pub direction: String,
    pub time_zone: String,
    pub place: Option<Place>,
    pub local_time: LocalTime,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    pub name: String,
    pub temperature_celsius: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LocalTime {
    pub formatted: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Category {
    pub name: String,
    pub slug: String,
}

/// A list of stories and whether there are older ones.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stories {
    pub nodes: Vec<Story>,
    pub page_info: PageInfo,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub end_cursor: Option<String>,
    pub has_next_page: bool,
}

/// A story in a list. Lists of a category hold less of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Story {
    pub id: String,
    pub headline: String,
    pub slug: String,
    pub published_at: Option<Timestamp>,
    pub subheadline: Option<String>,
    #[serde(default)]
    pub excerpt: String,
    #[serde(default)]
    pub breaking: bool,
    pub image: Option<Image>,
    pub category: Option<Category>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Image {
    pub url: String,
    pub alt: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FrontPage {
    pub newest_event_id: String,
    pub articles: Stories,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CategoryPage {
    pub newest_event_id: String,
    pub category: Option<CategoryStories>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CategoryStories {
    pub id: String,
    pub name: String,
    pub slug: String,
    pub ancestors: Vec<Category>,
    pub children: Vec<Category>,
    pub articles: Stories,
}

#[derive(Debug, Deserialize)]
pub(super) struct ArticlePage {
    pub article: Option<Article>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Article {
    pub id: String,
    pub headline: String,
    pub subheadline: Option<String>,
    pub dateline: Option<Dateline>,
    pub slug: String,
    pub canonical_url: String,
    pub breaking: bool,
    pub published_at: Option<Timestamp>,
    pub reading_time_minutes: u32,
    pub excerpt: String,
    pub body: Body,
    pub image: Option<Image>,
    pub authors: Vec<Named>,
    pub tags: Vec<Named>,
    pub category: ArticleCategory,
    pub translations: Vec<Translation>,
    pub comment_count: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dateline {
    pub source: Option<String>,
    pub place: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    /// Sanitised by whoever keeps it: safe to put into a page.
    pub html: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ArticleCategory {
    pub name: String,
    pub slug: String,
    pub ancestors: Vec<Category>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Translation {
    pub locale: String,
    pub canonical_url: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArticleComments {
    pub newest_event_id: String,
    pub article: Option<CommentedArticle>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CommentedArticle {
    pub comments: Comments,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comments {
    pub nodes: Vec<Comment>,
    pub page_info: PageInfo,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Comment {
    pub id: String,
    pub author_name: String,
    pub body: String,
    pub created_at: Timestamp,
    pub reply_count: u32,
    pub replies: Option<Replies>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CommentReplies {
    pub nodes: Vec<Option<Replied>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Replied {
    pub replies: Replies,
}

#[derive(Debug, Deserialize)]
pub(super) struct Replies {
    pub nodes: Vec<Comment>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommentCreate {
    pub comment_create: Option<CommentCreated>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommentCreated {
    pub comment: Option<CreatedComment>,
    pub user_errors: Vec<UserError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CreatedComment {
    pub id: String,
    pub state: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct UserError {
    pub code: String,
    pub field: Vec<String>,
}
