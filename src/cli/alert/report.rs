//! How an alert stands, for people and for programs.

use anyhow::Context;
use serde_json::json;
use uuid::Uuid;

use super::LIST;
use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::clock::Timestamp;
use crate::domain::text;
use crate::graphql::ids::{self, Kind};
use crate::storage::{self, alert_retry};

/// Characters of a title in a list.
const SHORT: usize = 40;

/// How an alert stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub alert: Alert,
    /// Messages that are tried again.
    pub retrying: u64,
    /// Messages that were given up, by the status that was answered last.
    given_up: Vec<(Option<i32>, i64)>,
}

impl Standing {
    pub(super) async fn of(app: &App, id: Uuid) -> anyhow::Result<Self> {
        let alert = storage::alert::by_id(app.db.connection(), id).await?;
        let alert = alert.with_context(|| format!("there is no alert {id}; {LIST}"))?;
        Self::with_retries(app, alert).await
    }

    pub(super) async fn with_retries(app: &App, alert: Alert) -> anyhow::Result<Self> {
        let retrying = alert_retry::count(app.db.connection(), alert.id).await?;
        let given_up = alert_retry::buried(app.db.connection(), alert.id).await?;
        Ok(Self { alert, retrying, given_up })
    }

    /// How far it has come, on one line.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let counts = self.alert.counts;
        let left = self.left(now).map(|left| format!("  {left} left"));
        format!(
            "accepted {}  gone {}  retrying {}  failed {}{}{}",
            counts.accepted,
            counts.gone,
            self.retrying,
            counts.failed,
            self.rate(now).map(|rate| format!("  {rate}")).unwrap_or_default(),
            left.unwrap_or_default(),
        )
    }

    /// All there is to know of it.
    pub(super) fn table(&self, now: Timestamp) -> String {
        let alert = &self.alert;
        let counts = alert.counts;
        let given_up = self.given_up.iter().map(|(status, count)| match status {
            Some(status) => format!("{count} after {status}"),
            None => format!("{count} after no answer"),
        });
        let given_up = given_up.collect::<Vec<_>>().join(", ");
        let failed = match given_up.as_str() {
            "" => counts.failed.to_string(),
            _ => format!("{} ({given_up})", counts.failed),
        };
        let ended = match alert.finished_at {
            Some(at) => instant(at),
            None => self.left(now).map_or("-".to_owned(), |left| format!("in about {left}")),
        };
        let at = |at: Option<Timestamp>| at.map_or("-".to_owned(), instant);
        let rows = [
            ("Alert", alert.id.to_string()),
            ("Title", alert.words.title.clone()),
            ("State", alert.state.as_str().to_owned()),
            ("Decided", instant(alert.created_at)),
            ("Scheduled", at(alert.scheduled_at)),
            ("Began", at(alert.started_at)),
            ("Ended", ended),
            ("Audience", alert.audience.to_string()),
            ("Queued", alert.queued().to_string()),
            ("Accepted", counts.accepted.to_string()),
            ("Gone", counts.gone.to_string()),
            ("Retrying", self.retrying.to_string()),
            ("Failed", failed),
            ("Suppressed", counts.suppressed.to_string()),
            ("Clicked", alert.clicked.to_string()),
            ("Rate", self.rate(now).unwrap_or("-".to_owned())),
        ];
        rows.into_iter().map(|(name, value)| format!("{name:<11}{value}\n")).collect()
    }

    pub(super) fn json(&self, now: Timestamp) -> serde_json::Value {
        let alert = &self.alert;
        let counts = alert.counts;
        json!({
            "id": alert.id,
            "globalId": ids::encode(Kind::Alert, alert.id).as_str(),
            "article": ids::encode(Kind::Article, alert.article_id).as_str(),
            "title": alert.words.title,
            "state": alert.state.as_str(),
            "audience": alert.audience,
            "queued": alert.queued(),
            "accepted": counts.accepted,
            "gone": counts.gone,
            "retrying": self.retrying,
            "failed": counts.failed,
            "suppressed": counts.suppressed,
            "clicked": alert.clicked,
            "perSecond": alert.per_second(now),
            "estimatedDoneAt": alert.estimated_done_at(now),
            "createdAt": alert.created_at,
            "scheduledAt": alert.scheduled_at,
            "startedAt": alert.started_at,
            "finishedAt": alert.finished_at,
        })
    }

    fn rate(&self, now: Timestamp) -> Option<String> {
        self.alert.per_second(now).map(|rate| format!("{rate:.1}/s"))
    }

    /// How long it takes if it goes on like this.
    fn left(&self, now: Timestamp) -> Option<String> {
        let left = (self.alert.estimated_done_at(now)? - now).to_std().ok()?;
        Some(indicatif::HumanDuration(left).to_string())
    }
}

/// Alerts, one on a line.
pub(super) fn list(standings: &[Standing]) -> String {
    if standings.is_empty() {
        return "There are no alerts yet; `khabar alert send` makes one.\n".to_owned();
    }
    let heads = ["ID", "DECIDED", "STATE", "AUDIENCE", "ACCEPTED", "GONE", "RETRYING", "FAILED"];
    let line = |cells: [&str; 8], title: &str| {
        let [id, decided, state, audience, accepted, gone, retrying, failed] = cells;
        format!(
            "{id:<36}  {decided:<20}  {state:<9}  {audience:>9}  {accepted:>9}  {gone:>7}  \
             {retrying:>8}  {failed:>7}  {title}\n"
        )
    };
    let rows = standings.iter().map(|Standing { alert, retrying, .. }| {
        let counts = alert.counts;
        let numbers = [alert.audience, counts.accepted, counts.gone, counts.failed];
        let [audience, accepted, gone, failed] = numbers.map(|number| number.to_string());
        let (id, decided) = (alert.id.to_string(), instant(alert.created_at));
        let (state, retrying) = (alert.state.as_str(), retrying.to_string());
        let title = text::shorten(&alert.words.title, SHORT);
        line([&id, &decided, state, &audience, &accepted, &gone, &retrying, &failed], &title)
    });
    std::iter::once(line(heads, "TITLE")).chain(rows).collect()
}

/// An instant as the command line writes it.
pub(super) fn instant(at: Timestamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
