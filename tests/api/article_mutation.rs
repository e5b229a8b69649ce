//! Writing and publishing.

use serde_json::{Value, json};

use crate::support::fixtures::{article_id, category_id};
use crate::support::{Newsroom, TestApp, operation};
use khabar::domain::viewer::Role;

fn story(newsroom: &Newsroom, headline: &str) -> Value {
    json!({ "input": {
        "locale": "ar-IQ",
        "category": category_id(newsroom.iraq.id),
        "headline": headline,
        "body": { "text": "فقرة" },
    } })
}

#[tokio::test]
async fn an_editor_writes_and_publishes() {
    let newsroom = TestApp::with_newsroom().await;
    let created = newsroom
        .test
        .as_role(Role::Reporter, &operation("ArticleCreate"), story(&newsroom, " خبر  جديد "))
        .await;
    assert_eq!(created.at("/articleCreate/article/state"), "DRAFT");
    assert_eq!(created.at("/articleCreate/article/headline"), "خبر جديد");
    let id = json!({ "id": created.at("/articleCreate/article/id") });
    let published =
        newsroom.test.as_role(Role::Editor, &operation("ArticlePublish"), id.clone()).await;
    assert_eq!(published.at("/articlePublish/article/state"), "PUBLISHED");
    let url = "https://news.example/ar-IQ/%D8%AE%D8%A8%D8%B1-%D8%AC%D8%AF%D9%8A%D8%AF";
    assert_eq!(published.at("/articlePublish/article/canonicalUrl"), url);
    let read = newsroom
        .test
        .read("query($id: ID!) { article(id: $id) { publishedAt } }", id.clone())
        .await;
    assert_eq!(read.at("/article/publishedAt"), "2024-11-23T04:39:00+00:00");

    let back =
        newsroom.test.as_role(Role::Editor, &operation("ArticleUnpublish"), id.clone()).await;
    assert_eq!(back.at("/articleUnpublish/article/state"), "UNPUBLISHED");
    let read = newsroom
        .test
        .read("query($id: ID!) { article(id: $id) { publishedAt } }", id.clone())
        .await;
    assert_eq!(read.at("/article"), json!(null));
    let again = newsroom.test.as_role(Role::Editor, &operation("ArticleUnpublish"), id).await;
    assert_eq!(again.user_errors("articleUnpublish"), ["id: WRONG_STATE"]);
}

#[tokio::test]
async fn each_role_does_what_it_may() {
    let newsroom = TestApp::with_newsroom().await;
    let draft = newsroom.draft("مسودة").await;
    let id = article_id(draft.id);
    let update = json!({ "id": id, "input": { "headline": "أخرى" } });
    for (name, variables, allowed) in [
        ("ArticleCreate", story(&newsroom, "خبر"), [true, true, true, false]),
        ("ArticleUpdate", update, [true, true, true, false]),
        ("ArticlePublish", json!({ "id": id }), [true, true, false, false]),
        ("ArticleUnpublish", json!({ "id": id }), [true, true, false, false]),
    ] {
        let reader = newsroom.test.read(&operation(name), variables.clone()).await;
        assert_eq!(reader.error_codes(), ["UNAUTHENTICATED"], "{name}");
        for (role, allowed) in
            [Role::Admin, Role::Editor, Role::Reporter, Role::Moderator].into_iter().zip(allowed)
        {
            let answer = newsroom.test.as_role(role, &operation(name), variables.clone()).await;
            let expected: &[&str] = if allowed { &[] } else { &["FORBIDDEN"] };
            assert_eq!(answer.error_codes(), expected, "{name} as {role:?}");
        }
    }
}

