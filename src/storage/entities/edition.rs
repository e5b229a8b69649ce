//! Language editions.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "editions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub locale: String,
    pub name: String,
    pub direction: String,
    pub time_zone: String,
    pub place_name: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub position: i32,
    pub created_at: DateTimeUtc,
    pub alerts_per_day: Option<i16>,
}

impl ActiveModelBehavior for ActiveModel {}
