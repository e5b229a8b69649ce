//! Guests reply.

use serde_json::{Value, json};

use crate::support::fixtures::{article_id, comment_id};
use crate::support::{TestApp, operation};
use khabar::domain::viewer::Role;

const COUNTS: &str =
    "query($id: ID!) { article(id: $id) { commentCount comments { nodes { body replyCount } } } }";
const MODERATE: &str = "mutation($id: ID!, $state: CommentState!) {
    commentModerate(id: $id, state: $state) { comment { state } userErrors { code field message } }
}";

fn comment(article: &str, body: &str) -> Value {
    json!({ "input": { "article": article, "authorName": " قارئ ", "body": body } })
}

#[tokio::test]
async fn a_guest_replies_with_a_name_and_no_account() {
    let newsroom = TestApp::with_newsroom().await;
    let id = article_id(newsroom.published("خبر").await.id);
    let empty = newsroom.test.read(COUNTS, json!({ "id": id })).await;
    assert_eq!(empty.at("/article"), json!({ "commentCount": 0, "comments": { "nodes": [] } }));

    let answer =
        newsroom.test.read(&operation("CommentCreate"), comment(&id, "شكراً\u{0} لكم")).await;
    insta::assert_json_snapshot!(answer.at("/commentCreate"), { ".comment.id" => "…", ".editToken" => "…" }, @r#"
    {
      "comment": {
        "authorName": "قارئ",
        "body": "شكراً لكم",
        "depth": 0,
        "id": "…",
        "state": "APPROVED"
      },
      "editToken": "…",
      "userErrors": []
    }
    "#);
    let mut reply = comment(&id, "عفواً");
    reply["input"]["parent"] = answer.at("/commentCreate/comment/id");
    let reply = newsroom.test.read(&operation("CommentCreate"), reply).await;
    assert_eq!(reply.at("/commentCreate/comment/depth"), 1);

    let counted = newsroom.test.read(COUNTS, json!({ "id": id })).await;
    let expected = json!({ "commentCount": 2, "comments": { "nodes": [{ "body": "شكراً لكم", "replyCount": 1 }] } });
    assert_eq!(counted.at("/article"), expected);
}

#[tokio::test]
async fn faults_are_named_all_at_once() {
    let newsroom = TestApp::with_newsroom().await;
    let id = article_id(newsroom.published("خبر").await.id);
    let mut input = comment(&id, &"ا".repeat(5_001));
    input["input"]["authorName"] = "\u{200B}".into();
    let answer = newsroom.test.read(&operation("CommentCreate"), input).await;
    assert_eq!(answer.user_errors("commentCreate"), ["authorName: BLANK", "body: TOO_LONG"]);

    let draft = article_id(newsroom.draft("مسودة").await.id);
    for hidden in [draft.as_str(), "nonsense"] {
        let answer = newsroom.test.read(&operation("CommentCreate"), comment(hidden, "نعم")).await;
        assert_eq!(answer.user_errors("commentCreate"), ["article: ARTICLE_NOT_FOUND"], "{hidden}");
    }
    let other = newsroom.published("آخر").await;
    let elsewhere = newsroom.comment(other.id, None, "هناك").await;
    let mut reply = comment(&id, "نعم");
    reply["input"]["parent"] = comment_id(elsewhere.id).into();
    let answer = newsroom.test.read(&operation("CommentCreate"), reply).await;
    assert_eq!(answer.user_errors("commentCreate"), ["parent: PARENT_NOT_FOUND"]);
}

#[tokio::test]
async fn replies_deeper_than_the_limit_attach_to_the_last_level() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("خبر").await;
    let mut parent = None;
    let mut depths = Vec::new();
    for _ in 0..8 {
        let comment = newsroom.comment(article.id, parent, "رد").await;
        parent = Some(comment.id);
        depths.push(comment.depth);
    }
    assert_eq!(depths, [0, 1, 2, 3, 4, 5, 5, 5]);
}

