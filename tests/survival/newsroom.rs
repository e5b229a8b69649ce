//! A newsroom with many readers, whose alerts are sent by real processes that can be killed.

use std::fs::OpenOptions;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use khabar::actions::agree_on_keys::agree_on_keys;
use khabar::actions::alert_input;
use khabar::actions::create_article::{self, create_article};
use khabar::actions::create_category::{self, NameInput, create_category};
use khabar::actions::create_edition::{self, create_edition};
use khabar::actions::publish_article::{self, publish_article};
use khabar::app::App;
use khabar::config::Config;
use khabar::domain::alert::{Alert, AlertState, Counts, Urgency};
use khabar::domain::article_input::ArticleInput;
use khabar::domain::audience::{Manners, Topics};
use khabar::domain::body::Body;
use khabar::domain::edition::Direction;
use khabar::domain::push_subscription::{Endpoint, EndpointRules, PushKeys};
use khabar::domain::viewer::Viewer;
use khabar::storage;
use uuid::Uuid;

use crate::database::TestDatabase;
use crate::process::khabar;
use crate::soak::Toll;
use crate::support::push_service::{Browser, PushService};

/// How long anything may take on a busy machine. A lease alone takes 25 s to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// Subscriptions of a page: what one kill may repeat of a shard.
pub(crate) const PAGE: usize = 500;
const SETTINGS: &str = "database_connections = 5\n[push]\nallow_loopback = \"on\"\nttl_hours = 1\n";

pub(crate) struct Newsroom {
    pub(crate) app: App,
    pub(crate) push: PushService,
    pub(crate) readers: Vec<Browser>,
    edition: Uuid,
    category: Uuid,
    /// What one kill may repeat at most: what a worker has in hand.
    pub(crate) in_hand: usize,
    kills: AtomicUsize,
    database: TestDatabase,
}

impl Newsroom {
    /// A newsroom with so many readers.
    pub(crate) async fn found(readers: usize) -> Self {
        let mut newsroom = Self::over(TestDatabase::create_empty().await).await;
        newsroom.readers = newsroom.push.browsers(readers);
        newsroom.opt_in(&newsroom.readers).await;
        newsroom
    }

