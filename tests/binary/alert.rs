//! `khabar alert`: sending, following, calling back and replaying from the command line.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use chrono::TimeDelta;
use khabar::domain::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::database::TestDatabase;
use crate::process::{Serving, ask, ask_with, khabar, run};
use crate::push_service::{Behaviour, Browser, PushService};

const SUBSCRIBE: &str = "mutation($input: PushSubscriptionCreateInput!) { \
    pushSubscriptionCreate(input: $input) { token userErrors { message } } }";

/// A story of the demo.
const STORY: &str = "ar-IQ/بغداد-افتتاح-جسر-النخيل-أمام-السير-بعد-عامين-من-العمل";

fn alert(database: &TestDatabase, words: &[&str]) -> Command {
    let mut command = khabar(database);
    command.arg("alert").args(words);
    command
}

#[track_caller]
fn told((output, errors): (Output, String)) -> (String, String) {
    assert!(output.status.success(), "{errors}");
    (String::from_utf8(output.stdout).unwrap(), errors)
}

#[track_caller]
fn refused((output, errors): (Output, String)) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    errors
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

/// The id of the only alert there is.
fn only_alert(database: &TestDatabase) -> (String, Value) {
    let (listed, _) = told(run(&mut alert(database, &["status", "--json"])));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    (listed[0]["id"].as_str().unwrap().to_owned(), listed[0].clone())
}

pub async fn opt_in(url: &str, browser: &Browser) {
    opt_in_with(url, browser, json!({})).await;
}

async fn opt_in_with(url: &str, browser: &Browser, mut input: Value) {
    input["endpoint"] = json!(browser.endpoint);
    input["keys"] = browser.keys();
    input["locale"] = json!("ar-IQ");
    let answer = ask_with(url, SUBSCRIBE, json!({ "input": input })).await;
    assert!(answer["data"]["pushSubscriptionCreate"]["token"].is_string(), "{answer}");
}

/// Blocks while the binary runs, and the push service answers meanwhile: two threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_sent_followed_and_replayed() {
    let database = TestDatabase::create_empty().await;
    let (key, _) = told(run(khabar(&database).args(["keys", "generate"])));
    let push = PushService::start(key.trim(), Arc::new(SystemClock)).await;
    let mut serving = Serving::start(khabar(&database).env("KHABAR_PUSH_ALLOW_LOOPBACK", "on"));
    let url = serving.url();
    let [takes, gone, refuses] = ["takes", "gone", "refuses"].map(|name| push.browser(name));
    push.script(&gone, [Behaviour::Status(410)]);
    push.script(&refuses, [Behaviour::Status(400)]);
    for browser in [&takes, &gone, &refuses] {
        opt_in(&url, browser).await;
    }
    let stories = "{ articles(filter: { locale: \"ar-IQ\" }, first: 1) { nodes { id slug } } }";
    let story = ask(&url, stories).await["data"]["articles"]["nodes"][0].take();
    let address = format!("{url}ar-IQ/{}", story["slug"].as_str().unwrap());

    let words = ["send", &address, "--title", "خبر من سطر الأوامر"];
    let (dry, _) = told(run(alert(&database, &words).arg("--dry-run")));
    contains(&dry, &["Audience   3", "\"title\": \"خبر من سطر الأوامر\"", "Nothing was sent"]);
    let (listed, _) = told(run(&mut alert(&database, &["status"])));
    contains(&listed, &["There are no alerts yet"]);

    let (sent, lines) = told(run(&mut alert(&database, &words)));
    contains(&lines, &["DONE  audience 3  accepted 1  gone 1  retrying 0  failed 1"]);
    contains(&sent, &["State      DONE", "Accepted   1\n", "Failed     1 (1 after 400)"]);
    assert_eq!(push.received(&takes)[0].payload["notification"]["title"], "خبر من سطر الأوامر");
    let errors = refused(run(&mut alert(&database, &["send", story["id"].as_str().unwrap()])));
    contains(&errors, &["no alert is sent", "readers were alerted of this story", "--again"]);

    let (id, counted) = only_alert(&database);
    assert_eq!((&counted["accepted"], &counted["failed"]), (&json!(1), &json!(1)));
    let (replayed, _) = told(run(&mut alert(&database, &["replay", &id])));
    contains(&replayed, &["Accepted   2\n", "Failed     0\n"]);
    assert_eq!(push.received(&refuses).len(), 1);
    assert_eq!(push.received(&takes).len(), 1, "nobody else is told again");

    let metrics = reqwest::get(format!("{url}metrics")).await.unwrap().text().await.unwrap();
    let accepted = "khabar_push_total{outcome=\"accepted\",service=\"other\"} 2";
    contains(&metrics, &["khabar_alert_accepted_seconds_count 2"]);
    contains(
        &metrics,
        &[accepted, "khabar_queue_lag_seconds{kind=\"shard\"} 0", "khabar_shards_open 0"],
    );
    let documented = include_str!("../../docs/operating.md");
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        contains(documented, &[&format!("`{}", line.split(' ').next().unwrap())]);
        contains(&metrics, &[&format!("# HELP {}", line.split(' ').next().unwrap())]);
    }

    let errors = refused(run(&mut alert(&database, &["replay", &id])));
    contains(&errors, &["nobody is tried again", "nobody was given up"]);
    let errors =
        refused(run(&mut alert(&database, &["cancel", counted["globalId"].as_str().unwrap()])));
    contains(&errors, &["the alert was not called back", "is DONE already"]);
    let (status, ended) = serving.stop();
    assert!(status.success(), "{ended}");
}

