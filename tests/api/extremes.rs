//! Values that are well formed and still absurd: each is an answer or the client's fault, never ours.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{Answer, TestApp, operation};
use khabar::domain::viewer::Role;

fn is_bad_input(answer: &Answer) {
    assert_eq!(answer.error_codes(), ["BAD_USER_INPUT"], "{answer:?}");
}

#[tokio::test]
async fn instants_beyond_what_databases_hold() {
    let newsroom = TestApp::with_newsroom().await;
    let test = &newsroom.test;
    newsroom.published("خبر").await;
    let local =
        "query($at: DateTime) { edition(locale: \"ar-IQ\") { localTime(at: $at) { formatted } } }";
    let list = |field: &str| {
        format!(
            "query($at: DateTime) {{ articles(filter: {{ {field}: $at }}) {{ nodes {{ id }} }} }}"
        )
    };
    let documents = [local.to_owned(), list("publishedFrom"), list("publishedBefore")];
    for document in &documents {
        for absurd in [
            "+200000-01-01T00:00:00Z",
            "-200000-01-01T00:00:00Z",
            "0000-12-31T23:59:59Z",
            "+10000-01-01T00:00:00Z",
        ] {
            is_bad_input(&test.read(document, json!({ "at": absurd })).await);
        }
        for malformed in [json!("2026-01-31"), json!("tomorrow"), json!(1_769_871_600)] {
            let answer = test.read(document, json!({ "at": malformed })).await;
            is_bad_input(&answer);
            let message = answer.0["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("such as 2026-01-31T18:00:00+03:00"), "{message}");
        }
        for strange in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"] {
            test.read(document, json!({ "at": strange })).await.data();
        }
    }
}

#[tokio::test]
async fn cursors_that_nobody_was_given() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("خبر").await;
    let documents = [
        "query($c: String) { articles(first: 1, after: $c) { nodes { id } } }",
        "query($c: String) { articles(last: 1, before: $c, orderBy: UPDATED_AT_ASC) { nodes { id } } }",
    ];
    let cursor = |micros: i64| {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&micros.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    };
    for document in documents {
        for micros in [i64::MIN, -6_000_000_000_000_000_000, -300_000_000_000_000_000, i64::MAX] {
            is_bad_input(&newsroom.test.read(document, json!({ "c": cursor(micros) })).await);
        }
        for micros in [-62_135_596_800_000_000, 0, 253_402_300_799_999_999] {
            newsroom.test.read(document, json!({ "c": cursor(micros) })).await.data();
        }
    }
    let id = crate::support::fixtures::article_id(article.id);
    let comments =
        "query($id: ID!, $c: String) { article(id: $id) { comments(after: $c) { nodes { id } } } }";
    let variables = json!({ "id": id, "c": cursor(i64::MIN) });
    is_bad_input(&newsroom.test.read(comments, variables).await);
}

#[tokio::test]
async fn addresses_with_characters_that_no_slug_has() {
    let newsroom = TestApp::with_newsroom().await;
    newsroom.published("خبر").await;
    for slug in ["\0", "خبر\0", "\u{1}", "", "\n"] {
        let document = "query($slug: String!) { article(slug: $slug, locale: \"ar-IQ\") { id }
            category(slug: $slug, locale: \"ar-IQ\") { id } }";
        let answer = newsroom.test.read(document, json!({ "slug": slug })).await;
        assert_eq!(answer.data(), &json!({ "article": null, "category": null }), "{slug:?}");
    }
}

#[tokio::test]
async fn lists_longer_than_anybody_needs() {
    let newsroom = TestApp::with_newsroom().await;
    let earlier = newsroom.published("خبر").await;
    newsroom.draft("مسودة").await;
    let document = "query($states: [ArticleState!]) { articles(filter: { states: $states }) { nodes { headline } } }";
    let list = async |states: Vec<&str>| {
        newsroom.test.as_role(Role::Editor, document, json!({ "states": states })).await
    };
    assert_eq!(list(vec!["PUBLISHED"; 36_000]).await.error_codes(), ["DOCUMENT_TOO_COSTLY"]);
    let many = list([["PUBLISHED"; 500], ["DRAFT"; 500]].concat()).await;
    assert_eq!(many.at("/articles/nodes").as_array().unwrap().len(), 2);

    newsroom.test.advance(TimeDelta::hours(1));
    newsroom.published("أحدث").await;
    newsroom.test.advance(TimeDelta::hours(1));
    newsroom.publish(earlier.id).await;
    let alike = newsroom.test.read(document, json!({ "states": vec!["PUBLISHED"; 3] })).await;
    let by_publication = json!([{ "headline": "أحدث" }, { "headline": "خبر" }]);
    assert_eq!(
        alike.at("/articles/nodes"),
        by_publication,
        "the same state again says nothing new"
    );

    let names = vec![json!({ "locale": "ar-IQ", "name": "قسم" }); 101];
    let create = json!({ "input": { "names": names } });
    let created = newsroom.test.as_role(Role::Admin, &operation("CategoryCreate"), create).await;
    assert_eq!(created.user_errors("categoryCreate"), ["names: TOO_LONG"]);
    let id = crate::support::fixtures::category_id(newsroom.iraq.id);
    let update = "mutation($id: ID!, $input: CategoryUpdateInput!) { categoryUpdate(id: $id, input: $input) \
                  { userErrors { code field } } }";
    let variables: Value = json!({ "id": id, "input": { "names": names } });
    let updated = newsroom.test.as_role(Role::Admin, update, variables).await;
    assert_eq!(updated.user_errors("categoryUpdate"), ["names: TOO_LONG"]);
}
