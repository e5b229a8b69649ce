//! Whom an alert reaches, when, and whom it leaves alone: topics, editions, quiet hours, caps.

use chrono::TimeDelta;
use khabar::actions::create_article::{self, create_article};
use khabar::domain::job::Job;
use khabar::domain::viewer::{Role, Viewer};
use khabar::storage;
use khabar::storage::audience::Size;
use khabar::storage::entities::push_subscription::{ActiveModel as Row, Entity as Rows};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set};
use serde_json::{Value, json};

use crate::alert::{alert, progress, publish_with_alert};
use crate::support::fixtures::{article_id, category_id};
use crate::support::push_service::{Behaviour, Browser, PushService};
use crate::support::{Newsroom, operation};

const AUDIENCE: &str =
    "query($input: AlertAudienceInput!) { alertAudience(input: $input) { count isEstimate } }";

/// Publishes a story with an alert; `change` makes it another story than that of العراق.
async fn alert_of(
    newsroom: &Newsroom,
    headline: &str,
    change: impl FnOnce(create_article::Input) -> create_article::Input,
) -> String {
    let story = change(newsroom.story(headline));
    let draft = create_article(&newsroom.test.app, &Viewer::System, story).await.unwrap();
    publish_with_alert(newsroom, draft.id, json!({})).await
}

async fn reader(newsroom: &Newsroom, push: &PushService, choices: Value) -> Browser {
    let browser = push.browser(&newsroom.test.app.clock.new_id().simple().to_string());
    newsroom.test.opt_in(&browser, choices).await;
    browser
}

fn heard(push: &PushService, browser: &Browser) -> Vec<String> {
    let mut heard = push.titles(browser);
    // Two alerts at once come in any order.
    heard.sort();
    heard
}

async fn tag_id(newsroom: &Newsroom, article: uuid::Uuid) -> Value {
    let document = "query($id: ID!) { article(id: $id) { tags { id } } }";
    let answer = newsroom.test.read(document, json!({ "id": article_id(article) })).await;
    answer.at("/article/tags/0/id")
}

#[tokio::test]
async fn topics_are_categories_with_all_below_them_tags_and_breaking_news() {
    let (newsroom, push) = Newsroom::with_push().await;
    let sport = newsroom.test.category(None, "رياضة", "Sport").await;
    let tagged = newsroom.published("قديم").await;
    let tag = tag_id(&newsroom, tagged.id).await;
    let world = category_id(newsroom.world.id);
    let all = reader(&newsroom, &push, json!({})).await;
    let above = reader(&newsroom, &push, json!({ "categories": [world] })).await;
    let sports = category_id(sport.id);
    let elsewhere = reader(&newsroom, &push, json!({ "categories": [sports] })).await;
    let by_tag = reader(&newsroom, &push, json!({ "categories": [sports], "tags": [tag] })).await;
    let breaking = reader(&newsroom, &push, json!({ "breakingOnly": true })).await;
    let english = reader(&newsroom, &push, json!({ "locale": "en" })).await;

    alert_of(&newsroom, "عادي", |story| story).await;
    alert_of(&newsroom, "عاجل", |story| create_article::Input {
        breaking: true,
        tags: Vec::new(),
        ..story
    })
    .await;
    newsroom.test.run_jobs().await;
    assert_eq!(heard(&push, &all), ["عاجل", "عادي"]);
    assert_eq!(heard(&push, &above), ["عاجل", "عادي"]);
    assert_eq!(heard(&push, &elsewhere), Vec::<String>::new());
    assert_eq!(heard(&push, &by_tag), ["عادي"]);
    assert_eq!(heard(&push, &breaking), ["عاجل"]);
    assert_eq!(heard(&push, &english), Vec::<String>::new());
}

