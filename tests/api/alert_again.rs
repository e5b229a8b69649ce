//! What is tried, replayed, corrected or published again: told to those who still want it, and once.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use khabar::actions::create_article::create_article;
use khabar::domain::alert::Counts;
use khabar::domain::job::Job;
use khabar::domain::viewer::{Role, Viewer};
use khabar::storage::alert as stored;
use khabar::storage::alert_retry::Retry;
use khabar::storage::alert_shard::{self, Shard};
use khabar::storage::entities::alert_retry::Entity as Retries;
use khabar::storage::entities::alert_shard::Entity as Shards;
use khabar::storage::{self, alert_wave};
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::{Value, json};

use crate::alert::{alert, opt_in_all, opt_in_many, progress, publish_with_alert};
use crate::alert_control::edit;
use crate::support::alerts::LOOPBACK;
use crate::support::fixtures::{article_id, category_id};
use crate::support::push_service::{Behaviour, Browser, PushService};
use crate::support::{Newsroom, TestApp, operation};

/// A newsroom, its push service, and a reader with a token.
async fn with_reader(choices: Value) -> (Newsroom, PushService, Browser, String) {
    let (newsroom, push) = Newsroom::with_push().await;
    let reader = push.browser("reader");
    let token = newsroom.test.opt_in(&reader, choices).await;
    (newsroom, push, reader, token)
}

async fn choose(newsroom: &Newsroom, token: &str, choice: Value) {
    let chosen = json!({ "token": token, "input": choice });
    let answer = newsroom.test.read(&operation("PushSubscriptionUpdate"), chosen).await;
    assert_eq!(answer.user_errors("pushSubscriptionUpdate"), [""; 0]);
}

#[tokio::test]
async fn whoever_chose_otherwise_since_is_not_tried_again() {
    let (newsroom, push, reader, token) = with_reader(json!({})).await;
    push.script(&reader, [Behaviour::Status(503)]);
    let tried = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    choose(&newsroom, &token, json!({ "breakingOnly": true })).await;
    newsroom.test.advance(TimeDelta::minutes(10));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &tried).await, "DONE 0/0/0");

    choose(&newsroom, &token, json!({ "breakingOnly": false })).await;
    push.script(&reader, [Behaviour::Status(400)]);
    let given_up = alert(&newsroom, "خبر آخر").await;
    newsroom.test.run_jobs().await;
    let sport = newsroom.test.category(None, "رياضة", "Sport").await;
    choose(&newsroom, &token, json!({ "categories": [category_id(sport.id)] })).await;
    edit(&newsroom, "AlertReplay", json!({ "id": given_up })).await.data();
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &given_up).await, "DONE 0/0/0");
    assert_eq!(push.titles(&reader), [""; 0]);
}

#[tokio::test]
async fn a_breaking_story_that_was_taken_back_amid_its_alert_is_not_alerted_by_itself() {
    let (newsroom, push) = Newsroom::with_push_by("breaking_alerts = \"on\"").await;
    let (told, later) = (push.browser("told"), push.browser("later"));
    newsroom.test.opt_in(&told, json!({})).await;
    newsroom.test.opt_in(&later, json!({})).await;
    push.script(&later, [Behaviour::Status(503)]);
    let mut story = newsroom.story("عاجل");
    story.breaking = true;
    let draft = create_article(&newsroom.test.app, &Viewer::System, story).await.unwrap();
    let id = json!({ "id": article_id(draft.id) });
    for mutation in ["ArticlePublish", "ArticleUnpublish", "ArticlePublish"] {
        edit(&newsroom, mutation, id.clone()).await.data();
        newsroom.test.run_jobs().await;
    }
    newsroom.test.advance(TimeDelta::minutes(10));
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&told), ["عاجل"]);
    assert_eq!(push.titles(&later), [""; 0]);
}

#[tokio::test]
async fn a_correction_that_corrects_nothing_or_comes_too_late_to_put_off_tells_nobody() {
    let (newsroom, push, reader, _) = with_reader(json!({})).await;
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    for input in [json!({}), json!({ "title": "خبر" })] {
        let same = edit(&newsroom, "AlertUpdate", json!({ "id": id, "input": input })).await;
        assert_eq!(same.user_errors("alertUpdate"), [""; 0]);
    }
    for at in [Value::Null, json!("2024-11-23T06:00:00Z")] {
        let late = json!({ "id": id, "input": { "scheduledAt": at } });
        let refused = edit(&newsroom, "AlertUpdate", late).await;
        assert_eq!(refused.user_errors("alertUpdate"), ["scheduledAt: WRONG_STATE"]);
    }
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    assert_eq!(push.titles(&reader), ["خبر"]);
}

