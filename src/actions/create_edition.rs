//! Adds a language edition.

use chrono_tz::Tz;

use super::takes_field_codes;
use crate::app::App;
use crate::domain::edition::{self, Direction, Edition, Place};
use crate::domain::failure::{Failure, Faults, FieldCode, Rejection};
use crate::domain::text;
use crate::domain::viewer::{Permission, Viewer};
use crate::storage::{self, Change};

/// Characters of an edition's name and of its place's.
const MAX_NAME: usize = 80;
/// Alerts that an edition can allow its readers in a day.
const MAX_ALERTS: u16 = 1_000;

/// What the edition is to be.
#[derive(Debug, Clone)]
pub struct Input {
    /// BCP 47.
    pub locale: String,
    /// Shown to readers.
    pub name: String,
    /// Which way its text runs.
    pub direction: Direction,
    /// IANA name.
    pub time_zone: String,
    /// Where it is at home.
    pub place: Option<Place>,
    /// How many alerts a day its readers get at most.
    pub alerts_per_day: Option<i32>,
}

/// Why an edition was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// A field is blank.
    Blank,
    /// A field is too long.
    TooLong,
    /// A field is malformed.
    Invalid,
    /// There is an edition of this locale.
    LocaleTaken,
}
takes_field_codes!(Code);

/// Adds a language edition behind the others.
pub async fn create_edition(
    app: &App,
    viewer: &Viewer,
    input: Input,
) -> Result<Edition, Failure<Code>> {
    viewer.check(Permission::ManageEditions)?;
    let change = app.begin().await?;
    let edition = write_edition(app, &change, input).await?;
    change.commit().await?;
    Ok(edition)
}

/// Writes a language edition into a change that the caller commits.
pub async fn write_edition(
    app: &App,
    change: &Change,
    input: Input,
) -> Result<Edition, Failure<Code>> {
    let edition = parse(app, input)?;
    if storage::edition::by_locale(change.transaction(), &edition.locale).await?.is_some() {
        let message = format!("there is an edition {} already", edition.locale);
        return Err(Rejection::at("locale", Code::LocaleTaken, message).into());
    }
    storage::edition::insert(change.transaction(), &edition, app.now()).await?;
    Ok(edition)
}

/// Checks what an edition is to be. Finds every fault.
pub(super) fn parse<C: From<FieldCode>>(app: &App, input: Input) -> Result<Edition, Failure<C>> {
    let mut faults = Faults::default();
    let locale = faults.take(
        edition::canonical_locale(&input.locale)
            .ok_or_else(|| Rejection::invalid("locale", "must be a BCP 47 tag such as ar-IQ")),
    );
    let name = faults.text("name", text::line(&input.name, MAX_NAME));
    let time_zone = faults.take(input.time_zone.parse::<Tz>().map_err(|_| {
        Rejection::invalid("timeZone", "must be an IANA time zone such as Asia/Baghdad")
    }));
    let place = match input.place {
        Some(place) => faults.take(parse_place(place)).map(Some),
        None => Some(None),
    };
    let most = |cap: i32| u16::try_from(cap).ok().filter(|cap| (1..=MAX_ALERTS).contains(cap));
    let alerts_per_day = input.alerts_per_day.and_then(|cap| {
        let message = format!("must lie between 1 and {MAX_ALERTS}, or be null for no limit");
        faults.take(most(cap).ok_or_else(|| Rejection::invalid("alertsPerDay", message)))
    });
    faults.check()?;
    let (Some(locale), Some(name), Some(time_zone), Some(place)) = (locale, name, time_zone, place)
    else {
        return Err(anyhow::anyhow!("a field is missing though no fault was found").into());
    };
    Ok(Edition {
        id: app.clock.new_id(),
        locale,
        name,
        direction: input.direction,
        time_zone,
        place,
        alerts_per_day,
    })
}

fn parse_place<C: From<FieldCode>>(place: Place) -> Result<Place, Rejection<C>> {
    let name =
        text::line(&place.name, MAX_NAME).map_err(|fault| Rejection::text("place.name", fault))?;
    if !(-90.0..=90.0).contains(&place.latitude) {
        return Err(Rejection::invalid("place.latitude", "must lie between -90 and 90 degrees"));
    }
    if !(-180.0..=180.0).contains(&place.longitude) {
        return Err(Rejection::invalid("place.longitude", "must lie between -180 and 180 degrees"));
    }
    Ok(Place { name, ..place })
}
