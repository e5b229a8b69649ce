//! The budget of a document, counted on its syntax tree before anything looks at it more closely.
//!
//! The count is linear in the document: each fragment is measured once, however often and however
//! deep it is spread. The crate's check of recursion and its validation walk every path instead,
//! so neither may see a document before it has passed here.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest,
};
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet};
use async_graphql::{ErrorExtensions, Name, Request, ServerError, ServerResult};

/// The text of a document.
const MAX_BYTES: u64 = 64 * 1_024;
/// Fields, spreads and inline fragments after all fragments are spread. Spreads count on their own:
/// each one is a step of the walks that follow, even where it leads to no field.
const MAX_SELECTIONS: u64 = 2_000;
/// How deep fields nest, fragments spread. GraphiQL's own introspection needs 15.
const MAX_DEPTH: u64 = 20;
/// How deep selections of any kind nest while they are measured: what keeps the stack small.
const MAX_LEVELS: u64 = 30;
/// Directives after all fragments are spread.
const MAX_DIRECTIVES: u64 = 100;
/// Mutation fields in one operation: each is a change of its own.
const MAX_MUTATIONS: u64 = 10;

/// Refuses documents that cost too much.
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
        within("bytes", request.query.len() as u64, MAX_BYTES)?;
        // Here and not in the hook for parsing: what that one runs walks every path.
        check(request.parsed_query()?)?;
        Ok(request)
    }
}

/// Fails with the first limit that the document goes beyond.
pub fn check(document: &ExecutableDocument) -> ServerResult<()> {
    let mut measure = Measure { document, fragments: HashMap::new() };
    let mut total = Cost::default();
    for (_, operation) in document.operations.iter() {
        let selection = &operation.node.selection_set.node;
        total = total.and(measure.selection(selection, 1)?);
        total.directives = total.directives.saturating_add(operation.node.directives.len() as u64);
        if operation.node.ty == OperationType::Mutation {
            within("mutation fields", selection.items.len() as u64, MAX_MUTATIONS)?;
        }
    }
    within("selections once its fragments are spread", total.selections, MAX_SELECTIONS)?;
    within("levels of nesting once its fragments are spread", total.depth, MAX_DEPTH)?;
    within("directives once its fragments are spread", total.directives, MAX_DIRECTIVES)?;
    measure.refuse_unused()
}

fn within(what: &str, asked: u64, allowed: u64) -> ServerResult<()> {
    if asked <= allowed {
        return Ok(());
    }
    let message = format!("the document has {asked} {what}; at most {allowed} are allowed");
    let error = async_graphql::Error::new(message)
        .extend_with(|_, extensions| extensions.set("code", "DOCUMENT_TOO_COSTLY"));
    Err(ServerError { extensions: error.extensions, ..ServerError::new(error.message, None) })
}

#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    selections: u64,
    depth: u64,
    directives: u64,
}

impl Cost {
    fn and(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            depth: self.depth.max(other.depth),
            directives: self.directives.saturating_add(other.directives),
        }
    }
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    /// `None` while it is being measured.
    fragments: HashMap<&'a Name, Option<Cost>>,
}

impl<'a> Measure<'a> {
    fn selection(&mut self, set: &'a SelectionSet, level: u64) -> ServerResult<Cost> {
        within("levels of nesting", level, MAX_LEVELS)?;
        set.items
            .iter()
            .try_fold(Cost::default(), |cost, item| Ok(cost.and(self.item(&item.node, level)?)))
    }

    fn item(&mut self, item: &'a Selection, level: u64) -> ServerResult<Cost> {
        let (inner, deeper, directives) = match item {
            Selection::Field(field) => {
                let inner = self.selection(&field.node.selection_set.node, level + 1)?;
                (inner, 1, field.node.directives.len())
            }
            Selection::InlineFragment(inline) => {
                let inner = self.selection(&inline.node.selection_set.node, level + 1)?;
                (inner, 0, inline.node.directives.len())
            }
            Selection::FragmentSpread(spread) => {
                let inner = self.fragment(&spread.node.fragment_name.node, level + 1)?;
                (inner, 0, spread.node.directives.len())
            }
        };
        Ok(Cost {
            selections: inner.selections.saturating_add(1),
            depth: inner.depth.saturating_add(deeper),
            directives: inner.directives.saturating_add(directives as u64),
        })
    }

    /// What a fragment costs. One that is not defined costs nothing; validation refuses it by name.
    fn fragment(&mut self, name: &'a Name, level: u64) -> ServerResult<Cost> {
        match self.fragments.get(name) {
            Some(Some(known)) => return Ok(*known),
            Some(None) => {
                return Err(ServerError::new(format!("Fragment \"{name}\" spreads itself"), None));
            }
            None => {}
        }
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(Cost::default());
        };
        self.fragments.insert(name, None);
        let cost = self.selection(&fragment.node.selection_set.node, level)?;
        self.fragments.insert(name, Some(cost));
        Ok(cost)
    }

    /// Refuses fragments that no operation spreads: nothing here has measured them, and validation
    /// would walk them all the same.
    fn refuse_unused(&self) -> ServerResult<()> {
        let fragments = self.document.fragments.iter();
        let unused = fragments.filter(|(name, _)| !self.fragments.contains_key(name));
        match unused.min_by_key(|(_, fragment)| fragment.pos) {
            Some((name, fragment)) => Err(ServerError::new(
                format!("Fragment \"{name}\" is never used"),
                Some(fragment.pos),
            )),
            None => Ok(()),
        }
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
        assert!(refusal(&query).contains("131368421 selections"), "{}", refusal(&query));
    }

    #[test]
    fn spreads_that_lead_to_no_field_are_counted() {
        let mut query = "query { ...F0 }".to_owned();
        for level in 0..6 {
            let spread = format!("...F{} ", level + 1).repeat(20);
            query.push_str(&format!(" fragment F{level} on Query {{ {spread} }}"));
        }
        assert!(refusal(&query).contains("selections"), "{}", refusal(&query));
    }

    #[test]
    fn a_chain_of_fragments_is_refused_before_the_stack_ends() {
        let chain: String =
            (0..5_000).map(|i| format!("fragment A{i} on Query {{ ...A{} }}", i + 1)).collect();
        let end = "fragment A5000 on Query { __typename }";
        let used = refusal(&format!("{{ ...A0 }} {chain} {end}"));
        assert!(used.contains("levels of nesting"), "{used}");
        let unused = refusal(&format!("{{ __typename }} {chain} {end}"));
        assert_eq!(unused, "Fragment \"A0\" is never used");
    }

    #[test]
    fn a_fragment_in_itself_is_refused() {
        let direct = refusal("query { ...A } fragment A on Query { a ...A }");
        assert_eq!(direct, "Fragment \"A\" spreads itself");
        let around = "query { ...A } fragment A on Query { ...B } fragment B on Query { a ...A }";
        assert_eq!(refusal(around), "Fragment \"A\" spreads itself");
    }

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
