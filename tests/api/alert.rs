//! From opting in to the notification.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::fixtures::{article_id, category_id};
use crate::support::push_service::{Behaviour, PushService};
use crate::support::{Newsroom, TestApp, operation};
use khabar::domain::viewer::Role;

/// A newsroom and a push service that trusts its key.
async fn newsroom_with_readers() -> (Newsroom, PushService) {
    let newsroom = TestApp::start_with("[push]\nallow_loopback = true").await.found().await;
    let key = newsroom.test.read(&operation("WebPushKey"), json!({})).await.text("/webPushKey");
    (newsroom, PushService::start(&key).await)
}

async fn opt_in(newsroom: &Newsroom, subscription: &Value, choice: Value) -> String {
    let mut input = subscription.clone();
    input["locale"] = "ar-IQ".into();
    for (name, value) in choice.as_object().unwrap() {
        input[name] = value.clone();
    }
    let answer =
        newsroom.test.read(&operation("PushSubscriptionCreate"), json!({ "input": input })).await;
    answer.text("/pushSubscriptionCreate/token")
}

/// Publishes with an alert and answers the alert's id.
async fn publish(newsroom: &Newsroom, headline: &str, alert: Value) -> String {
    let draft = newsroom.draft(headline).await;
    let variables = json!({ "id": article_id(draft.id), "input": { "alert": alert } });
    let answer = newsroom.test.as_role(Role::Editor, &operation("ArticlePublish"), variables).await;
    answer.text("/articlePublish/alert/id")
}

async fn alert(newsroom: &Newsroom, id: &str) -> Value {
    let document = "query($id: ID!) { alert(id: $id) { state accepted gone failed } }";
    newsroom.test.as_role(Role::Editor, document, json!({ "id": id })).await.at("/alert")
}

#[tokio::test]
async fn a_reader_who_opted_in_is_told() {
    let (newsroom, service) = newsroom_with_readers().await;
    opt_in(&newsroom, &service.subscribe("a"), json!({})).await;
    let id = publish(&newsroom, "خبر عاجل من أربيل", json!({})).await;
    newsroom.test.run_jobs().await;

    let received = service.received("a");
    assert_eq!(received.len(), 1);
    let notification = &received[0].message["notification"];
    assert_eq!(notification["title"], "خبر عاجل من أربيل");
    assert_eq!(notification["body"], "الفقرة الأولى. الفقرة الثانية.");
    assert_eq!(
        (notification["lang"].as_str(), notification["dir"].as_str()),
        (Some("ar-IQ"), Some("rtl"))
    );
    assert!(notification["navigate"].as_str().unwrap().starts_with("https://news.example/ar-IQ/"));
    assert_eq!(received[0].message["web_push"], 8030);
    let header = |name: &str| received[0].headers[name].to_str().unwrap();
    assert_eq!((header("ttl"), header("urgency")), ("86400", "normal"));
    assert_eq!(header("topic"), notification["tag"].as_str().unwrap());
    let expected = json!({ "state": "DONE", "accepted": 1, "gone": 0, "failed": 0 });
    assert_eq!(alert(&newsroom, &id).await, expected);
    let reader = newsroom
        .test
        .read("query($id: ID!) { alert(id: $id) { title } }", json!({ "id": id }))
        .await;
    assert_eq!(reader.error_codes(), ["UNAUTHENTICATED"]);
}

#[tokio::test]
async fn nobody_is_told_of_what_they_did_not_choose() {
    let (newsroom, service) = newsroom_with_readers().await;
    let sport = newsroom.test.category(None, "رياضة", "Sport").await;
    for (name, choice) in [
        ("everything", json!({})),
        ("the category", json!({ "categories": [category_id(newsroom.iraq.id)] })),
        (
            "one above it",
            json!({ "categories": [category_id(newsroom.world.id), category_id(sport.id)] }),
        ),
        ("another", json!({ "categories": [category_id(sport.id)] })),
        ("breaking news", json!({ "breakingOnly": true })),
        ("another edition", json!({ "locale": "en" })),
    ] {
        opt_in(&newsroom, &service.subscribe(name), choice).await;
    }
    publish(&newsroom, "خبر", json!({ "title": "عنوان", "body": "نص", "urgency": "LOW" })).await;
    newsroom.test.run_jobs().await;
    let told = |name: &str| service.received(name).len();
    assert_eq!(["everything", "the category", "one above it"].map(told), [1, 1, 1]);
    assert_eq!(["another", "breaking news", "another edition"].map(told), [0, 0, 0]);
    assert_eq!(service.received("everything")[0].message["notification"]["title"], "عنوان");

    let draft = newsroom.draft("عاجل").await;
    let breaking = json!({ "id": article_id(draft.id), "input": { "breaking": true } });
    newsroom.test.as_role(Role::Editor, &operation("ArticleUpdate"), breaking).await.data();
    let input = json!({ "id": article_id(draft.id), "input": { "alert": {} } });
    newsroom.test.as_role(Role::Editor, &operation("ArticlePublish"), input).await.data();
    newsroom.test.run_jobs().await;
    assert_eq!(service.received("breaking news")[0].headers["urgency"], "high");
}

