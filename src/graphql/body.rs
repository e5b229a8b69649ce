//! An article's body: as blocks to read, and as blocks to write.

use async_graphql::{Enum, InputObject, Object, OneofObject, SimpleObject, Union};

use crate::domain::body::{self, Block as DomainBlock, Body, inline_to_text};
use crate::domain::body_html;

/// A body in three forms of the same content.
pub struct ArticleBody(pub Body);

/// The story: as typed blocks for apps, as HTML for pages, as plain text for everything else.
#[Object]
impl ArticleBody {
    /// The blocks in reading order. New kinds may be added: skip those you do not know.
    async fn blocks(&self) -> Vec<Block> {
        self.0.blocks.iter().cloned().map(Block::from).collect()
    }

    /// Sanitised HTML: p, h2–h4, blockquote, cite, ul, ol, li, figure, img, figcaption, a, strong,
    /// em, code, sub, sup, br. Safe to put into a page as it is.
    async fn html(&self) -> String {
        self.0.to_html()
    }

    /// Plain text, blocks separated by an empty line.
    async fn text(&self) -> String {
        self.0.to_text()
    }
}

/// One piece of a body.
#[derive(Union)]
pub enum Block {
    /// Running text.
    Paragraph(ParagraphBlock),
    /// A heading inside the story.
    Heading(HeadingBlock),
    /// Somebody's words, set apart.
    Quotation(QuotationBlock),
    /// A list.
    List(ListBlock),
    /// A picture.
    Image(ImageBlock),
    /// Something that lives elsewhere.
    Embed(EmbedBlock),
}

/// Running text.
#[derive(SimpleObject)]
pub struct ParagraphBlock {
    /// Inline HTML: a, strong, em, code, sub, sup, br.
    html: String,
    /// The same without markup.
    text: String,
}

/// A heading inside the story.
#[derive(SimpleObject)]
pub struct HeadingBlock {
    /// 2, 3 or 4: the headline itself is 1.
    level: u8,
    /// Inline HTML.
    html: String,
    /// The same without markup.
    text: String,
}

/// Somebody's words, set apart.
#[derive(SimpleObject)]
pub struct QuotationBlock {
    /// Inline HTML.
    html: String,
    /// The same without markup.
    text: String,
    /// Whose words they are, when it is said.
    attribution: Option<String>,
}

/// A list, numbered or not.
#[derive(SimpleObject)]
pub struct ListBlock {
    /// Whether the items are numbered.
    ordered: bool,
    /// Each item as inline HTML.
    items: Vec<String>,
}

/// A picture by its address.
#[derive(SimpleObject)]
pub struct ImageBlock {
    /// An absolute http(s) address.
    url: String,
    /// What it shows, for those who cannot see it; empty when it only decorates.
    alt: String,
    /// Plain text under it.
    caption: Option<String>,
}

/// Something that lives elsewhere, such as a video.
#[derive(SimpleObject)]
pub struct EmbedBlock {
    /// An absolute http(s) address; what to make of it is the client's choice.
    url: String,
    /// Plain text under it.
    caption: Option<String>,
}

impl From<DomainBlock> for Block {
    fn from(block: DomainBlock) -> Self {
        match block {
            DomainBlock::Paragraph { html } => Self::Paragraph(ParagraphBlock {
                text: inline_to_text(&html),
                html: body::sanitise_inline(&html),
            }),
            DomainBlock::Heading { level, html } => Self::Heading(HeadingBlock {
                level,
                text: inline_to_text(&html),
                html: body::sanitise_inline(&html),
            }),
            DomainBlock::Quotation { html, attribution } => Self::Quotation(QuotationBlock {
                text: inline_to_text(&html),
                html: body::sanitise_inline(&html),
                attribution,
            }),
            DomainBlock::List { ordered, items } => Self::List(ListBlock {
                ordered,
                items: items.iter().map(|item| body::sanitise_inline(item)).collect(),
            }),
            DomainBlock::Image { url, alt, caption } => {
                Self::Image(ImageBlock { url, alt, caption })
            }
            DomainBlock::Embed { url, caption } => Self::Embed(EmbedBlock { url, caption }),
        }
    }
}

