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
    pub image: Option<String>,
    pub actions: String,
    pub round: i32,
    pub test: bool,
    pub waves: i32,
    pub audience: i64,
    pub suppressed: i64,
    pub clicked: i64,
    pub scheduled_at: Option<DateTimeUtc>,
    pub started_at: Option<DateTimeUtc>,
    pub round_started_at: Option<DateTimeUtc>,
    pub dealt_before: i64,
    pub dealt_at_start: i64,
}

impl ActiveModelBehavior for ActiveModel {}
