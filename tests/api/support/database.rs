//! A database for one test: SQLite in a folder of its own, or one on the given PostgreSQL server.

use khabar::storage::{Database, migrate};
use sea_orm::ConnectionTrait;
use tempfile::TempDir;
use uuid::Uuid;

/// Names a PostgreSQL server on which tests are superusers and may create databases; SQLite when unset.
pub const SERVER: &str = "KHABAR_TEST_DATABASE";

/// A fresh database with every migration applied.
pub struct TestDatabase {
    pub url: String,
    /// A data folder; on SQLite the database lies in it.
    pub folder: TempDir,
}

impl TestDatabase {
    /// A fresh database with every migration applied.
    pub async fn create() -> Self {
        let database = Self::create_empty().await;
        migrate::up(&database.open().await, None).await.unwrap();
        database
    }

    /// A fresh database with nothing in it.
    pub async fn create_empty() -> Self {
        if let Ok(server) = std::env::var(SERVER) {
            return Self::create_on(&server).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.sqlite").display());
        Self { url, folder }
    }

    /// A fresh database with nothing in it, on this PostgreSQL server.
    pub async fn create_on(server: &str) -> Self {
        Self { url: create_postgres(server).await, folder: tempfile::tempdir().unwrap() }
    }

    /// A pool of its own, as another instance would have.
    pub async fn open(&self) -> Database {
        Database::open(&self.url, 5).await.unwrap()
    }
}

async fn create_postgres(server: &str) -> String {
    let name = format!("khabar_{}", Uuid::from_bytes(random()).simple());
    let admin =
        Database::open(server, 1).await.unwrap_or_else(|error| panic!("{SERVER}: {error:#}"));
    admin.connection().execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    let mut url = url::Url::parse(server).unwrap();
    url.set_path(&name);
    url.to_string()
}

fn random() -> [u8; 16] {
    use khabar::domain::clock::{Clock, SystemClock};
    let mut bytes = [0; 16];
    SystemClock.fill_random(&mut bytes);
    bytes
}
