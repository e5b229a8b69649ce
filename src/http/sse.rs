//! GraphQL over server-sent events, distinct connections
//! (<https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>).
//!
//! Each event carries its `eventId` as the id of the event stream, and an id without an event says
//! where the stream begins, so that a browser's EventSource resumes by itself from the first second.

use std::convert::Infallible;
use std::task::Poll;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response as Answer};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, Stream, StreamExt, future, stream};

use super::auth::Credentials;
use super::graphql::{Caller, from_body, from_query};
use super::request::WholeBody;
use super::response::{Refusal, to_json};
use super::{Edge, operation};
use crate::live::Bookmark;

/// How often a silent stream shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams what a POST asks for.
pub(super) async fn post(
    State(edge): State<Edge>,
    caller: Caller,
    body: WholeBody,
) -> Result<Response, Refusal> {
    accepts_stream(&caller)?;
    let request = from_body(&caller, &body)?;
    stream(&edge, &caller, request).await
}

/// Streams what a GET asks for, as a browser's EventSource does; never a mutation.
pub(super) async fn get(
    State(edge): State<Edge>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    accepts_stream(&caller)?;
    let mut request = from_query(query.as_deref().unwrap_or_default())?;
    if operation::kind(&mut request) == Some(OperationType::Mutation) {
        let message = "mutations are not served by GET";
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
            .with(header::ALLOW, "POST"));
    }
    stream(&edge, &caller, request).await
}

fn accepts_stream(caller: &Caller) -> Result<(), Refusal> {
    let accept = caller.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/event-stream") || accept.contains("*/*")) {
        return Ok(());
    }
    let message = "accept text/event-stream here, or ask /graphql for a single answer";
    Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message))
}

async fn stream(edge: &Edge, caller: &Caller, request: Request) -> Result<Response, Refusal> {
    let viewer = Credentials::in_headers(caller.headers()).viewer(edge).await?;
    let bookmark = Bookmark::default();
    let mut request = caller.attach(request).data(viewer).data(bookmark.clone());
    // What has an end of its own may reach it while the server drains. The rest stops without an
    // event `complete`, which would tell the client that no more is to come.
    let until = match operation::kind(&mut request) {
        Some(OperationType::Subscription) => edge.draining.clone().cancelled_owned().boxed(),
        _ => future::pending().boxed(),
    };
    let next = events(operation::answers(edge.clone(), request), bookmark);
    // With data, if only an empty line: without, EventSource would not dispatch the event.
    let complete = stream::once(future::ready(Event::default().event("complete").data("\n")));
    let events = next.chain(complete).take_until(until).map(Ok::<_, Infallible>);
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Proxies of the nginx family gather an answer before they pass it on, unless told.
    Ok(([("x-accel-buffering", "no")], events).into_response())
}

/// Each answer as an event with the id to resume from after it; before the first one, the id alone,
/// as soon as the operation listens. An id without data sets what EventSource resumes from, and
/// dispatches nothing (HTML, section 9.2.6).
fn events(
    mut answers: BoxStream<'static, Answer>,
    bookmark: Bookmark,
) -> impl Stream<Item = Event> + Send {
    let mut told = false;
    stream::poll_fn(move |cx| {
        let answer = match answers.poll_next_unpin(cx) {
            Poll::Ready(Some(answer)) => Some(answer),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending if told || bookmark.get().is_none() => return Poll::Pending,
            Poll::Pending => None,
        };
        let event = answer.map_or_else(Event::default, |answer| {
            Event::default().event("next").data(to_json(&answer))
        });
        told = true;
        Poll::Ready(Some(match bookmark.get() {
            Some(id) => event.id(id.to_string()),
            None => event,
        }))
    })
}
