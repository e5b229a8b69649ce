//! Whose attempts count together, with and without a proxy in front.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::operation;
use crate::{Server, answer};

async fn try_to_sign_in(server: &Server, header: &'static str, value: &str) -> Value {
    let input = json!({ "email": "nobody@news.example", "password": "not the password" });
    let body = json!({ "query": operation("SignIn"), "variables": { "input": input } });
    let mut headers = HeaderMap::new();
    headers.insert(header, value.parse().unwrap());
    answer(server.client.post(server.url("/graphql")).headers(headers).json(&body)).await.2
}

fn is_limited(answer: &Value) -> bool {
    answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_counts_for_itself() {
    let server = Server::start_with("trusted_proxies = [\"127.0.0.0/8\"]").await;
    for client in 1..=5 {
        let claim = format!("198.51.100.9, 192.0.2.{client}");
        assert!(!is_limited(&try_to_sign_in(&server, "x-forwarded-for", &claim).await), "{claim}");
    }
    for _ in 0..2 {
        let claim = "for=192.0.2.1;proto=https";
        assert!(!is_limited(&try_to_sign_in(&server, "forwarded", claim).await));
    }
    let claim = "203.0.113.1, 192.0.2.1";
    assert!(is_limited(&try_to_sign_in(&server, "x-forwarded-for", claim).await), "the fourth");
}

#[tokio::test]
async fn without_one_nobody_is_believed() {
    let server = Server::start().await;
    for client in 1..=3 {
        let claim = format!("192.0.2.{client}");
        assert!(!is_limited(&try_to_sign_in(&server, "x-forwarded-for", &claim).await));
    }
    assert!(is_limited(&try_to_sign_in(&server, "x-forwarded-for", "192.0.2.4").await));
}
