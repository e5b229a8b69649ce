//! GraphQL over WebSocket: the graphql-transport-ws protocol
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>), with its close codes.

mod operations;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::auth::Credentials;
use super::graphql::{Caller, from_parameters};
use super::response::{Refusal, is_request_error, log_panic, to_json};
use super::server::DRAIN_TIMEOUT;
use super::{Edge, operation};
use operations::{News, Operations};

const PROTOCOL: &str = "graphql-transport-ws";
/// How long a client may take to introduce itself.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent client is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(25);
/// How long a client may take to read what it is sent.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long saying goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Operations that one socket may hold.
const MAX_OPERATIONS: usize = 100;
/// Idle sockets are many: a small buffer for each.
const READ_BUFFER: usize = 4 * 1_024;
/// The largest message, in bytes.
const MAX_MESSAGE: usize = 64 * 1_024;

/// Takes a connection over.
pub(super) fn upgrade(edge: Edge, caller: Caller, upgrade: WebSocketUpgrade) -> Response {
    let open = edge.under_way.token();
    upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(move |socket| async move {
            let sockets = metrics::gauge!("khabar_sockets");
            sockets.increment(1);
            Session::new(edge, caller, socket).run().await;
            sockets.decrement(1);
            drop(open);
        })
}

/// Why a socket is closed: a code and a reason of at most 123 bytes.
struct Close(u16, &'static str);

const BAD_REQUEST: Close = Close(4400, "Invalid message");
const UNAUTHORIZED: Close = Close(4401, "Unauthorized");
const FORBIDDEN: Close = Close(4403, "Forbidden");
const NO_PROTOCOL: Close = Close(4406, "Subprotocol not acceptable");
const INIT_TOO_LATE: Close = Close(4408, "Connection initialisation timeout");
const SUBSCRIBER_EXISTS: Close = Close(4409, "Subscriber already exists");
const INIT_TWICE: Close = Close(4429, "Too many initialisation requests");
const TOO_MANY: Close = Close(4429, "Too many operations on one socket");
const INTERNAL: Close = Close(4500, "Internal server error");
const TOO_SLOW: Close = Close(1008, "Client reads too slowly");
const RESTARTING: Close = Close(1001, "Server is restarting; connect again");
const GONE: Close = Close(1001, "Client does not answer");
const UNAVAILABLE: Close = Close(1013, "Try again in a moment");

/// What happens to a session next: it goes on, or it is closed with a reason or without one.
type Step = Result<(), Option<Close>>;

struct Session {
    edge: Edge,
    caller: Caller,
    socket: WebSocket,
    /// What the client introduced itself with.
    credentials: Option<Credentials>,
    operations: Operations,
    opened: Instant,
    /// Until when the operations that have an end may take to reach it, once the server drains.
    ends: Option<Instant>,
    /// Whether the client has sent anything since the last ping.
    heard: bool,
}

impl Session {
    fn new(edge: Edge, caller: Caller, socket: WebSocket) -> Self {
        Self {
            edge,
            caller,
            socket,
            credentials: None,
            operations: Operations::new(),
            opened: Instant::now(),
            ends: None,
            heard: true,
        }
    }

    async fn run(mut self) {
        let spoken = self.socket.protocol().and_then(|protocol| protocol.to_str().ok());
        let closing = if spoken == Some(PROTOCOL) {
            // Nothing but the socket is used after a panic.
            AssertUnwindSafe(self.serve()).catch_unwind().await.unwrap_or_else(|cause| {
                log_panic(&*cause);
                Some(INTERNAL)
            })
        } else {
            Some(NO_PROTOCOL)
        };
        // Whoever went away needs no goodbye; the rest is best effort within its time.
        if let Some(Close(code, reason)) = closing {
            let frame = CloseFrame { code, reason: reason.into() };
            drop(timeout(CLOSE_TIMEOUT, self.socket.send(Message::Close(Some(frame)))).await);
        }
    }

    async fn serve(&mut self) -> Option<Close> {
        let mut pings = interval(PING_EVERY);
        pings.reset();
        loop {
            if self.ends.is_some() && self.operations.len() == 0 {
                return Some(RESTARTING);
            }
            let step = tokio::select! {
                () = self.edge.draining.cancelled(), if self.ends.is_none() => {
                    // Without a `complete`, which would tell the client that no more is to come.
                    self.operations.cancel_listening();
                    self.ends = Some(Instant::now() + DRAIN_TIMEOUT);
                    Ok(())
                }
                () = sleep_until(self.ends.unwrap_or(self.opened)), if self.ends.is_some() => {
                    Err(Some(RESTARTING))
                }
                () = sleep_until(self.opened + INIT_TIMEOUT), if self.credentials.is_none() => {
                    Err(Some(INIT_TOO_LATE))
                }
                _ = pings.tick() => self.ping().await,
                message = self.socket.recv() => {
                    self.heard = true;
                    self.receive(message).await
                }
                (id, news) = self.operations.next() => self.deliver(id, news).await
            };
            if let Err(close) = step {
                return close;
            }
        }
    }

    async fn ping(&mut self) -> Step {
        if !std::mem::replace(&mut self.heard, false) {
            return Err(Some(GONE));
        }
        self.write(Message::Ping(Vec::new().into())).await
    }

    async fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> Step {
        match message {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(Value::Object(message)) => self.handle(message).await,
                _ => Err(Some(BAD_REQUEST)),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            // An error is a frame that is malformed or too long, or a connection that broke.
            Some(Ok(Message::Binary(_)) | Err(_)) => Err(Some(BAD_REQUEST)),
            Some(Ok(Message::Close(_))) | None => Err(None),
        }
    }

    async fn handle(&mut self, mut message: Map<String, Value>) -> Step {
        let payload = message.remove("payload");
        let id = match message.remove("id") {
            Some(Value::String(id)) if !id.is_empty() => Some(id),
            None => None,
            Some(_) => return Err(Some(BAD_REQUEST)),
        };
        match (message.get("type").and_then(Value::as_str), id, payload) {
            (Some("connection_init"), None, payload) => self.init(payload).await,
            (Some("ping"), None, None | Some(Value::Object(_) | Value::Null)) => {
                self.send(json!({ "type": "pong" })).await
            }
            (Some("pong"), None, None | Some(Value::Object(_) | Value::Null)) => Ok(()),
            (Some("subscribe"), Some(id), Some(Value::Object(payload))) => {
                self.subscribe(id, payload)
            }
            (Some("complete"), Some(id), None) => {
                self.operations.cancel(&id);
                Ok(())
            }
            _ => Err(Some(BAD_REQUEST)),
        }
    }

    async fn init(&mut self, payload: Option<Value>) -> Step {
        if self.credentials.is_some() {
            return Err(Some(INIT_TWICE));
        }
        let parameters = match payload {
            Some(Value::Object(parameters)) => parameters,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err(Some(BAD_REQUEST)),
        };
        let named = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let credentials = match named {
            Some((_, Value::String(value))) => Credentials::in_text(value.clone()),
            Some(_) => return Err(Some(BAD_REQUEST)),
            None => Credentials::in_headers(self.caller.headers()),
        };
        credentials.viewer(&self.edge).await.map_err(|refusal| Some(closing(&refusal)))?;
        self.credentials = Some(credentials);
        self.send(json!({ "type": "connection_ack" })).await
    }

    fn subscribe(&mut self, id: String, payload: Map<String, Value>) -> Step {
        let Some(credentials) = self.credentials.clone() else { return Err(Some(UNAUTHORIZED)) };
        if self.operations.contains(&id) {
            return Err(Some(SUBSCRIBER_EXISTS));
        }
        if self.operations.len() >= MAX_OPERATIONS {
            return Err(Some(TOO_MANY));
        }
        let request = from_parameters(payload).map_err(|_| Some(BAD_REQUEST))?;
        if self.ends.is_some() {
            // Not begun and not answered: the close that follows tells the client to ask again.
            return Ok(());
        }
        let mut request = self.caller.attach(request);
        let listens = operation::kind(&mut request) == Some(OperationType::Subscription);
        let edge = self.edge.clone();
        self.operations.begin(id, listens, async move {
            // Asked each time: a session may end while its socket is open.
            let viewer = credentials.viewer(&edge).await?;
            Ok(operation::answers(edge, request.data(viewer)))
        });
        Ok(())
    }

    async fn deliver(&mut self, id: String, news: News) -> Step {
        match news {
            News::Answer(answer) if is_request_error(&answer) => {
                self.operations.cancel(&id);
                self.send(json!({ "id": id, "type": "error", "payload": answer.errors })).await
            }
            News::Answer(answer) => {
                // Not by way of a value, which would sort the fields.
                let (id, payload) = (Value::String(id), to_json(&answer));
                let next = format!(r#"{{"id":{id},"type":"next","payload":{payload}}}"#);
                self.write(Message::Text(next.into())).await
            }
            News::Complete => self.send(json!({ "id": id, "type": "complete" })).await,
            News::Refused(refusal) => Err(Some(closing(&refusal))),
            News::Panicked => Err(Some(INTERNAL)),
        }
    }

    async fn send(&mut self, message: Value) -> Step {
        self.write(Message::Text(message.to_string().into())).await
    }

    /// Sends, or gives up on a client that does not read.
    async fn write(&mut self, message: Message) -> Step {
        match timeout(SEND_TIMEOUT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(TOO_SLOW)),
        }
    }
}

/// How a socket ends whose client is not who it says, or of whom that cannot be told.
fn closing(refusal: &Refusal) -> Close {
    if refusal.is_of_the_client() { FORBIDDEN } else { UNAVAILABLE }
}
