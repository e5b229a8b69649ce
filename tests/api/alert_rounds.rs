//! Editors and readers who change something while pages of an alert are in workers' hands.

use chrono::TimeDelta;
use khabar::actions::create_article::create_article;
use khabar::domain::viewer::{Role, Viewer};
use khabar::storage;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::alert::{alert, opt_in_many, progress, publish_with_alert, skip_ids};
use crate::alert_control::edit;
use crate::support::push_service::Behaviour;
use crate::support::{Newsroom, operation};

async fn correct(newsroom: &Newsroom, id: &str, title: &str) {
    let variables = json!({ "id": id, "input": { "title": title } });
    edit(newsroom, "AlertUpdate", variables).await.data();
}

/// A worker that works until nothing is due, beside the test.
async fn working(newsroom: &Newsroom) -> JoinHandle<()> {
    let worker = newsroom.test.worker().await;
    tokio::spawn(async move { worker.run_until_idle().await.unwrap() })
}

/// Returns once the alert's progress is as wanted.
async fn until(newsroom: &Newsroom, id: &str, wanted: &str) {
    let mut last = String::new();
    for _ in 0..1_200 {
        last = progress(newsroom, id).await;
        if last.starts_with(wanted) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{last} instead of {wanted}");
}

/// What is open and what waits for another try.
async fn left(newsroom: &Newsroom) -> (u64, u64) {
    let app = &newsroom.test.app;
    let queue = storage::queue::look(app.db.connection(), app.now()).await.unwrap();
    (queue.open_shards, queue.retries)
}

#[tokio::test]
async fn a_correction_waits_for_the_page_in_hand_and_arrives_last() {
    let (newsroom, push) = Newsroom::with_push().await;
    let readers = opt_in_many(&newsroom, &push, 600).await;
    push.script(&readers[0], [Behaviour::Hold(201)]);
    push.script(&readers[1], [Behaviour::Status(503)]);
    let id = alert(&newsroom, "خطأ").await;
    let first = working(&newsroom).await;
    push.until_held(&readers[0]).await;
    correct(&newsroom, &id, "صواب").await;
    let second = newsroom.test.worker().await;
    second.run_until_idle().await.unwrap();
    assert_eq!(push.titles(&readers[2]), ["خطأ"], "nobody is told while the page is in hand");
    push.release();
    first.await.unwrap();
    newsroom.test.run_jobs().await;

    for (number, reader) in readers.iter().enumerate() {
        let expected: &[&str] = match number {
            1 => &["صواب"],
            0..500 => &["خطأ", "صواب"],
            // The first worker has stopped after its page.
            _ => &["صواب"],
        };
        assert_eq!(push.titles(reader), expected, "reader {number}");
    }
    assert_eq!(progress(&newsroom, &id).await, "DONE 1099/0/0");
    assert_eq!(left(&newsroom).await, (0, 0));
}

#[tokio::test]
async fn progress_is_told_of_the_round_and_not_of_those_before() {
    let (newsroom, push) = Newsroom::with_push().await;
    let readers = opt_in_many(&newsroom, &push, 30).await;
    push.script(&readers[0], [Behaviour::Status(400)]);
    push.script(&readers[1], [Behaviour::Status(503), Behaviour::Status(503)]);
    let id = alert(&newsroom, "خطأ").await;
    newsroom.test.run_jobs().await;
    let told = "query($id: ID!) { alert(id: $id) {
        audience queued retrying accepted failed perSecond estimatedDoneAt } }";
    let look = async || {
        let answer = newsroom.test.as_role(Role::Editor, told, json!({ "id": id })).await;
        answer.at("/alert")
    };
    newsroom.test.advance(TimeDelta::seconds(2));
    let first = look().await;
    let of = |alert: &Value, names: [&str; 5]| names.map(|name| alert[name].as_i64().unwrap());
    const NUMBERS: [&str; 5] = ["audience", "queued", "retrying", "accepted", "failed"];
    assert_eq!(of(&first, NUMBERS), [30, 1, 1, 28, 1]);
    assert_eq!(first["perSecond"], 14.5);
    assert_eq!(first["estimatedDoneAt"], Value::Null, "who is tried again is not foreseen");

    correct(&newsroom, &id, "صواب").await;
    newsroom.test.run_jobs().await;
    let second = look().await;
    assert_eq!(of(&second, NUMBERS), [30, 1, 1, 28 + 29, 0], "who was given up is told now");
    let replayed = edit(&newsroom, "AlertReplay", json!({ "id": id })).await;
    assert_eq!(replayed.user_errors("alertReplay"), ["id: NOTHING_TO_REPLAY"]);
    newsroom.test.advance(TimeDelta::minutes(1));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 58/0/0");
    let replayed = edit(&newsroom, "AlertReplay", json!({ "id": id })).await;
    assert_eq!(replayed.user_errors("alertReplay"), ["id: NOTHING_TO_REPLAY"]);
    assert_eq!(push.titles(&readers[0]), ["صواب"]);
}

