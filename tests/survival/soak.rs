//! How long the tests are, and the figures that they leave behind.
//!
//! `KHABAR_SOAK` names a file: with it the tests take their long form, and add a line a concern to the
//! file. `bin/soak` does so and prints it.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

const SOAK: &str = "KHABAR_SOAK";

/// The long form's number when there is time for it, else the short form's.
pub(crate) fn long_or(long: usize, short: usize) -> usize {
    if std::env::var_os(SOAK).is_some() { long } else { short }
}

/// Adds a line to the figures: what was done, and what came of it.
pub(crate) fn note(what: &str, figures: &[(&str, &dyn Display)]) {
    let database = match std::env::var_os(crate::database::SERVER) {
        Some(_) => "PostgreSQL",
        None => "SQLite",
    };
    let figures: Vec<String> = figures.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let line = format!("{database}\t{what}\t{}\n", figures.join(", "));
    if let Some(file) = std::env::var_os(SOAK) {
        let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
        // Tests run at once: a line is one write.
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Runs rounds by their number, some at once, each in a runtime of its own: most of the time they wait
/// for leases to end.
pub(crate) fn rounds<F: Future<Output = Toll>>(
    count: usize,
    at_once: usize,
    round: impl Fn(usize) -> F + Sync,
) -> Toll {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut toll = Toll::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return toll;
            }
            let mut runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
            toll.add(runtime.block_on(round(number)));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once.min(count)).map(|_| scope.spawn(work)).collect();
        let mut toll = Toll::default();
        threads.into_iter().for_each(|thread| toll.add(thread.join().unwrap()));
        toll
    })
}

/// What kills and restarts did to the readers of one alert or of several.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Toll {
    pub(crate) rounds: usize,
    pub(crate) kills: usize,
    pub(crate) messages: usize,
    /// Messages that a reader had got already, in the worst round, for each kill of it.
    pub(crate) repeats_a_kill: usize,
    /// Readers who got nothing.
    pub(crate) missing: usize,
    /// Messages that came when the alert was done.
    pub(crate) after_done: usize,
}

impl Toll {
    pub(crate) fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.kills += other.kills;
        self.messages += other.messages;
        self.repeats_a_kill = self.repeats_a_kill.max(other.repeats_a_kill);
        self.missing += other.missing;
        self.after_done += other.after_done;
    }

    pub(crate) fn note(&self, what: &str) {
        note(
            what,
            &[
                ("rounds", &self.rounds),
                ("kills", &self.kills),
                ("messages", &self.messages),
                ("repeats at most a kill", &self.repeats_a_kill),
                ("missing", &self.missing),
                ("after done", &self.after_done),
            ],
        );
    }
}
