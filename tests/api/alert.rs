//! An alert: from the editor's click to the readers who asked for it, and to nobody else.

use chrono::TimeDelta;
use khabar::actions::create_article::create_article;
use khabar::domain::audience::{Manners, Topics};
use khabar::domain::push_subscription::{Endpoint, EndpointRules, PushKeys};
use khabar::domain::viewer::{Role, Viewer};
use khabar::storage::entities::alert_shard;
use khabar::storage::{self, Change};
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};
use serde_json::{Value, json};

use crate::support::fixtures::{article_id, category_id};
use crate::support::push_service::{Behaviour, Browser, PushService};
use crate::support::{Newsroom, operation};

const RULES: EndpointRules = EndpointRules { extra_hosts: Vec::new(), allow_loopback: true };

const ALERT: &str = "query($id: ID!) { alert(id: $id) { state accepted gone failed } }";

/// Publishes an article with an alert, as an editor does; the alert's global id.
pub async fn publish_with_alert(newsroom: &Newsroom, article: uuid::Uuid, alert: Value) -> String {
    let variables = json!({ "id": article_id(article), "input": { "alert": alert } });
    let answer = newsroom.test.as_role(Role::Editor, &operation("ArticlePublish"), variables).await;
    assert_eq!(answer.user_errors("articlePublish"), Vec::<String>::new());
    answer.text("/articlePublish/alert/id")
}

/// Publishes a new story of العراق with an alert.
pub async fn alert(newsroom: &Newsroom, headline: &str) -> String {
    let draft = newsroom.draft(headline).await;
    publish_with_alert(newsroom, draft.id, json!({})).await
}

/// How far an alert has come: `DONE accepted/gone/failed`.
pub async fn progress(newsroom: &Newsroom, id: &str) -> String {
    let answer = newsroom.test.as_role(Role::Editor, ALERT, json!({ "id": id })).await;
    let alert = answer.at("/alert");
    let state = alert["state"].as_str().unwrap();
    format!("{state} {}/{}/{}", alert["accepted"], alert["gone"], alert["failed"])
}

/// Opts so many browsers in at once, to everything of the Arabic edition.
pub async fn opt_in_many(newsroom: &Newsroom, push: &PushService, count: usize) -> Vec<Browser> {
    let new = || push.browser(&newsroom.test.app.clock.new_id().simple().to_string());
    let browsers: Vec<Browser> = (0..count).map(|_| new()).collect();
    if let Some(one) = browsers.first() {
        let service = parsed(one).group(&RULES);
        opt_in_all(newsroom, &browsers, (&service, newsroom.arabic.id)).await;
    }
    browsers
}

/// Opts browsers in to everything of an edition, as those of a push service with this name.
pub async fn opt_in_all(newsroom: &Newsroom, browsers: &[Browser], of: (&str, uuid::Uuid)) {
    let change = newsroom.test.app.begin().await.unwrap();
    for browser in browsers {
        insert(newsroom, &change, browser, of).await;
    }
    change.commit().await.unwrap();
}

async fn insert(
    newsroom: &Newsroom,
    change: &Change,
    browser: &Browser,
    (service, edition_id): (&str, uuid::Uuid),
) {
    let app = &newsroom.test.app;
    let topics = Topics { edition_id, ..Topics::default() };
    let (p256dh, auth) = browser.raw_keys();
    let at = storage::browser::Browser {
        endpoint: parsed(browser),
        service: service.to_owned(),
        keys: PushKeys { p256dh, auth },
        vapid_key_id: 1,
    };
    let (tx, kept) = (change.transaction(), (app.clock.new_secret(), app.now()));
    let choice = (&topics, &Manners::default());
    storage::push_subscription::insert(tx, &app.vault, &at, choice, kept).await.unwrap();
}

fn parsed(browser: &Browser) -> Endpoint {
    Endpoint::parse(&browser.endpoint, &RULES).unwrap()
}

/// Lets the next subscription have an id above this one.
pub async fn skip_ids(newsroom: &Newsroom, last: i64) {
    let db = &newsroom.test.app.db;
    let skip = if db.is_postgres() {
        format!("SELECT setval(pg_get_serial_sequence('push_subscriptions', 'id'), {last})")
    } else {
        format!("UPDATE sqlite_sequence SET seq = {last} WHERE name = 'push_subscriptions'")
    };
    db.connection().execute_unprepared(&skip).await.unwrap();
}

