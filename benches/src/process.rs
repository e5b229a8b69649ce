//! Processes: starting one and reading what it says, and what one has used.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;

/// Processor time in the kernel's statistics comes in these (sysconf(_SC_CLK_TCK)).
const TICKS_A_SECOND: f64 = 100.0;

/// This program again, to play a part.
pub fn myself(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("where this program lies")?);
    command.args(arguments);
    Ok(command)
}

/// Runs a command to its end and reads the JSON in the last line that it prints.
pub fn ask<T: DeserializeOwned>(mut command: Command) -> anyhow::Result<T> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output =
        output.with_context(|| format!("{} does not start", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{} failed: {}",
        command.get_program().display(),
        output.status
    );
    let said = String::from_utf8(output.stdout).context("it prints no text")?;
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("not what was expected: {last}"))
}

/// Processor time that a process has used, user and system.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("/proc/…/stat")?;
    // The name in parentheses may hold spaces; user and system are the 12th and 13th behind it.
    let behind = text.rsplit_once(')').context("/proc/…/stat has no name")?.1;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = |index: usize| -> anyhow::Result<f64> {
        Ok(fields.get(index).context("/proc/…/stat is short")?.parse()?)
    };
    Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS_A_SECOND))
}

/// The most memory that this process has had resident, in megabytes.
pub fn peak_memory() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    let kilobytes: f64 = kilobytes.context("no VmHWM in /proc/self/status")?.parse()?;
    Ok(kilobytes * 1_024.0 / 1e6)
}
