//! Keys that are prepared before the news breaks: each seals one message at most, whatever happens.
//! The push service of these tests fails every test in which one seals two.

use std::collections::HashSet;

use chrono::TimeDelta;
use khabar::domain::viewer::Role;
use khabar::storage::prepared_keys;
use serde_json::json;

use crate::alert::{opt_in_many, progress, publish_with_alert};
use crate::support::alerts::LOOPBACK;
use crate::support::push_service::{Behaviour, Browser, PushService};
use crate::support::{Newsroom, operation};

/// Publishes breaking news.
async fn breaking(newsroom: &Newsroom, headline: &str) -> String {
    let draft = newsroom.draft(headline).await;
    publish_with_alert(newsroom, draft.id, json!({ "urgency": "HIGH" })).await
}

/// The public keys that are prepared.
async fn prepared(newsroom: &Newsroom) -> HashSet<Vec<u8>> {
    let app = &newsroom.test.app;
    // Dropped without a commit, so they stay.
    let change = app.begin().await.unwrap();
    let editions = [newsroom.arabic.id];
    let of = (1, &editions[..]);
    let taken = prepared_keys::take(change.transaction(), &app.vault, of, (0, 1_000_000));
    taken.await.unwrap().into_iter().map(|entry| entry.key[..65].to_vec()).collect()
}

/// A newsroom with so many readers, for each of whom a key is prepared.
async fn with_prepared(count: usize) -> (Newsroom, PushService, Vec<Browser>) {
    let (newsroom, push) = Newsroom::with_push().await;
    let browsers = opt_in_many(&newsroom, &push, count).await;
    prepare(&newsroom).await;
    (newsroom, push, browsers)
}

async fn prepare(newsroom: &Newsroom) {
    newsroom.test.worker().await.prepare_keys().await.unwrap();
}

/// The keys of all messages that were taken.
fn used(push: &PushService, browsers: &[Browser]) -> Vec<Vec<u8>> {
    let messages = browsers.iter().flat_map(|browser| push.received(browser));
    messages.map(|message| message.sender_key).collect()
}

#[tokio::test]
async fn breaking_news_uses_them_and_what_follows_does_without() {
    let (newsroom, push, browsers) = with_prepared(1_100).await;
    let keys = prepared(&newsroom).await;
    assert_eq!(keys.len(), 1_100);
    prepare(&newsroom).await;
    assert_eq!(prepared(&newsroom).await, keys, "what is there is not made anew");

    breaking(&newsroom, "عاجل").await;
    newsroom.test.run_jobs().await;
    let first: HashSet<_> = used(&push, &browsers).into_iter().collect();
    assert_eq!(first, keys);
    assert!(prepared(&newsroom).await.is_empty());

    breaking(&newsroom, "عاجل ثانٍ").await;
    newsroom.test.run_jobs().await;
    let all: HashSet<_> = used(&push, &browsers).into_iter().collect();
    assert_eq!(all.len(), 2_200);
    prepare(&newsroom).await;
    assert!(prepared(&newsroom).await.is_disjoint(&all));
}

#[tokio::test]
async fn other_news_leaves_them_to_breaking_news() {
    let (newsroom, push, browsers) = with_prepared(3).await;
    let keys = prepared(&newsroom).await;
    crate::alert::alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(used(&push, &browsers).len(), 3);
    assert_eq!(prepared(&newsroom).await, keys);
}

#[tokio::test]
async fn a_retry_and_a_correction_seal_by_keys_of_their_own() {
    let (newsroom, push, browsers) = with_prepared(2).await;
    push.script(&browsers[0], [Behaviour::Status(503), Behaviour::Reset, Behaviour::Status(413)]);
    let id = breaking(&newsroom, "عاجل").await;
    for _ in 0..4 {
        newsroom.test.run_jobs().await;
        newsroom.test.advance(TimeDelta::minutes(5));
    }
    assert_eq!(progress(&newsroom, &id).await, "DONE 2/0/0");
    let corrected = json!({ "id": id, "input": { "title": "تصحيح" } });
    let document = operation("AlertUpdate");
    newsroom.test.as_role(Role::Editor, &document, corrected).await.data();
    newsroom.test.run_jobs().await;
    assert_eq!(used(&push, &browsers).len(), 4);
}

#[tokio::test]
async fn a_killed_worker_takes_its_keys_along() {
    // Before the first answer, amid the first page, and when all of it but one is answered.
    for held in [0, 250, 499] {
        let (newsroom, push, browsers) = with_prepared(700).await;
        push.script(&browsers[held], [Behaviour::Hold(201)]);
        let id = breaking(&newsroom, "عاجل").await;
        let worker = newsroom.test.worker().await;
        let killed = tokio::spawn(async move { worker.run_until_idle().await });
        push.until_held(&browsers[held]).await;
        killed.abort();
        assert!(killed.await.unwrap_err().is_cancelled());
        assert!(prepared(&newsroom).await.is_empty(), "they are gone with it");
        // Keys that are made meanwhile are others.
        prepare(&newsroom).await;
        newsroom.test.advance(TimeDelta::seconds(31));
        newsroom.test.run_jobs().await;
        assert_eq!(progress(&newsroom, &id).await, "DONE 700/0/0");
        let keys = used(&push, &browsers);
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    }
}

