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

#[tokio::test]
async fn looking_up_many_nodes_costs_no_more_than_one() {
    use crate::support::fixtures::category_id;
    let newsroom = TestApp::with_newsroom().await;
    let mut ids = vec![category_id(newsroom.world.id)];
    for number in 0..20 {
        let name = format!("قسم {number}");
        ids.push(category_id(newsroom.test.category(None, &name, &name).await.id));
    }
    let document = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Category { name slug } } }";
    let mut counts = Vec::new();
    for some in [&ids[..1], &ids[..]] {
        let read = newsroom.test.read(document, json!({ "ids": some }));
        let (statements, answer) = newsroom.test.count_statements(read).await;
        assert_eq!(answer.at("/nodes").as_array().unwrap().len(), some.len());
        counts.push(statements);
    }
    assert_eq!(counts[0], counts[1], "categories, editions, names");
}