/// A body, in the one form that is easiest for the sender.
#[derive(OneofObject)]
pub enum ArticleBodyInput {
    /// Typed blocks, at most 500.
    Blocks(Vec<BlockInput>),
    /// HTML from an editor or from elsewhere; what has no place in a story is left out.
    Html(String),
    /// Plain text; empty lines separate paragraphs.
    Text(String),
}

impl From<ArticleBodyInput> for Body {
    fn from(input: ArticleBodyInput) -> Self {
        match input {
            ArticleBodyInput::Blocks(blocks) => {
                Self { blocks: blocks.into_iter().map(Into::into).collect() }
            }
            ArticleBodyInput::Html(html) => body_html::from_html(&html),
            ArticleBodyInput::Text(text) => Self::from_plain_text(&text),
        }
    }
}

/// One block to write.
#[derive(OneofObject)]
pub enum BlockInput {
    /// Running text.
    Paragraph(TextBlockInput),
    /// A heading inside the story.
    Heading(HeadingBlockInput),
    /// Somebody's words, set apart.
    Quotation(QuotationBlockInput),
    /// A list.
    List(ListBlockInput),
    /// A picture.
    Image(ImageBlockInput),
    /// Something that lives elsewhere.
    Embed(EmbedBlockInput),
}

/// Text of a block.
#[derive(InputObject)]
pub struct TextBlockInput {
    /// Inline HTML: a, strong, em, code, sub, sup, br; other markup is taken out, its text kept.
    html: String,
}

/// A heading.
#[derive(InputObject)]
pub struct HeadingBlockInput {
    /// How deep it stands.
    level: HeadingLevel,
    /// Inline HTML.
    html: String,
}

/// How deep a heading stands; the headline itself is level 1.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadingLevel {
    /// A section.
    Two,
    /// Inside a section.
    Three,
    /// Inside that.
    Four,
}

/// Somebody's words.
#[derive(InputObject)]
pub struct QuotationBlockInput {
    /// Inline HTML.
    html: String,
    /// Whose words they are.
    attribution: Option<String>,
}

/// A list.
#[derive(InputObject)]
pub struct ListBlockInput {
    /// Whether the items are numbered.
    #[graphql(default)]
    ordered: bool,
    /// Each item as inline HTML.
    items: Vec<String>,
}

/// A picture.
#[derive(InputObject)]
pub struct ImageBlockInput {
    /// An absolute http(s) address.
    url: String,
    /// What it shows; empty when it only decorates.
    #[graphql(default)]
    alt: String,
    /// Plain text under it.
    caption: Option<String>,
}

/// Something that lives elsewhere.
#[derive(InputObject)]
pub struct EmbedBlockInput {
    /// An absolute http(s) address.
    url: String,
    /// Plain text under it.
    caption: Option<String>,
}

impl From<BlockInput> for DomainBlock {
    fn from(input: BlockInput) -> Self {
        match input {
            BlockInput::Paragraph(block) => Self::Paragraph { html: block.html },
            BlockInput::Heading(block) => {
                let level = match block.level {
                    HeadingLevel::Two => 2,
                    HeadingLevel::Three => 3,
                    HeadingLevel::Four => 4,
                };
                Self::Heading { level, html: block.html }
            }
            BlockInput::Quotation(block) => {
                Self::Quotation { html: block.html, attribution: block.attribution }
            }
            BlockInput::List(block) => Self::List { ordered: block.ordered, items: block.items },
            BlockInput::Image(block) => {
                Self::Image { url: block.url, alt: block.alt, caption: block.caption }
            }
            BlockInput::Embed(block) => Self::Embed { url: block.url, caption: block.caption },
        }
    }
}
