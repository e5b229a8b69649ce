//! The sink as whoever started it sees it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::Context;
use serde::de::DeserializeOwned;

use super::sink::{Ready, Specification};
use super::tally::Report;
use crate::process;

/// The sink's process. It ends when this is dropped.
pub struct Service {
    /// Where it is reached.
    pub origin: String,
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Service {
    /// Starts it.
    pub fn start(ca_file: &Path) -> anyhow::Result<Self> {
        let specification = Specification { ca_file: ca_file.to_owned() };
        let mut command =
            process::myself(&["push", "sink", &serde_json::to_string(&specification)?])?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().context("the sink takes no orders")?;
        let answers = BufReader::new(child.stdout.take().context("the sink gives no answers")?);
        let mut service = Self { origin: String::new(), child, orders, answers };
        service.origin = service.answer::<Ready>()?.origin;
        Ok(service)
    }

    /// Begins a new tally.
    pub fn reset(&mut self) -> anyhow::Result<()> {
        writeln!(self.orders, "reset")?;
        self.answer()
    }

    /// What came in since then.
    pub fn report(&mut self) -> anyhow::Result<Report> {
        writeln!(self.orders, "report")?;
        self.answer()
    }

    /// Processor seconds that it has used so far.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        Ok(process::cpu(self.child.id())?.as_secs_f64())
    }

    fn answer<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the sink says {line:?}"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
