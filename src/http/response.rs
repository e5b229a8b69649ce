//! Answers: media types, status codes, and errors in GraphQL's form.

use std::any::Any;

use async_graphql::{Response as Answer, ServerError};
use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

/// The two media types that GraphQL over HTTP answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/graphql-response+json`: the status code tells of request errors.
    GraphqlResponse,
    /// `application/json`: older clients expect 200 whenever there is a GraphQL answer.
    Json,
}

impl MediaType {
    /// The type to answer with; `None` when the client accepts neither.
    pub(super) fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let accept: Vec<&str> =
            headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
        if accept.is_empty() {
            return Some(Self::Json);
        }
        let accept = accept.join(",");
        let mut best = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/graphql-response+json" => Self::GraphqlResponse,
                "application/json" | "application/*" | "*/*" => Self::Json,
                _ => continue,
            };
            let weight =
                parts.find_map(|p| p.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            if weight > 0.0 && best.is_none_or(|(_, heaviest)| weight > heaviest) {
                best = Some((media, weight));
            }
        }
        best.map(|(media, _)| media)
    }

    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        })
    }
}

/// Whether nothing was executed: the document did not parse, did not fit the schema, or was refused.
pub(super) fn is_request_error(answer: &Answer) -> bool {
    answer.data == async_graphql::Value::Null
        && !answer.errors.is_empty()
        && answer.errors.iter().all(|error| error.path.is_empty())
}

/// The answer as JSON, fields in the order in which the client asked for them; one to a request that
/// was not executed has no `data` at all.
pub(super) fn to_json(answer: &Answer) -> String {
    #[derive(Serialize)]
    struct RequestError<'a> {
        errors: &'a [ServerError],
    }
    let json = if is_request_error(answer) {
        serde_json::to_string(&RequestError { errors: &answer.errors })
    } else {
        serde_json::to_string(answer)
    };
    json.unwrap_or_else(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        json!({ "errors": [{ "message": "Internal error" }] }).to_string()
    })
}

/// A GraphQL answer over HTTP.
pub(super) fn answer(media: MediaType, answer: &Answer) -> Response {
    let status = match media {
        MediaType::GraphqlResponse if is_request_error(answer) => status_of_request_error(answer),
        _ => StatusCode::OK,
    };
    let mut response = (status, to_json(answer)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, media.header());
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept, authorization"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = retry_after(answer)
        && let Ok(value) = HeaderValue::from_str(&seconds.to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// Whose fault it is that nothing was executed: the request's, unless a code says otherwise.
fn status_of_request_error(answer: &Answer) -> StatusCode {
    let has_code = |code: &str| {
        answer.errors.iter().any(|error| {
            let found = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
            matches!(found, Some(async_graphql::Value::String(found)) if found == code)
        })
    };
    if has_code("TIMEOUT") {
        StatusCode::GATEWAY_TIMEOUT
    } else if has_code("UNAVAILABLE") {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::BAD_REQUEST
    }
}

fn retry_after(answer: &Answer) -> Option<u64> {
    answer.errors.iter().find_map(|error| match error.extensions.as_ref()?.get("retryAfter")? {
        async_graphql::Value::Number(seconds) => seconds.as_u64(),
        _ => None,
    })
}

/// A request that is refused before GraphQL sees it.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    header: Option<(HeaderName, &'static str)>,
    media: MediaType,
}

impl Refusal {
    /// A status, a code for programs, a message for people.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), header: None, media: MediaType::Json }
    }

    /// A request that does not have the form it must have.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// Whether the client would have to change something before it asks again.
    pub(super) fn is_of_the_client(&self) -> bool {
        self.status.is_client_error()
    }

    /// Our fault: logged here with its cause, which nobody else is told.
    pub(super) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        let message = "Internal error; mention the x-request-id of this answer when you report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message)
    }

    /// The same in the media type that the client accepts.
    pub(super) fn in_media(self, media: MediaType) -> Self {
        Self { media, ..self }
    }

    /// The same with a header.
    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({ "message": self.message, "extensions": { "code": self.code } });
        let mut response = (self.status, Json(json!({ "errors": [error] }))).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, self.media.header());
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// For addresses that are none of ours.
pub(super) async fn not_found() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        "nothing is served here; the API is at /graphql",
    )
}

/// For methods that an address does not serve; the header `Allow` names those that it does.
pub(super) async fn method_not_allowed() -> Refusal {
    let message = "this address does not serve the method; see the header Allow";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
}

/// For a handler that panicked: the connection lives on, the cause is in the log alone.
pub(super) fn panicked(cause: Box<dyn Any + Send>) -> Response {
    log_panic(&*cause);
    let message = "Internal error; mention the x-request-id of this answer when you report it";
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message).into_response()
}

/// Logs what a panic said.
pub(super) fn log_panic(cause: &(dyn Any + Send)) {
    let cause = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(cause, "a handler panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &str) -> Option<MediaType> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        MediaType::negotiate(&headers)
    }

    #[test]
    fn the_heavier_type_wins_and_the_first_of_equals() {
        assert_eq!(MediaType::negotiate(&HeaderMap::new()), Some(MediaType::Json));
        assert_eq!(negotiated("*/*"), Some(MediaType::Json));
        let both =
            "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8";
        assert_eq!(negotiated(both), Some(MediaType::GraphqlResponse));
        let weighed = "application/graphql-response+json;q=0.5, application/json;q=0.9";
        assert_eq!(negotiated(weighed), Some(MediaType::Json));
        assert_eq!(negotiated("text/html"), None);
        assert_eq!(negotiated("application/json;q=0"), None);
    }
}
