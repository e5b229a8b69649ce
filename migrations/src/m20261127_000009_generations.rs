//! Lets prepared keys say whose browsers' keys they were made for, so that it shows when those change.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{WHOLE_OR_NOT_AT_ALL, add_columns, drop_columns};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        WHOLE_OR_NOT_AT_ALL
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What was made before does not say so, and is soon made anew.
        manager.get_connection().execute_unprepared("DELETE FROM prepared_keys").await?;
        let generations = big_integer("generations").default(0).to_owned();
        add_columns(manager, "prepared_keys", vec![generations]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_columns(manager, "prepared_keys", &["generations"]).await
    }
}
