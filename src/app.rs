//! What a request or a job is handed: the database, the clock, the configuration.

use std::sync::Arc;

use crate::config::Config;
use crate::domain::clock::{Clock, Timestamp};
use crate::passwords::Passwords;
use crate::rate_limit::RateLimits;
use crate::storage::{Change, Database};

/// The application. Cloning it is cheap; clones are the same application.
#[derive(Debug, Clone)]
pub struct App {
    /// The database.
    pub db: Database,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
    /// What the operator set.
    pub config: Arc<Config>,
    /// Makes and checks password hashes.
    pub passwords: Passwords,
    /// How often strangers may try.
    pub limits: Arc<RateLimits>,
}

impl App {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Opens a transaction for a change and all that follows from it.
    pub async fn begin(&self) -> Result<Change, sea_orm::DbErr> {
        self.db.begin(self.now()).await
    }
}
