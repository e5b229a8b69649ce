//! What a request or a job is handed: the database, the clock, the configuration.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use tokio::sync::OnceCell;

use crate::clicks::Clicks;
use crate::config::{Config, without_secrets};
use crate::data_folder;
use crate::domain::clock::{Clock, SystemClock, Timestamp};
use crate::domain::opt_out::OptOutKey;
use crate::domain::sealing::{MasterKey, SealingKey};
use crate::keys;
use crate::passwords::Passwords;
use crate::rate_limit::RateLimits;
use crate::storage::{self, Change, Database, Vault, migrate, vault};
use crate::weather::Weather;

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
    /// The weather at the editions' places.
    pub weather: Arc<Weather>,
    /// Seals what is stored of readers.
    pub vault: Vault,
    /// What signs opt-out links, once somebody asked for it.
    pub opt_out: Arc<OnceCell<OptOutKey>>,
    /// How often stories were opened from alerts.
    pub clicks: Arc<Clicks>,
    /// How often strangers may try.
    pub limits: Arc<RateLimits>,
}

impl App {
    /// Opens everything that the configuration names, and makes the data folder and the master key if
    /// they are missing. A newsroom that has one already gets no other.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let db = open_database(&config).await?;
        Self::over(config, db).await
    }

    /// Opens a newsroom that is there: whoever was misled about where must not make another, and believe that
    /// something was done to the first.
    pub async fn open_existing(config: Config) -> anyhow::Result<Self> {
        let db = open_existing_database(&config).await?;
        Self::over(config, db).await
    }

    async fn over(config: Config, db: Database) -> anyhow::Result<Self> {
        // Asked before the file is looked for: another process may be making both.
        let master = match vault::has_keys(db.connection()).await? {
            false => keys::load_or_generate(&config.data_dir, &SystemClock)?,
            true => keys::load(&config.data_dir)?.with_context(|| {
                let file = config.data_dir.join(keys::FILE);
                format!("{} is missing; {}", file.display(), keys::WHERE_IT_IS)
            })?,
        };
        Self::with(config, db, master)
    }

    /// The same where the newsroom's master key is lost for good: with another if there is none, which is
    /// written down once it is adopted.
    pub async fn open_anew(config: Config) -> anyhow::Result<Self> {
        let db = open_existing_database(&config).await?;
        let clock: &dyn Clock = &SystemClock;
        let another = || SealingKey::new(&clock.new_secret()).map(MasterKey::from);
        let master = keys::load(&config.data_dir)?.or_else(another);
        let master = master.context("no key can be made")?;
        Self::with(config, db, master)
    }

    fn with(config: Config, db: Database, master: MasterKey) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Ok(Self {
            db,
            passwords: Passwords::new(&*clock)?,
            opt_out: Arc::default(),
            clicks: Arc::default(),
            limits: Arc::new(RateLimits::new(&config)),
            weather: Arc::new(Weather::new(&config.weather)?),
            vault: Vault::new(master, clock.clone()),
            config: Arc::new(config),
            clock,
        })
    }

    /// Brings the database's schema up to date.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        migrate::up(&self.db, Some(&self.migration_lock())).await
    }

    /// Runs work of a first start while no other instance runs any.
    pub async fn alone<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
    where
        E: Into<anyhow::Error>,
    {
        migrate::alone(&self.db, Some(&self.migration_lock()), work).await
    }

    /// The file that one migrating process at a time holds locked.
    pub fn migration_lock(&self) -> PathBuf {
        self.config.data_dir.join("migrate.lock")
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Opens a transaction for a change and all that follows from it.
    pub async fn begin(&self) -> Result<Change, sea_orm::DbErr> {
        self.db.begin(self.now()).await
    }
}

/// Opens a database that somebody has set up.
async fn open_existing_database(config: &Config) -> anyhow::Result<Database> {
    let missing = || {
        format!(
            "there is no newsroom at {}; say where it is by DATABASE_URL, KHABAR_DATA_DIR \
             or --config, or begin one here: khabar edition create, or khabar serve",
            without_secrets(&config.database_url)
        )
    };
    let is_there = storage::db::sqlite_file(&config.database_url).is_none_or(|file| file.exists());
    ensure!(is_there, missing());
    let database = open_database(config).await?;
    let is_set_up = migrate::status(&database).await?.into_iter().any(|(_, applied)| applied);
    ensure!(is_set_up, missing());
    Ok(database)
}

async fn open_database(config: &Config) -> anyhow::Result<Database> {
    data_folder::make(&config.data_dir)?;
    // Fails only when another part of the process was faster with the same provider.
    drop(rustls::crypto::ring::default_provider().install_default());
    let opened = Database::open(&config.database_url, config.database_connections).await;
    opened.with_context(|| format!("no connection to {}", without_secrets(&config.database_url)))
}
