//! Language editions.

use std::collections::HashMap;

use sea_orm::sea_query::LockType;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use uuid::Uuid;

use super::entities::edition::{ActiveModel, COLUMN, Entity, Model};
use super::unreadable;
use crate::domain::clock::Timestamp;
use crate::domain::edition::{Direction, Edition, Place, canonical_locale};

/// Every edition, in the order the newsroom gave them.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Edition>, DbErr> {
    let rows = Entity::find()
        .order_by_asc(COLUMN.position)
        .order_by_asc(COLUMN.id)
        .all(connection)
        .await?;
    rows.into_iter().map(from_row).collect()
}

/// The edition of a locale, however it is spelt.
pub async fn by_locale(
    connection: &impl ConnectionTrait,
    locale: &str,
) -> Result<Option<Edition>, DbErr> {
    // What is no locale has no edition; PostgreSQL cannot even be asked for some of it, such as NUL.
    let Some(locale) = canonical_locale(locale) else { return Ok(None) };
    let row = Entity::find().filter(COLUMN.locale.eq(locale)).one(connection).await?;
    row.map(from_row).transpose()
}

/// The editions with these ids, in no order.
pub async fn by_ids(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<Vec<Edition>, DbErr> {
    let rows = Entity::find().filter(COLUMN.id.is_in(ids.iter().copied())).all(connection).await?;
    rows.into_iter().map(from_row).collect()
}

/// How many alerts a day editions allow themselves, for those that have a cap.
pub async fn alert_caps(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, u16>, DbErr> {
    let rows = Entity::find().filter(COLUMN.id.is_in(ids.iter().copied())).all(connection).await?;
    let cap = |row: &Model| u16::try_from(row.alerts_per_day?).ok();
    Ok(rows.iter().filter_map(|row| Some((row.id, cap(row)?))).collect())
}

/// Makes those who choose slugs in an edition come one after the other, until the transaction ends.
pub async fn lock_slugs(connection: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    // A weaker lock than FOR UPDATE, which would hold up everything that refers to the edition.
    Entity::find_by_id(id).lock(LockType::NoKeyUpdate).one(connection).await?;
    Ok(())
}

/// Adds an edition behind the others.
pub async fn insert(
    connection: &impl ConnectionTrait,
    edition: &Edition,
    now: Timestamp,
) -> Result<(), DbErr> {
    let last = Entity::find().order_by_desc(COLUMN.position).one(connection).await?;
    let row = ActiveModel {
        locale: Set(edition.locale.clone()),
        direction: Set(edition.direction.as_str().to_owned()),
        position: Set(last.map_or(0, |row| row.position + 1)),
        created_at: Set(now),
        ..changeable(edition)
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Puts what may change of an edition in place of what it was.
pub async fn update(connection: &impl ConnectionTrait, edition: &Edition) -> Result<(), DbErr> {
    Entity::update(changeable(edition)).exec(connection).await?;
    Ok(())
}

/// An edition, locked until the transaction ends.
pub async fn lock(connection: &impl ConnectionTrait, id: Uuid) -> Result<Option<Edition>, DbErr> {
    // A weaker lock than FOR UPDATE, which everything that is written for the edition would block.
    let find = Entity::find_by_id(id).lock(LockType::NoKeyUpdate);
    find.one(connection).await?.map(from_row).transpose()
}

fn changeable(edition: &Edition) -> ActiveModel {
    let place = edition.place.as_ref();
    ActiveModel {
        id: Set(edition.id),
        name: Set(edition.name.clone()),
        time_zone: Set(edition.time_zone.name().to_owned()),
        place_name: Set(place.map(|place| place.name.clone())),
        latitude: Set(place.map(|place| place.latitude)),
        longitude: Set(place.map(|place| place.longitude)),
        alerts_per_day: Set(edition.alerts_per_day.and_then(|cap| i16::try_from(cap).ok())),
        ..<ActiveModel as Default>::default()
    }
}

fn from_row(row: Model) -> Result<Edition, DbErr> {
    let place = match (row.place_name, row.latitude, row.longitude) {
        (Some(name), Some(latitude), Some(longitude)) => Some(Place { name, latitude, longitude }),
        _ => None,
    };
    Ok(Edition {
        id: row.id,
        direction: Direction::from_word(&row.direction)
            .ok_or_else(|| unreadable("direction", &row.direction))?,
        time_zone: row.time_zone.parse().map_err(|_| unreadable("time zone", &row.time_zone))?,
        locale: row.locale,
        name: row.name,
        place,
        alerts_per_day: row.alerts_per_day.and_then(|cap| u16::try_from(cap).ok()),
    })
}