#[tokio::test]
async fn workers_and_alerts_at_once_share_none() {
    let (newsroom, push, browsers) = with_prepared(1_500).await;
    let keys = prepared(&newsroom).await;
    let ids = [breaking(&newsroom, "عاجل").await, breaking(&newsroom, "عاجل ثانٍ").await];
    let workers = [newsroom.test.worker().await, newsroom.test.worker().await];
    let [one, other] = workers.map(|w| tokio::spawn(async move { w.run_until_idle().await }));
    one.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    newsroom.test.run_jobs().await;
    for id in ids {
        assert_eq!(progress(&newsroom, &id).await, "DONE 1500/0/0");
    }
    let used = used(&push, &browsers);
    assert_eq!(used.iter().collect::<HashSet<_>>().len(), 3_000);
    let prepared = used.iter().filter(|key| keys.contains(*key)).count();
    assert_eq!(prepared, 1_500, "each of them served one of the two");
}

#[tokio::test]
async fn a_taker_that_dies_before_it_commits_has_used_none() {
    let (newsroom, _push, _) = with_prepared(2).await;
    let before = prepared(&newsroom).await;
    assert_eq!((before.len(), prepared(&newsroom).await), (2, before));
}

#[tokio::test]
async fn new_keys_of_the_browser_make_its_prepared_one_void() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("reader");
    let token = newsroom.test.opt_in(&browser, json!({})).await;
    prepare(&newsroom).await;
    let keys = prepared(&newsroom).await;
    let renewed = browser.with_new_keys();
    newsroom.test.opt_in(&renewed, json!({ "token": token })).await;
    push.know(&renewed);
    breaking(&newsroom, "عاجل").await;
    newsroom.test.run_jobs().await;
    let [message] = push.received(&renewed).try_into().unwrap();
    assert!(!keys.contains(&message.sender_key));
}

#[tokio::test]
async fn a_block_is_made_anew_once_it_lacks_a_tenth_of_its_readers() {
    let (newsroom, push, _) = with_prepared(20).await;
    let first = prepared(&newsroom).await;
    opt_in_many(&newsroom, &push, 2).await;
    prepare(&newsroom).await;
    assert_eq!(prepared(&newsroom).await, first);
    opt_in_many(&newsroom, &push, 1).await;
    prepare(&newsroom).await;
    let second = prepared(&newsroom).await;
    assert!(second.len() == 23 && second.is_disjoint(&first));
}

#[tokio::test]
async fn a_block_is_made_anew_once_a_tenth_of_its_readers_have_new_keys() {
    let (newsroom, push) = Newsroom::with_push().await;
    opt_in_many(&newsroom, &push, 17).await;
    let mut readers = Vec::new();
    for name in ["one", "two", "three"] {
        let browser = push.browser(name);
        readers.push((newsroom.test.opt_in(&browser, json!({})).await, browser));
    }
    prepare(&newsroom).await;
    let first = prepared(&newsroom).await;
    let mut kept = Vec::new();
    for (token, browser) in readers {
        newsroom.test.opt_in(&browser.with_new_keys(), json!({ "token": token })).await;
        prepare(&newsroom).await;
        kept.push(prepared(&newsroom).await == first);
    }
    assert_eq!(kept, [true, true, false]);
}

#[tokio::test]
async fn one_setting_turns_them_off_and_deletes_them() {
    let (newsroom, push, browsers) = with_prepared(3).await;
    let settings = format!("{LOOPBACK}\nprepared_keys = \"off\"");
    let off = newsroom.test.another_instance_with(&settings).await;
    breaking(&newsroom, "عاجل").await;
    off.run_jobs().await;
    let keys = prepared(&newsroom).await;
    assert_eq!(keys.len(), 3, "not used");
    assert!(used(&push, &browsers).iter().all(|key| !keys.contains(key)));
    let worker = off.worker().await;
    let running = tokio::spawn(worker.run());
    for _ in 0..200 {
        if prepared(&newsroom).await.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    running.abort();
    assert!(prepared(&newsroom).await.is_empty(), "no secret is kept for nothing");
}

#[tokio::test]
async fn a_worker_that_runs_prepares_by_itself() {
    let (newsroom, push) = Newsroom::with_push().await;
    opt_in_many(&newsroom, &push, 5).await;
    let running = tokio::spawn(newsroom.test.worker().await.run());
    let mut keys = HashSet::new();
    for _ in 0..400 {
        keys = prepared(&newsroom).await;
        if !keys.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(keys.len(), 5);
    breaking(&newsroom, "عاجل").await;
    for _ in 0..400 {
        let again = prepared(&newsroom).await;
        if again.len() == 5 && again.is_disjoint(&keys) {
            running.abort();
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("what was used is not made anew");
}
