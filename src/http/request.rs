//! What every request goes through: an id, one line in the log without anything personal, and a
//! body that has to arrive whole and in time.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{FromRequest, MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::timeout;
use tracing::Instrument;

use super::response::Refusal;
use super::{Edge, MAX_BODY, REQUEST_ID};
use crate::graphql::errors::RequestId;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the id, hands it on, and puts it into the answer.
pub(super) async fn identify(
    State(edge): State<Edge>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut bytes = [0; 8];
    edge.app.clock.fill_random(&mut bytes);
    let id = format!("{:016x}", u64::from_be_bytes(bytes));
    request.extensions_mut().insert(RequestId(id.clone()));
    // The route and not the path: a path may hold what opts a reader out, or what somebody reads.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let began = Instant::now();

    let span = tracing::info_span!("request", id);
    let mut response = next.run(request).instrument(span).await;

    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let seconds = began.elapsed().as_secs_f64();
    let status = response.status().as_u16();
    metrics::histogram!("khabar_http_seconds", "status" => status.to_string()).record(seconds);
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    tracing::info!(%method, route, status, ms = (seconds * 1_000_000.0).round() / 1_000.0, request_id = id, "request");
    response
}

/// The whole body of a request, at most [`MAX_BODY`] bytes of it.
pub(super) struct WholeBody(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for WholeBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await {
            Ok(Ok(body)) => Ok(Self(body)),
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let message = format!("the body has more than {MAX_BODY} bytes");
                Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message))
            }
            Ok(Err(_)) => Err(Refusal::bad_request("the body broke off")),
            Err(_) => {
                let message = "the body did not arrive in time";
                Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", message))
            }
        }
    }
}
