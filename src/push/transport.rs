//! Transport: one HTTPS request per message, over connections that are kept open between messages, with an
//! end to everything.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, discard, discard_shared};
use super::connection::Connector;
use super::lines::{Alone, Begun, Lines, Shared, Step};
use super::post::Post;

/// How long a message may take, everything included.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a message is begun that the service has certainly not looked at.
const TRIES: usize = 3;

/// Sends messages.
#[derive(Debug)]
pub(super) struct Transport(Connector);

/// What became of a message.
#[derive(Debug)]
pub(super) enum Sending {
    /// The service has answered.
    Answered(Answer),
    /// Nothing came back in time: what went wrong would name the address.
    Lost,
    /// It was not begun, for it may be no longer.
    NotBegun,
}

/// How an attempt ended.
enum Attempt {
    Answered(Answer),
    /// The service has certainly not acted upon it.
    Unheard,
    /// It may have.
    Lost,
}

impl Transport {
    /// To public addresses; to this machine's own too if `allow_loopback`, for tests. `ca_file` holds
    /// certificates of authorities that are trusted besides the system's.
    pub(super) fn new(allow_loopback: bool, ca_file: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self(Connector::new(allow_loopback, ca_file)?))
    }

    /// Sends a message over lines that lead to its origin, and reads the answer. The head alone says what
    /// became of the message: a body that does not end must not make it be sent again.
    pub(super) async fn send(&self, lines: &Lines, post: &Post<'_>) -> Sending {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        for _ in 0..TRIES {
            let attempt = match timeout_at(deadline, self.begin(lines, post)).await {
                Ok(Ok(Begun::Shared(shared))) => answer_shared(shared, &post.body, deadline).await,
                Ok(Ok(Begun::Alone(alone))) => Box::pin(answer_alone(alone, post, deadline)).await,
                Ok(Err(ended)) => return ended,
                Err(_) => return Sending::Lost,
            };
            match attempt {
                Attempt::Answered(answer) => return Sending::Answered(answer),
                Attempt::Unheard => {}
                Attempt::Lost => return Sending::Lost,
            }
        }
        Sending::Lost
    }

    /// Begins a message on a line that has room, or on a new one, or waits for room.
    async fn begin<'a>(&self, lines: &'a Lines, post: &Post<'_>) -> Result<Begun<'a>, Sending> {
        let mut alone = None;
        loop {
            // Asked after each wait: somebody may have called the alert back.
            if !(post.may_begin)() {
                return Err(Sending::NotBegun);
            }
            if let Some(alone) = alone {
                return Ok(Begun::Alone(alone));
            }
            // Before the look, so that no room that is made in between is missed.
            let mut freed = pin!(lines.freed());
            freed.as_mut().enable();
            match lines.begin(post) {
                Step::Begun(begun) => return Ok(begun),
                Step::Open(opening) => {
                    // Boxed: it is rare, and its state would make every message's future larger.
                    let connecting = Box::pin(self.0.connect(post.to.clone()));
                    alone = opening.done(connecting.await.ok_or(Sending::Lost)?);
                }
                Step::Wait => freed.await,
            }
        }
    }
}

async fn answer_shared(mut shared: Shared<'_>, body: &Bytes, deadline: Instant) -> Attempt {
    // It fails when the service has answered or refused already: that is read next.
    drop(shared.body.send_data(body.clone(), true));
    let answer = match timeout_at(deadline, &mut shared.response).await {
        Ok(Ok(answer)) => answer,
        // RFC 9113 §6.8 and §8.7: another connection may take it.
        Ok(Err(error)) if error.is_remote() && is_unheard(&error) => return Attempt::Unheard,
        Ok(Err(_)) | Err(_) => return Attempt::Lost,
    };
    let (head, body) = answer.into_parts();
    // Given up half-way, the rest of it is refused.
    drop(timeout_at(deadline, discard_shared(body)).await);
    Attempt::Answered(Answer { status: head.status, headers: head.headers })
}

fn is_unheard(error: &h2::Error) -> bool {
    error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM)
}

