//! Makes the keys that a newsroom needs once, and sees to it that every machine has them.

use anyhow::{anyhow, ensure};
use sea_orm::ConnectionTrait;

use crate::app::App;
use crate::domain::failure::{Failure, Rejection};
use crate::domain::vapid_keys::VapidKeys;
use crate::keys;
use crate::storage::{self, Change};

/// The setting in which an older version kept the public key that readers subscribed with.
const OLD_PUBLIC_KEY: &str = "vapid_public_key";
/// The setting that says whether what was in plain has yet to be wiped from the database's files.
const WIPE: &str = "wipe_unsealed";
const DUE: &str = "due";
/// Subscriptions of an older version that are sealed in one transaction.
const PAGE: u64 = 1_000;

/// Why this machine may not take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Its master key is not the newsroom's.
    OtherKeys,
}

/// Makes the keys at the first start, and refuses a machine whose master key is another: it could
/// neither read where readers are reached nor sign alerts.
pub async fn agree_on_keys(app: &App) -> Result<(), Failure<Code>> {
    let connection = app.db.connection();
    if app.vault.is_opened(connection).await?.is_none() {
        app.alone(first_keys(app, Lost::Refused)).await?;
    }
    if app.vault.learn_all(connection).await? == Some(false) {
        return Err(refused(format!(
            "{} does not open what this newsroom has stored; {}",
            app.config.data_dir.join(keys::FILE).display(),
            keys::WHERE_IT_IS,
        )));
    }
    let wipe_is_due = storage::setting::get(connection, WIPE).await?.as_deref() == Some(DUE);
    if wipe_is_due || storage::unsealed::any(connection).await? {
        app.alone(seal_all(app)).await?;
    }
    Ok(())
}

/// Which keys a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The newsroom's master key. Without it, what it has learned goes on serving until it ends.
    pub master: bool,
    /// The newest data key. Without it nobody can opt in.
    pub newest: bool,
}

/// Learns the data keys that came since the start, by the master key that lies in the data folder now if
/// it has been replaced.
pub async fn keep_up_with_keys(app: &App) -> anyhow::Result<Keys> {
    let connection = app.db.connection();
    if app.vault.is_opened(connection).await? == Some(false)
        && let Some(master) = keys::load(&app.config.data_dir)?
    {
        app.vault.change_master(master);
    }
    let newest = app.vault.learn_all(connection).await? != Some(false);
    Ok(Keys { master: app.vault.is_opened(connection).await? != Some(false), newest })
}

/// Fails under a master key that is not the newsroom's: nobody else could open what it seals.
pub(super) async fn ensure_ours(
    app: &App,
    connection: &impl ConnectionTrait,
) -> anyhow::Result<()> {
    let is_ours = app.vault.is_opened(connection).await? == Some(true);
    ensure!(
        is_ours,
        "the master key does not open what this newsroom has stored; if it was replaced on another machine, copy \
         the file here"
    );
    Ok(())
}

/// How many push subscriptions are lost if this machine's master key becomes the newsroom's.
pub async fn lost_by_adopting(app: &App) -> anyhow::Result<u64> {
    let connection = app.db.connection();
    let is_lost = match app.vault.is_opened(connection).await? {
        Some(is_opened) => !is_opened,
        None => !old_pair(app, connection).await?.1,
    };
    Ok(if is_lost { storage::push_subscription::count(connection).await? } else { 0 })
}

/// The VAPID keys that an older version left on this machine, and whether they are those that its readers
/// subscribed with, if there were any.
async fn old_pair(
    app: &App,
    connection: &impl ConnectionTrait,
) -> anyhow::Result<(Option<VapidKeys>, bool)> {
    let old = keys::old_vapid_keys(&app.config.data_dir)?;
    let known = storage::setting::get(connection, OLD_PUBLIC_KEY).await?;
    let is_theirs = |known: &String| old.as_ref().map(VapidKeys::public_key) == Some(known);
    let theirs = known.as_ref().is_none_or(is_theirs);
    Ok((old, theirs))
}

