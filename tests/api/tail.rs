//! The event tail: in commit order, without gaps, woken at once, past what it cannot read.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use khabar::domain::event::Event;
use khabar::live::{Bookmark, Tail};
use khabar::storage::db::EVENT_ORDER_LOCK;
use sea_orm::ConnectionTrait;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{TestApp, operation};

fn event(number: u128) -> Event {
    Event::CommentCreated { comment_id: Uuid::from_u128(number), article_id: Uuid::nil() }
}

/// An event as another process would write it.
fn insert(event: &str) -> String {
    format!(
        "INSERT INTO events (kind, payload, created_at) VALUES ('x', '{event}', '2024-11-23 04:39:00+00:00')"
    )
}

#[tokio::test]
async fn an_event_with_a_larger_id_is_committed_and_delivered_later() {
    let test = TestApp::start().await;
    let tail = Tail::open(&test.app.db).await.unwrap();
    let live = tail.live();
    let shutdown = CancellationToken::new();
    tokio::spawn(tail.run(shutdown.clone()));
    let events = live.follow(None, &Bookmark::default()).await.unwrap();
    let mut events = std::pin::pin!(events);

    // Somebody else has been given an id, under the lock, and has not committed yet.
    let slow = test.app.begin().await.unwrap();
    if test.app.db.is_postgres() {
        let lock = format!("SELECT pg_advisory_xact_lock({EVENT_ORDER_LOCK})");
        slow.transaction().execute_unprepared(&lock).await.unwrap();
    }
    let first = serde_json::to_string(&event(1)).unwrap();
    slow.transaction().execute_unprepared(&insert(&first)).await.unwrap();
    let app = test.app.clone();
    let fast = tokio::spawn(async move {
        let mut change = app.begin().await.unwrap();
        change.record(event(2));
        change.commit().await.unwrap();
    });
    let early = timeout(Duration::from_millis(2_500), events.next()).await;
    assert!(early.is_err(), "the second came before the first was there: {early:?}");
    assert!(!fast.is_finished(), "it committed before the first");

    slow.commit().await.unwrap();
    fast.await.unwrap();
    for number in [1, 2] {
        let next = timeout(Duration::from_secs(10), events.next()).await.expect("lost");
        assert_eq!(next.unwrap().unwrap().event, Some(event(number)));
    }
    shutdown.cancel();
}

#[tokio::test]
async fn a_commit_wakes_the_tail_long_before_it_would_look_by_itself() {
    let test = TestApp::start().await;
    // On PostgreSQL as another instance would hear of it, on SQLite within the process.
    let db =
        if test.app.db.is_postgres() { test.another_pool().await } else { test.app.db.clone() };
    let tail = Tail::open(&db).await.unwrap().polling_every(Duration::from_secs(3_600));
    let live = tail.live();
    let shutdown = CancellationToken::new();
    tokio::spawn(tail.run(shutdown.clone()));
    let events = live.follow(None, &Bookmark::default()).await.unwrap();
    let mut events = std::pin::pin!(events);
    // Long enough to be asleep.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for number in 1..=3 {
        let mut change = test.app.begin().await.unwrap();
        change.record(event(number));
        change.commit().await.unwrap();
        let next = timeout(Duration::from_secs(10), events.next()).await.expect("not woken");
        assert_eq!(next.unwrap().unwrap().event, Some(event(number)));
    }
    shutdown.cancel();
}

#[tokio::test]
async fn an_event_of_a_newer_version_holds_nothing_up() {
    let newsroom = TestApp::with_newsroom().await;
    let test = &newsroom.test;
    let tail = Tail::open(&test.app.db).await.unwrap();
    let healthy = tail.health();
    let shutdown = CancellationToken::new();
    tokio::spawn(tail.run(shutdown.clone()));
    let before = test.read("{ newestEventId }", json!({})).await.text("/newestEventId");
    let mut stories = test.subscribe(&operation("ArticlePublished"), json!({ "locale": "ar-IQ" }));
    stories.hears_nothing().await;

    for unknown in
        [r#"{"kind":"coffee_brewed","cups":3}"#, "no JSON", r#"{"kind":"comment_created"}"#]
    {
        let change = test.app.begin().await.unwrap();
        change.transaction().execute_unprepared(&insert(unknown)).await.unwrap();
        change.commit().await.unwrap();
    }
    newsroom.published("خبر").await;
    let heard = stories.next().await;
    assert_eq!(heard.text("/articlePublished/article/headline"), "خبر");
    let after = json!({ "locale": "ar-IQ", "after": before });
    let mut resumed = test.subscribe(&operation("ArticlePublished"), after);
    assert_eq!(resumed.next().await, heard, "from the table as well");
    assert!(healthy.load(Ordering::Relaxed), "the readiness check would fail");
    shutdown.cancel();
}
