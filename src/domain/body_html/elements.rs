//! Which elements HTML has, as far as they have no block or form of their own here.

use scraper::ElementRef;

/// Elements inside running text whose form is dropped and whose text stays.
#[rustfmt::skip]
const INLINE: [&str; 29] = [
        "span", "font", "u", "s", "small", "big", "mark", "abbr", "acronym", "del", "ins", "q",
    "strike", "time", "var", "bdi", "bdo", "data", "label", "wbr", "picture", "ruby", "rb",
    "rp", "rt", "button", "nobr", "noscript", "source",
];

/// Elements that stand apart from running text, or that belong to those.
#[rustfmt::skip]
const APART: [&str; 66] = [
        "address", "article", "aside", "body", "canvas", "caption", "center", "col", "colgroup",
    "dd", "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "footer",
    "form", "frameset", "header", "hgroup", "hr", "html", "input", "legend", "li", "main",
    "map", "area", "marquee", "math", "meter", "nav", "object", "optgroup", "option", "output",
    "p", "param", "progress", "search", "section", "select", "slot", "summary", "svg", "table",
    "tbody", "td", "textarea", "tfoot", "th", "thead", "track", "xmp", "plaintext", "listing",
    "base", "applet", "g", "path", "text", "nextpage", "more",
];

/// Whether an element is part of the running text.
pub(super) fn is_inline(name: &str) -> bool {
    INLINE.contains(&name)
}

/// Whether an element is neither HTML's nor, by a hyphen or attributes, anybody's own.
pub(super) fn is_unheard_of(element: ElementRef<'_>) -> bool {
    let name = element.value().name();
    let is_bare = !name.contains(['-', ':']) && element.value().attrs().next().is_none();
    is_bare && !APART.contains(&name)
}
