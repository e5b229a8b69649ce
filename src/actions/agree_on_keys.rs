//! Makes every machine of a newsroom sign alerts with the same keys.

use crate::app::App;
use crate::domain::failure::{Failure, Rejection};
use crate::keys;
use crate::storage;

/// The setting that holds the public key which readers have subscribed with.
const PUBLIC_KEY: &str = "vapid_public_key";

/// Why this machine may not take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Its keys are not the newsroom's.
    OtherKeys,
}

/// Remembers the keys of the first machine that starts, and refuses every other pair: alerts that
/// are signed with it would be turned away by the push services.
pub async fn agree_on_keys(app: &App) -> Result<(), Failure<Code>> {
    let connection = app.db.connection();
    let mine = app.vapid.public_key();
    let known = match storage::setting::get(connection, PUBLIC_KEY).await? {
        Some(known) => known,
        None => app.alone(first(app)).await?,
    };
    if known == mine {
        return Ok(());
    }
    let message = format!(
        "{} holds other keys than those that readers of this newsroom subscribed with; copy the file {} from the \
         data folder of the machine that was started first. If it is lost for good: khabar keys adopt",
        app.config.data_dir.join(keys::FILE).display(),
        keys::FILE,
    );
    Err(Rejection::at("", Code::OtherKeys, message).into())
}

/// Makes this machine's keys the newsroom's. Readers who subscribed with other keys hear nothing
/// until they visit again.
pub async fn adopt_keys(app: &App) -> Result<(), sea_orm::DbErr> {
    storage::setting::set(app.db.connection(), PUBLIC_KEY, app.vapid.public_key()).await
}

/// The newsroom's public key, which is this machine's if there was none.
async fn first(app: &App) -> Result<String, sea_orm::DbErr> {
    let connection = app.db.connection();
    if let Some(known) = storage::setting::get(connection, PUBLIC_KEY).await? {
        return Ok(known);
    }
    adopt_keys(app).await?;
    Ok(app.vapid.public_key().to_owned())
}