/// Blocks while the binary runs, and the push service answers meanwhile: two threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_until_when_an_alert_is_held_back() {
    let database = TestDatabase::create_empty().await;
    let (key, _) = told(run(khabar(&database).args(["keys", "generate"])));
    let push = PushService::start(key.trim(), Arc::new(SystemClock)).await;
    let mut serving = Serving::start(khabar(&database).env("KHABAR_PUSH_ALLOW_LOOPBACK", "on"));
    let now = SystemClock.now();
    let on_the_hour = |hours| (now + TimeDelta::hours(hours)).format("%H:00").to_string();
    let quiet = json!({ "from": on_the_hour(-1), "until": on_the_hour(3), "timeZone": "Etc/UTC" });
    let sleeps = push.browser("sleeps");
    opt_in_with(&serving.url(), &sleeps, json!({ "quietHours": quiet })).await;
    told(run(&mut alert(&database, &["send", STORY, "--no-wait"])));
    let ends = format!("T{}:00Z", on_the_hour(3));
    let (mut id, mut standing) = only_alert(&database);
    for _ in 0..300 {
        if standing["heldBackUntil"].is_string() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        (id, standing) = only_alert(&database);
    }
    let until = standing["heldBackUntil"].as_str().unwrap();
    assert!(until.ends_with(&ends), "{until} is not at {ends}");
    assert_eq!(standing["estimatedDoneAt"], standing["heldBackUntil"]);
    assert_eq!((&standing["state"], &standing["urgency"]), (&json!("SENDING"), &json!("high")));
    assert!(standing["expiresAt"].as_str().unwrap() > until);
    let (table, _) = told(run(&mut alert(&database, &["status", &id])));
    contains(&table, &["Held back  until", &ends]);
    assert!(push.received(&sleeps).is_empty());
    assert!(serving.stop().0.success());
}

#[tokio::test]
async fn without_a_worker_it_says_so_and_ctrl_c_leaves_the_alert() {
    let database = TestDatabase::create_empty().await;
    told(run(khabar(&database).arg("demo")));
    let [unknown, missing] = ["xx/خبر", "ar-IQ/لا-شيء"];
    contains(
        &refused(run(&mut alert(&database, &["send", unknown]))),
        &["there are: ar-IQ, ckb-IQ"],
    );
    let nobody = uuid::Uuid::nil().to_string();
    for missing in [missing, &nobody] {
        let sent = run(&mut alert(&database, &["send", missing, "--dry-run"]));
        contains(&refused(sent), &["publish it first"]);
    }
    let past = ["send", STORY, "--at", "2001-01-01T00:00:00Z"];
    contains(&refused(run(&mut alert(&database, &past))), &["--at: must lie in the future"]);

    let mut sending = alert(&database, &["send", STORY])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sending.stderr.take().unwrap()).lines();
    let warned = lines.find(|line| line.as_ref().unwrap().contains("no worker is at work"));
    contains(&warned.unwrap().unwrap(), &["start `khabar worker` or `khabar serve`"]);
    let interrupted = Command::new("kill").args(["-INT", &sending.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let rest: String = lines.map(|line| line.unwrap()).collect();
    contains(&rest, &["no longer following; the alert goes on"]);
    assert_eq!(sending.wait().unwrap().code(), Some(1));

    let (id, standing) = only_alert(&database);
    assert_eq!(standing["state"], "QUEUED");
    let (called_back, _) = told(run(&mut alert(&database, &["cancel", &id])));
    contains(&called_back, &["called back", "State      CANCELLED"]);
    refused(run(&mut alert(&database, &["cancel", &id])));
    let never =
        refused(run(&mut alert(&database, &["send", STORY, "--at", "2999-01-01T00:00:00Z"])));
    contains(&never, &["--at: must lie in the future and at most 366 days ahead"]);
    let tomorrow =
        (SystemClock.now() + TimeDelta::days(1)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (later, _) = told(run(&mut alert(&database, &["send", STORY, "--at", &tomorrow])));
    contains(&later, &["It is sent at ", &tomorrow]);
    let (listed, _) = told(run(&mut alert(&database, &["status"])));
    contains(&listed, &["SCHEDULED  ", &tomorrow]);
    let nobody = "00000000-0000-0000-0000-000000000007";
    for command in ["status", "cancel", "replay"] {
        let errors = refused(run(&mut alert(&database, &[command, nobody])));
        contains(&errors, &["there is no", "`khabar alert status` lists the last ones"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_alone_delivers_and_serves_its_metrics() {
    let database = TestDatabase::create_empty().await;
    told(run(khabar(&database).arg("demo")));
    let mut working =
        Serving::start(khabar(&database).args(["worker", "--metrics", "127.0.0.1:0"]));
    let url = working.url();
    let (sent, _) = told(run(&mut alert(&database, &["send", STORY])));
    contains(&sent, &["State      DONE", "Audience   0\n"]);
    let get = async |path: &str| reqwest::get(format!("{url}{path}")).await.unwrap();
    let metrics = get("metrics").await.text().await.unwrap();
    contains(&metrics, &["khabar_push_circuits_open{service=\"other\"} 0", "khabar_shards_open 0"]);
    assert_eq!(get("health/live").await.text().await.unwrap(), "alive\n");
    assert_eq!(get("graphql").await.status().as_u16(), 404);
    let (status, ended) = working.stop();
    assert!(status.success(), "{ended}");
}
