//! A reader opts out by the link in a notification.

use std::convert::Infallible;

use crate::app::App;
use crate::domain::failure::Failure;
use crate::domain::opt_out::OptOutKey;
use crate::storage;

/// Deletes the subscription that a link is of. A link of nothing is answered alike.
pub async fn opt_out(app: &App, token: &str) -> Result<(), Failure<Infallible>> {
    let Some(id) = OptOutKey::subscription_of(token) else { return Ok(()) };
    let key = app.opt_out_key().await?;
    let change = app.begin().await?;
    let tx = change.transaction();
    let living = storage::push_subscription::lock(tx, &[id]).await?;
    if living.get(&id).is_some_and(|generation| key.opens(token, id, *generation)) {
        storage::push_subscription::delete(tx, &[id]).await?;
    }
    change.commit().await?;
    Ok(())
}
