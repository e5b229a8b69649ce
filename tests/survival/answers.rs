//! Every answer that a push service may give: what becomes of the message and of the subscription.

use std::sync::Arc;

use chrono::TimeDelta;
use khabar::domain::clock::Timestamp;
use khabar::storage;
use serde_json::json;

use crate::misbehave::{alert, progress};
use crate::soak::note;
use crate::support::push_service::{Behaviour, Browser, PushService};
use crate::support::{NOW, Newsroom, TestApp};

const READERS: usize = 3;

/// What the same answer, again and again, leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The message was taken, at the first try.
    Accepted,
    /// The subscription is deleted, at the first try.
    Gone,
    /// The message is given up, after a shorter one.
    Shortened,
    /// The message is given up at once: the next answer would be the same.
    Rejected,
    /// The message is tried again until it is no news any more.
    Failed,
}

fn answers() -> Vec<(Behaviour, End)> {
    let status = |end: End| move |status: u16| (Behaviour::Status(status), end);
    let wait =
        |status: u16, after: &str| (Behaviour::RetryAfter(status, after.to_owned()), End::Failed);
    let mut answers = Vec::new();
    answers.extend([200, 201, 202].map(status(End::Accepted)));
    answers.extend([404, 410].map(status(End::Gone)));
    answers.push(status(End::Shortened)(413));
    answers.extend([400, 405, 415].map(status(End::Rejected)));
    answers.extend([301, 302, 307, 308, 402, 409, 418, 451].map(status(End::Failed)));
    answers
        .extend([401, 403, 406, 429, 500, 501, 502, 503, 504, 505, 599].map(status(End::Failed)));
    answers.extend([
        wait(429, "60"),
        wait(406, "120"),
        wait(503, "0"),
        wait(429, "18446744073709551616"),
        wait(406, "soon"),
        wait(429, "-1"),
        wait(503, "Sat, 23 Nov 2024 04:45:00 GMT"),
        wait(429, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ]);
    answers
}

/// A newsroom whose readers are at as many push services as there are answers.
struct Asked {
    newsroom: Newsroom,
    services: Vec<(Behaviour, End, PushService, Vec<Browser>)>,
    alert: String,
    expires: Timestamp,
}

impl Asked {
    async fn begin() -> Self {
        let settings = "[push]\nallow_loopback = \"on\"\nttl_hours = 1";
        let newsroom = TestApp::start_with(settings).await.found().await;
        let app = &newsroom.test.app;
        let key = newsroom.test.vapid_key().await;
        let mut services = Vec::new();
        for (answer, end) in answers() {
            let push = PushService::start(&key, Arc::clone(&app.clock)).await;
            push.otherwise(Some(answer.clone()));
            let readers = push.browsers(READERS);
            for reader in &readers {
                newsroom.test.opt_in(reader, json!({})).await;
            }
            services.push((answer, end, push, readers));
        }
        let alert = alert(&newsroom).await;
        let expires = NOW.parse::<Timestamp>().unwrap() + TimeDelta::hours(1);
        Self { newsroom, services, alert, expires }
    }

    /// Works for a while, as time goes by.
    async fn work(&self, minutes: i64) {
        for _ in 0..minutes {
            self.newsroom.test.run_jobs().await;
            self.newsroom.test.advance(TimeDelta::minutes(1));
        }
    }

    fn count(&self, which: impl Fn(End) -> bool) -> usize {
        self.services.iter().filter(|(_, end, ..)| which(*end)).count() * READERS
    }

    /// How many subscriptions are left.
    async fn left(&self) -> usize {
        let all: Vec<i64> = (1..=1_000).collect();
        let app = &self.newsroom.test.app;
        let left = storage::audience::by_ids(app.db.connection(), &app.vault, &all);
        left.await.unwrap().candidates.len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_means_what_it_means_however_often_it_is_given() {
    let asked = Asked::begin().await;
    asked.work(65).await;
    let accepted = asked.count(|end| end == End::Accepted);
    let gone = asked.count(|end| end == End::Gone);
    let failed = asked.count(|end| !matches!(end, End::Accepted | End::Gone));
    let counts = format!("DONE {accepted}/{gone}/{failed}");
    assert_eq!(progress(&asked.newsroom, &asked.alert).await, counts);
    assert_eq!(asked.left().await, accepted + failed, "whoever is not gone stays");
    let mut requests = 0;
    for (answer, end, push, readers) in &asked.services {
        for reader in readers {
            let tries = push.statuses(reader).len();
            let patient = match end {
                End::Accepted | End::Gone | End::Rejected => tries == 1,
                End::Shortened => tries == 2,
                End::Failed => tries <= 20,
            };
            assert!(patient, "{answer:?}: {tries} tries");
        }
        requests += push.answers();
    }
    let answers = asked.services.len();
    note("each answer, again and again", &[("answers", &answers), ("requests", &requests)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_comes_to_its_senses_is_told_once() {
    let asked = Asked::begin().await;
    asked.work(2).await;
    for (.., push, _) in &asked.services {
        push.otherwise(None);
    }
    asked.work(65).await;
    assert!(asked.newsroom.test.app.now() > asked.expires);
    let gone = asked.count(|end| end == End::Gone);
    // Two services ask to wait until it is no news any more, and are obeyed.
    let given_up = asked.count(|end| matches!(end, End::Shortened | End::Rejected)) + 2 * READERS;
    let accepted = asked.services.len() * READERS - gone - given_up;
    let counts = format!("DONE {accepted}/{gone}/{given_up}");
    assert_eq!(progress(&asked.newsroom, &asked.alert).await, counts);
    for (answer, _, push, readers) in &asked.services {
        for reader in readers {
            assert!(push.received(reader).len() <= 1, "{answer:?}");
        }
    }
    note("each answer, and then none amiss", &[("accepted", &accepted), ("twice", &0)]);
}
