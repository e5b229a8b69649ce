//! The budget of a request, counted before anything looks at its document more closely.
//!
//! Each look is linear. `text` comes before the parser, which calls itself for each bracket;
//! `shape` before the crate's check of recursion and its validation, which walk every path that
//! fragments open; `price` before the resolvers, for which lists in lists multiply.

mod price;
mod shape;
mod text;

use std::sync::Arc;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest,
};
use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Request, ServerError, ServerResult};

use super::errors::error;

/// Refuses requests that cost too much.
pub struct Budget;

impl ExtensionFactory for Budget {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for Budget {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let mut request = next.run(ctx, request).await?;
        // Here and not in the hook for parsing: what that one runs walks every path.
        let variables = std::mem::take(&mut request.variables);
        let name = request.operation_name.clone();
        let document = document(&mut request)?;
        shape::check(document, &variables)?;
        price::check(&ctx.schema_env.registry, document, (name.as_deref(), &variables))?;
        request.variables = variables;
        Ok(request)
    }
}

/// The document of a request, once its text has been looked at. Nothing else may parse one.
#[expect(clippy::disallowed_methods, reason = "the one place that has looked at the text")]
pub fn document(request: &mut Request) -> ServerResult<&ExecutableDocument> {
    text::check(&request.query)?;
    request.parsed_query()
}

fn within(what: &str, asked: u64, allowed: u64) -> ServerResult<()> {
    if asked <= allowed {
        return Ok(());
    }
    let message = format!("the document has {asked} {what}; at most {allowed} are allowed");
    let refused = error("DOCUMENT_TOO_COSTLY", message);
    Err(ServerError { extensions: refused.extensions, ..ServerError::new(refused.message, None) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The budget as a schema applies it: the crate's own walk of all paths must not come first.
    #[tokio::test]
    async fn refusing_comes_before_every_walk_of_the_crate() {
        use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};

        struct Query;

        #[Object]
        impl Query {
            async fn a(&self) -> u8 {
                1
            }
        }
        let schema =
            Schema::build(Query, EmptyMutation, EmptySubscription).extension(Budget).finish();
        let mut query = "query { ...F0 }".to_owned();
        for level in 0..24 {
            let spread = format!("...F{} ", level + 1).repeat(3);
            query.push_str(&format!(" fragment F{level} on Query {{ {spread} }}"));
        }
        query.push_str(" fragment F24 on Query { a }");
        // Some 3^24 paths: walked one by one, this test would not end today.
        let refused = schema.execute(query).await;
        assert!(refused.errors[0].message.contains("selections"), "{refused:?}");
        let long = format!("{{ a }} #{}", "x".repeat(64 * 1_024));
        assert!(schema.execute(long).await.errors[0].message.contains("bytes"));
        assert!(schema.execute("{ ...A } fragment A on Query { a }").await.is_ok());
    }
}