#[tokio::test]
async fn what_is_called_back_amid_a_page_leaves_nothing_behind() {
    let (newsroom, push) = Newsroom::with_push().await;
    let readers = opt_in_many(&newsroom, &push, 600).await;
    push.script(&readers[0], [Behaviour::Hold(201)]);
    push.script(&readers[1], [Behaviour::Status(503)]);
    push.script(&readers[2], [Behaviour::Status(410)]);
    let id = alert(&newsroom, "خبر").await;
    let worker = working(&newsroom).await;
    push.until_held(&readers[0]).await;
    edit(&newsroom, "AlertCancel", json!({ "id": id })).await.data();
    push.release();
    worker.await.unwrap();
    newsroom.test.advance(TimeDelta::minutes(10));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "CANCELLED 498/1/0");
    assert_eq!(left(&newsroom).await, (0, 0));
    assert!(push.titles(&readers[1]).is_empty() && push.titles(&readers[550]).is_empty());
}

#[tokio::test]
async fn whoever_is_told_the_old_words_by_a_retry_is_told_the_new_ones_after_it() {
    let (newsroom, push) = Newsroom::with_push().await;
    let readers = opt_in_many(&newsroom, &push, 2).await;
    push.script(&readers[0], [Behaviour::Status(503), Behaviour::Hold(201)]);
    let id = alert(&newsroom, "خطأ").await;
    newsroom.test.run_jobs().await;
    newsroom.test.advance(TimeDelta::minutes(1));
    let retrying = working(&newsroom).await;
    push.until_held(&readers[0]).await;
    correct(&newsroom, &id, "صواب").await;
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&readers[0]), ["صواب"]);
    // Until the worker has heard that its retries were called back.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    push.release();
    retrying.await.unwrap();
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&readers[0]), ["صواب", "خطأ", "صواب"], "the correction comes last");
    assert_eq!(push.titles(&readers[1]), ["خطأ", "صواب"]);
    assert_eq!(left(&newsroom).await, (0, 0));
    assert!(progress(&newsroom, &id).await.starts_with("DONE"));
}

#[tokio::test]
async fn a_reader_who_went_to_another_edition_holds_up_no_retry() {
    let (newsroom, push) = Newsroom::with_push().await;
    let (stays, goes) = (push.browser("stays"), push.browser("goes"));
    for browser in [&stays, &goes] {
        push.script(browser, [Behaviour::Status(503)]);
    }
    newsroom.test.opt_in(&stays, json!({})).await;
    let token = newsroom.test.opt_in(&goes, json!({})).await;
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    let moves = json!({ "token": token, "input": { "locale": "en" } });
    newsroom.test.read(&operation("PushSubscriptionUpdate"), moves).await.data();
    newsroom.test.advance(TimeDelta::minutes(1));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    assert_eq!((push.titles(&stays).len(), push.titles(&goes).len()), (1, 0));
}

