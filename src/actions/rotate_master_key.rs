//! Puts a new master key in place of the old one.

use super::agree_on_keys::ensure_ours;
use super::agree_on_opt_out_key::reseal_opt_out_key;
use crate::app::App;
use crate::keys;
use crate::storage::Vault;

/// Makes a new master key in this data folder and seals by it what the old one had sealed. Processes
/// that run keep the keys they know; those that start need the new file.
///
/// Cut short at any point, the file still opens everything, and the next rotation finishes the work.
pub async fn rotate_master_key(app: &App) -> anyhow::Result<()> {
    app.alone(rotate(app)).await
}

async fn rotate(app: &App) -> anyhow::Result<()> {
    ensure_ours(app, app.db.connection()).await?;
    // First the file opens by both, then the database needs the new one alone, then so does the file.
    let both = keys::begin_rotation(&app.config.data_dir, &*app.clock)?;
    let vault = Vault::new(both, app.clock.clone());
    let change = app.begin().await?;
    vault.reseal_keys(change.transaction()).await?;
    reseal_opt_out_key(change.transaction(), &vault).await?;
    change.commit().await?;
    keys::end_rotation(&app.config.data_dir, &*app.clock)
}
