//! GraphQL over HTTP (<https://graphql.github.io/graphql-over-http/draft/>).
//!
//! POST with JSON for everything; GET for queries alone, for what can be fetched by a link must
//! change nothing. One operation a request: no batches.

use std::net::SocketAddr;

use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Variables};
use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, FromRequestParts, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use super::address::client_address;
use super::auth::Credentials;
use super::request::WholeBody;
use super::response::{MediaType, Refusal, answer};
use super::{Edge, graphiql, operation, websocket};
use crate::domain::event::LastEventId;
use crate::graphql::errors::RequestId;
use crate::rate_limit::ClientAddress;

/// What every GraphQL request carries besides its document.
#[derive(Clone)]
pub(super) struct Caller {
    headers: HeaderMap,
    request_id: RequestId,
    address: ClientAddress,
}

impl FromRequestParts<Edge> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Self, Response> {
        let Extension(request_id) = Extension::<RequestId>::from_request_parts(parts, edge)
            .await
            .map_err(IntoResponse::into_response)?;
        let ConnectInfo(peer) = ConnectInfo::<SocketAddr>::from_request_parts(parts, edge)
            .await
            .map_err(IntoResponse::into_response)?;
        let trusted = &edge.app.config.trusted_proxies;
        let address = ClientAddress(client_address(peer.ip(), &parts.headers, trusted));
        Ok(Self { headers: parts.headers.clone(), request_id, address })
    }
}

impl Caller {
    /// The headers of the request.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Puts what resolvers need to know of the caller into a request.
    pub(super) fn attach(&self, request: Request) -> Request {
        let request = request.data(self.request_id.clone()).data(self.address);
        match self.headers.get("last-event-id").and_then(|id| id.to_str().ok()) {
            Some(id) if !id.is_empty() => request.data(LastEventId(id.to_owned())),
            _ => request,
        }
    }
}

/// Answers a POST.
pub(super) async fn post(
    State(edge): State<Edge>,
    caller: Caller,
    body: Result<WholeBody, Refusal>,
) -> Result<Response, Refusal> {
    let media = acceptable(&caller)?;
    let request = body.and_then(|body| from_body(&caller, &body));
    execute(&edge, &caller, media, request).await
}

/// Answers a GET: a socket, the GraphiQL page, or a query.
pub(super) async fn get(
    State(edge): State<Edge>,
    caller: Caller,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    if let Ok(upgrade) = upgrade {
        return Ok(websocket::upgrade(edge, caller, upgrade));
    }
    let accept = caller.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let wants_page = accept.is_some_and(|accept| accept.contains("text/html"));
    if wants_page && query.is_none() {
        return Ok(graphiql::page().into_response());
    }
    let media = acceptable(&caller)?;
    let request = from_query(query.as_deref().unwrap_or_default()).and_then(refuse_unsafe);
    execute(&edge, &caller, media, request).await
}

fn acceptable(caller: &Caller) -> Result<MediaType, Refusal> {
    MediaType::negotiate(&caller.headers).ok_or_else(|| {
        let message = "accept application/graphql-response+json or application/json";
        Refusal::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", message)
    })
}

async fn execute(
    edge: &Edge,
    caller: &Caller,
    media: MediaType,
    request: Result<Request, Refusal>,
) -> Result<Response, Refusal> {
    let executed = async {
        let request = request?;
        let viewer = Credentials::in_headers(&caller.headers).viewer(edge).await?;
        Ok(operation::answer(edge.clone(), caller.attach(request).data(viewer)).await)
    };
    match executed.await {
        Ok(answered) => Ok(answer(media, &answered)),
        Err::<_, Refusal>(refusal) => Err(refusal.in_media(media)),
    }
}

/// The request in a JSON body. Any other content type is refused: browsers send such bodies across
/// sites without asking first.
pub(super) fn from_body(caller: &Caller, WholeBody(body): &WholeBody) -> Result<Request, Refusal> {
    let content_type =
        caller.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = content_type.unwrap_or_default().split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|part| match part.to_ascii_lowercase().strip_prefix("charset=") {
        Some(charset) => matches!(charset.trim_matches('"'), "utf-8" | "utf8"),
        None => true,
    });
    if !is_json || !is_utf8 {
        let message = "send the request as application/json in UTF-8";
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            message,
        ));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(parameters)) => from_parameters(parameters),
        Ok(Value::Array(_)) => {
            Err(Refusal::bad_request("batches are not served; send one operation a request"))
        }
        Ok(_) => Err(Refusal::bad_request("the body must be a JSON object with a query")),
        Err(error) => Err(Refusal::bad_request(format!("the body is not JSON: {error}"))),
    }
}

/// The request in the query part of an address; `variables` and `extensions` are JSON in it.
pub(super) fn from_query(query: &str) -> Result<Request, Refusal> {
    let mut parameters = Map::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let value = match name.as_ref() {
            "variables" | "extensions" => serde_json::from_str(&value)
                .map_err(|error| Refusal::bad_request(format!("{name} is not JSON: {error}")))?,
            _ => Value::String(value.into_owned()),
        };
        parameters.insert(name.into_owned(), value);
    }
    from_parameters(parameters)
}

/// The request in the parameters that GraphQL over HTTP names. Others are ignored.
pub(super) fn from_parameters(mut parameters: Map<String, Value>) -> Result<Request, Refusal> {
    let query = match parameters.remove("query") {
        Some(Value::String(query)) => query,
        None | Some(Value::Null) => {
            return Err(Refusal::bad_request("the parameter query is missing"));
        }
        Some(_) => return Err(Refusal::bad_request("the parameter query must be a string")),
    };
    let mut request = Request::new(query);
    match parameters.remove("operationName") {
        Some(Value::String(name)) if !name.is_empty() => request = request.operation_name(name),
        None | Some(Value::Null | Value::String(_)) => {}
        Some(_) => {
            return Err(Refusal::bad_request("the parameter operationName must be a string"));
        }
    }
    match parameters.remove("variables") {
        Some(Value::Object(map)) => {
            request = request.variables(Variables::from_json(Value::Object(map)))
        }
        None | Some(Value::Null) => {}
        Some(_) => return Err(Refusal::bad_request("the parameter variables must be an object")),
    }
    match parameters.remove("extensions") {
        None | Some(Value::Null | Value::Object(_)) => Ok(request),
        Some(_) => Err(Refusal::bad_request("the parameter extensions must be an object")),
    }
}

/// Refuses by GET whatever is not a query. A document that does not parse passes: execution will
/// say what is wrong with it.
fn refuse_unsafe(mut request: Request) -> Result<Request, Refusal> {
    match operation::kind(&mut request) {
        Some(OperationType::Mutation | OperationType::Subscription) => {
            let message = "only queries are served by GET; send mutations by POST, and subscription operations to /graphql/stream or a WebSocket";
            Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
                .with(header::ALLOW, "POST"))
        }
        Some(OperationType::Query) | None => Ok(request),
    }
}
