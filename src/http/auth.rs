//! Who is asking: a bearer token, or nobody.

use axum::http::{HeaderMap, StatusCode, header};

use super::Edge;
use super::response::Refusal;
use crate::actions::sign_in::viewer_of;
use crate::domain::viewer::Viewer;

/// The viewer behind the `Authorization` header. A token that is wrong or over is refused, so that
/// nobody takes a reader's answer for an editor's.
pub(super) async fn viewer(edge: &Edge, headers: &HeaderMap) -> Result<Viewer, Refusal> {
    match headers.get(header::AUTHORIZATION) {
        None => Ok(Viewer::Anonymous),
        Some(value) => viewer_of_header(edge, value.to_str().unwrap_or_default()).await,
    }
}

/// The viewer behind the text of an `Authorization` header.
pub(super) async fn viewer_of_header(edge: &Edge, value: &str) -> Result<Viewer, Refusal> {
    let unauthenticated = |message: &str| {
        Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
            .with(header::WWW_AUTHENTICATE, "Bearer")
    };
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err(unauthenticated("send Authorization: Bearer TOKEN, or no such header")),
    };
    match viewer_of(&edge.app, token).await {
        Ok(Some(viewer)) => Ok(viewer),
        Ok(None) => Err(unauthenticated("the session has ended; sign in again")),
        Err(error) => {
            tracing::error!(%error, "a session cannot be looked up");
            let message = "the session cannot be looked up; try again in a moment";
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message)
                .with(header::RETRY_AFTER, "1"))
        }
    }
}
