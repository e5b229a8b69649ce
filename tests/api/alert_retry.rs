//! What push services answer besides 201: who goes, who is tried again, and until when.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use khabar::domain::viewer::Role;
use khabar::storage;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::alert::{alert, progress};
use crate::support::push_service::{Behaviour, Browser, PushService};
use crate::support::{Newsroom, operation};

/// A newsroom, its push service, and one reader of everything.
async fn with_reader() -> (Newsroom, PushService, Browser) {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("reader");
    newsroom.test.opt_in(&browser, json!({})).await;
    (newsroom, push, browser)
}

/// How many of the first hundred subscriptions are left.
async fn subscriptions(newsroom: &Newsroom) -> usize {
    let ids: Vec<i64> = (1..=100).collect();
    let app = &newsroom.test.app;
    let found = storage::audience::by_ids(app.db.connection(), &app.vault, &ids);
    found.await.unwrap().candidates.len()
}

#[tokio::test]
async fn a_browser_that_is_gone_is_forgotten() {
    for status in [404, 410] {
        let (newsroom, push, browser) = with_reader().await;
        push.script(&browser, [Behaviour::Status(status)]);
        let id = alert(&newsroom, "خبر").await;
        newsroom.test.run_jobs().await;
        assert_eq!(progress(&newsroom, &id).await, "DONE 0/1/0");
        assert_eq!(subscriptions(&newsroom).await, 0);
    }
}

#[tokio::test]
async fn a_browser_with_newer_keys_is_kept_and_told() {
    let (newsroom, push, browser) = with_reader().await;
    let token = newsroom.test.opt_in(&browser, json!({})).await;
    push.script(&browser, [Behaviour::Hold(410)]);
    let id = alert(&newsroom, "خبر").await;
    let worker = newsroom.test.worker().await;
    let worker = tokio::spawn(async move { worker.run_until_idle().await });
    push.until_held(&browser).await;
    let renewed = browser.with_new_keys();
    push.know(&renewed);
    newsroom.test.opt_in(&renewed, json!({ "token": token })).await;
    push.release();
    worker.await.unwrap().unwrap();
    assert_eq!(subscriptions(&newsroom).await, 1, "the 410 was for the old keys");

    newsroom.test.advance(TimeDelta::minutes(1));
    newsroom.test.run_jobs().await;
    assert_eq!(push.received(&renewed).len(), 1);
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
}

#[tokio::test]
async fn trouble_is_tried_again_and_removes_nobody() {
    let (newsroom, push, browser) = with_reader().await;
    let troubles = [
        Behaviour::Status(500),
        Behaviour::Status(502),
        Behaviour::Status(429),
        Behaviour::Status(406),
        Behaviour::Reset,
        Behaviour::Redirect("http://127.0.0.1:1/secret".to_owned()),
        Behaviour::Flood,
    ];
    push.script(&browser, troubles);
    let id = alert(&newsroom, "خبر").await;
    for tries in 1..=6 {
        newsroom.test.run_jobs().await;
        assert_eq!(push.answered().len(), tries);
        assert_eq!(progress(&newsroom, &id).await, "SENDING 0/0/0");
        newsroom.test.run_jobs().await;
        assert_eq!(push.answered().len(), tries, "not before it is due");
        newsroom.test.advance(TimeDelta::hours(1));
    }
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    assert_eq!(push.received(&browser).len(), 1);
    assert_eq!(push.received(&browser)[0].ttl, 18 * 3_600, "what is left of the day");
    assert_eq!(subscriptions(&newsroom).await, 1);
}

#[tokio::test]
async fn a_wait_that_the_service_asks_for_is_kept() {
    let (newsroom, push, browser) = with_reader().await;
    let script = [
        Behaviour::RetryAfter(429, "7200".to_owned()),
        Behaviour::RetryAfter(503, "Sat, 23 Nov 2024 10:39:00 GMT".to_owned()),
    ];
    push.script(&browser, script);
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    let why = "query($id: ID!) { alert(id: $id) { retrying retryingAfter { status count } } }";
    let why = newsroom.test.as_role(Role::Editor, why, json!({ "id": id })).await;
    let after = json!([{ "status": 429, "count": 1 }]);
    assert_eq!(why.at("/alert"), json!({ "retrying": 1, "retryingAfter": after }));
    for (minutes, answers) in [(119, 1), (2, 2), (230, 2), (15, 3)] {
        newsroom.test.advance(TimeDelta::minutes(minutes));
        newsroom.test.run_jobs().await;
        assert_eq!(push.answered().len(), answers, "{minutes} minutes later");
    }
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
}

