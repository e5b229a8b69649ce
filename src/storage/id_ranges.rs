//! Where readers lie among the ids of push subscriptions.

use std::cmp::min;
use std::collections::BTreeSet;

use sea_orm::sea_query::{
    CommonTableExpression, Expr, ExprTrait, Query, SelectStatement, UnionType, WithClause,
    WithQuery,
};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

use super::entities::push_subscription::{COLUMN, Column, Entity};

/// The smallest and the largest id there are; `None` without subscriptions.
pub(super) async fn span(connection: &impl ConnectionTrait) -> Result<Option<(i64, i64)>, DbErr> {
    ends(connection, Entity::find()).await
}

/// The smallest and the largest id that a push service has; `None` without subscriptions.
pub async fn span_of(
    connection: &impl ConnectionTrait,
    service_id: i32,
) -> Result<Option<(i64, i64)>, DbErr> {
    ends(connection, Entity::find().filter(COLUMN.service_id.eq(service_id))).await
}

async fn ends(
    connection: &impl ConnectionTrait,
    of: Select<Entity>,
) -> Result<Option<(i64, i64)>, DbErr> {
    let id = || of.clone().select_only().column(Column::Id);
    let first: Option<i64> = id().order_by_asc(COLUMN.id).into_tuple().one(connection).await?;
    let last: Option<i64> = id().order_by_desc(COLUMN.id).into_tuple().one(connection).await?;
    Ok(first.zip(last))
}

/// The ranges `(after, last]` in which a push service has readers of some editions, in order; each
/// is of `width` ids from a multiple of that on, but for the last one, which ends with the last id.
pub async fn of_readers(
    connection: &impl ConnectionTrait,
    of: (i32, &[Uuid]),
    width: i64,
) -> Result<Vec<(i64, i64)>, DbErr> {
    let Some((_, last)) = span_of(connection, of.0).await? else { return Ok(Vec::new()) };
    let starts = starts(connection, of, (width, None)).await?;
    Ok(starts.into_iter().map(|after| (after, min(after + width, last))).collect())
}

/// Where those ranges begin; of each edition no more than a limit. Whatever lies between two readers is
/// jumped over, so that a few are found as soon among ten million others as alone.
pub(super) async fn starts(
    connection: &impl ConnectionTrait,
    (service_id, editions): (i32, &[Uuid]),
    (width, limit): (i64, Option<u64>),
) -> Result<BTreeSet<i64>, DbErr> {
    let mut starts = BTreeSet::new();
    for edition_id in editions {
        let firsts = firsts((service_id, *edition_id), (width, limit));
        for row in connection.query_all(&firsts).await? {
            let first: i64 = row.try_get_by_index(0)?;
            starts.insert((first - 1).div_euclid(width) * width);
        }
    }
    Ok(starts)
}

/// The first id of an edition's readers in each range, every one looked for behind the range before.
fn firsts((service_id, edition_id): (i32, Uuid), (width, limit): (i64, Option<u64>)) -> WithQuery {
    const FIRSTS: &str = "firsts";
    let id = || Expr::col((FIRSTS, Column::Id));
    let first_behind = |end: Expr| -> SelectStatement {
        let first = Query::select()
            .expr(Expr::col((Entity, Column::Id)).min())
            .from(Entity)
            .and_where(COLUMN.service_id.eq(service_id))
            .and_where(COLUMN.edition_id.eq(edition_id))
            .and_where(Expr::col((Entity, Column::Id)).gt(end))
            .take();
        Query::select().expr(Expr::from(first)).take()
    };
    let end = id().sub(1).div(width).add(1).mul(width);
    let next = first_behind(end).from(FIRSTS).and_where(id().is_not_null()).take();
    let all = first_behind(Expr::value(0_i64)).union(UnionType::All, next).take();
    let firsts =
        CommonTableExpression::new().table_name(FIRSTS).column(Column::Id).query(all).to_owned();
    let mut select = Query::select().expr(id()).from(FIRSTS).and_where(id().is_not_null()).take();
    if let Some(limit) = limit {
        select.limit(limit);
    }
    WithClause::new().recursive(true).cte(firsts).to_owned().query(select)
}
