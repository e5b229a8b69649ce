//! What goes wrong inside stays inside, and is logged once.

use std::io::Write;
use std::sync::{Arc, Mutex};

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::operation;
use crate::{GRAPHQL, Server, subscribe};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_broken_table_is_hidden_from_every_kind_of_client_and_logged_once() {
    let server = Server::start().await;
    let db = server.newsroom.test.app.db.connection();
    db.execute_unprepared("ALTER TABLE editions RENAME TO editions_away").await.unwrap();
    let log = Log::default();
    let logging = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let logging = tracing::subscriber::set_default(logging);

    let variables = json!({ "locale": "ar-IQ" });
    let listen = json!({ "query": operation("ArticlePublished"), "variables": variables });
    let stream = server.stream(listen).await.text().await.unwrap();
    let data = stream.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let mut socket = server.socket().await;
    socket.init().await;
    socket.send(subscribe("1", &operation("ArticlePublished"), variables.clone())).await;
    let by_socket = socket.json().await;
    socket.send(subscribe("2", &operation("FrontPage"), variables.clone())).await;
    assert_eq!(socket.json().await, json!({ "id": "1", "type": "complete" }));
    let queried = socket.json().await;
    let page = json!({ "query": operation("FrontPage"), "variables": variables });
    let (_, _, posted) = server.post(GRAPHQL, page).await;
    drop(logging);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let streamed: Value = serde_json::from_str(data).unwrap();
    let answers = [&streamed, &by_socket["payload"], &queried["payload"], &posted];
    for answer in answers {
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], "INTERNAL", "{answer}");
        let shown = answer.to_string();
        assert!(!shown.contains("table") && !shown.contains("relation"), "{shown}");
        let id = error["extensions"]["requestId"].as_str().unwrap();
        assert_eq!(id.len(), 16, "{answer}");
        let told = |line: &&str| line.contains("a resolver failed") && line.contains(id);
        let lines: Vec<&str> = log.lines().filter(told).collect();
        let of_socket =
            usize::from(id == by_socket["payload"]["errors"][0]["extensions"]["requestId"]);
        assert_eq!(lines.len(), 1 + of_socket, "a socket's operations share its id: {log}");
        assert!(lines[0].contains("editions"), "the log tells why: {log}");
    }
}
