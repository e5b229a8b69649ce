//! How an alert stands, for people and for programs.

use anyhow::Context;
use serde_json::json;
use uuid::Uuid;

use super::LIST;
use crate::app::App;
use crate::domain::alert::{Ahead, Alert, AlertState};
use crate::domain::clock::Timestamp;
use crate::domain::text;
use crate::graphql::ids::{self, Kind};
use crate::storage::{self, alert_dead_letter, alert_retry, alert_wave};

/// Characters of a title in a list.
const SHORT: usize = 40;

/// How an alert stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub alert: Alert,
    /// Messages that are tried again, by the status that was answered last.
    retrying: Vec<(Option<i32>, i64)>,
    /// Messages that were given up, by the status that was answered last.
    given_up: Vec<(Option<i32>, i64)>,
    ahead: Ahead,
}

impl Standing {
    pub(super) async fn of(app: &App, id: Uuid) -> anyhow::Result<Self> {
        let alert = storage::alert::by_id(app.db.connection(), id).await?;
        let missing = || format!("there is no alert {id}; {LIST}");
        Self::of_all(app, Vec::from_iter(alert)).await?.pop().with_context(missing)
    }

    pub(super) async fn of_all(app: &App, alerts: Vec<Alert>) -> anyhow::Result<Vec<Self>> {
        let (connection, ids) = (app.db.connection(), alerts.iter().map(|alert| alert.id));
        let ids: Vec<Uuid> = ids.collect();
        let mut retrying = alert_retry::waiting(connection, &ids).await?;
        let mut given_up = alert_dead_letter::buried(connection, &ids).await?;
        let mut ahead = alert_wave::ahead(connection, &ids).await?;
        let standing = |alert: Alert| Self {
            ahead: ahead.remove(&alert.id).unwrap_or_default(),
            retrying: retrying.remove(&alert.id).unwrap_or_default(),
            given_up: given_up.remove(&alert.id).unwrap_or_default(),
            alert,
        };
        Ok(alerts.into_iter().map(standing).collect())
    }

    /// How far it has come, on one line.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let counts = self.alert.counts;
        let left = self.left(now).map(|left| format!("  {left} left"));
        format!(
            "accepted {}  gone {}  retrying {}  failed {}{}{}",
            counts.accepted,
            counts.gone,
            self.retrying(),
            counts.failed,
            self.rate(now).map(|rate| format!("  {rate}")).unwrap_or_default(),
            left.unwrap_or_default(),
        )
    }

    /// All there is to know of it.
    pub(super) fn table(&self, now: Timestamp) -> String {
        let alert = &self.alert;
        let counts = alert.counts;
        let ends = match alert.finished_at {
            Some(at) => instant(at),
            None => self.left(now).map_or("-".to_owned(), |left| format!("in about {left}")),
        };
        let rows = [
            ("Alert", alert.id.to_string()),
            ("Title", alert.words.title.clone()),
            ("State", alert.state.as_str().to_owned()),
            ("Round", alert.round.to_string()),
            ("Urgency", alert.urgency.as_str().to_owned()),
            ("Decided", instant(alert.created_at)),
            ("Scheduled", optional(alert.scheduled_at)),
            ("Began", optional(alert.started_at)),
            ("Is news", format!("until {}", instant(alert.expires_at))),
            ("Ends", ends),
            (
                "Held back",
                self.held_back_until(now).map_or("-".to_owned(), |at| format!("until {at}")),
            ),
            ("Audience", alert.audience.to_string()),
            ("Queued", alert.queued().to_string()),
            ("Accepted", counts.accepted.to_string()),
            ("Gone", counts.gone.to_string()),
            ("Retrying", self.explain_retries()),
            ("Failed", explained(counts.failed, &self.given_up)),
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
            "round": alert.round,
            "audience": alert.audience,
            "queued": alert.queued(),
            "accepted": counts.accepted,
            "gone": counts.gone,
            "retrying": self.retrying(),
            "retryingAfter": json_of(&self.retrying),
            "failed": counts.failed,
            "givenUp": json_of(&self.given_up),
            "suppressed": counts.suppressed,
            "clicked": alert.clicked,
            "perSecond": alert.per_second(now),
            "estimatedDoneAt": alert.estimated_done_at(now, &self.ahead),
            "heldBackUntil": self.ahead.held_back_until(now),
            "expiresAt": alert.expires_at,
            "urgency": alert.urgency.as_str(),
            "createdAt": alert.created_at,
            "scheduledAt": alert.scheduled_at,
            "startedAt": alert.started_at,
            "finishedAt": alert.finished_at,
        })
    }

    /// Messages that are tried again.
    fn retrying(&self) -> i64 {
        self.retrying.iter().map(|(_, count)| count).sum()
    }

    /// The same, by what was answered.
    pub(super) fn explain_retries(&self) -> String {
        explained(self.retrying(), &self.retrying)
    }

    /// Whether nothing is left to do but to try some again.
    pub(super) fn is_retrying_alone(&self) -> bool {
        self.alert.state == AlertState::Sending
            && self.alert.queued() <= self.retrying()
            && self.retrying() > 0
    }

    /// When the quiet hours end of the last readers for whom it is held back, once it has come to all others.
    pub(super) fn waits_until(&self, now: Timestamp) -> Option<String> {
        self.held_back_until(now).filter(|_| !self.ahead.is_moving(now))
    }

    fn held_back_until(&self, now: Timestamp) -> Option<String> {
        self.ahead.held_back_until(now).map(instant)
    }

    fn rate(&self, now: Timestamp) -> Option<String> {
        self.alert.per_second(now).map(|rate| format!("{rate:.1}/s"))
    }

    /// How long it takes if it goes on like this.
    fn left(&self, now: Timestamp) -> Option<String> {
        let left = (self.alert.estimated_done_at(now, &self.ahead)? - now).to_std().ok()?;
        Some(indicatif::HumanDuration(left).to_string())
    }
}

