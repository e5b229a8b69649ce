//! Reading articles.

use serde_json::json;

use crate::support::fixtures::{article_id, category_id};
use crate::support::{TestApp, operation};
use khabar::domain::viewer::Role;

const BY_ID: &str = "query($id: ID!) { article(id: $id) { headline state } }";

#[tokio::test]
async fn a_reader_sees_the_published_story() {
    let newsroom = TestApp::with_newsroom().await;
    newsroom.published("خبر عاجل من أربيل").await;
    let variables = json!({ "slug": "خبر-عاجل-من-أربيل", "locale": "ar-IQ" });
    let answer = newsroom.test.read(&operation("ArticlePage"), variables).await;
    insta::assert_json_snapshot!(answer.at("/article"), { ".id" => "…", ".category.id" => "…" }, @r#"
    {
      "authors": [
        {
          "name": "سارة كريم"
        }
      ],
      "body": {
        "html": "<p>الفقرة الأولى.</p>\n<p>الفقرة الثانية.</p>\n"
      },
      "breaking": false,
      "canonicalUrl": "https://news.example/ar-IQ/%D8%AE%D8%A8%D8%B1-%D8%B9%D8%A7%D8%AC%D9%84-%D9%85%D9%86-%D8%A3%D8%B1%D8%A8%D9%8A%D9%84",
      "category": {
        "ancestors": [
          {
            "name": "العالم",
            "slug": "العالم"
          }
        ],
        "id": "…",
        "name": "العراق",
        "slug": "العراق"
      },
      "commentCount": 0,
      "comments": {
        "nodes": [],
        "pageInfo": {
          "endCursor": null,
          "hasNextPage": false
        }
      },
      "dateline": null,
      "direction": "RTL",
      "excerpt": "الفقرة الأولى. الفقرة الثانية.",
      "headline": "خبر عاجل من أربيل",
      "id": "…",
      "image": null,
      "locale": "ar-IQ",
      "movedFrom": null,
      "publishedAt": "2024-11-23T04:39:00+00:00",
      "readingTimeMinutes": 1,
      "slug": "خبر-عاجل-من-أربيل",
      "subheadline": null,
      "tags": [
        {
          "name": "تجربة",
          "slug": "تجربة"
        }
      ],
      "translations": [],
      "updatedAt": "2024-11-23T04:39:00+00:00"
    }
    "#);
}

#[tokio::test]
async fn a_draft_does_not_exist_for_readers() {
    let newsroom = TestApp::with_newsroom().await;
    let draft = newsroom.draft("مسودة").await;
    let id = json!({ "id": article_id(draft.id) });
    assert_eq!(newsroom.test.read(BY_ID, id.clone()).await.at("/article"), json!(null));
    let by_slug = json!({ "slug": "مسودة", "locale": "ar-IQ" });
    assert_eq!(
        newsroom.test.read(&operation("ArticlePage"), by_slug).await.at("/article"),
        json!(null)
    );
    let node = newsroom
        .test
        .read("query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }", id.clone())
        .await;
    assert_eq!(node.data(), &json!({ "node": null, "nodes": [null] }));
    let list = newsroom.test.read(&operation("FrontPage"), json!({ "locale": "ar-IQ" })).await;
    assert_eq!(list.at("/articles/nodes"), json!([]));

    for role in [Role::Admin, Role::Editor, Role::Reporter] {
        let answer = newsroom.test.as_role(role, BY_ID, id.clone()).await;
        assert_eq!(answer.at("/article"), json!({ "headline": "مسودة", "state": "DRAFT" }));
    }
    let moderator = newsroom.test.as_role(Role::Moderator, BY_ID, id).await;
    assert_eq!(moderator.at("/article"), json!(null));
}

#[tokio::test]
async fn staff_fields_refuse_readers() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("خبر").await;
    let id = json!({ "id": article_id(article.id) });
    for field in ["lockVersion", "hasUnpublishedChanges", "latest { headline }"] {
        let document = format!("query($id: ID!) {{ article(id: $id) {{ headline {field} }} }}");
        let answer = newsroom.test.read(&document, id.clone()).await;
        assert_eq!(answer.error_codes(), ["UNAUTHENTICATED"], "{field}");
        assert_eq!(
            answer.0["data"]["article"]["headline"], "خبر",
            "the rest of the page is still there"
        );
        let answer = newsroom.test.as_role(Role::Moderator, &document, id.clone()).await;
        assert_eq!(answer.error_codes(), ["FORBIDDEN"], "{field}");
    }
    let drafts = "{ articles(filter: { states: [DRAFT] }) { nodes { id } } }";
    assert_eq!(newsroom.test.read(drafts, json!({})).await.error_codes(), ["UNAUTHENTICATED"]);
}

