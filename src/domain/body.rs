//! An article's body: typed blocks, and the same as HTML and as plain text.
//!
//! Text inside a block is *inline HTML*: `a[href]`, `strong`, `em`, `code`, `sub`, `sup`, `br` and
//! nothing else. It is sanitised when it comes in and again when HTML goes out.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::text;

/// The largest body: blocks, and characters (grapheme clusters) of plain text.
pub const MAX_BLOCKS: usize = 500;
/// See [`MAX_BLOCKS`].
pub const MAX_CHARACTERS: usize = 100_000;
/// How many characters an excerpt made from the body has at most.
pub const EXCERPT_CHARACTERS: usize = 200;

/// One piece of a body. In JSON: `{"kind": "paragraph", "html": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// Running text, as inline HTML.
    Paragraph {
        /// Inline HTML.
        html: String,
    },
    /// A heading inside the story; the headline is level 1, so these are 2 to 4.
    Heading {
        /// 2, 3 or 4.
        level: u8,
        /// Inline HTML.
        html: String,
    },
    /// Somebody's words, set apart.
    Quotation {
        /// Inline HTML; paragraphs are separated by `<br>`.
        html: String,
        /// Whose words they are.
        attribution: Option<String>,
    },
    /// A list, numbered or not.
    List {
        /// Numbered?
        ordered: bool,
        /// Each item as inline HTML.
        items: Vec<String>,
    },
    /// A picture by its address.
    Image {
        /// `https:` or `http:`.
        url: String,
        /// What it shows, for those who cannot see it.
        alt: String,
        /// Plain text under it.
        caption: Option<String>,
    },
    /// Something that lives elsewhere, such as a video: its address, never its markup.
    Embed {
        /// `https:`.
        url: String,
        /// Plain text under it.
        caption: Option<String>,
    },
}

/// A whole body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Body {
    /// The blocks in reading order.
    pub blocks: Vec<Block>,
}

impl Body {
    /// A body of plain paragraphs, separated by empty lines; markup in it is shown as typed.
    pub fn from_plain_text(plain: &str) -> Self {
        let blocks = text::clean(plain)
            .split("\n\n")
            .map(str::trim)
            .filter(|paragraph| !paragraph.is_empty())
            .map(|paragraph| Block::Paragraph { html: escape(paragraph).replace('\n', "<br>") })
            .collect();
        Self { blocks }
    }

    /// The same body with every block sanitised and normalised; blocks left empty are gone.
    pub fn sanitised(self) -> Self {
        Self { blocks: self.blocks.into_iter().filter_map(Block::sanitised).collect() }
    }

    /// Sanitised HTML, a block element each, ready for a page.
    pub fn to_html(&self) -> String {
        PAGE.clean(&self.blocks.iter().map(Block::to_html).collect::<String>()).to_string()
    }

    /// Plain text, blocks separated by an empty line, no markup.
    pub fn to_text(&self) -> String {
        self.blocks
            .iter()
            .map(Block::to_text)
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n\n")
    }

    /// The beginning of the text, for lists and alerts.
    pub fn excerpt(&self) -> String {
        let running = self.blocks.iter().filter(|b| matches!(b, Block::Paragraph { .. }));
        let text = running.map(Block::to_text).collect::<Vec<_>>().join(" ");
        text::shorten(&text, EXCERPT_CHARACTERS)
    }

