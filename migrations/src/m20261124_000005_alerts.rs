//! Readers' push subscriptions, and alerts with the shards and exceptions of their delivery.

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
        for table in [
            push_subscriptions(),
            push_subscription_categories(),
            alerts(),
            alert_shards(),
            alert_retries(),
        ] {
            manager.create_table(table).await?;
        }
        for index in [
            index(
                "push_subscription_categories",
                "readers",
                &["category_id", "push_subscription_id"],
                false,
            ),
            index("alerts", "state", &["state", "created_at"], false),
            index("alerts", "article", &["article_id"], false),
            index("alert_shards", "open", &["finished_at", "leased_until"], false),
            index("alert_retries", "due", &["due_at"], false),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &[
                "alert_retries",
                "alert_shards",
                "alerts",
                "push_subscription_categories",
                "push_subscriptions",
            ],
        )
        .await
    }
}

/// Ids ascend, so that a shard is a range of them. `generation` counts the keys a browser has
/// sent for the endpoint: a 410 for an old generation must not delete a newer one.
fn push_subscriptions() -> TableCreateStatement {
    Table::create()
        .table("push_subscriptions")
        .col(big_pk_auto("id"))
        .col(uuid("edition_id"))
        .col(binary_len_uniq("endpoint_hash", 32))
        .col(binary_len_uniq("token_hash", 32))
        .col(text("endpoint"))
        .col(binary_len("p256dh", 65))
        .col(binary_len("auth", 16))
        .col(boolean("breaking_only"))
        .col(boolean("all_categories"))
        .col(big_integer("generation"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .foreign_key(&mut references(
            "push_subscriptions",
            "edition_id",
            "editions",
            ForeignKeyAction::Restrict,
        ))
        .to_owned()
}

fn push_subscription_categories() -> TableCreateStatement {
    Table::create()
        .table("push_subscription_categories")
        .col(big_integer("push_subscription_id"))
        .col(uuid("category_id"))
        .primary_key(Index::create().col("push_subscription_id").col("category_id"))
        .foreign_key(&mut references(
            "push_subscription_categories",
            "push_subscription_id",
            "push_subscriptions",
            ForeignKeyAction::Cascade,
        ))
        .foreign_key(&mut references(
            "push_subscription_categories",
            "category_id",
            "categories",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}

fn alerts() -> TableCreateStatement {
    Table::create()
        .table("alerts")
        .col(pk_uuid("id"))
        .col(uuid("article_id"))
        .col(uuid("edition_id"))
        .col(uuid("category_id"))
        .col(boolean("breaking"))
        .col(text("title"))
        .col(text("body"))
        .col(text("state"))
        .col(text("urgency"))
        .col(big_integer("accepted"))
        .col(big_integer("gone"))
        .col(big_integer("failed"))
        .col(uuid_null("created_by"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("expires_at"))
        .col(timestamp_with_time_zone_null("finished_at"))
        .foreign_key(&mut references("alerts", "article_id", "articles", ForeignKeyAction::Cascade))
        .foreign_key(&mut references(
            "alerts",
            "edition_id",
            "editions",
            ForeignKeyAction::Restrict,
        ))
        .to_owned()
}

/// Ranges of push subscription ids, (`after_id`, `last_id`]. `cursor` is the last id that is dealt
/// with; it moves only under the `fence` that its worker got with the lease.
fn alert_shards() -> TableCreateStatement {
    Table::create()
        .table("alert_shards")
        .col(uuid("alert_id"))
        .col(integer("number"))
        .col(big_integer("cursor"))
        .col(big_integer("last_id"))
        .col(big_integer("fence"))
        .col(timestamp_with_time_zone_null("leased_until"))
        .col(timestamp_with_time_zone_null("finished_at"))
        .primary_key(Index::create().col("alert_id").col("number"))
        .foreign_key(&mut references(
            "alert_shards",
            "alert_id",
            "alerts",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}

/// Exceptions only: who has to be tried again, and when.
fn alert_retries() -> TableCreateStatement {
    Table::create()
        .table("alert_retries")
        .col(uuid("alert_id"))
        .col(big_integer("push_subscription_id"))
        .col(integer("attempts"))
        .col(integer_null("last_status"))
        .col(timestamp_with_time_zone("due_at"))
        .primary_key(Index::create().col("alert_id").col("push_subscription_id"))
        .foreign_key(&mut references(
            "alert_retries",
            "alert_id",
            "alerts",
            ForeignKeyAction::Cascade,
        ))
        .foreign_key(&mut references(
            "alert_retries",
            "push_subscription_id",
            "push_subscriptions",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}
