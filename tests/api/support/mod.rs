//! A whole Khabar for one test: its own database, a clock that stands still, ids from a seed.

pub mod alerts;
pub mod database;
pub mod fixtures;
pub mod push_service;

use std::sync::Arc;

use async_graphql::{Request, Variables};
use chrono::TimeDelta;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use khabar::actions::agree_on_keys::agree_on_keys;
use khabar::app::App;
use khabar::config::Config;
use khabar::domain::clock::FixedClock;
use khabar::domain::event::LastEventId;
use khabar::domain::sealing::SealingKey;
use khabar::domain::viewer::{Role, Viewer};
use khabar::graphql::{self, Schema};
use khabar::jobs::worker::Worker;
use khabar::live::Tail;
use khabar::passwords::Passwords;
use khabar::rate_limit::RateLimits;
use khabar::storage::{Database, Vault};
use khabar::weather::Weather;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use database::TestDatabase;
pub use fixtures::Newsroom;

/// The instant at which every test begins: a Saturday morning in Erbil.
pub const NOW: &str = "2024-11-23T04:39:00Z";

/// An application over a fresh database.
pub struct TestApp {
    pub app: App,
    pub schema: Schema,
    pub clock: Arc<FixedClock>,
    shutdown: CancellationToken,
    database: Arc<TestDatabase>,
}

impl TestApp {
    /// An empty newsroom.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// An empty newsroom with settings as they stand in a configuration file.
    pub async fn start_with(settings: &str) -> Self {
        let database = TestDatabase::create().await;
        Self::over(Arc::new(database), settings).await
    }

    async fn over(database: Arc<TestDatabase>, settings: &str) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let clock = Arc::new(FixedClock::new(NOW.parse().unwrap(), 7));
        let folder = database.folder.path().display();
        let settings = format!(
            "data_dir = \"{folder}\"
public_url = \"https://news.example/\"
{settings}
[weather]
enabled = \"off\""
        );
        let config = Arc::new(Config::parse(&settings, []).unwrap());
        let app = App {
            db: Database::open(&database.url, config.database_connections).await.unwrap(),
            clock: clock.clone(),
            passwords: Passwords::quick(&*clock).unwrap(),
            weather: Arc::new(Weather::new(&config.weather).unwrap()),
            vault: Vault::new(SealingKey::new(&[7; 32]).unwrap(), clock.clone()),
            opt_out: Arc::default(),
            clicks: Arc::default(),
            limits: Arc::new(RateLimits::new(&config)),
            config,
        };
        agree_on_keys(&app).await.unwrap();
        let tail = Tail::open(&app.db).await.unwrap();
        let schema = graphql::build(&app, tail.live());
        let shutdown = CancellationToken::new();
        tokio::spawn(tail.run(shutdown.clone()));
        Self { app, schema, clock, shutdown, database }
    }

    /// A second instance on the same database.
    pub async fn another_instance(&self) -> Self {
        self.another_instance_with("").await
    }

    /// A second instance on the same database, with settings of its own.
    pub async fn another_instance_with(&self, settings: &str) -> Self {
        Self::over(Arc::clone(&self.database), settings).await
    }

    /// The same newsroom as another application serves it.
    pub async fn with(self, app: App) -> Self {
        let tail = Tail::open(&app.db).await.unwrap();
        let schema = graphql::build(&app, tail.live());
        tokio::spawn(tail.run(self.shutdown.clone()));
        let (clock, shutdown) = (Arc::clone(&self.clock), self.shutdown.clone());
        let database = Arc::clone(&self.database);
        Self { app, schema, clock, shutdown, database }
    }

    /// Everything that is stored, as a thief would read it.
    pub async fn stolen(&self) -> Vec<u8> {
        if !self.app.db.is_postgres() {
            let files = ["test.sqlite", "test.sqlite-wal"]
                .map(|name| self.database.folder.path().join(name));
            return files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
        }
        let connection = self.app.db.connection();
        connection.execute_unprepared("CHECKPOINT").await.unwrap();
        // Its tables' files, with what is kept beside them because it is long.
        let files = "SELECT pg_read_binary_file(pg_relation_filepath(oid)) AS file FROM pg_class \
                     WHERE relkind IN ('r', 't') AND relnamespace IN ('public'::regnamespace, 'pg_toast'::regnamespace)";
        let files = Statement::from_string(connection.get_database_backend(), files);
        let files = connection.query_all_raw(files).await.unwrap();
        files.iter().flat_map(|row| row.try_get::<Vec<u8>>("", "file").unwrap()).collect()
    }

    /// A pool of its own on the same database, as another process would have.
    pub async fn another_pool(&self) -> Database {
        self.database.open().await
    }

    /// The public key that browsers subscribe with.
    pub async fn vapid_key(&self) -> String {
        let newest = khabar::storage::vapid_key::newest(self.app.db.connection());
        newest.await.unwrap().unwrap().1
    }

    /// Moves the clock.
    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }

    /// Runs a document as a reader.
    pub async fn read(&self, document: &str, variables: Value) -> Answer {
        self.run(Viewer::Anonymous, document, variables).await
    }

    /// Runs a document as a member of staff with one role.
    pub async fn as_role(&self, role: Role, document: &str, variables: Value) -> Answer {
        self.run(staff(role), document, variables).await
    }

    /// Runs a document as anybody.
    pub async fn run(&self, viewer: Viewer, document: &str, variables: Value) -> Answer {
        let request =
            Request::new(document).variables(Variables::from_json(variables)).data(viewer);
        Answer(serde_json::to_value(self.schema.execute(request).await).unwrap())
    }

    /// Opens a subscription operation as a reader.
    pub fn subscribe(&self, document: &str, variables: Value) -> Listening {
        self.resume(document, variables, None)
    }

    /// Opens a subscription operation as somebody.
    pub fn subscribe_as(&self, viewer: Viewer, document: &str, variables: Value) -> Listening {
        self.listen(Request::new(document).data(viewer), variables)
    }

    /// Opens a subscription operation with a `Last-Event-ID`.
    pub fn resume(&self, document: &str, variables: Value, last: Option<&str>) -> Listening {
        let mut request = Request::new(document).data(Viewer::Anonymous);
        if let Some(last) = last {
            request = request.data(LastEventId(last.to_owned()));
        }
        self.listen(request, variables)
    }

    fn listen(&self, request: Request, variables: Value) -> Listening {
        let request = request.variables(Variables::from_json(variables));
        let answers = self
            .schema
            .execute_stream(request)
            .map(|answer| Answer(serde_json::to_value(answer).unwrap()));
        Listening(answers.boxed())
    }

    /// A worker over this application.
    pub async fn worker(&self) -> Worker {
        Worker::new(self.app.clone(), CancellationToken::new()).await.unwrap()
    }

    /// Works until nothing is due.
    pub async fn run_jobs(&self) {
        self.worker().await.run_until_idle().await.unwrap();
    }

    /// How many SQL statements the work runs.
    pub async fn count_statements<T>(&self, work: impl Future<Output = T>) -> (u64, T) {
        // The tail polls each second; stop it, so that only the work is counted.
        self.shutdown.cancel();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let before = self.app.db.statements();
        let done = work.await;
        (self.app.db.statements() - before, done)
    }
}