    /// For the database.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// From the database.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

impl Block {
    fn sanitised(self) -> Option<Self> {
        let block = match self {
            Self::Paragraph { html } => Self::Paragraph { html: sanitise_inline(&html) },
            Self::Heading { level, html } => {
                Self::Heading { level: level.clamp(2, 4), html: sanitise_inline(&html) }
            }
            Self::Quotation { html, attribution } => Self::Quotation {
                html: sanitise_inline(&html),
                attribution: attribution.and_then(|name| plain_line(&name)),
            },
            Self::List { ordered, items } => Self::List {
                ordered,
                items: items.iter().map(|i| sanitise_inline(i)).filter(|i| !i.is_empty()).collect(),
            },
            Self::Image { url, alt, caption } => Self::Image {
                url: web_address(&url)?,
                alt: plain_line(&alt).unwrap_or_default(),
                caption: caption.and_then(|caption| plain_line(&caption)),
            },
            Self::Embed { url, caption } => Self::Embed {
                url: web_address(&url)?,
                caption: caption.and_then(|caption| plain_line(&caption)),
            },
        };
        (!block.is_empty()).then_some(block)
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Paragraph { html }
            | Self::Heading { html, .. }
            | Self::Quotation { html, .. } => inline_to_text(html).is_empty(),
            Self::List { items, .. } => items.is_empty(),
            Self::Image { .. } | Self::Embed { .. } => false,
        }
    }

    fn to_html(&self) -> String {
        match self {
            Self::Paragraph { html } => format!("<p>{html}</p>\n"),
            Self::Heading { level, html } => format!("<h{level}>{html}</h{level}>\n"),
            Self::Quotation { html, attribution: None } => {
                format!("<blockquote><p>{html}</p></blockquote>\n")
            }
            Self::Quotation { html, attribution: Some(name) } => {
                format!("<blockquote><p>{html}</p><cite>{}</cite></blockquote>\n", escape(name))
            }
            Self::List { ordered, items } => {
                let tag = if *ordered { "ol" } else { "ul" };
                let items: String = items.iter().map(|item| format!("<li>{item}</li>")).collect();
                format!("<{tag}>{items}</{tag}>\n")
            }
            Self::Image { url, alt, caption } => format!(
                "<figure><img src=\"{}\" alt=\"{}\">{}</figure>\n",
                escape(url),
                escape(alt),
                caption_html(caption.as_deref())
            ),
            Self::Embed { url, caption } => format!(
                "<figure><a href=\"{0}\">{0}</a>{1}</figure>\n",
                escape(url),
                caption_html(caption.as_deref())
            ),
        }
    }

    /// The block as plain text: what a reader would read aloud.
    pub fn to_text(&self) -> String {
        match self {
            Self::Paragraph { html } | Self::Heading { html, .. } => inline_to_text(html),
            Self::Quotation { html, attribution } => {
                let mut text = inline_to_text(html);
                if let Some(name) = attribution {
                    text.push_str(&format!("\n— {name}"));
                }
                text
            }
            Self::List { items, .. } => items
                .iter()
                .map(|item| format!("• {}", inline_to_text(item)))
                .collect::<Vec<_>>()
                .join("\n"),
            Self::Image { caption, .. } | Self::Embed { caption, .. } => {
                caption.clone().unwrap_or_default()
            }
        }
    }
}

/// Keeps only what may stand inside a block.
pub fn sanitise_inline(html: &str) -> String {
    INLINE.clean(&text::clean(html)).to_string().trim().to_owned()
}

/// Inline HTML as plain text: `<br>` becomes a line end, entities become characters.
pub fn inline_to_text(html: &str) -> String {
    let bare = BARE.clean(&html.replace("<br>", "\n")).to_string();
    unescape(&bare).trim().to_owned()
}

/// Text as HTML that shows it just so.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(bare: &str) -> String {
    // What the sanitiser writes: it has these entities and no others.
    bare.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&nbsp;", "\u{A0}")
        .replace("&amp;", "&")
}

fn caption_html(caption: Option<&str>) -> String {
    caption.map(|c| format!("<figcaption>{}</figcaption>", escape(c))).unwrap_or_default()
}

fn plain_line(text: &str) -> Option<String> {
    text::line(text, 1_000).ok()
}

/// An absolute `http(s)` address in its normal form, without user information.
pub fn web_address(address: &str) -> Option<String> {
    let url = url::Url::parse(address.trim()).ok()?;
    let plain = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "https" | "http") && url.has_host() && plain).then(|| url.to_string())
}

