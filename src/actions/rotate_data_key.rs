//! Puts a new data key in place of the old one, and seals everything by it.

use super::agree_on_keys::ensure_ours;
use crate::app::App;
use crate::storage;

/// Push subscriptions that are sealed anew in one transaction.
const PAGE: u64 = 500;

/// What a rotation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// The data key that seals from now on.
    pub key_id: i32,
    /// Old data keys that seal nothing any more, and are gone.
    pub deleted: u64,
}

/// Adds a data key and seals everything anew, page by page, while the newsroom runs. `tell` hears
/// after each page how many were looked at. Cut short, the next rotation finishes the work.
pub async fn rotate_data_key(app: &App, tell: impl Fn(u64)) -> anyhow::Result<Rotated> {
    let key_id = app.alone(add(app)).await?;
    let mut after = i64::MIN;
    loop {
        let change = app.begin().await?;
        let page = (after, PAGE);
        let last = storage::browser::reseal(change.transaction(), &app.vault, page, key_id).await?;
        change.commit().await?;
        let Some(last) = last else { break };
        tell(PAGE);
        after = last;
    }
    let change = app.begin().await?;
    let deleted = storage::vault::delete_unused(change.transaction(), key_id).await?;
    change.commit().await?;
    Ok(Rotated { key_id, deleted })
}

/// Adds the key. What is few or can be made again follows in the same transaction.
async fn add(app: &App) -> anyhow::Result<i32> {
    let change = app.begin().await?;
    let tx = change.transaction();
    ensure_ours(app, tx).await?;
    let key_id = app.vault.add_key(tx, app.now()).await?;
    storage::vapid_key::reseal_all(tx, &app.vault).await?;
    storage::prepared_keys::delete_all(tx).await?;
    change.commit().await?;
    Ok(key_id)
}
