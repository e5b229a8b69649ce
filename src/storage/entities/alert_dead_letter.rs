//! Subscriptions that an alert was given up for.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_dead_letters")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub alert_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub push_subscription_id: i64,
    pub attempts: i32,
    pub last_status: Option<i32>,
    pub died_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
