//! Hangs a category, with all below it, under another.

use uuid::Uuid;

use crate::app::App;
use crate::domain::category::{Category, MAX_DEPTH};
use crate::domain::failure::{Failure, Rejection};
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;

/// Where the category is to go.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    /// The node above; `None` makes it a root.
    pub parent: Option<Uuid>,
    /// Its place among its new siblings; behind the last when absent.
    pub position: Option<i32>,
}

/// Why a category was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// There is no such category.
    CategoryNotFound,
    /// There is no such parent.
    ParentNotFound,
    /// The parent is the category itself, or below it.
    Cycle,
    /// The tree would grow too deep.
    TooDeep,
}

/// Moves a node with its subtree.
pub async fn move_category(
    app: &App,
    viewer: &Viewer,
    id: Uuid,
    input: Input,
) -> Result<Category, Failure<Code>> {
    viewer.check(Permission::ManageCategories)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    storage::category::lock_tree(tx).await?;
    let Some(mut category) = storage::category::by_ids(tx, &[id]).await?.pop() else {
        return Err(Rejection::at("id", Code::CategoryNotFound, "there is no such category").into());
    };
    if let Some(parent) = input.parent {
        let path = storage::category::path(tx, parent).await?;
        if path.is_empty() {
            return Err(
                Rejection::at("parent", Code::ParentNotFound, "there is no such category").into()
            );
        }
        if path.contains(&id) {
            let message = "a category cannot be moved into itself or below itself";
            return Err(Rejection::at("parent", Code::Cycle, message).into());
        }
        let subtree = storage::category::subtree(tx, id).await?;
        let height = subtree.iter().map(|(_, depth)| *depth).max().unwrap_or_default();
        if path.len() + 1 + usize::try_from(height).unwrap_or_default() > MAX_DEPTH {
            let message = format!("the tree may be {MAX_DEPTH} levels deep at most");
            return Err(Rejection::at("parent", Code::TooDeep, message).into());
        }
    }
    category.parent_id = input.parent;
    category.position = match input.position {
        Some(position) => position,
        None => storage::category::last_position(tx, input.parent).await?.saturating_add(1),
    };
    storage::category::relocate(tx, &category, app.now()).await?;
    change.commit().await?;
    Ok(category)
}
