//! Push: sealing on one core, and alerts end to end, beside those who send Web Push otherwise.
//!
//! Everything on the wire is real: TLS, HTTP/2 or 1.1, one sealed request for each subscription, to
//! a sink that is another process on this machine. Khabar reads its subscriptions from a database and
//! writes its cursor there; the peers have theirs in memory.

mod browsers;
mod newsroom;
mod ours;
mod peers;
mod report;
mod rounds;
mod seal;
mod service;
mod sink;
mod tally;

use std::path::Path;

use anyhow::{Context, bail, ensure};
use khabar::domain::clock::SystemClock;
use khabar::domain::vapid_keys::VapidKeys;
use serde::Serialize;
use serde_json::Value;

use self::browsers::Browsers;
use self::newsroom::Newsroom;
use self::rounds::{Course, Plan};
use self::service::Service;
use crate::process;

/// Plays a part in a process of its own.
pub fn play(part: &str, specification: &str) -> anyhow::Result<()> {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match part {
        "sink" => sink::serve(&serde_json::from_str(specification)?),
        "found" => {
            let newsroom: Newsroom = serde_json::from_str(specification)?;
            runtime()?.block_on(newsroom.found())?;
            say(&())
        }
        "ours" => {
            let filter = tracing_subscriber::EnvFilter::new("warn");
            let log = tracing_subscriber::fmt().with_env_filter(filter);
            log.with_writer(std::io::stderr).init();
            say(&runtime()?.block_on(ours::send(&serde_json::from_str(specification)?))?)
        }
        "crate" => say(&runtime()?.block_on(peers::send(Path::new(specification)))?),
        other => bail!("{other} is no part of this"),
    }
}

fn say(what: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(what)?);
    Ok(())
}

/// Measures everything, prints it, and writes it down.
pub fn run(options: &[&str]) -> anyhow::Result<()> {
    let mut plan = Plan::FULL;
    for option in options {
        match option.strip_prefix("--rounds=") {
            Some(rounds) => plan.rounds = rounds.parse().context("--rounds is no number")?,
            None if *option == "--short" => plan = Plan { rounds: plan.rounds, ..Plan::SHORT },
            None => bail!("{option} is no option"),
        }
    }
    ensure!(plan.rounds > 0, "--rounds is 0");
    let folder = tempfile::Builder::new().prefix("khabar-bench.").tempdir()?;
    let ca_file = folder.path().join("authority.pem");
    let mut service = Service::start(&ca_file)?;
    let browsers = Browsers::new()?;

    let newsrooms = found(&plan, folder.path(), &ca_file, &service.origin)?;
    println!("Comparing what arrives");
    let payload = compare_ours(&mut service, &newsrooms)?;
    let peer = peer(&plan, (&service.origin, &ca_file), &browsers, &payload)?;
    let mut course =
        Course { plan, service, newsrooms, peer, file: folder.path().join("peer.json") };
    course.compare_peers(&payload)?;
    let sealing = seal::measure(&browsers, payload.as_bytes(), course.plan.seal_blocks)?;
    let results = course.run()?;
    report::tell(&course.plan, sealing, &results, payload.len())
}

/// Two newsrooms on each database.
fn found(
    plan: &Plan,
    folder: &Path,
    ca_file: &Path,
    origin: &str,
) -> anyhow::Result<Vec<(&'static str, Newsroom)>> {
    let server = std::env::var("KHABAR_BENCH_POSTGRES").context("bin/bench starts PostgreSQL")?;
    let server =
        server.rsplit_once('/').context("KHABAR_BENCH_POSTGRES is no address")?.0.to_owned();
    let mut newsrooms = Vec::new();
    for readers in [plan.many, plan.few] {
        for kind in ["SQLite", "PostgreSQL"] {
            let name = format!("bench_{}_{readers}", kind.to_lowercase());
            let folder = folder.join(&name);
            std::fs::create_dir(&folder)?;
            let database = match kind {
                "SQLite" => format!("sqlite:{}", folder.join("khabar.sqlite").display()),
                _ => format!("{server}/{name}"),
            };
            let (ca_file, origin) = (ca_file.to_owned(), origin.to_owned());
            let newsroom = Newsroom { folder, database, ca_file, origin, readers };
            println!("Opting in {readers} readers on {kind}");
            let specification = serde_json::to_string(&newsroom)?;
            process::ask::<()>(process::myself(&["push", "found", &specification])?)?;
            newsrooms.push((kind, newsroom));
        }
    }
    Ok(newsrooms)
}

/// What Khabar sends, opened and looked at.
fn compare_ours(
    service: &mut Service,
    newsrooms: &[(&'static str, Newsroom)],
) -> anyhow::Result<String> {
    let mut payload = String::new();
    for (kind, newsroom) in newsrooms {
        service.reset()?;
        rounds::ours(newsroom, newsroom::FEW, 1, rounds::Keys::Fresh)?;
        let report = service.report()?;
        let all = report.distinct == newsroom::FEW_READERS && report.accepted == report.distinct;
        ensure!(all && report.opened > 0, "not everybody was told once on {kind}: {report:?}");
        payload = report.payload;
        let value: Value = serde_json::from_str(&payload)?;
        let notification = &value["notification"];
        let right = notification["title"] == ours::TITLE && notification["body"] == ours::WORDS;
        ensure!(right, "readers are told something else on {kind}: {payload}");
    }
    Ok(payload)
}

/// What both peers are to send: the very payload that Khabar sends.
fn peer(
    plan: &Plan,
    (origin, ca_file): (&str, &Path),
    browsers: &Browsers,
    payload: &str,
) -> anyhow::Result<peers::Specification> {
    let keys: Value = serde_json::from_str(&VapidKeys::generate(&SystemClock).to_json()?)?;
    let key = |name: &str| keys[name].as_str().map(str::to_owned).context("a VAPID key");
    Ok(peers::Specification {
        origin: origin.to_owned(),
        ca_file: ca_file.to_owned(),
        count: plan.peers,
        warm_up: plan.warm_up,
        concurrency: 64,
        browsers: peers::keys(browsers),
        public_key: key("public_key")?,
        private_key: key("private_key")?,
        subject: "mailto:newsroom@khabar.example".to_owned(),
        payload: payload.to_owned(),
        ttl: 24 * 3_600,
        topic: "khabar-bench".to_owned(),
    })
}