#[tokio::test]
async fn faults_are_named_all_at_once() {
    let newsroom = TestApp::with_newsroom().await;
    let mut bad = story(&newsroom, &"ا".repeat(301));
    bad["input"]["body"] =
        json!({ "blocks": [{ "paragraph": { "html": "<script>alert(1)</script>" } }] });
    bad["input"]["image"] = json!({ "url": "javascript:alert(1)" });
    bad["input"]["slug"] = "؟؟".into();
    bad["input"]["authors"] = json!([" "]);
    let answer = newsroom.test.as_role(Role::Editor, &operation("ArticleCreate"), bad).await;
    assert_eq!(
        answer.user_errors("articleCreate"),
        [
            "headline: TOO_LONG",
            "body: BLANK",
            "image.url: INVALID",
            "authors: BLANK",
            "slug: INVALID"
        ]
    );
    let mut lost = story(&newsroom, "خبر");
    lost["input"]["locale"] = "de".into();
    lost["input"]["category"] = "nonsense".into();
    let answer = newsroom.test.as_role(Role::Editor, &operation("ArticleCreate"), lost).await;
    let expected = ["edition: EDITION_NOT_FOUND", "category: CATEGORY_NOT_FOUND"];
    assert_eq!(answer.user_errors("articleCreate"), expected);
}

#[tokio::test]
async fn a_slug_is_never_empty_and_never_twice() {
    let newsroom = TestApp::with_newsroom().await;
    let create = async |headline: &str, slug: Option<&str>| {
        let mut input = story(&newsroom, headline);
        if let Some(slug) = slug {
            input["input"]["slug"] = slug.into();
        }
        newsroom.test.as_role(Role::Editor, &operation("ArticleCreate"), input).await
    };
    assert_eq!(create("خبر", None).await.at("/articleCreate/article/slug"), "خبر");
    assert_eq!(create("خبر!", None).await.at("/articleCreate/article/slug"), "خبر-2");
    assert_eq!(create("خبر", Some("خبر")).await.user_errors("articleCreate"), ["slug: SLUG_TAKEN"]);
    let symbols = create("؟!…", None).await.text("/articleCreate/article/slug");
    assert_eq!(symbols.len(), 32, "{symbols}");
}

#[tokio::test]
async fn edits_of_a_published_story_wait_to_be_published() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("الأصل").await;
    let id = article_id(article.id);
    let edit = json!({ "id": id, "input": { "headline": "المعدل", "subheadline": "سطر" } });
    let edited = newsroom.test.as_role(Role::Editor, &operation("ArticleUpdate"), edit).await;
    assert_eq!(edited.at("/articleUpdate/article/headline"), "الأصل");
    assert_eq!(edited.at("/articleUpdate/article/latest/headline"), "المعدل");
    assert_eq!(edited.at("/articleUpdate/article/hasUnpublishedChanges"), true);
    let changed = "query($id: ID!) { article(id: $id) { updatedAt } }";
    newsroom.test.advance(chrono::TimeDelta::hours(1));
    let again = json!({ "id": id, "input": { "excerpt": "ملخص" } });
    newsroom.test.as_role(Role::Editor, &operation("ArticleUpdate"), again).await.data();
    let when = newsroom.test.read(changed, json!({ "id": id })).await;
    assert_eq!(when.at("/article/updatedAt"), "2024-11-23T04:39:00+00:00", "nothing shows of it");
    let read = "query($id: ID!) { article(id: $id) { headline subheadline } }";
    let seen = newsroom.test.read(read, json!({ "id": id })).await;
    assert_eq!(seen.at("/article"), json!({ "headline": "الأصل", "subheadline": null }));
    newsroom.publish(article.id).await;
    let seen = newsroom.test.read(read, json!({ "id": id })).await;
    assert_eq!(seen.at("/article"), json!({ "headline": "المعدل", "subheadline": "سطر" }));

    let emptied = json!({ "id": id, "input": { "subheadline": null } });
    newsroom.test.as_role(Role::Editor, &operation("ArticleUpdate"), emptied).await.data();
    newsroom.publish(article.id).await;
    let seen = newsroom.test.read(read, json!({ "id": id })).await;
    assert_eq!(seen.at("/article"), json!({ "headline": "المعدل", "subheadline": null }));
}

#[tokio::test]
async fn an_old_slug_still_resolves_and_says_where_to() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("قديم").await;
    let renamed = json!({ "id": article_id(article.id), "input": { "slug": "جديد" } });
    newsroom.test.as_role(Role::Editor, &operation("ArticleUpdate"), renamed).await.data();
    let document =
        "query($slug: String!) { article(slug: $slug, locale: \"ar-IQ\") { slug movedFrom } }";
    let old = newsroom.test.read(document, json!({ "slug": "قديم" })).await;
    assert_eq!(old.at("/article"), json!({ "slug": "جديد", "movedFrom": "قديم" }));
    let new = newsroom.test.read(document, json!({ "slug": "جديد" })).await;
    assert_eq!(new.at("/article"), json!({ "slug": "جديد", "movedFrom": null }));
}

