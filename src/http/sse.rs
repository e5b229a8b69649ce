//! GraphQL over server-sent events, distinct connections
//! (<https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>).
//!
//! Each event carries its `eventId` as the id of the event stream, so that a browser's EventSource
//! resumes by itself.

use std::convert::Infallible;
use std::time::Duration;

use async_graphql::Request;
use async_graphql::parser::types::OperationType;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, future, stream};
use serde_json::Value;

use super::graphql::{Caller, from_body, from_query, operation_type};
use super::request::WholeBody;
use super::response::{Refusal, to_json};
use super::{Edge, auth};

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
    if operation_type(&mut request) == Some(OperationType::Mutation) {
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
    let viewer = auth::viewer(edge, caller.headers()).await?;
    let answers = edge.schema.execute_stream(caller.attach(request).data(viewer));
    let next = answers.map(|answer| {
        let payload = to_json(&answer);
        let event = Event::default().event("next").data(payload.to_string());
        Ok::<_, Infallible>(match event_id(&payload) {
            Some(id) => event.id(id),
            None => event,
        })
    });
    let complete = stream::once(future::ready(Ok(Event::default().event("complete").data(""))));
    let draining = edge.draining.clone().cancelled_owned();
    let events = next.chain(complete).take_until(draining);
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Proxies of the nginx family gather an answer before they pass it on, unless told.
    Ok(([("x-accel-buffering", "no")], events).into_response())
}

/// The id of the event that a payload carries: `eventId` in its one root field.
fn event_id(payload: &Value) -> Option<&str> {
    let id = payload.get("data")?.as_object()?.values().next()?.get("eventId")?.as_str()?;
    (!id.contains(['\n', '\r', '\0'])).then_some(id)
}
