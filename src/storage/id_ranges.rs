//! Where an edition's subscriptions lie among the ids of all, decoys' too.

use std::cmp::min;
use std::collections::BTreeSet;

use sea_orm::sea_query::{
    CommonTableExpression, Expr, ExprTrait, Order, Query, UnionType, WithClause, WithQuery,
};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};
use uuid::Uuid;

use super::entities::edition;
use super::entities::push_subscription::{COLUMN, Column, Entity};
use super::push_service;

/// The smallest and the largest id there are; `None` without subscriptions.
async fn span(connection: &impl ConnectionTrait) -> Result<Option<(i64, i64)>, DbErr> {
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

/// The ranges `(after, last]` in which push services have subscriptions of some editions, in order. Each
/// is of `width` ids from a multiple of that on, but that none goes beyond the last id.
pub async fn of_editions(
    connection: &impl ConnectionTrait,
    editions: &[Uuid],
    width: i64,
) -> Result<Vec<(i32, (i64, i64))>, DbErr> {
    let Some((_, last)) = span(connection).await? else { return Ok(Vec::new()) };
    let starts = starts(connection, editions, (width, None)).await?.unwrap_or_default();
    // Whoever came after the last id was read is not waited for.
    let within = starts.into_iter().filter(|(_, after)| *after < last);
    Ok(within.map(|(service, after)| (service, (after, min(after + width, last)))).collect())
}

/// The push services of those ranges, and where they begin; `None` when there are too many.
pub(super) async fn starts(
    connection: &impl ConnectionTrait,
    editions: &[Uuid],
    (width, too_many): (i64, Option<u64>),
) -> Result<Option<BTreeSet<(i32, i64)>>, DbErr> {
    let mut starts = BTreeSet::new();
    let firsts = firsts(connection.get_database_backend(), editions, (width, too_many));
    let found = connection.query_all(&firsts).await?;
    if too_many.is_some_and(|too_many| found.len() as u64 >= too_many) {
        return Ok(None);
    }
    for row in found {
        let (service_id, first): (i32, i64) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        starts.insert((service_id, (first - 1).div_euclid(width) * width));
    }
    Ok(Some(starts))
}

/// Where ranges begin that hold every id.
pub(super) async fn all_starts(
    connection: &impl ConnectionTrait,
    width: i64,
) -> Result<BTreeSet<i64>, DbErr> {
    let span = span(connection).await?;
    let numbers = span.map(|(first, last)| (first - 1) / width..=(last - 1) / width);
    Ok(numbers.into_iter().flatten().map(|number| number * width).collect())
}

/// The first id in each range of a push service and an edition, every one looked for behind the range
/// before. So a few readers are found among ten million others as soon as alone.
///
/// In one statement: a reader who goes from one edition to another meanwhile is of one of them.
fn firsts(backend: DbBackend, editions: &[Uuid], (width, limit): (i64, Option<u64>)) -> WithQuery {
    const FIRSTS: &str = "firsts";
    let of = |column| Expr::col((FIRSTS, column));
    let is_one = || of(Column::Id).is_not_null();
    let service = || Expr::col(("service", Column::Id));
    let edition = || Expr::col((edition::Entity, edition::Column::Id));
    let mut all = Query::select()
        .exprs([
            service(),
            edition(),
            first_behind(backend, [service(), edition(), Expr::value(0_i64)]),
        ])
        .from_subquery(push_service::all(), "service")
        .from(edition::Entity)
        .and_where(edition().is_in(editions.iter().copied()))
        .take();
    let end = of(Column::Id).sub(1).div(width).add(1).mul(width);
    let (service, edition) = (|| of(Column::ServiceId), || of(Column::EditionId));
    let next = Query::select()
        .exprs([service(), edition(), first_behind(backend, [service(), edition(), end])])
        .from(FIRSTS)
        .and_where(is_one())
        .take();
    let firsts = CommonTableExpression::new()
        .table_name(FIRSTS)
        .columns([Column::ServiceId, Column::EditionId, Column::Id])
        .query(all.union(UnionType::All, next).take())
        .to_owned();
    let mut found =
        Query::select().exprs([service(), of(Column::Id)]).from(FIRSTS).and_where(is_one()).take();
    if let Some(limit) = limit {
        found.limit(limit);
    }
    WithClause::new().recursive(true).cte(firsts).to_owned().query(found)
}

/// The first id of a push service and an edition behind an id, or nothing.
fn first_behind(backend: DbBackend, place: [Expr; 3]) -> Expr {
    let index = [Column::ServiceId, Column::EditionId, Column::Id];
    let column = |column| Expr::col((Entity, column));
    let [service, edition, id] = place.clone();
    let is_theirs =
        column(Column::ServiceId).eq(service).and(column(Column::EditionId).eq(edition));
    let mut next = Query::select();
    next.from(Entity).limit(1);
    if backend == DbBackend::Postgres {
        // What the index holds next, whosever it is, and then whether it is theirs: asked for theirs alone,
        // a planner that knows nothing of a small edition may look through the whole table.
        next.expr(Expr::case(is_theirs, column(Column::Id)))
            .and_where(Expr::tuple(index.map(column)).gt(Expr::tuple(place)));
        for column in index {
            next.order_by((Entity, column), Order::Asc);
        }
    } else {
        // SQLite, which keeps no statistics, finds theirs by the index; of three columns it would compare two.
        next.expr(column(Column::Id))
            .and_where(is_theirs)
            .and_where(column(Column::Id).gt(id))
            .order_by((Entity, Column::Id), Order::Asc);
    }
    next.take().into()
}