#[tokio::test]
async fn threads_are_paged_at_every_level() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("خبر").await;
    let first = newsroom.comment(article.id, None, "أول").await;
    for number in 0..5 {
        newsroom.test.advance(chrono::TimeDelta::seconds(1));
        newsroom.comment(article.id, Some(first.id), &format!("رد {number}")).await;
    }
    let document = "query($id: ID!, $after: String) { article(id: $id) { comments { nodes {
        replies(first: 2, after: $after) { nodes { body } pageInfo { endCursor hasNextPage } }
    } } } }";
    let mut seen = Vec::new();
    let mut after = json!(null);
    loop {
        let variables = json!({ "id": article_id(article.id), "after": after });
        let answer = newsroom.test.read(document, variables).await;
        let replies = answer.at("/article/comments/nodes/0/replies");
        seen.extend(
            replies["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|node| node["body"].as_str().unwrap().to_owned()),
        );
        if replies["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = replies["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen, ["رد 0", "رد 1", "رد 2", "رد 3", "رد 4"]);
}

#[tokio::test]
async fn what_is_held_back_is_seen_by_moderators_alone() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("خبر").await;
    let id = article_id(article.id);
    let spam = "http://a.example http://b.example http://c.example";
    let answer = newsroom.test.read(&operation("CommentCreate"), comment(&id, spam)).await;
    assert_eq!(answer.at("/commentCreate/comment/state"), "PENDING");
    let held = json!({ "id": answer.at("/commentCreate/comment/id") });
    let counted = newsroom.test.read(COUNTS, json!({ "id": id })).await;
    assert_eq!(counted.at("/article"), json!({ "commentCount": 0, "comments": { "nodes": [] } }));
    let node = "query($id: ID!) { node(id: $id) { id } }";
    assert_eq!(newsroom.test.read(node, held.clone()).await.at("/node"), json!(null));
    assert_ne!(
        newsroom.test.as_role(Role::Moderator, node, held.clone()).await.at("/node"),
        json!(null)
    );

    let mut ruling = held.clone();
    for (state, count) in
        [("APPROVED", 1), ("APPROVED", 1), ("SPAM", 0), ("REJECTED", 0), ("APPROVED", 1)]
    {
        ruling["state"] = state.into();
        let ruled = newsroom.test.as_role(Role::Moderator, MODERATE, ruling.clone()).await;
        assert_eq!(ruled.at("/commentModerate/comment/state"), state);
        let counted = newsroom.test.read(COUNTS, json!({ "id": id })).await;
        assert_eq!(counted.at("/article/commentCount"), count, "{state}");
    }
    assert_eq!(
        newsroom.test.read(MODERATE, ruling.clone()).await.error_codes(),
        ["UNAUTHENTICATED"]
    );
    assert_eq!(
        newsroom.test.as_role(Role::Reporter, MODERATE, ruling).await.error_codes(),
        ["FORBIDDEN"]
    );
}

#[tokio::test]
async fn what_stands_under_a_hidden_comment_is_neither_counted_nor_answered() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("خبر").await;
    let id = article_id(article.id);
    let top = newsroom.comment(article.id, None, "أول").await;
    let mut deepest = newsroom.comment(article.id, Some(top.id), "رد").await;
    for _ in 0..4 {
        deepest = newsroom.comment(article.id, Some(deepest.id), "رد").await;
    }
    newsroom.comment(article.id, Some(top.id), "رد آخر").await;
    let counted = async || {
        let answer = newsroom.test.read(COUNTS, json!({ "id": id })).await;
        answer.at("/article/commentCount")
    };
    let rule = async |comment: uuid::Uuid, state: &str| {
        let ruling = json!({ "id": comment_id(comment), "state": state });
        newsroom.test.as_role(Role::Moderator, MODERATE, ruling).await.data();
    };
    assert_eq!(counted().await, 7);
    rule(deepest.id, "SPAM").await;
    assert_eq!(counted().await, 6);
    let mut answering = comment(&id, "نعم");
    answering["input"]["parent"] = comment_id(deepest.id).into();
    let refused = newsroom.test.read(&operation("CommentCreate"), answering.clone()).await;
    assert_eq!(refused.user_errors("commentCreate"), ["parent: PARENT_NOT_FOUND"]);

    rule(top.id, "REJECTED").await;
    assert_eq!(counted().await, 0);
    rule(deepest.id, "APPROVED").await;
    assert_eq!(counted().await, 0, "it is seen again when what it answers is");
    let refused = newsroom.test.read(&operation("CommentCreate"), answering).await;
    assert_eq!(refused.user_errors("commentCreate"), ["parent: PARENT_NOT_FOUND"]);
    rule(top.id, "APPROVED").await;
    assert_eq!(counted().await, 7);
}

#[tokio::test]
async fn comments_under_a_story_that_was_taken_back_are_gone_with_it() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("خبر").await;
    let comment = newsroom.comment(article.id, None, "نعم").await;
    let unpublish = khabar::actions::unpublish_article::unpublish_article;
    unpublish(&newsroom.test.app, &khabar::domain::viewer::Viewer::System, article.id)
        .await
        .unwrap();
    let node = "query($id: ID!) { node(id: $id) { id } }";
    let answer = newsroom.test.read(node, json!({ "id": comment_id(comment.id) })).await;
    assert_eq!(answer.at("/node"), json!(null));
}

#[tokio::test]
async fn counters_stay_exact_when_many_write_at_once() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("خبر").await;
    let writers = (0..20).map(|_| newsroom.comment(article.id, None, "معاً"));
    futures_util::future::join_all(writers).await;
    let counted = newsroom.test.read(COUNTS, json!({ "id": article_id(article.id) })).await;
    assert_eq!(counted.at("/article/commentCount"), 20);
}
