//! Whether the server is alive, and whether it is ready.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::Edge;
use crate::storage::migrate;

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// 200 as long as the process can answer at all.
pub(super) async fn live() -> &'static str {
    "alive\n"
}

/// 200 when requests can be served; 503 with what is wrong otherwise.
pub(super) async fn ready(State(edge): State<Edge>) -> Response {
    let mut checks = Map::new();
    let applied = tokio::time::timeout(PATIENCE, migrate::status(&edge.app.db)).await;
    let (database, migrations) = match applied {
        Ok(Ok(steps)) => (true, steps.iter().all(|(_, applied)| *applied)),
        Ok(Err(_)) | Err(_) => (false, false),
    };
    checks.insert("database".to_owned(), database.into());
    checks.insert("migrations".to_owned(), migrations.into());
    for (name, healthy) in edge.health.iter() {
        checks.insert((*name).to_owned(), healthy.load(Ordering::Relaxed).into());
    }
    checks.insert("accepting".to_owned(), (!edge.draining.is_cancelled()).into());
    let ready = checks.values().all(|check| *check == Value::Bool(true));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(checks)).into_response()
}
