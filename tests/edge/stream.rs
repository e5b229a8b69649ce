//! GraphQL over server-sent events.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::Server;
use crate::support::operation;

/// The blocks of an event stream as they come.
struct Blocks {
    response: reqwest::Response,
    text: String,
}

impl Blocks {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        let media = response.headers()["content-type"].to_str().unwrap();
        assert!(media.starts_with("text/event-stream"), "{media}");
        Self { response, text: String::new() }
    }

    async fn next(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return block;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.chunk());
            let chunk = chunk.await.expect("nothing came").unwrap().expect("the stream ended");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn next_event(&mut self) -> String {
        loop {
            let block = self.next().await;
            if block.contains("event: ") {
                return block;
            }
        }
    }
}

fn id_of(block: &str) -> String {
    block.lines().find_map(|line| line.strip_prefix("id: ")).expect(block).to_owned()
}

#[tokio::test]
async fn a_stream_of_server_sent_events_resumes_by_its_id() {
    let server = Server::start().await;
    let body =
        json!({ "query": operation("ArticlePublished"), "variables": { "locale": "ar-IQ" } });
    let listen = async |last: Option<String>| {
        let request = server.client.post(server.url("/graphql/stream")).json(&body);
        Blocks::of(match last {
            Some(last) => request.header("last-event-id", last),
            None => request,
        })
        .await
    };
    let mut stream = listen(None).await;
    // Where it begins is said at once: what a browser sends back that has heard nothing else.
    let opening = stream.next().await;
    assert_eq!(opening, format!("id: {}", id_of(&opening)));
    drop(stream);
    server.newsroom.published("أول").await;
    let mut stream = listen(Some(id_of(&opening))).await;
    let first = stream.next_event().await;
    assert!(first.contains("event: next") && first.contains("أول"), "{first}");
    assert!(first.contains(&format!("\"eventId\":\"{}\"", id_of(&first))), "{first}");
    drop(stream);
    server.newsroom.published("ثان").await;
    let mut stream = listen(Some(id_of(&first))).await;
    let second = stream.next_event().await;
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
async fn a_browser_that_repeats_its_address_resumes_from_what_it_heard_last() {
    let server = Server::start().await;
    let (_, _, newest) = server.get(&[("query", "{ newestEventId }")]).await;
    let after = newest["data"]["newestEventId"].as_str().unwrap().to_owned();
    let mut url = url::Url::parse(&server.url("/graphql/stream")).unwrap();
    // Not a word of eventId: the transport tells ids all the same.
    let query = "subscription($after: ID) { articlePublished(locale: \"ar-IQ\", after: $after) \
                 { article { headline } } }";
    url.query_pairs_mut()
        .append_pair("query", query)
        .append_pair("variables", &json!({ "after": after }).to_string());
    server.newsroom.published("أول").await;
    server.newsroom.published("ثان").await;

    let mut stream = Blocks::of(server.client.get(url.clone())).await;
    let first = stream.next_event().await;
    assert!(first.contains("أول"), "from the address: {first}");
    drop(stream);
    let again = server.client.get(url).header("last-event-id", id_of(&first));
    let mut stream = Blocks::of(again).await;
    let second = stream.next_event().await;
    assert!(second.contains("ثان"), "from the header, which is later: {second}");
}
