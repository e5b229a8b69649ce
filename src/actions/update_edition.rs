//! Changes a language edition.

use uuid::Uuid;

use super::create_edition::{self, parse};
use super::takes_field_codes;
use crate::app::App;
use crate::domain::edition::{Edition, Place};
use crate::domain::failure::{Failure, Rejection};
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;

/// What is to change; what is absent stays as it was.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Shown to readers.
    pub name: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// Where it is at home; `Some(None)` for nowhere.
    pub place: Option<Option<Place>>,
    /// How many alerts a day its readers get at most; `Some(None)` for as many as there are.
    pub alerts_per_day: Option<Option<i32>>,
}

/// Why an edition was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is no such edition.
    EditionNotFound,
}
takes_field_codes!(Code);

/// Changes a language edition. Its locale stays: addresses and readers' choices depend on it.
pub async fn update_edition(
    app: &App,
    viewer: &Viewer,
    id: Uuid,
    input: Input,
) -> Result<Edition, Failure<Code>> {
    viewer.check(Permission::ManageEditions)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    let Some(old) = storage::edition::lock(tx, id).await? else {
        return Err(Rejection::at("id", Code::EditionNotFound, "there is no such edition").into());
    };
    let whole = create_edition::Input {
        locale: old.locale,
        name: input.name.unwrap_or(old.name),
        direction: old.direction,
        time_zone: input.time_zone.unwrap_or_else(|| old.time_zone.name().to_owned()),
        place: input.place.unwrap_or(old.place),
        alerts_per_day: input.alerts_per_day.unwrap_or(old.alerts_per_day.map(i32::from)),
    };
    let new = Edition { id, ..parse(app, whole)? };
    storage::edition::update(tx, &new).await?;
    change.commit().await?;
    Ok(new)
}
