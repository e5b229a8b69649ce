//! The category tree and what its nodes are called.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, LockType, Query};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Set, Statement,
};
use uuid::Uuid;

use super::entities::{
    article, category, category_ancestry, category_name, push_subscription_category,
};
use crate::domain::category::{Category, CategoryName};
use crate::domain::clock::Timestamp;

/// Serialises changes of the tree on PostgreSQL.
const TREE_LOCK: i64 = 0x6b68_6162_6172_0003;

/// The categories with these ids, in no order.
pub async fn by_ids(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<Vec<Category>, DbErr> {
    let find = category::Entity::find().filter(category::COLUMN.id.is_in(ids.iter().copied()));
    Ok(find.all(connection).await?.into_iter().map(from_row).collect())
}

/// The whole tree, siblings in their order.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Category>, DbErr> {
    let find = category::Entity::find()
        .order_by_asc(category::COLUMN.position)
        .order_by_asc(category::COLUMN.id);
    Ok(find.all(connection).await?.into_iter().map(from_row).collect())
}

/// The children of these nodes, siblings in their order.
pub async fn children(
    connection: &impl ConnectionTrait,
    parents: &[Uuid],
) -> Result<Vec<Category>, DbErr> {
    let find = category::Entity::find()
        .filter(category::COLUMN.parent_id.is_in(parents.iter().copied()))
        .order_by_asc(category::COLUMN.position)
        .order_by_asc(category::COLUMN.id);
    Ok(find.all(connection).await?.into_iter().map(from_row).collect())
}

