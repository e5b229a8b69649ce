//! The texts of articles; never changed.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "revisions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub article_id: Uuid,
    pub number: i32,
    pub headline: String,
    pub subheadline: Option<String>,
    pub dateline_source: Option<String>,
    pub dateline_place: Option<String>,
    pub body: String,
    pub excerpt: String,
    pub image_url: Option<String>,
    pub image_alt: Option<String>,
    pub word_count: i32,
    pub created_by: Option<Uuid>,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
