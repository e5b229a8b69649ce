//! How everything ends: nothing that was accepted is cut.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::support::operation;
use crate::{MUTATION, Server, subscribe};

#[tokio::test]
async fn a_drain_closes_sockets_with_a_reason_and_streams_with_an_end() {
    let server = Server::start().await;
    let mut socket = server.socket().await;
    socket.init().await;
    let body =
        json!({ "query": operation("ArticlePublished"), "variables": { "locale": "ar-IQ" } });
    let stream = server.stream(body).await;
    server.draining.cancel();
    match socket.next().await {
        Message::Close(Some(frame)) => {
            assert_eq!(
                (u16::from(frame.code), frame.reason.as_str()),
                (1001, "Server is restarting; connect again")
            );
        }
        other => panic!("unexpected: {other:?}"),
    }
    let text = stream.text().await.unwrap();
    assert!(!text.contains("event: complete"), "the client must come again: {text}");
    drop(socket);
    timeout(Duration::from_secs(10), server.ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing more is accepted");
}

#[tokio::test]
async fn a_mutation_is_finished_and_answered_before_its_socket_closes() {
    let server = Server::start().await;
    let mut socket = server.socket().await;
    socket.init().await;
    let held = server.hold_writers().await;
    let variables = json!({ "locale": "ar-IQ" });
    socket.send(subscribe("listen", &operation("ArticlePublished"), variables)).await;
    socket.send(subscribe("write", MUTATION, json!({}))).await;
    sleep(Duration::from_millis(300)).await;
    server.draining.cancel();
    sleep(Duration::from_millis(300)).await;
    socket.send(subscribe("late", MUTATION, json!({}))).await;
    sleep(Duration::from_millis(300)).await;
    drop(held);

    let next = socket.json().await;
    assert_eq!(next["payload"]["data"]["pushSubscriptionDelete"]["deleted"], true, "{next}");
    assert_eq!(socket.json().await, json!({ "id": "write", "type": "complete" }));
    assert_eq!(socket.close_code().await, 1001, "neither listening nor what came late is answered");
    drop(socket);
    timeout(Duration::from_secs(10), server.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_mutation_is_finished_and_answered_before_its_stream_ends() {
    let server = Server::start().await;
    let held = server.hold_writers().await;
    let stream = server.stream(json!({ "query": MUTATION })).await;
    sleep(Duration::from_millis(300)).await;
    server.draining.cancel();
    sleep(Duration::from_millis(300)).await;
    drop(held);
    assert_eq!(
        stream.text().await.unwrap(),
        "event: next\ndata: {\"data\":{\"pushSubscriptionDelete\":{\"deleted\":true}}}\n\n\
         event: complete\ndata: \ndata: \n\n"
    );
    timeout(Duration::from_secs(10), server.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_mutation_whose_client_has_gone_is_waited_for() {
    let server = Server::start().await;
    let held = server.hold_writers().await;
    let mut socket = server.socket().await;
    socket.init().await;
    socket.send(subscribe("write", MUTATION, json!({}))).await;
    sleep(Duration::from_millis(300)).await;
    drop(socket);
    server.draining.cancel();
    let mut ended = server.ended;
    assert!(timeout(Duration::from_secs(1), &mut ended).await.is_err(), "it was cut");
    drop(held);
    timeout(Duration::from_secs(10), ended).await.unwrap().unwrap();
}
