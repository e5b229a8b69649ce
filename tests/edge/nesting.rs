//! What nests so deep that reading it would take the stack, and the whole process with it.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{GRAPHQL, Server, subscribe};

const DEEP: usize = 2_500;

fn is_refused(error: &Value) {
    assert_eq!(error["extensions"]["code"], "DOCUMENT_TOO_COSTLY", "{error}");
    let message = error["message"].as_str().unwrap();
    let expected = "the document has 2502 levels of nesting in its text; at most 50 are allowed";
    assert_eq!(message, expected);
}

#[tokio::test]
async fn a_document_that_nests_is_refused_before_it_is_parsed_whichever_way_it_comes() {
    let server = Server::start().await;
    let deep = format!("{{ a(x: {}{}) }}", "[".repeat(DEEP), "]".repeat(DEEP));
    let (status, _, body) = server.post(GRAPHQL, json!({ "query": deep })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    is_refused(&body["errors"][0]);
    let (status, _, body) = server.get(&[("query", &deep)]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    is_refused(&body["errors"][0]);

    let mut url = url::Url::parse(&server.url("/graphql/stream")).unwrap();
    url.query_pairs_mut().append_pair("query", &deep);
    let by_get = server.client.get(url).header("accept", "text/event-stream");
    let by_get = by_get.send().await.unwrap();
    for stream in [by_get, server.stream(json!({ "query": deep })).await] {
        let text = stream.text().await.unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        is_refused(&serde_json::from_str::<Value>(data).unwrap()["errors"][0]);
        assert!(text.contains("event: complete"), "{text}");
    }

    let mut socket = server.socket().await;
    socket.init().await;
    socket.send(subscribe("deep", &deep, json!({}))).await;
    let error = socket.json().await;
    assert_eq!((error["type"].as_str(), error["id"].as_str()), (Some("error"), Some("deep")));
    is_refused(&error["payload"][0]);
    socket.send(subscribe("flat", "{ __typename }", json!({}))).await;
    assert_eq!(socket.json().await["payload"]["data"]["__typename"], "Query");
    let (status, _, _) = server.post(GRAPHQL, json!({ "query": "{ __typename }" })).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn variables_that_nest_are_refused_as_well() {
    let server = Server::start().await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let body = |depth| {
        let variables = format!("{{ \"x\": {} }}", nested(depth));
        format!("{{ \"query\": \"query($x: Int) {{ __typename }}\", \"variables\": {variables} }}")
    };
    let post = async |depth| {
        let request = server.client.post(server.url("/graphql"));
        let request = request.header("content-type", "application/json").body(body(depth));
        crate::answer(request.header("accept", GRAPHQL)).await
    };
    for depth in [100, 10_000, 200_000] {
        let (status, _, answer) = post(depth).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{depth}: {answer}");
    }
    for depth in [100, 10_000] {
        let variables = format!("{{ \"x\": {} }}", nested(depth));
        let query = [("query", "query($x: Int) { __typename }"), ("variables", &variables)];
        assert_eq!(server.get(&query).await.0, StatusCode::BAD_REQUEST, "{depth}");
    }
    let mut socket = server.socket().await;
    socket.init().await;
    let message =
        format!("{{ \"id\": \"1\", \"type\": \"subscribe\", \"payload\": {} }}", body(10_000));
    futures_util::SinkExt::send(&mut socket.0, message.into()).await.unwrap();
    assert_eq!(socket.close_code().await, 4400);
    assert_eq!(server.post(GRAPHQL, json!({ "query": "{ __typename }" })).await.0, StatusCode::OK);
}

#[tokio::test]
async fn lists_in_lists_are_priced() {
    let server = Server::start().await;
    let mut query = "id".to_owned();
    for _ in 0..3 {
        query = format!("category {{ articles(first: 100) {{ nodes {{ {query} }} }} }}");
    }
    let query = format!("query($n: Int) {{ articles(first: $n) {{ nodes {{ {query} }} }} }}");
    let request = json!({ "query": query, "variables": { "n": 100 } });
    let (status, _, body) = server.post(GRAPHQL, request).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["errors"][0]["extensions"]["code"], "DOCUMENT_TOO_COSTLY");
    let message = body["errors"][0]["message"].as_str().unwrap();
    assert!(message.ends_with("at most 20000 are allowed"), "{message}");
}

#[tokio::test]
async fn mutations_in_fragments_are_counted() {
    let server = Server::start().await;
    let fields: String = (0..11)
        .map(|i| format!("a{i}: pushSubscriptionDelete(token: \"x\") {{ deleted }} "))
        .collect();
    let query = format!("mutation {{ ...F }} fragment F on Mutation {{ ... {{ {fields} }} }}");
    let (_, _, body) = server.post(GRAPHQL, json!({ "query": query })).await;
    assert_eq!(
        body["errors"][0]["message"],
        "the document has 11 mutation fields; at most 10 are allowed"
    );
}
