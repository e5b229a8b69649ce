//! The price of an operation: what it costs to answer when every list is as long as it may be.
//!
//! Lists in lists multiply, so a field costs itself and, times the length of its list, what is
//! asked of each item. Each fragment is priced once, by the type it is on.

use std::collections::HashMap;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
    SelectionSet,
};
use async_graphql::registry::{MetaField, MetaTypeName, Registry};
use async_graphql::{Name, ServerResult, Value as Constant, Variables};
use async_graphql_value::Value;

use super::super::paging::DEFAULT_PAGE;
use super::within;
use crate::domain::page::MAX_PAGE;

/// What an operation may cost. The dearest of the committed ones costs a third at its longest page.
const MAX_COST: u64 = 20_000;
/// A field that takes arguments: it is looked up or computed for itself, mostly by a statement.
const LOOK_UP: u64 = 20;
/// Any other field.
const PLAIN: u64 = 1;
/// The length that a list of the schema's own description counts as: it is read from memory.
const DESCRIBED: u64 = 5;

/// Fails when the operation that is to run costs too much.
pub(super) fn check(
    registry: &Registry,
    document: &ExecutableDocument,
    (name, variables): (Option<&str>, &Variables),
) -> ServerResult<()> {
    // Without a choice nothing runs: execution says what is missing.
    let cost = match chosen(document, name) {
        Some(operation) => cost(registry, document, operation, variables),
        None => 0,
    };
    within("points of cost once its lists are filled", cost, MAX_COST)
}

fn chosen<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a OperationDefinition> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(&operation.node),
        (DocumentOperations::Multiple(operations), Some(name)) => {
            operations.get(name).map(|operation| &operation.node)
        }
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => {
            operations.values().next().map(|operation| &operation.node)
        }
        _ => None,
    }
}

fn cost(
    registry: &Registry,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
) -> u64 {
    let root = match operation.ty {
        OperationType::Query => Some(&registry.query_type),
        OperationType::Mutation => registry.mutation_type.as_ref(),
        OperationType::Subscription => registry.subscription_type.as_ref(),
    };
    let defaults = operation.variable_definitions.iter().filter_map(|variable| {
        Some((&variable.node.name.node, &variable.node.default_value.as_ref()?.node))
    });
    let mut values: HashMap<&Name, &Constant> = defaults.collect();
    values.extend(variables.iter());
    let mut prices = Prices { registry, document, values, fragments: HashMap::new() };
    prices.selection(&operation.selection_set.node, root.map_or("", String::as_str))
}

struct Prices<'a> {
    registry: &'a Registry,
    document: &'a ExecutableDocument,
    /// What the variables hold.
    values: HashMap<&'a Name, &'a Constant>,
    fragments: HashMap<&'a Name, u64>,
}

