//! Push services that misbehave below HTTP. Each costs its own readers their alert, and nobody else's.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use khabar::storage;
use serde_json::{Value, json};

use crate::bad_service::{Authority, BadService, Certificate, Conduct};
use crate::soak::note;
use crate::support::push_service::PushService;
use crate::support::{Newsroom, TestApp, operation};
use khabar::domain::viewer::Role;

const READERS_OF_EACH: usize = 2;
const GOOD_READERS: usize = 20;
/// More than is read of any answer, what lies in buffers on the way included. One that asks to continue
/// without end is read for ten seconds, which is some megabytes here.
const ENOUGH: usize = 16 * 1_024 * 1_024;

const TAKEN: &str = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What became of a message to such a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is known to have arrived.
    Accepted,
    /// It is tried again until it is no news any more.
    Failed,
}
use Fate::{Accepted, Failed};

/// Each way to misbehave, and what is to become of the messages.
fn conducts(canary: &str) -> Vec<(&'static str, Conduct, Certificate, Fate)> {
    let say = |text: &str| Conduct::Say(text.to_owned());
    let flood = |first: &str, again: &str| Conduct::Flood(first.to_owned(), again.to_owned());
    let redirect = |status: &str| {
        say(&format!("HTTP/1.1 {status}\r\nlocation: {canary}/\r\ncontent-length: 0\r\n\r\n"))
    };
    let endless = "HTTP/1.1 201 Created\r\ncontent-length: 10000000000\r\n\r\n";
    let half = "HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\nhalf";
    let chunked = "HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n";
    let none = Certificate::None;
    vec![
        ("hangs", Conduct::Hang, none, Failed),
        ("resets", Conduct::Reset, none, Failed),
        ("drips its head", Conduct::Drip(TAKEN.to_owned()), none, Failed),
        ("closes at once", say(""), none, Failed),
        ("breaks off in its head", say("HTTP/1.1 201 Cre"), none, Failed),
        ("talks nonsense", say("\u{0}\u{1}\r\n\r\n{}\r\n"), none, Failed),
        ("speaks another protocol", say("220 mail.example ESMTP\r\n"), none, Failed),
        ("switches protocols", say("HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n"), none, Failed),
        ("answers no number", say("HTTP/1.1 20A OK\r\n\r\n"), none, Failed),
        (
            "counts its bytes twice",
            say(&half.replace("100\r\n", "1\r\ncontent-length: 2\r\n")),
            none,
            Failed,
        ),
        // What the head says has happened, whatever becomes of the rest.
        ("breaks off in its body", say(half), none, Accepted),
        ("breaks its chunks", say(&format!("{chunked}zz\r\n")), none, Accepted),
        ("sends 10 GB", flood(endless, "x"), none, Accepted),
        ("sends 10 GB in chunks", flood(chunked, "4\r\nxxxx\r\n"), none, Accepted),
        ("drips its body", Conduct::Linger(half.to_owned()), none, Accepted),
        (
            "sends headers without end",
            flood("HTTP/1.1 201 Created\r\n", "x-a: b\r\n"),
            none,
            Failed,
        ),
        ("asks to continue without end", flood("", "HTTP/1.1 100 Continue\r\n\r\n"), none, Failed),
        ("redirects to loopback by 301", redirect("301 Moved"), none, Failed),
        ("redirects to loopback by 307", redirect("307 Moved"), none, Failed),
        ("redirects to loopback by 308", redirect("308 Moved"), none, Failed),
        ("is known by a good certificate", say(TAKEN), Certificate::Trusted, Accepted),
        ("is known by nobody", say(TAKEN), Certificate::Unknown, Failed),
        ("is known no more", say(TAKEN), Certificate::Expired, Failed),
        ("is somebody else", say(TAKEN), Certificate::OfAnother, Failed),
        ("speaks no TLS", say(TAKEN), Certificate::Lie, Failed),
        ("hangs in the handshake", Conduct::Hang, Certificate::Lie, Failed),
        ("resets the handshake", Conduct::Reset, Certificate::Lie, Failed),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_service_that_breaks_the_rules_costs_nobody_elses_readers_anything() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    drop(rustls::crypto::ring::default_provider().install_default());
    let authority = Authority::new(&ca_file);
    let settings = format!(
        "[push]\nallow_loopback = \"on\"\nttl_hours = 1\nca_file = \"{}\"",
        ca_file.display()
    );
    let newsroom = TestApp::start_with(&settings).await.found().await;
    let app = &newsroom.test.app;
    let key = newsroom.test.vapid_key().await;
    let good = PushService::start(&key, Arc::clone(&app.clock)).await;
    let canary =
        BadService::start(Conduct::Say(TAKEN.to_owned()), Certificate::None, &authority).await;
    let mut services = Vec::new();
    for (name, conduct, certificate, fate) in conducts(&canary.origin) {
        let service = BadService::start(conduct, certificate, &authority).await;
        for number in 0..READERS_OF_EACH {
            let endpoint = format!("{}/push/{number}", service.origin);
            let reader = good.browser("of another").at(endpoint);
            newsroom.test.opt_in(&reader, json!({})).await;
        }
        services.push((name, service, fate));
    }
    let readers = good.browsers(GOOD_READERS);
    for reader in &readers {
        newsroom.test.opt_in(reader, json!({})).await;
    }

    let id = alert(&newsroom).await;
    let worker = newsroom.test.worker().await;
    let working = tokio::spawn(async move { worker.run_until_idle().await });
    let told = || readers.iter().filter(|reader| good.received(reader).len() == 1).count();
    while told() < GOOD_READERS {
        assert!(!working.is_finished(), "good readers wait for bad services");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    working.await.unwrap().unwrap();
    let accepted = services.iter().filter(|(_, _, fate)| *fate == Accepted).count();
    let accepted = GOOD_READERS + accepted * READERS_OF_EACH;
    assert_eq!(
        progress(&newsroom, &id).await,
        format!("SENDING {accepted}/0/0"),
        "{}",
        seen(&services)
    );

    newsroom.test.advance(TimeDelta::minutes(59));
    newsroom.test.run_jobs().await;
    newsroom.test.advance(TimeDelta::minutes(2));
    newsroom.test.run_jobs().await;
    let failed = services.len() * READERS_OF_EACH + GOOD_READERS - accepted;
    assert_eq!(
        progress(&newsroom, &id).await,
        format!("DONE {accepted}/0/{failed}"),
        "{}",
        seen(&services)
    );

    for (name, service, fate) in &services {
        let requests = service.requests();
        let once = requests <= READERS_OF_EACH;
        assert!(*fate == Failed || once, "{name}: {requests} requests, but the first was heard");
        let (taken, most) = (service.taken(), ENOUGH * requests.max(1));
        assert!(taken < most, "{name}: {taken} bytes were read in {requests} requests");
    }
    assert_eq!(canary.requests(), 0, "nobody is led elsewhere");
    assert_eq!(told(), GOOD_READERS, "and each of the others is told once");
    let all: Vec<i64> = (1..=500).collect();
    let left = storage::audience::by_ids(app.db.connection(), &app.vault, &all);
    let left = left.await.unwrap().candidates;
    assert_eq!(left.len(), GOOD_READERS + services.len() * READERS_OF_EACH, "nobody is deleted");
    let requests: usize = services.iter().map(|(_, service, _)| service.requests()).sum();
    note(
        "push services that break the rules",
        &[("services", &services.len()), ("requests", &requests), ("good readers missed", &0)],
    );
}

fn seen(services: &[(&str, BadService, Fate)]) -> String {
    let line = |(name, service, fate): &(&str, BadService, Fate)| {
        format!("{name}: {} requests, expected {fate:?}\n", service.requests())
    };
    services.iter().map(line).collect()
}

/// Publishes a story with an alert; the alert's global id.
pub(crate) async fn alert(newsroom: &Newsroom) -> String {
    let draft = newsroom.draft("خبر").await;
    let id = crate::support::fixtures::article_id(draft.id);
    let variables = json!({ "id": id, "input": { "alert": {} } });
    let answer = newsroom.test.as_role(Role::Editor, &operation("ArticlePublish"), variables).await;
    answer.text("/articlePublish/alert/id")
}

/// How far an alert has come: `DONE accepted/gone/failed`.
pub(crate) async fn progress(newsroom: &Newsroom, id: &str) -> String {
    let query = "query($id: ID!) { alert(id: $id) { state accepted gone failed } }";
    let answer = newsroom.test.as_role(Role::Editor, query, json!({ "id": id })).await;
    let alert: Value = answer.at("/alert");
    let state = alert["state"].as_str().unwrap();
    format!("{state} {}/{}/{}", alert["accepted"], alert["gone"], alert["failed"])
}
