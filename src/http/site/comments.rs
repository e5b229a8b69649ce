//! Comments on a page: the thread under a story, the form for the next one, and what came of it.

use askama::Template;
use axum::http::StatusCode;
use serde_json::json;

use super::ask::{
    COMMENT_CREATE, Comment, CommentCreate, CommentCreated, Comments, Fault, Reader, UserError,
};
use super::frame::{At, Frame, with_query};
use super::words::Words;

/// The comments under a story.
pub(super) struct Thread {
    pub comments: Vec<CommentCard>,
    /// Where there are more.
    pub more: Option<String>,
    /// The event after which new comments join the list; on later pages they do not.
    pub live: Option<String>,
}

/// A comment with its replies, which are cards as well.
#[derive(Template)]
#[template(path = "comment.html")]
pub(super) struct CommentCard {
    id: String,
    author: String,
    text: String,
    at: At,
    replies: Vec<CommentCard>,
    story_href: String,
    words: &'static Words,
}

impl Thread {
    pub(super) fn new(
        frame: &Frame,
        story_href: &str,
        comments: Comments,
        live: Option<String>,
    ) -> Self {
        let next = comments.page_info.end_cursor.filter(|_| comments.page_info.has_next_page);
        let more = next.map(|cursor| {
            format!("{}#comments-title", with_query(story_href, &[("after", &cursor)]))
        });
        let cards = comments.nodes.into_iter().map(|one| CommentCard::new(frame, story_href, one));
        Self { comments: cards.collect(), more, live }
    }

    /// The name of whoever wrote a comment of the thread.
    pub(super) fn author_of(&self, id: &str) -> Option<&str> {
        self.comments.iter().find_map(|card| card.author_of(id))
    }
}

impl CommentCard {
    fn new(frame: &Frame, story_href: &str, comment: Comment) -> Self {
        let replies = comment.replies.map(|replies| replies.nodes).unwrap_or_default();
        Self {
            id: comment.id,
            author: comment.author_name,
            text: comment.body,
            at: frame.at(comment.created_at),
            replies: replies.into_iter().map(|one| Self::new(frame, story_href, one)).collect(),
            story_href: story_href.to_owned(),
            words: frame.words,
        }
    }

    fn author_of(&self, id: &str) -> Option<&str> {
        if self.id == id {
            return Some(&self.author);
        }
        self.replies.iter().find_map(|reply| reply.author_of(id))
    }
}

/// What a reader typed.
#[derive(Debug, Default)]
pub(super) struct Typed {
    pub parent: Option<String>,
    name: String,
    text: String,
}

impl Typed {
    /// Reads what a form sends. Fields that are none of its own are ignored.
    pub(super) fn parse(body: &[u8]) -> Self {
        let mut typed = Self::default();
        for (name, value) in url::form_urlencoded::parse(body) {
            match name.as_ref() {
                "parent" => typed.parent = Some(value.into_owned()),
                "name" => typed.name = value.into_owned(),
                "text" => typed.text = value.into_owned(),
                _ => {}
            }
        }
        typed
    }
}

/// The comment that a reply is to.
pub(super) struct Answered {
    pub id: String,
    pub name: String,
}

/// The form, empty or with what was typed and what is wrong with it.
#[derive(Default)]
pub(super) struct Form {
    pub answered: Option<Answered>,
    pub name: String,
    pub text: String,
    pub name_fault: Option<&'static str>,
    pub text_fault: Option<&'static str>,
    /// What is wrong that is neither of name nor of text.
    pub fault: Option<&'static str>,
    /// What became of the last comment.
    pub outcome: Option<&'static str>,
}

/// What came of a comment.
pub(super) enum Outcome {
    Shown { id: String },
    Pending,
    Refused(StatusCode, Form),
}

/// Sends what was typed to the newsroom.
pub(super) async fn send(
    reader: Reader<'_>,
    words: &Words,
    article: &str,
    typed: Typed,
) -> Outcome {
    let input = json!({
        "article": article, "parent": typed.parent,
        "authorName": typed.name, "body": typed.text,
    });
    let sent = reader.ask::<CommentCreate>(COMMENT_CREATE, json!({ "input": input })).await;
    let mut form = Form { name: typed.name, text: typed.text, ..Form::default() };
    let created = match sent {
        Ok(CommentCreate { comment_create: Some(created) }) => created,
        Err(Fault::TooOften) => {
            form.fault = Some(words.too_often);
            return Outcome::Refused(StatusCode::TOO_MANY_REQUESTS, form);
        }
        Ok(_) | Err(_) => {
            form.fault = Some(words.not_kept);
            return Outcome::Refused(StatusCode::INTERNAL_SERVER_ERROR, form);
        }
    };
    let CommentCreated { comment, user_errors } = created;
    match comment {
        Some(comment) if comment.state == "APPROVED" => Outcome::Shown { id: comment.id },
        Some(_) => Outcome::Pending,
        None => {
            user_errors.iter().for_each(|error| form.blame(words, error));
            Outcome::Refused(StatusCode::UNPROCESSABLE_ENTITY, form)
        }
    }
}

impl Form {
    /// Puts a fault where the reader can mend it.
    fn blame(&mut self, words: &Words, UserError { code, field }: &UserError) {
        let long = code == "TOO_LONG";
        match field.last().map(String::as_str) {
            Some("authorName") => {
                self.name_fault = Some(if long { words.name_long } else { words.name_blank });
            }
            Some("body") => {
                self.text_fault = Some(if long { words.comment_long } else { words.comment_blank });
            }
            Some("parent") => self.fault = Some(words.comment_gone),
            _ => self.fault = Some(words.not_kept),
        }
    }
}
