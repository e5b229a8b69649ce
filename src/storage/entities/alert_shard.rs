//! Ranges of push subscriptions that one worker delivers.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_shards")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub alert_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    pub cursor: i64,
    pub last_id: i64,
    pub fence: i64,
    pub leased_until: Option<DateTimeUtc>,
    pub finished_at: Option<DateTimeUtc>,
    pub round: i32,
    pub due_at: Option<DateTimeUtc>,
    pub priority: i16,
    pub service_id: i32,
    pub missed: i64,
}

impl ActiveModelBehavior for ActiveModel {}
