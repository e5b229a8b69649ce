//! The committed pages cost the same number of SQL statements, whatever their length.

use serde_json::json;

use crate::support::{Newsroom, TestApp, operation};

async fn filled(articles: usize, comments: usize) -> Newsroom {
    let newsroom = TestApp::with_newsroom().await;
    for number in 0..articles {
        newsroom.published(&format!("خبر {number}")).await;
    }
    let discussed = newsroom.published("حديث الناس").await;
    for number in 0..comments {
        let comment = newsroom.comment(discussed.id, None, &format!("تعليق {number}")).await;
        newsroom.comment(discussed.id, Some(comment.id), "رد").await;
    }
    newsroom
}

#[tokio::test]
async fn the_front_page_is_a_constant_number_of_statements() {
    let mut counts = Vec::new();
    for length in [1, 20, 100] {
        let newsroom = filled(length, 0).await;
        let page = operation("FrontPage");
        let read = newsroom.test.read(&page, json!({ "locale": "ar-IQ", "first": length }));
        let (statements, answer) = newsroom.test.count_statements(read).await;
        assert_eq!(answer.at("/articles/nodes").as_array().unwrap().len(), length);
        counts.push(statements);
    }
    assert_eq!(counts, [5, 5, 5], "edition, articles, authors, categories, names");
}

#[tokio::test]
async fn the_article_page_is_a_constant_number_of_statements() {
    let mut counts = Vec::new();
    for length in [1, 20, 100] {
        let newsroom = filled(0, length).await;
        let page = operation("ArticlePage");
        let variables = json!({ "slug": "حديث-الناس", "locale": "ar-IQ", "comments": length });
        let (statements, answer) =
            newsroom.test.count_statements(newsroom.test.read(&page, variables)).await;
        assert_eq!(answer.at("/article/comments/nodes").as_array().unwrap().len(), length);
        counts.push(statements);
    }
    assert!(counts.iter().all(|count| *count == counts[0]) && counts[0] <= 13, "{counts:?}");
}
