//! The database schema as steps that only move forward: a step that landed is never edited.
//!
//! Depends on `sea-orm-migration` alone, so no step can drift with the application's entities.

use sea_orm_migration::prelude::*;

mod m20261124_000001_newsroom;
mod m20261124_000002_people;
mod m20261124_000003_conversation;
mod m20261124_000004_outbox;
mod m20261124_000005_alerts;
mod m20261124_000007_audience;
mod m20261125_000008_sealed;
mod m20261127_000009_generations;
mod m20261127_000010_rounds;
mod m20261127_000011_claims;
mod m20261201_000012_successors;

pub use sea_orm_migration::prelude::MigratorTrait;
pub use sea_orm_migration::{MigrationStatus, SchemaManager};

/// What every step answers to `use_transaction`: a step that is cut short leaves nothing behind, on
/// SQLite too, which the library would spare the transaction.
const WHOLE_OR_NOT_AT_ALL: Option<bool> = Some(true);

/// All steps, oldest first.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_newsroom::Migration),
            Box::new(m20261124_000002_people::Migration),
            Box::new(m20261124_000003_conversation::Migration),
            Box::new(m20261124_000004_outbox::Migration),
            Box::new(m20261124_000005_alerts::Migration),
            Box::new(m20261124_000007_audience::Migration),
            Box::new(m20261125_000008_sealed::Migration),
            Box::new(m20261127_000009_generations::Migration),
            Box::new(m20261127_000010_rounds::Migration),
            Box::new(m20261127_000011_claims::Migration),
            Box::new(m20261201_000012_successors::Migration),
        ]
    }
}

/// Foreign key `from_table.from_column → to_table.id`.
fn references(
    from_table: &'static str,
    from_column: &'static str,
    to_table: &'static str,
    on_delete: ForeignKeyAction,
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .from(from_table, from_column)
        .to(to_table, "id")
        .on_delete(on_delete)
        .to_owned()
}

/// Index `<table>_<name>` over the columns, unique or not.
fn index(
    table: &'static str,
    name: &'static str,
    columns: &[&'static str],
    unique: bool,
) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("{table}_{name}")).table(table);
    for column in columns {
        index.col(*column);
    }
    if unique {
        index.unique();
    }
    index
}

async fn drop_tables(manager: &SchemaManager<'_>, tables: &[&'static str]) -> Result<(), DbErr> {
    for table in tables {
        manager.drop_table(Table::drop().table(*table).to_owned()).await?;
    }
    Ok(())
}

/// Adds columns one by one: SQLite adds no two in a statement.
async fn add_columns(
    manager: &SchemaManager<'_>,
    table: &'static str,
    columns: Vec<ColumnDef>,
) -> Result<(), DbErr> {
    for column in columns {
        manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
    }
    Ok(())
}

async fn drop_columns(
    manager: &SchemaManager<'_>,
    table: &'static str,
    columns: &[impl AsRef<str>],
) -> Result<(), DbErr> {
    for column in columns {
        let column = Alias::new(column.as_ref());
        manager.alter_table(Table::alter().table(table).drop_column(column).to_owned()).await?;
    }
    Ok(())
}
