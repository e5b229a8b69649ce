//! Answers of push services: the head says what became of a message, and the body is read to a bound.

use bytes::Bytes;
use h2::RecvStream;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::HeaderMap;

/// Bytes of an answer that are read: enough to keep the connection, too few to be drowned.
pub(super) const MAX_ANSWER: u32 = 64 * 1_024;

/// What a push service answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// Reads an answer of HTTP/2 to its end, but not for ever.
pub(super) async fn discard_shared(mut body: RecvStream) {
    let mut left = MAX_ANSWER as usize;
    while !body.is_end_stream() {
        let Some(Ok(data)) = body.data().await else { return };
        if data.len() > left || body.flow_control().release_capacity(data.len()).is_err() {
            return;
        }
        left -= data.len();
    }
}

/// Reads an answer to its end, so that the connection can serve again, but not for ever. Whether it
/// got there.
pub(super) async fn discard(mut body: Incoming) -> bool {
    let mut left = MAX_ANSWER as usize;
    while !body.is_end_stream() {
        let frame = match body.frame().await {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return false,
            None => return true,
        };
        let read = frame.data_ref().map_or(0, Bytes::len);
        if read > left {
            return false;
        }
        left -= read;
    }
    true
}