#[tokio::test]
async fn readers_of_further_editions_are_told_in_their_own_words() {
    let (newsroom, push) = Newsroom::with_push().await;
    let arabic = reader(&newsroom, &push, json!({})).await;
    let english = reader(&newsroom, &push, json!({ "locale": "en" })).await;
    let draft = newsroom.draft("خبر").await;
    let words = json!({ "translations": [{ "locale": "en", "title": "News" }] });
    let id = publish_with_alert(&newsroom, draft.id, words).await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 2/0/0");
    assert_eq!(heard(&push, &arabic), ["خبر"]);
    assert_eq!(heard(&push, &english), ["News"]);
    let message = push.received(&english).remove(0).payload;
    assert_eq!(
        (&message["notification"]["lang"], &message["notification"]["dir"]),
        (&json!("en"), &json!("ltr"))
    );
}

#[tokio::test]
async fn the_night_is_quiet_until_the_morning_and_breaking_news_may_pass() {
    let (newsroom, push) = Newsroom::with_push().await;
    // It is 07:39 in Baghdad; these readers sleep until 09:00.
    let quiet = json!({ "from": "22:00", "until": "09:00", "timeZone": "Asia/Baghdad" });
    let asleep = reader(&newsroom, &push, json!({ "quietHours": quiet })).await;
    let choices = json!({ "quietHours": quiet, "breakingAlways": true });
    let on_call = reader(&newsroom, &push, choices).await;
    let awake = reader(&newsroom, &push, json!({})).await;
    let id = alert_of(&newsroom, "عادي", |story| story).await;
    alert_of(&newsroom, "عاجل", |story| create_article::Input { breaking: true, ..story }).await;
    newsroom.test.run_jobs().await;
    assert_eq!(heard(&push, &awake), ["عاجل", "عادي"]);
    assert_eq!(heard(&push, &on_call), ["عاجل"]);
    assert_eq!(heard(&push, &asleep), Vec::<String>::new());
    assert_eq!(progress(&newsroom, &id).await, "SENDING 1/0/0");

    newsroom.test.advance(TimeDelta::minutes(82));
    newsroom.test.run_jobs().await;
    assert_eq!(heard(&push, &asleep), ["عاجل", "عادي"]);
    assert_eq!(progress(&newsroom, &id).await, "DONE 3/0/0");
    assert_eq!(heard(&push, &awake).len(), 2, "and nobody twice");
}

#[tokio::test]
async fn nobody_hears_more_a_day_than_was_asked_for() {
    let (newsroom, push) = Newsroom::with_push().await;
    let modest = reader(&newsroom, &push, json!({ "maxPerDay": 2 })).await;
    let eager = reader(&newsroom, &push, json!({})).await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(alert(&newsroom, &format!("خبر {number}")).await);
        newsroom.test.run_jobs().await;
        newsroom.test.advance(TimeDelta::hours(1));
    }
    assert_eq!(heard(&push, &modest), ["خبر 0", "خبر 1"]);
    assert_eq!(heard(&push, &eager).len(), 4);
    let suppressed = "query($id: ID!) { alert(id: $id) { suppressed } }";
    let last = json!({ "id": ids[3] });
    let last = newsroom.test.as_role(Role::Editor, suppressed, last).await;
    assert_eq!(last.at("/alert/suppressed"), 1);
    newsroom.test.advance(TimeDelta::hours(21));
    alert(&newsroom, "غداً").await;
    newsroom.test.run_jobs().await;
    assert_eq!(heard(&push, &modest), ["خبر 0", "خبر 1", "غداً"]);
}

#[tokio::test]
async fn an_audience_is_counted_before_anything_is_sent() {
    let (newsroom, push) = Newsroom::with_push().await;
    reader(&newsroom, &push, json!({})).await;
    reader(&newsroom, &push, json!({ "breakingOnly": true })).await;
    reader(&newsroom, &push, json!({ "locale": "en" })).await;
    let draft = newsroom.draft("خبر").await;
    let document =
        "query($input: AlertAudienceInput!) { alertAudience(input: $input) { count isEstimate } }";
    for (choice, count) in
        [(json!({}), 1), (json!({ "breaking": true }), 2), (json!({ "locales": ["en"] }), 2)]
    {
        let mut input = json!({ "article": article_id(draft.id) });
        input.as_object_mut().unwrap().extend(choice.as_object().unwrap().clone());
        let variables = json!({ "input": input });
        let answer = newsroom.test.as_role(Role::Editor, document, variables).await;
        let expected = json!({ "count": count, "isEstimate": false });
        assert_eq!(answer.at("/alertAudience"), expected, "{choice}");
    }
}

