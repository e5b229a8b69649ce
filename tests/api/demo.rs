//! The demo newsroom: what a newcomer sees first.

use serde_json::json;

use crate::support::{TestApp, operation};
use khabar::domain::viewer::Role;

#[tokio::test]
async fn it_loads_once_and_fills_every_edition() {
    let test = TestApp::start().await;
    let other = test.another_instance().await;
    let load = |app| async move { khabar::demo::load_once(app).await.unwrap() };
    tokio::join!(load(&test.app), load(&other.app));
    khabar::demo::load_once(&test.app).await.unwrap();
    let counts = "query($locale: String!) { articles(filter: { locale: $locale }, first: 100) { nodes { commentCount } } }";
    let (mut articles, mut comments) = (0, 0);
    for locale in ["ar-IQ", "ckb-IQ", "en"] {
        let answer = test.read(counts, json!({ "locale": locale })).await;
        let nodes = answer.at("/articles/nodes");
        let nodes = nodes.as_array().unwrap();
        assert!(nodes.len() >= 8, "{locale} has {}", nodes.len());
        articles += nodes.len();
        comments += nodes.iter().map(|node| node["commentCount"].as_u64().unwrap()).sum::<u64>();
    }
    assert_eq!((articles, comments), (38, 37));
    let drafts = "{ articles(filter: { states: [DRAFT] }) { nodes { headline } } }";
    let drafts = test.as_role(Role::Reporter, drafts, json!({})).await;
    assert_eq!(drafts.at("/articles/nodes").as_array().unwrap().len(), 2);
    let iraq = json!({ "slug": "العراق", "locale": "ar-IQ" });
    let page = test.read(&operation("CategoryPage"), iraq).await;
    assert_eq!(page.at("/category/path"), "العالم/العراق");
    assert!(page.at("/category/articles/nodes").as_array().unwrap().len() >= 7);
    let bridge = "{ articles(filter: { locale: \"en\", breaking: true }) { nodes { translations { locale } } } }";
    let told = test.read(bridge, json!({})).await.at("/articles/nodes/0/translations");
    let locales = |value: &serde_json::Value| value["locale"].as_str().unwrap().to_owned();
    let told: std::collections::BTreeSet<String> =
        told.as_array().unwrap().iter().map(locales).collect();
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["ar-IQ", "ckb-IQ"]);
    assert!(khabar::demo::load(&test.app).await.is_err(), "it is for an empty database");
}
