//! The edge: what stands between the internet and the schema.
//!
//! GraphQL over HTTP, over graphql-transport-ws and over server-sent events, by handlers of our own:
//! each says what it accepts, refuses everything else with a reason, and ends when the server drains.

mod address;
mod alerts;
mod assets;
mod auth;
mod graphiql;
mod graphql;
mod health;
mod metrics;
mod operation;
mod request;
mod response;
pub mod server;
mod site;
mod sse;
mod websocket;

pub use self::metrics::Metrics;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware;
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::app::App;
use crate::graphql::Schema;

/// The largest body of a request, in bytes.
const MAX_BODY: usize = 512 * 1_024;
/// How long a browser may remember what other sites are allowed to send.
const PREFLIGHT_AGE: Duration = Duration::from_secs(24 * 3_600);

/// What the handlers share.
#[derive(Clone)]
pub struct Edge {
    /// The application.
    pub app: App,
    /// The schema.
    pub schema: Schema,
    /// The metrics.
    pub metrics: Metrics,
    /// Whether the background tasks are well, by name.
    pub health: Arc<Vec<(&'static str, Arc<AtomicBool>)>>,
    /// Cancelled when the server drains: sockets and streams then close with a reason.
    pub draining: CancellationToken,
    /// Sockets that are open and mutations that are running; the drain waits for them.
    pub under_way: TaskTracker,
}

/// Everything that is served.
pub fn router(edge: Edge) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::ACCEPT, header::AUTHORIZATION, header::CONTENT_TYPE, LAST_EVENT_ID])
        .expose_headers([REQUEST_ID, header::RETRY_AFTER])
        .max_age(PREFLIGHT_AGE);
    let api = Router::new()
        .route("/graphql", get(graphql::get).post(graphql::post))
        .route("/graphql/stream", get(sse::get).post(sse::post))
        .route("/assets/{file}", get(assets::serve))
        // Before the layer: the question that browsers send ahead comes by a method of its own.
        .method_not_allowed_fallback(response::method_not_allowed)
        .layer(cors);
    Router::new()
        .merge(api)
        .merge(site::routes())
        .route("/worker.js", get(assets::worker))
        .route("/developers", get(graphiql::index))
        .route("/schema.graphql", get(graphiql::schema))
        .route("/alerts/{alert}/{locale}", get(alerts::open))
        .route("/alerts/opt-out/{token}", get(alerts::ask_opt_out).post(alerts::opt_out))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::serve))
        .fallback(site::not_found)
        .method_not_allowed_fallback(response::method_not_allowed)
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CatchPanicLayer::custom(response::panicked))
        .layer(middleware::from_fn_with_state(edge.clone(), request::identify))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "strict-origin-when-cross-origin"))
        .layer(fixed(header::X_FRAME_OPTIONS, "DENY"))
        .with_state(edge)
}

/// What is served of a worker that works alone.
pub fn router_of_worker(metrics: Metrics) -> Router {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/metrics", get(metrics::serve))
        .fallback(response::not_found)
        .with_state(metrics)
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn fixed(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}
