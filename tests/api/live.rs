//! What open pages hear of.

use serde_json::json;

use crate::support::fixtures::{article_id, category_id};
use crate::support::{TestApp, operation};
use khabar::actions::unpublish_article::unpublish_article;
use khabar::domain::event::Event;
use khabar::domain::viewer::Viewer;

#[tokio::test]
async fn an_open_page_hears_of_stories_and_comments() {
    let newsroom = TestApp::with_newsroom().await;
    let mut stories =
        newsroom.test.subscribe(&operation("ArticlePublished"), json!({ "locale": "ar-IQ" }));
    stories.hears_nothing().await;
    let article = newsroom.published("خبر عاجل").await;
    assert_eq!(stories.next().await.text("/articlePublished/article/headline"), "خبر عاجل");

    let page = json!({ "article": article_id(article.id) });
    let mut comments = newsroom.test.subscribe(&operation("CommentCreated"), page);
    comments.hears_nothing().await;
    newsroom.comment(article.id, None, "شكراً").await;
    assert_eq!(comments.next().await.text("/commentCreated/comment/body"), "شكراً");
}

#[tokio::test]
async fn a_page_hears_only_what_it_asked_for() {
    let newsroom = TestApp::with_newsroom().await;
    let sport = newsroom.test.category(None, "رياضة", "Sport").await;
    let mut of_world = newsroom.test.subscribe(
        &operation("ArticlePublished"),
        json!({ "locale": "ar-IQ", "category": category_id(newsroom.world.id) }),
    );
    let mut of_sport = newsroom.test.subscribe(
        &operation("ArticlePublished"),
        json!({ "locale": "ar-IQ", "category": category_id(sport.id) }),
    );
    let mut english =
        newsroom.test.subscribe(&operation("ArticlePublished"), json!({ "locale": "en" }));
    of_world.hears_nothing().await;
    of_sport.hears_nothing().await;
    english.hears_nothing().await;
    newsroom.published("في العراق").await;
    assert_eq!(of_world.next().await.text("/articlePublished/article/headline"), "في العراق");
    of_sport.hears_nothing().await;
    english.hears_nothing().await;
}

#[tokio::test]
async fn publishing_edits_is_no_news() {
    let newsroom = TestApp::with_newsroom().await;
    let mut stories =
        newsroom.test.subscribe(&operation("ArticlePublished"), json!({ "locale": "ar-IQ" }));
    stories.hears_nothing().await;
    let article = newsroom.published("خبر").await;
    stories.next().await.data();
    newsroom.publish(article.id).await;
    stories.hears_nothing().await;
}

