//! Events: written with the change, read in commit order by every instance.

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};

use super::entities::event::{ActiveModel, COLUMN, Entity, Model};
use crate::domain::clock::Timestamp;
use crate::domain::event::{Event, EventId, RecordedEvent};

/// Writes the events in their order. Called by [`super::Change::commit`] alone.
pub(super) async fn insert_all(
    connection: &impl ConnectionTrait,
    events: &[Event],
    now: Timestamp,
) -> Result<(), DbErr> {
    for event in events {
        let payload =
            serde_json::to_value(event).map_err(|error| DbErr::Json(error.to_string()))?;
        let kind = payload["kind"].as_str().unwrap_or_default().to_owned();
        let row = ActiveModel {
            kind: Set(kind),
            payload: Set(payload.to_string()),
            created_at: Set(now),
            ..Default::default()
        };
        Entity::insert(row).exec_without_returning(connection).await?;
    }
    Ok(())
}

/// The next events after an id, oldest first.
pub async fn after(
    connection: &impl ConnectionTrait,
    id: EventId,
    limit: u64,
) -> Result<Vec<RecordedEvent>, DbErr> {
    let rows = Entity::find()
        .filter(COLUMN.id.gt(id))
        .order_by_asc(COLUMN.id)
        .limit(limit)
        .all(connection)
        .await?;
    Ok(rows.into_iter().map(from_row).collect())
}

/// The newest event's id; 0 when there has been none.
pub async fn newest_id(connection: &impl ConnectionTrait) -> Result<EventId, DbErr> {
    let newest = Entity::find().order_by_desc(COLUMN.id).one(connection).await?;
    Ok(newest.map_or(0, |row| row.id))
}

/// The oldest event that is kept.
pub async fn oldest_id(connection: &impl ConnectionTrait) -> Result<Option<EventId>, DbErr> {
    let oldest = Entity::find().order_by_asc(COLUMN.id).one(connection).await?;
    Ok(oldest.map(|row| row.id))
}

/// Deletes events from before the given time, but never the newest one, whose id marks the place.
pub async fn purge(connection: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    let newest = newest_id(connection).await?;
    let deleted = Entity::delete_many()
        .filter(COLUMN.created_at.lt(before))
        .filter(COLUMN.id.lt(newest))
        .exec(connection)
        .await?;
    Ok(deleted.rows_affected)
}

fn from_row(row: Model) -> RecordedEvent {
    RecordedEvent { id: row.id, event: serde_json::from_str(&row.payload).ok() }
}
