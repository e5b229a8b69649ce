//! Posts: messages as the requests that carry them (RFC 8030 §5).

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, USER_AGENT,
};
use hyper::{Method, Request, Uri};

use super::sender::Message;
use crate::domain::clock::Timestamp;

/// A message to be sent.
pub(super) struct Post<'a> {
    /// Its address.
    pub(super) to: Uri,
    /// The headers that it shares with others.
    pub(super) head: &'a HeaderMap,
    /// What identifies the newsroom.
    pub(super) authorization: &'a HeaderValue,
    /// What is sealed.
    pub(super) body: Bytes,
    /// Whether it may be begun still.
    pub(super) may_begin: &'a (dyn Fn() -> bool + Sync),
}

/// The headers that all letters of a page share (RFC 8030 §5, RFC 8291 §4).
pub(super) fn head(message: &Message, now: Timestamp) -> anyhow::Result<HeaderMap> {
    let ttl = (message.expires_at - now).num_seconds().max(0);
    let mut head = HeaderMap::with_capacity(8);
    head.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    head.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("khabar/", env!("CARGO_PKG_VERSION"))),
    );
    head.insert(HeaderName::from_static("ttl"), HeaderValue::from(ttl));
    head.insert(
        HeaderName::from_static("urgency"),
        HeaderValue::from_static(message.urgency.as_str()),
    );
    let topic = HeaderValue::from_str(&message.topic).context("the topic is no header")?;
    head.insert(HeaderName::from_static("topic"), topic);
    Ok(head)
}

impl Post<'_> {
    /// The head of a request of HTTP/2.
    pub(super) fn shared(&self) -> Request<()> {
        let mut request = self.request(self.to.clone(), ());
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        request
    }

    /// A request of HTTP/1.1, which counts the body's bytes by itself; `None` without a host.
    pub(super) fn alone(&self) -> Option<Request<Full<Bytes>>> {
        let path = Uri::from(self.to.path_and_query()?.clone());
        let host = HeaderValue::from_str(self.to.authority()?.as_str()).ok()?;
        let mut request = self.request(path, Full::new(self.body.clone()));
        request.headers_mut().insert(HOST, host);
        Some(request)
    }

    fn request<B>(&self, to: Uri, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = to;
        *request.headers_mut() = self.head.clone();
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        request
    }
}
