//! The edge over real connections: GraphQL over HTTP, WebSocket and server-sent events.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail so")]

#[allow(dead_code, unused_imports, reason = "shared with tests/api, which uses the rest")]
#[path = "api/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use khabar::actions::create_user::create_first_admin;
use khabar::http::{self, Edge};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use support::{Newsroom, TestApp, operation};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, http::HeaderValue};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const GRAPHQL: &str = "application/graphql-response+json";

struct Server {
    newsroom: Newsroom,
    address: SocketAddr,
    draining: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
    client: Client,
}

impl Server {
    async fn start() -> Self {
        let settings = "admin_password = \"a long password\"\nsign_ins_per_minute = 3";
        let newsroom = TestApp::start_with(settings).await.found().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let draining = CancellationToken::new();
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let edge = Edge {
            app: newsroom.test.app.clone(),
            schema: newsroom.test.schema.clone(),
            metrics: recorder.handle(),
            health: Arc::default(),
            draining: draining.clone(),
            sockets: TaskTracker::new(),
        };
        let sockets = edge.sockets.clone();
        let serving = http::server::serve(listener, http::router(edge), draining.clone());
        let ended = tokio::spawn(async move {
            serving.await;
            sockets.close();
            sockets.wait().await;
        });
        Self { newsroom, address, draining, ended, client: Client::new() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn post(&self, accept: &str, body: Value) -> (StatusCode, String, Value) {
        let request = self.client.post(self.url("/graphql")).header("accept", accept).json(&body);
        answer(request).await
    }

    async fn get(&self, query: &[(&str, &str)]) -> (StatusCode, String, Value) {
        let mut url = url::Url::parse(&self.url("/graphql")).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        answer(self.client.get(url).header("accept", GRAPHQL)).await
    }

    async fn socket(&self) -> Socket {
        let mut request = format!("ws://{}/graphql", self.address).into_client_request().unwrap();
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        Socket(tokio_tungstenite::connect_async(request).await.unwrap().0)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, String, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let media =
        response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let body = response.text().await.unwrap();
    let json = serde_json::from_str(&body).unwrap_or(Value::String(body));
    (status, media.unwrap_or_default(), json)
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(15), self.0.next()).await;
            match next.expect("nothing came").expect("the socket ended").unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    async fn json(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("unexpected: {other:?}"),
        }
    }

    async fn close_code(&mut self) -> u16 {
        match self.next().await {
            Message::Close(Some(frame)) => frame.code.into(),
            other => panic!("unexpected: {other:?}"),
        }
    }

    async fn init(&mut self) {
        self.send(json!({ "type": "connection_init" })).await;
        assert_eq!(self.json().await, json!({ "type": "connection_ack" }));
    }
}

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
    let (status, _, _) = answer(large.body("x".repeat(600 * 1_024))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let put = server.client.request(Method::PUT, server.url("/graphql")).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
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
    let mut silent = server.socket().await;
    assert_eq!(silent.close_code().await, 4408);
    let url = format!("ws://{}/graphql", server.address);
    let mut other = Socket(tokio_tungstenite::connect_async(url).await.unwrap().0);
    assert_eq!(other.close_code().await, 4406);
}

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

#[tokio::test]
async fn the_pages_for_people_and_machines() {
    let server = Server::start().await;
    for (path, media, part) in [
        ("/", "text/html", "Khabar"),
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
