//! Durable work: the worker's loop, and one file a job.

mod deliver;
mod lease;
mod plan_alert;
mod prepare_keys;
mod purge;
mod retry_sends;
mod select;
mod send;
mod settle;
mod traffic;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::opt_out::OptOutKey;
use crate::push::Sender;

/// What a job is handed.
#[derive(Debug, Clone)]
struct Work {
    app: App,
    sender: Arc<Sender>,
    leases: lease::LeaseClock,
    traffic: traffic::Traffic,
    opt_out: OptOutKey,
    /// Turns of those who write down what was sent: they may wait for their alert with a connection in hand, and
    /// half of the connections are left to everybody else.
    writing: Arc<Semaphore>,
    /// Told when prepared keys were used up.
    keys_used: Arc<Notify>,
    shutdown: CancellationToken,
}

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