#[tokio::test]
async fn a_published_story_reaches_the_reader_sealed() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("reader");
    newsroom.test.opt_in(&browser, json!({})).await;
    let mut story = newsroom.story("رئيس الإقليم يستقبل وفداً دولياً في أربيل");
    story.text.subheadline = Some("بحث الجانبان آخر المستجدات".to_owned());
    let draft = create_article(&newsroom.test.app, &Viewer::System, story).await.unwrap();
    let id = publish_with_alert(&newsroom, draft.id, json!({})).await;
    assert_eq!(progress(&newsroom, &id).await, "QUEUED 0/0/0");
    assert!(push.received(&browser).is_empty(), "nothing is sent while the editor waits");

    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    let [message] = push.received(&browser).try_into().unwrap();
    let navigate = message.payload["notification"]["navigate"].as_str().unwrap();
    assert!(navigate.starts_with("https://news.example/alerts/"), "{navigate}");
    let opt_out = message.payload["notification"]["actions"][0]["navigate"].as_str().unwrap();
    assert!(opt_out.starts_with("https://news.example/alerts/opt-out/"), "{opt_out}");
    assert_eq!(
        message.payload["notification"],
        json!({
            "title": "رئيس الإقليم يستقبل وفداً دولياً في أربيل",
            "body": "بحث الجانبان آخر المستجدات",
            "navigate": navigate,
            "lang": "ar-IQ",
            "dir": "rtl",
            "tag": message.topic,
            "actions": [{ "action": "opt-out", "title": "إيقاف الإشعارات", "navigate": opt_out }],
        })
    );
    assert_eq!(message.payload["web_push"], 8030);
    assert_eq!((message.ttl, message.urgency.as_str()), (24 * 3_600, "normal"));
    assert!((1..=32).contains(&message.topic.len()));

    newsroom.test.run_jobs().await;
    assert_eq!(push.received(&browser).len(), 1, "and once only");
}

#[tokio::test]
async fn the_editor_chooses_words_and_urgency() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browser = push.browser("reader");
    newsroom.test.opt_in(&browser, json!({})).await;
    let draft = newsroom.draft("العنوان").await;
    let alert = json!({ "title": "عاجل", "body": "\"نص\"", "urgency": "HIGH" });
    publish_with_alert(&newsroom, draft.id, alert).await;
    newsroom.test.run_jobs().await;
    let [message] = push.received(&browser).try_into().unwrap();
    assert_eq!(message.payload["notification"]["title"], "عاجل");
    assert_eq!(message.payload["notification"]["body"], "\"نص\"");
    assert_eq!(message.urgency, "high");
}

#[tokio::test]
async fn only_those_who_asked_for_it_are_told() {
    let (newsroom, push) = Newsroom::with_push().await;
    let sport = newsroom.test.category(None, "رياضة", "Sport").await;
    let choices = [
        ("everything", json!({})),
        ("iraq", json!({ "categories": [category_id(newsroom.iraq.id)] })),
        ("world", json!({ "categories": [category_id(newsroom.world.id)] })),
        ("sport", json!({ "categories": [category_id(sport.id)] })),
        (
            "sport_and_world",
            json!({ "categories": [category_id(sport.id), category_id(newsroom.world.id)] }),
        ),
        ("breaking", json!({ "breakingOnly": true })),
        ("english", json!({ "locale": "en" })),
    ];
    let mut browsers = Vec::new();
    for (name, choice) in choices {
        let browser = push.browser(name);
        newsroom.test.opt_in(&browser, choice).await;
        browsers.push(browser);
    }
    let told = |times: usize| {
        let got = browsers.iter().filter(|browser| push.received(browser).len() == times);
        got.map(|browser| browser.name.as_str()).collect::<Vec<_>>()
    };

    alert(&newsroom, "من العراق").await;
    newsroom.test.run_jobs().await;
    assert_eq!(told(1), ["everything", "iraq", "world", "sport_and_world"]);

    let mut breaking = newsroom.story("عاجل من العالم");
    (breaking.breaking, breaking.category) = (true, newsroom.world.id);
    let draft = create_article(&newsroom.test.app, &Viewer::System, breaking).await.unwrap();
    let id = publish_with_alert(&newsroom, draft.id, json!({})).await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 4/0/0");
    assert_eq!(told(2), ["everything", "world", "sport_and_world"]);
    assert_eq!(told(1), ["iraq", "breaking"], "a category does not cover the one above it");
}