#[tokio::test]
async fn the_same_endpoint_again_updates_and_the_old_token_is_worth_nothing() {
    let (newsroom, service) = newsroom_with_readers().await;
    let browser = service.subscribe("a");
    let first = opt_in(&newsroom, &browser, json!({ "breakingOnly": true })).await;
    let second = opt_in(&newsroom, &browser, json!({})).await;
    assert_ne!(first, second);
    let delete = async |token: &str| {
        let answer = newsroom
            .test
            .read(&operation("PushSubscriptionDelete"), json!({ "token": token }))
            .await;
        assert_eq!(answer.at("/pushSubscriptionDelete/deleted"), true);
    };
    delete(&first).await;
    publish(&newsroom, "خبر", json!({})).await;
    newsroom.test.run_jobs().await;
    assert_eq!(service.received("a").len(), 1, "once, and still there");
    delete(&second).await;
    publish(&newsroom, "آخر", json!({})).await;
    newsroom.test.run_jobs().await;
    assert_eq!(service.received("a").len(), 1, "opted out");
}

#[tokio::test]
async fn an_endpoint_cannot_be_taken_over_or_probed_for() {
    let (newsroom, service) = newsroom_with_readers().await;
    let browser = service.subscribe("a");
    let token = opt_in(&newsroom, &browser, json!({})).await;
    let mut thief = service.subscribe("thief");
    thief["endpoint"] = browser["endpoint"].clone();
    let worthless = opt_in(&newsroom, &thief, json!({ "breakingOnly": true })).await;
    assert_eq!(worthless.len(), token.len(), "the answer looks the same");
    newsroom
        .test
        .read(&operation("PushSubscriptionDelete"), json!({ "token": worthless }))
        .await
        .data();
    publish(&newsroom, "خبر", json!({})).await;
    newsroom.test.run_jobs().await;
    assert_eq!(service.received("a").len(), 1, "sealed for the browser that subscribed first");

    // With the token the browser may come with new keys.
    let mut renewed = service.subscribe("a");
    renewed["endpoint"] = browser["endpoint"].clone();
    opt_in(&newsroom, &renewed, json!({ "token": token })).await;
    publish(&newsroom, "جديد", json!({})).await;
    newsroom.test.run_jobs().await;
    assert_eq!(service.received("a").len(), 1, "sealed for the new keys");
}

#[tokio::test]
async fn broken_subscriptions_are_refused_with_every_fault() {
    let newsroom = TestApp::with_newsroom().await;
    let input = json!({ "input": {
        "endpoint": "https://169.254.169.254/a.google.com/",
        "keys": { "p256dh": "AAAA", "auth": "" },
        "locale": "de",
    } });
    let answer = newsroom.test.read(&operation("PushSubscriptionCreate"), input.clone()).await;
    let faults = ["endpoint: INVALID", "keys.p256dh: INVALID", "keys.auth: INVALID"];
    assert_eq!(answer.user_errors("pushSubscriptionCreate"), faults);
    let mut good = input;
    good["input"]["endpoint"] = "https://fcm.googleapis.com/fcm/send/x".into();
    good["input"]["keys"] = json!({
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    });
    good["input"]["categories"] = json!(["nonsense"]);
    let answer = newsroom.test.read(&operation("PushSubscriptionCreate"), good).await;
    let faults = ["locale: EDITION_NOT_FOUND", "categories: CATEGORY_NOT_FOUND"];
    assert_eq!(answer.user_errors("pushSubscriptionCreate"), faults);
}