#[tokio::test]
async fn breaking_news_need_not_wait_for_the_end_of_other_news() {
    let (newsroom, push) = Newsroom::with_push().await;
    let mut readers = Vec::new();
    // As many shards as a worker has lanes for one push service, of two pages each.
    for last in [0, 10_000, 20_000, 30_000] {
        if last > 0 {
            skip_ids(&newsroom, last).await;
        }
        let shard = opt_in_many(&newsroom, &push, 501).await;
        push.script(&shard[0], [Behaviour::Hold(201), Behaviour::Hold(201)]);
        readers.push(shard);
    }
    let routine = alert(&newsroom, "خبر").await;
    let worker = newsroom.test.worker().await;
    let worker = tokio::spawn(worker.run());
    for shard in &readers {
        push.until_held(&shard[0]).await;
    }
    let mut story = newsroom.story("عاجل");
    story.breaking = true;
    let draft = create_article(&newsroom.test.app, &Viewer::System, story).await.unwrap();
    let breaking = publish_with_alert(&newsroom, draft.id, json!({})).await;
    until(&newsroom, &breaking, "SENDING").await;
    for _ in &readers {
        push.release();
    }
    for shard in &readers {
        push.until_held_times(&shard[0], 2).await;
    }
    // Every lane is on the breaking news, and the other's second pages wait.
    for shard in &readers {
        assert_eq!(push.titles(&shard[500]), Vec::<String>::new());
        push.release();
    }
    for id in [&breaking, &routine] {
        until(&newsroom, id, "DONE 2004/0/0").await;
    }
    worker.abort();
    for shard in &readers {
        assert_eq!(push.titles(&shard[0]), ["خبر", "عاجل"]);
        // Of two shards in different hands either may come first.
        let mut second_page = push.titles(&shard[500]);
        second_page.sort();
        assert_eq!(second_page, ["خبر", "عاجل"]);
    }
}

#[tokio::test]
async fn readers_of_a_slow_service_are_waited_for_without_a_row_each() {
    let (newsroom, push) = Newsroom::with_push_by("per_second = 10").await;
    let readers = opt_in_many(&newsroom, &push, 80).await;
    let id = alert(&newsroom, "خبر").await;
    let worker = working(&newsroom).await;
    while !worker.is_finished() {
        assert_eq!(left(&newsroom).await.1, 0, "nobody waits in a row");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    worker.await.unwrap();
    assert_eq!(progress(&newsroom, &id).await, "DONE 80/0/0");
    assert!(readers.iter().all(|reader| push.received(reader).len() == 1));
}

#[tokio::test]
async fn a_late_farewell_from_an_old_address_deletes_nobody_at_a_new_one() {
    let (newsroom, push) = Newsroom::with_push().await;
    let reader = push.browser("before");
    let token = newsroom.test.opt_in(&reader, json!({})).await;
    push.script(&reader, [Behaviour::Hold(410)]);
    let id = alert(&newsroom, "خبر").await;
    let worker = working(&newsroom).await;
    push.until_held(&reader).await;
    let moved = reader.at(reader.endpoint.replace("before", "after"));
    push.know(&moved);
    let browser = json!({ "endpoint": moved.endpoint, "keys": moved.keys() });
    let moves = json!({ "token": token, "input": { "browser": browser } });
    newsroom.test.read(&operation("PushSubscriptionUpdate"), moves).await.data();
    push.release();
    worker.await.unwrap();
    newsroom.test.advance(TimeDelta::minutes(1));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    assert_eq!(push.received(&moved).len(), 1);
}

#[tokio::test]
async fn a_breaking_story_that_comes_again_is_not_alerted_again_by_itself() {
    let (newsroom, push) = Newsroom::with_push_by("breaking_alerts = \"on\"").await;
    let reader = push.browser("reader");
    newsroom.test.opt_in(&reader, json!({})).await;
    let mut story = newsroom.story("عاجل");
    story.breaking = true;
    let draft = create_article(&newsroom.test.app, &Viewer::System, story).await.unwrap();
    let id = json!({ "id": crate::support::fixtures::article_id(draft.id) });
    let published = edit(&newsroom, "ArticlePublish", id.clone()).await;
    assert_eq!(published.user_errors("articlePublish"), Vec::<String>::new());
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&reader), ["عاجل"], "nobody had to ask for it");
    edit(&newsroom, "ArticleUnpublish", id.clone()).await.data();
    let published = edit(&newsroom, "ArticlePublish", id).await;
    assert_eq!(published.user_errors("articlePublish"), Vec::<String>::new());
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&reader), ["عاجل"]);
}

