//! The database: how it is opened, and how a change is made in one transaction with its traces.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode,
    SqlxPostgresConnector, SqlxSqliteConnector, Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};

use super::{event, job};
use crate::domain::clock::Timestamp;
use crate::domain::event::Event;
use crate::domain::job::Job;

/// Serialises the writers of events on PostgreSQL, so that ids ascend in commit order.
pub const EVENT_ORDER_LOCK: i64 = 0x6b68_6162_6172_0001;

/// How long SQLite waits for whoever holds its file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Rows that SQLite's thread reads before it waits for whoever wants them: more than the longest page
/// has, for two threads that wait for each other at every row cost more than the row.
const ROWS_AT_ONCE: usize = 1_024;

/// How long PostgreSQL may take to let the first connection in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The channel of PostgreSQL's LISTEN/NOTIFY on which instances wake each other.
pub const EVENT_CHANNEL: &str = "khabar_events";

/// A pool of connections to SQLite or PostgreSQL.
#[derive(Debug, Clone)]
pub struct Database {
    connection: DatabaseConnection,
    /// SQLite has one writer; waiting in line here is fair, where its busy handler polls.
    writer: Option<Arc<Semaphore>>,
    /// Whoever waits for other processes holds a connection meanwhile: one at a time may, or the
    /// pool would be empty for the one whose turn it is.
    pub(super) alone: Arc<Mutex<()>>,
    statements: Arc<AtomicU64>,
    committed: watch::Sender<u64>,
}

impl Database {
    /// Opens `sqlite:…` (created if missing) or `postgres://…`.
    pub async fn open(url: &str, max_connections: u32) -> anyhow::Result<Self> {
        let (mut connection, writer) = if is_postgres(url) {
            (open_postgres(url, max_connections).await?, None)
        } else {
            (open_sqlite(url, max_connections).await?, Some(Arc::new(Semaphore::new(1))))
        };
        let statements = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&statements);
        connection.set_metric_callback(move |info| {
            counter.fetch_add(1, Ordering::Relaxed);
            metrics::histogram!("khabar_sql_seconds").record(info.elapsed.as_secs_f64());
        });
        Ok(Self {
            connection,
            writer,
            alone: Arc::default(),
            statements,
            committed: watch::Sender::new(0),
        })
    }

    /// Connections of its own for what must not wait for the rest. On SQLite there is one writer, and no more
    /// than one line to wait in.
    pub fn apart(&self, connections: u32) -> Self {
        if !self.is_postgres() {
            return self.clone();
        }
        let options = self.connection.get_postgres_connection_pool().connect_options();
        let pool = postgres_pool(connections).connect_lazy_with(options.as_ref().clone());
        Self { connection: SqlxPostgresConnector::from_sqlx_postgres_pool(pool), ..self.clone() }
    }

    /// The pool, for reads.
    pub fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// How many statements the pool has run since it was opened.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// The time by PostgreSQL's clock; `None` on SQLite, which has none but the application's.
    pub async fn now(&self) -> Result<Option<Timestamp>, DbErr> {
        if !self.is_postgres() {
            return Ok(None);
        }
        let backend = self.connection.get_database_backend();
        let ask = Statement::from_string(backend, "SELECT clock_timestamp() AS now");
        self.connection.query_one_raw(ask).await?.map(|row| row.try_get("", "now")).transpose()
    }

    /// Changes whenever this process has committed events or jobs.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    /// Wakes who waits for changes of this process.
    pub fn wake(&self) {
        self.committed.send_modify(|count| *count += 1);
    }

    /// Whether it is PostgreSQL, which other instances may share.
    pub fn is_postgres(&self) -> bool {
        self.writer.is_none()
    }

    /// Opens a transaction in which a change is written with all that follows from it.
    pub async fn begin(&self, now: Timestamp) -> Result<Change, DbErr> {
        let turn = match &self.writer {
            Some(writer) => Arc::clone(writer).acquire_owned().await.ok(),
            None => None,
        };
        let transaction = self
            .connection
            .begin_with_options(TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..Default::default()
            })
            .await?;
        Ok(Change {
            transaction,
            now,
            events: Vec::new(),
            jobs: Vec::new(),
            committed: self.committed.clone(),
            _turn: turn,
        })
    }
}

