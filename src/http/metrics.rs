//! What Prometheus is told: what this process has counted, and how the queue stands, which every
//! instance on the same database shows alike.

use std::sync::Arc;
use std::time::Duration;

use ::metrics::gauge;
use axum::extract::{FromRef, State};
use axum::http::header;
use axum::response::IntoResponse;
use chrono::TimeDelta;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Mutex;

use super::Edge;
use crate::app::App;
use crate::domain::clock::Timestamp;
use crate::domain::job::LEASE;
use crate::storage::queue::{self, Queue};

/// How long a look at the queue is good for: no number of scrapes can keep the database busy.
const GOOD_FOR: TimeDelta = TimeDelta::seconds(5);
/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The metrics.
#[derive(Clone)]
pub struct Metrics {
    app: App,
    counted: PrometheusHandle,
    looked_at: Arc<Mutex<Option<Timestamp>>>,
}

impl Metrics {
    /// What the recorder of this handle has counted, and the queue of an application.
    pub fn new(app: App, counted: PrometheusHandle) -> Self {
        Self { app, counted, looked_at: Arc::default() }
    }

    async fn render(&self) -> String {
        // Held while the queue is looked at: scrapes that come meanwhile share what is found.
        let mut looked_at = self.looked_at.lock().await;
        let now = self.app.now();
        if looked_at.is_none_or(|at| now - at >= GOOD_FOR) {
            show(look(&self.app, now).await.as_ref(), now);
            *looked_at = Some(now);
        }
        self.counted.render()
    }
}

impl FromRef<Edge> for Metrics {
    fn from_ref(edge: &Edge) -> Self {
        edge.metrics.clone()
    }
}

/// Prometheus' text format.
pub(super) async fn serve(State(metrics): State<Metrics>) -> impl IntoResponse {
    let media = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (media, metrics.render().await)
}

async fn look(app: &App, now: Timestamp) -> Option<Queue> {
    match tokio::time::timeout(PATIENCE, queue::look(app.db.connection(), now)).await {
        Ok(Ok(queue)) => Some(queue),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the queue cannot be measured");
            None
        }
        Err(_) => {
            tracing::warn!("the queue cannot be measured: the database takes too long");
            None
        }
    }
}

/// Sets the gauges; to NaN where nothing is known, for the last number would be a lie.
fn show(queue: Option<&Queue>, now: Timestamp) {
    let value = |of: &dyn Fn(&Queue) -> f64| queue.map_or(f64::NAN, of);
    let age = |since: Option<Timestamp>| since.map_or(0.0, |since| seconds(now - since));
    let lag = |kind: &'static str| gauge!("khabar_queue_lag_seconds", "kind" => kind);
    lag("job").set(value(&|queue| age(queue.job_waits_since)));
    lag("shard").set(value(&|queue| age(queue.shard_waits_since)));
    lag("retry").set(value(&|queue| age(queue.retry_waits_since)));
    // A sign of life puts the end of a lease off, so the end tells of the last sign.
    let sign = |queue: &Queue| queue.leases_end.map(|(first, _)| first - LEASE);
    gauge!("khabar_oldest_lease_seconds").set(value(&|queue| age(sign(queue))));
    gauge!("khabar_shards_open").set(value(&|queue| count(queue.open_shards)));
    gauge!("khabar_retries_waiting").set(value(&|queue| count(queue.retries)));
    gauge!("khabar_dead_letters").set(value(&|queue| count(queue.dead_letters)));
    gauge!("khabar_dead_jobs").set(value(&|queue| count(queue.dead_jobs)));
}

/// Clocks that disagree make nothing younger than new.
fn seconds(time: TimeDelta) -> f64 {
    time.to_std().unwrap_or_default().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a gauge needs no more digits")]
fn count(number: u64) -> f64 {
    number as f64
}
