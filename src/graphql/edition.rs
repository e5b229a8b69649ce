//! Editions, their place, its weather, and the time there.

use async_graphql::ID;
use async_graphql::{Context, Enum, Error, InputObject, MaybeUndefined, Object, SimpleObject};

use super::context::KhabarContext;
use super::errors::{settle, user_errors};
use super::ids::{self, Kind};
use super::instant::Instant;
use super::patch;
use crate::actions::create_edition::{self, create_edition};
use crate::actions::update_edition::{self, update_edition};
use crate::domain::clock::Timestamp;
use crate::domain::{edition, local_time};
use crate::storage;

/// A language edition of the site.
pub struct Edition(pub edition::Edition);

/// Which way a text runs; the value of HTML's `dir` attribute, in capitals.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "edition::Direction")]
pub enum TextDirection {
    /// Left to right.
    Ltr,
    /// Right to left, as Arabic and Kurdish run.
    Rtl,
}

/// A language edition of the site, such as the Arabic one for Iraq.
#[Object]
impl Edition {
    /// The global id.
    pub async fn id(&self) -> ID {
        ids::encode(Kind::Edition, self.0.id)
    }

    /// BCP 47, such as `ar-IQ`; the value of HTML's `lang` attribute. Unique.
    async fn locale(&self) -> &str {
        &self.0.locale
    }

    /// The name its readers know it by.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Which way its text runs.
    async fn direction(&self) -> TextDirection {
        self.0.direction.into()
    }

    /// An IANA time zone, such as `Asia/Baghdad`.
    async fn time_zone(&self) -> &str {
        self.0.time_zone.name()
    }

    /// The town the edition is at home in; null when it has none.
    async fn place(&self) -> Option<Place> {
        self.0.place.clone().map(Place)
    }

    /// How many alerts a day its readers get at most; null for as many as there are. Breaking news
    /// comes on top for those who let it through.
    async fn alerts_per_day(&self) -> Option<u16> {
        self.0.alerts_per_day
    }

    /// The time at the edition's place, now or at the given instant.
    async fn local_time(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The instant to write, in the years 1 to 9999; the server's clock when absent."
        )]
        at: Option<Instant>,
    ) -> Result<LocalTime, Error> {
        let instant = match at {
            Some(Instant(at)) => at,
            None => ctx.app()?.now(),
        };
        let formatted = local_time::format(instant, &self.0.locale, self.0.time_zone)?;
        Ok(LocalTime { instant, formatted })
    }
}

/// A town.
pub struct Place(edition::Place);

/// A town with its weather.
#[Object]
impl Place {
    /// As readers of the edition call it.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Degrees north (WGS 84).
    async fn latitude(&self) -> f64 {
        self.0.latitude
    }

    /// Degrees east (WGS 84).
    async fn longitude(&self) -> f64 {
        self.0.longitude
    }

    /// The air's temperature in degrees Celsius, at most three hours old; null when it is not known.
    /// Never keeps an answer waiting for more than 300 ms.
    async fn temperature_celsius(&self, ctx: &Context<'_>) -> Result<Option<f64>, Error> {
        let app = ctx.app()?;
        Ok(app.weather.temperature(&self.0, app.now()).await)
    }
}

/// An instant, and how a locale writes it.
#[derive(SimpleObject)]
pub struct LocalTime {
    /// RFC 3339, UTC.
    instant: Timestamp,
    /// Weekday, day, month and time on a 24-hour clock with Latin digits, by CLDR:
    /// `السبت 23 تشرين الثاني 07:39`.
    formatted: String,
}

/// Looks editions up.
#[derive(Default)]
pub struct EditionQuery;

#[Object]
impl EditionQuery {
    /// The edition of a locale; null when there is none.
    async fn edition(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "BCP 47, such as `ar-IQ`; case does not matter.")] locale: String,
    ) -> Result<Option<Edition>, Error> {
        Ok(by_locale(ctx, &locale).await?.map(Edition))
    }

    /// Every edition, in the newsroom's order.
    async fn editions(&self, ctx: &Context<'_>) -> Result<Vec<Edition>, Error> {
        let editions = storage::edition::all(ctx.app()?.db.connection()).await?;
        Ok(editions.into_iter().map(Edition).collect())
    }
}

