//! Push services, by the numbers that shards and subscriptions know them by.

use sea_orm::sea_query::{Expr, OnConflict, Order, Query, SelectStatement, UnionType};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};

use super::entities::push_service::{ActiveModel, COLUMN, Column, Entity};

/// Subscriptions that came before push services were told apart.
const UNSORTED: i32 = 0;

/// The number of a push service; a new one from now on if it has none.
pub async fn id_of(connection: &impl ConnectionTrait, name: &str) -> Result<i32, DbErr> {
    let find = || Entity::find().filter(COLUMN.name.eq(name)).one(connection);
    if let Some(known) = find().await? {
        return Ok(known.id);
    }
    let row = ActiveModel { name: Set(name.to_owned()), ..Default::default() };
    Entity::insert(row)
        .on_conflict(OnConflict::column(Column::Name).do_nothing().to_owned())
        .exec_without_returning(connection)
        .await?;
    let made = find().await?;
    made.map(|row| row.id)
        .ok_or_else(|| DbErr::RecordNotFound("a push service just written".to_owned()))
}

/// Every number that subscriptions may have.
pub async fn ids(connection: &impl ConnectionTrait) -> Result<Vec<i32>, DbErr> {
    let found = connection.query_all(all().order_by(Column::Id, Order::Asc)).await?;
    found.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The same, as a query that others are made of.
pub(super) fn all() -> SelectStatement {
    let known = Query::select().column(Column::Id).from(Entity).take();
    let mut all = Query::select();
    all.expr_as(Expr::value(UNSORTED), Column::Id).union(UnionType::All, known).take()
}
