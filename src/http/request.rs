//! Every request gets an id, and one line in the log without anything personal.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;

use super::{Edge, REQUEST_ID};
use crate::graphql::errors::RequestId;

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
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let began = Instant::now();

    let mut response = next.run(request).await;

    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let seconds = began.elapsed().as_secs_f64();
    let status = response.status().as_u16();
    metrics::histogram!("khabar_http_seconds", "status" => status.to_string()).record(seconds);
    tracing::info!(%method, path, status, ms = seconds * 1_000.0, request_id = id, "request");
    response
}