#[tokio::test]
async fn a_draft_takes_no_redirect_away() {
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("قديم").await;
    let rename = async |id, slug: &str| {
        let renamed = json!({ "id": article_id(id), "input": { "slug": slug } });
        newsroom.test.as_role(Role::Editor, &operation("ArticleUpdate"), renamed).await.data();
    };
    rename(article.id, "جديد").await;
    let read = async |slug: &str| {
        let document =
            "query($slug: String!) { article(slug: $slug, locale: \"ar-IQ\") { headline } }";
        newsroom.test.read(document, json!({ "slug": slug })).await.at("/article")
    };
    assert_eq!(newsroom.draft("قديم").await.slug, "قديم-2", "what leads somewhere is not free");
    let draft = newsroom.draft("المسودة").await;
    rename(draft.id, "قديم").await;
    assert_eq!(read("قديم").await, json!({ "headline": "قديم" }), "nobody sees the draft's slug");
    newsroom.publish(draft.id).await;
    assert_eq!(read("قديم").await, json!({ "headline": "المسودة" }));
    let unpublish = khabar::actions::unpublish_article::unpublish_article;
    unpublish(&newsroom.test.app, &khabar::domain::viewer::Viewer::System, draft.id).await.unwrap();
    assert_eq!(read("قديم").await, json!({ "headline": "قديم" }), "it leads on again");
}

#[tokio::test]
async fn whoever_edits_an_old_version_is_told() {
    let newsroom = TestApp::with_newsroom().await;
    let draft = newsroom.draft("مسودة").await;
    let edit =
        json!({ "id": article_id(draft.id), "input": { "headline": "أول", "lockVersion": 1 } });
    let first =
        newsroom.test.as_role(Role::Editor, &operation("ArticleUpdate"), edit.clone()).await;
    assert_eq!(first.at("/articleUpdate/article/lockVersion"), 2);
    let second = newsroom.test.as_role(Role::Editor, &operation("ArticleUpdate"), edit).await;
    assert_eq!(second.user_errors("articleUpdate"), ["lockVersion: STALE"]);
    let publish = json!({ "id": article_id(draft.id), "input": { "lockVersion": 1 } });
    let third = newsroom.test.as_role(Role::Editor, &operation("ArticlePublish"), publish).await;
    assert_eq!(third.user_errors("articlePublish"), ["lockVersion: STALE"]);
}

#[tokio::test]
async fn translations_know_each_other() {
    let newsroom = TestApp::with_newsroom().await;
    let arabic = newsroom.published("خبر").await;
    let mut english = story(&newsroom, "News");
    english["input"]["locale"] = "en".into();
    english["input"]["translationOf"] = article_id(arabic.id).into();
    let created =
        newsroom.test.as_role(Role::Editor, &operation("ArticleCreate"), english.clone()).await;
    let document = "query($id: ID!) { article(id: $id) { translations { headline locale } } }";
    let of_arabic = json!({ "id": article_id(arabic.id) });
    let hidden = newsroom.test.read(document, of_arabic.clone()).await;
    assert_eq!(
        hidden.at("/article/translations"),
        json!([]),
        "a draft is no translation for readers"
    );
    let publish = json!({ "id": created.at("/articleCreate/article/id") });
    newsroom.test.as_role(Role::Editor, &operation("ArticlePublish"), publish).await.data();
    let shown = newsroom.test.read(document, of_arabic).await;
    assert_eq!(shown.at("/article/translations"), json!([{ "headline": "News", "locale": "en" }]));

    english["input"]["slug"] = "other".into();
    let twice = newsroom.test.as_role(Role::Editor, &operation("ArticleCreate"), english).await;
    assert_eq!(twice.user_errors("articleCreate"), ["translationOf: TRANSLATION_TAKEN"]);
}
