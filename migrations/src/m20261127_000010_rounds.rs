//! Lets an alert tell each round's progress apart from what earlier ones did, and a reader's quiet hours
//! from those before; and finds what depends on a push subscription without reading whole tables when it
//! is deleted.

use sea_orm_migration::{prelude::*, schema::*};

use crate::{WHOLE_OR_NOT_AT_ALL, add_columns, drop_columns, index};

/// Tables with a row for each exception of a delivery.
const EXCEPTIONS: [&str; 2] = ["alert_retries", "alert_dead_letters"];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        WHOLE_OR_NOT_AT_ALL
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dealt = ["dealt_before", "dealt_at_start"];
        let dealt = dealt.map(|name| big_integer(name).default(0).to_owned());
        add_columns(manager, "alerts", dealt.into()).await?;
        // Absent for those who have had theirs for as long as their alerts.
        let since = timestamp_with_time_zone_null("quiet_since").to_owned();
        add_columns(manager, "push_subscriptions", vec![since]).await?;
        for table in EXCEPTIONS {
            manager
                .create_index(index(table, "subscription", &["push_subscription_id"], false))
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in EXCEPTIONS {
            let name = format!("{table}_subscription");
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        drop_columns(manager, "push_subscriptions", &["quiet_since"]).await?;
        drop_columns(manager, "alerts", &["dealt_before", "dealt_at_start"]).await
    }
}
