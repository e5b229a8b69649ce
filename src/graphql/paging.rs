//! Relay connections: arguments to page requests, pages to connections.

use async_graphql::connection::{Connection, CursorType, Edge};
use async_graphql::{Error, OutputType};

use super::errors::error;
use crate::domain::page::{Cursor, MAX_PAGE, Page, PageRequest};

/// How many items a page has when nothing is said.
pub const DEFAULT_PAGE: u32 = 20;

/// The four arguments of a connection, as they came.
#[derive(Debug, Default, Clone)]
pub struct PageArgs {
    /// Items from the beginning.
    pub first: Option<i32>,
    /// Only items after this cursor.
    pub after: Option<String>,
    /// Items from the end.
    pub last: Option<i32>,
    /// Only items before this cursor.
    pub before: Option<String>,
}

impl PageArgs {
    /// The arguments as a page request, or what is wrong with them.
    pub fn parse(self) -> Result<PageRequest, Error> {
        let (limit, from_end) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(bad("give first or last, not both")),
            (Some(first), None) => (page_size("first", first)?, false),
            (None, Some(last)) => (page_size("last", last)?, true),
            (None, None) => (DEFAULT_PAGE, false),
        };
        let after = self.after.map(|cursor| decode("after", &cursor)).transpose()?;
        let before = self.before.map(|cursor| decode("before", &cursor)).transpose()?;
        Ok(PageRequest { limit, after, before, from_end })
    }
}

/// A page as a connection; the cursor of each item comes from the item.
pub fn connection<T, N: OutputType>(
    page: Page<T>,
    cursor: impl Fn(&T) -> Cursor,
    node: impl Fn(T) -> N,
) -> Connection<Cursor, N> {
    let mut connection = Connection::new(page.has_previous, page.has_next);
    connection.edges.extend(page.items.into_iter().map(|item| {
        let cursor = cursor(&item);
        Edge::new(cursor, node(item))
    }));
    connection
}

impl CursorType for Cursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        Self::decode(text).ok_or("not a cursor")
    }

    fn encode_cursor(&self) -> String {
        self.encode()
    }
}

fn page_size(name: &str, size: i32) -> Result<u32, Error> {
    u32::try_from(size)
        .ok()
        .filter(|size| (1..=MAX_PAGE).contains(size))
        .ok_or_else(|| bad(format!("{name} is {size}; it must lie between 1 and {MAX_PAGE}")))
}

fn decode(name: &str, cursor: &str) -> Result<Cursor, Error> {
    Cursor::decode(cursor).ok_or_else(|| {
        bad(format!("{name} is no cursor; pass one as it came in an edge or in pageInfo"))
    })
}

fn bad(message: impl Into<String>) -> Error {
    error("BAD_USER_INPUT", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bounded() {
        for size in [0, -1, 101, i32::MAX, i32::MIN] {
            assert!(
                PageArgs { first: Some(size), ..PageArgs::default() }.parse().is_err(),
                "{size}"
            );
        }
        assert_eq!(PageArgs::default().parse().unwrap(), PageRequest::first(20));
        assert!(PageArgs { last: Some(3), ..PageArgs::default() }.parse().unwrap().from_end);
        assert!(PageArgs { first: Some(1), last: Some(1), ..PageArgs::default() }.parse().is_err());
    }

    #[test]
    fn foreign_cursors_are_refused() {
        assert!(
            PageArgs { after: Some("MTA=".to_owned()), ..PageArgs::default() }.parse().is_err()
        );
    }
}
