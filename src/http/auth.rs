//! Who is asking: a bearer token, or nobody.

use axum::http::{HeaderMap, StatusCode, header};

use super::Edge;
use super::response::Refusal;
use crate::actions::sign_in::viewer_of;
use crate::domain::viewer::Viewer;

/// What a client shows to say who it is: the text of an `Authorization` header, or nothing. It
/// holds a secret, so it is never logged and cannot be printed.
#[derive(Clone, Default)]
pub(super) struct Credentials(Option<String>);

impl Credentials {
    /// Those in the headers of a request.
    pub(super) fn in_headers(headers: &HeaderMap) -> Self {
        let header = headers.get(header::AUTHORIZATION);
        Self(header.map(|value| value.to_str().unwrap_or_default().to_owned()))
    }

    /// Those in the text of an `Authorization` header.
    pub(super) fn in_text(text: String) -> Self {
        Self(Some(text))
    }

    /// Whose they are now. A token that is wrong or over is refused, so that nobody takes a
    /// reader's answer for an editor's.
    pub(super) async fn viewer(&self, edge: &Edge) -> Result<Viewer, Refusal> {
        let Some(text) = &self.0 else { return Ok(Viewer::Anonymous) };
        let unauthenticated = |message: &str| {
            Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message)
                .with(header::WWW_AUTHENTICATE, "Bearer")
        };
        let token = match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => {
                let message = "send Authorization: Bearer TOKEN, or no such header";
                return Err(unauthenticated(message));
            }
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
}
