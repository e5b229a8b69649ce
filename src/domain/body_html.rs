//! HTML as people and other systems write it, turned into a body of blocks.
//!
//! Reads plain HTML, the block editor's HTML, and the classic editor's, where an empty line ends
//! a paragraph. What has no block of its own (tables, definition lists) becomes paragraphs of its
//! text: an article may lose its layout on the way, never its words.

mod bounds;
mod builder;
mod elements;
mod shortcode;

use scraper::Html;

use super::body::Body;
use builder::Builder;

/// A sanitised body from HTML. Takes time in proportion to its length, however it is nested.
///
/// Markup that is nested too deep to be an article's is read as its text alone.
pub fn from_html(html: &str) -> Body {
    let html = html.replace("\r\n", "\n").replace('\r', "\n");
    if !bounds::is_reasonable(&html) {
        return Body::from_plain_text(&bounds::bare_text(&html)).sanitised();
    }
    // Where nothing marks a paragraph, line ends are the writer's own.
    let line_ends_count = !["<p>", "<p ", "<!-- wp:"].iter().any(|mark| html.contains(mark));
    let html = shortcode::set_addresses_apart(&shortcode::expand(&html));
    let fragment = Html::parse_fragment(&html);
    let mut builder = Builder::new(line_ends_count);
    builder.children(fragment.root_element());
    builder.finish().sanitised()
}

/// The text of HTML such as a comment's: addresses of pictures and embeds stand in for them.
pub fn to_text(html: &str) -> String {
    use super::body::Block;
    let blocks = from_html(html).blocks;
    let texts = blocks.iter().map(|block| match (block, block.to_text()) {
        (Block::Image { url, .. } | Block::Embed { url, .. }, text) if text.is_empty() => {
            url.clone()
        }
        (_, text) => text,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::super::body::Block;
    use super::*;
    use proptest::prelude::*;

    fn json(html: &str) -> String {
        from_html(html).to_json().unwrap()
    }

    #[test]
    fn an_empty_line_ends_a_classic_paragraph() {
        assert_eq!(
            from_html("أول <b>سطر</b>\nثانٍ\n\nفقرة <i>أخرى</i>").to_html(),
            "<p>أول <strong>سطر</strong><br>ثانٍ</p>\n<p>فقرة <em>أخرى</em></p>\n"
        );
    }

    #[test]
    fn formatting_goes_on_over_a_paragraph_end() {
        assert_eq!(
            from_html("a <b>b\n\nc</b> d").to_html(),
            "<p>a <strong>b</strong></p>\n<p><strong>c</strong> d</p>\n"
        );
    }

    #[test]
    fn the_block_editor_is_understood() {
        let html = "<!-- wp:paragraph -->\n<p>one\ntwo</p>\n<!-- /wp:paragraph -->\n\n\
            <!-- wp:heading {\"level\":1} -->\n<h1>Head</h1>\n<!-- /wp:heading -->\n\
            <!-- wp:quote --><blockquote><!-- wp:paragraph -->\n<p>said</p>\n<!-- /wp:paragraph -->\
            <p>again</p><cite>Somebody</cite></blockquote><!-- /wp:quote -->\
            <!-- wp:embed {\"url\":\"https://v.example/1\"} --><figure><div>\nhttps://v.example/1\n\
            </div><figcaption>A film</figcaption></figure><!-- /wp:embed -->";
        assert_eq!(
            from_html(html).blocks,
            [
                Block::Paragraph { html: "one two".into() },
                Block::Heading { level: 2, html: "Head".into() },
                Block::Quotation {
                    html: "said<br>again".into(),
                    attribution: Some("Somebody".into())
                },
                Block::Embed { url: "https://v.example/1".into(), caption: Some("A film".into()) },
            ]
        );
    }

    #[test]
    fn nested_lists_lie_flat() {
        assert_eq!(
            json("<ul><li>a<ol><li>b</li></ol></li><li>c</li></ul>"),
            r#"[{"kind":"list","ordered":false,"items":["a","– b","c"]}]"#
        );
    }

    #[test]
    fn pictures_keep_their_captions_and_films_their_addresses() {
        let html = "[caption id=\"x\" width=\"9\"]<a href=\"/p\"><img src=\"https://i.example/a.jpg\" \
            alt=\"صورة\" /></a> تعليق[/caption]\n\nhttps://v.example/watch?v=1&amp;t=2\n\n\
            <iframe src=\"//p.example/2\"></iframe>[embed]https://v.example/3[/embed][gallery ids=\"1,2\"]";
        assert_eq!(
            from_html(html).blocks,
            [
                Block::Image {
                    url: "https://i.example/a.jpg".into(),
                    alt: "صورة".into(),
                    caption: Some("تعليق".into())
                },
                Block::Embed { url: "https://v.example/watch?v=1&t=2".into(), caption: None },
                Block::Embed { url: "https://p.example/2".into(), caption: None },
                Block::Embed { url: "https://v.example/3".into(), caption: None },
            ]
        );
    }

    #[test]
    fn tables_and_preformatted_text_keep_their_words() {
        let html = "<table><tr><th>A</th><td>1</td></tr><tr><td>B</td><td>2</td></tr></table>\
            <pre>x\n  y</pre><img src=\"/relative.png\" alt=\"what it shows\">";
        assert_eq!(from_html(html).to_text(), "A | 1\n\nB | 2\n\nx\n  y\n\nwhat it shows");
    }

    #[test]
    fn nothing_runs_and_nothing_hides() {
        let body = from_html(
            "<script>alert(1)</script><style>p{}</style><p onclick=x>a <a href=\"javascript:b\">c</a></p>",
        );
        assert_eq!(body.to_html(), "<p>a <a rel=\"noopener\">c</a></p>\n");
    }

    #[test]
    fn hostile_nesting_is_read_as_text_in_time() {
        let deep = format!("{}word", "<div><b>".repeat(200_000));
        assert_eq!(from_html(&deep).to_text(), "word");
        let wide = format!("{}{}", "<b><i>".repeat(60), "<p>x".repeat(100_000));
        assert!(from_html(&wide).to_text().starts_with('x'));
    }

    #[test]
    fn a_text_keeps_the_addresses_that_a_comment_is_made_of() {
        assert_eq!(
            to_text("see\n\nhttps://a.example/b\n\n<em>so</em> &amp; <3"),
            "see\n\nhttps://a.example/b\n\nso & <3"
        );
    }

    #[test]
    fn what_only_looks_like_an_element_is_shown_as_typed() {
        assert_eq!(to_text("see <url> &lt;b&gt; <my-box>x</my-box>"), "see <url> <b>\n\nx");
    }

    proptest! {
        #[test]
        fn anything_becomes_a_body_that_stays_as_it_is(
            html in "(\\PC|\n|</?(p|b|i|a|ul|li|table|td|blockquote|figure|img|h1|pre|div)>|<!--|\\[caption\\]|\\[/embed\\]|&#x202e;){0,40}",
        ) {
            let body = from_html(&html);
            prop_assert_eq!(body.clone().sanitised(), body);
        }

        #[test]
        fn plain_paragraphs_keep_their_text(words in prop::collection::vec("[ا-ي]{1,9}( [a-z]{1,9}){0,4}", 1..6)) {
            let html: String = words.iter().map(|text| format!("<p>{text}</p>\n\n")).collect();
            prop_assert_eq!(from_html(&html).to_text(), words.join("\n\n"));
            prop_assert_eq!(from_html(&words.join("\n\n")).to_text(), words.join("\n\n"));
        }
    }
}
