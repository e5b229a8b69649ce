//! How long the server waits for clients that send nothing, or only half of something.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Server;

/// What the server said until it hung up, at the latest a little after its limit of ten seconds.
async fn last_words(server: &Server, sent: &[u8]) -> String {
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(sent).await.unwrap();
    let mut said = Vec::new();
    let ended = connection.read_to_end(&mut said);
    tokio::time::timeout(Duration::from_secs(14), ended).await.expect("still open").unwrap();
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn who_sends_nothing_or_half_of_something_is_not_waited_for() {
    let server = Server::start().await;
    let half_body = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        content-length: 100\r\n\r\n{";
    let (nothing, half_preface, half_head, half_body) = tokio::join!(
        last_words(&server, b""),
        last_words(&server, b"PRI * HT"),
        last_words(&server, b"GET / HT"),
        last_words(&server, half_body),
    );
    assert_eq!((nothing.as_str(), half_preface.as_str(), half_head.as_str()), ("", "", ""));
    assert!(half_body.starts_with("HTTP/1.1 408 "), "{half_body}");
    assert!(half_body.contains("\"code\":\"REQUEST_TIMEOUT\""), "{half_body}");
}
