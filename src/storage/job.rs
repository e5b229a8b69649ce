//! Jobs: written with the change that asks for them, claimed by workers.

use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Set};

use super::entities::job::{ActiveModel, Entity};
use crate::domain::clock::Timestamp;
use crate::domain::job::Job;

/// Queues a job. Called by [`super::Change::commit`] alone.
pub(super) async fn insert(
    connection: &impl ConnectionTrait,
    job: &Job,
    run_at: Timestamp,
    now: Timestamp,
) -> Result<(), DbErr> {
    let payload = serde_json::to_string(job).map_err(|error| DbErr::Json(error.to_string()))?;
    let row = ActiveModel {
        kind: Set(job.kind().to_owned()),
        payload: Set(payload),
        state: Set("QUEUED".to_owned()),
        attempts: Set(0),
        run_at: Set(run_at),
        leased_until: Set(None),
        last_error: Set(None),
        created_at: Set(now),
        ..Default::default()
    };
    Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}
