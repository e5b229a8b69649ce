//! Slugs: the readable part of an address. Letters of every script stay as they are.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// The longest slug, in characters (code points).
pub const MAX_LENGTH: usize = 120;

/// A slug from a headline: NFC, lower case, letters and digits of every script; whatever stands
/// between them becomes one hyphen. `None` where no letter or digit is left.
///
/// ```
/// use khabar::domain::slug::from_text;
/// assert_eq!(from_text("العراق: خبر عاجل!").as_deref(), Some("العراق-خبر-عاجل"));
/// assert_eq!(from_text("؟!"), None);
/// ```
pub fn from_text(text: &str) -> Option<String> {
    let lower = text.nfc().collect::<String>().to_lowercase();
    let mut slug = String::new();
    let mut pending_joiner = None;
    for c in lower.nfc() {
        match c {
            // A joiner is kept between two letters only: there it shapes the word.
            '\u{200C}' | '\u{200D}' => pending_joiner = Some(c),
            // Harakat and tatweel decorate a word; nobody types them into an address.
            '\u{0640}' | '\u{064B}'..='\u{0652}' | '\u{0670}' => {}
            c if c.is_alphanumeric() || (is_combining_mark(c) && ends_in_word(&slug)) => {
                if ends_in_word(&slug) {
                    slug.extend(pending_joiner);
                }
                pending_joiner = None;
                slug.push(c);
            }
            _ => {
                pending_joiner = None;
                if ends_in_word(&slug) {
                    slug.push('-');
                }
            }
        }
    }
    let slug = cut(&slug.nfc().collect::<String>());
    (!slug.is_empty()).then_some(slug)
}

/// Like [`from_text`], never empty: falls back to the given word, such as an id.
pub fn from_text_or(text: &str, fallback: &str) -> String {
    from_text(text).unwrap_or_else(|| fallback.to_owned())
}

/// The slug with a number behind it, still within the limit: for the second of two like it.
pub fn numbered(slug: &str, number: usize) -> String {
    let suffix = format!("-{number}");
    let room = MAX_LENGTH - suffix.chars().count();
    let kept: String = slug.chars().take(room).collect();
    format!("{}{suffix}", kept.trim_end_matches('-'))
}

/// A slug as it came in an address: percent-decoding is done; only the form is made canonical.
/// `None` for what is nobody's slug: nothing at all, or something with control characters, among
/// them the NUL that PostgreSQL cannot even be asked for.
pub fn from_address(slug: &str) -> Option<String> {
    let plausible = !slug.is_empty() && !slug.contains(char::is_control);
    plausible.then(|| slug.nfc().collect())
}

fn ends_in_word(slug: &str) -> bool {
    slug.chars().next_back().is_some_and(|c| c != '-')
}

/// Cuts at the last hyphen before the limit, or, in one long word, at a whole grapheme.
fn cut(slug: &str) -> String {
    let slug = slug.trim_matches('-');
    if slug.chars().count() <= MAX_LENGTH {
        return slug.to_owned();
    }
    let mut kept = String::new();
    let mut length = 0;
    for grapheme in slug.graphemes(true) {
        length += grapheme.chars().count();
        if length > MAX_LENGTH {
            break;
        }
        kept.push_str(grapheme);
    }
    match kept.rfind('-') {
        Some(at) if at > kept.len() / 2 => kept.truncate(at),
        _ => {}
    }
    kept.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn letters_of_every_script_stay() {
        assert_eq!(
            from_text("روحاني يؤكد للكاظمي \"دعم\"").as_deref(),
            Some("روحاني-يؤكد-للكاظمي-دعم")
        );
        assert_eq!(from_text("Ärger & Co. — 2024").as_deref(), Some("ärger-co-2024"));
        assert_eq!(from_text("هەواڵی کوردی").as_deref(), Some("هەواڵی-کوردی"));
        assert_eq!(
            from_text("نیوه\u{200C}شه\u{200C}و \u{200C}").as_deref(),
            Some("نیوه\u{200C}شه\u{200C}و")
        );
        assert_eq!(from_text("مُحَمَّد").as_deref(), Some("محمد"));
        assert_eq!(from_text("٢٠٢٤ عام").as_deref(), Some("٢٠٢٤-عام"));
    }

    #[test]
    fn nothing_readable_falls_back() {
        assert_eq!(from_text("…؟!"), None);
        assert_eq!(from_text("\u{301}"), None);
        assert_eq!(from_text_or("🙂", "x1"), "x1");
    }

    #[test]
    fn control_characters_are_in_no_address() {
        assert_eq!(from_address("\0"), None);
        assert_eq!(from_address(""), None);
        assert_eq!(from_address("a\u{85}"), None);
        assert_eq!(from_address("e\u{301}").as_deref(), Some("é"));
    }

    #[test]
    fn long_headlines_are_cut_at_a_word() {
        let slug = from_text(&"كلمة ".repeat(80)).unwrap();
        assert!(slug.chars().count() <= MAX_LENGTH && slug.ends_with("كلمة"), "{slug}");
        assert_eq!(from_text(&"ا".repeat(300)).unwrap().chars().count(), MAX_LENGTH);
    }

    #[test]
    fn a_number_fits_behind_the_longest_slug() {
        let slug = numbered(&"a".repeat(MAX_LENGTH), 12);
        assert!(slug.len() == MAX_LENGTH && slug.ends_with("a-12"));
    }

    proptest! {
        #[test]
        fn slugs_are_canonical(text in "\\PC*") {
            if let Some(slug) = from_text(&text) {
                prop_assert_eq!(from_text(&slug), Some(slug.clone()));
                prop_assert_eq!(from_address(&slug), Some(slug.clone()));
                prop_assert!(slug.chars().count() <= MAX_LENGTH);
                prop_assert!(!slug.contains("--") && !slug.starts_with('-') && !slug.ends_with('-'));
            }
        }
    }
}