static INLINE: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(["a", "strong", "em", "code", "sub", "sup", "br"].into())
        .clean_content_tags(["script", "style"].into())
        .tag_attributes([("a", ["href"].into())].into())
        .url_schemes(["http", "https", "mailto"].into())
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener"));
    builder
});

static BARE: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    builder.clean_content_tags(["script", "style"].into());
    builder
});

/// A second line of defence behind [`INLINE`]: the elements that blocks are made of.
static PAGE: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(
            [
                "a",
                "strong",
                "em",
                "code",
                "sub",
                "sup",
                "br",
                "p",
                "h2",
                "h3",
                "h4",
                "blockquote",
                "cite",
                "ul",
                "ol",
                "li",
                "figure",
                "img",
                "figcaption",
            ]
            .into(),
        )
        .clean_content_tags(["script", "style"].into())
        .tag_attributes([("a", ["href"].into()), ("img", ["src", "alt"].into())].into())
        .url_schemes(["http", "https", "mailto"].into())
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener"));
    builder
});

#[cfg(test)]
mod tests {
    use super::*;

    fn paragraph(html: &str) -> Body {
        Body { blocks: vec![Block::Paragraph { html: html.to_owned() }] }.sanitised()
    }

    #[test]
    fn plain_text_becomes_paragraphs_that_show_it_as_typed() {
        let body = Body::from_plain_text("قال \"نعم\" & <لا>\nسطر\n\n\n\nفقرة");
        assert_eq!(body.blocks.len(), 2);
        assert_eq!(body.to_text(), "قال \"نعم\" & <لا>\nسطر\n\nفقرة");
        assert_eq!(body.to_html(), "<p>قال \"نعم\" &amp; &lt;لا&gt;<br>سطر</p>\n<p>فقرة</p>\n");
    }

    #[test]
    fn scripts_never_come_out() {
        let body = paragraph(
            "<script>alert(1)</script><a href=\"javascript:x\" onclick=y>a</a>\
             <img src=x onerror=z><strong style=\"a\">b</strong>",
        );
        assert_eq!(body.to_html(), "<p><a rel=\"noopener\">a</a><strong>b</strong></p>\n");
        assert_eq!(body.to_text(), "ab");
    }

    #[test]
    fn a_stored_body_is_sanitised_on_the_way_out_too() {
        let body = Body { blocks: vec![Block::Paragraph { html: "<script>1</script>x".into() }] };
        assert_eq!(body.to_html(), "<p>x</p>\n");
    }

    #[test]
    fn addresses_must_be_of_the_web() {
        let image = |url: &str| {
            Block::Image { url: url.into(), alt: "x".into(), caption: None }.sanitised()
        };
        assert!(image("data:image/png;base64,AA").is_none());
        assert!(image("/relative.png").is_none());
        assert!(image("https://user:secret@example.org/").is_none());
        assert!(image("https://example.org/صورة.jpg").is_some());
    }

    #[test]
    fn empty_blocks_go() {
        assert_eq!(paragraph(" <br>&nbsp; ").blocks, []);
        assert_eq!(
            Body { blocks: vec![Block::List { ordered: false, items: vec![" ".into()] }] }
                .sanitised()
                .blocks,
            []
        );
    }

    #[test]
    fn bodies_survive_the_database() {
        let body = Body {
            blocks: vec![
                Block::Heading { level: 2, html: "عنوان".into() },
                Block::Quotation { html: "قول".into(), attribution: Some("قائل".into()) },
                Block::List { ordered: true, items: vec!["أ".into(), "ب".into()] },
                Block::Embed { url: "https://video.example/1".into(), caption: None },
            ],
        };
        assert_eq!(Body::from_json(&body.to_json().unwrap()).unwrap(), body);
    }

    #[test]
    fn excerpts_come_from_running_text() {
        let body = Body {
            blocks: vec![
                Block::Heading { level: 2, html: "عنوان".into() },
                Block::Paragraph { html: "بداية <em>الخبر</em>".into() },
            ],
        };
        assert_eq!(body.excerpt(), "بداية الخبر");
    }
}
