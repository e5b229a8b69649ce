//! Text that people typed: normalised, bounded, and free of what could disturb its surroundings.
//!
//! ZWNJ and ZWJ stay: Kurdish words and emoji need them. Bidirectional *overrides and embeddings*
//! go (UAX #9), for they reorder what stands beside them; marks and isolates that are closed stay.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFault {
    /// Nothing visible is left.
    Blank,
    /// More than the limit, counted in grapheme clusters: what a person calls a character.
    TooLong {
        /// How many there were.
        length: usize,
        /// How many there may be.
        limit: usize,
    },
}

impl TextFault {
    /// The fault in words, for whoever typed it.
    pub fn message(self) -> String {
        match self {
            Self::Blank => "must not be blank".to_owned(),
            Self::TooLong { length, limit } => {
                format!("is {length} characters long; at most {limit} are allowed")
            }
        }
    }
}

/// One line: NFC, inner white space folded to single spaces, trimmed, not blank, at most `limit`.
pub fn line(text: &str, limit: usize) -> Result<String, TextFault> {
    let folded = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    bounded(folded, limit)
}

/// Several lines: NFC, line ends as `\n`, at most one empty line between two, trimmed, not blank.
pub fn prose(text: &str, limit: usize) -> Result<String, TextFault> {
    bounded(fold_lines(&clean(text)), limit)
}

/// An optional line: blank counts as absent.
pub fn optional_line(text: Option<&str>, limit: usize) -> Result<Option<String>, TextFault> {
    match text.map(|text| line(text, limit)) {
        None | Some(Err(TextFault::Blank)) => Ok(None),
        Some(result) => result.map(Some),
    }
}

/// NFC without control characters (NUL included) and without bidirectional overrides; line ends
/// become `\n`, and isolates that were left open are closed at the end of their line.
pub fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}'], "\n");
    let calm: String = text.chars().filter(|&c| !is_disturbing(c)).collect();
    // Last, so that what a dropped character held apart is composed too.
    calm.split('\n').map(close_isolates).collect::<Vec<_>>().join("\n").nfc().collect()
}

/// The first `limit` grapheme clusters, cut at a word where one ends nearby, with an ellipsis.
pub fn shorten(text: &str, limit: usize) -> String {
    let graphemes: Vec<&str> = text.graphemes(true).collect();
    if graphemes.len() <= limit {
        return text.to_owned();
    }
    let kept = &graphemes[..limit.saturating_sub(1)];
    let word_end = kept.iter().rposition(|g| g.trim().is_empty()).filter(|&at| at * 2 > limit);
    let mut short = kept[..word_end.unwrap_or(kept.len())].concat();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// How many words a text has, by the word boundaries of UAX #29.
pub fn count_words(text: &str) -> usize {
    text.unicode_words().count()
}

fn bounded(text: String, limit: usize) -> Result<String, TextFault> {
    if !text.chars().any(is_visible) {
        return Err(TextFault::Blank);
    }
    let length = text.graphemes(true).count();
    if length > limit { Err(TextFault::TooLong { length, limit }) } else { Ok(text) }
}

fn fold_lines(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.split('\n').map(str::trim) {
        let double_gap = line.is_empty() && lines.last().is_none_or(|last| last.is_empty());
        if !double_gap {
            lines.push(line);
        }
    }
    lines.join("\n").trim().to_owned()
}

fn is_disturbing(c: char) -> bool {
    let bidi_override = matches!(c, '\u{202A}'..='\u{202E}');
    let noncharacter = matches!(c, '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}' | '\u{FFF9}'..='\u{FFFB}');
    let control = c.is_control() && c != '\n' && c != '\t';
    bidi_override || noncharacter || control
}

/// Whether a character leaves ink: not white space, not a joiner or a direction mark.
fn is_visible(c: char) -> bool {
    let invisible = matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{206F}' | '\u{2800}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}');
    !c.is_whitespace() && !invisible
}

fn close_isolates(line: &str) -> String {
    let mut open = 0_usize;
    let mut closed = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '\u{2066}'..='\u{2068}' => open += 1,
            '\u{2069}' if open == 0 => continue,
            '\u{2069}' => open -= 1,
            _ => {}
        }
        closed.push(c);
    }
    closed.extend(std::iter::repeat_n('\u{2069}', open));
    closed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_folded_and_normalised() {
        assert_eq!(line("  خبر\t عاجل \n", 20), Ok("خبر عاجل".to_owned()));
        assert_eq!(line("e\u{301}", 1), Ok("é".to_owned()));
        assert_eq!(line("a\u{0}b\u{1a}", 5), Ok("ab".to_owned()));
    }

    #[test]
    fn overrides_go_and_joiners_stay() {
        assert_eq!(line("\u{202E}abc\u{202C}", 5), Ok("abc".to_owned()));
        assert_eq!(line("نه\u{200C}بوو", 9), Ok("نه\u{200C}بوو".to_owned()));
        assert_eq!(line("👨\u{200D}👩\u{200D}👧", 1), Ok("👨\u{200D}👩\u{200D}👧".to_owned()));
    }

    #[test]
    fn isolates_are_closed_and_stray_ends_dropped() {
        assert_eq!(clean("\u{2067}abc"), "\u{2067}abc\u{2069}");
        assert_eq!(clean("abc\u{2069}"), "abc");
        assert_eq!(clean("\u{2066}a\u{2069}"), "\u{2066}a\u{2069}");
    }

    #[test]
    fn blank_is_blank_however_it_is_dressed() {
        for blank in ["", " \n\t", "\u{200B}\u{200E}", "\u{3164}", "\u{202E}", "\u{2066}"] {
            assert_eq!(line(blank, 10), Err(TextFault::Blank), "{blank:?}");
        }
    }

    #[test]
    fn length_is_counted_as_people_count() {
        assert_eq!(
            line("👨\u{200D}👩\u{200D}👧ab", 2),
            Err(TextFault::TooLong { length: 3, limit: 2 })
        );
    }

    #[test]
    fn prose_keeps_paragraphs() {
        assert_eq!(prose("a \r\n\r\n\n\n b\nc\n", 9), Ok("a\n\nb\nc".to_owned()));
    }

    #[test]
    fn shortening_prefers_the_end_of_a_word() {
        assert_eq!(shorten("واحد اثنان ثلاثة", 12), "واحد اثنان…");
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("aaaaaaaaaa", 4), "aaa…");
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(text in "\\PC*|[\\s\u{2066}-\u{2069}\u{202A}-\u{202E}a\u{301}]*") {
            let once = clean(&text);
            prop_assert_eq!(clean(&once), once);
        }

        #[test]
        fn shortened_text_fits(text in "\\PC{0,80}", limit in 1_usize..40) {
            prop_assert!(shorten(&text, limit).graphemes(true).count() <= limit.max(1));
        }
    }
}
