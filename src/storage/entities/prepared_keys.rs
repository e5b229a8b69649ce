//! Key pairs that were made before the news breaks, for many readers in a row.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "prepared_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub service_id: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub edition_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i64,
    pub count: i32,
    pub generations: i64,
    pub sealed: Vec<u8>,
    pub key_id: i32,
}

impl ActiveModelBehavior for ActiveModel {}
