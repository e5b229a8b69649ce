//! GraphQL over HTTP, and the pages beside it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{GRAPHQL, Server, answer};

#[tokio::test]
async fn status_and_media_type_follow_the_specification() {
    let server = Server::start().await;
    let good = json!({ "query": "{ __typename }" });
    let (status, media, body) = server.post(GRAPHQL, good.clone()).await;
    assert_eq!((status, body), (StatusCode::OK, json!({ "data": { "__typename": "Query" } })));
    assert_eq!(media, "application/graphql-response+json; charset=utf-8");
    let (_, media, _) = server.post("application/json", good.clone()).await;
    assert_eq!(media, "application/json; charset=utf-8");

    for (query, status) in
        [("{", 400), ("{ nothing }", 400), ("query A { __typename } query B { __typename }", 400)]
    {
        let (strict, _, body) = server.post(GRAPHQL, json!({ "query": query })).await;
        assert_eq!(strict.as_u16(), status, "{query}");
        assert!(body.get("data").is_none() && body["errors"].is_array(), "{body}");
        let (lenient, _, _) = server.post("application/json", json!({ "query": query })).await;
        assert_eq!(lenient, StatusCode::OK, "{query}");
    }
    for bad in [
        json!({}),
        json!({ "query": 1 }),
        json!({ "query": "{ __typename }", "operationName": 1 }),
        json!({ "query": "{ __typename }", "variables": "x" }),
        json!({ "query": "{ __typename }", "extensions": [] }),
        json!([good.clone()]),
        json!("text"),
    ] {
        assert_eq!(
            server.post("application/json", bad.clone()).await.0,
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
    let nulls = json!({ "query": "{ __typename }", "operationName": null, "variables": null, "extensions": null });
    assert_eq!(server.post(GRAPHQL, nulls).await.0, StatusCode::OK);
    let (_, media, _) = server.post(GRAPHQL, json!({})).await;
    assert_eq!(media, "application/graphql-response+json; charset=utf-8", "refusals as well");
    assert_eq!(server.post("text/html", good).await.0, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn nothing_changes_by_get_or_by_a_form() {
    let server = Server::start().await;
    let (status, _, body) = server
        .get(&[
            ("query", "query A { __typename } query B { editions { locale } }"),
            ("operationName", "B"),
        ])
        .await;
    assert_eq!(
        (status, body["data"]["editions"][0]["locale"].as_str()),
        (StatusCode::OK, Some("ar-IQ"))
    );
    let sign_out = "mutation { signOut { signedOut } }";
    assert_eq!(server.get(&[("query", sign_out)]).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let both = format!("query A {{ __typename }} {}", sign_out.replace("mutation", "mutation B"));
    assert_eq!(
        server.get(&[("query", &both), ("operationName", "B")]).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        server.get(&[("query", "{ __typename }"), ("variables", "{")]).await.0,
        StatusCode::BAD_REQUEST
    );

    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
    ] {
        let request =
            server.client.post(server.url("/graphql")).header("content-type", content_type);
        let (status, _, _) = answer(request.body("{\"query\":\"{ __typename }\"}")).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    let large =
        server.client.post(server.url("/graphql")).header("content-type", "application/json");
    let (status, _, body) = answer(large.body("x".repeat(600 * 1_024))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(body["errors"][0]["extensions"]["code"], "PAYLOAD_TOO_LARGE");
    let put = server.client.request(Method::PUT, server.url("/graphql")).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put.headers()["allow"], "GET,HEAD,POST");
}

#[tokio::test]
async fn a_document_that_multiplies_is_refused_at_once() {
    let server = Server::start().await;
    let mut query = "query { ...F0 }".to_owned();
    for level in 0..6 {
        query.push_str(&format!(
            " fragment F{level} on Query {{ {} }}",
            format!("...F{} ", level + 1).repeat(20)
        ));
    }
    query.push_str(" fragment F6 on Query { __typename }");
    let request = server.post(GRAPHQL, json!({ "query": query }));
    let (status, _, body) = tokio::time::timeout(Duration::from_secs(10), request).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["errors"][0]["extensions"]["code"], "DOCUMENT_TOO_COSTLY");
}

#[tokio::test]
async fn the_pages_for_people_and_machines() {
    let server = Server::start().await;
    for (path, media, part) in [
        ("/developers", "text/html", "Khabar"),
        ("/health/live", "text/plain", "alive"),
        ("/health/ready", "application/json", "\"database\":true"),
        ("/schema.graphql", "text/plain", "type Article"),
        ("/metrics", "text/plain", ""),
    ] {
        let response = server.client.get(server.url(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with(media), "{path}");
        assert_eq!(response.headers()["x-request-id"].len(), 16);
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert!(response.text().await.unwrap().contains(part), "{path}");
    }
    let page = server
        .client
        .get(server.url("/graphql"))
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert!(page.text().await.unwrap().contains("GraphiQL"));
    let nowhere = server.client.get(server.url("/nowhere")).send().await.unwrap();
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn other_sites_may_ask_after_asking_whether_they_may() {
    let server = Server::start().await;
    for path in ["/graphql", "/graphql/stream"] {
        let ask = server.client.request(Method::OPTIONS, server.url(path));
        let ask = ask.header("origin", "https://other.example");
        let ask = ask.header("access-control-request-method", "POST");
        let answer = ask.header("access-control-request-headers", "content-type").send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let allowed = answer.headers()["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.contains("content-type"), "{allowed}");
    }
}

#[tokio::test]
async fn fields_come_in_the_order_in_which_they_were_asked_for() {
    let server = Server::start().await;
    let body = json!({ "query": "{ b: __typename a: __typename }" });
    let request = server.client.post(server.url("/graphql")).json(&body);
    let text = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(text, r#"{"data":{"b":"Query","a":"Query"}}"#);
}
