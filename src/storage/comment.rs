//! Comments, by thread and by page.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, OverStatement, Query, WindowStatement};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QuerySelect, Set,
};
use uuid::Uuid;

use super::entities::comment::{self, ActiveModel, COLUMN, Column, Entity, Model};
use super::{keyset, unreadable};
use crate::domain::clock::Timestamp;
use crate::domain::comment::{Comment, CommentState, MAX_DEPTH};
use crate::domain::page::{Order, Page, PageRequest};

/// Which comments a list holds: those right under an article, or right under a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Thread {
    /// Under this article.
    Article(Uuid),
    /// Under this comment.
    Comment(Uuid),
}

/// The comments with these ids, in any state and in no order.
pub async fn by_ids(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<Vec<Comment>, DbErr> {
    let rows = Entity::find().filter(COLUMN.id.is_in(ids.iter().copied())).all(connection).await?;
    rows.into_iter().map(from_row).collect()
}

/// A page of approved comments in a thread.
pub async fn page(
    connection: &impl ConnectionTrait,
    thread: Thread,
    order: Order,
    request: &PageRequest,
) -> Result<Page<Comment>, DbErr> {
    let under = match thread {
        Thread::Article(id) => COLUMN.article_id.eq(id).and(COLUMN.parent_id.is_null()),
        Thread::Comment(id) => COLUMN.parent_id.eq(id),
    };
    let mut select =
        Entity::find().filter(under).filter(COLUMN.state.eq(CommentState::Approved.as_str()));
    let key = ((comment::Entity, Column::CreatedAt), (comment::Entity, Column::Id));
    keyset::restrict(QuerySelect::query(&mut select), key, order, request);
    let comments =
        select.all(connection).await?.into_iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_rows(comments, request))
}

/// The first page of approved comments of many threads in one statement; `limit + 1` rows of each.
pub async fn first_pages(
    connection: &impl ConnectionTrait,
    threads: &[Thread],
    order: Order,
    limit: u32,
) -> Result<Vec<Comment>, DbErr> {
    let articles = threads.iter().filter_map(|thread| match thread {
        Thread::Article(id) => Some(*id),
        Thread::Comment(_) => None,
    });
    let comments = threads.iter().filter_map(|thread| match thread {
        Thread::Comment(id) => Some(*id),
        Thread::Article(_) => None,
    });
    let under_articles = COLUMN.article_id.is_in(articles).and(COLUMN.parent_id.is_null());
    let under_comments = COLUMN.parent_id.is_in(comments);
    let direction = match order {
        Order::Ascending => sea_orm::Order::Asc,
        Order::Descending => sea_orm::Order::Desc,
    };
    let mut window = WindowStatement::partition_by(Column::ArticleId);
    window
        .partition_by(Column::ParentId)
        .order_by(Column::CreatedAt, direction.clone())
        .order_by(Column::Id, direction.clone());
    let ranked = Query::select()
        .column(Column::Id)
        .expr_window_as(Expr::cust("ROW_NUMBER()"), window, Alias::new("rank"))
        .from(Entity)
        .and_where(under_articles.or(under_comments))
        .and_where(COLUMN.state.eq(CommentState::Approved.as_str()))
        .to_owned();
    let wanted = Query::select()
        .column(Column::Id)
        .from_subquery(ranked, Alias::new("ranked"))
        .and_where(Expr::col(Alias::new("rank")).lte(limit + 1))
        .to_owned();
    let mut select = Entity::find().filter(Expr::col((Entity, Column::Id)).in_subquery(wanted));
    QuerySelect::query(&mut select)
        .order_by(Column::CreatedAt, direction.clone())
        .order_by(Column::Id, direction);
    select.all(connection).await?.into_iter().map(from_row).collect()
}

/// Whether readers come to the place where a comment stands: all that it answers is approved.
pub async fn is_reachable(
    connection: &impl ConnectionTrait,
    comment: &Comment,
) -> Result<bool, DbErr> {
    let mut above = comment.parent_id;
    while let Some(id) = above {
        let Some(parent) = by_ids(connection, &[id]).await?.pop() else { return Ok(false) };
        if parent.state != CommentState::Approved {
            return Ok(false);
        }
        above = parent.parent_id;
    }
    Ok(true)
}

/// How many replies readers see below a comment when they see the comment itself.
pub async fn count_below(
    connection: &impl ConnectionTrait,
    comment: &Comment,
) -> Result<u64, DbErr> {
    let approved = || COLUMN.state.eq(CommentState::Approved.as_str());
    let ids = || Query::select().column(Column::Id).from(Entity).to_owned();
    let mut level = ids().and_where(COLUMN.id.eq(comment.id)).to_owned();
    let mut count = 0;
    for _ in comment.depth..MAX_DEPTH {
        let below = || COLUMN.parent_id.in_subquery(level.clone()).and(approved());
        count += Entity::find().filter(below()).count(connection).await?;
        level = ids().and_where(below()).to_owned();
    }
    Ok(count)
}

/// Adds a comment. Counters are the caller's.
pub async fn insert(
    connection: &impl ConnectionTrait,
    comment: &Comment,
    edit_token_hash: Option<[u8; 32]>,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(comment.id),
        article_id: Set(comment.article_id),
        parent_id: Set(comment.parent_id),
        depth: Set(i32::try_from(comment.depth).unwrap_or(i32::MAX)),
        author_name: Set(comment.author_name.clone()),
        body: Set(comment.body.clone()),
        state: Set(comment.state.as_str().to_owned()),
        reply_count: Set(i32::try_from(comment.reply_count).unwrap_or(i32::MAX)),
        edit_token_hash: Set(edit_token_hash.map(Vec::from)),
        created_at: Set(comment.created_at),
        updated_at: Set(comment.created_at),
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Locks a comment's row until the transaction ends.
pub async fn lock(connection: &impl ConnectionTrait, id: Uuid) -> Result<Option<Comment>, DbErr> {
    Entity::find_by_id(id).lock_exclusive().one(connection).await?.map(from_row).transpose()
}

/// Sets whether others see a comment. Counters are the caller's.
pub async fn set_state(
    connection: &impl ConnectionTrait,
    id: Uuid,
    state: CommentState,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(id),
        state: Set(state.as_str().to_owned()),
        updated_at: Set(now),
        ..Default::default()
    };
    row.update(connection).await?;
    Ok(())
}

/// Adds to the count of approved replies.
pub async fn add_replies(
    connection: &impl ConnectionTrait,
    id: Uuid,
    by: i32,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::ReplyCount, Expr::col(Column::ReplyCount).add(by))
        .filter(COLUMN.id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

fn from_row(row: Model) -> Result<Comment, DbErr> {
    Ok(Comment {
        id: row.id,
        article_id: row.article_id,
        parent_id: row.parent_id,
        depth: u32::try_from(row.depth).unwrap_or_default(),
        author_name: row.author_name,
        body: row.body,
        state: CommentState::from_word(&row.state)
            .ok_or_else(|| unreadable("comment state", &row.state))?,
        reply_count: u32::try_from(row.reply_count).unwrap_or_default(),
        created_at: row.created_at,
    })
}