#[tokio::test]
async fn a_story_that_was_taken_back_is_neither_replayed_nor_corrected() {
    let (newsroom, push, reader, _) = with_reader(json!({})).await;
    push.script(&reader, [Behaviour::Status(400)]);
    let draft = newsroom.draft("خبر").await;
    let id = publish_with_alert(&newsroom, draft.id, json!({})).await;
    newsroom.test.run_jobs().await;
    let story = json!({ "id": article_id(draft.id) });
    edit(&newsroom, "ArticleUnpublish", story.clone()).await.data();
    let refused = edit(&newsroom, "AlertReplay", json!({ "id": id })).await;
    assert_eq!(refused.user_errors("alertReplay"), ["id: WRONG_STATE"]);
    let words = json!({ "id": id, "input": { "title": "آخر" } });
    let refused = edit(&newsroom, "AlertUpdate", words).await;
    assert_eq!(refused.user_errors("alertUpdate"), ["id: WRONG_STATE"]);
    edit(&newsroom, "ArticlePublish", story).await.data();
    let replayed = edit(&newsroom, "AlertReplay", json!({ "id": id })).await;
    assert_eq!(replayed.user_errors("alertReplay"), [""; 0]);
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
}

#[tokio::test]
async fn those_who_were_given_up_need_not_wait_for_those_who_sleep() {
    let (newsroom, push, reader, _) = with_reader(json!({})).await;
    // It is 07:39 in Baghdad; this one sleeps until 09:00.
    let quiet = json!({ "from": "22:00", "until": "09:00", "timeZone": "Asia/Baghdad" });
    let asleep = push.browser("asleep");
    newsroom.test.opt_in(&asleep, json!({ "quietHours": quiet })).await;
    push.script(&reader, [Behaviour::Status(400)]);
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "SENDING 0/0/1");
    let ends = "query($id: ID!) { alert(id: $id) { heldBackUntil estimatedDoneAt } }";
    let ends = newsroom.test.as_role(Role::Editor, ends, json!({ "id": id })).await;
    let nine = "2024-11-23T06:00:00+00:00";
    assert_eq!(ends.at("/alert"), json!({ "heldBackUntil": nine, "estimatedDoneAt": nine }));
    edit(&newsroom, "AlertReplay", json!({ "id": id })).await.data();
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "SENDING 1/0/0");
    let again = edit(&newsroom, "AlertReplay", json!({ "id": id })).await;
    assert_eq!(again.user_errors("alertReplay"), ["id: NOTHING_TO_REPLAY"]);
    newsroom.test.advance(TimeDelta::minutes(82));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 2/0/0");
    assert_eq!((push.titles(&reader).len(), push.titles(&asleep).len()), (1, 1));
}

#[tokio::test]
async fn a_replay_leaves_who_is_tried_again_already_as_it_is() {
    let (newsroom, push, reader, _) = with_reader(json!({})).await;
    push.script(&reader, [Behaviour::Status(500)]);
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    let app = &newsroom.test.app;
    let connection = app.db.connection();
    let waiting = async || Retries::find().one(connection).await.unwrap().unwrap();
    let before = waiting().await;
    assert_eq!((before.attempts, before.last_status), (1, Some(500)));
    let dead = Retry::unsent(before.push_subscription_id, before.service_id);
    let of = before.alert_id;
    storage::alert_dead_letter::bury(connection, of, vec![dead], app.now()).await.unwrap();
    let counts = Counts { failed: 1, ..Counts::default() };
    storage::alert_round::count(connection, of, (counts, false)).await.unwrap();
    edit(&newsroom, "AlertReplay", json!({ "id": id })).await.data();
    assert_eq!(waiting().await, before);
    newsroom.test.advance(TimeDelta::minutes(1));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    assert_eq!(push.statuses(&reader), [500, 201], "tried again once");
}

