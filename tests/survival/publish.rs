//! A server that is killed while an editor publishes: the story and its alert are both there, or
//! neither is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use khabar::domain::alert::Counts;
use khabar::graphql::ids::{self, Kind};
use khabar::storage;
use khabar::storage::article::Visibility;
use khabar::storage::db::EVENT_ORDER_LOCK;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::dice::Dice;
use crate::newsroom::{Newsroom, until};
use crate::process::Serving;
use crate::soak::{Toll, long_or, note, rounds};
use crate::support::operation;

const PASSWORD: &str = "a long password";
const READERS: usize = 10;

#[test]
fn a_server_killed_while_it_publishes_has_done_both_or_neither() {
    let (neither, both) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let round = async |number| match number % 5 {
        0 => killed_before_the_commit().await,
        _ => {
            let (done, toll) = killed_at_a_random_moment(Dice::new_seed()).await;
            let count = if done { &both } else { &neither };
            count.fetch_add(1, Ordering::Relaxed);
            toll
        }
    };
    let what = "the server killed while it publishes";
    rounds(long_or(100, 5), 8, round).note(what);
    let (neither, both) = (neither.into_inner(), both.into_inner());
    note(what, &[("had done both", &both), ("had done neither", &neither), ("half of it", &0)]);
}

/// Everything is written but not committed.
async fn killed_before_the_commit() -> Toll {
    let newsroom = Newsroom::found(READERS).await;
    let draft = newsroom.draft().await;
    let server = Server::start(&newsroom).await;
    let held = newsroom.app.begin().await.unwrap();
    if newsroom.app.db.is_postgres() {
        let lock = format!("SELECT pg_advisory_xact_lock({EVENT_ORDER_LOCK})");
        held.transaction().execute_unprepared(&lock).await.unwrap();
    }
    let publishing = tokio::spawn(server.publish(draft));
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.kill(&newsroom);
    drop(held);
    assert!(publishing.await.unwrap().is_none(), "nobody answers");
    assert_eq!(published(&newsroom, draft).await, (false, None));
    finish(&newsroom, draft).await
}

/// Whether story and alert were there afterwards.
async fn killed_at_a_random_moment(seed: u64) -> (bool, Toll) {
    let mut dice = Dice::of(seed);
    let newsroom = Newsroom::found(READERS).await;
    let draft = newsroom.draft().await;
    let server = Server::start(&newsroom).await;
    let publishing = tokio::spawn(server.publish(draft));
    // Before it, amid it, or while the alert is on its way; how long it takes depends on the machine.
    if dice.one_in(3) {
        until("the alert is there", async || published(&newsroom, draft).await.0).await;
    }
    tokio::time::sleep(Duration::from_millis(dice.next() % 150)).await;
    server.kill(&newsroom);
    let answer = publishing.await.unwrap();
    let (is_published, alert) = published(&newsroom, draft).await;
    assert_eq!(is_published, alert.is_some(), "seed {seed}");
    assert!(answer.is_none() || is_published, "what was answered has happened; seed {seed}");
    (is_published, finish(&newsroom, draft).await)
}

/// Whether the story is before readers, and its alert.
async fn published(newsroom: &Newsroom, article: Uuid) -> (bool, Option<Uuid>) {
    let connection = newsroom.app.db.connection();
    let story = storage::article::by_id(connection, article, Visibility::Published).await.unwrap();
    let alert = storage::alert::latest_of_article(connection, article).await.unwrap();
    (story.is_some(), alert.map(|alert| alert.id))
}

/// Starts the server again, publishes if that has not happened, and takes stock.
async fn finish(newsroom: &Newsroom, draft: Uuid) -> Toll {
    let server = Server::start(newsroom).await;
    if published(newsroom, draft).await.1.is_none() {
        assert_eq!(newsroom.push.answers(), 0, "nobody hears of what has not happened");
        let answer = server.publish(draft).await.unwrap();
        assert!(answer["data"]["articlePublish"]["alert"]["id"].is_string(), "{answer}");
    }
    let alert = published(newsroom, draft).await.1.unwrap();
    let accepted = i64::try_from(READERS).unwrap();
    let counts = newsroom.until_done(alert).await;
    assert_eq!(counts, Counts { accepted, ..Counts::default() });
    newsroom.toll(&[]).await
}

/// A server, and an editor who is signed in.
struct Server {
    serving: Serving,
    url: String,
    token: String,
}

impl Server {
    async fn start(newsroom: &Newsroom) -> Self {
        let mut command = newsroom.command();
        command.env("KHABAR_DEMO", "off").env("KHABAR_ADMIN_PASSWORD", PASSWORD);
        // Nobody reads what it says until it ends.
        command.env("KHABAR_LOG", "error");
        let mut serving = Serving::start(&mut command);
        let url = serving.url();
        let input = json!({ "email": "admin@khabar.example", "password": PASSWORD });
        let answer = post(&url, "", "SignIn", json!({ "input": input })).await.unwrap();
        let token = answer["data"]["signIn"]["token"].as_str().unwrap().to_owned();
        Self { serving, url, token }
    }

    /// Publishes with an alert; `None` when no answer comes.
    fn publish(&self, article: Uuid) -> impl Future<Output = Option<Value>> + use<> {
        let (url, token) = (self.url.clone(), self.token.clone());
        let id = ids::encode(Kind::Article, article).to_string();
        let variables = json!({ "id": id, "input": { "alert": {} } });
        async move { post(&url, &token, "ArticlePublish", variables).await }
    }

    fn kill(self, newsroom: &Newsroom) {
        self.serving.signal("-KILL");
        drop(self.serving);
        newsroom.count_kill();
    }
}

async fn post(url: &str, token: &str, name: &str, variables: Value) -> Option<Value> {
    let body = json!({ "query": operation(name), "variables": variables });
    let mut request = reqwest::Client::new().post(format!("{url}graphql"));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    request.json(&body).send().await.ok()?.json().await.ok()
}
