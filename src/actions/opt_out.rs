//! A reader opts out by the link in a notification.

use std::convert::Infallible;

use super::agree_on_opt_out_key::opt_out_key;
use crate::app::App;
use crate::domain::failure::Failure;
use crate::storage;

/// Deletes the subscription that a link is of. A link of nothing is answered alike.
pub async fn opt_out(app: &App, token: &str) -> Result<(), Failure<Infallible>> {
    let Some(id) = opt_out_key(app).await?.open(token) else { return Ok(()) };
    let change = app.begin().await?;
    storage::push_subscription::delete(change.transaction(), &[id]).await?;
    Ok(change.commit().await?)
}
