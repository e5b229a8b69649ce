//! Errors as clients see them: userErrors in payloads, codes at the top level, and nothing of the
//! inside anywhere.

use std::any::TypeId;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextPrepareRequest, NextSubscribe,
};
use async_graphql::{Error, ErrorExtensions, Request, Response, ServerError, ServerResult};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use crate::domain::failure::{Failure, Rejection};

/// Identifies a request in the log and in an error; put into the request's data by the edge.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// An error of the caller's making, with its code in the extensions.
pub fn error(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// Too often; `extensions.retryAfter` says in how many seconds it is worth trying again.
pub fn rate_limited(retry_after: Duration) -> Error {
    let seconds = retry_after.as_secs().max(1);
    let limited = Error::new(format!("too many requests; try again in {seconds} s"));
    limited.extend_with(|_, extensions| {
        extensions.set("code", "RATE_LIMITED");
        extensions.set("retryAfter", seconds);
    })
}

/// What was done and the userErrors of what was not; anything else is a top-level error.
pub fn settle<T, C, U>(result: Result<T, Failure<C>>) -> Result<(Option<T>, Vec<U>), Error>
where
    U: From<Rejection<C>>,
{
    match result {
        Ok(done) => Ok((Some(done), Vec::new())),
        Err(Failure::Rejected(rejections)) => {
            Ok((None, rejections.into_iter().map(U::from).collect()))
        }
        Err(Failure::Unauthenticated) => {
            Err(error("UNAUTHENTICATED", "sign in first: send Authorization: Bearer …"))
        }
        Err(Failure::Forbidden) => Err(error("FORBIDDEN", "your roles do not permit this")),
        Err(Failure::NotFound) => Err(error("NOT_FOUND", "there is no such thing")),
        Err(Failure::RateLimited { retry_after }) => Err(rate_limited(retry_after)),
        // Whatever has a source is masked and logged at the boundary, below.
        Err(Failure::Internal(cause)) => Err(Error::new_with_source(Inside(format!("{cause:#}")))),
    }
}

/// An error of our own making: its text is for the log only.
struct Inside(String);

impl std::fmt::Display for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The boundary: logs each error that has a source, once, and hides it from the client.
///
/// `?` on a database error in a resolver makes such an error, so forgetting about this is safe.
/// It stands around what a query or a mutation answers, and around every answer of the stream that
/// a subscription operation is: its first one may be why there is none.
pub struct Boundary;

impl ExtensionFactory for Boundary {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(BoundaryOfRequest::default())
    }
}

#[derive(Default)]
struct BoundaryOfRequest {
    /// Kept from the request, since streams are made before its data can be asked for.
    request_id: Arc<OnceLock<RequestId>>,
}

#[async_graphql::async_trait::async_trait]
impl Extension for BoundaryOfRequest {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let id = request.data.get(&TypeId::of::<RequestId>());
        if let Some(id) = id.and_then(|id| id.downcast_ref::<RequestId>()) {
            self.request_id.get_or_init(|| id.clone());
        }
        next.run(ctx, request).await
    }

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        hide_all(next.run(ctx, operation_name).await, &self.request_id)
    }

    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        let request_id = Arc::clone(&self.request_id);
        let answers = next.run(ctx, stream);
        answers.map(move |answer| hide_all(answer, &request_id)).boxed()
    }
}

fn hide_all(mut response: Response, request_id: &OnceLock<RequestId>) -> Response {
    let request_id = request_id.get().map_or("none", |id| id.0.as_str());
    for error in &mut response.errors {
        hide(error, request_id);
    }
    response
}

/// Hides an error of the inside behind a request id; leaves any other as it is.
fn hide(error: &mut ServerError, request_id: &str) {
    if error.source.take().is_none() {
        return;
    }
    tracing::error!(cause = %error.message, path = ?error.path, request_id, "a resolver failed");
    let message = format!("Internal error; mention request {request_id} when you report it");
    let masked = async_graphql::Error::new(message).extend_with(|_, extensions| {
        extensions.set("code", "INTERNAL");
        extensions.set("requestId", request_id);
    });
    error.message = masked.message;
    error.extensions = masked.extensions;
}

/// Defines a mutation's userError type and its code enum, from the action's own code.
macro_rules! user_errors {
    ($error:ident, $code:ident = $action:ty { $($(#[doc = $doc:literal])+ $variant:ident),+ $(,)? }) => {
        #[doc = concat!("What can be wrong with the input; see `", stringify!($error), "`.")]
        #[derive(async_graphql::Enum, Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl From<$action> for $code {
            fn from(code: $action) -> Self {
                match code {
                    $(<$action>::$variant => Self::$variant,)+
                }
            }
        }

        /// One fault in the input. All faults that were found are reported together.
        #[derive(async_graphql::SimpleObject, Debug)]
        pub struct $error {
            /// For programs; new codes may be added.
            code: $code,
            /// The path of the input field at fault, outermost first; empty when it is no single field.
            field: Vec<String>,
            /// For people, in English: what is wrong and what to do.
            message: String,
        }

        impl From<crate::domain::failure::Rejection<$action>> for $error {
            fn from(rejection: crate::domain::failure::Rejection<$action>) -> Self {
                Self { code: rejection.code.into(), field: rejection.field, message: rejection.message }
            }
        }
    };
}
pub(super) use user_errors;

/// For actions that reject nothing.
impl From<Rejection<Infallible>> for Infallible {
    fn from(rejection: Rejection<Infallible>) -> Self {
        rejection.code
    }
}
