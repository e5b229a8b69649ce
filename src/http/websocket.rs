//! GraphQL over WebSocket: the graphql-transport-ws protocol
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>), with its close codes.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_graphql::Response as Answer;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, future};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_stream::StreamMap;

use super::graphql::{Caller, from_parameters};
use super::response::{is_request_error, log_panic, to_json};
use super::{Edge, auth};
use crate::domain::viewer::Viewer;

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
    let open = edge.sockets.token();
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

/// What happens to a session next: it goes on, or it is closed with a reason or without one.
type Step = Result<(), Option<Close>>;

/// An answer of an operation, or its end.
type Answers = BoxStream<'static, Option<Answer>>;

struct Session {
    edge: Edge,
    caller: Caller,
    socket: WebSocket,
    viewer: Option<Viewer>,
    operations: StreamMap<String, Answers>,
    opened: Instant,
    /// Whether the client has sent anything since the last ping.
    heard: bool,
}

impl Session {
    fn new(edge: Edge, caller: Caller, socket: WebSocket) -> Self {
        let operations = StreamMap::new();
        Self { edge, caller, socket, viewer: None, operations, opened: Instant::now(), heard: true }
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
            let step = tokio::select! {
                () = self.edge.draining.cancelled() => Err(Some(RESTARTING)),
                () = sleep_until(self.opened + INIT_TIMEOUT), if self.viewer.is_none() => {
                    Err(Some(INIT_TOO_LATE))
                }
                _ = pings.tick() => self.ping().await,
                message = self.socket.recv() => {
                    self.heard = true;
                    self.receive(message).await
                }
                Some((id, answer)) = self.operations.next(), if !self.operations.is_empty() => {
                    self.deliver(id, answer).await
                }
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
                self.subscribe(id, payload).await
            }
            (Some("complete"), Some(id), None) => {
                self.operations.remove(&id);
                Ok(())
            }
            _ => Err(Some(BAD_REQUEST)),
        }
    }

    async fn init(&mut self, payload: Option<Value>) -> Step {
        if self.viewer.is_some() {
            return Err(Some(INIT_TWICE));
        }
        let parameters = match payload {
            Some(Value::Object(parameters)) => parameters,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err(Some(BAD_REQUEST)),
        };
        let named = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let viewer = match named {
            Some((_, Value::String(value))) => auth::viewer_of_header(&self.edge, value).await,
            Some(_) => return Err(Some(BAD_REQUEST)),
            None => auth::viewer(&self.edge, self.caller.headers()).await,
        };
        self.viewer = Some(viewer.map_err(|_| Some(FORBIDDEN))?);
        self.send(json!({ "type": "connection_ack" })).await
    }

    async fn subscribe(&mut self, id: String, payload: Map<String, Value>) -> Step {
        let Some(viewer) = self.viewer.clone() else { return Err(Some(UNAUTHORIZED)) };
        if self.operations.contains_key(&id) {
            return Err(Some(SUBSCRIBER_EXISTS));
        }
        if self.operations.len() >= MAX_OPERATIONS {
            return Err(Some(TOO_MANY));
        }
        let request = from_parameters(payload).map_err(|_| Some(BAD_REQUEST))?;
        let answers = self.edge.schema.execute_stream(self.caller.attach(request).data(viewer));
        let ended = stream::once(future::ready(None));
        self.operations.insert(id, answers.map(Some).chain(ended).boxed());
        Ok(())
    }

    async fn deliver(&mut self, id: String, answer: Option<Answer>) -> Step {
        match answer {
            Some(answer) if is_request_error(&answer) => {
                self.operations.remove(&id);
                let errors = to_json(&answer)["errors"].take();
                self.send(json!({ "id": id, "type": "error", "payload": errors })).await
            }
            Some(answer) => {
                self.send(json!({ "id": id, "type": "next", "payload": to_json(&answer) })).await
            }
            None => {
                self.operations.remove(&id);
                self.send(json!({ "id": id, "type": "complete" })).await
            }
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
