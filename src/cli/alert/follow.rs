//! Following an alert: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

use anyhow::bail;
use chrono::TimeDelta;
use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;

use super::report::{Standing, instant};
use crate::app::App;
use crate::domain::alert::AlertState;
use crate::domain::clock::Timestamp;
use crate::storage;

/// How often the alert is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often a line is written where there is no terminal.
const LINE_EVERY: TimeDelta = TimeDelta::seconds(5);
/// How long nothing may move before it is asked whether anybody works.
const PATIENCE: TimeDelta = TimeDelta::seconds(5);

/// Shows how an alert comes along until it is over. Ctrl-C ends the showing, and not the alert.
pub(super) async fn follow(app: &App, id: Uuid) -> anyhow::Result<Standing> {
    let mut stopped = pin!(tokio::signal::ctrl_c());
    let mut display = Display::new();
    let mut seen = Standing::of(app, id).await?;
    let mut moved_at = app.now();
    let (mut warned, mut explained, mut held_back) = (false, false, false);
    loop {
        display.show(&seen, app.now());
        if !seen.alert.state.may_cancel() {
            display.end(&seen, app.now());
            return Ok(seen);
        }
        if !warned && app.now() - moved_at >= PATIENCE && is_left_alone(app).await? {
            warned = true;
            display.say(warning(seen.alert.state));
        }
        if !explained && seen.is_retrying_alone() && app.now() - moved_at >= PATIENCE {
            explained = true;
            display.say(&format!(
                "only messages that are tried again are left: {}. They are until {}; Ctrl-C ends the \
                 showing, and not the alert",
                seen.explain_retries(),
                instant(seen.alert.expires_at)
            ));
        }
        if let Some(until) = seen.waits_until(app.now()).filter(|_| !held_back) {
            held_back = true;
            display.say(&format!(
                "it is held back for readers who have quiet hours, the last of them until {until}; \
                 Ctrl-C ends the showing, and not the alert"
            ));
        }
        tokio::select! {
            heard = &mut stopped => {
                heard?;
                display.bar.abandon();
                bail!(
                    "no longer following; the alert goes on: `khabar alert status {id} --follow` \
                     shows it again, `khabar alert cancel {id}` calls it back"
                );
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = Standing::of(app, id).await?;
        if now != seen {
            (seen, moved_at, warned) = (now, app.now(), false);
        }
    }
}

/// Whether work has been waiting for a while and nobody holds any.
async fn is_left_alone(app: &App) -> anyhow::Result<bool> {
    let queue = storage::queue::look(app.db.connection(), app.now()).await?;
    let waits = queue.waits_since().is_some_and(|since| app.now() - since >= PATIENCE);
    Ok(waits && !queue.is_held(app.now()))
}

fn warning(state: AlertState) -> &'static str {
    match state {
        AlertState::Sending => {
            "nothing moves: either no worker runs (start `khabar worker` or `khabar serve`), or the one that \
             runs leaves a push service alone for a while, and says so in its log"
        }
        _ => "no worker is at work; start `khabar worker` or `khabar serve`",
    }
}

/// A bar once it is known how long it is.
fn style(audience: u64) -> ProgressStyle {
    let bar = if audience > 0 { "  {bar:40}  {pos} of {len}" } else { "" };
    let style = ProgressStyle::with_template(&format!("{{prefix}}{bar}\n{{wide_msg}}"));
    style.unwrap_or(ProgressStyle::default_bar())
}

/// Where it is shown: standard error.
struct Display {
    bar: ProgressBar,
    is_terminal: bool,
    last: Option<(AlertState, Timestamp, String)>,
}

impl Display {
    fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::no_length() } else { ProgressBar::hidden() };
        Self { bar, is_terminal, last: None }
    }

    fn show(&mut self, standing: &Standing, now: Timestamp) {
        let alert = &standing.alert;
        let audience = u64::try_from(alert.audience).unwrap_or_default();
        let queued = u64::try_from(alert.queued()).unwrap_or_default();
        self.bar.set_style(style(audience));
        self.bar.set_length(audience);
        self.bar.set_position(audience.saturating_sub(queued));
        self.bar.set_prefix(alert.state.as_str());
        self.bar.set_message(standing.line(now));
        let is_due = self.last.as_ref().is_none_or(|(state, at, line)| {
            *state != alert.state || (now - *at >= LINE_EVERY && *line != standing.line(now))
        });
        if is_due {
            self.write(standing, now);
        }
    }

    fn end(&mut self, standing: &Standing, now: Timestamp) {
        self.bar.finish();
        let line = standing.line(now);
        if self.last.as_ref().is_none_or(|(_, _, last)| *last != line) {
            self.write(standing, now);
        }
    }

    /// Writes a line where there is no bar.
    fn write(&mut self, standing: &Standing, now: Timestamp) {
        let (state, line) = (standing.alert.state, standing.line(now));
        if !self.is_terminal {
            eprintln!("{}  audience {}  {line}", state.as_str(), standing.alert.audience);
        }
        self.last = Some((state, now, line));
    }

    fn say(&self, text: &str) {
        if self.is_terminal { self.bar.println(text) } else { eprintln!("{text}") }
    }
}
