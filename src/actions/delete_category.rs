//! Deletes a category. One that is in use goes only with a replacement.

use uuid::Uuid;

use crate::app::App;
use crate::domain::category::{Category, MAX_DEPTH};
use crate::domain::failure::{Failure, Rejection};
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;
use crate::storage::slug_redirect::{self, Noun};

/// Why a category was not deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// There is no such category.
    CategoryNotFound,
    /// It has articles, children or readers' subscriptions: name a replacement.
    InUse,
    /// There is no such replacement.
    ReplacementNotFound,
    /// The replacement is the category itself, or below it.
    Cycle,
    /// The tree would grow too deep under the replacement.
    TooDeep,
}

/// Deletes a category. Its articles, children and readers pass to the replacement, and so do its
/// slugs in every edition.
pub async fn delete_category(
    app: &App,
    viewer: &Viewer,
    id: Uuid,
    replacement: Option<Uuid>,
) -> Result<Uuid, Failure<Code>> {
    viewer.check(Permission::ManageCategories)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    storage::category::lock_tree(tx).await?;
    if !storage::category::lock(tx, id).await? {
        return Err(Rejection::at("id", Code::CategoryNotFound, "there is no such category").into());
    }
    match replacement {
        Some(replacement) => replace(tx, id, replacement, app.now()).await?,
        None => {
            let usage = usage(tx, id).await?;
            if !usage.is_empty() {
                let message = format!("it has {usage}; name a category that takes them over");
                return Err(Rejection::at("replacement", Code::InUse, message).into());
            }
            slug_redirect::retarget(tx, Noun::Category, id, None).await?;
        }
    }
    storage::category::delete(tx, id).await?;
    change.commit().await?;
    Ok(id)
}

async fn usage(tx: &impl sea_orm::ConnectionTrait, id: Uuid) -> Result<String, sea_orm::DbErr> {
    let counts = [
        (storage::category::count_articles(tx, id).await?, "articles"),
        (storage::category::children(tx, &[id]).await?.len() as u64, "subcategories"),
        (storage::category::count_readers(tx, id).await?, "subscribed readers"),
    ];
    let used = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"));
    Ok(used.collect::<Vec<_>>().join(", "))
}

async fn replace(
    tx: &impl sea_orm::ConnectionTrait,
    id: Uuid,
    replacement: Uuid,
    now: crate::domain::clock::Timestamp,
) -> Result<(), Failure<Code>> {
    let path = storage::category::path(tx, replacement).await?;
    if path.is_empty() {
        return Err(Rejection::at(
            "replacement",
            Code::ReplacementNotFound,
            "there is no such category",
        )
        .into());
    }
    if path.contains(&id) {
        let message = "a category cannot be replaced by itself or by one below it";
        return Err(Rejection::at("replacement", Code::Cycle, message).into());
    }
    let subtree = storage::category::subtree(tx, id).await?;
    let height = subtree.iter().map(|(_, depth)| *depth).max().unwrap_or_default();
    if path.len() + usize::try_from(height).unwrap_or_default() > MAX_DEPTH {
        let message = format!("its subcategories would stand deeper than {MAX_DEPTH} levels");
        return Err(Rejection::at("replacement", Code::TooDeep, message).into());
    }
    let mut position = storage::category::last_position(tx, Some(replacement)).await?;
    for child in storage::category::children(tx, &[id]).await? {
        position = position.saturating_add(1);
        let moved = Category { parent_id: Some(replacement), position, ..child };
        storage::category::relocate(tx, &moved, now).await?;
    }
    storage::category::move_articles(tx, id, replacement).await?;
    // Alerts before their readers, as whoever writes a page down.
    storage::alert::move_category(tx, id, replacement).await?;
    storage::category::move_readers(tx, id, replacement).await?;
    for name in storage::category::names(tx, &[id]).await? {
        slug_redirect::put(tx, Noun::Category, (name.edition_id, &name.slug), replacement, now)
            .await?;
    }
    slug_redirect::retarget(tx, Noun::Category, id, Some(replacement)).await?;
    storage::category_successor::put(tx, id, replacement).await?;
    Ok(())
}
