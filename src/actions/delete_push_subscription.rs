//! A reader opts out.

use std::convert::Infallible;

use crate::app::App;
use crate::domain::failure::Failure;
use crate::domain::token;
use crate::storage;

/// Deletes the subscription of a token. A token of nothing is answered alike.
pub async fn delete_push_subscription(app: &App, token: &str) -> Result<(), Failure<Infallible>> {
    let change = app.begin().await?;
    storage::push_subscription::delete_by_token(change.transaction(), token::hash(token)).await?;
    change.commit().await?;
    Ok(())
}
