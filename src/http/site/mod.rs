//! The reader's pages: a client of the public API like any other, rendered on the server.
//!
//! They know no storage and no actions: each asks committed documents as nobody in particular, so
//! that a page cannot show what the API would not. Without a script they are whole pages.

mod article;
mod ask;
mod comments;
mod frame;
mod front;
mod words;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use self::ask::{EDITIONS, Editions, Fault, Reader};
use self::frame::Frame;
use super::Edge;
use super::graphql::Caller;
use super::response;

/// The addresses of the pages.
pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/", get(front::home))
        .route("/{locale}", get(front::edition))
        .route("/{locale}/{slug}", get(article::show).post(article::reply))
}

/// For addresses that are none of ours: a page for browsers, an error for programs.
pub(super) async fn not_found(State(edge): State<Edge>, caller: Caller) -> Response {
    let accept = caller.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if !accept.is_some_and(|accept| accept.contains("text/html")) {
        return response::not_found().await.into_response();
    }
    missing(Reader::new(&edge, &caller), None).await
}

/// The page that says that there is none, in the edition whose address it is, or in the first.
async fn missing(reader: Reader<'_>, locale: Option<&str>) -> Response {
    match frame_or_first(reader, locale).await {
        Ok(Some(frame)) => frame.not_found(),
        Ok(None) => response::not_found().await.into_response(),
        Err(fault) => told(fault),
    }
}

async fn frame_or_first(reader: Reader<'_>, locale: Option<&str>) -> Result<Option<Frame>, Fault> {
    if let Some(locale) = locale
        && let Some(frame) = Frame::of(reader, locale).await?
    {
        return Ok(Some(frame));
    }
    match reader.ask::<Editions>(EDITIONS, json!({})).await?.editions.first() {
        Some(first) => Frame::of(reader, &first.locale).await,
        None => Ok(None),
    }
}

/// What a fault looks like where no page of its own tells of it.
fn told(_: Fault) -> Response {
    frame::broken()
}

/// Leads to where the page is now, for good.
fn moved(to: &str) -> Response {
    redirect(StatusCode::MOVED_PERMANENTLY, to)
}

/// Leads on. The address is made of escaped parts.
fn redirect(status: StatusCode, to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (status, [(header::LOCATION, to)]).into_response(),
        Err(_) => frame::broken(),
    }
}
