//! Remembers which category took a deleted one's place: browsers keep what their readers chose, and ask for it
//! again when they move.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{WHOLE_OR_NOT_AT_ALL, drop_tables, index, references};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        WHOLE_OR_NOT_AT_ALL
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("category_successors")
            .col(pk_uuid("id"))
            .col(uuid("successor_id"))
            .foreign_key(&mut references(
                "category_successors",
                "successor_id",
                "categories",
                ForeignKeyAction::Cascade,
            ))
            .to_owned();
        manager.create_table(table).await?;
        let index = index("category_successors", "successor", &["successor_id"], false);
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["category_successors"]).await
    }
}