/// A change in the making: a transaction, and the events and jobs that will be written with it.
///
/// Dropped without [`Change::commit`], nothing of it has happened.
#[derive(Debug)]
pub struct Change {
    transaction: DatabaseTransaction,
    now: Timestamp,
    events: Vec<Event>,
    jobs: Vec<(Job, Timestamp)>,
    committed: watch::Sender<u64>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Change {
    /// The transaction, for storage functions.
    pub fn transaction(&self) -> &DatabaseTransaction {
        &self.transaction
    }

    /// Records what happened.
    pub fn record(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Queues what has to follow.
    pub fn enqueue(&mut self, job: Job) {
        self.enqueue_at(job, self.now);
    }

    /// Queues what has to follow, not before the given time.
    pub fn enqueue_at(&mut self, job: Job, run_at: Timestamp) {
        self.jobs.push((job, run_at));
    }

    /// Writes jobs and events, commits, and wakes who waits for them.
    ///
    /// Events come last, under a lock that is held until the commit: whoever gets a larger id
    /// commits later, on PostgreSQL too, where a sequence alone promises no such thing.
    pub async fn commit(self) -> Result<(), DbErr> {
        let wakes = !self.jobs.is_empty() || !self.events.is_empty();
        for (job, run_at) in &self.jobs {
            job::insert(&self.transaction, job, *run_at, self.now).await?;
        }
        if !self.events.is_empty() {
            let backend = self.transaction.get_database_backend();
            if backend == sea_orm::DbBackend::Postgres {
                let lock = format!("SELECT pg_advisory_xact_lock({EVENT_ORDER_LOCK})");
                self.transaction.execute_raw(Statement::from_string(backend, lock)).await?;
            }
            event::insert_all(&self.transaction, &self.events, self.now).await?;
            if backend == sea_orm::DbBackend::Postgres {
                let notify = format!("NOTIFY {EVENT_CHANNEL}");
                self.transaction.execute_raw(Statement::from_string(backend, notify)).await?;
            }
        }
        self.transaction.commit().await?;
        if wakes {
            self.committed.send_modify(|count| *count += 1);
        }
        Ok(())
    }
}

/// Whether the address is one of PostgreSQL.
pub fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// The file of an SQLite address; `None` of any other.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    if is_postgres(url) {
        return None;
    }
    SqliteConnectOptions::from_str(url).ok().map(|options| options.get_filename().to_owned())
}

async fn open_postgres(url: &str, max_connections: u32) -> anyhow::Result<DatabaseConnection> {
    let options =
        PgConnectOptions::from_str(url).context("DATABASE_URL is not a PostgreSQL address")?;
    // The pool would try again and again, and in the end say only that its time was over.
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(Ok(connection)) => connection.close().await?,
        Ok(Err(error)) => {
            return Err(error).context("check DATABASE_URL and that PostgreSQL runs there");
        }
        Err(_) => bail!("PostgreSQL does not answer within {} s", CONNECT_TIMEOUT.as_secs()),
    }
    let pool = postgres_pool(max_connections).connect_with(options).await?;
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

fn postgres_pool(max_connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(10))
        .after_connect(|connection, _| {
            Box::pin(async move {
                // To compile statements costs more than ours gain by it, whatever the planner thinks.
                sqlx::query("SET jit = off").execute(connection).await.map(drop)
            })
        })
}

async fn open_sqlite(url: &str, max_connections: u32) -> anyhow::Result<DatabaseConnection> {
    let options = SqliteConnectOptions::from_str(url)
        .context("DATABASE_URL is not an SQLite address such as sqlite:data/khabar.sqlite")?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .row_buffer_size(ROWS_AT_ONCE)
        .foreign_keys(true);
    let began = Instant::now();
    loop {
        let pool = SqlitePoolOptions::new().max_connections(max_connections);
        match pool.connect_with(options.clone()).await {
            Ok(pool) => return Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool)),
            // Of processes that make the file at once each turns its log on, and SQLite itself does not
            // wait for that.
            Err(error) if is_busy(&error) && began.elapsed() < BUSY_TIMEOUT => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => {
                return Err(error)
                    .context("check that the folder is there and that this user may write to it");
            }
        }
    }
}

/// Whether SQLite says that somebody else holds the file (SQLITE_BUSY and its extended codes).
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sqlite_keeps_what_it_has_committed_and_waits_for_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("x.sqlite").display());
        let db = Database::open(&url, 2).await.unwrap();
        for (pragma, expected) in
            [("synchronous", 2), ("busy_timeout", 10_000), ("foreign_keys", 1)]
        {
            let statement =
                Statement::from_string(sea_orm::DbBackend::Sqlite, format!("PRAGMA {pragma}"));
            let row = db.connection().query_one_raw(statement).await.unwrap().unwrap();
            assert_eq!(row.try_get_by_index::<i32>(0).unwrap(), expected, "{pragma}");
        }
        let statement = Statement::from_string(sea_orm::DbBackend::Sqlite, "PRAGMA journal_mode");
        let row = db.connection().query_one_raw(statement).await.unwrap().unwrap();
        assert_eq!(row.try_get_by_index::<String>(0).unwrap(), "wal");
    }

    #[tokio::test]
    async fn sqlite_is_compiled_as_it_is_asked_for() {
        let db = Database::open("sqlite::memory:", 1).await.unwrap();
        let ask = Statement::from_string(sea_orm::DbBackend::Sqlite, "PRAGMA compile_options");
        let rows = db.connection().query_all_raw(ask).await.unwrap();
        let options: Vec<String> =
            rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        let has = |name: &str| options.iter().any(|option| option == name);
        assert!(has("ENABLE_QPSG"), "see .cargo/config.toml: {options:?}");
        assert!(has("DEFAULT_MEMSTATUS=0") && !has("ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn those_who_make_the_file_at_once_all_open_it() {
        for _ in 0..100 {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("x.sqlite").display());
            let open = |url: String| async move { Database::open(&url, 1).await.map(drop) };
            let opening = (0..8).map(|_| tokio::spawn(open(url.clone())));
            for opened in futures_util::future::join_all(opening).await {
                opened.unwrap().unwrap();
            }
        }
    }
}
