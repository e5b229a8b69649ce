//! What is told in the end: a table for people, and the keys by which progress is followed.

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::rounds::{Keys, Plan, Results, Turn, Who};
use super::seal::Sealing;
use crate::stats::{median, percentile};
use crate::table;

/// Where the keys are written.
const FILE: &str = "target/bench/push.json";
const DATABASES: [&str; 2] = ["SQLite", "PostgreSQL"];

/// Prints everything, and writes the keys down.
pub fn tell(
    plan: &Plan,
    sealing: Sealing,
    results: &Results,
    payload: usize,
) -> anyhow::Result<()> {
    println!("\nA payload of {payload} bytes. Medians of {} rounds.", plan.rounds);
    tell_sealing(sealing);
    tell_turns(plan, results);
    let keys = keys(plan, sealing, results)?;
    println!();
    for (key, value) in keys.as_object().context("keys")? {
        println!(
            "{key:<38} {}",
            value.as_f64().map_or("not measured".to_owned(), |v| format!("{v:.3}"))
        );
    }
    if plan.many < 1_000_000 {
        println!("Keys that speak of 1 M were measured at {} subscriptions.", plan.many);
    }
    std::fs::create_dir_all("target/bench")?;
    std::fs::write(FILE, serde_json::to_string_pretty(&keys)? + "\n")?;
    println!("Written to {FILE}");
    let failed: u64 = results.turns.iter().map(|turn| turn.failed).sum();
    ensure!(failed == 0, "{failed} messages failed: see the table");
    Ok(())
}

fn tell_sealing(sealing: Sealing) {
    let row = |name: &str, micros: f64| {
        vec![name.to_owned(), table::thousands(1e6 / micros), format!("{micros:.1}")]
    };
    table::print(
        &["sealing, one core", "messages/s", "µs"],
        &[row("bare ring, fresh key pair", sealing.bare), row("Khabar", sealing.ours)],
    );
}

fn everybody(plan: &Plan) -> Vec<Who> {
    let ours = [(plan.many, Keys::Prepared), (plan.many, Keys::Fresh), (plan.few, Keys::Fresh)]
        .into_iter()
        .flat_map(|(readers, keys)| DATABASES.map(|kind| Who::Ours(kind, readers, keys)));
    [Who::Npm, Who::Crate].into_iter().chain(ours).collect()
}

fn tell_turns(plan: &Plan, results: &Results) {
    let row = |who: Who| {
        let name = match who {
            Who::Npm => format!("npm web-push, Node {}", results.node.trim_start_matches('v')),
            Who::Crate => "crate web-push, hyper client".to_owned(),
            Who::Ours(kind, readers, keys) => {
                let keys = if keys == Keys::Fresh { "fresh" } else { "prepared" };
                format!("Khabar, {keys} keys, {kind}, {}", table::thousands(readers as f64))
            }
        };
        let turns: Vec<&Turn> = results.turns.iter().filter(|turn| turn.who == who).collect();
        let middle = |value: fn(&Turn) -> f64| {
            median(&turns.iter().map(|turn| value(turn)).collect::<Vec<_>>())
        };
        let of_delivery = |value: fn(&super::ours::Delivery) -> f64| {
            let values: Vec<f64> =
                turns.iter().filter_map(|turn| turn.delivery.as_ref().map(value)).collect();
            if values.is_empty() { "–".to_owned() } else { format!("{:.0}", median(&values)) }
        };
        vec![
            name,
            turns.first().map(|turn| turn.version.clone()).unwrap_or_default(),
            table::thousands(middle(|turn| turn.rate)),
            format!("{:.1}", middle(|turn| turn.cpu)),
            format!("{:.1}", middle(|turn| turn.sink_cpu)),
            of_delivery(|delivery| delivery.statements as f64),
            of_delivery(|delivery| delivery.memory_mb),
            turns.iter().map(|turn| turn.failed).sum::<u64>().to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = everybody(plan).into_iter().map(row).collect();
    let heads =
        ["end to end", "", "messages/s", "sender µs", "sink µs", "statements", "MB", "failed"];
    table::print(&heads, &rows);
    let first = |(kind, took): &(&'static str, Vec<f64>)| {
        let cell = |percent| format!("{:.1}", percentile(took, percent));
        vec![(*kind).to_owned(), took.len().to_string(), cell(50), cell(99), cell(100)]
    };
    let rows: Vec<Vec<String>> = results.first.iter().map(first).collect();
    table::print(&["publish to first accepted", "alerts", "p50 ms", "p99 ms", "most ms"], &rows);
}

/// One value for each key: of the two databases the worse.
fn keys(plan: &Plan, sealing: Sealing, results: &Results) -> anyhow::Result<Value> {
    let rates = |who: Who| -> Vec<f64> {
        results.turns.iter().filter(|turn| turn.who == who).map(|turn| turn.rate).collect()
    };
    // Ratios are taken within a round, and their median over the rounds.
    let ratio = |one: Who, other: Who| {
        let ratios = rates(one).into_iter().zip(rates(other)).map(|(one, other)| one / other);
        median(&ratios.collect::<Vec<_>>())
    };
    let many = |kind| Who::Ours(kind, plan.many, Keys::Fresh);
    let prepared = |kind| Who::Ours(kind, plan.many, Keys::Prepared);
    let few = |kind| Who::Ours(kind, plan.few, Keys::Fresh);
    let least = |value: &dyn Fn(&'static str) -> f64| {
        DATABASES.into_iter().map(value).fold(f64::INFINITY, f64::min)
    };
    let most = |value: &dyn Fn(&'static str) -> f64| {
        DATABASES.into_iter().map(value).fold(f64::NEG_INFINITY, f64::max)
    };
    let deliveries = |kind| {
        let of = move |turn: &&Turn| [many(kind), prepared(kind)].contains(&turn.who);
        results.turns.iter().filter(of).filter_map(|turn| turn.delivery.as_ref())
    };
    let growth = |kind| {
        let bytes: Vec<f64> = deliveries(kind).map(|delivery| delivery.growth as f64).collect();
        median(&bytes) / plan.many as f64
    };
    let memory = |kind| deliveries(kind).map(|delivery| delivery.memory_mb).fold(0.0, f64::max);
    let first = |kind| {
        let of = results.first.iter().filter(|(of, _)| *of == kind);
        of.map(|(_, took)| percentile(took, 99)).fold(0.0, f64::max)
    };
    Ok(json!({
        "seal_share_of_bare": sealing.share,
        "fresh_vs_node22": least(&|kind| ratio(many(kind), Who::Npm)),
        "fresh_vs_crate": least(&|kind| ratio(many(kind), Who::Crate)),
        "prepared_vs_node22": least(&|kind| ratio(prepared(kind), Who::Npm)),
        "rate_1m_vs_10k": least(&|kind| ratio(many(kind), few(kind))),
        "database_growth_mb_per_1m": most(&growth),
        "rss_mb_at_1m": most(&memory),
        "publish_to_first_accepted_p99_ms": most(&first),
    }))
}
