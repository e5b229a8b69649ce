//! Adds a node to the category tree.

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::takes_field_codes;
use crate::app::App;
use crate::domain::category::{Category, CategoryName, MAX_DEPTH, MAX_NAME, MAX_NAMES};
use crate::domain::failure::{Failure, Faults, FieldCode, Rejection};
use crate::domain::viewer::{Permission, Viewer};
use crate::domain::{slug, text};
use crate::storage::slug_redirect::{self, Noun};
use crate::storage::{self, Change};

/// What a category is to be called in one edition.
#[derive(Debug, Clone)]
pub struct NameInput {
    /// The edition's locale.
    pub locale: String,
    /// Shown to readers.
    pub name: String,
    /// Made from the name when absent.
    pub slug: Option<String>,
}

/// What the category is to be.
#[derive(Debug, Clone)]
pub struct Input {
    /// The node above; `None` for a root.
    pub parent: Option<Uuid>,
    /// A name for at least one edition.
    pub names: Vec<NameInput>,
    /// Its place among its siblings; behind the last when absent.
    pub position: Option<i32>,
}

/// Why a category was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is no such parent.
    ParentNotFound,
    /// There is no edition of such a locale.
    EditionNotFound,
    /// Another category of that edition has the slug.
    SlugTaken,
    /// The tree would grow too deep.
    TooDeep,
}
takes_field_codes!(Code);

/// Adds a node to the category tree, with its names.
pub async fn create_category(
    app: &App,
    viewer: &Viewer,
    input: Input,
) -> Result<Category, Failure<Code>> {
    viewer.check(Permission::ManageCategories)?;
    check_number(&input.names)?;
    let change = app.begin().await?;
    let category = write_category(app, &change, input).await?;
    change.commit().await?;
    Ok(category)
}

/// Writes a category into a change that the caller commits.
pub async fn write_category(
    app: &App,
    change: &Change,
    input: Input,
) -> Result<Category, Failure<Code>> {
    let tx = change.transaction();
    storage::category::lock_tree(tx).await?;

    let id = app.clock.new_id();
    let names = parse_names(tx, id, &input.names).await?;
    if let Some(parent) = input.parent {
        let depth = storage::category::path(tx, parent).await?.len();
        if depth == 0 {
            return Err(
                Rejection::at("parent", Code::ParentNotFound, "there is no such category").into()
            );
        }
        if depth >= MAX_DEPTH {
            let message = format!("the tree may be {MAX_DEPTH} levels deep at most");
            return Err(Rejection::at("parent", Code::TooDeep, message).into());
        }
    }
    let position = match input.position {
        Some(position) => position,
        None => storage::category::last_position(tx, input.parent).await?.saturating_add(1),
    };
    let category = Category { id, parent_id: input.parent, position };
    storage::category::insert(tx, &category, &names, app.now()).await?;
    for name in &names {
        slug_redirect::remove(tx, Noun::Category, name.edition_id, &name.slug).await?;
    }
    Ok(category)
}

/// Fails when there are more names than a site has editions.
pub(super) fn check_number<C: From<FieldCode>>(names: &[NameInput]) -> Result<(), Rejection<C>> {
    if names.len() <= MAX_NAMES {
        return Ok(());
    }
    let message = format!("holds {} names; at most {MAX_NAMES} are allowed", names.len());
    Err(Rejection::at("names", FieldCode::TooLong.into(), message))
}

/// Names that can stand: known editions, none twice, slugs that are free.
async fn parse_names(
    connection: &impl ConnectionTrait,
    category_id: Uuid,
    names: &[NameInput],
) -> Result<Vec<CategoryName>, Failure<Code>> {
    let mut faults = Faults::default();
    if names.is_empty() {
        faults.push(Rejection::at(
            "names",
            Code::Blank,
            "name the category in at least one edition",
        ));
    }
    let editions = storage::edition::all(connection).await?;
    let mut parsed: Vec<CategoryName> = Vec::new();
    for (index, input) in names.iter().enumerate() {
        let field = |name: &str| format!("names.{index}.{name}");
        let Some(edition) = editions.iter().find(|edition| edition.locale == input.locale) else {
            let message = format!("there is no edition {}", input.locale);
            faults.push(Rejection::at(&field("locale"), Code::EditionNotFound, message));
            continue;
        };
        if parsed.iter().any(|name| name.edition_id == edition.id) {
            let message = format!("{} is named twice", edition.locale);
            faults.push(Rejection::invalid(&field("locale"), message));
            continue;
        }
        let Some(name) = faults.text(&field("name"), text::line(&input.name, MAX_NAME)) else {
            continue;
        };
        let Some(slug) = faults.take(parse_slug(&field("slug"), input.slug.as_deref(), &name))
        else {
            continue;
        };
        if storage::category::slug_taken(connection, edition.id, &slug, Some(category_id)).await? {
            let message = format!("another category of {} is called {slug}", edition.locale);
            faults.push(Rejection::at(&field("slug"), Code::SlugTaken, message));
            continue;
        }
        parsed.push(CategoryName { category_id, edition_id: edition.id, name, slug });
    }
    faults.check()?;
    Ok(parsed)
}

/// A slug as it was asked for, or made from the name.
pub(super) fn parse_slug<C: From<FieldCode>>(
    field: &str,
    wanted: Option<&str>,
    name: &str,
) -> Result<String, Rejection<C>> {
    slug::from_text(wanted.unwrap_or(name))
        .ok_or_else(|| Rejection::invalid(field, "must contain at least one letter or digit"))
}