#[tokio::test]
async fn quiet_hours_that_change_repeat_nothing_and_lose_nothing() {
    let (newsroom, push) = Newsroom::with_push().await;
    // It is 07:39 in Baghdad.
    let until = |until: &str| json!({ "quietHours": { "from": "22:00", "until": until, "timeZone": "Asia/Baghdad" } });
    let mut readers = Vec::new();
    let (none, nine, ten) = (json!({ "quietHours": null }), until("09:00"), until("10:00"));
    for (number, (before, after)) in [
        (&none, &nine), // told at once
        (&nine, &none), // told when the hours go
        (&nine, &ten),  // told later than was thought
        (&ten, &nine),  // told sooner
        (&nine, &nine), // told when it was thought
    ]
    .into_iter()
    .enumerate()
    {
        let browser = push.browser(&format!("reader{number}"));
        let token = newsroom.test.opt_in(&browser, before.clone()).await;
        readers.push((browser, token, after));
    }
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    newsroom.test.advance(TimeDelta::minutes(1));
    for (_, token, after) in &readers {
        let changed = json!({ "token": token, "input": after });
        newsroom.test.read(&operation("PushSubscriptionUpdate"), changed).await.data();
    }
    let mut heard: Vec<Vec<usize>> = Vec::new();
    for minutes in [0, 81, 60] {
        newsroom.test.advance(TimeDelta::minutes(minutes));
        newsroom.test.run_jobs().await;
        heard.push(readers.iter().map(|(reader, ..)| push.received(reader).len()).collect());
    }
    let expected: [Vec<usize>; 3] = [vec![1, 1, 0, 0, 0], vec![1, 1, 0, 1, 1], vec![1; 5]];
    assert_eq!(heard, expected);
    assert_eq!(progress(&newsroom, &id).await, "DONE 5/0/0");
}

#[tokio::test]
async fn quiet_hours_that_come_and_go_wake_once_and_only_for_what_is_wanted() {
    let (newsroom, push) = Newsroom::with_push().await;
    let quiet = json!({ "from": "22:00", "until": "09:00", "timeZone": "Asia/Baghdad" });
    let mut readers = Vec::new();
    for (name, choices) in [
        ("restless", json!({ "quietHours": quiet })),
        ("modest", json!({ "quietHours": quiet, "maxPerDay": 1 })),
        ("elsewhere", json!({ "quietHours": quiet })),
    ] {
        let browser = push.browser(name);
        readers.push((newsroom.test.opt_in(&browser, choices).await, browser));
    }
    for headline in ["أول", "ثان"] {
        alert(&newsroom, headline).await;
        newsroom.test.run_jobs().await;
        newsroom.test.advance(TimeDelta::minutes(1));
    }
    let change = async |number: usize, input: Value| {
        let variables = json!({ "token": readers[number].0, "input": input });
        newsroom.test.read(&operation("PushSubscriptionUpdate"), variables).await.data();
        newsroom.test.advance(TimeDelta::seconds(1));
        newsroom.test.run_jobs().await;
    };
    for hours in [json!(null), quiet.clone(), json!(null)] {
        change(0, json!({ "quietHours": hours })).await;
    }
    change(1, json!({ "quietHours": null })).await;
    let sport = newsroom.test.category(None, "رياضة", "Sport").await;
    let sport = crate::support::fixtures::category_id(sport.id);
    change(2, json!({ "quietHours": null, "categories": [sport] })).await;
    newsroom.test.advance(TimeDelta::hours(2));
    newsroom.test.run_jobs().await;
    let heard = |number: usize| {
        let mut heard = push.titles(&readers[number].1);
        heard.sort();
        heard
    };
    assert_eq!(heard(0), ["أول", "ثان"]);
    assert_eq!(heard(1), ["أول"]);
    assert!(heard(2).is_empty());
}