#[tokio::test]
async fn an_alert_says_how_many_it_concerns_whatever_becomes_of_its_workers() {
    let (newsroom, push) = Newsroom::with_push().await;
    let readers =
        [reader(&newsroom, &push, json!({})).await, reader(&newsroom, &push, json!({})).await];
    reader(&newsroom, &push, json!({ "locale": "en" })).await;
    let draft = newsroom.draft("خبر").await;
    let id = publish_with_alert(&newsroom, draft.id, json!({})).await;
    let app = &newsroom.test.app;
    let kept = async || {
        let kept = storage::alert::latest_of_article(app.db.connection(), draft.id).await;
        kept.unwrap().unwrap()
    };
    assert_eq!(kept().await.audience, 0);
    newsroom.test.run_jobs().await;
    assert_eq!(kept().await.audience, 2);

    // As a worker leaves it that is killed once the shards are there: unreckoned, the job not done.
    let first = (kept().await.id, 1);
    let mut change = app.begin().await.unwrap();
    let unreckoned = Size { count: 0, exact: true };
    storage::audience::note_size(change.transaction(), first, unreckoned).await.unwrap();
    change.enqueue(Job::PlanAlert { alert_id: first.0 });
    change.commit().await.unwrap();
    assert_eq!(kept().await.audience, 0);
    newsroom.test.run_jobs().await;
    assert_eq!(kept().await.audience, 2);
    assert!(readers.iter().all(|reader| heard(&push, reader) == ["خبر"]), "nobody is told again");

    reader(&newsroom, &push, json!({})).await;
    let correction = json!({ "id": id, "input": { "title": "تصحيح" } });
    newsroom.test.as_role(Role::Editor, &operation("AlertUpdate"), correction).await.data();
    // Of a worker that was still reckoning the first round.
    storage::audience::note_size(app.db.connection(), first, unreckoned).await.unwrap();
    assert_eq!(kept().await.audience, 2);
    newsroom.test.run_jobs().await;
    assert_eq!(kept().await.audience, 3);
}

#[tokio::test]
async fn a_reader_chooses_anew_and_moves_to_another_address() {
    let (newsroom, push) = Newsroom::with_push().await;
    let before = push.browser("before");
    let iraq = category_id(newsroom.iraq.id);
    let choices = json!({ "categories": [iraq], "maxPerDay": 5 });
    let token = newsroom.test.opt_in(&before, choices).await;
    let after = push.browser("after");
    let change = json!({ "token": token, "input": {
        "browser": { "endpoint": after.endpoint, "keys": after.keys() }, "maxPerDay": null } });
    let changed = newsroom.test.read(&operation("PushSubscriptionUpdate"), change).await;
    assert_eq!(
        changed.at("/pushSubscriptionUpdate/pushSubscription"),
        json!({ "categories": [{ "slug": "العراق" }], "breakingOnly": false, "maxPerDay": null })
    );
    alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(heard(&push, &before), Vec::<String>::new());
    assert_eq!(heard(&push, &after), ["خبر"]);
    let stranger = json!({ "token": "khp_unknown", "input": {} });
    let refused = newsroom.test.read(&operation("PushSubscriptionUpdate"), stranger).await;
    assert_eq!(refused.user_errors("pushSubscriptionUpdate"), ["token: TOKEN_NOT_FOUND"]);
}

#[tokio::test]
async fn an_edition_caps_the_alerts_of_its_readers() {
    let (newsroom, push) = Newsroom::with_push().await;
    let told = reader(&newsroom, &push, json!({})).await;
    let on_call = reader(&newsroom, &push, json!({ "breakingAlways": true })).await;
    let cap = "mutation($id: ID!) { editionUpdate(id: $id, input: { alertsPerDay: 1 }) { userErrors { code } } }";
    let edition = newsroom.test.read("{ edition(locale: \"ar-IQ\") { id } }", json!({})).await;
    let capped = json!({ "id": edition.text("/edition/id") });
    newsroom.test.as_role(Role::Admin, cap, capped).await.data();
    for (headline, breaking) in [("أول", false), ("ثان", false), ("عاجل", true)] {
        alert_of(&newsroom, headline, |story| create_article::Input { breaking, ..story }).await;
        newsroom.test.run_jobs().await;
        newsroom.test.advance(TimeDelta::hours(1));
    }
    assert_eq!(heard(&push, &told), ["أول"]);
    assert_eq!(heard(&push, &on_call), ["أول", "عاجل"]);
}

