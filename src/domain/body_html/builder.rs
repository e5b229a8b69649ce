//! Walks a parsed document and lays its content down as blocks.

use scraper::{ElementRef, Node};

use super::elements::{is_inline, is_unheard_of};
use crate::domain::body::{Block, Body, escape, inline_to_text, web_address};

/// Blocks so far, and the running text that is not a block yet.
#[derive(Default)]
pub(super) struct Builder {
    blocks: Vec<Block>,
    inline: String,
    /// Inline elements around the running text: their opening and closing tags.
    open: Vec<(String, &'static str)>,
    line_ends_count: bool,
}

impl Builder {
    /// `line_ends_count`: whether a single line end is a `<br>` or white space.
    pub(super) fn new(line_ends_count: bool) -> Self {
        Self { line_ends_count, ..Self::default() }
    }

    pub(super) fn finish(mut self) -> Body {
        self.end_paragraph();
        Body { blocks: self.blocks }
    }

    pub(super) fn children(&mut self, parent: ElementRef<'_>) {
        for child in parent.children() {
            match child.value() {
                Node::Text(text) => self.text(text),
                Node::Comment(_) => {}
                _ => {
                    if let Some(element) = ElementRef::wrap(child) {
                        self.element(element);
                    }
                }
            }
        }
    }

    fn element(&mut self, element: ElementRef<'_>) {
        match element.value().name() {
            "script" | "style" | "template" | "head" | "title" | "meta" | "link" => {}
            "br" => self.inline.push_str("<br>"),
            "b" | "strong" => self.inline(element, "<strong>".into(), "</strong>"),
            "i" | "em" | "cite" | "dfn" => self.inline(element, "<em>".into(), "</em>"),
            "code" | "kbd" | "samp" | "tt" => self.inline(element, "<code>".into(), "</code>"),
            "sub" => self.inline(element, "<sub>".into(), "</sub>"),
            "sup" => self.inline(element, "<sup>".into(), "</sup>"),
            "a" => match element.attr("href") {
                Some(href) => {
                    self.inline(element, format!("<a href=\"{}\">", escape(href)), "</a>");
                }
                None => self.children(element),
            },
            "h1" | "h2" => self.heading(element, 2),
            "h3" => self.heading(element, 3),
            "h4" | "h5" | "h6" => self.heading(element, 4),
            "blockquote" => self.quotation(element),
            "ul" | "menu" => self.list(element, false),
            "ol" => self.list(element, true),
            "figure" => self.figure(element),
            "img" => self.image(element),
            "iframe" | "video" | "audio" | "embed" | "object" => self.embed(element),
            "tr" => self.row(element),
            "pre" => self.preformatted(element),
            name if is_inline(name) => self.children(element),
            name if is_unheard_of(element) => {
                // Nobody means an element that does not exist: it is text such as `<url>`.
                self.inline.push_str(&escape(&format!("<{name}>")));
                self.children(element);
            }
            _ => {
                self.end_paragraph();
                self.children(element);
                self.end_paragraph();
            }
        }
    }

    fn inline(&mut self, element: ElementRef<'_>, opening: String, closing: &'static str) {
        self.inline.push_str(&opening);
        self.open.push((opening, closing));
        self.children(element);
        self.open.pop();
        self.inline.push_str(closing);
    }

