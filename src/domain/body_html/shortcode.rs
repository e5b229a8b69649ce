//! WordPress shortcodes: the few that stand for something an article has.

use std::borrow::Cow;

/// Captions become figures, players their address; galleries, which name pictures by numbers of
/// another system, go. Brackets of any other kind are text and stay.
pub(super) fn expand(html: &str) -> Cow<'_, str> {
    if !html.contains('[') {
        return Cow::Borrowed(html);
    }
    let mut expanded = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('[') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        match shortcode(rest) {
            Some((replacement, after)) => {
                expanded.push_str(&replacement);
                rest = after;
            }
            None => {
                expanded.push('[');
                rest = &rest[1..];
            }
        }
    }
    expanded.push_str(rest);
    Cow::Owned(expanded)
}

/// Puts empty lines around an address that has a line to itself: there it stands for what it shows.
pub(super) fn set_addresses_apart(html: &str) -> String {
    let is_address = |line: &str| {
        let line = line.trim();
        line.starts_with("http") && line.contains("://") && !line.contains(['<', ' ', '"', '\''])
    };
    let apart = html.split('\n').map(|line| match is_address(line) {
        true => Cow::Owned(format!("\n{line}\n")),
        false => Cow::Borrowed(line),
    });
    apart.collect::<Vec<_>>().join("\n")
}

/// The longest a shortcode may be: what is longer is a bracket that was never closed.
const LONGEST: usize = 2_000;

fn shortcode(text: &str) -> Option<(String, &str)> {
    let end = text.bytes().take(LONGEST).position(|byte| byte == b']')?;
    let inside = &text[1..end];
    let after = &text[end + 1..];
    let name = inside.split([' ', '\n', '\t', '\u{a0}']).next()?;
    let replacement = match name {
        "caption" | "wp_caption" => "\n\n<figure>".to_owned() + &caption(inside),
        "/caption" | "/wp_caption" => "</figure>\n\n".to_owned(),
        "embed" | "/embed" => "\n\n".to_owned(),
        "video" | "audio" | "youtube" | "vimeo" => {
            address(inside).map(|address| format!("\n\n{address}\n\n")).unwrap_or_default()
        }
        "gallery" | "playlist" | "/video" | "/audio" | "/gallery" => String::new(),
        _ => return None,
    };
    Some((replacement, after))
}

/// Old captions are an attribute, new ones stand behind the picture.
fn caption(inside: &str) -> String {
    inside
        .split_once(" caption=\"")
        .and_then(|(_, value)| value.split_once('"'))
        .map(|(caption, _)| format!("<figcaption>{caption}</figcaption>"))
        .unwrap_or_default()
}

fn address(inside: &str) -> Option<&str> {
    let start = inside.find("http")?;
    let end =
        inside[start..].find([' ', '"', '\'', '\n']).map_or(inside.len(), |length| start + length);
    Some(&inside[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_that_are_text_stay() {
        for text in ["[1]", "[كذا]", "a [ b", "[unknown x=1]", "]["] {
            assert_eq!(expand(text), text);
        }
    }

    #[test]
    fn an_address_with_a_line_to_itself_stands_apart() {
        assert_eq!(
            set_addresses_apart("a\nhttps://v.example/1\nb"),
            "a\n\nhttps://v.example/1\n\nb"
        );
        assert_eq!(set_addresses_apart("see https://v.example/1"), "see https://v.example/1");
    }

    #[test]
    fn players_become_addresses() {
        assert_eq!(
            expand("[video mp4=\"https://v.example/a.mp4\" w=1][/video]"),
            "\n\nhttps://v.example/a.mp4\n\n"
        );
        assert_eq!(expand("[gallery ids=\"1,2\"]"), "");
        assert_eq!(
            expand("[caption caption=\"ت\"]x[/caption]"),
            "\n\n<figure><figcaption>ت</figcaption>x</figure>\n\n"
        );
    }
}