/// A reader's twins at so many ids from each of these on.
async fn twins(newsroom: &Newsroom, places: impl Iterator<Item = (i64, u32)>) {
    let connection = newsroom.test.app.db.connection();
    let one = Rows::find().one(connection).await.unwrap().unwrap();
    let twin = |id: i64| Row {
        id: Set(id),
        endpoint_hash: Set(id.to_be_bytes().to_vec()),
        token_hash: Set(id.to_be_bytes().to_vec()),
        ..one.clone().into_active_model().reset_all()
    };
    let ids = places.flat_map(|(first, count)| (first..).take(count as usize));
    for ids in ids.collect::<Vec<_>>().chunks(500) {
        let rows = ids.iter().map(|id| twin(*id));
        Rows::insert_many(rows).exec_without_returning(connection).await.unwrap();
    }
}

#[tokio::test]
async fn an_audience_that_lies_unevenly_in_many_places_is_estimated() {
    let (newsroom, push) = Newsroom::with_push().await;
    reader(&newsroom, &push, json!({})).await;
    // One in each of 2,500 ranges of ids, and nine more in each seventh: more places than are looked at.
    let count = |place: i64| if place % 7 == 0 { 10 } else { 1 };
    twins(&newsroom, (1..=2_500).map(|place| (place * 1_000 + 1, count(place)))).await;
    let expected = 1 + (1..=2_500).map(count).sum::<u32>() as u64;
    let draft = newsroom.draft("خبر").await;
    let variables = json!({ "input": { "article": article_id(draft.id) } });
    let answer = newsroom.test.as_role(Role::Editor, AUDIENCE, variables).await;
    assert_eq!(answer.at("/alertAudience/isEstimate"), true);
    let found = answer.at("/alertAudience/count").as_u64().unwrap();
    assert!(found.abs_diff(expected) < expected / 3, "{found} of {expected}");
}

#[tokio::test]
async fn a_large_audience_is_estimated_and_said_to_be() {
    let (newsroom, push) = Newsroom::with_push().await;
    // Ten of every thousand ids.
    for thousand in 0..200 {
        crate::alert::skip_ids(&newsroom, thousand * 1_000 + 500).await;
        crate::alert::opt_in_many(&newsroom, &push, 10).await;
    }
    let draft = newsroom.draft("خبر").await;
    let variables = json!({ "input": { "article": article_id(draft.id) } });
    let answer = newsroom.test.as_role(Role::Editor, AUDIENCE, variables).await;
    assert_eq!(answer.at("/alertAudience/isEstimate"), true);
    let count = answer.at("/alertAudience/count").as_u64().unwrap();
    assert!((1_800..=2_200).contains(&count), "{count} of 2,000");
}

#[tokio::test]
async fn the_few_readers_of_an_edition_are_counted_wherever_they_are() {
    let (newsroom, push) = Newsroom::with_push().await;
    for million in [1, 2, 3] {
        crate::alert::skip_ids(&newsroom, million * 1_000_000).await;
        reader(&newsroom, &push, json!({})).await;
        crate::alert::skip_ids(&newsroom, million * 1_000_000 + 500_500).await;
        reader(&newsroom, &push, json!({ "locale": "en" })).await;
    }
    reader(&newsroom, &push, json!({ "locale": "en", "breakingOnly": true })).await;
    let draft = newsroom.draft("خبر").await;
    let audience = async |input: Value| {
        let mut input = input;
        input["article"] = json!(article_id(draft.id));
        newsroom.test.as_role(Role::Editor, AUDIENCE, json!({ "input": input })).await
    };
    let unknown = audience(json!({ "locales": ["en", "xx"] })).await;
    assert_eq!(unknown.error_codes(), ["EDITION_NOT_FOUND"]);
    let audience = async |input: Value| audience(input).await.at("/alertAudience");
    let exactly = |count: u64| json!({ "count": count, "isEstimate": false });
    assert_eq!(audience(json!({})).await, exactly(3));
    assert_eq!(audience(json!({ "locales": ["en"] })).await, exactly(6));
    assert_eq!(audience(json!({ "locales": ["en"], "breaking": true })).await, exactly(7));
}

