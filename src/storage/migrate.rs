//! Migrations: applied by one process at a time, however many start at once.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use khabar_migrations::{MigrationStatus, Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};

use super::db::Database;

const MIGRATION_LOCK: i64 = 0x6b68_6162_6172_0002;

/// Applies every step that is not applied yet.
pub async fn up(database: &Database, lock_file: Option<&Path>) -> anyhow::Result<()> {
    alone(database, lock_file, async {
        let pending = status(database).await?.iter().filter(|(_, applied)| !applied).count();
        Migrator::up(database.connection(), None).await?;
        if pending > 0 {
            tracing::info!("the database has taken {pending} steps and is up to date");
        }
        Ok::<_, anyhow::Error>(())
    })
    .await
}

/// Takes the newest `steps` back. Data in the tables they made is lost.
pub async fn down(database: &Database, lock_file: Option<&Path>, steps: u32) -> anyhow::Result<()> {
    alone(database, lock_file, Migrator::down(database.connection(), Some(steps))).await
}

/// Every step with whether it is applied, oldest first.
pub async fn status(database: &Database) -> anyhow::Result<Vec<(String, bool)>> {
    let steps = Migrator::get_migration_with_status_read_only(database.connection()).await?;
    let state = |step: &khabar_migrations::MigrationStatus| *step == MigrationStatus::Applied;
    Ok(steps.iter().map(|step| (step.name().to_owned(), state(&step.status()))).collect())
}

/// Runs the work while no other process runs any under this lock: an advisory lock on PostgreSQL, a locked file beside
/// an SQLite database. The lock goes with the process, so a crash leaves none behind.
pub async fn alone<T, E>(
    database: &Database,
    lock_file: Option<&Path>,
    work: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T>
where
    E: Into<anyhow::Error>,
{
    let _turn = database.alone.lock().await;
    if database.is_postgres() {
        let lock = database.connection().begin().await?;
        let statement = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        lock.execute_raw(Statement::from_string(lock.get_database_backend(), statement)).await?;
        let done = work.await.map_err(Into::into)?;
        lock.commit().await?;
        return Ok(done);
    }
    let file = match lock_file {
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
            Some(tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await??)
        }
        None => None,
    };
    let done = work.await.map_err(Into::into)?;
    drop(file);
    Ok(done)
}