#[tokio::test]
async fn gone_browsers_are_forgotten_and_nobody_else() {
    let (newsroom, service) = newsroom_with_readers().await;
    for name in ["here", "gone", "unknown", "busy", "broken", "ours"] {
        opt_in(&newsroom, &service.subscribe(name), json!({})).await;
    }
    service.behave("gone", &[Behaviour::Answer(410, None)]);
    service.behave("unknown", &[Behaviour::Answer(404, None)]);
    service.behave("busy", &[Behaviour::Answer(429, Some("120"))]);
    service.behave("broken", &[Behaviour::Answer(500, None)]);
    let id = publish(&newsroom, "خبر", json!({})).await;
    newsroom.test.run_jobs().await;
    let so_far = json!({ "state": "SENDING", "accepted": 2, "gone": 2, "failed": 0 });
    assert_eq!(alert(&newsroom, &id).await, so_far);

    newsroom.test.advance(TimeDelta::seconds(15));
    newsroom.test.run_jobs().await;
    assert_eq!(
        (service.received("broken").len(), service.requests("busy")),
        (1, 1),
        "the wait is respected"
    );
    newsroom.test.advance(TimeDelta::seconds(120));
    newsroom.test.run_jobs().await;
    let done = json!({ "state": "DONE", "accepted": 4, "gone": 2, "failed": 0 });
    assert_eq!(alert(&newsroom, &id).await, done);

    publish(&newsroom, "آخر", json!({})).await;
    newsroom.test.run_jobs().await;
    assert_eq!((service.requests("gone"), service.requests("unknown")), (1, 1), "forgotten");
    assert_eq!((service.received("busy").len(), service.received("broken").len()), (2, 2), "kept");
}

#[tokio::test]
async fn a_fault_of_ours_prunes_nobody() {
    let (newsroom, service) = newsroom_with_readers().await;
    opt_in(&newsroom, &service.subscribe("a"), json!({})).await;
    service.behave("a", &[Behaviour::Answer(403, None)]);
    let id = publish(&newsroom, "خبر", json!({})).await;
    newsroom.test.run_jobs().await;
    newsroom.test.advance(TimeDelta::minutes(2));
    newsroom.test.run_jobs().await;
    assert_eq!(service.received("a").len(), 1);
    assert_eq!(alert(&newsroom, &id).await["state"], "DONE");
}