    /// A newsroom without readers.
    pub(crate) async fn over(database: TestDatabase) -> Self {
        let folder = database.folder.path();
        std::fs::write(folder.join("khabar.toml"), SETTINGS).unwrap();
        let environment = [
            ("DATABASE_URL", database.url.clone()),
            ("KHABAR_DATA_DIR", folder.join("data").display().to_string()),
            ("KHABAR_WEATHER_ENABLED", "off".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        let app = App::open(Config::parse(SETTINGS, environment).unwrap()).await.unwrap();
        app.migrate().await.unwrap();
        agree_on_keys(&app).await.unwrap();
        let (edition, category) = furnish(&app).await;
        let key = storage::vapid_key::newest(app.db.connection()).await.unwrap().unwrap().1;
        Self {
            push: PushService::start(&key, Arc::clone(&app.clock)).await,
            readers: Vec::new(),
            in_hand: PAGE,
            kills: AtomicUsize::new(0),
            app,
            edition,
            category,
            database,
        }
    }

    /// Opts browsers in to everything, in one transaction.
    pub(crate) async fn opt_in(&self, browsers: &[Browser]) {
        let rules = EndpointRules { allow_loopback: true, ..EndpointRules::default() };
        let topics = Topics { edition_id: self.edition, ..Topics::default() };
        let (clock, now) = (&self.app.clock, self.app.now());
        let change = self.app.begin().await.unwrap();
        for browser in browsers {
            let endpoint = Endpoint::parse(&browser.endpoint, &rules).unwrap();
            let (p256dh, auth) = browser.raw_keys();
            let service = endpoint.group(&rules);
            let keys = PushKeys { p256dh, auth };
            let at = storage::browser::Browser { endpoint, service, keys, vapid_key_id: 1 };
            let (tx, choice) = (change.transaction(), (&topics, &Manners::default()));
            let kept = (clock.new_secret(), now);
            storage::push_subscription::insert(tx, &self.app.vault, &at, choice, kept)
                .await
                .unwrap();
        }
        change.commit().await.unwrap();
    }

    /// A story that nobody has published.
    pub(crate) async fn draft(&self) -> Uuid {
        let text = ArticleInput {
            headline: "رئيس الإقليم يستقبل وفداً دولياً في أربيل".to_owned(),
            body: Body::from_plain_text("الفقرة الأولى.\n\nالفقرة الثانية."),
            ..ArticleInput::default()
        };
        let input = create_article::Input {
            locale: "ar-IQ".to_owned(),
            category: self.category,
            text,
            slug: None,
            authors: Vec::new(),
            tags: Vec::new(),
            breaking: false,
            translation_of: None,
        };
        create_article(&self.app, &Viewer::System, input).await.unwrap().id
    }

    /// Publishes a story with an alert: breaking news, which uses prepared keys where there are any.
    pub(crate) async fn alert(&self) -> Uuid {
        let alert = alert_input::Input { urgency: Some(Urgency::High), ..Default::default() };
        let input = publish_article::Input { alert: Some(alert), ..Default::default() };
        let draft = self.draft().await;
        let published = publish_article(&self.app, &Viewer::System, draft, input).await.unwrap();
        published.alert.unwrap().id
    }

    /// A command over this newsroom's database.
    pub(crate) fn command(&self) -> Command {
        khabar(&self.database)
    }

    /// A worker in a process of its own.
    pub(crate) fn worker(&self) -> Worker {
        self.worker_called("mailto:newsroom@khabar.example")
    }

    /// A worker that names itself so to the push service.
    pub(crate) fn worker_called(&self, name: &str) -> Worker {
        let log = self.database.folder.path().join("workers.log");
        let log = OpenOptions::new().append(true).create(true).open(log).unwrap();
        let mut command = self.command();
        command.arg("worker").env("KHABAR_PUSH_SUBJECT", name).stderr(log);
        Worker(command.spawn().unwrap())
    }

    /// Kills a process without a word.
    pub(crate) fn kill(&self, worker: Worker) {
        drop(worker);
        self.kills.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of something else that workers need.
    pub(crate) fn count_kill(&self) {
        self.kills.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns once so many answers were given, or the alert is done.
    pub(crate) async fn until_answered(&self, count: usize, alert: Uuid) {
        until("answers", async || {
            self.push.answers() >= count || self.look(alert).await.state == AlertState::Done
        })
        .await;
    }

    /// Returns once a request to this reader is held.
    pub(crate) async fn until_held(&self, reader: usize) {
        until("a request is held", async || self.push.statuses(&self.readers[reader]).contains(&1))
            .await;
    }

    /// Returns once the alert is done, and then what it has counted.
    pub(crate) async fn until_done(&self, alert: Uuid) -> Counts {
        until("the alert is done", async || {
            let found = storage::alert::by_id(self.app.db.connection(), alert).await;
            // The database may be on its way back.
            matches!(found, Ok(Some(Alert { state: AlertState::Done, .. })))
        })
        .await;
        self.look(alert).await.counts
    }

    pub(crate) async fn look(&self, alert: Uuid) -> Alert {
        storage::alert::by_id(self.app.db.connection(), alert).await.unwrap().unwrap()
    }

    /// Takes stock of an alert that is done: lets a worker live on for a while, and checks that
    /// everybody was told, that nobody was told more often than the kills explain, and that nothing
    /// comes any more. `gone` are readers of whom the push service knows nothing any more.
    pub(crate) async fn toll(&self, gone: &[Browser]) -> Toll {
        let done = self.push.answers();
        let late = self.worker();
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop(late);
        let living =
            self.readers.iter().filter(|reader| gone.iter().all(|g| g.name != reader.name));
        let got: Vec<usize> = living.map(|reader| self.push.received(reader).len()).collect();
        let repeats: usize = got.iter().map(|count| count.saturating_sub(1)).sum();
        let kills = self.kills.load(Ordering::Relaxed);
        let toll = Toll {
            rounds: 1,
            kills,
            messages: got.iter().sum(),
            repeats_a_kill: repeats.div_ceil(kills.max(1)),
            missing: got.iter().filter(|count| **count == 0).count(),
            after_done: self.push.answers() - done,
        };
        let log = self.log();
        assert_eq!((toll.missing, toll.after_done), (0, 0), "{toll:?}\n{log}");
        let most = kills * self.in_hand;
        assert!(repeats <= most, "{repeats} repeats after {kills} kills\n{log}");
        assert!(!log.contains("panicked"), "{log}");
        toll
    }

    /// What the workers said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.database.folder.path().join("workers.log")).unwrap_or_default()
    }
}

/// An Arabic edition with one category.
async fn furnish(app: &App) -> (Uuid, Uuid) {
    let edition = create_edition::Input {
        locale: "ar-IQ".to_owned(),
        name: "خبر".to_owned(),
        direction: Direction::Rtl,
        time_zone: "Asia/Baghdad".to_owned(),
        place: None,
        alerts_per_day: None,
    };
    let edition = create_edition(app, &Viewer::System, edition).await.unwrap();
    let name =
        NameInput { locale: "ar-IQ".to_owned(), name: "العراق".to_owned(), slug: None };
    let category = create_category::Input { parent: None, names: vec![name], position: None };
    let category = create_category(app, &Viewer::System, category).await.unwrap();
    (edition.id, category.id)
}

/// Returns once something is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A worker under way; killed when dropped.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
