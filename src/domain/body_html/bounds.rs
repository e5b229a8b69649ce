//! What HTML may ask of the parser, checked in one pass before it is parsed.

use std::collections::HashMap;

/// Elements open at once.
const MAX_DEPTH: usize = 256;
/// Elements open at once, times tags: the parser may copy what is open into each new paragraph.
const MAX_WORK: usize = 4_000_000;

/// Whether the parser will be done in time in proportion to the length.
pub(super) fn is_reasonable(html: &str) -> bool {
    let mut open: HashMap<String, usize> = HashMap::new();
    let (mut depth, mut deepest, mut tags) = (0_usize, 0_usize, 0_usize);
    for piece in Pieces(html) {
        let Piece::Tag(tag) = piece else { continue };
        tags += 1;
        let closes = tag.starts_with('/');
        let name = name(tag.trim_start_matches('/'));
        if is_flat(&name) {
            continue;
        }
        let count = open.entry(name).or_default();
        if !closes {
            *count += 1;
            depth += 1;
            deepest = deepest.max(depth);
        } else if *count > 0 {
            *count -= 1;
            depth -= 1;
        }
        if deepest > MAX_DEPTH {
            return false;
        }
    }
    deepest * tags <= MAX_WORK
}

/// The text between the tags, each tag a paragraph's end where it might have been one.
pub(super) fn bare_text(html: &str) -> String {
    let mut text = String::new();
    for piece in Pieces(html) {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Tag(tag) if matches!(name(tag).as_str(), "p" | "div" | "br" | "li") => {
                text.push_str("\n\n");
            }
            Piece::Tag(_) | Piece::Comment => {}
        }
    }
    text
}

/// Elements that hold nothing, or that the next of their kind closes.
fn is_flat(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "p"
            | "param"
            | "source"
            | "track"
            | "wbr"
            | "li"
            | "dt"
            | "dd"
            | "option"
            | "td"
            | "th"
            | "tr"
            | "tbody"
    )
}

fn name(tag: &str) -> String {
    let end = tag.find(|c: char| c.is_whitespace() || c == '/' || c == '>').unwrap_or(tag.len());
    tag[..end].to_ascii_lowercase()
}

enum Piece<'a> {
    Text(&'a str),
    /// What stands between `<` and `>`.
    Tag(&'a str),
    Comment,
}

/// HTML cut into tags and what stands between them.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let rest = self.0;
        if rest.is_empty() {
            return None;
        }
        if let Some(comment) = rest.strip_prefix("<!--") {
            self.0 = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            return Some(Piece::Comment);
        }
        if is_tag(rest) {
            let end = tag_end(rest);
            self.0 = rest.get(end + 1..).unwrap_or_default();
            return Some(Piece::Tag(&rest[1..end]));
        }
        let mut openings = rest.match_indices('<').map(|(at, _)| at).skip_while(|&at| at == 0);
        if let Some(end) = openings.find(|&at| starts_piece(&rest[at..])) {
            self.0 = &rest[end..];
            return Some(Piece::Text(&rest[..end]));
        }
        self.0 = "";
        Some(Piece::Text(rest))
    }
}

fn starts_piece(rest: &str) -> bool {
    is_tag(rest) || rest.starts_with("<!--")
}

fn is_tag(rest: &str) -> bool {
    let mut bytes = rest.bytes();
    bytes.next() == Some(b'<')
        && bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'/' || b == b'!' || b == b'?')
}

/// Where the tag's `>` is: one inside quotation marks is part of a value.
fn tag_end(rest: &str) -> usize {
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if byte == open => quote = None,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_not_hidden_by_comments_values_or_stray_ends() {
        for hidden in ["<div><!-- </div> -->", "<div><a title='</div>'></a>", "<div></x>"] {
            assert!(!is_reasonable(&hidden.repeat(300)), "{hidden}");
        }
        assert!(is_reasonable(&"<div><p>a<br></div>".repeat(9_000)));
    }

    #[test]
    fn text_is_what_stands_between() {
        assert_eq!(bare_text("ا<b>ب</b> < 3<p x='>'>ج<!-- د -->"), "اب < 3\n\nج");
        assert_eq!(bare_text("a <"), "a <");
    }
}
