//! Readers' browsers that opted in.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "push_subscriptions")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub edition_id: Uuid,
    pub endpoint_hash: Vec<u8>,
    pub token_hash: Vec<u8>,
    pub breaking_only: bool,
    pub all_categories: bool,
    pub generation: i64,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub quiet_from: Option<i16>,
    pub quiet_until: Option<i16>,
    pub time_zone: Option<String>,
    pub breaking_always: bool,
    pub quiet_since: Option<DateTimeUtc>,
    pub max_per_day: Option<i16>,
    pub sealed: Option<Vec<u8>>,
    pub key_id: i32,
    pub vapid_key_id: i32,
    pub service_id: i32,
    pub placed_at: Option<DateTimeUtc>,
    pub decoy_keys: Option<Vec<u8>>,
}

impl ActiveModelBehavior for ActiveModel {}
