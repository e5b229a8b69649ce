//! Tallies: what became of a page's messages, for the metrics.

use std::collections::HashMap;

use super::outcome::Outcome;
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;

/// Counts a page: the metrics are told once, for a look-up of a counter at each message would cost more than
/// the message.
#[derive(Debug, Default)]
pub(super) struct Tally {
    outcomes: HashMap<(&'static str, &'static str), u64>,
    /// How many were accepted after so many milliseconds.
    accepted: HashMap<u64, usize>,
}

impl Tally {
    /// Counts a message that was decided at one instant and answered at another.
    pub(super) fn count(
        &mut self,
        to: &Recipient,
        outcome: Outcome,
        (decided_at, now): (Timestamp, Timestamp),
    ) {
        *self.outcomes.entry((to.endpoint.service(), outcome.as_str())).or_default() += 1;
        if outcome == Outcome::Accepted {
            let took = (now - decided_at).num_milliseconds();
            *self.accepted.entry(u64::try_from(took).unwrap_or_default()).or_default() += 1;
        }
    }

    /// Tells the metrics.
    pub(super) fn record(self) {
        for ((service, outcome), count) in self.outcomes {
            metrics::counter!("khabar_push_total", "outcome" => outcome, "service" => service)
                .increment(count);
        }
        let accepted = metrics::histogram!("khabar_alert_accepted_seconds");
        for (millis, count) in self.accepted {
            accepted.record_many(std::time::Duration::from_millis(millis).as_secs_f64(), count);
        }
    }
}