#[tokio::test]
async fn a_wait_beyond_all_bounds_gives_up_instead_of_stopping_the_worker() {
    let (newsroom, push) = Newsroom::with_push().await;
    for after in ["9223372036854775", "18446744073709551615", "99999999999999999999", "-1", "x"] {
        let browser = push.browser(&format!("after{after}").replace('-', "m"));
        newsroom.test.opt_in(&browser, json!({})).await;
        push.script(&browser, [Behaviour::RetryAfter(429, after.to_owned())]);
    }
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    newsroom.test.advance(TimeDelta::hours(1));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 2/0/3");
    assert_eq!(subscriptions(&newsroom).await, 5);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_shortened_once() {
    let (newsroom, push) = Newsroom::with_push().await;
    let (shrinks, refuses) = (push.browser("shrinks"), push.browser("refuses"));
    for browser in [&shrinks, &refuses] {
        newsroom.test.opt_in(browser, json!({})).await;
    }
    push.script(&shrinks, [Behaviour::Status(413)]);
    push.script(&refuses, [Behaviour::Status(413), Behaviour::Status(413)]);
    let draft = newsroom.draft(&"عنوان ".repeat(33)).await;
    let words = json!({ "title": "عنوان", "body": "كلمة ".repeat(99) });
    let id = crate::alert::publish_with_alert(&newsroom, draft.id, words).await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/1");
    assert_eq!(push.statuses(&shrinks), [413, 201]);
    assert_eq!(push.statuses(&refuses), [413, 413]);
    assert!(push.received(&shrinks)[0].length <= 1_500);
    assert_eq!(subscriptions(&newsroom).await, 2);
}

#[tokio::test]
async fn credentials_that_are_refused_stop_the_service_and_prune_nobody() {
    for status in [401, 403] {
        let (newsroom, push) = Newsroom::with_push().await;
        for number in 0..100 {
            newsroom.test.opt_in(&push.browser(&format!("r{number}")), json!({})).await;
        }
        push.otherwise(Some(Behaviour::Status(status)));
        let id = alert(&newsroom, "خبر").await;
        newsroom.test.run_jobs().await;
        let asked = push.answered().len();
        assert!(asked <= 64, "no more than were under way: {asked}");
        assert_eq!(progress(&newsroom, &id).await, "SENDING 0/0/0");

        push.otherwise(None);
        newsroom.test.advance(TimeDelta::minutes(2));
        newsroom.test.run_jobs().await;
        assert_eq!(progress(&newsroom, &id).await, "DONE 100/0/0");
        assert_eq!(subscriptions(&newsroom).await, 100);
    }
}

#[tokio::test]
async fn a_service_that_hangs_is_left_after_a_while() {
    let (newsroom, push, browser) = with_reader().await;
    push.script(&browser, [Behaviour::Hold(201)]);
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "SENDING 0/0/0");
    newsroom.test.advance(TimeDelta::minutes(1));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
}

#[tokio::test]
async fn old_news_is_not_sent() {
    let (newsroom, push, browser) = with_reader().await;
    let unsent = alert(&newsroom, "لم يرسل").await;
    newsroom.test.advance(TimeDelta::hours(25));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &unsent).await, "CANCELLED 0/0/0");

    push.script(&browser, [Behaviour::Status(500)]);
    let failed = alert(&newsroom, "تعثر").await;
    newsroom.test.run_jobs().await;
    newsroom.test.advance(TimeDelta::hours(25));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &failed).await, "DONE 0/0/1");
    assert_eq!(push.answered().len(), 1);
    assert_eq!(subscriptions(&newsroom).await, 1);
}

