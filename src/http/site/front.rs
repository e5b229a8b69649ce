//! Front pages: the latest stories of an edition, or of one of its categories.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::ask::{
    CATEGORY_PAGE, CategoryPage, CategoryStories, EDITIONS, Editions, FRONT_PAGE, Fault, FrontPage,
    Image, Reader, Stories, Story,
};
use super::frame::{At, Frame, Link, page_of, with_query};
use super::words::Words;
use super::{missing, moved, told};
use crate::http::Edge;
use crate::http::graphql::Caller;

/// What an address asks for besides the edition.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// A category's slug.
    category: Option<String>,
    /// The cursor of the last story on the page before.
    after: Option<String>,
}

/// The site's front page is that of its first edition: readers need no detour, and the address
/// that search engines are told is the edition's own.
pub(super) async fn home(
    State(edge): State<Edge>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Response {
    let reader = Reader::new(&edge, &caller);
    match reader.ask::<Editions>(EDITIONS, json!({})).await {
        Ok(Editions { editions }) => match editions.first() {
            Some(first) => page(reader, &first.locale, asked).await,
            // Nothing to read yet: whoever set this up is looking for the way on.
            None => (StatusCode::FOUND, [(header::LOCATION, "/developers")]).into_response(),
        },
        Err(fault) => told(fault),
    }
}

/// The front page of an edition.
pub(super) async fn edition(
    State(edge): State<Edge>,
    caller: Caller,
    Path(locale): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    page(Reader::new(&edge, &caller), &locale, asked).await
}

async fn page(reader: Reader<'_>, locale: &str, asked: Asked) -> Response {
    match Page::read(reader, locale, asked).await {
        Ok(Found::Page(page)) => page_of(StatusCode::OK, &*page),
        Ok(Found::Elsewhere(to)) => moved(&to),
        Ok(Found::Nothing) | Err(Fault::NoSuchThing) => missing(reader, Some(locale)).await,
        Err(fault) => told(fault),
    }
}

enum Found {
    Page(Box<Page>),
    Elsewhere(String),
    Nothing,
}

/// A story in a list.
#[derive(Debug)]
pub(super) struct Card {
    pub id: String,
    pub headline: String,
    pub href: String,
    pub text: String,
    pub category: Option<String>,
    pub at: Option<At>,
    pub breaking: bool,
    pub image: Option<Image>,
}

#[derive(Debug)]
struct Section {
    id: String,
    name: String,
    ancestors: Vec<Link>,
    children: Vec<Link>,
}

#[derive(Template)]
#[template(path = "front.html")]
struct Page {
    frame: Frame,
    words: &'static Words,
    canonical: String,
    category: Option<Section>,
    stories: Vec<Card>,
    older: Option<String>,
    /// How deep the headlines stand.
    level: u8,
    /// Whether pictures and first lines are shown.
    full: bool,
    /// The event after which new stories join the list; on later pages they do not.
    live: Option<String>,
}

impl Page {
    async fn read(reader: Reader<'_>, locale: &str, asked: Asked) -> Result<Found, Fault> {
        let Some(frame) = Frame::of(reader, locale).await? else { return Ok(Found::Nothing) };
        let home = frame.home.clone();
        if frame.locale != locale {
            return Ok(Found::Elsewhere(home));
        }
        let variables = json!({
            "locale": frame.locale, "slug": asked.category, "after": asked.after,
        });
        let is_first = asked.after.is_none();
        let Some(slug) = asked.category else {
            let found = reader.ask::<FrontPage>(FRONT_PAGE, variables).await?;
            let live = is_first.then_some(found.newest_event_id);
            return Ok(Found::Page(Self::new(frame, None, home, found.articles, live)));
        };
        let found = reader.ask::<CategoryPage>(CATEGORY_PAGE, variables).await?;
        let Some(category) = found.category else { return Ok(Found::Nothing) };
        let path = with_query(&home, &[("category", &category.slug)]);
        if category.slug != slug {
            return Ok(Found::Elsewhere(path));
        }
        let (section, stories) = Section::new(&frame, category);
        let live = is_first.then_some(found.newest_event_id);
        Ok(Found::Page(Self::new(frame, Some(section), path, stories, live)))
    }

    fn new(
        mut frame: Frame,
        category: Option<Section>,
        path: String,
        stories: Stories,
        live: Option<String>,
    ) -> Box<Self> {
        for link in &mut frame.sections {
            link.current = link.href == path;
        }
        let next = stories.page_info.end_cursor.filter(|_| stories.page_info.has_next_page);
        let older = next.map(|cursor| match &category {
            Some(_) => format!("{path}&{}", &with_query("", &[("after", &cursor)])[1..]),
            None => with_query(&path, &[("after", &cursor)]),
        });
        let full = category.is_none();
        Box::new(Self {
            stories: cards(&frame, stories.nodes),
            words: frame.words,
            canonical: path,
            category,
            older,
            level: 2,
            full,
            live,
            frame,
        })
    }
}

impl Section {
    fn new(frame: &Frame, category: CategoryStories) -> (Self, Stories) {
        let links = |categories: &[_]| categories.iter().map(|one| frame.section(one)).collect();
        let section = Self {
            ancestors: links(&category.ancestors),
            children: links(&category.children),
            id: category.id,
            name: category.name,
        };
        (section, category.articles)
    }
}

/// Stories as a list shows them.
pub(super) fn cards(frame: &Frame, stories: Vec<Story>) -> Vec<Card> {
    let card = |story: Story| Card {
        href: frame.story(&story.slug),
        id: story.id,
        headline: story.headline,
        text: story.subheadline.unwrap_or(story.excerpt),
        category: story.category.map(|category| category.name),
        at: story.published_at.map(|at| frame.at(at)),
        breaking: story.breaking,
        image: story.image,
    };
    stories.into_iter().map(card).collect()
}