#[tokio::test]
async fn too_large_is_tried_once_more_and_shorter() {
    let (newsroom, service) = newsroom_with_readers().await;
    opt_in(&newsroom, &service.subscribe("small"), json!({})).await;
    opt_in(&newsroom, &service.subscribe("never"), json!({})).await;
    service.behave("small", &[Behaviour::AtMost(2_000), Behaviour::AtMost(2_000)]);
    service.behave("never", &[Behaviour::Answer(413, None), Behaviour::Answer(413, None)]);
    let id =
        publish(&newsroom, "خبر", json!({ "title": "ع".repeat(200), "body": "ن".repeat(500) }))
            .await;
    newsroom.test.run_jobs().await;
    assert_eq!((service.requests("small"), service.requests("never")), (1, 2));
    let done = json!({ "state": "DONE", "accepted": 1, "gone": 0, "failed": 1 });
    assert_eq!(alert(&newsroom, &id).await, done);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_given_up_when_it_stops_being_news() {
    let (newsroom, service) = newsroom_with_readers().await;
    opt_in(&newsroom, &service.subscribe("a"), json!({})).await;
    service.behave("a", &vec![Behaviour::Answer(500, None); 100]);
    let id = publish(&newsroom, "خبر", json!({})).await;
    for _ in 0..60 {
        newsroom.test.run_jobs().await;
        newsroom.test.advance(TimeDelta::minutes(30));
    }
    let done = json!({ "state": "DONE", "accepted": 0, "gone": 0, "failed": 1 });
    assert_eq!(alert(&newsroom, &id).await, done);
    assert!(service.requests("a") > 10, "{}", service.requests("a"));
}

#[tokio::test]
async fn a_worker_that_died_is_taken_over_and_cannot_write_any_more() {
    use khabar::storage::alert as shards;
    let (newsroom, service) = newsroom_with_readers().await;
    for number in 0..3 {
        opt_in(&newsroom, &service.subscribe(&format!("reader {number}")), json!({})).await;
    }
    let id = publish(&newsroom, "خبر", json!({})).await;
    let db = &newsroom.test.app.db;
    let connection = db.connection();
    // The alert is planned, and a worker claims its shard and dies.
    let app = &newsroom.test.app;
    let alert_id = khabar::graphql::ids::decode(&id.clone().into()).unwrap().1;
    assert!(shards::plan(connection, alert_id, &[(0, 3)]).await.unwrap());
    let lease = TimeDelta::seconds(30);
    let dead =
        shards::claim_shard(connection, app.now(), app.now() + lease).await.unwrap().unwrap();
    newsroom.test.run_jobs().await;
    assert_eq!(service.received("reader 0").len(), 0, "the lease is respected");

    newsroom.test.advance(lease + TimeDelta::seconds(1));
    let heir =
        shards::claim_shard(connection, app.now(), app.now() + lease).await.unwrap().unwrap();
    assert_eq!((heir.cursor, heir.fence), (0, dead.fence + 1));
    assert!(!shards::advance(connection, &dead, 3, app.now()).await.unwrap(), "the fence holds");
    assert!(!shards::extend_lease(connection, &dead, app.now()).await.unwrap());
    shards::release(connection, &heir).await.unwrap();
    newsroom.test.run_jobs().await;
    for number in 0..3 {
        assert_eq!(service.received(&format!("reader {number}")).len(), 1);
    }
    assert_eq!(alert(&newsroom, &id).await["state"], "DONE");
}

#[tokio::test]
async fn a_worker_that_dies_before_it_writes_a_page_down_repeats_that_page_alone() {
    let (newsroom, service) = newsroom_with_readers().await;
    opt_in(&newsroom, &service.subscribe("quick"), json!({})).await;
    opt_in(&newsroom, &service.subscribe("slow"), json!({})).await;
    service.behave("slow", &[Behaviour::Hang]);
    let id = publish(&newsroom, "خبر", json!({})).await;
    // Killed while the page is on its way: one message is out, nothing is written down.
    let worker = newsroom.test.worker();
    let killed =
        tokio::time::timeout(std::time::Duration::from_secs(2), worker.run_until_idle()).await;
    assert!(killed.is_err());
    assert_eq!(service.received("quick").len(), 1);

    newsroom.test.advance(TimeDelta::seconds(31));
    newsroom.test.run_jobs().await;
    assert_eq!((service.received("quick").len(), service.received("slow").len()), (2, 1));
    let done = json!({ "state": "DONE", "accepted": 2, "gone": 0, "failed": 0 });
    assert_eq!(alert(&newsroom, &id).await, done);
}

#[tokio::test]
async fn a_publication_that_is_refused_leaves_no_alert() {
    let (newsroom, _) = newsroom_with_readers().await;
    let draft = newsroom.draft("خبر").await;
    let input = json!({ "alert": { "title": " ", "body": "ن".repeat(501) } });
    let variables = json!({ "id": article_id(draft.id), "input": input });
    let answer = newsroom.test.as_role(Role::Editor, &operation("ArticlePublish"), variables).await;
    assert_eq!(
        answer.user_errors("articlePublish"),
        ["alert.title: BLANK", "alert.body: TOO_LONG"]
    );
    let state = "query($id: ID!) { article(id: $id) { state } }";
    let still =
        newsroom.test.as_role(Role::Editor, state, json!({ "id": article_id(draft.id) })).await;
    assert_eq!(still.at("/article/state"), "DRAFT", "nothing of it happened");
}

#[tokio::test]
async fn four_workers_share_an_alert_and_nobody_is_told_twice() {
    let (newsroom, service) = newsroom_with_readers().await;
    let names: Vec<String> = (0..40).map(|number| format!("reader {number}")).collect();
    for name in &names {
        opt_in(&newsroom, &service.subscribe(name), json!({})).await;
    }
    let id = publish(&newsroom, "خبر", json!({})).await;
    let alert_id = khabar::graphql::ids::decode(&id.clone().into()).unwrap().1;
    let shards: Vec<(i64, i64)> = (0..10).map(|number| (number * 4, number * 4 + 4)).collect();
    khabar::storage::alert::plan(newsroom.test.app.db.connection(), alert_id, &shards)
        .await
        .unwrap();
    let workers: Vec<_> = (0..4).map(|_| newsroom.test.worker()).collect();
    let done =
        futures_util::future::join_all(workers.iter().map(|worker| worker.run_until_idle())).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    for name in &names {
        assert_eq!(service.received(name).len(), 1, "{name}");
    }
    assert_eq!(alert(&newsroom, &id).await["accepted"], 40);
}