#[tokio::test]
async fn a_reader_who_leaves_while_it_fails_costs_the_others_nothing() {
    let (newsroom, push) = Newsroom::with_push().await;
    let (leaves, stays) = (push.browser("leaves"), push.browser("stays"));
    let token = newsroom.test.opt_in(&leaves, json!({})).await;
    newsroom.test.opt_in(&stays, json!({})).await;
    push.script(&leaves, [Behaviour::Hold(500)]);
    let id = alert(&newsroom, "خبر").await;
    let worker = newsroom.test.worker().await;
    let worker = tokio::spawn(async move { worker.run_until_idle().await });
    push.until_held(&leaves).await;
    let delete = operation("PushSubscriptionDelete");
    newsroom.test.read(&delete, json!({ "token": token })).await.data();
    push.release();
    worker.await.unwrap().unwrap();
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/1/0");
    assert_eq!(push.received(&stays).len(), 1);
}

#[tokio::test]
async fn a_reader_who_leaves_before_the_next_try_does_not_keep_the_alert_open() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("leaves");
    let token = newsroom.test.opt_in(&browser, json!({})).await;
    push.script(&browser, [Behaviour::Status(500)]);
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "SENDING 0/0/0");
    let delete = operation("PushSubscriptionDelete");
    newsroom.test.read(&delete, json!({ "token": token })).await.data();
    let mut change = newsroom.test.app.begin().await.unwrap();
    change.enqueue(khabar::domain::job::Job::Purge);
    change.commit().await.unwrap();
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 0/0/0");
}

#[tokio::test]
async fn work_of_a_newer_version_does_not_hold_up_the_rest() {
    let (newsroom, push, browser) = with_reader().await;
    let insert = "INSERT INTO jobs (kind, payload, state, attempts, run_at, created_at) VALUES
        ('brew_tea', '{\"kind\":\"brew_tea\"}', 'QUEUED', 0, '2000-01-01 00:00:00+00:00', '2000-01-01 00:00:00+00:00'),
        ('purge', 'no json', 'QUEUED', 0, '2000-01-01 00:00:00+00:00', '2000-01-01 00:00:00+00:00')";
    let connection = newsroom.test.app.db.connection();
    connection.execute_unprepared(insert).await.unwrap();
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(push.received(&browser).len(), 1);
    // The one waits for a worker that knows it, the other is kept for a look.
    assert_eq!(storage::job::count_open(connection).await.unwrap(), 0);
    let waiting = "DELETE FROM jobs WHERE kind = 'brew_tea' AND state = 'QUEUED'";
    assert_eq!(connection.execute_unprepared(waiting).await.unwrap().rows_affected(), 1);
}

#[tokio::test]
async fn what_always_fails_is_given_up_when_it_stops_being_news() {
    let (newsroom, push, browser) = with_reader().await;
    push.otherwise(Some(Behaviour::Status(500)));
    let id = alert(&newsroom, "خبر").await;
    for _ in 0..50 {
        newsroom.test.run_jobs().await;
        newsroom.test.advance(TimeDelta::minutes(30));
    }
    assert_eq!(progress(&newsroom, &id).await, "DONE 0/0/1");
    let tries = push.statuses(&browser).len();
    assert!((24..50).contains(&tries), "patient, but not pushy: {tries}");
    assert_eq!(subscriptions(&newsroom).await, 1);
}

#[tokio::test]
async fn a_service_that_hangs_holds_up_no_other() {
    let (newsroom, hangs) = Newsroom::with_push().await;
    let key = newsroom.test.vapid_key().await;
    let works = PushService::start(&key, Arc::clone(&newsroom.test.app.clock)).await;
    hangs.otherwise(Some(Behaviour::Hold(201)));
    for number in 0..6 {
        newsroom.test.opt_in(&hangs.browser(&format!("slow{number}")), json!({})).await;
    }
    let mut readers = Vec::new();
    for number in 0..6 {
        readers.push(works.browser(&format!("reader{number}")));
        newsroom.test.opt_in(&readers[number], json!({})).await;
    }
    let id = alert(&newsroom, "خبر").await;
    let worker = newsroom.test.worker().await;
    let working = tokio::spawn(async move { worker.run_until_idle().await });
    for _ in 0..200 {
        if readers.iter().all(|reader| works.received(reader).len() == 1) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(readers.iter().all(|reader| works.received(reader).len() == 1));
    assert_eq!(progress(&newsroom, &id).await.split(' ').next(), Some("SENDING"));
    hangs.otherwise(None);
    (0..6).for_each(|_| hangs.release());
    working.await.unwrap().unwrap();
    assert_eq!(progress(&newsroom, &id).await, "DONE 12/0/0");
}
