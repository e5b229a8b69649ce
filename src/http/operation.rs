//! Running an operation, whatever it came by: a query within its time, a mutation to its end, a
//! subscription operation for as long as somebody listens.

use std::panic::resume_unwind;
use std::time::Duration;

use async_graphql::parser::types::{DocumentOperations, OperationType};
use async_graphql::{Request, Response as Answer, ServerError};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::time::timeout;
use tracing::Instrument;

use super::Edge;
use crate::graphql::errors::error;
use crate::graphql::limits;

/// How long answering a query may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// What kind of operation a request runs; `None` when its document does not say. The request keeps
/// the parsed document, so that it is parsed once.
pub(super) fn kind(request: &mut Request) -> Option<OperationType> {
    let name = request.operation_name.clone();
    match &limits::document(request).ok()?.operations {
        DocumentOperations::Single(operation) => Some(operation.node.ty),
        DocumentOperations::Multiple(operations) => {
            let named = name.and_then(|name| operations.get(name.as_str()));
            // Without a name nothing is executed; the least safe one decides all the same.
            let chosen: Vec<_> =
                named.map_or_else(|| operations.values().collect(), |operation| vec![operation]);
            let types = || chosen.iter().map(|operation| operation.node.ty);
            types().find(|ty| *ty != OperationType::Query).or_else(|| types().next())
        }
    }
}

/// All that an operation answers: once, or, to a subscription operation, whenever there is news.
pub(super) fn answers(edge: Edge, mut request: Request) -> BoxStream<'static, Answer> {
    match kind(&mut request) {
        Some(OperationType::Subscription) => edge.schema.execute_stream(request),
        _ => stream::once(answer(edge, request)).boxed(),
    }
}

/// The one answer to a query or a mutation.
pub(super) async fn answer(edge: Edge, mut request: Request) -> Answer {
    if kind(&mut request) == Some(OperationType::Mutation) {
        return mutate(edge, request).await;
    }
    match timeout(QUERY_TIMEOUT, edge.schema.execute(request)).await {
        Ok(answer) => answer,
        Err(_) => refusal(
            "TIMEOUT",
            format!("the answer was not ready within {QUERY_TIMEOUT:?}; ask for less at once"),
        ),
    }
}

/// Runs a mutation in a task of its own, which the drain waits for. Whoever waits for the answer may
/// go away, or may stop to look for it: the change is neither cut nor does it keep others waiting.
async fn mutate(edge: Edge, request: Request) -> Answer {
    let schema = edge.schema.clone();
    let running = async move { schema.execute(request).await };
    match edge.under_way.spawn(running.in_current_span()).await {
        Ok(answer) => answer,
        Err(ended) => match ended.try_into_panic() {
            Ok(cause) => resume_unwind(cause),
            Err(_) => refusal("UNAVAILABLE", "the server has ended; ask again".to_owned()),
        },
    }
}

fn refusal(code: &'static str, message: String) -> Answer {
    let refused = error(code, message);
    let error = ServerError::new(refused.message, None);
    Answer::from_errors(vec![ServerError { extensions: refused.extensions, ..error }])
}
