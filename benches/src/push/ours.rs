//! Khabar itself, as a process of its own: publishes a story with an alert through the action that
//! editors use, and lets the worker deliver it.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use khabar::actions::alert_input;
use khabar::actions::create_article::{self, create_article};
use khabar::actions::publish_article::{self, publish_article};
use khabar::app::App;
use khabar::domain::alert::{Alert, AlertState, Urgency};
use khabar::domain::article_input::ArticleInput;
use khabar::domain::body::Body;
use khabar::domain::clock::Timestamp;
use khabar::domain::viewer::Viewer;
use khabar::jobs::worker::Worker;
use khabar::storage;
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::newsroom::Newsroom;
use crate::process;

/// What readers see.
pub const TITLE: &str = "عاجل: افتتاح مكتبة عامة جديدة في أربيل";
/// And under it.
pub const WORDS: &str = "تضم المكتبة خمسين ألف كتاب بثلاث لغات";

/// How often the alert is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How alerts are to be sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Specification {
    /// By whom.
    pub newsroom: Newsroom,
    /// To the readers of which edition.
    pub locale: String,
    /// How many, one after the other.
    pub alerts: usize,
    /// By keys that are prepared before each alert, which is breaking news; fresh ones otherwise.
    pub prepared: bool,
}

/// How it went.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// From the editor's click until every subscription had been dealt with and written down.
    pub seconds: f64,
    /// What the alerts count as accepted, and as anything else.
    pub accepted: i64,
    pub others: i64,
    /// Processor seconds of the process meanwhile.
    pub cpu: f64,
    /// SQL statements meanwhile.
    pub statements: u64,
    /// The most memory of the process ever.
    pub memory_mb: f64,
    /// Bytes by which the database grew.
    pub growth: i64,
    /// The topic of each alert and when its story was published.
    pub published: Vec<(String, Timestamp)>,
}

/// Sends alerts.
pub async fn send(specification: &Specification) -> anyhow::Result<Delivery> {
    let app = specification.newsroom.open(specification.prepared).await?;
    let shutdown = CancellationToken::new();
    let worker = Worker::new(app.clone(), shutdown.clone()).await?;
    if specification.prepared {
        worker.prepare_keys().await?;
    }
    let worker = tokio::spawn(worker.run());
    let mut delivery = Delivery::default();
    for _ in 0..specification.alerts {
        let draft = draft(&app, specification).await?;
        let size = size(&app, &specification.newsroom).await?;
        let (cpu, statements) = (process::cpu(std::process::id())?, app.db.statements());
        let (published, began) = (app.now(), Instant::now());
        let alert = deliver(&app, draft, specification.prepared).await?;
        delivery.seconds += began.elapsed().as_secs_f64();
        delivery.cpu += (process::cpu(std::process::id())? - cpu).as_secs_f64();
        delivery.statements += app.db.statements() - statements;
        delivery.growth += self::size(&app, &specification.newsroom).await? - size;
        delivery.accepted += alert.counts.accepted;
        delivery.others += alert.counts.total() - alert.counts.accepted;
        delivery.published.push((alert.topic(), published));
    }
    shutdown.cancel();
    worker.await?;
    delivery.memory_mb = process::peak_memory()?;
    Ok(delivery)
}

async fn draft(app: &App, specification: &Specification) -> anyhow::Result<uuid::Uuid> {
    let story = create_article::Input {
        locale: specification.locale.clone(),
        category: specification.newsroom.category()?,
        text: ArticleInput {
            headline: TITLE.to_owned(),
            subheadline: Some(WORDS.to_owned()),
            body: Body::from_plain_text("الفقرة الأولى.\n\nالفقرة الثانية."),
            ..ArticleInput::default()
        },
        slug: None,
        authors: Vec::new(),
        tags: Vec::new(),
        breaking: false,
        translation_of: None,
    };
    let draft = create_article(app, &Viewer::System, story).await;
    Ok(draft.map_err(|fault| anyhow!("{fault:?}"))?.id)
}

/// Publishes a story with an alert and waits for its end.
async fn deliver(app: &App, story: uuid::Uuid, breaking: bool) -> anyhow::Result<Alert> {
    let urgency = breaking.then_some(Urgency::High);
    let alert = alert_input::Input { urgency, ..alert_input::Input::default() };
    let input = publish_article::Input { lock_version: None, alert: Some(alert) };
    let published = publish_article(app, &Viewer::System, story, input).await;
    let published = published.map_err(|fault| anyhow!("{fault:?}"))?;
    let id = published.alert.context("no alert was queued")?.id;
    loop {
        let alert = storage::alert::by_id(app.db.connection(), id).await?;
        let alert = alert.context("the alert is gone")?;
        ensure!(alert.state != AlertState::Cancelled, "the alert was called back");
        if alert.state == AlertState::Done {
            return Ok(alert);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Bytes of the database, with everything that was written in its files.
async fn size(app: &App, newsroom: &Newsroom) -> anyhow::Result<i64> {
    let connection = app.db.connection();
    if app.db.is_postgres() {
        let ask = "SELECT pg_database_size(current_database()) AS size";
        let ask = Statement::from_string(connection.get_database_backend(), ask);
        let row = connection.query_one_raw(ask).await?.context("no size")?;
        return Ok(row.try_get("", "size")?);
    }
    connection.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    let path = newsroom.database.trim_start_matches("sqlite:");
    Ok(i64::try_from(std::fs::metadata(path)?.len())?)
}
