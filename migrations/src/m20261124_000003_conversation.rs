//! Readers' comments.

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
        manager
            .create_table(
                Table::create()
                    .table("comments")
                    .col(pk_uuid("id"))
                    .col(uuid("article_id"))
                    .col(uuid_null("parent_id"))
                    .col(integer("depth"))
                    .col(text("author_name"))
                    .col(text("body"))
                    .col(text("state"))
                    .col(integer("reply_count"))
                    .col(binary_len_null("edit_token_hash", 32))
                    .col(timestamp_with_time_zone("created_at"))
                    .col(timestamp_with_time_zone("updated_at"))
                    .foreign_key(&mut references(
                        "comments",
                        "article_id",
                        "articles",
                        ForeignKeyAction::Cascade,
                    ))
                    .foreign_key(&mut references(
                        "comments",
                        "parent_id",
                        "comments",
                        ForeignKeyAction::Cascade,
                    ))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(index(
                "comments",
                "thread",
                &["article_id", "parent_id", "state", "created_at", "id"],
                false,
            ))
            .await?;
        manager
            .create_index(index(
                "comments",
                "replies",
                &["parent_id", "state", "created_at", "id"],
                false,
            ))
            .await?;
        manager.create_index(index("comments", "edit_token", &["edit_token_hash"], false)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["comments"]).await
    }
}
