//! Durable work: the worker's loop, and one file a job.

mod deliver;
mod plan_alert;
mod purge;
mod retry_sends;
mod send;
mod settle;
pub mod worker;

use std::time::Duration;

/// Why a job is not done.
#[derive(Debug)]
pub enum Unfinished {
    /// Worth trying again, after a while.
    Retry(Duration, String),
    /// Trying again would not help.
    GiveUp(String),
}

impl From<sea_orm::DbErr> for Unfinished {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Retry(Duration::from_secs(5), error.to_string())
    }
}
