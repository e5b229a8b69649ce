//! What signs opt-out links: made once, and kept in the database sealed by the master key, so that every
//! machine honours the links of every other.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::ConnectionTrait;

use super::agree_on_keys::ensure_ours;
use crate::app::App;
use crate::domain::opt_out::OptOutKey;
use crate::storage::{Vault, setting};

/// The setting that holds it, and the place that it is sealed for.
const SETTING: &str = "opt_out_key";

/// The key of opt-out links. It is made anew when the master key that sealed it is lost.
pub async fn opt_out_key(app: &App) -> anyhow::Result<&OptOutKey> {
    let key = async {
        let kept = kept(app.db.connection()).await?;
        match app.vault.open_secret(SETTING.as_bytes(), &kept) {
            Some(secret) => Ok(OptOutKey::new(secret)),
            None => app.alone(make(app)).await,
        }
    };
    app.opt_out.get_or_try_init(|| key).await
}

/// Seals the key of opt-out links by a vault that opens it, and whose master key is another now.
pub(super) async fn reseal_opt_out_key(
    connection: &impl ConnectionTrait,
    vault: &Vault,
) -> anyhow::Result<()> {
    match vault.open_secret(SETTING.as_bytes(), &kept(connection).await?) {
        Some(secret) => put(connection, vault, secret).await,
        None => Ok(()),
    }
}

async fn make(app: &App) -> anyhow::Result<OptOutKey> {
    let connection = app.db.connection();
    // Whoever lacks the newsroom's master key must not make the links of all others void.
    ensure_ours(app, connection).await?;
    let kept = kept(connection).await?;
    // Another instance was faster; or an older version kept it in plain, and its links are good.
    let known = app.vault.open_secret(SETTING.as_bytes(), &kept);
    let secret = known.or(kept.try_into().ok()).unwrap_or_else(|| app.clock.new_secret());
    put(connection, &app.vault, secret).await?;
    Ok(OptOutKey::new(secret))
}

async fn put(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    secret: [u8; 32],
) -> anyhow::Result<()> {
    let sealed = vault.seal_secret(SETTING.as_bytes(), &secret)?;
    Ok(setting::set(connection, SETTING, &URL_SAFE_NO_PAD.encode(sealed)).await?)
}

async fn kept(connection: &impl ConnectionTrait) -> anyhow::Result<Vec<u8>> {
    let kept = setting::get(connection, SETTING).await?.unwrap_or_default();
    URL_SAFE_NO_PAD.decode(kept).context("the key of opt-out links is damaged")
}
