//! Writes down how often stories were opened from alerts.

use std::collections::BTreeMap;

use crate::app::App;
use crate::storage;

/// Writes the gathered clicks down in one transaction. What cannot be written is kept for later.
pub async fn count_clicks(app: &App) -> Result<(), sea_orm::DbErr> {
    let gathered = app.clicks.take();
    if gathered.is_empty() {
        return Ok(());
    }
    let written = async {
        let change = app.begin().await?;
        // In one order, so that two servers do not wait for each other.
        for (alert_id, clicks) in BTreeMap::from_iter(&gathered) {
            storage::alert::add_clicks(change.transaction(), *alert_id, *clicks).await?;
        }
        change.commit().await
    };
    let written = written.await;
    if written.is_err() {
        for (alert_id, clicks) in gathered {
            app.clicks.add(alert_id, clicks);
        }
    }
    written
}
