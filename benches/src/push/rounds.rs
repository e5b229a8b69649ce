//! The rounds: in each of them everybody has a turn, so that a noisy machine is noisy for all.

use std::path::PathBuf;

use anyhow::{Context, ensure};

use super::newsroom::{FEW, FEW_READERS, MANY, Newsroom};
use super::ours::{Delivery, Specification};
use super::peers::{self, Sent};
use super::service::Service;
use super::tally::Report;
use crate::process;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Subscriptions of the large newsroom and of the small one.
    pub many: u64,
    pub few: u64,
    /// Messages of a peer in a round, and those before them that are not timed.
    pub peers: u64,
    pub warm_up: u64,
    /// Rounds.
    pub rounds: usize,
    /// Alerts to a few readers of the large newsroom, on each database.
    pub first_alerts: usize,
    /// Blocks of messages that are sealed.
    pub seal_blocks: usize,
}

impl Plan {
    /// Within ten minutes.
    pub const SHORT: Self = Self {
        many: 100_000,
        few: 10_000,
        peers: 12_000,
        warm_up: 1_000,
        rounds: 5,
        first_alerts: 100,
        seal_blocks: 60,
    };
    /// As it is claimed.
    pub const FULL: Self =
        Self { many: 1_000_000, peers: 40_000, first_alerts: 200, seal_blocks: 200, ..Self::SHORT };
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// npm `web-push` on Node 22.
    Npm,
    /// A plain loop over the crate `web-push`.
    Crate,
    /// Khabar: on which database, to how many.
    Ours(&'static str, u64, Keys),
}

/// Which keys Khabar seals with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Made for each message when it is sent.
    Fresh,
    /// Made before the news breaks.
    Prepared,
}

/// How somebody's turn went.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Who.
    pub who: Who,
    /// Messages a second that the sink took, each counted once.
    pub rate: f64,
    /// Messages that did not arrive, were refused, or arrived twice.
    pub failed: u64,
    /// Microseconds of processor for a message, of the sender and of the sink.
    pub cpu: f64,
    pub sink_cpu: f64,
    /// The version of HTTP.
    pub version: String,
    /// What Khabar tells of itself.
    pub delivery: Option<Delivery>,
}

/// Everything that is measured with.
pub struct Course {
    pub plan: Plan,
    pub service: Service,
    pub newsrooms: Vec<(&'static str, Newsroom)>,
    pub peer: peers::Specification,
    pub file: PathBuf,
}

/// Results of all turns.
pub struct Results {
    pub turns: Vec<Turn>,
    /// Milliseconds to the first message of alerts to a few, by database.
    pub first: Vec<(&'static str, Vec<f64>)>,
    /// What npm's runs on.
    pub node: String,
}

/// Sends alerts by Khabar, in a process of its own.
pub fn ours(
    newsroom: &Newsroom,
    locale: &str,
    alerts: usize,
    keys: Keys,
) -> anyhow::Result<Delivery> {
    let (newsroom, locale) = (newsroom.clone(), locale.to_owned());
    let prepared = keys == Keys::Prepared;
    let specification = Specification { newsroom, locale, alerts, prepared };
    let specification = serde_json::to_string(&specification)?;
    process::ask(process::myself(&["push", "ours", &specification])?)
}

impl Course {
    /// The peers must send what Khabar sends before they are timed.
    pub fn compare_peers(&mut self, payload: &str) -> anyhow::Result<()> {
        let few = peers::Specification { count: 200, warm_up: 0, ..self.peer.clone() };
        for (name, send) in
            [("npm web-push", peers::npm as Send), ("the crate web-push", peers::krate)]
        {
            self.service.reset()?;
            let sent = send(&few, &self.file).with_context(|| name.to_owned())?;
            let report = self.service.report()?;
            let all = sent.sent == 200 && report.distinct == 200 && report.accepted == 200;
            let same = report.opened > 0 && report.payload == payload;
            ensure!(all && same, "{name} sends something else: {sent:?}, {report:?}");
        }
        Ok(())
    }

