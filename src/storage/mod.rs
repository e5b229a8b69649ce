//! The only place with queries. One file a noun; every function takes a connection or a
//! transaction, so that it runs inside or outside of one.

pub mod alert;
pub mod alert_dead_letter;
pub mod alert_retry;
pub mod alert_round;
pub mod alert_shard;
pub mod alert_wave;
pub mod article;
pub mod article_write;
pub mod audience;
pub mod author;
pub mod browser;
pub mod category;
pub mod category_successor;
pub mod claim;
pub mod comment;
pub mod db;
pub mod edition;
pub mod entities;
pub mod event;
pub mod id_ranges;
pub mod import_key;
pub mod job;
mod keyset;
pub mod migrate;
pub mod prepared_keys;
pub mod push_service;
pub mod push_subscription;
pub mod queue;
pub mod session;
pub mod setting;
pub mod slug_redirect;
pub mod tag;
pub mod unsealed;
pub mod user;
pub mod vapid_key;
pub mod vault;

pub use db::{Change, Database};
pub use vault::{Sealed, Vault};

use sea_orm::DbErr;

use crate::domain::failure::Failure;

impl<C> From<DbErr> for Failure<C> {
    fn from(error: DbErr) -> Self {
        Self::Internal(error.into())
    }
}

/// A stored value that this version does not understand: the database is newer, or damaged.
fn unreadable(what: &str, value: &str) -> DbErr {
    DbErr::Custom(format!("{what} {value:?} is none that this version knows"))
}
