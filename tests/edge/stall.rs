//! Clients that do not read, go away or ask for too much, and everybody else.

use std::time::Duration;

use khabar::actions::create_article::create_article;
use khabar::domain::body::Body;
use khabar::domain::viewer::Viewer;
use reqwest::StatusCode;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::json;
use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

use crate::support::fixtures::article_id;
use crate::support::operation;
use crate::{GRAPHQL, MUTATION, Server, Socket, answer, subscribe};

/// A document that is answered with some twenty megabytes.
async fn large(server: &Server) -> String {
    let newsroom = &server.newsroom;
    let mut story = newsroom.story("خبر طويل");
    story.text.body = Body::from_plain_text(&"كلمة ".repeat(19_000));
    let article = create_article(&newsroom.test.app, &Viewer::System, story).await.unwrap();
    newsroom.publish(article.id).await;
    let id = article_id(article.id);
    let fields =
        (0..60).map(|i| format!("a{i}: article(id: \"{id}\") {{ body {{ html text }} }} "));
    format!("{{ {} }}", fields.collect::<String>())
}

#[tokio::test]
async fn who_does_not_read_keeps_nobody_from_writing() {
    let server = Server::start().await;
    let large = large(&server).await;
    let connection = TcpSocket::new_v4().unwrap();
    connection.set_recv_buffer_size(4_096).unwrap();
    let mut deaf = Socket::over(connection.connect(server.address).await.unwrap()).await;
    deaf.init().await;

    // The mutation waits for its turn to write; meanwhile the answer fills all buffers.
    let held = server.hold_writers().await;
    deaf.send(subscribe("write", MUTATION, json!({}))).await;
    sleep(Duration::from_millis(300)).await;
    deaf.send(subscribe("read", &large, json!({}))).await;
    sleep(Duration::from_secs(3)).await;
    drop(held);
    let other = server.post(GRAPHQL, json!({ "query": MUTATION }));
    let (status, _, body) = timeout(Duration::from_secs(3), other).await.expect("it has to wait");
    assert_eq!(
        (status, &body["data"]["pushSubscriptionDelete"]["deleted"]),
        (StatusCode::OK, &json!(true))
    );
}

#[tokio::test]
async fn a_mutation_goes_on_when_its_client_goes_away() {
    let server = Server::start().await;
    let article = server.newsroom.published("خبر").await;
    let comment = |body: &str| {
        let input =
            json!({ "article": article_id(article.id), "authorName": "قارئ", "body": body });
        (operation("CommentCreate"), json!({ "input": input }))
    };
    let held = server.hold_writers().await;
    let (query, variables) = comment("بالمقبس");
    let mut socket = server.socket().await;
    socket.init().await;
    socket.send(subscribe("1", &query, variables)).await;
    let (query, variables) = comment("بالطلب");
    let request = server.client.post(server.url("/graphql")).timeout(Duration::from_millis(500));
    let request = request.json(&json!({ "query": query, "variables": variables }));
    assert!(request.send().await.unwrap_err().is_timeout());
    drop(socket);
    sleep(Duration::from_millis(300)).await;
    drop(held);

    let count = json!({ "query": "query($id: ID!) { article(id: $id) { commentCount } }",
        "variables": { "id": article_id(article.id) } });
    for _ in 0..50 {
        if server.post(GRAPHQL, count.clone()).await.2["data"]["article"]["commentCount"] == 2 {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("{}", server.post(GRAPHQL, count).await.2);
}

#[tokio::test]
async fn what_nobody_waits_for_ends_at_once() {
    let server = Server::start().await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let settled = async |expected: usize| {
        for _ in 0..50 {
            if tasks() == expected {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("{} tasks, not {expected}", tasks());
    };
    let mut socket = server.socket().await;
    socket.init().await;
    let listen =
        |id: &str| subscribe(id, &operation("ArticlePublished"), json!({ "locale": "ar-IQ" }));
    // The pool gives connections back in tasks of its own, which come and go.
    let mut before = tasks();
    let mut alike = 0;
    while alike < 10 {
        sleep(Duration::from_millis(20)).await;
        alike = if tasks() == before { alike + 1 } else { 0 };
        before = tasks();
    }
    for id in ["1", "2", "3"] {
        socket.send(listen(id)).await;
    }
    settled(before + 3).await;
    socket.send(json!({ "id": "1", "type": "complete" })).await;
    socket.send(json!({ "id": "2", "type": "complete" })).await;
    settled(before + 1).await;

    // The id is free again, and what the first one had to tell is not told in its name.
    socket.send(subscribe("1", "{ __typename }", json!({}))).await;
    assert_eq!(socket.json().await["payload"], json!({ "data": { "__typename": "Query" } }));
    assert_eq!(socket.json().await, json!({ "id": "1", "type": "complete" }));
    server.newsroom.published("خبر").await;
    assert_eq!(socket.json().await["id"], "3");
    drop(socket);
    // The session itself ends as well, and its connection.
    for _ in 0..50 {
        if tasks() < before {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("{} tasks of {before}", tasks());
}

#[tokio::test]
async fn a_query_has_its_time() {
    let server = Server::start().await;
    let db = &server.newsroom.test.app.db;
    let mut held = vec![db.connection().begin().await.unwrap()];
    if db.is_postgres() {
        held[0].execute_unprepared("LOCK TABLE editions IN ACCESS EXCLUSIVE MODE").await.unwrap();
    } else {
        // Nothing on SQLite keeps a reader waiting but the lack of a connection.
        while let Ok(another) = timeout(Duration::from_millis(300), db.connection().begin()).await {
            held.push(another.unwrap());
        }
    }
    let query = json!({ "query": "{ editions { name } }" });
    let post = async |accept: &str| {
        let request = server.client.post(server.url("/graphql")).header("accept", accept);
        answer(request.json(&query)).await
    };
    let by_socket = async {
        let mut socket = server.socket().await;
        socket.init().await;
        socket.send(subscribe("1", "{ editions { name } }", json!({}))).await;
        socket.json().await
    };
    let (strict, lenient, by_socket) =
        tokio::join!(post(GRAPHQL), post("application/json"), by_socket);
    assert_eq!((strict.0, lenient.0), (StatusCode::GATEWAY_TIMEOUT, StatusCode::OK));
    assert_eq!(by_socket["type"], "error");
    for error in [&strict.2["errors"][0], &lenient.2["errors"][0], &by_socket["payload"][0]] {
        assert_eq!(error["extensions"]["code"], "TIMEOUT", "{error}");
        assert_eq!(error["message"], "the answer was not ready within 10s; ask for less at once");
    }
    drop(held);
    assert_eq!(post(GRAPHQL).await.0, StatusCode::OK);
}
