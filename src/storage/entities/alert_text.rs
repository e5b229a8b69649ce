//! An alert's words for the readers of further editions.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_texts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub alert_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub edition_id: Uuid,
    pub title: String,
    pub body: String,
}

impl ActiveModelBehavior for ActiveModel {}