async fn answer_alone(mut alone: Alone<'_>, post: &Post<'_>, deadline: Instant) -> Attempt {
    let Some(request) = post.alone() else { return Attempt::Lost };
    let answer = match timeout_at(deadline, alone.requests.try_send_request(request)).await {
        Ok(Ok(answer)) => answer,
        // It was closed while nobody used it, and gives the message back.
        Ok(Err(error)) if error.message().is_some() => return Attempt::Unheard,
        Ok(Err(_)) | Err(_) => return Attempt::Lost,
    };
    let (head, body) = answer.into_parts();
    // Given up half-way, the connection is closed and serves nobody again.
    let ready =
        timeout_at(deadline, async { discard(body).await && alone.requests.ready().await.is_ok() });
    if ready.await == Ok(true) {
        alone.keep();
    }
    Attempt::Answered(Answer { status: head.status, headers: head.headers })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::connection::tests::{TestService, speak, take};
    use futures_util::future::join_all;
    use hyper::header::{HeaderMap, HeaderValue};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Sends so many messages at once; the statuses that came back.
    async fn send(service: &TestService, lines: &Lines, count: usize) -> Vec<Option<u16>> {
        let transport = service.transport();
        let head = HeaderMap::from_iter([(hyper::header::TE, "trailers".parse().unwrap())]);
        let authorization = HeaderValue::from_static("vapid");
        let send = async |number: usize| {
            let to = format!("{}/push/{number}", service.origin).parse().unwrap();
            let body = Bytes::from(format!("message {number}"));
            let (head, authorization) = (&head, &authorization);
            let post = Post { to, head, authorization, body, may_begin: &|| true };
            match transport.send(lines, &post).await {
                Sending::Answered(answer) => Some(answer.status.as_u16()),
                Sending::Lost | Sending::NotBegun => None,
            }
        };
        join_all((0..count).map(send)).await
    }

    #[tokio::test]
    async fn a_service_that_takes_one_message_at_once_gets_them_one_after_the_other() {
        let most = Arc::<AtomicUsize>::default();
        let service = TestService::start("h2", {
            let most = Arc::clone(&most);
            move |_, socket| {
                let most = Arc::clone(&most);
                async move {
                    let mut connection = speak(socket, 1).await;
                    let under_way = Arc::<AtomicUsize>::default();
                    while let Some(Ok(asked)) = connection.accept().await {
                        let under_way = Arc::clone(&under_way);
                        most.fetch_max(under_way.fetch_add(1, SeqCst) + 1, SeqCst);
                        tokio::spawn(async move {
                            take(asked).await;
                            under_way.fetch_sub(1, SeqCst);
                        });
                    }
                }
            }
        })
        .await;
        let lines = Lines::default();
        // One finds out what the service allows.
        assert_eq!(send(&service, &lines, 1).await, [Some(201)]);
        assert_eq!(send(&service, &lines, 100).await, vec![Some(201); 100]);
        assert_eq!(most.load(SeqCst), 1);
        assert!(service.connections() <= 8, "{}", service.connections());
    }

    #[tokio::test]
    async fn what_a_service_has_not_looked_at_is_sent_again_and_nothing_else() {
        let heard = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let service = TestService::start("h2", {
            let heard = Arc::clone(&heard);
            move |number, socket| {
                let heard = Arc::clone(&heard);
                async move {
                    let mut connection = speak(socket, 100).await;
                    let mut count = 0;
                    while let Some(Ok((request, mut answer))) = connection.accept().await {
                        count += 1;
                        match count {
                            // Refused, and broken off after it was begun.
                            2 if number == 0 => answer.send_reset(Reason::REFUSED_STREAM),
                            3 if number == 0 => answer.send_reset(Reason::INTERNAL_ERROR),
                            _ => {
                                let heard = Arc::clone(&heard);
                                tokio::spawn(async move {
                                    let message = take((request, answer)).await;
                                    heard.lock().unwrap().push(message);
                                });
                            }
                        }
                        if (number, count) == (0, 10) {
                            // The rest is to take another connection.
                            connection.graceful_shutdown();
                        }
                    }
                }
            }
        })
        .await;
        let lines = Lines::default();
        assert_eq!(send(&service, &lines, 1).await, [Some(201)]);
        heard.lock().unwrap().clear();
        let answers = send(&service, &lines, 50).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), 1);
        let mut heard = heard.lock().unwrap().clone();
        assert_eq!(heard.len(), 49, "each of the others once");
        heard.sort();
        heard.dedup();
        assert_eq!(heard.len(), 49, "and none twice");
    }

    #[tokio::test]
    async fn what_was_called_back_while_it_waited_is_not_begun() {
        let heard = Arc::<AtomicUsize>::default();
        let service = TestService::start("h2", {
            let heard = Arc::clone(&heard);
            move |_, socket| {
                let heard = Arc::clone(&heard);
                async move {
                    let mut connection = speak(socket, 100).await;
                    while let Some(Ok(asked)) = connection.accept().await {
                        heard.fetch_add(1, SeqCst);
                        tokio::spawn(take(asked));
                    }
                }
            }
        })
        .await;
        let asked = AtomicUsize::new(0);
        // It may when it is handed over, and no more once it has a connection.
        let may_begin = || asked.fetch_add(1, SeqCst) == 0;
        let post = Post {
            to: format!("{}/push", service.origin).parse().unwrap(),
            head: &HeaderMap::new(),
            authorization: &HeaderValue::from_static("vapid"),
            body: Bytes::from_static(b"message"),
            may_begin: &may_begin,
        };
        let lines = Lines::default();
        let sending = service.transport().send(&lines, &post).await;
        assert!(matches!(sending, Sending::NotBegun), "{sending:?}");
        assert_eq!(service.connections(), 1);
        assert_eq!(send(&service, &lines, 1).await, [Some(201)]);
        assert_eq!(heard.load(SeqCst), 1, "the other one alone");
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_is_opened_anew() {
        let service = TestService::start("h2", |_, socket| async move {
            let mut connection = speak(socket, 100).await;
            let asked = connection.accept().await.unwrap().unwrap();
            let taken = tokio::spawn(take(asked));
            connection.graceful_shutdown();
            while connection.accept().await.is_some() {}
            taken.await.unwrap();
        })
        .await;
        let lines = Lines::default();
        for connections in 1..=3 {
            assert_eq!(send(&service, &lines, 1).await, [Some(201)]);
            assert_eq!(service.connections(), connections);
        }
    }

    #[tokio::test]
    async fn many_messages_share_a_connection_and_nobody_keeps_it_for_ever() {
        let ended = Arc::<tokio::sync::Notify>::default();
        let service = TestService::start("h2", {
            let ended = Arc::clone(&ended);
            move |_, socket| {
                let ended = Arc::clone(&ended);
                async move {
                    let mut connection = speak(socket, 100).await;
                    while let Some(Ok(asked)) = connection.accept().await {
                        tokio::spawn(take(asked));
                    }
                    ended.notify_one();
                }
            }
        })
        .await;
        let lines = Lines::default();
        assert_eq!(send(&service, &lines, 1).await, [Some(201)]);
        assert_eq!(send(&service, &lines, 100).await, vec![Some(201); 100]);
        lines.close_idle(Instant::now() + Duration::from_secs(60));
        assert_eq!(send(&service, &lines, 100).await, vec![Some(201); 100]);
        assert_eq!(service.connections(), 1);
        lines.close_idle(Instant::now() + Duration::from_secs(91));
        ended.notified().await;
    }

    #[tokio::test]
    async fn an_answer_without_end_counts_by_its_head() {
        let service = TestService::start("h2", |_, socket| async move {
            let mut connection = speak(socket, 100).await;
            while let Some(Ok((_, mut answer))) = connection.accept().await {
                let head = hyper::Response::builder().status(201).body(()).unwrap();
                let mut body = answer.send_response(head, false).unwrap();
                tokio::spawn(async move {
                    while body.send_data(Bytes::from(vec![b'x'; 16_384]), false).is_ok() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
            }
        })
        .await;
        let (lines, began) = (Lines::default(), Instant::now());
        assert_eq!(send(&service, &lines, 2).await, [Some(201); 2]);
        assert!(began.elapsed() < Duration::from_secs(5), "too much was read");
    }

    #[tokio::test]
    async fn a_connection_of_http_1_serves_one_after_the_other() {
        let heads = Arc::<Mutex<String>>::default();
        let service = TestService::start("http/1.1", {
            let heads = Arc::clone(&heads);
            move |_, mut socket| {
                let heads = Arc::clone(&heads);
                async move {
                    let mut read = vec![0; 4_096];
                    while let Ok(count @ 1..) = socket.read(&mut read).await {
                        heads.lock().unwrap().push_str(&String::from_utf8_lossy(&read[..count]));
                        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\nx";
                        socket.write_all(answer).await.unwrap();
                    }
                }
            }
        })
        .await;
        let lines = Lines::default();
        for _ in 0..3 {
            assert_eq!(send(&service, &lines, 1).await, [Some(201)]);
        }
        assert_eq!(service.connections(), 1);
        let heads = heads.lock().unwrap();
        assert!(heads.starts_with("POST /push/0 HTTP/1.1\r\n"), "{heads}");
        let host = service.origin.trim_start_matches("https://");
        assert!(heads.contains(&format!("host: {host}\r\n")), "{heads}");
        assert!(heads.contains("content-length: 9\r\n"), "{heads}");
        assert!(heads.contains("authorization: vapid\r\n"), "{heads}");
    }
}