#[tokio::test]
async fn pages_stay_right_while_stories_come_in() {
    let newsroom = TestApp::with_newsroom().await;
    for number in 0..7 {
        newsroom.test.advance(chrono::TimeDelta::minutes(1));
        newsroom.published(&format!("خبر {number}")).await;
    }
    let document = "query($first: Int, $after: String, $last: Int, $before: String) {
        articles(first: $first, after: $after, last: $last, before: $before) {
            nodes { headline }
            pageInfo { startCursor endCursor hasNextPage hasPreviousPage }
        }
    }";
    let headlines = |answer: &crate::support::Answer| -> Vec<String> {
        let nodes = answer.at("/articles/nodes");
        nodes
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n["headline"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = newsroom.test.read(document, json!({ "first": 3 })).await;
    assert_eq!(headlines(&first), ["خبر 6", "خبر 5", "خبر 4"]);
    assert_eq!(first.at("/articles/pageInfo/hasNextPage"), true);

    newsroom.test.advance(chrono::TimeDelta::minutes(1));
    newsroom.published("خبر جديد").await;
    let end = first.text("/articles/pageInfo/endCursor");
    let second = newsroom.test.read(document, json!({ "first": 3, "after": end })).await;
    assert_eq!(headlines(&second), ["خبر 3", "خبر 2", "خبر 1"]);

    let start = second.text("/articles/pageInfo/startCursor");
    let back = newsroom.test.read(document, json!({ "last": 3, "before": start })).await;
    assert_eq!(headlines(&back), ["خبر 6", "خبر 5", "خبر 4"]);
    assert_eq!(back.at("/articles/pageInfo/hasPreviousPage"), true, "the new one came before");

    let last = newsroom.test.read(document, json!({ "last": 2 })).await;
    assert_eq!(headlines(&last), ["خبر 1", "خبر 0"]);
    assert_eq!(last.at("/articles/pageInfo/hasNextPage"), false);
}

#[tokio::test]
async fn stories_of_one_instant_are_all_paged() {
    let newsroom = TestApp::with_newsroom().await;
    for number in 0..5 {
        newsroom.published(&format!("خبر {number}")).await;
    }
    let document = "query($after: String) {
        articles(first: 2, after: $after) { nodes { headline } pageInfo { endCursor hasNextPage } }
    }";
    let mut seen = std::collections::BTreeSet::new();
    let mut after = json!(null);
    loop {
        let answer = newsroom.test.read(document, json!({ "after": after })).await;
        for node in answer.at("/articles/nodes").as_array().unwrap() {
            assert!(
                seen.insert(node["headline"].as_str().unwrap().to_owned()),
                "{node} came twice"
            );
        }
        if answer.at("/articles/pageInfo/hasNextPage") == false {
            break;
        }
        after = answer.at("/articles/pageInfo/endCursor");
    }
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn lists_can_be_narrowed() {
    let newsroom = TestApp::with_newsroom().await;
    newsroom.published("عراقي").await;
    let sport = newsroom.test.category(None, "رياضة", "Sport").await;
    let mut story = newsroom.story("رياضي");
    story.category = sport.id;
    story.breaking = true;
    story.tags = vec!["كأس".to_owned()];
    let draft = khabar::actions::create_article::create_article(
        &newsroom.test.app,
        &khabar::domain::viewer::Viewer::System,
        story,
    )
    .await
    .unwrap();
    newsroom.publish(draft.id).await;

    let document = "query($filter: ArticleFilterInput) { articles(filter: $filter) { nodes { headline tags { id } authors { id } } } }";
    let all = newsroom.test.read(document, json!({ "filter": {} })).await;
    let tag = all.text("/articles/nodes/0/tags/0/id");
    let author = all.text("/articles/nodes/0/authors/0/id");
    for (filter, expected) in [
        (json!({ "locale": "AR-iq" }), 2),
        (json!({ "locale": "en" }), 0),
        (json!({ "locale": "xx" }), 0),
        (json!({ "category": category_id(newsroom.world.id) }), 1),
        (json!({ "category": category_id(sport.id) }), 1),
        (json!({ "category": "nonsense" }), 0),
        (json!({ "breaking": true }), 1),
        (json!({ "tag": tag }), 1),
        (json!({ "author": author }), 2),
        (json!({ "publishedFrom": "2024-11-23T04:39:00Z" }), 2),
        (json!({ "publishedBefore": "2024-11-23T04:39:00Z" }), 0),
        (json!({ "states": [] }), 0),
    ] {
        let answer = newsroom.test.read(document, json!({ "filter": filter })).await;
        let found = answer.at("/articles/nodes").as_array().unwrap().len();
        assert_eq!(found, expected, "{filter}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let newsroom = TestApp::with_newsroom().await;
    for document in [
        "{ article { id } }",
        "{ article(slug: \"x\") { id } }",
        "{ articles(first: 0) { nodes { id } } }",
        "{ articles(first: 101) { nodes { id } } }",
        "{ articles(first: 1073741824) { nodes { id } } }",
        "{ articles(after: \"nonsense\") { nodes { id } } }",
        "{ articles(first: 1, last: 1) { nodes { id } } }",
    ] {
        let answer = newsroom.test.read(document, json!({})).await;
        assert_eq!(answer.error_codes(), ["BAD_USER_INPUT"], "{document}: {:#}", answer.0);
    }
}
