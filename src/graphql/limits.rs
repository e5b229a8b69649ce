//! The budget of a document, counted on its syntax tree before anything looks at it more closely.
//!
//! The count is linear in the document: each fragment is measured once, however often and however
//! deep it is spread. Validation walks every path instead, so it must not see what is refused here.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextParseQuery};
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{ErrorExtensions, Name, ServerError, ServerResult, Variables};

/// Fields after all fragments are spread.
const MAX_FIELDS: u64 = 2_000;
/// How deep fields nest, fragments spread. GraphiQL's own introspection needs 15.
const MAX_DEPTH: u64 = 20;
/// Directives after all fragments are spread.
const MAX_DIRECTIVES: u64 = 100;
/// Mutation fields in one operation: each is a change of its own.
const MAX_MUTATIONS: usize = 10;

/// Refuses documents that cost too much.
pub struct Budget;

impl ExtensionFactory for Budget {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for Budget {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await?;
        check(&document)?;
        Ok(document)
    }
}

/// Fails with the first limit that the document goes beyond.
pub fn check(document: &ExecutableDocument) -> ServerResult<()> {
    let mut measure = Measure { document, fragments: HashMap::new() };
    let mut total = Cost::default();
    for (_, operation) in document.operations.iter() {
        let selection = &operation.node.selection_set.node;
        total = total.and(measure.selection(selection));
        total.directives = total.directives.saturating_add(operation.node.directives.len() as u64);
        let is_mutation =
            operation.node.ty == async_graphql::parser::types::OperationType::Mutation;
        if is_mutation && selection.items.len() > MAX_MUTATIONS {
            return Err(too_costly(
                "mutation fields",
                selection.items.len() as u64,
                MAX_MUTATIONS as u64,
            ));
        }
    }
    for (what, cost, limit) in [
        ("fields", total.fields, MAX_FIELDS),
        ("levels of nesting", total.depth, MAX_DEPTH),
        ("directives", total.directives, MAX_DIRECTIVES),
    ] {
        if cost > limit {
            return Err(too_costly(what, cost, limit));
        }
    }
    Ok(())
}

fn too_costly(what: &str, cost: u64, limit: u64) -> ServerError {
    let message = format!(
        "the document has {cost} {what} once its fragments are spread; at most {limit} are allowed"
    );
    let error = async_graphql::Error::new(message)
        .extend_with(|_, extensions| extensions.set("code", "DOCUMENT_TOO_COSTLY"));
    ServerError { extensions: error.extensions, ..ServerError::new(error.message, None) }
}

#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    fields: u64,
    depth: u64,
    directives: u64,
}

impl Cost {
    fn and(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            depth: self.depth.max(other.depth),
            directives: self.directives.saturating_add(other.directives),
        }
    }
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    /// `None` while it is being measured: a fragment that spreads itself costs nothing here, and
    /// validation refuses it by name.
    fragments: HashMap<&'a Name, Option<Cost>>,
}

impl<'a> Measure<'a> {
    fn selection(&mut self, set: &'a SelectionSet) -> Cost {
        set.items.iter().fold(Cost::default(), |cost, item| cost.and(self.item(&item.node)))
    }

    fn item(&mut self, item: &'a Selection) -> Cost {
        let (cost, directives) = match item {
            Selection::Field(field) => {
                let inner = self.selection(&field.node.selection_set.node);
                let cost = Cost {
                    fields: inner.fields.saturating_add(1),
                    depth: inner.depth.saturating_add(1),
                    ..inner
                };
                (cost, field.node.directives.len())
            }
            Selection::InlineFragment(inline) => {
                (self.selection(&inline.node.selection_set.node), inline.node.directives.len())
            }
            Selection::FragmentSpread(spread) => {
                (self.fragment(&spread.node.fragment_name.node), spread.node.directives.len())
            }
        };
        Cost { directives: cost.directives.saturating_add(directives as u64), ..cost }
    }

    fn fragment(&mut self, name: &'a Name) -> Cost {
        if let Some(known) = self.fragments.get(name) {
            return known.unwrap_or_default();
        }
        let Some(fragment) = self.document.fragments.get(name) else {
            return Cost::default();
        };
        self.fragments.insert(name, None);
        let cost = self.selection(&fragment.node.selection_set.node);
        self.fragments.insert(name, Some(cost));
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    fn refusal(query: &str) -> String {
        check(&parse_query(query).unwrap()).map_or_else(|error| error.message, |()| String::new())
    }

    #[test]
    fn fragments_that_multiply_are_counted_without_being_spread() {
        let mut query = "query { ...F0 }".to_owned();
        for level in 0..6 {
            let spread = format!("...F{} ", level + 1).repeat(20);
            query.push_str(&format!(" fragment F{level} on Query {{ {spread} }}"));
        }
        query.push_str(" fragment F6 on Query { __typename }");
        assert!(query.len() < 1_200);
        assert!(refusal(&query).contains("64000000 fields"), "{}", refusal(&query));
    }

    #[test]
    fn a_fragment_in_itself_ends() {
        assert_eq!(refusal("query { ...A } fragment A on Query { a ...A }"), "");
    }

    #[test]
    fn depth_and_directives_are_bounded() {
        let deep = format!("{}a{}", "{ a ".repeat(21), " }".repeat(21));
        assert!(refusal(&deep).contains("levels of nesting"), "{}", refusal(&deep));
        assert!(
            refusal(&format!("{{ a {} }}", "@skip(if: true) ".repeat(101))).contains("directives")
        );
        assert!(
            refusal(&format!("mutation {{ {} }}", "a ".repeat(11))).contains("mutation fields")
        );
        assert_eq!(refusal("{ a { b } }"), "");
    }
}