/// What these categories are called, in every edition.
pub async fn names(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<Vec<CategoryName>, DbErr> {
    let find = category_name::Entity::find()
        .filter(category_name::COLUMN.category_id.is_in(ids.iter().copied()));
    Ok(find.all(connection).await?.into_iter().map(name_from_row).collect())
}

/// The category of this slug in an edition.
pub async fn id_by_slug(
    connection: &impl ConnectionTrait,
    edition_id: Uuid,
    slug: &str,
) -> Result<Option<Uuid>, DbErr> {
    let find = category_name::Entity::find()
        .filter(category_name::COLUMN.edition_id.eq(edition_id))
        .filter(category_name::COLUMN.slug.eq(slug));
    Ok(find.one(connection).await?.map(|row| row.category_id))
}

/// The first category of this name in an edition.
pub async fn id_by_name(
    connection: &impl ConnectionTrait,
    edition_id: Uuid,
    name: &str,
) -> Result<Option<Uuid>, DbErr> {
    let find = category_name::Entity::find()
        .filter(category_name::COLUMN.edition_id.eq(edition_id))
        .filter(category_name::COLUMN.name.eq(name))
        .order_by_asc(category_name::COLUMN.category_id);
    Ok(find.one(connection).await?.map(|row| row.category_id))
}

/// The node itself and all above it, root first.
pub async fn path(connection: &impl ConnectionTrait, id: Uuid) -> Result<Vec<Uuid>, DbErr> {
    Ok(paths(connection, &[id]).await?.remove(&id).unwrap_or_default())
}

/// The same for many nodes, in one statement.
pub async fn paths(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Uuid>>, DbErr> {
    let find = category_ancestry::Entity::find()
        .filter(category_ancestry::COLUMN.descendant_id.is_in(ids.iter().copied()))
        .order_by_desc(category_ancestry::COLUMN.depth);
    let mut paths: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for row in find.all(connection).await? {
        paths.entry(row.descendant_id).or_default().push(row.ancestor_id);
    }
    Ok(paths)
}

/// The node itself and all below it with their distance from it.
pub async fn subtree(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Vec<(Uuid, i32)>, DbErr> {
    let find =
        category_ancestry::Entity::find().filter(category_ancestry::COLUMN.ancestor_id.eq(id));
    Ok(find.all(connection).await?.into_iter().map(|row| (row.descendant_id, row.depth)).collect())
}

/// The largest position among the children of a node; -1 when there are none.
pub async fn last_position(
    connection: &impl ConnectionTrait,
    parent_id: Option<Uuid>,
) -> Result<i32, DbErr> {
    let parent = match parent_id {
        Some(id) => category::COLUMN.parent_id.eq(id),
        None => category::COLUMN.parent_id.is_null(),
    };
    let last = category::Entity::find()
        .filter(parent)
        .order_by_desc(category::COLUMN.position)
        .one(connection)
        .await?;
    Ok(last.map_or(-1, |row| row.position))
}

/// Adds a node with its names; its parent must be in the tree already.
pub async fn insert(
    connection: &impl ConnectionTrait,
    node: &Category,
    names: &[CategoryName],
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = category::ActiveModel {
        id: Set(node.id),
        parent_id: Set(node.parent_id),
        position: Set(node.position),
        created_at: Set(now),
        updated_at: Set(now),
    };
    category::Entity::insert(row).exec_without_returning(connection).await?;
    for name in names {
        put_name(connection, name).await?;
    }
    link(connection, node.parent_id, &[(node.id, 0)]).await
}

/// Sets what a category is called in an edition.
pub async fn put_name(connection: &impl ConnectionTrait, name: &CategoryName) -> Result<(), DbErr> {
    let key = (name.category_id, name.edition_id);
    category_name::Entity::delete_by_id(key).exec(connection).await?;
    let row = category_name::ActiveModel {
        category_id: Set(name.category_id),
        edition_id: Set(name.edition_id),
        name: Set(name.name.clone()),
        slug: Set(name.slug.clone()),
    };
    category_name::Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Hangs a node with all below it under another parent, or makes it a root.
///
/// The caller has made sure that the parent is not inside the subtree.
pub async fn relocate(
    connection: &impl ConnectionTrait,
    node: &Category,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = category::ActiveModel {
        id: Set(node.id),
        parent_id: Set(node.parent_id),
        position: Set(node.position),
        updated_at: Set(now),
        ..Default::default()
    };
    row.update(connection).await?;

    let subtree = subtree(connection, node.id).await?;
    let inside: Vec<Uuid> = subtree.iter().map(|(id, _)| *id).collect();
    category_ancestry::Entity::delete_many()
        .filter(category_ancestry::COLUMN.descendant_id.is_in(inside.iter().copied()))
        .filter(category_ancestry::COLUMN.ancestor_id.is_not_in(inside))
        .exec(connection)
        .await?;
    let below: Vec<(Uuid, i32)> = subtree.into_iter().filter(|(id, _)| *id != node.id).collect();
    link_outside(connection, node.parent_id, node.id, &below).await
}

/// How many articles stand directly in a category.
pub async fn count_articles(connection: &impl ConnectionTrait, id: Uuid) -> Result<u64, DbErr> {
    article::Entity::find().filter(article::COLUMN.category_id.eq(id)).count(connection).await
}

/// Puts the articles of one category into another.
pub async fn move_articles(
    connection: &impl ConnectionTrait,
    from: Uuid,
    to: Uuid,
) -> Result<u64, DbErr> {
    let update = article::Entity::update_many().col_expr(article::Column::CategoryId, to.into());
    Ok(update.filter(article::COLUMN.category_id.eq(from)).exec(connection).await?.rows_affected)
}

/// How many push subscriptions have chosen a category.
pub async fn count_readers(connection: &impl ConnectionTrait, id: Uuid) -> Result<u64, DbErr> {
    let chosen = push_subscription_category::Entity::find()
        .filter(push_subscription_category::COLUMN.category_id.eq(id));
    chosen.count(connection).await
}

/// Makes the push subscriptions of one category those of another.
pub async fn move_readers(
    connection: &impl ConnectionTrait,
    from: Uuid,
    to: Uuid,
) -> Result<(), DbErr> {
    use push_subscription_category::{COLUMN, Column, Entity};
    // Who has chosen both already keeps the one row.
    let already = Query::select()
        .column(Column::PushSubscriptionId)
        .from(Entity)
        .and_where(COLUMN.category_id.eq(to))
        .to_owned();
    Entity::update_many()
        .col_expr(Column::CategoryId, to.into())
        .filter(COLUMN.category_id.eq(from))
        .filter(Expr::col((Entity, Column::PushSubscriptionId)).not_in_subquery(already))
        .exec(connection)
        .await?;
    Ok(())
}

/// Sets a node's place among its siblings.
pub async fn set_position(
    connection: &impl ConnectionTrait,
    id: Uuid,
    position: i32,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = category::ActiveModel {
        id: Set(id),
        position: Set(position),
        updated_at: Set(now),
        ..Default::default()
    };
    row.update(connection).await?;
    Ok(())
}

/// Deletes a node that has no children and no articles left.
pub async fn delete(connection: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    category::Entity::delete_by_id(id).exec(connection).await?;
    Ok(())
}

/// A subquery of the ids in the subtrees under these nodes, for filters.
pub(super) fn subtree_query(ancestors: &[Uuid]) -> sea_orm::sea_query::SelectStatement {
    Query::select()
        .column(category_ancestry::Column::DescendantId)
        .from(category_ancestry::Entity)
        .and_where(category_ancestry::COLUMN.ancestor_id.is_in(ancestors.iter().copied()))
        .to_owned()
}

/// Writes the ancestry of new nodes: of each to itself, and to the parent's whole path.
async fn link(
    connection: &impl ConnectionTrait,
    parent_id: Option<Uuid>,
    nodes: &[(Uuid, i32)],
) -> Result<(), DbErr> {
    for (id, _) in nodes {
        let itself = category_ancestry::ActiveModel {
            ancestor_id: Set(*id),
            descendant_id: Set(*id),
            depth: Set(0),
        };
        category_ancestry::Entity::insert(itself).exec_without_returning(connection).await?;
        link_outside(connection, parent_id, *id, &[]).await?;
    }
    Ok(())
}

/// Writes the ancestry of a node, and of those below it, to the path of a new parent.
async fn link_outside(
    connection: &impl ConnectionTrait,
    parent_id: Option<Uuid>,
    top: Uuid,
    below: &[(Uuid, i32)],
) -> Result<(), DbErr> {
    let Some(parent_id) = parent_id else {
        return Ok(());
    };
    let path = path(connection, parent_id).await?;
    let mut rows = Vec::new();
    for (distance, ancestor) in path.iter().rev().enumerate() {
        for (descendant, depth) in std::iter::once(&(top, 0)).chain(below) {
            rows.push(category_ancestry::ActiveModel {
                ancestor_id: Set(*ancestor),
                descendant_id: Set(*descendant),
                depth: Set(i32::try_from(distance).unwrap_or(i32::MAX) + 1 + depth),
            });
        }
    }
    for chunk in rows.chunks(500) {
        category_ancestry::Entity::insert_many(chunk.to_vec())
            .exec_without_returning(connection)
            .await?;
    }
    Ok(())
}

fn from_row(row: category::Model) -> Category {
    Category { id: row.id, parent_id: row.parent_id, position: row.position }
}

fn name_from_row(row: category_name::Model) -> CategoryName {
    CategoryName {
        category_id: row.category_id,
        edition_id: row.edition_id,
        name: row.name,
        slug: row.slug,
    }
}

/// Whether anything is called this slug in an edition, except the given category.
pub async fn slug_taken(
    connection: &impl ConnectionTrait,
    edition_id: Uuid,
    slug: &str,
    except: Option<Uuid>,
) -> Result<bool, DbErr> {
    Ok(id_by_slug(connection, edition_id, slug).await?.is_some_and(|id| Some(id) != except))
}

/// Keeps these categories until the transaction ends, for something that is to refer to them.
/// Returns those that there are; what is being deleted is waited for, and is not among them.
pub async fn hold(connection: &impl ConnectionTrait, ids: &[Uuid]) -> Result<HashSet<Uuid>, DbErr> {
    let find = category::Entity::find()
        .filter(category::COLUMN.id.is_in(ids.iter().copied()))
        .order_by_asc(category::COLUMN.id)
        .lock(LockType::KeyShare);
    Ok(find.all(connection).await?.into_iter().map(|category| category.id).collect())
}

/// Locks a category that is to be deleted: nothing new comes to refer to it meanwhile. False when
/// there is none.
pub async fn lock(connection: &impl ConnectionTrait, id: Uuid) -> Result<bool, DbErr> {
    let find = category::Entity::find_by_id(id).lock_exclusive();
    Ok(find.one(connection).await?.is_some())
}

/// Makes changes of the tree come one after the other, so that two moves cannot tie it into a knot.
/// SQLite has one writer anyway.
pub async fn lock_tree(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let backend = connection.get_database_backend();
    if backend == DbBackend::Postgres {
        let lock = format!("SELECT pg_advisory_xact_lock({TREE_LOCK})");
        connection.execute_raw(Statement::from_string(backend, lock)).await?;
    }
    Ok(())
}