/// The edition of a locale, however it is spelt.
pub async fn by_locale(ctx: &Context<'_>, locale: &str) -> Result<Option<edition::Edition>, Error> {
    Ok(storage::edition::by_locale(ctx.app()?.db.connection(), locale).await?)
}

/// What a new edition is to be.
#[derive(InputObject)]
pub struct EditionCreateInput {
    /// BCP 47, such as `ar-IQ`. Cannot be changed later.
    locale: String,
    /// At most 80 characters.
    name: String,
    /// Which way its text runs.
    direction: TextDirection,
    /// An IANA time zone, such as `Asia/Baghdad`.
    time_zone: String,
    /// Where the edition is at home.
    place: Option<PlaceInput>,
    /// How many alerts a day its readers get at most, 1 to 1000; as many as there are when absent.
    alerts_per_day: Option<i32>,
}

/// A town.
#[derive(InputObject)]
pub struct PlaceInput {
    /// As readers call it; at most 80 characters.
    name: String,
    /// Degrees north, -90 to 90.
    latitude: f64,
    /// Degrees east, -180 to 180.
    longitude: f64,
}

impl From<PlaceInput> for edition::Place {
    fn from(PlaceInput { name, latitude, longitude }: PlaceInput) -> Self {
        Self { name, latitude, longitude }
    }
}

user_errors!(
    EditionCreateUserError,
    EditionCreateUserErrorCode = create_edition::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is an edition of this locale already.
        LocaleTaken,
    }
);

/// What is to change of an edition; what is absent stays as it was.
#[derive(InputObject)]
pub struct EditionUpdateInput {
    /// At most 80 characters.
    name: Option<String>,
    /// An IANA time zone, such as `Asia/Baghdad`.
    time_zone: Option<String>,
    /// Where the edition is at home; nowhere when null.
    place: MaybeUndefined<PlaceInput>,
    /// How many alerts a day its readers get at most, 1 to 1000; as many as there are when null.
    alerts_per_day: MaybeUndefined<i32>,
}

user_errors!(
    EditionUpdateUserError,
    EditionUpdateUserErrorCode = update_edition::Code {
        /// A required field has nothing visible in it.
        Blank,
        /// More characters than the field allows.
        TooLong,
        /// Not of the form that the message asks for.
        Invalid,
        /// There is no such edition.
        EditionNotFound,
    }
);

/// What came of `editionUpdate`.
#[derive(SimpleObject)]
pub struct EditionUpdatePayload {
    /// The edition as it is now; null when there are userErrors.
    edition: Option<Edition>,
    /// What is wrong with the input; empty when the edition was changed.
    user_errors: Vec<EditionUpdateUserError>,
}

/// What came of `editionCreate`.
#[derive(SimpleObject)]
pub struct EditionCreatePayload {
    /// The new edition; null when there are userErrors.
    edition: Option<Edition>,
    /// What is wrong with the input; empty when the edition was added.
    user_errors: Vec<EditionCreateUserError>,
}

/// Changes editions.
#[derive(Default)]
pub struct EditionMutation;

#[Object]
impl EditionMutation {
    /// Adds a language edition behind the others. For admins.
    async fn edition_create(
        &self,
        ctx: &Context<'_>,
        input: EditionCreateInput,
    ) -> Result<Option<EditionCreatePayload>, Error> {
        let place = input.place.map(Into::into);
        let input = create_edition::Input {
            locale: input.locale,
            name: input.name,
            direction: input.direction.into(),
            time_zone: input.time_zone,
            place,
            alerts_per_day: input.alerts_per_day,
        };
        let (edition, user_errors) = settle(create_edition(ctx.app()?, ctx.viewer(), input).await)?;
        Ok(Some(EditionCreatePayload { edition: edition.map(Edition), user_errors }))
    }

    /// Changes an edition. Its locale stays. For admins.
    async fn edition_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The edition.")] id: ID,
        input: EditionUpdateInput,
    ) -> Result<Option<EditionUpdatePayload>, Error> {
        let input = update_edition::Input {
            name: input.name,
            time_zone: input.time_zone,
            place: patch(input.place).map(|place| place.map(Into::into)),
            alerts_per_day: patch(input.alerts_per_day),
        };
        let id = ids::of(Kind::Edition, &id);
        let updated = update_edition(ctx.app()?, ctx.viewer(), id, input).await;
        let (edition, user_errors) = settle(updated)?;
        Ok(Some(EditionUpdatePayload { edition: edition.map(Edition), user_errors }))
    }
}
