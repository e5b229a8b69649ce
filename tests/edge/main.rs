//! The edge over real connections: GraphQL over HTTP, WebSocket and server-sent events.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail so")]

#[allow(dead_code, unused_imports, reason = "shared with tests/api, which uses the rest")]
#[path = "../api/support/mod.rs"]
mod support;

mod drain;
mod http;
mod inside;
mod metrics;
mod nesting;
mod opt_out;
mod patience;
mod proxy;
mod session;
mod site;
mod socket;
mod stall;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use khabar::http::{Edge, Metrics};
use khabar::storage::Change;
use metrics_exporter_prometheus::PrometheusHandle;
use reqwest::{Client, StatusCode};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use support::{Newsroom, TestApp};
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
        Self::start_with("").await
    }

    async fn start_with(settings: &str) -> Self {
        let settings =
            format!("admin_password = \"a long password\"\nsign_ins_per_minute = 3\n{settings}");
        let newsroom = TestApp::start_with(&settings).await.found().await;
        let (address, draining, ended) = serve(&newsroom.test).await;
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

    async fn stream(&self, body: Value) -> reqwest::Response {
        let request = self.client.post(self.url("/graphql/stream"));
        request.header("accept", "text/event-stream").json(&body).send().await.unwrap()
    }

    async fn socket(&self) -> Socket {
        Socket::over(TcpStream::connect(self.address).await.unwrap()).await
    }

    /// Keeps every change but its own waiting, until it is dropped.
    async fn hold_writers(&self) -> Change {
        let app = &self.newsroom.test.app;
        let change = app.begin().await.unwrap();
        if app.db.is_postgres() {
            let lock = "LOCK TABLE comments, push_subscriptions IN ACCESS EXCLUSIVE MODE";
            change.transaction().execute_unprepared(lock).await.unwrap();
        }
        change
    }
}

/// A mutation that waits for writers that are held.
const MUTATION: &str = "mutation { pushSubscriptionDelete(token: \"none\") { deleted } }";

fn subscribe(id: &str, query: &str, variables: Value) -> Value {
    let payload = json!({ "query": query, "variables": variables });
    json!({ "id": id, "type": "subscribe", "payload": payload })
}

/// Serves an application on a port of its own.
async fn serve(test: &TestApp) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    serve_counted(test, recorder.handle()).await
}

/// Serves it with what a recorder counts.
async fn serve_counted(
    test: &TestApp,
    counted: PrometheusHandle,
) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let draining = CancellationToken::new();
    let edge = Edge {
        app: test.app.clone(),
        schema: test.schema.clone(),
        metrics: Metrics::new(test.app.clone(), counted),
        health: Arc::default(),
        draining: draining.clone(),
        under_way: TaskTracker::new(),
    };
    let under_way = edge.under_way.clone();
    let serving =
        khabar::http::server::serve(listener, khabar::http::router(edge), draining.clone());
    let ended = tokio::spawn(async move {
        serving.await;
        under_way.close();
        under_way.wait().await;
    });
    (address, draining, ended)
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
    async fn over(connection: TcpStream) -> Self {
        let address = connection.peer_addr().unwrap();
        let mut request = format!("ws://{address}/graphql").into_client_request().unwrap();
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let connection = MaybeTlsStream::Plain(connection);
        Self(tokio_tungstenite::client_async(request, connection).await.unwrap().0)
    }

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
