//! What an article is and where it stands.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "articles")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub edition_id: Uuid,
    pub category_id: Uuid,
    pub translation_group_id: Uuid,
    pub slug: String,
    pub state: String,
    pub breaking: bool,
    pub latest_revision_id: Uuid,
    pub published_revision_id: Option<Uuid>,
    pub comment_count: i32,
    pub lock_version: i32,
    pub created_by: Option<Uuid>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub published_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
