//! Renames a category in one edition, or changes its place among its siblings.

use uuid::Uuid;

use super::create_category::{NameInput, check_number, parse_slug};
use super::takes_field_codes;
use crate::app::App;
use crate::domain::category::{Category, CategoryName, MAX_NAME};
use crate::domain::failure::{Failure, Rejection};
use crate::domain::text;
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;
use crate::storage::slug_redirect::{self, Noun};

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Names to set, each for its edition; other editions keep theirs.
    pub names: Vec<NameInput>,
    /// Its place among its siblings.
    pub position: Option<i32>,
}

/// Why a category was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is no such category.
    CategoryNotFound,
    /// There is no edition of such a locale.
    EditionNotFound,
    /// Another category of that edition has the slug.
    SlugTaken,
}
takes_field_codes!(Code);

/// Changes a category's names and position. An old slug leads to the new one.
pub async fn update_category(
    app: &App,
    viewer: &Viewer,
    id: Uuid,
    input: Input,
) -> Result<Category, Failure<Code>> {
    viewer.check(Permission::ManageCategories)?;
    check_number(&input.names)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    storage::category::lock_tree(tx).await?;
    let Some(mut category) = storage::category::by_ids(tx, &[id]).await?.pop() else {
        return Err(Rejection::at("id", Code::CategoryNotFound, "there is no such category").into());
    };
    let old_names = storage::category::names(tx, &[id]).await?;
    for (index, name) in input.names.iter().enumerate() {
        let new = parse_name(tx, id, index, name).await?;
        let old = old_names.iter().find(|old| old.edition_id == new.edition_id);
        storage::category::put_name(tx, &new).await?;
        if let Some(old) = old.filter(|old| old.slug != new.slug) {
            slug_redirect::put(tx, Noun::Category, (old.edition_id, &old.slug), id, app.now())
                .await?;
        }
        slug_redirect::remove(tx, Noun::Category, new.edition_id, &new.slug).await?;
    }
    if let Some(position) = input.position {
        category.position = position;
        storage::category::set_position(tx, id, position, app.now()).await?;
    }
    change.commit().await?;
    Ok(category)
}

async fn parse_name(
    connection: &impl sea_orm::ConnectionTrait,
    category_id: Uuid,
    index: usize,
    input: &NameInput,
) -> Result<CategoryName, Failure<Code>> {
    let field = |name: &str| format!("names.{index}.{name}");
    let Some(edition) = storage::edition::by_locale(connection, &input.locale).await? else {
        let message = format!("there is no edition {}", input.locale);
        return Err(Rejection::at(&field("locale"), Code::EditionNotFound, message).into());
    };
    let name = text::line(&input.name, MAX_NAME)
        .map_err(|fault| Rejection::text(&field("name"), fault))?;
    let slug = parse_slug(&field("slug"), input.slug.as_deref(), &name)?;
    if storage::category::slug_taken(connection, edition.id, &slug, Some(category_id)).await? {
        let message = format!("another category of {} is called {slug}", edition.locale);
        return Err(Rejection::at(&field("slug"), Code::SlugTaken, message).into());
    }
    Ok(CategoryName { category_id, edition_id: edition.id, name, slug })
}
