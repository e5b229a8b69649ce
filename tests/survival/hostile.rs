//! Strangers who hand over subscriptions that no browser ever would.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use khabar::domain::push_subscription::Recipient;
use khabar::storage;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::hostile_input::{Maker, TRUSTED, Verdict};
use crate::misbehave::{alert, progress};
use crate::soak::{long_or, note};
use crate::support::alerts::LOOPBACK;
use crate::support::push_service::PushService;
use crate::support::{Answer, Newsroom, TestApp, operation};

const SEED: u64 = 0x6b68_6162_6172;
/// Whose endpoints may be stored: these and what is below them.
const SERVICES: [&str; 6] = [
    TRUSTED,
    "fcm.googleapis.com",
    "jmt17.google.com",
    "updates.push.services.mozilla.com",
    "push.apple.com",
    "notify.windows.com",
];

/// Listens where nobody may be led, and counts who comes.
struct Canary {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Canary {
    /// A canary at an address; `None` where this machine has no such address.
    async fn at(address: &str) -> Option<Self> {
        let listener = TcpListener::bind((address, 0)).await.ok()?;
        let (port, visits) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&visits);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Some(Self { port, visits })
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_stored_that_is_no_browser_at_a_push_service() {
    let settings = format!("[push]\nextra_hosts = [\"{TRUSTED}\"]");
    let newsroom = TestApp::start_with(&settings).await.found().await;
    let canary = Canary::at("127.0.0.1").await.unwrap();
    let mut maker = Maker::new(SEED, vec![canary.port, 80, 443, 22], "ar-IQ");
    let (mut kept, mut refused) = (0, 0);
    let naughty = maker.naughty().into_iter().map(|input| (input, Verdict::Either));
    let naughty: Vec<_> = naughty.collect();
    let inputs = naughty.len() + long_or(100_000, 3_000);
    let random = std::iter::repeat_with(|| maker.input());
    for (number, (input, verdict)) in naughty.into_iter().chain(random).take(inputs).enumerate() {
        let answer = post(&newsroom, &input).await;
        let stored = is_stored(&answer).unwrap_or_else(|fault| {
            panic!("input {number} of seed {SEED}: {fault}\n{input:#}\n{:#}", answer.0)
        });
        let right = match verdict {
            Verdict::Keep => stored,
            Verdict::Refuse => !stored,
            Verdict::Either => true,
        };
        assert!(right, "input {number} of seed {SEED}: stored {stored}\n{input:#}\n{:#}", answer.0);
        (kept, refused) = (kept + usize::from(stored), refused + usize::from(!stored));
    }
    assert!(kept > inputs / 50 && refused > inputs / 2, "{kept} kept, {refused} refused");

    let there = recipients(&newsroom).await;
    assert!(there.len() <= kept, "{} are stored of {kept}", there.len());
    let endpoints: BTreeSet<&str> = there.iter().map(|to| to.endpoint.url().as_str()).collect();
    assert_eq!(endpoints.len(), there.len(), "each once");
    for to in &there {
        let url = to.endpoint.url();
        let host = url.domain().unwrap_or_else(|| panic!("{url} is at no name"));
        let service = |s: &&str| host == *s || host.ends_with(&format!(".{s}"));
        assert!(SERVICES.iter().any(service), "{url}");
        assert_eq!((url.scheme(), url.port(), url.username()), ("https", None, ""), "{url}");
        assert!(url.password().is_none() && url.as_str().len() <= 2_048, "{url}");
        assert!(p256::PublicKey::from_sec1_bytes(&to.keys.p256dh).is_ok(), "{url}");
    }

    // To real services nothing is sent from here; to the one that nothing resolves it is tried.
    let of_others =
        there.iter().filter(|to| !to.endpoint.url().domain().unwrap().ends_with(TRUSTED));
    let of_others: Vec<i64> = of_others.map(|to| to.id).collect();
    for ids in of_others.chunks(500) {
        storage::push_subscription::delete(newsroom.test.app.db.connection(), ids).await.unwrap();
    }
    let id = alert(&newsroom).await;
    newsroom.test.run_jobs().await;
    assert!(progress(&newsroom, &id).await.starts_with("SENDING 0/0/"), "nobody can be reached");
    assert_eq!(canary.visits(), 0, "nobody is led to this machine");
    note(
        "hostile and broken subscriptions",
        &[
            ("inputs", &inputs),
            ("kept", &kept),
            ("refused", &refused),
            ("stored", &there.len()),
            ("led astray", &0),
        ],
    );
}

/// Rows of another time: what was stored while loopback was allowed is not reached without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_by_other_rules_is_not_reached() {
    let newsroom = TestApp::start_with(LOOPBACK).await.found().await;
    let app = &newsroom.test.app;
    let key = newsroom.test.vapid_key().await;
    let push = PushService::start(&key, Arc::clone(&app.clock)).await;
    let (four, six) = (Canary::at("127.0.0.1").await.unwrap(), Canary::at("::1").await);
    let mut readers = 0;
    for host in
        ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "017700000001", "localhost", "LOCALHOST"]
    {
        for scheme in ["http", "https"] {
            let endpoint = format!("{scheme}://{host}:{}/push/{readers}", four.port);
            newsroom.test.opt_in(&push.browser("r").at(endpoint), json!({})).await;
            readers += 1;
        }
    }
    if let Some(six) = &six {
        let endpoint = format!("http://[::1]:{}/push", six.port);
        newsroom.test.opt_in(&push.browser("r").at(endpoint), json!({})).await;
    }
    alert(&newsroom).await;
    newsroom.test.another_instance().await.run_jobs().await;
    assert_eq!(four.visits() + six.map_or(0, |six| six.visits()), 0);
}

async fn post(newsroom: &Newsroom, input: &Value) -> Answer {
    let create = operation("PushSubscriptionCreate");
    newsroom.test.read(&create, json!({ "input": input })).await
}

/// Whether the answer says that the subscription is kept; or what is wrong with the answer.
fn is_stored(answer: &Answer) -> Result<bool, &'static str> {
    if answer.0.get("errors").is_some() {
        // Faults in the form of the request are found before anything runs.
        let inside = answer.error_codes().iter().any(|code| code.contains("INTERNAL"));
        return if inside { Err("an internal error") } else { Ok(false) };
    }
    let payload = &answer.0["data"]["pushSubscriptionCreate"];
    let errors = payload["userErrors"].as_array().ok_or("no list of faults")?;
    match (payload["token"].is_string(), errors.is_empty()) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        _ => Err("neither kept nor refused"),
    }
}

/// Everybody who is stored.
async fn recipients(newsroom: &Newsroom) -> Vec<Recipient> {
    let mut all = Vec::new();
    for first in (1..=100_000).step_by(500) {
        let ids: Vec<i64> = (first..first + 500).collect();
        let app = &newsroom.test.app;
        let page = storage::audience::by_ids(app.db.connection(), &app.vault, &ids).await.unwrap();
        assert_eq!(page.unreadable, Vec::<i64>::new());
        all.extend(page.candidates.into_iter().map(|(recipient, _)| recipient));
    }
    all
}
