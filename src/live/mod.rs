//! The event tail: how every open page hears of every event, in commit order and without gaps.
//!
//! One [`Tail`] an instance reads the event table behind its cursor and hands each event to the
//! [`Live`] feed. What wakes it only makes it faster: it reads by id, so a lost wake-up costs a
//! second and never an event.

mod bookmark;
mod feed;
mod tail;

pub use bookmark::Bookmark;
pub use feed::{Live, Missed};
pub use tail::Tail;
