//! Finds the category that a source's category is, or adds it to the tree.

use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use crate::app::App;
use crate::domain::category::{Category, CategoryName, MAX_DEPTH, MAX_NAME};
use crate::domain::{slug, text};
use crate::storage;
use crate::storage::Change;
use crate::storage::import_key::Noun;
use crate::storage::slug_redirect;

/// A category as it was elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedCategory {
    /// Names it in its source.
    pub slug: String,
    /// Shown to readers.
    pub name: String,
}

/// The category at the end of a way from the root, in a change that the caller commits.
///
/// One that an earlier run brought in, or that has the slug or the name already, is taken as it is.
/// Where the tree would grow too deep, the deepest that fits stands for those below it.
pub async fn import_category(
    app: &App,
    change: &Change,
    (source, edition_id): (&str, Uuid),
    path: &[ImportedCategory],
) -> Result<Uuid, DbErr> {
    let tx = change.transaction();
    storage::category::lock_tree(tx).await?;
    let mut parent = None;
    for (depth, imported) in path.iter().enumerate() {
        parent = match find(tx, (source, edition_id), imported).await? {
            Some(id) => Some(id),
            None if depth > 0 && is_full(tx, parent).await? => return at_least(parent),
            None => Some(add(app, change, (source, edition_id), (parent, imported)).await?),
        };
    }
    at_least(parent)
}

fn at_least(found: Option<Uuid>) -> Result<Uuid, DbErr> {
    found.ok_or_else(|| DbErr::Custom("an imported story names no category".to_owned()))
}

async fn is_full(tx: &impl ConnectionTrait, parent: Option<Uuid>) -> Result<bool, DbErr> {
    match parent {
        Some(parent) => Ok(storage::category::path(tx, parent).await?.len() >= MAX_DEPTH),
        None => Ok(false),
    }
}

async fn find(
    tx: &impl ConnectionTrait,
    (source, edition_id): (&str, Uuid),
    imported: &ImportedCategory,
) -> Result<Option<Uuid>, DbErr> {
    let key = (source, imported.slug.as_str());
    if let Some(id) = storage::import_key::target(tx, Noun::Category, key).await? {
        if !storage::category::by_ids(tx, &[id]).await?.is_empty() {
            return Ok(Some(id));
        }
        // It was deleted here since; what the source still files under it makes it anew.
        storage::import_key::remove(tx, Noun::Category, key).await?;
    }
    if let Some(slug) = slug::from_text(&imported.slug)
        && let Some(id) = storage::category::id_by_slug(tx, edition_id, &slug).await?
    {
        return Ok(Some(id));
    }
    storage::category::id_by_name(tx, edition_id, &name(imported)).await
}

async fn add(
    app: &App,
    change: &Change,
    (source, edition_id): (&str, Uuid),
    (parent_id, imported): (Option<Uuid>, &ImportedCategory),
) -> Result<Uuid, DbErr> {
    let tx = change.transaction();
    let id = app.clock.new_id();
    let category = Category {
        id,
        parent_id,
        position: storage::category::last_position(tx, parent_id).await?.saturating_add(1),
    };
    let fallback = slug::from_text_or(&imported.name, &id.simple().to_string());
    let mut slug = slug::from_text_or(&imported.slug, &fallback);
    if storage::category::slug_taken(tx, edition_id, &slug, None).await? {
        slug = id.simple().to_string();
    }
    let name = CategoryName { category_id: id, edition_id, name: name(imported), slug };
    let now = app.now();
    storage::category::insert(tx, &category, std::slice::from_ref(&name), now).await?;
    slug_redirect::remove(tx, slug_redirect::Noun::Category, edition_id, &name.slug).await?;
    storage::import_key::insert(tx, Noun::Category, (source, &imported.slug), id).await?;
    Ok(id)
}

fn name(imported: &ImportedCategory) -> String {
    let name = text::line(&imported.name, usize::MAX).unwrap_or_else(|_| imported.slug.clone());
    text::shorten(&name, MAX_NAME)
}
