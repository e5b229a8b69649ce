//! Paging by keyset: a page is found by what stands at its edge, never by counting.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use uuid::Uuid;

use super::clock::{self, Timestamp};

/// The most items a page may have.
pub const MAX_PAGE: u32 = 100;

/// Where an item stands in a list: its time, then its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The time the list is ordered by.
    pub at: Timestamp,
    /// Tells apart what happened at once.
    pub id: Uuid,
}

impl Cursor {
    /// 32 characters that mean nothing to a client.
    pub fn encode(&self) -> String {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.at.timestamp_micros().to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor again, if it is one: of an instant that a database can hold.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (micros, id) = bytes.split_at(8);
        let at = DateTime::from_timestamp_micros(i64::from_be_bytes(micros.try_into().ok()?))?;
        Some(Self { at, id: Uuid::from_slice(id).ok()? }).filter(|_| clock::is_kept(at))
    }
}

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Latest first.
    Descending,
    /// Earliest first.
    Ascending,
}

impl Order {
    /// The other way round.
    pub fn reversed(self) -> Self {
        match self {
            Self::Descending => Self::Ascending,
            Self::Ascending => Self::Descending,
        }
    }
}

/// Which page is asked for: `limit` items after a cursor, or the last ones before one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageRequest {
    /// 1 to [`MAX_PAGE`].
    pub limit: u32,
    /// Only what comes after this one.
    pub after: Option<Cursor>,
    /// Only what comes before this one.
    pub before: Option<Cursor>,
    /// Whether the page is taken from the end.
    pub from_end: bool,
}

impl PageRequest {
    /// The first `limit` items.
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None, before: None, from_end: false }
    }
}

/// A page, in the order of its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// At most `limit` items.
    pub items: Vec<T>,
    /// Whether more come after.
    pub has_next: bool,
    /// Whether more come before.
    pub has_previous: bool,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), has_next: false, has_previous: false }
    }
}

impl<T> Page<T> {
    /// Makes a page of rows that were read in the direction of the request, one more than asked.
    pub fn from_rows(mut rows: Vec<T>, request: &PageRequest) -> Self {
        let more = rows.len() > request.limit as usize;
        rows.truncate(request.limit as usize);
        if request.from_end {
            rows.reverse();
            Self { items: rows, has_previous: more, has_next: request.before.is_some() }
        } else {
            Self { items: rows, has_next: more, has_previous: request.after.is_some() }
        }
    }

    /// The same page of other things.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            has_next: self.has_next,
            has_previous: self.has_previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursors_come_back(micros in -62_135_596_800_000_000_i64..253_402_300_799_000_000, id: u128) {
            let at = DateTime::from_timestamp_micros(micros).unwrap();
            let cursor = Cursor { at, id: Uuid::from_u128(id) };
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }

        #[test]
        fn other_texts_are_no_cursors(text in "\\PC{0,40}") {
            if let Some(cursor) = Cursor::decode(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }
    }

    #[test]
    fn instants_that_no_database_holds_make_no_cursor() {
        for (micros, is_cursor) in [
            (-62_135_596_800_000_000_i64, true),
            (-62_135_596_800_000_001, false),
            (253_402_300_799_999_999, true),
            (253_402_300_800_000_000, false),
            (-6_000_000_000_000_000_000, false),
            (i64::MIN, false),
        ] {
            let mut bytes = [7; 24];
            bytes[..8].copy_from_slice(&micros.to_be_bytes());
            let text = URL_SAFE_NO_PAD.encode(bytes);
            assert_eq!(Cursor::decode(&text).is_some(), is_cursor, "{micros}");
        }
    }

    #[test]
    fn one_row_too_many_means_more() {
        let page = Page::from_rows(vec![1, 2, 3], &PageRequest::first(2));
        assert_eq!(page, Page { items: vec![1, 2], has_next: true, has_previous: false });
        let last = PageRequest { from_end: true, ..PageRequest::first(2) };
        let page = Page::from_rows(vec![9, 8, 7], &last);
        assert_eq!(page, Page { items: vec![8, 9], has_next: false, has_previous: true });
    }
}
