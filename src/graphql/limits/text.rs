//! The text of a document, looked at before it is parsed.
//!
//! The parser calls itself for each bracket that opens in another: a few kilobytes of `[[[[…` would
//! take the stack, and with it the process. So brackets are counted here first, byte by byte.

use async_graphql::{Pos, ServerError, ServerResult};

use super::within;

/// The text of a document.
const MAX_BYTES: u64 = 64 * 1_024;
/// Selections, arguments, lists and objects that are open at once. The deepest document that the
/// other limits let through has some forty.
const MAX_NESTING: u64 = 50;

/// Fails when the text is too long, or nests deeper than the parser can follow.
pub(super) fn check(text: &str) -> ServerResult<()> {
    within("bytes", text.len() as u64, MAX_BYTES)?;
    within("levels of nesting in its text", nesting(text)?, MAX_NESTING)
}

/// How many brackets are open at most, outside of strings and comments.
fn nesting(text: &str) -> ServerResult<u64> {
    let mut rest = text.as_bytes();
    let (mut open, mut deepest) = (0_u64, 0);
    while let [first, after @ ..] = rest {
        rest = match first {
            b'"' => after_string(rest).ok_or_else(|| unclosed(text, rest.len()))?,
            b'#' => after_line(after),
            b'[' | b'{' | b'(' => {
                open += 1;
                deepest = deepest.max(open);
                after
            }
            b']' | b'}' | b')' => {
                open = open.saturating_sub(1);
                after
            }
            _ => after,
        };
    }
    Ok(deepest)
}

/// What follows a string. `None` when it does not end: the parser would read on at its second
/// quote, and nobody can say what that makes of the rest.
fn after_string(text: &[u8]) -> Option<&[u8]> {
    const BLOCK: &[u8] = b"\"\"\"";
    let mut rest = match text.strip_prefix(BLOCK) {
        Some(block) => block,
        None => return after_line_string(text.get(1..)?),
    };
    loop {
        if let Some(after) = rest.strip_prefix(BLOCK) {
            return Some(after);
        }
        rest = match rest.strip_prefix(b"\\\"\"\"") {
            Some(after) => after,
            None => rest.get(1..)?,
        };
    }
}

fn after_line_string(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', _, after @ ..] => after,
            [] | [b'\n' | b'\r', ..] => return None,
            [_, after @ ..] => after,
        };
    }
}

fn after_line(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

fn unclosed(text: &str, left: usize) -> ServerError {
    let before = text.get(..text.len() - left).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    ServerError::new("a string in the document is not closed", Some(Pos { line, column }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;
    use async_graphql::parser::types::Selection;
    use async_graphql_value::Value;
    use proptest::prelude::*;

    fn refusal(text: &str) -> String {
        check(text).map_or_else(|error| error.message, |()| String::new())
    }

    #[test]
    fn brackets_are_counted_however_they_are_mixed() {
        assert_eq!(nesting("{ a(x: [[{ y: 1 }], []]) { b } }").unwrap(), 5);
        for deep in ["[", "{a(x:", "{a", "(", "query($v:["] {
            let text = deep.repeat(1_600);
            let expected = "levels of nesting in its text; at most 50 are allowed";
            assert!(refusal(&text).contains(expected), "{deep}: {}", refusal(&text));
        }
        assert_eq!(refusal(&format!("{{ a {} }}", "{ b }".repeat(1_000))), "", "side by side");
        let long = format!("{{ a }} #{}", "x".repeat(64 * 1_024));
        assert_eq!(refusal(&long), "the document has 65543 bytes; at most 65536 are allowed");
    }

    #[test]
    fn strings_and_comments_hide_brackets_and_nothing_else_does() {
        let hidden = "[".repeat(60);
        for text in [
            format!("{{ a(x: \"{hidden}\") }}"),
            format!("{{ a(x: \"\\\"{hidden}\") }}"),
            format!("{{ a(x: \"\"\"\n\" \\\"\"\" {hidden}\"\"\") }}"),
            format!("{{ a }} # \" {hidden}\n"),
            format!("# {hidden}\r{{ a }}"),
        ] {
            assert_eq!(refusal(&text), "", "{text}");
        }
        for text in [
            format!("{{ a(x: \"\\\\\"{hidden}"),
            format!("{{ a(x: \"\"{hidden}"),
            format!("{{ a(x: \"\"\"\"\"\"{hidden}"),
            format!("# \"\n{hidden}"),
        ] {
            assert!(refusal(&text).contains("levels of nesting"), "{text}");
        }
    }

    #[test]
    fn a_string_without_an_end_is_refused_where_it_begins() {
        let hidden = "[".repeat(60);
        for text in [
            format!("{{\n a(x: [\"\"\"{hidden}\"{hidden}"),
            format!("{{\n a(x: [\"{hidden}\n{hidden}"),
            "{\n a(x: [\"\\\"".to_owned(),
        ] {
            let error = check(&text).unwrap_err();
            assert_eq!(error.message, "a string in the document is not closed");
            assert_eq!(error.locations, [Pos { line: 2, column: 8 }], "{text}");
        }
    }

    proptest! {
        /// Whatever the parser takes is read alike here: were a bracket hidden from the count, the
        /// depth that is counted would be smaller than that of the values in the document.
        #[test]
        fn the_count_sees_what_the_parser_sees(pieces in proptest::collection::vec(
            prop_oneof![
                Just("\""), Just("\"\"\""), Just("\\"), Just("\\\""), Just("\n"), Just("#"),
                Just("["), Just("]"), Just("a"), Just("\\\\"), Just(" "),
            ],
            0..24,
        )) {
            let text = format!("{{ a(x: [{}]) }}", pieces.concat());
            if let Ok(document) = parse_query(&text) {
                let operation = document.operations.iter().next().unwrap().1;
                let item = &operation.node.selection_set.node.items[0].node;
                let Selection::Field(field) = item else { panic!("{text}") };
                let depth = depth_of(&field.node.arguments[0].1.node);
                if let Ok(counted) = nesting(&text) {
                    prop_assert_eq!(counted, depth + 2, "{}", text);
                }
            }
        }
    }

    fn depth_of(value: &Value) -> u64 {
        match value {
            Value::List(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
            _ => 0,
        }
    }
}
