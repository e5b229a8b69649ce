//! Who is asking.

use khabar::actions::create_user::create_first_admin;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::fixtures::article_id;
use crate::support::operation;
use crate::{GRAPHQL, Server, answer, subscribe};

#[tokio::test]
async fn staff_sign_in_and_out() {
    let server = Server::start().await;
    create_first_admin(&server.newsroom.test.app).await.unwrap();
    let sign_in = async |password: &str| {
        let input = json!({ "email": " Admin@Khabar.example", "password": password });
        let body = json!({ "query": operation("SignIn"), "variables": { "input": input } });
        server.post(GRAPHQL, body).await.2
    };
    let wrong = sign_in("another password").await;
    assert_eq!(wrong["data"]["signIn"]["userErrors"][0]["code"], "WRONG_CREDENTIALS");
    let right = sign_in("a long password").await;
    let token = right["data"]["signIn"]["token"].as_str().unwrap().to_owned();
    assert_eq!(right["data"]["signIn"]["user"]["roles"], json!(["ADMIN"]));

    let ask = async |token: &str, query: &str| {
        let request = server
            .client
            .post(server.url("/graphql"))
            .bearer_auth(token)
            .json(&json!({ "query": query }));
        answer(request).await
    };
    assert_eq!(
        ask(&token, "{ viewer { email } }").await.2["data"]["viewer"]["email"],
        "admin@khabar.example"
    );
    assert_eq!(ask("khs_nonsense", "{ viewer { email } }").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(
        ask(&token, "mutation { signOut { signedOut } }").await.2["data"]["signOut"]["signedOut"],
        true
    );
    assert_eq!(ask(&token, "{ viewer { email } }").await.0, StatusCode::UNAUTHORIZED);

    sign_in("another password").await;
    let limited = sign_in("a long password").await;
    assert_eq!(limited["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{limited}");
    assert!(limited["errors"][0]["extensions"]["retryAfter"].as_u64().unwrap() >= 1);
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let server = Server::start().await;
    create_first_admin(&server.newsroom.test.app).await.unwrap();
    let input = json!({ "email": "admin@khabar.example", "password": "a long password" });
    let body = json!({ "query": operation("SignIn"), "variables": { "input": input } });
    let token =
        server.post(GRAPHQL, body).await.2["data"]["signIn"]["token"].as_str().unwrap().to_owned();
    server.newsroom.test.advance(chrono::TimeDelta::days(31));
    let request = server.client.post(server.url("/graphql")).bearer_auth(token);
    let (status, _, _) = answer(request.json(&json!({ "query": "{ __typename }" }))).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn signing_out_reaches_open_sockets() {
    let server = Server::start().await;
    create_first_admin(&server.newsroom.test.app).await.unwrap();
    let input = json!({ "email": "admin@khabar.example", "password": "a long password" });
    let body = json!({ "query": operation("SignIn"), "variables": { "input": input } });
    let token =
        server.post(GRAPHQL, body).await.2["data"]["signIn"]["token"].as_str().unwrap().to_owned();
    let draft = server.newsroom.draft("مسودة").await;
    let publish = json!({ "id": article_id(draft.id) });

    let mut socket = server.socket().await;
    let authorization = json!({ "Authorization": format!("Bearer {token}") });
    socket.send(json!({ "type": "connection_init", "payload": authorization })).await;
    assert_eq!(socket.json().await["type"], "connection_ack");
    socket.send(subscribe("1", "{ viewer { email } }", json!({}))).await;
    assert_eq!(socket.json().await["payload"]["data"]["viewer"]["email"], "admin@khabar.example");
    assert_eq!(socket.json().await["type"], "complete");

    let sign_out = json!({ "query": "mutation { signOut { signedOut } }" });
    let request = server.client.post(server.url("/graphql")).bearer_auth(token).json(&sign_out);
    assert_eq!(answer(request).await.2["data"]["signOut"]["signedOut"], true);
    socket.send(subscribe("2", &operation("ArticlePublish"), publish)).await;
    assert_eq!(socket.close_code().await, 4403);
    let article = json!({ "query": "query($id: ID!) { article(id: $id) { state } }",
        "variables": { "id": article_id(draft.id) } });
    assert_eq!(server.post(GRAPHQL, article).await.2["data"]["article"], json!(null));
}
