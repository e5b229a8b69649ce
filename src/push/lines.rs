//! Lines: the connections to one origin, in HTTP/2 or in HTTP/1.1, and which of them takes the next
//! message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http_body_util::Full;
use hyper::client::conn::http1;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::connection::Connection;
use super::post::Post;

/// Messages on one connection of HTTP/2 before the next one is opened: what most services allow.
const STREAMS: usize = 100;
/// Connections of HTTP/2 to one origin.
const CONNECTIONS: usize = 8;
/// How long a connection is kept that nobody uses.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// The connections to one origin.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    /// Those of HTTP/2, which are filled in order.
    shared: Vec<SharedLine>,
    /// Those of HTTP/1.1 that nobody uses, and since when.
    resting: Vec<(http1::SendRequest<Full<Bytes>>, Instant)>,
    /// How many are being opened.
    opening: usize,
    /// Whether the last one that was opened spoke HTTP/2; nothing is known before.
    is_shared: Option<bool>,
}

#[derive(Debug)]
struct SharedLine {
    requests: SendRequest<Bytes>,
    /// Each message that is under way has a clone.
    place: Arc<()>,
    used: Instant,
}

/// What comes next for a message.
pub(super) enum Step<'a> {
    /// It has a line.
    Begun(Begun<'a>),
    /// It is to open one.
    Open(Opening<'a>),
    /// It waits until one has room.
    Wait,
}

/// A message that has a line.
pub(super) enum Begun<'a> {
    /// Its head is on its way in HTTP/2.
    Shared(Shared<'a>),
    /// It has a connection of HTTP/1.1 to itself.
    Alone(Alone<'a>),
}

/// A message on a connection of HTTP/2, whose body is to follow.
pub(super) struct Shared<'a> {
    pub(super) body: SendStream<Bytes>,
    pub(super) response: ResponseFuture,
    _place: Place<'a>,
}

/// A connection of HTTP/1.1. It closes with this, unless it is kept.
pub(super) struct Alone<'a> {
    pub(super) requests: http1::SendRequest<Full<Bytes>>,
    lines: &'a Lines,
}

/// A place among the messages on a connection of HTTP/2.
struct Place<'a> {
    held: Option<Arc<()>>,
    lines: &'a Lines,
}

/// A connection that is being opened.
pub(super) struct Opening<'a>(&'a Lines);

impl Lines {
    /// Ends when there may be room.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    /// Begins a message, if a line has room.
    pub(super) fn begin(&self, post: &Post<'_>) -> Step<'_> {
        let mut open = self.open();
        let mut line = 0;
        while let Some(SharedLine { requests, place, used }) = open.shared.get_mut(line) {
            if requests.current_max_send_streams() == 0 && Arc::strong_count(place) == 1 {
                // It takes none any more, and nobody would tell when it does again.
                drop(open.shared.remove(line));
                continue;
            }
            if Arc::strong_count(place) > STREAMS.min(requests.current_max_send_streams()) {
                line += 1;
                continue;
            }
            // A clone remembers no message that waits, and refuses none for its sake.
            match requests.clone().send_request(post.shared(), false) {
                Ok((response, body)) => {
                    *used = Instant::now();
                    let place = Place { held: Some(Arc::clone(place)), lines: self };
                    return Step::Begun(Begun::Shared(Shared { body, response, _place: place }));
                }
                // It has closed, or takes no more messages.
                Err(_) => drop(open.shared.remove(line)),
            }
        }
        while let Some((requests, _)) = open.resting.pop() {
            if requests.is_ready() {
                return Step::Begun(Begun::Alone(Alone { requests, lines: self }));
            }
        }
        // Of those that may be shared one is opened after the other; of the others, as many as the gate
        // lets messages pass.
        let may_share = open.is_shared != Some(false);
        if may_share && (open.opening > 0 || open.shared.len() >= CONNECTIONS) {
            return Step::Wait;
        }
        open.opening += 1;
        Step::Open(Opening(self))
    }

    /// Closes the connections that nobody has used for long.
    pub(super) fn close_idle(&self, now: Instant) {
        let is_young = |since: Instant| now.duration_since(since) < IDLE_TIMEOUT;
        let mut open = self.open();
        open.shared.retain(|line| Arc::strong_count(&line.place) > 1 || is_young(line.used));
        open.resting.retain(|(_, since)| is_young(*since));
        drop(open);
        self.freed.notify_waiters();
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Opening<'a> {
    /// The connection is open. One of HTTP/1.1 is handed back for the message that opened it.
    pub(super) fn done(self, connection: Connection) -> Option<Alone<'a>> {
        let mut open = self.0.open();
        open.is_shared = Some(matches!(connection, Connection::Http2(_)));
        match connection {
            // Several were opened before it was known what the service speaks.
            Connection::Http2(_) if open.shared.len() >= CONNECTIONS => None,
            Connection::Http2(requests) => {
                let (place, used) = (Arc::default(), Instant::now());
                open.shared.push(SharedLine { requests, place, used });
                None
            }
            Connection::Http1(requests) => Some(Alone { requests, lines: self.0 }),
        }
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.open().opening -= 1;
        self.0.freed.notify_waiters();
    }
}

impl Alone<'_> {
    /// Keeps the connection, which is ready again, for another message.
    pub(super) fn keep(self) {
        self.lines.open().resting.push((self.requests, Instant::now()));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.held = None;
        self.lines.freed.notify_one();
    }
}