    fn text(&mut self, text: &str) {
        let mut gap = 0;
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                gap += 1;
            }
            if line.trim().is_empty() && index > 0 {
                continue;
            }
            self.line_end(gap);
            gap = 0;
            self.inline.push_str(&escape(line));
        }
        self.line_end(gap);
    }

    fn line_end(&mut self, lines: usize) {
        match lines {
            0 => {}
            1 if self.line_ends_count && !inline_to_text(&self.inline).is_empty() => {
                self.inline.push_str("<br>");
            }
            1 => self.inline.push(' '),
            _ => self.end_paragraph(),
        }
    }

    /// Makes a paragraph of the running text; open inline elements go on in the next one.
    fn end_paragraph(&mut self) {
        let mut html = std::mem::take(&mut self.inline);
        for (_, closing) in self.open.iter().rev() {
            html.push_str(closing);
        }
        self.inline = self.open.iter().map(|(opening, _)| &**opening).collect();
        let html = trim_breaks(&html);
        let text = inline_to_text(html);
        if text.is_empty() {
            return;
        }
        let alone = text.starts_with("http") && !text.contains(char::is_whitespace);
        let block = match web_address(&text) {
            Some(url) if alone && !html.contains('<') => Block::Embed { url, caption: None },
            _ => Block::Paragraph { html: html.to_owned() },
        };
        self.blocks.push(block);
    }

    /// The blocks inside an element, apart from those around it.
    fn inside(&self, element: ElementRef<'_>, skip: &[&str]) -> Vec<Block> {
        let mut inner = Self::new(self.line_ends_count);
        for child in element.children() {
            match (child.value(), ElementRef::wrap(child)) {
                (Node::Text(text), _) => inner.text(text),
                (_, Some(element)) if !skip.contains(&element.value().name()) => {
                    inner.element(element);
                }
                _ => {}
            }
        }
        inner.finish().blocks
    }

    fn heading(&mut self, element: ElementRef<'_>, level: u8) {
        self.end_paragraph();
        let (html, others) = flatten(self.inside(element, &[]));
        self.blocks.push(Block::Heading { level, html });
        self.blocks.extend(others);
    }

    fn quotation(&mut self, element: ElementRef<'_>) {
        self.end_paragraph();
        let cited = element
            .child_elements()
            .find(|child| matches!(child.value().name(), "cite" | "footer"));
        let attribution = cited.map(|cite| cite.text().collect::<String>());
        let (html, others) = flatten(self.inside(element, &["cite", "footer"]));
        if html.is_empty() {
            let html = attribution.as_deref().map(escape).unwrap_or_default();
            self.blocks.push(Block::Paragraph { html });
        } else {
            self.blocks.push(Block::Quotation { html, attribution });
        }
        self.blocks.extend(others);
    }

    /// A list; lists inside it lie flat behind the item they belong to, marked with a dash.
    fn list(&mut self, element: ElementRef<'_>, ordered: bool) {
        self.end_paragraph();
        let mut items = Vec::new();
        let mut others = Vec::new();
        for child in self.entries(element) {
            let (nested, blocks): (Vec<_>, Vec<_>) =
                child.into_iter().partition(|block| matches!(block, Block::List { .. }));
            let (html, rest) = flatten(blocks);
            items.push(html);
            for block in nested {
                if let Block::List { items: inner, .. } = block {
                    items.extend(inner.into_iter().map(|item| format!("– {item}")));
                }
            }
            others.extend(rest);
        }
        items.retain(|item| !item.is_empty());
        self.blocks.push(Block::List { ordered, items });
        self.blocks.extend(others);
    }

    /// The content of each `li`, and of whatever else stands in a list.
    fn entries(&self, list: ElementRef<'_>) -> Vec<Vec<Block>> {
        let mut entries = Vec::new();
        for child in list.children() {
            match (child.value(), ElementRef::wrap(child)) {
                (_, Some(element)) if element.value().name() == "li" => {
                    entries.push(self.inside(element, &[]));
                }
                (_, Some(element)) => {
                    let mut inner = Self::new(self.line_ends_count);
                    inner.element(element);
                    entries.push(inner.finish().blocks);
                }
                (Node::Text(text), _) if !text.trim().is_empty() => {
                    let mut inner = Self::new(self.line_ends_count);
                    inner.text(text);
                    entries.push(inner.finish().blocks);
                }
                _ => {}
            }
        }
        entries
    }

    /// A figure: its caption goes to the picture or film in it, or, without one, into the text.
    fn figure(&mut self, element: ElementRef<'_>) {
        self.end_paragraph();
        let written = element
            .child_elements()
            .find(|child| child.value().name() == "figcaption")
            .map(|caption| caption.text().collect::<String>());
        let mut blocks = self.inside(element, &["figcaption"]);
        let is_shown = |b: &Block| matches!(b, Block::Image { .. } | Block::Embed { .. });
        let shown = blocks.iter().position(is_shown);
        // The caption shortcode leaves its text bare behind the picture.
        let is_bare_caption = written.is_none()
            && shown == Some(0)
            && matches!(blocks.as_slice(), [_, Block::Paragraph { .. }]);
        let caption =
            if is_bare_caption { blocks.pop().map(|block| block.to_text()) } else { written };
        match (shown.and_then(|at| blocks.get_mut(at)), caption) {
            (
                Some(Block::Image { caption: slot, .. } | Block::Embed { caption: slot, .. }),
                Some(caption),
            ) => *slot = Some(caption),
            (_, Some(caption)) => blocks.push(Block::Paragraph { html: escape(&caption) }),
            (_, None) => {}
        }
        self.blocks.append(&mut blocks);
    }

    fn image(&mut self, element: ElementRef<'_>) {
        let alt = element.attr("alt").unwrap_or_default();
        match element.attr("src").and_then(absolute) {
            Some(url) => {
                self.end_paragraph();
                self.blocks.push(Block::Image { url, alt: alt.to_owned(), caption: None });
            }
            None => self.inline.push_str(&escape(alt)),
        }
    }

    fn embed(&mut self, element: ElementRef<'_>) {
        let own = ["src", "data"].iter().find_map(|name| element.attr(name));
        let source =
            element.child_elements().find_map(|child| child.attr("src").and_then(absolute));
        self.end_paragraph();
        match own.and_then(absolute).or(source) {
            Some(url) => self.blocks.push(Block::Embed { url, caption: None }),
            None => self.children(element),
        }
        self.end_paragraph();
    }

    /// A table's row as a paragraph, its cells divided by bars.
    fn row(&mut self, element: ElementRef<'_>) {
        self.end_paragraph();
        let mut cells = Vec::new();
        let mut others = Vec::new();
        for cell in element.child_elements() {
            let (html, rest) = flatten(self.inside(cell, &[]));
            cells.push(html);
            others.extend(rest);
        }
        cells.retain(|cell| !cell.is_empty());
        self.blocks.push(Block::Paragraph { html: cells.join(" | ") });
        self.blocks.extend(others);
    }

    fn preformatted(&mut self, element: ElementRef<'_>) {
        self.end_paragraph();
        let text: String = element.text().collect();
        self.blocks
            .push(Block::Paragraph { html: escape(text.trim_matches('\n')).replace('\n', "<br>") });
    }
}

