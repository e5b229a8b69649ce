//! `khabar keys`: what keys there are, and how others come in their place.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use indicatif::ProgressBar;

use super::say;
use crate::actions::agree_on_keys::{add_vapid_keys, adopt_keys, agree_on_keys, lost_by_adopting};
use crate::actions::rotate_data_key::rotate_data_key;
use crate::actions::rotate_master_key::rotate_master_key;
use crate::app::App;
use crate::config::Config;
use crate::domain::failure::Failure;
use crate::domain::vapid_keys::VapidKeys;
use crate::{keys, storage};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Makes the keys if there are none, and prints the public VAPID key.
    Generate,
    /// Lists the keys, and how many push subscriptions depend on each.
    Status,
    /// Seals everything by a new data key, while the newsroom runs, and deletes prepared keys. Run it
    /// now and then, and after restoring a backup of the database.
    RotateData,
    /// Makes a new master key in this data folder. Copy it to every other machine; servers and workers
    /// that run take it up. Run `rotate-data` after that when somebody may have read the old one.
    RotateMaster,
    /// Makes a new VAPID key pair for those who subscribe from now on. The old one goes on serving
    /// its readers, whose browsers change over at their next visit.
    RotateVapid,
    /// Takes over a VAPID key pair, so that readers who subscribed with it stay: the JSON of
    /// `web-push generate-vapid-keys --json`, or a vapid.json.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Makes the master key in this data folder the newsroom's, when the one before is lost for
    /// good: each reader hears nothing more until the next visit. Says how many they are, and asks
    /// for --yes if there are any.
    Adopt {
        /// Does it.
        #[arg(long)]
        yes: bool,
    },
}

impl KeysCommand {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let app = match self {
            Self::Adopt { yes } => return adopt(App::open_anew(config).await?, yes).await,
            Self::Generate => App::open(config).await?,
            _ => App::open_existing(config).await?,
        };
        app.migrate().await?;
        agree_on_keys(&app).await.map_err(Failure::into_words)?;
        match self {
            Self::Generate => say(&format!("{}\n", public_key(&app).await?)),
            Self::Status => status(&app).await,
            Self::RotateData => rotate_data(&app).await,
            Self::RotateMaster => rotate_master(&app).await,
            Self::RotateVapid => add(&app, VapidKeys::generate(&*app.clock)).await,
            Self::Import { file } => {
                let json = std::fs::read_to_string(&file);
                let json = json.with_context(|| format!("cannot read {}", file.display()))?;
                let pair = VapidKeys::from_json(&json);
                let pair = pair.with_context(|| file.display().to_string())?;
                add(&app, pair).await
            }
            Self::Adopt { .. } => Ok(()),
        }
    }
}

async fn public_key(app: &App) -> anyhow::Result<String> {
    let newest = storage::vapid_key::newest(app.db.connection()).await?;
    Ok(newest.context("there is no VAPID key")?.1)
}

async fn adopt(app: App, yes: bool) -> anyhow::Result<()> {
    app.migrate().await?;
    let lost = lost_by_adopting(&app).await?;
    anyhow::ensure!(
        yes || lost == 0,
        "{lost} push subscriptions depend on the lost key: their readers hear nothing more until their next visit. \
         If no other machine and no backup has it: khabar keys adopt --yes"
    );
    app.vault.change_master(keys::load_or_generate(&app.config.data_dir, &*app.clock)?);
    let adopted = adopt_keys(&app).await.map_err(Failure::into_words)?;
    let said = if adopted { "adopted" } else { "nothing to do: it is the newsroom's already" };
    say(&format!("{said}\nVAPID key  {}\n", public_key(&app).await?))
}

async fn add(app: &App, pair: VapidKeys) -> anyhow::Result<()> {
    let known = storage::vapid_key::id_of(app.db.connection(), pair.public_key()).await?;
    anyhow::ensure!(known.is_none(), "the newsroom has this key pair already");
    add_vapid_keys(app, &pair).await.map_err(Failure::into_words)?;
    say(&format!("browsers subscribe with {} from now on\n", pair.public_key()))
}

async fn rotate_data(app: &App) -> anyhow::Result<()> {
    let progress = ProgressBar::no_length();
    let keys = storage::vault::data_keys(app.db.connection()).await?;
    progress.set_length(keys.iter().map(|key| key.push_subscriptions).sum());
    let rotated = rotate_data_key(app, |count| progress.inc(count)).await;
    progress.finish_and_clear();
    let rotated = rotated?;
    say(&format!(
        "data key {} seals from now on; old keys deleted: {}\n",
        rotated.key_id, rotated.deleted
    ))?;
    let keys = storage::vault::data_keys(app.db.connection()).await?;
    let old = keys.iter().filter(|key| key.id != rotated.key_id);
    match old.map(|key| key.push_subscriptions).sum::<u64>() {
        0 => Ok(()),
        left => say(&format!(
            "{left} push subscriptions cannot be opened, and keep older keys until their readers' next visit\n"
        )),
    }
}

async fn rotate_master(app: &App) -> anyhow::Result<()> {
    rotate_master_key(app).await?;
    say(&format!(
        "{} holds another key from now on: copy it to every machine of the newsroom, and to your backup. Servers and workers that run take it up.\n\
         When somebody may have read the one before, run khabar keys rotate-data once it is copied.\n",
        app.config.data_dir.join(keys::FILE).display()
    ))
}

async fn status(app: &App) -> anyhow::Result<()> {
    let connection = app.db.connection();
    let mut lines = String::new();
    for key in storage::vault::data_keys(connection).await? {
        let (id, since, count) = (key.id, key.created_at.date_naive(), key.push_subscriptions);
        lines += &format!("data key {id}, since {since}: seals {count} push subscriptions\n");
    }
    let newest = storage::vapid_key::newest(connection).await?.map(|(_, public)| public);
    for key in storage::vapid_key::all(connection).await? {
        let (public, since, count) =
            (key.public_key, key.created_at.date_naive(), key.push_subscriptions);
        let is_newest = newest.as_ref() == Some(&public);
        let note = if is_newest { "; browsers subscribe with it now" } else { "" };
        lines += &format!("VAPID key {public}, since {since}: {count} push subscriptions{note}\n");
    }
    let prepared = storage::prepared_keys::count(connection).await?;
    lines += &format!("prepared keys: {prepared}\n");
    say(&lines)
}