impl<'a> Prices<'a> {
    fn selection(&mut self, set: &'a SelectionSet, of: &'a str) -> u64 {
        set.items.iter().fold(0, |cost: u64, item| {
            cost.saturating_add(match &item.node {
                Selection::Field(field) => self.field(&field.node, of),
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let of = condition.map_or(of, |condition| condition.node.on.node.as_str());
                    self.selection(&inline.node.selection_set.node, of)
                }
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node),
            })
        })
    }

    /// That no fragment spreads itself was seen to before.
    fn fragment(&mut self, name: &'a Name) -> u64 {
        if let Some(known) = self.fragments.get(name) {
            return *known;
        }
        let Some(fragment) = self.document.fragments.get(name) else { return 0 };
        let of = fragment.node.type_condition.node.on.node.as_str();
        let cost = self.selection(&fragment.node.selection_set.node, of);
        self.fragments.insert(name, cost);
        cost
    }

    fn field(&mut self, field: &'a Field, of: &'a str) -> u64 {
        let on = self.registry.types.get(of);
        let Some(meta) = on.and_then(|on| on.field_by_name(&field.name.node)) else {
            // `__typename`, or a field that validation will refuse by name.
            return PLAIN;
        };
        let own = if meta.args.is_empty() || of.starts_with("__") { PLAIN } else { LOOK_UP };
        let item =
            self.selection(&field.selection_set.node, MetaTypeName::concrete_typename(&meta.ty));
        own.saturating_add(self.length(meta, field, of).saturating_mul(item))
    }

    /// How many items a field counts as. A page counts where its size is said, so that the lists
    /// right inside of a connection do not count again.
    fn length(&self, meta: &MetaField, field: &Field, of: &str) -> u64 {
        if meta.args.contains_key("first") {
            let sizes = ["first", "last"].map(|name| self.size(field, name));
            return sizes.into_iter().flatten().max().unwrap_or(u64::from(DEFAULT_PAGE));
        }
        if of.ends_with("Connection") || !MetaTypeName::create(&meta.ty).is_list() {
            return 1;
        }
        if of.starts_with("__") {
            return DESCRIBED;
        }
        // Whoever names the items has said how many there are.
        let given = field.arguments.iter().filter_map(|(_, value)| self.given(&value.node));
        given.max().unwrap_or(u64::from(DEFAULT_PAGE))
    }

    /// The page size in an argument; what is no size, a resolver will refuse.
    fn size(&self, field: &Field, argument: &str) -> Option<u64> {
        let number = match &field.get_argument(argument)?.node {
            Value::Number(number) => number,
            Value::Variable(name) => match self.values.get(name)? {
                Constant::Number(number) => number,
                _ => return None,
            },
            _ => return None,
        };
        Some(number.as_u64().unwrap_or(u64::MAX).min(u64::from(MAX_PAGE)))
    }

    fn given(&self, value: &Value) -> Option<u64> {
        match value {
            Value::List(items) => Some(items.len() as u64),
            Value::Variable(name) => match self.values.get(name)? {
                Constant::List(items) => Some(items.len() as u64),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::{Mutation, Query, Schema, live::LiveSubscription};
    use async_graphql::extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest,
    };
    use async_graphql::{Request, ServerError};
    use serde_json::json;
    use std::sync::Arc;

    /// Answers with the price alone.
    struct PriceTag;

    impl ExtensionFactory for PriceTag {
        fn create(&self) -> Arc<dyn Extension> {
            Arc::new(Self)
        }
    }

    #[async_graphql::async_trait::async_trait]
    impl Extension for PriceTag {
        async fn prepare_request(
            &self,
            ctx: &ExtensionContext<'_>,
            mut request: Request,
            _: NextPrepareRequest<'_>,
        ) -> ServerResult<Request> {
            let (name, variables) = (request.operation_name.clone(), request.variables.clone());
            let document = super::super::document(&mut request)?;
            super::super::shape::check(document, &variables)?;
            let operation = chosen(document, name.as_deref()).unwrap();
            let price = cost(&ctx.schema_env.registry, document, operation, &variables);
            Err(ServerError::new(price.to_string(), None))
        }
    }

    async fn price(document: &str, variables: serde_json::Value) -> u64 {
        let schema = Schema::build(Query::default(), Mutation::default(), LiveSubscription);
        let schema = schema.extension(PriceTag).finish();
        let request = Request::new(document).variables(Variables::from_json(variables));
        let message = schema.execute(request).await.errors.remove(0).message;
        message.parse().unwrap_or_else(|_| panic!("{message}"))
    }

    #[tokio::test]
    async fn committed_operations_at_their_longest_page_are_far_from_the_limit() {
        let operations = std::fs::read_dir("schema/operations").unwrap();
        let mut dearest = 0;
        for file in operations {
            let path = file.unwrap().path();
            let document = std::fs::read_to_string(&path).unwrap();
            let price = price(&document, json!({ "first": 100, "comments": 100 })).await;
            assert!(price <= MAX_COST / 2, "{} costs {price}", path.display());
            dearest = dearest.max(price);
        }
        assert!(dearest > 1_000, "pages are not counted: {dearest}");
    }

    #[tokio::test]
    async fn describing_the_schema_is_within_the_limit_once() {
        let document = include_str!("../../../tests/introspection.graphql");
        let price = price(document, json!({})).await;
        assert!((MAX_COST / 4..MAX_COST).contains(&price), "GraphiQL's introspection: {price}");
    }

    #[tokio::test]
    async fn lists_multiply() {
        let nodes = |size: &str, inner: &str| format!("articles({size}) {{ nodes {{ {inner} }} }}");
        let one = price(&format!("{{ {} }}", nodes("first: 100", "id")), json!({})).await;
        assert_eq!(one, LOOK_UP + 100 * (1 + 1));
        let in_category = format!("category {{ {} }}", nodes("last: 50", "id"));
        let two = price(&format!("{{ {} }}", nodes("first: 100", &in_category)), json!({})).await;
        assert_eq!(two, LOOK_UP + 100 * (1 + 1 + LOOK_UP + 50 * 2));
        let unsaid =
            price("{ articles(orderBy: null) { edges { node { id } } } }", json!({})).await;
        assert_eq!(unsaid, LOOK_UP + 20 * 3);
        let plain = price("{ editions { name } }", json!({})).await;
        assert_eq!(plain, PLAIN + 20);
        let named = price("{ nodes(ids: [\"a\", \"b\", \"c\"]) { id } }", json!({})).await;
        assert_eq!(named, LOOK_UP + 3);
        let absurd = price("{ articles(first: -5) { nodes { id } } }", json!({})).await;
        assert_eq!(absurd, LOOK_UP + 100 * 2);
        let looped = "categories(locale: \"en\") { children { parent { children { parent { children \
            { id } } } } } }";
        assert!(price(&format!("{{ {looped} }}"), json!({})).await > MAX_COST);
    }

    #[tokio::test]
    async fn sizes_come_from_variables_and_their_defaults() {
        let document = "query($n: Int = 50, $ids: [ID!]! = []) {
            articles(first: $n) { ...Page } nodes(ids: $ids) { id }
        } fragment Page on ArticleConnection { nodes { id ...Two } }
        fragment Two on Article { slug ... on Article { headline } }";
        let of = |n: u64, ids: u64| LOOK_UP + n * (1 + 3) + LOOK_UP + ids;
        assert_eq!(price(document, json!({})).await, of(50, 0));
        assert_eq!(price(document, json!({ "n": 7, "ids": ["a"] })).await, of(7, 1));
        assert_eq!(price(document, json!({ "n": null })).await, of(20, 0));
    }

    #[tokio::test]
    async fn too_dear_an_operation_is_refused_with_the_numbers() {
        let schema = Schema::build(Query::default(), Mutation::default(), LiveSubscription);
        let schema = schema.extension(super::super::Budget).finish();
        let many =
            "articles(first: 100) { nodes { category { articles(first: 100) { ...Page } } } }";
        let document =
            format!("{{ {many} }} fragment Page on ArticleConnection {{ nodes {{ id }} }}");
        let refused = schema.execute(document).await.errors.remove(0);
        assert_eq!(
            refused.message,
            "the document has 22220 points of cost once its lists are filled; at most 20000 are allowed"
        );
        let code = refused.extensions.unwrap().get("code").cloned();
        assert_eq!(code, Some("DOCUMENT_TOO_COSTLY".into()));
    }
}
