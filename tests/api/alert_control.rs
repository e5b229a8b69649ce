//! What an editor does with an alert after it was decided: put off, correct, call back, try again.

use chrono::TimeDelta;
use khabar::actions::unpublish_article::unpublish_article;
use khabar::domain::viewer::{Role, Viewer};
use serde_json::{Value, json};

use crate::alert::{alert, progress, publish_with_alert};
use crate::support::fixtures::{article_id, category_id};
use crate::support::push_service::{Behaviour, Browser, PushService};
use crate::support::{Answer, Newsroom, operation};

async fn with_readers(count: usize) -> (Newsroom, PushService, Vec<Browser>) {
    let (newsroom, push) = Newsroom::with_push().await;
    let mut readers = Vec::new();
    for number in 0..count {
        let reader = push.browser(&format!("reader{number}"));
        newsroom.test.opt_in(&reader, json!({})).await;
        readers.push(reader);
    }
    (newsroom, push, readers)
}

/// What comes of an editor's mutation.
pub async fn edit(newsroom: &Newsroom, name: &str, variables: Value) -> Answer {
    newsroom.test.as_role(Role::Editor, &operation(name), variables).await
}

#[tokio::test]
async fn a_scheduled_alert_waits_for_its_time_and_can_be_put_off() {
    let (newsroom, push, readers) = with_readers(1).await;
    let article = newsroom.published("غداً").await;
    let create = |input: Value| json!({ "article": article_id(article.id), "input": input });
    for never in ["2024-11-23T04:00:00Z", "2025-11-25T05:00:00Z", "9999-01-01T00:00:00Z"] {
        let never = create(json!({ "scheduledAt": never }));
        let refused = edit(&newsroom, "AlertCreate", never).await;
        assert_eq!(refused.user_errors("alertCreate"), ["scheduledAt: INVALID"]);
    }
    let later = create(json!({ "scheduledAt": "2024-11-23T05:00:00Z" }));
    let created = edit(&newsroom, "AlertCreate", later.clone()).await;
    let twice = edit(&newsroom, "AlertCreate", later).await;
    let said = twice.text("/alertCreate/userErrors/0/message");
    assert!(said.contains("waits for 2024-11-23T05:00:00Z"), "{said}");
    assert_eq!(created.at("/alertCreate/alert/state"), "SCHEDULED");
    let id = created.text("/alertCreate/alert/id");
    let put_off = json!({ "id": id, "input": { "scheduledAt": "2024-11-23T06:00:00Z" } });
    assert_eq!(
        edit(&newsroom, "AlertUpdate", put_off).await.user_errors("alertUpdate"),
        Vec::<String>::new()
    );
    newsroom.test.advance(TimeDelta::minutes(30));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "SCHEDULED 0/0/0", "the first time is past");
    newsroom.test.advance(TimeDelta::minutes(60));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    assert_eq!(push.titles(&readers[0]), ["غداً"]);
}

#[tokio::test]
async fn a_scheduled_alert_can_be_sent_at_once() {
    let (newsroom, push, readers) = with_readers(1).await;
    let article = newsroom.published("غداً").await;
    let later = json!({ "scheduledAt": "2024-11-24T05:00:00Z" });
    let create = json!({ "article": article_id(article.id), "input": later });
    let created = edit(&newsroom, "AlertCreate", create).await;
    let id = created.text("/alertCreate/alert/id");
    let now = json!({ "id": id, "input": { "scheduledAt": null } });
    assert_eq!(edit(&newsroom, "AlertUpdate", now).await.user_errors("alertUpdate"), [""; 0]);
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    newsroom.test.advance(TimeDelta::days(2));
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&readers[0]), ["غداً"], "and not once more at its time");
}

#[tokio::test]
async fn a_story_is_alerted_once_unless_it_is_said_again() {
    let (newsroom, push, readers) = with_readers(1).await;
    let draft = newsroom.draft("خبر").await;
    publish_with_alert(&newsroom, draft.id, json!({})).await;
    let twice = json!({ "id": article_id(draft.id), "input": { "alert": {} } });
    let refused = edit(&newsroom, "ArticlePublish", twice).await;
    assert_eq!(refused.user_errors("articlePublish"), ["alert: ALERT_EXISTS"]);
    publish_with_alert(&newsroom, draft.id, json!({ "again": true, "title": "ثانية" })).await;
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&readers[0]).len(), 2);
}