    /// Everybody's turns, round after round.
    pub fn run(&mut self) -> anyhow::Result<Results> {
        let mut results = Results { turns: Vec::new(), first: Vec::new(), node: String::new() };
        for round in 0..self.plan.rounds {
            println!("Round {} of {}", round + 1, self.plan.rounds);
            for who in [Who::Npm, Who::Crate] {
                let (turn, runtime) = self.peer_turn(who)?;
                if who == Who::Npm {
                    results.node = runtime;
                }
                results.turns.push(turn);
            }
            for (kind, newsroom) in self.newsrooms.clone() {
                results.turns.push(self.our_turn(kind, &newsroom, Keys::Fresh)?);
                if newsroom.readers == self.plan.many {
                    results.turns.push(self.our_turn(kind, &newsroom, Keys::Prepared)?);
                }
            }
        }
        for (kind, newsroom) in self.newsrooms.clone() {
            if newsroom.readers == self.plan.many {
                println!("Alerts to a few on {kind}");
                results.first.push((kind, self.first_alerts(&newsroom)?));
            }
        }
        Ok(results)
    }

    fn peer_turn(&mut self, who: Who) -> anyhow::Result<(Turn, String)> {
        self.service.reset()?;
        let cpu = self.service.cpu()?;
        let send = if who == Who::Npm { peers::npm } else { peers::krate };
        let sent: Sent = send(&self.peer, &self.file)?;
        let all = self.peer.count + self.peer.warm_up;
        let sink_cpu = (self.service.cpu()? - cpu) * 1e6 / all as f64;
        let report = self.service.report()?;
        let turn = Turn {
            who,
            rate: sent.sent as f64 / sent.seconds,
            failed: failed(&report, all),
            cpu: sent.cpu * 1e6 / self.peer.count as f64,
            sink_cpu,
            version: version(&report),
            delivery: None,
        };
        print(&turn);
        Ok((turn, sent.runtime))
    }

    fn our_turn(
        &mut self,
        kind: &'static str,
        newsroom: &Newsroom,
        keys: Keys,
    ) -> anyhow::Result<Turn> {
        let who = Who::Ours(kind, newsroom.readers, keys);
        self.service.reset()?;
        let cpu = self.service.cpu()?;
        let delivery = ours(newsroom, MANY, 1, keys)?;
        let sink_cpu = (self.service.cpu()? - cpu) * 1e6 / newsroom.readers as f64;
        let report = self.service.report()?;
        let turn = Turn {
            who,
            rate: report.distinct as f64 / delivery.seconds,
            failed: failed(&report, newsroom.readers) + delivery.others.unsigned_abs(),
            cpu: delivery.cpu * 1e6 / newsroom.readers as f64,
            sink_cpu,
            version: version(&report),
            delivery: Some(delivery),
        };
        print(&turn);
        Ok(turn)
    }

    /// Many alerts to a few readers of a large newsroom, one after the other: how long the first
    /// message of each takes, counted from the editor's click.
    fn first_alerts(&mut self, newsroom: &Newsroom) -> anyhow::Result<Vec<f64>> {
        self.service.reset()?;
        let delivery = ours(newsroom, FEW, self.plan.first_alerts, Keys::Fresh)?;
        let report = self.service.report()?;
        let expected = FEW_READERS * self.plan.first_alerts as u64;
        ensure!(report.accepted == expected, "not every reader was told: {}", report.accepted);
        first(&delivery, &report)
    }
}

type Send = fn(&peers::Specification, &std::path::Path) -> anyhow::Result<Sent>;

fn failed(report: &Report, expected: u64) -> u64 {
    let refused: u64 = report.refused.values().sum();
    expected.saturating_sub(report.distinct) + refused + report.duplicates + report.repeated_keys
}

fn version(report: &Report) -> String {
    report.versions.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn first(delivery: &Delivery, report: &Report) -> anyhow::Result<Vec<f64>> {
    let took = |(topic, published): &(String, khabar::domain::clock::Timestamp)| {
        let taken = report.first.get(topic).context("an alert reached nobody")?;
        let took = (*taken - *published).num_microseconds().context("an alert took for ever")?;
        Ok(took as f64 / 1e3)
    };
    delivery.published.iter().map(took).collect()
}

fn print(turn: &Turn) {
    println!("  {:?}: {:.0}/s, {} failed", turn.who, turn.rate, turn.failed);
}
