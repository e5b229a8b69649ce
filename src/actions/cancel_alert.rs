//! Calls an alert back while it is on its way.

use uuid::Uuid;

use crate::app::App;
use crate::domain::alert::{Alert, AlertState};
use crate::domain::failure::{Failure, Rejection};
use crate::domain::viewer::{Permission, Viewer};
use crate::storage;

/// Why an alert was not called back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// There is no such alert.
    AlertNotFound,
    /// It is over.
    WrongState,
}

/// Stops an alert: workers finish the page in hand and send nothing more.
pub async fn cancel_alert(app: &App, viewer: &Viewer, id: Uuid) -> Result<Alert, Failure<Code>> {
    viewer.check(Permission::PublishArticles)?;
    let change = app.begin().await?;
    let tx = change.transaction();
    let Some(alert) = storage::alert::lock(tx, id).await? else {
        return Err(Rejection::at("id", Code::AlertNotFound, "there is no such alert").into());
    };
    if !alert.state.may_cancel() {
        let advice = match alert.state {
            AlertState::Cancelled => "",
            _ if alert.test => "; send another by alertTest if it was wrong",
            _ => "; correct it by alertUpdate if it was wrong",
        };
        let message = format!("the alert is {} already{advice}", alert.state.as_str());
        return Err(Rejection::at("id", Code::WrongState, message).into());
    }
    storage::alert_round::call_back(tx, id, app.now()).await?;
    let cancelled = storage::alert::by_id(tx, id).await?;
    change.commit().await?;
    cancelled.ok_or(Failure::NotFound)
}
