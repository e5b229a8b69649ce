//! Decisions to notify readers.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alerts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub article_id: Uuid,
    pub edition_id: Uuid,
    pub category_id: Uuid,
    pub breaking: bool,
    pub title: String,
    pub body: String,
    pub state: String,
    pub urgency: String,
    pub accepted: i64,
    pub gone: i64,
    pub failed: i64,
    pub created_by: Option<Uuid>,
    pub created_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    pub finished_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
