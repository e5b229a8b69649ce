//! What Khabar tells operators: log lines and metrics.

use std::io::IsTerminal;

use anyhow::Context;
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Libraries that report each start step by step; the setting `log` can make them speak again.
const QUIET: &str = "sqlx=warn,sea_orm_migration=warn";

/// Starts the log, as text or as JSON, on standard error.
pub fn log(config: &Config) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(format!("{QUIET},{}", config.log)).context("the setting log")?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = if config.log_json { lines.json().try_init() } else { lines.try_init() };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}

/// Starts the metrics and answers the handle that renders them.
pub fn metrics() -> anyhow::Result<PrometheusHandle> {
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Full("khabar_alert_accepted_seconds".to_owned()),
            &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0],
        )
        .context("the buckets of a histogram")?
        .set_buckets(&[
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ])
        .context("the buckets of histograms")?
        .install_recorder()
        .context("the metrics cannot be started")?;
    describe();
    Ok(metrics)
}

/// Says what each metric is. `docs/operating.md` says what to make of it.
fn describe() {
    describe_counter!("khabar_push_total", "Messages by push service and what it made of them");
    describe_histogram!(
        "khabar_alert_accepted_seconds",
        "From the decision to alert to each message's acceptance"
    );
    describe_gauge!("khabar_push_circuits_open", "Origins of a push service that are left alone");
    describe_gauge!(
        "khabar_queue_lag_seconds",
        "For how long the oldest work has been due that nobody holds"
    );
    describe_gauge!(
        "khabar_oldest_lease_seconds",
        "Since the last sign of life of the worker that has been silent longest over its work"
    );
    describe_gauge!("khabar_shards_open", "Shards that are not delivered to their end");
    describe_gauge!("khabar_retries_waiting", "Messages that are tried again, now or later");
    describe_gauge!("khabar_dead_letters", "Messages that were given up and can be replayed");
    describe_gauge!("khabar_dead_jobs", "Jobs that were given up");
    describe_gauge!("khabar_sockets", "WebSockets that are open");
    describe_histogram!("khabar_http_seconds", "How long requests took, by status");
    describe_histogram!("khabar_sql_seconds", "How long SQL statements took");
}
