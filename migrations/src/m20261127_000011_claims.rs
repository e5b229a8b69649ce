//! Lets a shard say how many it did not come to before its news grew old, and a push subscription since when
//! it is of its endpoint; and finds what is due of one push service, what workers hold, what a data key seals,
//! and the few readers of a small edition, without reading whole tables.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{WHOLE_OR_NOT_AT_ALL, add_columns, drop_columns, index};

/// Tables with their indexes: a name, and the columns.
const INDEXES: [(&str, &str, &[&str]); 4] = [
    ("alert_retries", "service", &["service_id", "due_at"]),
    ("alert_retries", "claim", &["claim"]),
    ("push_subscriptions", "key", &["key_id"]),
    ("push_subscriptions", "edition", &["service_id", "edition_id", "id"]),
];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        WHOLE_OR_NOT_AT_ALL
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let missed = big_integer("missed").default(0).to_owned();
        add_columns(manager, "alert_shards", vec![missed]).await?;
        // Absent for those who have been there for as long as they have had alerts; and of who is no decoy.
        let placed = [timestamp_with_time_zone_null("placed_at"), binary_null("decoy_keys")];
        let placed = placed.map(|column| column.to_owned()).into();
        add_columns(manager, "push_subscriptions", placed).await?;
        for (table, name, columns) in INDEXES {
            manager.create_index(index(table, name, columns, false)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, name, _) in INDEXES {
            let name = format!("{table}_{name}");
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        drop_columns(manager, "push_subscriptions", &["placed_at", "decoy_keys"]).await?;
        drop_columns(manager, "alert_shards", &["missed"]).await
    }
}