#[tokio::test]
async fn a_preview_shows_what_each_edition_would_read_and_keeps_nothing() {
    let (newsroom, push) = Newsroom::with_push().await;
    let told = reader(&newsroom, &push, json!({})).await;
    reader(&newsroom, &push, json!({ "locale": "en" })).await;
    let article = newsroom.published("خبر").await;
    let document = "mutation($article: ID!, $input: AlertInput!) {
        alertPreview(article: $article, input: $input) {
            preview { audience { count isEstimate } urgency scheduledAt messages { locale title body bytes } }
            userErrors { field code } } }";
    let preview_of = async |article, input| {
        let variables = json!({ "article": article_id(article), "input": input });
        newsroom.test.as_role(Role::Editor, document, variables).await
    };
    let preview = async |input| preview_of(article.id, input).await;
    let words = json!({ "body": "نص ".repeat(160), "urgency": "HIGH",
        "translations": [{ "locale": "en", "title": "News", "body": "Text" }] });
    let shown = preview(words).await;
    let shown = shown.at("/alertPreview/preview");
    assert_eq!(shown["audience"], json!({ "count": 2, "isEstimate": false }));
    assert_eq!((&shown["urgency"], &shown["scheduledAt"]), (&json!("HIGH"), &json!(null)));
    let read = |number: usize, name: &str| shown["messages"][number][name].clone();
    assert_eq!((read(0, "locale"), read(0, "title")), (json!("ar-IQ"), json!("خبر")));
    assert_eq!((read(1, "locale"), read(1, "title")), (json!("en"), json!("News")));
    assert!(read(0, "bytes").as_u64().unwrap() > read(1, "bytes").as_u64().unwrap());
    let draft = newsroom.draft("مسودة").await;
    let shown = preview_of(draft.id, json!({})).await;
    assert_eq!(shown.text("/alertPreview/preview/messages/0/title"), "مسودة");
    let faulty = preview(json!({ "title": " " })).await;
    assert_eq!(faulty.user_errors("alertPreview"), ["title: BLANK"]);
    newsroom.test.run_jobs().await;
    assert!(heard(&push, &told).is_empty());
    let alerts =
        newsroom.test.as_role(Role::Editor, "{ alerts { nodes { id } } }", json!({})).await;
    assert_eq!(alerts.at("/alerts/nodes"), json!([]));
}

#[tokio::test]
async fn an_editor_sees_how_an_alert_comes_along() {
    let (newsroom, push) = Newsroom::with_push().await;
    let one = reader(&newsroom, &push, json!({})).await;
    push.script(&one, [Behaviour::Hold(201)]);
    let id = alert(&newsroom, "خبر").await;
    let watch = "subscription($id: ID!) { alertProgressed(id: $id) { state accepted } }";
    let viewer = crate::support::staff(Role::Editor);
    let mut watching = newsroom.test.subscribe_as(viewer, watch, json!({ "id": id }));
    assert_eq!(watching.next().await.at("/alertProgressed/state"), "QUEUED");
    let worker = newsroom.test.worker().await;
    let worker = tokio::spawn(async move { worker.run_until_idle().await.unwrap() });
    assert_eq!(watching.next().await.at("/alertProgressed/state"), "SENDING");
    push.release();
    let last = watching.next().await;
    assert_eq!(last.at("/alertProgressed"), json!({ "state": "DONE", "accepted": 1 }));
    assert!(watching.ended().await, "it is over");
    worker.await.unwrap();
    let mut reader = newsroom.test.subscribe(watch, json!({ "id": id }));
    assert_eq!(reader.next().await.error_codes(), ["UNAUTHENTICATED"]);
}