#[tokio::test]
async fn an_alert_without_readers_is_done() {
    let (newsroom, _push) = Newsroom::with_push().await;
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 0/0/0");
}

#[tokio::test]
async fn a_killed_worker_repeats_one_page_and_forgets_nobody() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browsers = opt_in_many(&newsroom, &push, 1_200).await;
    push.script(&browsers[700], [Behaviour::Hold(201)]);
    let id = alert(&newsroom, "خبر").await;
    let worker = newsroom.test.worker().await;
    let killed = tokio::spawn(async move { worker.run_until_idle().await });
    push.until_held(&browsers[700]).await;
    // Everything of the second page has been sent but one message; nothing of it is written down.
    while push.answered().len() < 1_000 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());

    newsroom.test.run_jobs().await;
    assert_eq!(push.answered().len(), 1_000, "the dead worker's lease still holds");
    newsroom.test.advance(TimeDelta::seconds(31));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1200/0/0");
    for (number, browser) in browsers.iter().enumerate() {
        let expected = if (500..1_000).contains(&number) && number != 700 { 2 } else { 1 };
        let messages = push.received(browser);
        assert_eq!(messages.len(), expected, "reader {number}");
        assert!(messages.iter().all(|m| m.payload["notification"]["tag"] == m.topic));
    }
}

#[tokio::test]
async fn a_worker_that_lost_its_shard_writes_nothing_down() {
    let (newsroom, push) = Newsroom::with_push().await;
    let browsers = opt_in_many(&newsroom, &push, 3).await;
    push.script(&browsers[1], [Behaviour::Hold(410)]);
    let id = alert(&newsroom, "خبر").await;
    let stale = newsroom.test.worker().await;
    let stale = tokio::spawn(async move { stale.run_until_idle().await });
    push.until_held(&browsers[1]).await;
    // On a machine that is busy the stale worker may just have given a sign of life.
    for _ in 0..3 {
        newsroom.test.advance(TimeDelta::seconds(31));
        newsroom.test.run_jobs().await;
        if progress(&newsroom, &id).await == "DONE 3/0/0" {
            break;
        }
    }
    assert_eq!(progress(&newsroom, &id).await, "DONE 3/0/0");

    push.release();
    stale.await.unwrap().unwrap();
    assert_eq!(progress(&newsroom, &id).await, "DONE 3/0/0");
    let app = &newsroom.test.app;
    let left = storage::audience::by_ids(app.db.connection(), &app.vault, &[1, 2, 3]);
    assert_eq!(left.await.unwrap().candidates.len(), 3, "the stale 410 deletes nobody");
}

#[tokio::test]
async fn workers_share_the_shards_and_tell_everybody_once() {
    let (newsroom, push) = Newsroom::with_push().await;
    let mut browsers = opt_in_many(&newsroom, &push, 20).await;
    for last in [10_000, 20_000, 190_000] {
        skip_ids(&newsroom, last).await;
        browsers.extend(opt_in_many(&newsroom, &push, 20).await);
    }
    let id = alert(&newsroom, "خبر").await;
    let mut workers = Vec::new();
    for _ in 0..4 {
        let worker = newsroom.test.worker().await;
        workers.push(tokio::spawn(async move { worker.run_until_idle().await }));
    }
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    // A worker that looked before the alert was planned went home early; its share is still there.
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 80/0/0");
    assert!(browsers.iter().all(|browser| push.received(browser).len() == 1));
}

#[tokio::test]
async fn shards_that_reach_nobody_and_end_together_still_close_the_alert() {
    let (newsroom, push) = Newsroom::with_push().await;
    skip_ids_from_uninterested(&newsroom, &push).await;
    for round in 0..5 {
        let id = alert(&newsroom, &format!("خبر {round}")).await;
        let planner = newsroom.test.run_jobs();
        let helpers = futures_util::future::join_all((0..3).map(|_| newsroom.test.run_jobs()));
        futures_util::future::join(planner, helpers).await;
        newsroom.test.run_jobs().await;
        assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0", "round {round}");
        assert_eq!(shards(&newsroom).await.len(), 101 * (round + 1));
    }
}