impl Drop for TestApp {
    /// Fails a test that leaves jobs behind: it has not seen all that it caused.
    fn drop(&mut self) {
        self.shutdown.cancel();
        if std::thread::panicking() || Arc::strong_count(&self.database) > 1 {
            return;
        }
        let database = Arc::clone(&self.database);
        let count = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let db = database.open().await;
                khabar::storage::job::count_open(db.connection()).await.unwrap()
            })
        });
        assert_eq!(count.join().unwrap(), 0, "the test left jobs behind; call run_jobs()");
    }
}

/// A member of staff with one role.
pub fn staff(role: Role) -> Viewer {
    Viewer::Staff { id: Uuid::from_u128(1), session_id: Uuid::from_u128(2), roles: vec![role] }
}

/// A committed operation.
pub fn operation(name: &str) -> String {
    let path = format!("{}/schema/operations/{name}.graphql", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a client is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer(pub Value);

impl Answer {
    /// The data, in an answer without errors.
    #[track_caller]
    pub fn data(&self) -> &Value {
        assert!(self.0.get("errors").is_none(), "unexpected errors: {:#}", self.0);
        &self.0["data"]
    }

    /// What stands at a JSON pointer in the data.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> Value {
        let data = self.data();
        data.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {data:#}")).clone()
    }

    /// The text that stands at a JSON pointer in the data.
    #[track_caller]
    pub fn text(&self, pointer: &str) -> String {
        self.at(pointer)
            .as_str()
            .unwrap_or_else(|| panic!("no text at {pointer}: {:#}", self.0))
            .to_owned()
    }

    /// The codes of the top-level errors.
    pub fn error_codes(&self) -> Vec<&str> {
        let errors = self.0["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().map(|error| error["extensions"]["code"].as_str().unwrap_or("none")).collect()
    }

    /// The userErrors of a mutation as `field: CODE`.
    #[track_caller]
    pub fn user_errors(&self, mutation: &str) -> Vec<String> {
        let errors = self.at(&format!("/{mutation}/userErrors"));
        let line = |error: &Value| {
            let field: Vec<&str> =
                error["field"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
            format!("{}: {}", field.join("."), error["code"].as_str().unwrap())
        };
        errors.as_array().unwrap().iter().map(line).collect()
    }
}

/// A subscription operation under way.
pub struct Listening(BoxStream<'static, Answer>);

impl Listening {
    /// What comes next; fails the test when nothing comes within ten seconds.
    pub async fn next(&mut self) -> Answer {
        let next = tokio::time::timeout(std::time::Duration::from_secs(10), self.0.next()).await;
        next.expect("nothing came within ten seconds").expect("the stream ended")
    }

    /// Whether it ends, and nothing comes before.
    pub async fn ended(&mut self) -> bool {
        let next = tokio::time::timeout(std::time::Duration::from_secs(10), self.0.next()).await;
        next.is_ok_and(|next| next.is_none())
    }

    /// Makes the operation start, and checks that nothing comes for a while.
    pub async fn hears_nothing(&mut self) {
        let next = tokio::time::timeout(std::time::Duration::from_millis(300), self.0.next()).await;
        assert!(next.is_err(), "unexpected: {next:?}");
    }
}