/// A count with the answers behind it.
fn explained(count: i64, answers: &[(Option<i32>, i64)]) -> String {
    let answers = answers.iter().map(|(status, count)| match status {
        Some(status) => format!("{count} after {status}"),
        None => format!("{count} without an answer"),
    });
    match answers.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => count.to_string(),
        answers => format!("{count} ({answers})"),
    }
}

fn json_of(answers: &[(Option<i32>, i64)]) -> serde_json::Value {
    answers.iter().map(|(status, count)| json!({ "status": status, "count": count })).collect()
}

/// Alerts, one on a line.
pub(super) fn list(standings: &[Standing]) -> String {
    if standings.is_empty() {
        return "There are no alerts yet; `khabar alert send` makes one.\n".to_owned();
    }
    let heads = [
        "ID",
        "DECIDED",
        "SCHEDULED",
        "STATE",
        "AUDIENCE",
        "QUEUED",
        "ACCEPTED",
        "GONE",
        "RETRYING",
        "FAILED",
    ];
    let rows = standings.iter().map(|standing| {
        let Alert { id, created_at, scheduled_at, state, audience, counts, .. } = standing.alert;
        let cells = [
            id.to_string(),
            instant(created_at),
            optional(scheduled_at),
            state.as_str().to_owned(),
            audience.to_string(),
            standing.alert.queued().to_string(),
            counts.accepted.to_string(),
            counts.gone.to_string(),
            standing.retrying().to_string(),
            counts.failed.to_string(),
        ];
        line(cells, &text::shorten(&standing.alert.words.title, SHORT))
    });
    std::iter::once(line(heads.map(str::to_owned), "TITLE")).chain(rows).collect()
}

fn line(cells: [String; 10], title: &str) -> String {
    let [id, decided, scheduled, state, audience, queued, accepted, gone, retrying, failed] = cells;
    format!(
        "{id:<36}  {decided:<20}  {scheduled:<20}  {state:<9}  {audience:>9}  {queued:>9}  \
         {accepted:>9}  {gone:>7}  {retrying:>8}  {failed:>7}  {title}\n"
    )
}

/// An instant, or a dash.
fn optional(at: Option<Timestamp>) -> String {
    at.map_or("-".to_owned(), instant)
}

/// An instant as the command line writes it.
pub(super) fn instant(at: Timestamp) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