#[tokio::test]
async fn a_correction_reaches_all_under_the_same_tag() {
    let (newsroom, push, readers) = with_readers(3).await;
    let id = alert(&newsroom, "خطأ").await;
    newsroom.test.run_jobs().await;
    let correct = json!({ "id": id, "input": { "title": "صواب" } });
    let corrected = edit(&newsroom, "AlertUpdate", correct).await;
    assert_eq!(corrected.at("/alertUpdate/alert/round"), 2);
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 6/0/0");
    for reader in &readers {
        assert_eq!(push.titles(reader), ["خطأ", "صواب"]);
        let tags: Vec<Value> = push
            .received(reader)
            .into_iter()
            .map(|message| message.payload["notification"]["tag"].clone())
            .collect();
        assert_eq!(tags[0], tags[1]);
    }
}

#[tokio::test]
async fn what_was_called_back_is_told_to_nobody_more() {
    let (newsroom, push, readers) = with_readers(2).await;
    push.script(&readers[1], [Behaviour::Status(500)]);
    let id = alert(&newsroom, "خبر").await;
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "SENDING 1/0/0");
    let cancelled = edit(&newsroom, "AlertCancel", json!({ "id": id })).await;
    assert_eq!(cancelled.at("/alertCancel/alert/state"), "CANCELLED");
    newsroom.test.advance(TimeDelta::minutes(10));
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&readers[1]), Vec::<String>::new());
    let again = edit(&newsroom, "AlertCancel", json!({ "id": id })).await;
    assert_eq!(again.user_errors("alertCancel"), ["id: WRONG_STATE"]);
}

#[tokio::test]
async fn a_story_that_was_taken_back_is_alerted_no_more() {
    let (newsroom, push, readers) = with_readers(1).await;
    push.script(&readers[0], [Behaviour::Status(500)]);
    let draft = newsroom.draft("خبر").await;
    let id = publish_with_alert(&newsroom, draft.id, json!({})).await;
    newsroom.test.run_jobs().await;
    unpublish_article(&newsroom.test.app, &Viewer::System, draft.id).await.unwrap();
    newsroom.test.advance(TimeDelta::minutes(10));
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "CANCELLED 0/0/0");
    assert_eq!(push.titles(&readers[0]), Vec::<String>::new());
}

#[tokio::test]
async fn readers_of_a_category_that_goes_are_told_all_the_same() {
    let (newsroom, push) = Newsroom::with_push().await;
    let reader = push.browser("reader");
    let iraq = category_id(newsroom.iraq.id);
    newsroom.test.opt_in(&reader, json!({ "categories": [iraq] })).await;
    let id = alert(&newsroom, "خبر").await;
    let delete = "mutation($id: ID!, $replacement: ID) {
        categoryDelete(id: $id, replacement: $replacement) { userErrors { code field } } }";
    let replaced = json!({ "id": iraq, "replacement": category_id(newsroom.world.id) });
    let deleted = newsroom.test.as_role(Role::Admin, delete, replaced).await;
    assert_eq!(deleted.user_errors("categoryDelete"), Vec::<String>::new());
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/0");
    assert_eq!(push.titles(&reader), ["خبر"]);
    // The browser moves, and asks for what its reader chose; and so after another has taken that place.
    let token = newsroom.test.opt_in(&reader, json!({ "categories": [iraq] })).await;
    let create = "mutation($input: CategoryCreateInput!) { categoryCreate(input: $input) { category { id } } }";
    let named = json!({ "input": { "names": [{ "locale": "ar-IQ", "name": "رياضة" }] } });
    let created = newsroom.test.as_role(Role::Admin, create, named).await;
    let sport = created.at("/categoryCreate/category/id");
    let replaced = json!({ "id": category_id(newsroom.world.id), "replacement": sport });
    newsroom.test.as_role(Role::Admin, delete, replaced).await.data();
    newsroom.test.opt_in(&reader, json!({ "categories": [iraq], "token": token })).await;
    let held = "query($token: String!) { pushSubscription(token: $token) { categories { id } } }";
    let held = newsroom.test.read(held, json!({ "token": token })).await;
    assert_eq!(held.at("/pushSubscription/categories"), json!([{ "id": sport }]));
}