/// Makes this machine's master key the newsroom's, when the one before is lost for good. Readers
/// who subscribed before hear nothing until they visit again. False when it was so already.
pub async fn adopt_keys(app: &App) -> Result<bool, Failure<Code>> {
    Ok(app.alone(adopt(app)).await?)
}

async fn adopt(app: &App) -> anyhow::Result<bool> {
    match app.vault.is_opened(app.db.connection()).await? {
        Some(true) => return Ok(false),
        Some(false) => {}
        None => {
            first_keys(app, Lost::Forgiven).await?;
            return Ok(true);
        }
    }
    let change = app.begin().await?;
    let tx = change.transaction();
    app.vault.add_key(tx, app.now()).await?;
    add_pair(app, &change, &VapidKeys::generate(&*app.clock)).await?;
    storage::prepared_keys::delete_all(tx).await?;
    change.commit().await?;
    Ok(true)
}

/// Makes another key pair the one that browsers subscribe with. Readers who subscribed with the one
/// before go on hearing alerts, which it goes on signing.
pub async fn add_vapid_keys(app: &App, pair: &VapidKeys) -> Result<(), Failure<Code>> {
    let change = app.begin().await?;
    add_pair(app, &change, pair).await?;
    Ok(change.commit().await?)
}

/// What becomes of a newsroom of an older version whose VAPID keys are not on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// Somebody has to copy them.
    Refused,
    /// They are nowhere: it begins anew.
    Forgiven,
}

/// The first data key and the first VAPID pair: that of an older version, where there was one.
async fn first_keys(app: &App, lost: Lost) -> Result<(), anyhow::Error> {
    let change = app.begin().await?;
    let tx = change.transaction();
    if app.vault.is_opened(tx).await?.is_some() {
        return Ok(());
    }
    let (old, theirs) = old_pair(app, tx).await?;
    if !theirs && lost == Lost::Refused {
        return Err(anyhow!(
            "{} does not hold the keys that readers of this newsroom subscribed with; copy the file {} from the data \
             folder of the machine that was started first",
            app.config.data_dir.join(keys::OLD_VAPID_FILE).display(),
            keys::OLD_VAPID_FILE,
        ));
    }
    app.vault.add_key(tx, app.now()).await?;
    let pair = old.unwrap_or_else(|| VapidKeys::generate(&*app.clock));
    let id = add_pair(app, &change, &pair).await?;
    if theirs {
        storage::unsealed::adopt_vapid_key(tx, id).await?;
    }
    Ok(change.commit().await?)
}

async fn add_pair(app: &App, change: &Change, pair: &VapidKeys) -> anyhow::Result<i32> {
    let named = (pair.public_key(), &*pair.to_json()?);
    Ok(storage::vapid_key::insert(change.transaction(), &app.vault, named, app.now()).await?)
}

/// Seals what an older version left in plain, page by page, and wipes what it was: a start that is
/// cut short goes on later.
async fn seal_all(app: &App) -> Result<(), sea_orm::DbErr> {
    tracing::info!("sealing where readers are reached, which an older version kept in plain");
    let mut more = true;
    while more {
        let change = app.begin().await?;
        let tx = change.transaction();
        more = storage::unsealed::seal_page(tx, &app.vault, PAGE).await?;
        storage::setting::set(tx, WIPE, DUE).await?;
        change.commit().await?;
    }
    if let Err(error) = storage::unsealed::wipe(app.db.connection()).await {
        // Somebody reads it, for a backup perhaps. Nobody needs to wait for that.
        tracing::warn!(%error, "what was in plain is not wiped from the database's files yet; the next start tries again");
        return Ok(());
    }
    storage::setting::set(app.db.connection(), WIPE, "done").await
}

fn refused(message: String) -> Failure<Code> {
    Rejection::at("", Code::OtherKeys, message).into()
}
