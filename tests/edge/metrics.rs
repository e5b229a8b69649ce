//! What Prometheus is told of the queue and of the push services.

use chrono::TimeDelta;
use khabar::actions::alert_input::Input;
use khabar::actions::create_alert::create_alert;
use khabar::domain::alert::Alert;
use khabar::domain::job::LEASE;
use khabar::domain::viewer::Viewer;
use khabar::storage;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::serve_counted;
use crate::support::Newsroom;
use crate::support::push_service::{Behaviour, Browser, PushService};

/// A newsroom whose metrics are read over HTTP. What its tasks count, they count on this thread.
struct Scraped {
    newsroom: Newsroom,
    push: PushService,
    url: String,
}

impl Scraped {
    async fn start(recorder: &PrometheusRecorder) -> Self {
        let (newsroom, push) = Newsroom::with_push().await;
        let (address, _, _) = serve_counted(&newsroom.test, recorder.handle()).await;
        Self { newsroom, push, url: format!("http://{address}/metrics") }
    }

    async fn scrape(&self) -> String {
        reqwest::get(&self.url).await.unwrap().text().await.unwrap()
    }

    /// Numbers of metrics, some seconds later.
    async fn after<const N: usize>(&self, seconds: i64, names: [&str; N]) -> [f64; N] {
        self.newsroom.test.advance(TimeDelta::seconds(seconds));
        let text = self.scrape().await;
        names.map(|name| value(&text, name))
    }

    async fn browsers(&self, names: &[&str]) -> Vec<Browser> {
        let browsers: Vec<Browser> = names.iter().map(|name| self.push.browser(name)).collect();
        for browser in &browsers {
            self.newsroom.test.opt_in(browser, json!({})).await;
        }
        browsers
    }

    async fn alert(&self) -> Alert {
        let story = self.newsroom.published("خبر").await;
        let app = &self.newsroom.test.app;
        create_alert(app, &Viewer::System, story.id, Input::default()).await.unwrap()
    }
}

#[track_caller]
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

const JOB_LAG: &str = "khabar_queue_lag_seconds{kind=\"job\"}";
const SHARD_LAG: &str = "khabar_queue_lag_seconds{kind=\"shard\"}";
const RETRY_LAG: &str = "khabar_queue_lag_seconds{kind=\"retry\"}";
const LEASE_AGE: &str = "khabar_oldest_lease_seconds";
const SHARDS: &str = "khabar_shards_open";
const RETRIES: &str = "khabar_retries_waiting";
const DEAD: &str = "khabar_dead_letters";
const OPEN: &str = "khabar_push_circuits_open{service=\"other\"}";

#[tokio::test]
async fn the_queue_is_measured_by_what_is_due_and_held_by_nobody() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let scraped = Scraped::start(&recorder).await;
    let test = &scraped.newsroom.test;
    let browser = scraped.browsers(&["busy"]).await.remove(0);
    let names = [JOB_LAG, SHARD_LAG, RETRY_LAG, LEASE_AGE, SHARDS, RETRIES, DEAD];
    assert_eq!(scraped.after(0, names).await, [0.0; 7]);

    let alert = scraped.alert().await;
    assert_eq!(scraped.after(40, [JOB_LAG, LEASE_AGE]).await, [40.0, 0.0]);
    let change = test.app.begin().await.unwrap();
    let (tx, now) = (change.transaction(), test.app.now());
    let job = storage::job::claim(tx, now, (now, now + LEASE)).await.unwrap().unwrap();
    change.commit().await.unwrap();
    assert_eq!(scraped.after(10, [JOB_LAG, LEASE_AGE]).await, [0.0, 10.0]);
    let dead_worker = scraped.after(25, [JOB_LAG, LEASE_AGE]).await;
    assert_eq!(dead_worker, [10.0, 35.0], "free since its lease ended: {job:?}");

    // Planned, and nobody has begun.
    let change = test.app.begin().await.unwrap();
    let tx = change.transaction();
    storage::alert_round::start(tx, alert.id, test.app.now()).await.unwrap();
    let ranges = [(0, (0, 10)), (0, (10, 20))];
    storage::alert_shard::insert_all(tx, (alert.id, 1, 1), &ranges).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(scraped.after(20, [SHARD_LAG, SHARDS]).await, [20.0, 2.0]);

    scraped.push.script(&browser, [Behaviour::Status(503), Behaviour::Status(400)]);
    test.run_jobs().await;
    let retried = scraped.alert().await;
    test.run_jobs().await;
    let [shards, retries, lag] = scraped.after(5, [SHARDS, RETRIES, RETRY_LAG]).await;
    assert_eq!((shards, retries, lag), (0.0, 1.0, 0.0), "it is not due yet: {retried:?}");
    let [lag, lease] = scraped.after(60, [RETRY_LAG, LEASE_AGE]).await;
    assert!((55.0..=60.0).contains(&lag), "due 5 to 10 s after its first try, {lag} s ago");
    assert_eq!(lease, 0.0);
    test.run_jobs().await;
    let text = scraped.scrape().await;
    assert_eq!(value(&text, RETRIES), 1.0, "what was found is shown for a while");
    assert_eq!(scraped.after(5, [RETRIES, RETRY_LAG, DEAD]).await, [0.0, 0.0, 1.0]);
}

#[tokio::test]
async fn a_push_service_that_is_left_alone_shows() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let scraped = Scraped::start(&recorder).await;
    let test = &scraped.newsroom.test;
    let worker = test.worker().await;
    worker.run_until_idle().await.unwrap();
    assert_eq!(scraped.after(0, [OPEN]).await, [0.0]);
    assert!(scraped.scrape().await.contains("{service=\"push.apple.com\"} 0"));

    scraped.push.otherwise(Some(Behaviour::RetryAfter(429, "60".to_owned())));
    scraped.browsers(&["1", "2", "3", "4", "5", "6"]).await;
    scraped.alert().await;
    worker.run_until_idle().await.unwrap();
    assert_eq!(scraped.after(5, [OPEN, RETRIES]).await, [1.0, 6.0]);
    let throttled = "khabar_push_total{outcome=\"throttled\",service=\"other\"}";
    assert!(scraped.after(0, [throttled]).await[0] >= 5.0);

    scraped.push.otherwise(None);
    test.advance(TimeDelta::minutes(5));
    worker.run_until_idle().await.unwrap();
    assert_eq!(scraped.after(5, [OPEN]).await, [0.0], "one got through, while the others waited");
    test.advance(TimeDelta::minutes(5));
    worker.run_until_idle().await.unwrap();
    assert_eq!(scraped.after(5, [OPEN, RETRIES]).await, [0.0, 0.0]);
}

#[tokio::test]
async fn what_is_not_known_is_no_number() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let scraped = Scraped::start(&recorder).await;
    assert_eq!(scraped.after(0, [SHARDS]).await, [0.0]);
    let db = scraped.newsroom.test.app.db.connection();
    db.execute_unprepared("ALTER TABLE alert_shards RENAME TO away").await.unwrap();
    let [shards] = scraped.after(5, [SHARDS]).await;
    assert!(shards.is_nan(), "{shards}");
}
