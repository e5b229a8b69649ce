//! GraphQL over server-sent events, and how everything ends.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::Server;
use crate::support::operation;

#[tokio::test]
async fn a_stream_of_server_sent_events_resumes_by_its_id() {
    let server = Server::start().await;
    let body =
        json!({ "query": operation("ArticlePublished"), "variables": { "locale": "ar-IQ" } });
    let listen = async |last: Option<String>| {
        let mut request =
            server.client.post(server.url("/graphql/stream")).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.json(&body).send().await.unwrap();
        assert!(
            response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream")
        );
        response
    };
    let next = async |response: &mut reqwest::Response| {
        let mut text = String::new();
        while !text.contains("\n\n") {
            let chunk = tokio::time::timeout(Duration::from_secs(10), response.chunk())
                .await
                .unwrap()
                .unwrap();
            text.push_str(std::str::from_utf8(&chunk.expect("the stream ended")).unwrap());
        }
        text
    };
    let id_of =
        |event: &str| event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    let mut stream = listen(None).await;
    // The operation runs once its answer is read; let it begin before there is news.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.newsroom.published("أول").await;
    let first = next(&mut stream).await;
    assert!(first.contains("event: next") && first.contains("أول"), "{first}");
    drop(stream);
    server.newsroom.published("ثان").await;
    let mut stream = listen(Some(id_of(&first))).await;
    let second = next(&mut stream).await;
    assert!(second.contains("ثان") && id_of(&second) != id_of(&first), "{second}");

    let once =
        server.client.post(server.url("/graphql/stream")).header("accept", "text/event-stream");
    let once =
        once.json(&json!({ "query": "{ nothing }" })).send().await.unwrap().text().await.unwrap();
    assert!(
        once.starts_with("event: next\ndata: {\"errors\"") && once.contains("event: complete\n"),
        "{once}"
    );
    let wrong = server
        .client
        .post(server.url("/graphql/stream"))
        .header("accept", "application/json")
        .json(&body);
    assert_eq!(wrong.send().await.unwrap().status(), StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn a_drain_closes_sockets_with_a_reason_and_streams_with_an_end() {
    let server = Server::start().await;
    let mut socket = server.socket().await;
    socket.init().await;
    let body =
        json!({ "query": operation("ArticlePublished"), "variables": { "locale": "ar-IQ" } });
    let stream =
        server.client.post(server.url("/graphql/stream")).header("accept", "text/event-stream");
    let stream = stream.json(&body).send().await.unwrap();
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
    assert_eq!(stream.text().await.unwrap(), "");
    drop(socket);
    tokio::time::timeout(Duration::from_secs(10), server.ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing more is accepted");
}
