//! GraphQL over WebSocket.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::support::operation;
use crate::{Server, Socket};

#[tokio::test]
async fn a_socket_speaks_graphql_transport_ws() {
    let server = Server::start().await;
    let mut socket = server.socket().await;
    socket.init().await;
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.json().await, json!({ "type": "pong" }));
    socket
        .send(json!({ "id": "q", "type": "subscribe", "payload": { "query": "{ __typename }" } }))
        .await;
    let next =
        json!({ "id": "q", "type": "next", "payload": { "data": { "__typename": "Query" } } });
    assert_eq!(socket.json().await, next);
    assert_eq!(socket.json().await, json!({ "id": "q", "type": "complete" }));
    socket
        .send(json!({ "id": "e", "type": "subscribe", "payload": { "query": "{ nothing }" } }))
        .await;
    let error = socket.json().await;
    assert_eq!((error["type"].as_str(), error["id"].as_str()), (Some("error"), Some("e")));
    assert!(error["payload"][0]["message"].is_string());

    let payload =
        json!({ "query": operation("ArticlePublished"), "variables": { "locale": "ar-IQ" } });
    socket.send(json!({ "id": "s", "type": "subscribe", "payload": payload })).await;
    socket.send(json!({ "type": "ping" })).await;
    socket.json().await;
    server.newsroom.published("خبر عاجل").await;
    let event = socket.json().await;
    assert_eq!(event["payload"]["data"]["articlePublished"]["article"]["headline"], "خبر عاجل");
    socket.send(json!({ "id": "s", "type": "complete" })).await;
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.json().await["type"], "pong");
}

#[tokio::test]
async fn a_socket_is_closed_with_the_code_that_says_why() {
    let server = Server::start().await;
    let subscribe =
        json!({ "id": "1", "type": "subscribe", "payload": { "query": "{ __typename }" } });
    let listen = json!({ "id": "1", "type": "subscribe", "payload": {
        "query": operation("ArticlePublished"), "variables": { "locale": "ar-IQ" } } });
    let bad_token =
        json!({ "type": "connection_init", "payload": { "Authorization": "Bearer khs_nonsense" } });
    let init = json!({ "type": "connection_init" });
    for (messages, code) in [
        (vec![json!("text")], 4400),
        (vec![json!({ "type": "start" })], 4400),
        (vec![json!({ "type": "connection_init", "payload": 1 })], 4400),
        (vec![init.clone(), json!({ "type": "subscribe", "id": "1" })], 4400),
        (vec![subscribe], 4401),
        (vec![bad_token], 4403),
        (vec![init.clone(), init.clone()], 4429),
        (vec![init, listen.clone(), listen], 4409),
    ] {
        let mut socket = server.socket().await;
        for message in &messages {
            socket.send(message.clone()).await;
        }
        let closed = loop {
            match socket.next().await {
                Message::Close(Some(frame)) => break u16::from(frame.code),
                Message::Text(_) => {}
                other => panic!("unexpected: {other:?}"),
            }
        };
        assert_eq!(closed, code, "{messages:?}");
    }
    let mut wordy = server.socket().await;
    wordy.send(json!("x".repeat(70_000))).await;
    assert_eq!(wordy.close_code().await, 4400);
    let mut silent = server.socket().await;
    assert_eq!(silent.close_code().await, 4408);
    let url = format!("ws://{}/graphql", server.address);
    let mut other = Socket(tokio_tungstenite::connect_async(url).await.unwrap().0);
    assert_eq!(other.close_code().await, 4406);
}
