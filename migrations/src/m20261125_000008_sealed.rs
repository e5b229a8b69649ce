//! Seals what is stored of readers' browsers, keeps every VAPID key pair that readers subscribed
//! with, and makes room for keys that are prepared before the news breaks.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{WHOLE_OR_NOT_AT_ALL, add_columns, drop_columns, drop_tables, references};

/// What `sealed` holds instead.
const IN_PLAIN: [&str; 3] = ["endpoint", "p256dh", "auth"];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        WHOLE_OR_NOT_AT_ALL
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [data_keys(), vapid_keys(), prepared_keys(), unsealed_push_subscriptions()] {
            manager.create_table(table).await?;
        }
        // Only the application has the key: it seals these at its next start and empties the table.
        let move_out = "INSERT INTO unsealed_push_subscriptions (push_subscription_id, endpoint, p256dh, auth) \
                        SELECT id, endpoint, p256dh, auth FROM push_subscriptions";
        manager.get_connection().execute_unprepared(move_out).await?;
        drop_columns(manager, "push_subscriptions", &IN_PLAIN).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // What is sealed stays so: those readers subscribe again at their next visit.
        let clear = "DELETE FROM push_subscriptions WHERE id NOT IN \
                     (SELECT push_subscription_id FROM unsealed_push_subscriptions)";
        manager.get_connection().execute_unprepared(clear).await?;
        add_columns(manager, "push_subscriptions", in_plain()).await?;
        for column in IN_PLAIN {
            let move_back = format!(
                "UPDATE push_subscriptions SET {column} = (SELECT u.{column} FROM unsealed_push_subscriptions u \
                 WHERE u.push_subscription_id = push_subscriptions.id)"
            );
            manager.get_connection().execute_unprepared(&move_back).await?;
        }
        let tables = ["unsealed_push_subscriptions", "prepared_keys", "vapid_keys", "data_keys"];
        drop_tables(manager, &tables).await
    }
}

fn in_plain() -> Vec<ColumnDef> {
    vec![
        text("endpoint").default("").to_owned(),
        binary_len("p256dh", 65).default("").to_owned(),
        binary_len("auth", 16).default("").to_owned(),
    ]
}

/// Keys that seal rows, each sealed itself by the master key, which is never in the database. The
/// newest one seals; the others open what they have sealed.
fn data_keys() -> TableCreateStatement {
    Table::create()
        .table("data_keys")
        .col(integer("id").primary_key().to_owned())
        .col(binary("sealed"))
        .col(timestamp_with_time_zone("created_at"))
        .to_owned()
}

/// Key pairs that identify the newsroom to push services. Browsers subscribe with the newest one;
/// an older one serves those who subscribed with it.
fn vapid_keys() -> TableCreateStatement {
    Table::create()
        .table("vapid_keys")
        .col(pk_auto("id"))
        .col(text_uniq("public_key"))
        .col(binary("sealed"))
        .col(integer("key_id"))
        .col(timestamp_with_time_zone("created_at"))
        .to_owned()
}

/// Key pairs with their agreed secrets, many in a row: for the readers of one push service and one
/// edition whose ids lie in one range. Whoever uses a row deletes it first.
fn prepared_keys() -> TableCreateStatement {
    Table::create()
        .table("prepared_keys")
        .col(integer("service_id"))
        .col(uuid("edition_id"))
        .col(big_integer("number"))
        .col(integer("count"))
        .col(binary("sealed"))
        .col(integer("key_id"))
        .primary_key(Index::create().col("service_id").col("edition_id").col("number"))
        .to_owned()
}

/// Where browsers are reached, and their keys, as they were kept before they were sealed.
fn unsealed_push_subscriptions() -> TableCreateStatement {
    Table::create()
        .table("unsealed_push_subscriptions")
        .col(big_integer("push_subscription_id").primary_key().to_owned())
        .col(text("endpoint"))
        .col(binary("p256dh"))
        .col(binary("auth"))
        .foreign_key(&mut references(
            "unsealed_push_subscriptions",
            "push_subscription_id",
            "push_subscriptions",
            ForeignKeyAction::Cascade,
        ))
        .to_owned()
}
