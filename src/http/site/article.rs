//! One story with its comments, and the reply of a guest.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::ask::{
    ARTICLE_COMMENTS, ARTICLE_PAGE, Article, ArticleComments, ArticlePage, COMMENT_REPLIES,
    Category, Comment, CommentReplies, Dateline, FRONT_PAGE, Fault, FrontPage, Image, Named,
    Reader,
};
use super::comments::{Answered, Form, Outcome, Thread, Typed, send};
use super::frame::{At, EditionLink, Frame, Link, page_of, with_query};
use super::front::{Card, cards};
use super::words::Words;
use super::{missing, moved, redirect, told};
use crate::http::Edge;
use crate::http::graphql::Caller;
use crate::http::request::WholeBody;
use crate::http::response::Refusal;

/// Stories that stand under a story.
const LATEST: usize = 5;
/// Comments whose replies are asked for at once.
const ASKED_AT_ONCE: usize = 50;
/// Replies that a page holds, about; what is beyond them is only counted.
const MOST_REPLIES: usize = 500;

/// What an address asks for besides the story.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// The cursor of the last comment on the page before.
    after: Option<String>,
    /// The comment that the form is to answer.
    reply: Option<String>,
    /// What became of the comment that was just sent.
    comment: Option<String>,
}

/// Shows a story.
pub(super) async fn show(
    State(edge): State<Edge>,
    caller: Caller,
    Path((locale, slug)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    let reader = Reader::new(&edge, &caller);
    match Page::read(reader, (&locale, &slug), asked).await {
        Ok(Found::Page(page)) => page_of(StatusCode::OK, &*page),
        Ok(Found::Elsewhere(to)) => moved(&to),
        Ok(Found::Nothing) | Err(Fault::NoSuchThing) => missing(reader, Some(&locale)).await,
        Err(fault) => told(fault),
    }
}

/// Takes a guest's reply, and leads back to the story. What cannot be kept is shown again as it was
/// typed, with what to do about it.
pub(super) async fn reply(
    State(edge): State<Edge>,
    caller: Caller,
    Path((locale, slug)): Path<(String, String)>,
    WholeBody(body): WholeBody,
) -> Response {
    let reader = Reader::new(&edge, &caller);
    // Other sites' forms would write in the name of whoever happens to visit them.
    let site = caller.headers().get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if matches!(site, Some("cross-site" | "same-site")) {
        let message = "send the form from the page of the story";
        return Refusal::new(StatusCode::FORBIDDEN, "FORBIDDEN", message).into_response();
    }
    let typed = Typed::parse(&body);
    let parent = typed.parent.clone();
    let mut page = match Page::read(reader, (&locale, &slug), Asked::default()).await {
        Ok(Found::Page(page)) => page,
        Ok(Found::Elsewhere(to)) => return redirect(StatusCode::SEE_OTHER, &to),
        Ok(Found::Nothing) | Err(Fault::NoSuchThing) => {
            return missing(reader, Some(&locale)).await;
        }
        Err(fault) => return told(fault),
    };
    let story = &page.story.href;
    match send(reader, page.words, &page.story.id, typed).await {
        Outcome::Shown { id } => {
            let to = with_query(story, &[("comment", "shown")]);
            redirect(StatusCode::SEE_OTHER, &format!("{to}#comment-{id}"))
        }
        Outcome::Pending => {
            let to = with_query(story, &[("comment", "pending")]);
            redirect(StatusCode::SEE_OTHER, &format!("{to}#reply"))
        }
        Outcome::Refused(status, form) => {
            page.form = form;
            page.answer(parent);
            page_of(status, &*page)
        }
    }
}

enum Found {
    Page(Box<Page>),
    Elsewhere(String),
    Nothing,
}

/// A story as its page shows it.
struct Story {
    id: String,
    headline: String,
    subheadline: Option<String>,
    dateline: Option<String>,
    href: String,
    canonical: String,
    breaking: bool,
    at: Option<At>,
    reading_time: String,
    excerpt: String,
    /// HTML that the newsroom has sanitised.
    body: String,
    image: Option<Image>,
    authors: String,
    tags: Vec<String>,
    categories: Vec<Link>,
    translations: Vec<EditionLink>,
    comment_count: u32,
}

#[derive(Template)]
#[template(path = "article.html")]
struct Page {
    frame: Frame,
    words: &'static Words,
    story: Story,
    thread: Thread,
    form: Form,
    stories: Vec<Card>,
    /// How deep the headlines of other stories stand.
    level: u8,
    /// Whether pictures and first lines are shown of them.
    full: bool,
    /// The event after which new stories join them.
    live: Option<String>,
}

impl Page {
    async fn read(
        reader: Reader<'_>,
        (locale, slug): (&str, &str),
        asked: Asked,
    ) -> Result<Found, Fault> {
        let story = json!({ "locale": locale, "slug": slug, "comments": 1 });
        let thread = json!({ "locale": locale, "slug": slug, "after": asked.after });
        let latest = json!({ "locale": locale, "first": LATEST + 1 });
        let (frame, story, thread, latest) = tokio::try_join!(
            Frame::of(reader, locale),
            reader.ask::<ArticlePage>(ARTICLE_PAGE, story),
            reader.ask::<ArticleComments>(ARTICLE_COMMENTS, thread),
            reader.ask::<FrontPage>(FRONT_PAGE, latest),
        )?;
        let live = asked.after.is_none().then_some(thread.newest_event_id);
        let (Some(frame), Some(article), Some(thread)) = (frame, story.article, thread.article)
        else {
            return Ok(Found::Nothing);
        };
        let href = frame.story(&article.slug);
        if article.slug != slug || frame.locale != locale {
            return Ok(Found::Elsewhere(href));
        }
        let mut comments = thread.comments;
        read_replies(reader, &mut comments.nodes).await?;
        let mut others = latest.articles.nodes;
        others.retain(|other| other.id != article.id);
        others.truncate(LATEST);
        let mut page = Box::new(Self {
            thread: Thread::new(&frame, &href, comments, live),
            form: Form { outcome: outcome(frame.words, asked.comment), ..Form::default() },
            stories: cards(&frame, others),
            words: frame.words,
            story: Story::new(&frame, href, article),
            level: 3,
            full: false,
            live: Some(latest.newest_event_id),
            frame,
        });
        page.answer(asked.reply);
        Ok(Found::Page(page))
    }

    /// Makes the form answer a comment, if the page shows it.
    fn answer(&mut self, comment: Option<String>) {
        let Some(id) = comment else { return };
        let name = self.thread.author_of(&id).map(str::to_owned);
        self.form.answered = name.map(|name| Answered { id, name });
    }
}

/// Reads what stands below comments, one level after the other, up to what a page can hold.
async fn read_replies(reader: Reader<'_>, comments: &mut [Comment]) -> Result<(), Fault> {
    let mut room = MOST_REPLIES;
    let mut level: Vec<&mut Comment> = comments.iter_mut().collect();
    loop {
        level.retain(|comment| comment.reply_count > 0);
        level.truncate(room);
        if level.is_empty() {
            return Ok(());
        }
        for some in level.chunks_mut(ASKED_AT_ONCE) {
            let ids: Vec<&str> = some.iter().map(|comment| comment.id.as_str()).collect();
            let found: CommentReplies = reader.ask(COMMENT_REPLIES, json!({ "ids": ids })).await?;
            for (comment, replied) in some.iter_mut().zip(found.nodes) {
                comment.replies = replied.map(|replied| replied.replies);
            }
        }
        let replies = level.into_iter().filter_map(|comment| comment.replies.as_mut());
        level = replies.flat_map(|replies| &mut replies.nodes).collect();
        room = room.saturating_sub(level.len());
    }
}

fn outcome(words: &Words, comment: Option<String>) -> Option<&'static str> {
    match comment.as_deref() {
        Some("shown") => Some(words.shown),
        Some("pending") => Some(words.pending),
        _ => None,
    }
}