#[tokio::test]
async fn those_who_were_given_up_are_tried_again_and_nobody_else() {
    let (newsroom, push, readers) = with_readers(2).await;
    push.script(&readers[1], [Behaviour::Status(400)]);
    let id = alert(&newsroom, "خبر").await;
    let early = edit(&newsroom, "AlertReplay", json!({ "id": id })).await;
    assert_eq!(early.user_errors("alertReplay"), ["id: WRONG_STATE"]);
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 1/0/1");
    let given_up =
        "query($id: ID!) { node(id: $id) { ... on Alert { givenUp { status count } } } }";
    let hidden = newsroom.test.as_role(Role::Reporter, given_up, json!({ "id": id })).await;
    assert_eq!(hidden.at("/node"), Value::Null);
    let given_up = newsroom.test.as_role(Role::Editor, given_up, json!({ "id": id })).await;
    assert_eq!(given_up.at("/node/givenUp"), json!([{ "status": 400, "count": 1 }]));
    let replayed = edit(&newsroom, "AlertReplay", json!({ "id": id })).await;
    assert_eq!(replayed.at("/alertReplay/alert/state"), "SENDING");
    newsroom.test.run_jobs().await;
    assert_eq!(progress(&newsroom, &id).await, "DONE 2/0/0");
    assert_eq!(push.statuses(&readers[0]), [201]);
    assert_eq!(push.statuses(&readers[1]), [400, 201]);
    let nobody = edit(&newsroom, "AlertReplay", json!({ "id": id })).await;
    assert_eq!(nobody.user_errors("alertReplay"), ["id: NOTHING_TO_REPLAY"]);
}

#[tokio::test]
async fn a_test_goes_to_ones_own_browser_alone() {
    let (newsroom, push, readers) = with_readers(1).await;
    let own = push.browser("editor");
    let token = newsroom.test.opt_in(&own, json!({})).await;
    let draft = newsroom.draft("مسودة").await;
    let test = "mutation($article: ID!, $token: String!) {
        alertTest(article: $article, token: $token) { alert { id } userErrors { code field } } }";
    let variables = json!({ "article": article_id(draft.id), "token": token });
    let tested = newsroom.test.as_role(Role::Editor, test, variables).await;
    assert_eq!(tested.user_errors("alertTest"), Vec::<String>::new());
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&own), ["مسودة"]);
    assert_eq!(push.titles(&readers[0]), Vec::<String>::new());
    let alerts = "{ alerts { nodes { id } } }";
    let listed = newsroom.test.as_role(Role::Editor, alerts, json!({})).await;
    assert_eq!(listed.at("/alerts/nodes"), json!([]), "a test is no alert");
    let id = tested.at("/alertTest/alert/id");
    let words = json!({ "id": id, "input": { "title": "مسودة أخرى" } });
    let corrected = edit(&newsroom, "AlertUpdate", words).await;
    assert_eq!(corrected.user_errors("alertUpdate"), ["id: WRONG_STATE"]);
    let late = edit(&newsroom, "AlertCancel", json!({ "id": id })).await;
    assert!(
        late.text("/alertCancel/userErrors/0/message").ends_with("by alertTest if it was wrong")
    );
    newsroom.test.run_jobs().await;
    assert_eq!(push.titles(&readers[0]), Vec::<String>::new(), "nor does it become one");
}

#[tokio::test]
async fn readers_and_reporters_alert_nobody() {
    let (newsroom, _push, _readers) = with_readers(0).await;
    let article = newsroom.published("خبر").await;
    let create = json!({ "article": article_id(article.id), "input": {} });
    let document = operation("AlertCreate");
    let reader = newsroom.test.read(&document, create.clone()).await;
    assert_eq!(reader.error_codes(), ["UNAUTHENTICATED"]);
    let reporter = newsroom.test.as_role(Role::Reporter, &document, create).await;
    assert_eq!(reporter.error_codes(), ["FORBIDDEN"]);
}
