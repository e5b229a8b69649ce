//! Jobs: durable work that runs after the change that asked for it has committed.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long claimed work belongs to its worker without a sign of life.
pub const LEASE: TimeDelta = TimeDelta::seconds(25);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// Split an alert's audience into shards.
    PlanAlert {
        /// The alert.
        alert_id: Uuid,
    },
    /// Delete events, sessions and finished jobs that are older than they need to be.
    Purge,
}

impl Job {
    /// The words for every kind that this version knows.
    pub const KINDS: [&str; 2] = ["plan_alert", "purge"];

    /// The word for its kind, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PlanAlert { .. } => "plan_alert",
            Self::Purge => "purge",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_written_under_its_word() {
        for job in [Job::PlanAlert { alert_id: Uuid::nil() }, Job::Purge] {
            assert_eq!(serde_json::to_value(&job).unwrap()["kind"], job.kind());
            assert!(Job::KINDS.contains(&job.kind()));
        }
    }
}