impl Story {
    fn new(frame: &Frame, href: String, article: Article) -> Self {
        let own = Category { name: article.category.name, slug: article.category.slug };
        let categories = article.category.ancestors.iter().chain([&own]);
        let name = |Named { name }| name;
        Self {
            href,
            id: article.id,
            headline: article.headline,
            subheadline: article.subheadline,
            dateline: article.dateline.and_then(dateline),
            canonical: article.canonical_url,
            breaking: article.breaking,
            at: article.published_at.map(|at| frame.at(at)),
            reading_time: (frame.words.minutes)(article.reading_time_minutes),
            excerpt: article.excerpt,
            body: article.body.html,
            image: article.image,
            authors: article
                .authors
                .into_iter()
                .map(name)
                .collect::<Vec<_>>()
                .join(frame.words.and),
            tags: article.tags.into_iter().map(name).collect(),
            categories: categories.map(|category| frame.section(category)).collect(),
            translations: article
                .translations
                .into_iter()
                .filter_map(|twin| frame.translation(twin.locale, twin.canonical_url))
                .collect(),
            comment_count: article.comment_count,
        }
    }
}

/// `خبر – بغداد`
fn dateline(Dateline { source, place }: Dateline) -> Option<String> {
    let parts: Vec<String> = source.into_iter().chain(place).collect();
    (!parts.is_empty()).then(|| parts.join(" – "))
}
