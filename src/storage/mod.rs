//! The only place with queries. One file a noun; every function takes a connection or a
//! transaction, so that it runs inside or outside of one.

pub mod db;
pub mod entities;
pub mod event;
pub mod job;
pub mod migrate;

pub use db::{Change, Database};

use sea_orm::DbErr;

/// A stored value that this version does not understand: the database is newer, or damaged.
fn unreadable(what: &str, value: &str) -> DbErr {
    DbErr::Custom(format!("{what} {value:?} is none that this version knows"))
}
