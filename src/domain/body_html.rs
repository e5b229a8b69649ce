//! HTML to blocks.

use super::body::Body;

/// x
pub fn from_html(html: &str) -> Body {
    Body::from_plain_text(html)
}
