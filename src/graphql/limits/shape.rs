//! The shape of a document, counted on its syntax tree and on the variables that come with it.
//!
//! Each fragment is measured once, however often and however deep it is spread. The crate's check
//! of recursion and its validation walk every path instead, so neither may see a document before
//! it has passed here.

use std::collections::HashMap;

use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, ServerError, ServerResult, Value as Constant, Variables};
use async_graphql_value::Value;

use super::within;

/// Fields, spreads and inline fragments after all fragments are spread. Spreads count on their own:
/// each one is a step of the walks that follow, even where it leads to no field.
const MAX_SELECTIONS: u64 = 2_000;
/// How deep fields nest, fragments spread. GraphiQL's own introspection needs 15.
const MAX_DEPTH: u64 = 20;
/// How deep selections of any kind nest, fragments spread: what keeps the stack small.
const MAX_LEVELS: u64 = 30;
/// Directives after all fragments are spread.
const MAX_DIRECTIVES: u64 = 100;
/// Mutation fields in one operation: each is a change of its own.
const MAX_MUTATIONS: u64 = 10;
/// Items of one list in an argument or in a variable. Fields may allow less; none allows more.
const MAX_ITEMS: u64 = 1_000;

/// Fails with the first limit that the document goes beyond.
pub(super) fn check(document: &ExecutableDocument, variables: &Variables) -> ServerResult<()> {
    let mut measure = Measure { document, fragments: HashMap::new() };
    let mut total = Cost::default();
    for (_, operation) in document.operations.iter() {
        let cost = measure.operation(&operation.node)?;
        match operation.node.ty {
            OperationType::Mutation => within("mutation fields", cost.fields, MAX_MUTATIONS)?,
            // GraphQL, section 5.2.3.1: a subscription operation is one stream of events.
            OperationType::Subscription => {
                within("root fields in a subscription operation", cost.fields, 1)?;
            }
            OperationType::Query => {}
        }
        total = total.and(cost);
    }
    let in_variables = variables.values().map(longest_constant).max().unwrap_or(0);
    within("items in one list", total.items.max(in_variables), MAX_ITEMS)?;
    within("selections once its fragments are spread", total.selections, MAX_SELECTIONS)?;
    within("levels of nesting once its fragments are spread", total.depth, MAX_DEPTH)?;
    within("directives once its fragments are spread", total.directives, MAX_DIRECTIVES)?;
    measure.refuse_unused()
}

#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    selections: u64,
    /// Fields right here: those of the root, when it is an operation's cost.
    fields: u64,
    depth: u64,
    levels: u64,
    directives: u64,
    /// Of the longest list.
    items: u64,
}

impl Cost {
    fn and(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            fields: self.fields.saturating_add(other.fields),
            depth: self.depth.max(other.depth),
            levels: self.levels.max(other.levels),
            directives: self.directives.saturating_add(other.directives),
            items: self.items.max(other.items),
        }
    }
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    /// `None` while it is being measured.
    fragments: HashMap<&'a Name, Option<Cost>>,
}

impl<'a> Measure<'a> {
    fn operation(&mut self, operation: &'a OperationDefinition) -> ServerResult<Cost> {
        let cost = self.selection(&operation.selection_set.node, 1)?;
        let defaults = operation.variable_definitions.iter();
        let defaults = defaults.filter_map(|variable| variable.node.default_value.as_ref());
        let longest = defaults.map(|value| longest_constant(&value.node)).max().unwrap_or(0);
        Ok(Cost {
            directives: cost.directives.saturating_add(operation.directives.len() as u64),
            items: cost.items.max(longest),
            ..cost
        })
    }

    fn selection(&mut self, set: &'a SelectionSet, level: u64) -> ServerResult<Cost> {
        within("levels of nesting", level, MAX_LEVELS)?;
        let mut cost = Cost::default();
        for item in &set.items {
            cost = cost.and(self.item(&item.node, level)?);
        }
        Ok(Cost { levels: cost.levels + 1, ..cost })
    }