#[tokio::test]
async fn whoever_comes_back_with_the_last_id_misses_nothing() {
    let newsroom = TestApp::with_newsroom().await;
    let mut stories =
        newsroom.test.subscribe(&operation("ArticlePublished"), json!({ "locale": "ar-IQ" }));
    stories.hears_nothing().await;
    newsroom.published("أول").await;
    let last = stories.next().await.text("/articlePublished/eventId");
    drop(stories);

    newsroom.published("ثان").await;
    let taken_back = newsroom.published("مسحوب").await;
    unpublish_article(&newsroom.test.app, &Viewer::System, taken_back.id).await.unwrap();
    newsroom.published("ثالث").await;

    let by_argument = json!({ "locale": "ar-IQ", "after": last });
    let mut by_argument = newsroom.test.subscribe(&operation("ArticlePublished"), by_argument);
    let by_header = json!({ "locale": "ar-IQ" });
    let mut by_header =
        newsroom.test.resume(&operation("ArticlePublished"), by_header, Some(&last));
    for resumed in [&mut by_argument, &mut by_header] {
        assert_eq!(resumed.next().await.text("/articlePublished/article/headline"), "ثان");
        assert_eq!(resumed.next().await.text("/articlePublished/article/headline"), "ثالث");
        resumed.hears_nothing().await;
    }
    newsroom.published("رابع").await;
    for resumed in [&mut by_argument, &mut by_header] {
        assert_eq!(resumed.next().await.text("/articlePublished/article/headline"), "رابع");
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_resumed_from_is_refused() {
    let newsroom = TestApp::with_newsroom().await;
    newsroom.published("خبر").await;
    for after in ["999999", "nonsense", "-5"] {
        let variables = json!({ "locale": "ar-IQ", "after": after });
        let mut stories = newsroom.test.subscribe(&operation("ArticlePublished"), variables);
        assert_eq!(stories.next().await.error_codes(), ["EVENT_GONE"], "{after}");
    }
    let mut nowhere =
        newsroom.test.subscribe(&operation("ArticlePublished"), json!({ "locale": "de" }));
    assert_eq!(nowhere.next().await.error_codes(), ["NOT_FOUND"]);
    let draft = newsroom.draft("مسودة").await;
    let draft = json!({ "article": article_id(draft.id) });
    let mut hidden = newsroom.test.subscribe(&operation("CommentCreated"), draft);
    assert_eq!(hidden.next().await.error_codes(), ["NOT_FOUND"]);
}

#[tokio::test]
async fn a_page_that_lags_reads_on_where_it_was() {
    const MANY: usize = 1_500;
    let newsroom = TestApp::with_newsroom().await;
    let article = newsroom.published("خبر").await;
    let page = json!({ "article": article_id(article.id) });
    let mut comments = newsroom.test.subscribe(&operation("CommentCreated"), page);
    comments.hears_nothing().await;

    let comment = newsroom.comment(article.id, None, "نعم").await;
    for _ in 0..MANY / 100 {
        let mut change = newsroom.test.app.begin().await.unwrap();
        for _ in 0..100 {
            change.record(Event::CommentCreated { comment_id: comment.id, article_id: article.id });
        }
        change.commit().await.unwrap();
    }
    let mut last = 0;
    for _ in 0..=MANY {
        let id: i64 = comments.next().await.text("/commentCreated/eventId").parse().unwrap();
        assert!(id > last, "{id} after {last}");
        last = id;
    }
    comments.hears_nothing().await;
}

#[tokio::test]
async fn the_later_of_argument_and_header_counts() {
    let newsroom = TestApp::with_newsroom().await;
    let newest =
        async || newsroom.test.read("{ newestEventId }", json!({})).await.text("/newestEventId");
    let mut stories =
        newsroom.test.subscribe(&operation("ArticlePublished"), json!({ "locale": "ar-IQ" }));
    stories.hears_nothing().await;
    let opened = newest().await;
    newsroom.published("أول").await;
    let first = stories.next().await.text("/articlePublished/eventId");
    assert_eq!(newest().await, first);
    newsroom.published("ثان").await;
    stories.next().await.data();

    for (argument, header, expected) in [
        (&opened, None, "أول"),
        (&opened, Some(&first), "ثان"),
        (&first, Some(&opened), "ثان"),
        (&opened, Some(&opened), "أول"),
    ] {
        let variables = json!({ "locale": "ar-IQ", "after": argument });
        let header = header.map(String::as_str);
        let mut resumed = newsroom.test.resume(&operation("ArticlePublished"), variables, header);
        let headline = resumed.next().await.text("/articlePublished/article/headline");
        assert_eq!(headline, expected, "{argument} {header:?}");
    }
}

#[tokio::test]
async fn another_instance_on_the_same_database_hears_it_too() {
    let newsroom = TestApp::with_newsroom().await;
    let other = newsroom.test.another_instance().await;
    let mut stories = other.subscribe(&operation("ArticlePublished"), json!({ "locale": "ar-IQ" }));
    stories.hears_nothing().await;
    newsroom.published("من الجار").await;
    assert_eq!(stories.next().await.text("/articlePublished/article/headline"), "من الجار");
}