/// Text blocks as one piece of inline HTML, and the blocks that are not text.
fn flatten(blocks: Vec<Block>) -> (String, Vec<Block>) {
    let mut lines = Vec::new();
    let mut others = Vec::new();
    for block in blocks {
        match block {
            Block::Paragraph { html } | Block::Heading { html, .. } => lines.push(html),
            Block::Quotation { html, attribution } => {
                lines.push(html);
                lines.extend(attribution.map(|name| format!("— {}", escape(&name))));
            }
            Block::List { items, .. } => {
                lines.extend(items.into_iter().map(|item| format!("• {item}")));
            }
            Block::Image { .. } | Block::Embed { .. } => others.push(block),
        }
    }
    lines.retain(|line| !line.is_empty());
    (lines.join("<br>"), others)
}

fn trim_breaks(html: &str) -> &str {
    let mut html = html.trim();
    while let Some(shorter) = html.strip_prefix("<br>").or(html.strip_suffix("<br>")) {
        html = shorter.trim();
    }
    html
}

/// An address as [`web_address`] knows it; one without a scheme is taken to be `https:`.
fn absolute(address: &str) -> Option<String> {
    match address.trim().strip_prefix("//") {
        Some(rest) => web_address(&format!("https://{rest}")),
        None => web_address(address),
    }
}