    fn item(&mut self, item: &'a Selection, level: u64) -> ServerResult<Cost> {
        let (inner, directives) = match item {
            Selection::Field(field) => {
                (self.field(&field.node, level)?, field.node.directives.len())
            }
            Selection::InlineFragment(inline) => {
                let inner = self.selection(&inline.node.selection_set.node, level + 1)?;
                (inner, inline.node.directives.len())
            }
            Selection::FragmentSpread(spread) => {
                let inner = self.fragment(&spread.node.fragment_name.node, level + 1)?;
                (inner, spread.node.directives.len())
            }
        };
        Ok(Cost {
            selections: inner.selections.saturating_add(1),
            directives: inner.directives.saturating_add(directives as u64),
            ..inner
        })
    }

    fn field(&mut self, field: &'a Field, level: u64) -> ServerResult<Cost> {
        let inner = self.selection(&field.selection_set.node, level + 1)?;
        let longest = field.arguments.iter().map(|(_, value)| longest_list(&value.node)).max();
        Ok(Cost {
            fields: 1,
            depth: inner.depth + 1,
            items: inner.items.max(longest.unwrap_or(0)),
            ..inner
        })
    }

    /// What a fragment costs. One that is not defined costs nothing; validation refuses it by name.
    fn fragment(&mut self, name: &'a Name, level: u64) -> ServerResult<Cost> {
        match self.fragments.get(name) {
            Some(Some(known)) => {
                within("levels of nesting", level.saturating_add(known.levels), MAX_LEVELS)?;
                return Ok(*known);
            }
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

/// The items of the longest list in a value. Values nest no deeper than texts and JSON may.
fn longest_list(value: &Value) -> u64 {
    match value {
        Value::List(items) => {
            let inside = items.iter().map(longest_list).max().unwrap_or(0);
            inside.max(items.len() as u64)
        }
        Value::Object(fields) => fields.values().map(longest_list).max().unwrap_or(0),
        _ => 0,
    }
}

/// The same of a value without variables.
fn longest_constant(value: &Constant) -> u64 {
    match value {
        Constant::List(items) => {
            let inside = items.iter().map(longest_constant).max().unwrap_or(0);
            inside.max(items.len() as u64)
        }
        Constant::Object(fields) => fields.values().map(longest_constant).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    fn refusal(query: &str) -> String {
        let document = parse_query(query).unwrap();
        check(&document, &Variables::default())
            .map_or_else(|error| error.message, |()| String::new())
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

    #[test]
    fn root_fields_are_counted_through_fragments() {
        let many = "a ".repeat(6);
        for mutation in [
            format!("mutation {{ ... {{ {many} }} ... on M {{ {many} }} }}"),
            format!("mutation {{ ...F ...F }} fragment F on M {{ {many} }}"),
            format!(
                "mutation {{ {many} ...F }} fragment F on M {{ ...G }} fragment G on M {{ {many} }}"
            ),
        ] {
            assert!(refusal(&mutation).contains("12 mutation fields"), "{}", refusal(&mutation));
        }
        assert_eq!(refusal("mutation { a { b c d e f g h i j k l m } }"), "", "of one mutation");
        let two = refusal("subscription { a ... { b } }");
        assert!(two.contains("2 root fields in a subscription operation"), "{two}");
        assert_eq!(refusal("subscription { a { b c } }"), "");
    }

    #[test]
    fn a_fragment_is_as_deep_as_where_it_is_spread() {
        let nest = |inner: &str| format!("{}{inner}{}", "... { ".repeat(20), " }".repeat(20));
        let query = format!(
            "{{ ...B ...A }} fragment A on Q {{ {} }} fragment B on Q {{ {} }}",
            nest("...B"),
            nest("a")
        );
        assert!(refusal(&query).contains("levels of nesting"), "{}", refusal(&query));
    }

    #[test]
    fn lists_in_arguments_and_variables_are_bounded() {
        let list = |length: usize| format!("[{}]", "1 ".repeat(length));
        assert_eq!(refusal(&format!("{{ a(x: {{ y: [{}] }}) }}", list(1_000))), "");
        for query in [
            format!("{{ a {{ b(x: {{ y: [{}] }}) }} }}", list(1_001)),
            format!("query($x: [Int] = {}) {{ a(x: $x) }}", list(1_001)),
        ] {
            assert!(refusal(&query).contains("1001 items in one list"), "{}", refusal(&query));
        }
        let document = parse_query("query($x: [Int]) { a(x: $x) }").unwrap();
        let variables = serde_json::json!({ "x": { "y": vec![1; 1_001] } });
        let error = check(&document, &Variables::from_json(variables)).unwrap_err();
        assert!(error.message.contains("1001 items in one list"), "{error:?}");
    }
}