#[tokio::test]
async fn those_whom_old_news_never_came_to_are_told_by_a_replay() {
    let (newsroom, push) = Newsroom::with_push().await;
    opt_in_many(&newsroom, &push, 600).await;
    // The service asks to be left alone for longer than the news is news.
    push.otherwise(Some(Behaviour::RetryAfter(429, "90000".to_owned())));
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    newsroom.test.advance(TimeDelta::hours(25));
    assert!(progress(&newsroom, &id).await.starts_with("SENDING"));
    let old = edit(&newsroom, "AlertReplay", json!({ "id": id })).await;
    assert_eq!(old.user_errors("alertReplay"), ["id: WRONG_STATE"], "old, and not over yet");
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 0/0/600");
    let why = "query($id: ID!) { alert(id: $id) { givenUp { status count } } }";
    let why = newsroom.test.as_role(Role::Editor, why, json!({ "id": id })).await;
    let count = |at: usize| why.at(&format!("/alert/givenUp/{at}/count")).as_i64().unwrap();
    assert_eq!(count(0) + count(1), 600);
    assert!(count(0) >= 100, "the second page was not even tried: {}", why.at("/alert"));

    push.otherwise(None);
    edit(&newsroom, "AlertReplay", json!({ "id": id })).await.data();
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 600/0/0");
}

#[tokio::test]
async fn a_sleeper_whom_old_news_never_came_to_is_told_by_a_replay() {
    let quiet = json!({ "from": "22:00", "until": "09:00", "timeZone": "Asia/Baghdad" });
    let (newsroom, push, reader, _) = with_reader(json!({ "quietHours": quiet })).await;
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    newsroom.test.advance(TimeDelta::hours(27));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 0/0/1");
    edit(&newsroom, "AlertReplay", json!({ "id": id })).await.data();
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    assert_eq!(push.titles(&reader), ["خبر"]);
}

#[tokio::test]
async fn readers_of_a_category_that_goes_amid_its_alert_are_told_all_the_same() {
    let (newsroom, push) = Newsroom::with_push().await;
    let (all, iraq) = (opt_in_many(&newsroom, &push, 500).await, category_id(newsroom.iraq.id));
    let reader = push.browser("reader");
    newsroom.test.opt_in(&reader, json!({ "categories": [iraq] })).await;
    push.script(&all[0], [Behaviour::Hold(201)]);
    let id = alert(&newsroom, "خبر").await;
    let worker = newsroom.test.worker().await;
    let worker = tokio::spawn(async move { worker.run_until_idle().await });
    push.until_held(&all[0]).await;
    let delete = "mutation($id: ID!, $replacement: ID) {
        categoryDelete(id: $id, replacement: $replacement) { userErrors { code field } } }";
    let replaced = json!({ "id": iraq, "replacement": category_id(newsroom.world.id) });
    let deleted = newsroom.test.as_role(Role::Admin, delete, replaced).await;
    assert_eq!(deleted.user_errors("categoryDelete"), [""; 0]);
    push.release();
    worker.await.unwrap().unwrap();
    assert_eq!(progress(&newsroom, &id).await, "DONE 501/0/0");
    assert_eq!(push.titles(&reader), ["خبر"]);
}

#[tokio::test]
async fn an_alert_that_was_called_back_before_it_came_counts_against_no_cap() {
    let (newsroom, push, reader, _) = with_reader(json!({ "maxPerDay": 1 })).await;
    push.script(&reader, [Behaviour::Status(503)]);
    let called_back = alert(&newsroom, "خطأ").await;
    newsroom.test.run_jobs().await;
    edit(&newsroom, "AlertCancel", json!({ "id": called_back })).await.data();
    newsroom.test.advance(TimeDelta::minutes(10));
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&reader), ["خبر"]);
}

#[tokio::test]
async fn a_test_comes_at_night_too() {
    let quiet = json!({ "from": "22:00", "until": "09:00", "timeZone": "Asia/Baghdad" });
    let choice = json!({ "quietHours": quiet, "breakingOnly": true });
    let (newsroom, push, own, token) = with_reader(choice).await;
    let draft = newsroom.draft("مسودة").await;
    let test = "mutation($article: ID!, $token: String!) {
        alertTest(article: $article, token: $token) { userErrors { code field } } }";
    let variables = json!({ "article": article_id(draft.id), "token": token });
    newsroom.test.as_role(Role::Editor, test, variables).await.data();
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&own), ["مسودة"]);
}

