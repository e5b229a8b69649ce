//! What readers want to hear of and when, alerts in several languages, and how their delivery goes.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{WHOLE_OR_NOT_AT_ALL, add_columns, drop_columns, drop_tables, index, references};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        WHOLE_OR_NOT_AT_ALL
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(push_services()).await?;
        add_columns(manager, "push_subscriptions", preferences()).await?;
        add_columns(manager, "alerts", delivery()).await?;
        add_columns(manager, "alert_shards", waves()).await?;
        add_columns(manager, "alert_retries", claims()).await?;
        let cap = small_integer_null("alerts_per_day").to_owned();
        add_columns(manager, "editions", vec![cap]).await?;
        for table in [push_subscription_tags(), alert_tags(), alert_texts(), alert_dead_letters()] {
            manager.create_table(table).await?;
        }
        for index in [
            index("push_subscription_tags", "readers", &["tag_id", "push_subscription_id"], false),
            index("push_subscriptions", "service", &["service_id", "id"], false),
            index("alerts", "created", &["created_at"], false),
            index(
                "alert_shards",
                "wave",
                &["alert_id", "round", "service_id", "last_id", "due_at"],
                true,
            ),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, name) in
            [("alert_shards", "wave"), ("alerts", "created"), ("push_subscriptions", "service")]
        {
            let drop = Index::drop().name(format!("{table}_{name}")).table(table).to_owned();
            manager.drop_index(drop).await?;
        }
        let tables = [
            "alert_dead_letters",
            "alert_texts",
            "alert_tags",
            "push_subscription_tags",
            "push_services",
        ];
        drop_tables(manager, &tables).await?;
        drop_columns(manager, "editions", &["alerts_per_day"]).await?;
        for (table, columns) in [
            ("alert_retries", claims()),
            ("alert_shards", waves()),
            ("alerts", delivery()),
            ("push_subscriptions", preferences()),
        ] {
            let names: Vec<String> = columns.iter().map(ColumnDef::get_column_name).collect();
            drop_columns(manager, table, &names).await?;
        }
        Ok(())
    }
}

/// Quiet hours are minutes after midnight in the reader's time zone; without them all three are
/// null. `key_id` names the key that sealed the endpoint and the browser's keys in `sealed`; where
/// it is 0 they still stand in the columns of their own, and a job seals them. `service_id` 0 is of
/// those who came before push services were told apart.
fn preferences() -> Vec<ColumnDef> {
    vec![
        small_integer_null("quiet_from").to_owned(),
        small_integer_null("quiet_until").to_owned(),
        text_null("time_zone").to_owned(),
        boolean("breaking_always").default(false).to_owned(),
        small_integer_null("max_per_day").to_owned(),
        binary_null("sealed").to_owned(),
        integer("key_id").default(0).to_owned(),
        integer("vapid_key_id").default(0).to_owned(),
        integer("service_id").default(0).to_owned(),
    ]
}

/// `round` counts corrections: each is delivered anew. `waves` numbers the shards that are added
/// while the alert is on its way.
fn delivery() -> Vec<ColumnDef> {
    vec![
        text_null("image").to_owned(),
        text("actions").default("[]").to_owned(),
        boolean("test").default(false).to_owned(),
        integer("round").default(1).to_owned(),
        integer("waves").default(0).to_owned(),
        big_integer("audience").default(0).to_owned(),
        big_integer("suppressed").default(0).to_owned(),
        big_integer("clicked").default(0).to_owned(),
        timestamp_with_time_zone_null("scheduled_at").to_owned(),
        timestamp_with_time_zone_null("started_at").to_owned(),
        timestamp_with_time_zone_null("round_started_at").to_owned(),
    ]
}

/// A shard with `due_at` is a wave: it reaches those of the range whose quiet hours end then. Those
/// of `priority` 0 come before all others: breaking news does not wait behind yesterday's.
fn waves() -> Vec<ColumnDef> {
    vec![
        integer("round").default(1).to_owned(),
        timestamp_with_time_zone_null("due_at").to_owned(),
        small_integer("priority").default(1).to_owned(),
        integer("service_id").default(0).to_owned(),
    ]
}

/// A batch of retries is claimed by a number of its own, and is of one push service.
fn claims() -> Vec<ColumnDef> {
    vec![big_integer("claim").default(0).to_owned(), integer("service_id").default(0).to_owned()]
}

/// Push services, each with its own shards, so that none waits for another.
fn push_services() -> TableCreateStatement {
    Table::create().table("push_services").col(pk_auto("id")).col(text_uniq("name")).to_owned()
}

fn push_subscription_tags() -> TableCreateStatement {
    Table::create()
        .table("push_subscription_tags")
        .col(big_integer("push_subscription_id"))
        .col(uuid("tag_id"))
        .primary_key(Index::create().col("push_subscription_id").col("tag_id"))
        .foreign_key(&mut references(
            "push_subscription_tags",
            "push_subscription_id",
            "push_subscriptions",
            ForeignKeyAction::Cascade,
        ))
        .foreign_key(&mut references(
            "push_subscription_tags",
            "tag_id",
            "tags",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}

fn alert_tags() -> TableCreateStatement {
    Table::create()
        .table("alert_tags")
        .col(uuid("alert_id"))
        .col(uuid("tag_id"))
        .primary_key(Index::create().col("alert_id").col("tag_id"))
        .foreign_key(&mut references("alert_tags", "alert_id", "alerts", ForeignKeyAction::Cascade))
        .foreign_key(&mut references("alert_tags", "tag_id", "tags", ForeignKeyAction::Cascade))
        .to_owned()
}

/// The words for the readers of further editions.
fn alert_texts() -> TableCreateStatement {
    Table::create()
        .table("alert_texts")
        .col(uuid("alert_id"))
        .col(uuid("edition_id"))
        .col(text("title"))
        .col(text("body"))
        .primary_key(Index::create().col("alert_id").col("edition_id"))
        .foreign_key(&mut references(
            "alert_texts",
            "alert_id",
            "alerts",
            ForeignKeyAction::Cascade,
        ))
        .foreign_key(&mut references(
            "alert_texts",
            "edition_id",
            "editions",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}

/// Who was given up, so that an admin can try them again.
fn alert_dead_letters() -> TableCreateStatement {
    Table::create()
        .table("alert_dead_letters")
        .col(uuid("alert_id"))
        .col(big_integer("push_subscription_id"))
        .col(integer("attempts"))
        .col(integer_null("last_status"))
        .col(timestamp_with_time_zone("died_at"))
        .primary_key(Index::create().col("alert_id").col("push_subscription_id"))
        .foreign_key(&mut references(
            "alert_dead_letters",
            "alert_id",
            "alerts",
            ForeignKeyAction::Cascade,
        ))
        .foreign_key(&mut references(
            "alert_dead_letters",
            "push_subscription_id",
            "push_subscriptions",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}