/// One reader far above a hundred shards whose readers the alert does not concern.
async fn skip_ids_from_uninterested(newsroom: &Newsroom, push: &PushService) {
    let breaking_only = json!({ "breakingOnly": true });
    for shard in 0..100 {
        newsroom.test.opt_in(&push.browser(&format!("of {shard}")), breaking_only.clone()).await;
        skip_ids(newsroom, (shard + 1) * 10_000).await;
    }
    newsroom.test.opt_in(&push.browser("last"), json!({})).await;
}

/// The shards of every alert so far: the push service's number, and the last id.
async fn shards(newsroom: &Newsroom) -> Vec<(i32, i64)> {
    let find = alert_shard::Entity::find()
        .order_by_asc(alert_shard::Column::AlertId)
        .order_by_asc(alert_shard::Column::Number);
    let found = find.all(newsroom.test.app.db.connection()).await.unwrap();
    found.into_iter().map(|shard| (shard.service_id, shard.last_id)).collect()
}

#[tokio::test]
async fn an_alert_is_divided_among_the_subscriptions_of_its_own_editions() {
    let (newsroom, push) = Newsroom::with_push().await;
    let english = storage::edition::by_locale(newsroom.test.app.db.connection(), "en");
    let english = english.await.unwrap().unwrap().id;
    let arabic = newsroom.arabic.id;
    let readers = [
        (1, "one", english),
        (10_000, "one", arabic),
        (10_001, "one", arabic),
        (10_002, "two", arabic),
        (35_000, "one", english),
        (70_001, "two", arabic),
        (90_000, "one", english),
    ];
    let mut browsers = Vec::new();
    for (id, service, edition_id) in readers {
        if id > 1 {
            skip_ids(&newsroom, id - 1).await;
        }
        let browser = push.browser(&id.to_string());
        opt_in_all(&newsroom, std::slice::from_ref(&browser), (service, edition_id)).await;
        browsers.push((browser, usize::from(edition_id == arabic)));
    }
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    let [one, two] = [1, 2];
    let of_arabic = [(one, 10_000), (one, 20_000), (two, 20_000), (two, 80_000)];
    assert_eq!(shards(&newsroom).await, of_arabic);
    assert!(browsers.iter().all(|(browser, told)| push.received(browser).len() == *told));

    let of = async |editions: &[uuid::Uuid]| {
        let connection = newsroom.test.app.db.connection();
        storage::id_ranges::of_editions(connection, editions, 10_000).await.unwrap()
    };
    assert_eq!(of(&[]).await, []);
    let of_english = [(one, (0, 10_000)), (one, (30_000, 40_000)), (one, (80_000, 90_000))];
    assert_eq!(of(&[english]).await, of_english);
    let both = of(&[english, arabic]).await;
    assert_eq!(both.len(), 6, "{both:?}");
}

#[tokio::test]
async fn a_publication_whose_alert_is_refused_does_not_happen() {
    let (newsroom, _push) = Newsroom::with_push().await;
    let draft = newsroom.draft("خبر").await;
    let input = json!({ "alert": { "title": " ", "body": "ن".repeat(501) } });
    let variables = json!({ "id": article_id(draft.id), "input": input });
    let answer = newsroom.test.as_role(Role::Editor, &operation("ArticlePublish"), variables).await;
    let faults = ["alert.title: BLANK", "alert.body: TOO_LONG"];
    assert_eq!(answer.user_errors("articlePublish"), faults);
    let state = "query($id: ID!) { article(id: $id) { state } }";
    let id = json!({ "id": article_id(draft.id) });
    let still = newsroom.test.as_role(Role::Editor, state, id).await;
    assert_eq!(still.at("/article/state"), "DRAFT");
}

#[tokio::test]
async fn readers_do_not_see_how_an_alert_goes() {
    let (newsroom, _push) = Newsroom::with_push().await;
    let id = alert(&newsroom, "خبر").await;
    let query = "query($id: ID!) { alert(id: $id) { title } }";
    let answer = newsroom.test.read(query, json!({ "id": id })).await;
    assert_eq!(answer.error_codes(), ["UNAUTHENTICATED"]);
    newsroom.test.run_jobs().await;
}