#[tokio::test]
async fn a_page_is_written_down_once_and_a_wave_waits_for_the_first_pass() {
    let (newsroom, _push) = Newsroom::with_push().await;
    let draft = newsroom.draft("خبر").await;
    publish_with_alert(&newsroom, draft.id, json!({})).await;
    newsroom.test.run_jobs().await;
    let app = &newsroom.test.app;
    let (connection, now) = (app.db.connection(), app.now());
    let alert = stored::latest_of_article(connection, draft.id).await.unwrap().unwrap();
    alert_shard::insert_all(connection, (alert.id, 1, 1), &[(0, (0, 1_000))]).await.unwrap();
    let term = (now, now + TimeDelta::seconds(25));
    let claim = async || alert_shard::claim(connection, now, term, &[]).await.unwrap();
    let first = claim().await.unwrap();
    alert_wave::insert(connection, &first, now - TimeDelta::minutes(1)).await.unwrap();
    assert_eq!(claim().await, None, "the first pass is held");

    for (is_first, cursor) in [(true, 500), (false, 500)] {
        let moved = alert_shard::advance(connection, &first, cursor, term).await.unwrap();
        assert_eq!(moved, is_first, "as when the answer to a commit was lost");
        assert!(alert_shard::stands_at(connection, &first, cursor).await.unwrap());
    }
    let first = Shard { cursor: 500, ..first };
    let extend = async || alert_shard::extend_lease(connection, &first, term).await.unwrap();
    assert_eq!(extend().await, Some(term.1));
    assert!(alert_shard::advance(connection, &first, 1_000, term).await.unwrap());
    assert_eq!(extend().await, None, "it is over");
    let wave = claim().await.unwrap();
    assert!(wave.due_at.is_some());
    for is_first in [true, false] {
        assert_eq!(alert_shard::miss(connection, &wave, 7, now).await.unwrap(), is_first);
    }
}

#[tokio::test]
async fn pages_that_wait_to_be_written_down_are_nobody_elses() {
    // Fewer connections than pages in hand.
    let settings = format!("database_connections = 4\n{LOOPBACK}");
    let newsroom = TestApp::start_with(&settings).await.found().await;
    let app = &newsroom.test.app;
    let key = newsroom.test.vapid_key().await;
    let mut services = Vec::new();
    for number in 0..6 {
        let push = PushService::start(&key, Arc::clone(&app.clock)).await;
        let reader = push.browser("reader");
        push.script(&reader, [Behaviour::Hold(201)]);
        let of = (&*format!("service {number}"), newsroom.arabic.id);
        opt_in_all(&newsroom, std::slice::from_ref(&reader), of).await;
        services.push((push, reader));
    }
    let id = alert(&newsroom, "خبر").await;
    let worker = newsroom.test.worker().await;
    let worker = tokio::spawn(async move { worker.run_until_idle().await });
    for (push, reader) in &services {
        push.until_held(reader).await;
    }
    let other = newsroom.test.another_instance_with(LOOPBACK).await;
    let shards = async || Shards::find().all(other.app.db.connection()).await.unwrap();
    let begun = shards().await;
    let held_until = begun.iter().filter_map(|shard| shard.leased_until).max().unwrap();
    // As a replay does that has many to bring back.
    let change = other.app.begin().await.unwrap();
    storage::alert_round::lock_round(change.transaction(), begun[0].alert_id).await.unwrap();
    services.iter().for_each(|(push, _)| push.release());
    newsroom.test.advance(TimeDelta::seconds(20));
    // On SQLite whoever writes keeps everybody from claiming, and from telling that they live.
    if app.db.is_postgres() {
        let later = held_until + TimeDelta::seconds(15);
        let kept = async || shards().await.iter().all(|shard| shard.leased_until > Some(later));
        for _ in 0..300 {
            if kept().await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(kept().await, "nobody says that they live");
        other.advance(TimeDelta::seconds(40));
        other.run_jobs().await;
    }
    drop(change);
    worker.await.unwrap().unwrap();
    assert_eq!(progress(&newsroom, &id).await, "DONE 6/0/0");
    for (push, reader) in &services {
        assert_eq!(push.titles(reader), ["خبر"]);
    }
    let open = shards().await.iter().filter(|shard| shard.leased_until.is_some()).count();
    assert_eq!(open, 0, "no correction would wait for them");
}

#[tokio::test]
async fn shards_are_forgotten_a_month_after_their_alert() {
    let (newsroom, push, reader, _) = with_reader(json!({})).await;
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    let app = &newsroom.test.app;
    let shards = async || {
        let touch = "UPDATE alert_shards SET fence = fence";
        app.db.connection().execute_unprepared(touch).await.unwrap().rows_affected()
    };
    for (days, left) in [(27, 1), (2, 0)] {
        newsroom.test.advance(TimeDelta::days(days));
        let mut change = app.begin().await.unwrap();
        change.enqueue(Job::Purge);
        change.commit().await.unwrap();
        newsroom.test.run_jobs().await;
        assert_eq!(shards().await, left, "{days} days later");
    }
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    assert_eq!(push.titles(&reader), ["خبر"]);
}
