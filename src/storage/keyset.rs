//! Pages by keyset: the condition, the order and the limit of a page, for any table.

use sea_orm::sea_query::{self, Expr, ExprTrait, IntoColumnRef, SelectStatement};

use crate::domain::page::{Cursor, Order, PageRequest};

/// Restricts a query to the page: rows come in the direction of the request, one more than asked,
/// for [`crate::domain::page::Page::from_rows`].
pub(super) fn restrict(
    query: &mut SelectStatement,
    (at, id): (impl IntoColumnRef + Clone, impl IntoColumnRef + Clone),
    order: Order,
    request: &PageRequest,
) {
    let key = || Expr::tuple([Expr::col(at.clone()), Expr::col(id.clone())]);
    let edges = [(request.after, order), (request.before, order.reversed())];
    for (cursor, order) in edges {
        if let Some(cursor) = cursor {
            query.and_where(beyond(key(), &cursor, order));
        }
    }
    let order = if request.from_end { order.reversed() } else { order };
    let direction = match order {
        Order::Ascending => sea_query::Order::Asc,
        Order::Descending => sea_query::Order::Desc,
    };
    query
        .order_by(at, direction.clone())
        .order_by(id, direction)
        .limit(u64::from(request.limit) + 1);
}

fn beyond(key: Expr, cursor: &Cursor, order: Order) -> Expr {
    let edge = Expr::tuple([Expr::value(cursor.at), Expr::value(cursor.id)]);
    match order {
        Order::Ascending => key.gt(edge),
        Order::Descending => key.lt(edge),
    }
}
