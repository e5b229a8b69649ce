//! The tags that a push subscription was made for.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "push_subscription_tags")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub push_subscription_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub tag_id: Uuid,
}

impl ActiveModelBehavior for ActiveModel {}
