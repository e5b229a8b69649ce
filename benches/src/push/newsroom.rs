//! A newsroom with many readers, made through the product's own actions and storage functions.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use khabar::actions::agree_on_keys::agree_on_keys;
use khabar::actions::create_category::{self, NameInput, create_category};
use khabar::actions::create_edition::{self, create_edition};
use khabar::app::App;
use khabar::config::Config;
use khabar::domain::audience::{Manners, Topics};
use khabar::domain::edition::{Direction, Edition};
use khabar::domain::failure::Failure;
use khabar::domain::push_subscription::{Endpoint, EndpointRules};
use khabar::domain::viewer::Viewer;
use khabar::storage::browser::Browser;
use khabar::storage::db::is_postgres;
use khabar::storage::push_subscription::insert;
use khabar::storage::{Change, Database};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::browsers::{Browsers, endpoint};

/// The edition of nearly all readers.
pub const MANY: &str = "ar-IQ";
/// The edition of a few, whose alerts tell how long the first message takes.
pub const FEW: &str = "en";
/// How many those are.
pub const FEW_READERS: u64 = 20;
/// Subscriptions written in one transaction.
const PAGE: u64 = 5_000;

/// A newsroom's database, and where its messages go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Newsroom {
    /// Its data folder.
    pub folder: PathBuf,
    /// Its database.
    pub database: String,
    /// The certificate of the sink's authority.
    pub ca_file: PathBuf,
    /// Where the sink is.
    pub origin: String,
    /// Readers of the large edition.
    pub readers: u64,
}

/// What is noted beside the database.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    category: Uuid,
}

impl Newsroom {
    /// Opens the application. The pace is bounded by the machine alone; everything else stands as it
    /// comes.
    pub async fn open(&self, prepared: bool) -> anyhow::Result<App> {
        let settings = format!(
            "data_dir = {folder:?}
database_url = {database:?}
public_url = \"https://news.example/\"
demo = \"off\"
[weather]
enabled = \"off\"
[push]
allow_loopback = \"on\"
ca_file = {ca_file:?}
prepared_keys = {prepared}
per_second = 10000000",
            folder = self.folder,
            database = self.database,
            ca_file = self.ca_file,
        );
        let app = App::open(Config::parse(&settings, [])?).await?;
        app.migrate().await?;
        agree_on_keys(&app).await.map_err(Failure::into_words)?;
        Ok(app)
    }

    /// The category that stories are published in.
    pub fn category(&self) -> anyhow::Result<Uuid> {
        let note = std::fs::read_to_string(note(&self.folder)).context("the newsroom's note")?;
        Ok(serde_json::from_str::<Note>(&note)?.category)
    }

    /// Makes the newsroom and opts its readers in.
    pub async fn found(&self) -> anyhow::Result<()> {
        if is_postgres(&self.database) {
            let (server, name) = self.database.rsplit_once('/').context("a database's address")?;
            let server = Database::open(&format!("{server}/postgres"), 2).await?;
            let create = format!("CREATE DATABASE {name}");
            server.connection().execute_unprepared(&create).await?;
        }
        let app = self.open(false).await?;
        let many = edition(&app, MANY, Direction::Rtl).await?;
        let few = edition(&app, FEW, Direction::Ltr).await?;
        let names = [(MANY, "العراق"), (FEW, "Iraq")].map(|(locale, name)| NameInput {
            locale: locale.to_owned(),
            name: name.to_owned(),
            slug: None,
        });
        let category = create_category::Input { parent: None, names: names.into(), position: None };
        let category = create_category(&app, &Viewer::System, category).await;
        let category = category.map_err(|fault| anyhow!("{fault:?}"))?.id;
        std::fs::write(note(&self.folder), serde_json::to_string(&Note { category })?)?;

        let browsers = Browsers::new()?;
        // Those of the small edition opted in over the years like everybody else: one of them after
        // each twentieth part of the others.
        let mut number = 0;
        for part in 1..=FEW_READERS {
            let many_end = self.readers * part / FEW_READERS + part - 1;
            for (edition, end) in [(&many, many_end), (&few, many_end + 1)] {
                while number < end {
                    let change = app.begin().await?;
                    let page = number..end.min(number + PAGE);
                    number = page.end;
                    self.opt_in(&app, &change, (&browsers, edition.id), page).await?;
                    change.commit().await?;
                }
            }
        }
        if app.db.is_postgres() {
            // As it is in a newsroom that has run for a day.
            app.db.connection().execute_unprepared("VACUUM (ANALYZE)").await?;
        }
        Ok(())
    }

    async fn opt_in(
        &self,
        app: &App,
        change: &Change,
        (browsers, edition_id): (&Browsers, Uuid),
        numbers: std::ops::Range<u64>,
    ) -> anyhow::Result<()> {
        let rules = EndpointRules { allow_loopback: true, ..EndpointRules::default() };
        let topics = Topics { edition_id, ..Topics::default() };
        for number in numbers {
            let endpoint = Endpoint::parse(&endpoint(&self.origin, number), &rules);
            let endpoint = endpoint.map_err(|fault| anyhow!("the endpoint {fault}"))?;
            let service = endpoint.group(&rules);
            let keys = browsers.of(number).keys.clone();
            let browser = Browser { endpoint, service, keys, vapid_key_id: 1 };
            let choice = (&topics, &Manners::default());
            let kept = (app.clock.new_secret(), app.now());
            insert(change.transaction(), &app.vault, &browser, choice, kept).await?;
        }
        Ok(())
    }
}

fn note(folder: &Path) -> PathBuf {
    folder.join("bench.json")
}

async fn edition(app: &App, locale: &str, direction: Direction) -> anyhow::Result<Edition> {
    let input = create_edition::Input {
        locale: locale.to_owned(),
        name: "Khabar".to_owned(),
        direction,
        time_zone: "Asia/Baghdad".to_owned(),
        place: None,
        alerts_per_day: None,
    };
    create_edition(app, &Viewer::System, input).await.map_err(|fault| anyhow!("{fault:?}"))
}
