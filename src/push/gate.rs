//! Gates: who waits for a turn with a push service, and who passes. Each origin has its own, so that one
//! that is slow or angry holds up nobody else's.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::outcome::Outcome;
use super::pace::{Alarm, Begun, Pace, Resting, Turn};
use crate::domain::clock::Timestamp;

/// The way to one push service.
#[derive(Debug)]
pub(super) struct Gate {
    rate: DefaultDirectRateLimiter,
    pace: Mutex<Pace>,
    left: Notify,
    silence: Notify,
}

/// A message that passed. It counts as under way for as long as this lives.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    begun: Begun,
}

impl Gate {
    /// A gate for at most so many messages at once and a second.
    pub(super) fn new(most_at_once: u32, most_per_second: NonZeroU32) -> Self {
        Self {
            rate: DefaultDirectRateLimiter::direct(Quota::per_second(most_per_second)),
            pace: Mutex::new(Pace::new(most_at_once)),
            left: Notify::new(),
            silence: Notify::new(),
        }
    }

    /// Waits for a turn; fails at once while the service is left alone, and for who is `hurried` while it is
    /// silent.
    pub(super) async fn pass(&self, now: Timestamp, hurried: bool) -> Result<Pass<'_>, Resting> {
        let pass = loop {
            // Before the look, so that no turn that is given back in between is missed.
            let left = self.left.notified();
            if let Some(pass) = self.try_pass(now, hurried)? {
                break pass;
            }
            left.await;
        };
        self.rate.until_ready().await;
        Ok(pass)
    }

    fn try_pass(&self, now: Timestamp, hurried: bool) -> Result<Option<Pass<'_>>, Resting> {
        let begun = self.pace().begin(now, hurried)?;
        Ok(begun.map(|begun| Pass { gate: self, begun }))
    }

    /// Leaves the service alone when it has answered nothing for long, and tells whoever is hurried. Says so
    /// when it is from now on.
    pub(super) fn look_for_silence(&self, now: Timestamp) -> Option<Alarm> {
        let mut pace = self.pace();
        let alarm = pace.look_for_silence(now);
        let rests = pace.rests_for_silence();
        drop(pace);
        if rests {
            self.left.notify_waiters();
            self.silence.notify_waiters();
        }
        alarm
    }

    /// Ends when the service is found silent.
    pub(super) fn falls_silent(&self) -> Notified<'_> {
        self.silence.notified()
    }

    /// Until when the service is left alone; `None` while messages pass.
    pub(super) fn resting(&self, now: Timestamp) -> Option<Resting> {
        self.pace().resting(now)
    }

    /// Whether it has ever taken a message.
    pub(super) fn is_proven(&self) -> bool {
        self.pace().is_proven()
    }

    /// Whether the service is left alone: nothing passes, or a probe alone.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        self.pace().is_open(now)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Learns from what became of the message. Says so when the service is left alone from now on.
    pub(super) fn learn(&self, outcome: Outcome, now: Timestamp) -> Option<Alarm> {
        let (alarm, turn) = self.gate.pace().learn(self.begun, outcome, now);
        match turn {
            Turn::Same => {}
            Turn::More => self.gate.left.notify_one(),
            Turn::Other => self.gate.left.notify_waiters(),
        }
        alarm
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.pace().end(self.begun);
        self.gate.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::pace::{FIRST_REST, LONGEST_REST, PATIENCE, REFUSALS};
    use chrono::TimeDelta;
    use std::time::{Duration, Instant};

    const BEGAN: &str = "2024-11-23T04:39:00Z";

    fn at(seconds: i64) -> Timestamp {
        BEGAN.parse::<Timestamp>().unwrap() + TimeDelta::seconds(seconds)
    }

    fn gate(most: u32) -> Gate {
        Gate::new(most, NonZeroU32::new(1_000_000).unwrap())
    }

    fn throttled(after: Option<u64>) -> Outcome {
        Outcome::Wait { status: 429, after: after.map(Duration::from_secs) }
    }

    impl Gate {
        /// The answer to a message that passed while the way was open.
        fn learn(&self, outcome: Outcome, now: Timestamp) -> Option<Alarm> {
            let begun = Begun { probe: false, at: Instant::now() };
            self.pace().learn(begun, outcome, now).0
        }
    }

    /// How many messages pass at once before one has to wait.
    fn width(gate: &Gate, now: Timestamp) -> usize {
        let mut passes = Vec::new();
        while let Ok(Some(pass)) = gate.try_pass(now, false) {
            passes.push(pass);
        }
        passes.len()
    }

    /// A round trip: as many as pass at once, each ending so.
    fn round_trip(gate: &Gate, outcome: Outcome) {
        let mut passes = Vec::new();
        while let Ok(Some(pass)) = gate.try_pass(at(0), false) {
            passes.push(pass);
        }
        for pass in passes {
            pass.learn(outcome, at(0));
            drop(pass);
        }
    }

    #[test]
    fn a_service_that_keeps_up_is_sent_twice_as_much_each_time_up_to_the_most() {
        let gate = gate(60);
        let mut widths = vec![width(&gate, at(0))];
        for _ in 0..5 {
            round_trip(&gate, Outcome::Accepted);
            widths.push(width(&gate, at(0)));
        }
        assert_eq!(widths, [4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_complaint_halves_and_success_adds_one_by_one_from_then_on() {
        let gate = gate(64);
        for _ in 0..20 {
            round_trip(&gate, Outcome::Accepted);
        }
        let before = width(&gate, at(0));
        gate.learn(throttled(None), at(0));
        assert_eq!(width(&gate, at(0)), before / 2);
        round_trip(&gate, Outcome::Accepted);
        assert_eq!(width(&gate, at(0)), before / 2 + 1);
    }

    #[test]
    fn repeated_complaints_close_the_way_until_a_probe_succeeds() {
        let gate = gate(64);
        for _ in 0..PATIENCE - 1 {
            assert_eq!(gate.learn(throttled(None), at(0)), None);
        }
        let alarm = gate.learn(throttled(None), at(0)).unwrap();
        assert_eq!((alarm.status, alarm.rest), (429, FIRST_REST));
        assert_eq!(gate.try_pass(at(4), false).unwrap_err(), Resting { until: at(5) });

        let probe = gate.try_pass(at(5), false).unwrap().unwrap();
        assert!(
            gate.try_pass(at(5), false).unwrap().is_none(),
            "one probe at a time; others wait for it"
        );
        assert_eq!(gate.learn(throttled(None), at(5)), None, "an answer to what was sent before");
        let alarm = probe.learn(throttled(None), at(5)).unwrap();
        assert_eq!(alarm.rest, FIRST_REST * 2);
        drop(probe);
        assert!(gate.try_pass(at(14), false).is_err());
        let probe = gate.try_pass(at(15), false).unwrap().unwrap();
        probe.learn(Outcome::Accepted, at(15));
        drop(probe);
        assert_eq!(width(&gate, at(15)), 1, "and then it begins with one");
    }

    #[test]
    fn late_answers_do_not_open_the_way_again() {
        let gate = gate(64);
        for _ in 0..PATIENCE {
            gate.learn(throttled(None), at(0));
        }
        for straggler in [Outcome::Accepted, Outcome::Gone, Outcome::Failed(Some(400))] {
            gate.learn(straggler, at(1));
            assert!(gate.try_pass(at(1), false).is_err(), "{straggler:?}");
        }
        assert_eq!(gate.resting(at(1)), Some(Resting { until: at(5) }));
        assert_eq!(gate.resting(at(5)), None);
    }

    #[test]
    fn messages_at_fault_say_nothing_of_the_service() {
        let gate = gate(64);
        gate.learn(Outcome::Accepted, at(0));
        for _ in 0..1_000 {
            assert_eq!(gate.learn(Outcome::Failed(Some(400)), at(0)), None);
        }
        for _ in 1..REFUSALS {
            assert_eq!(gate.learn(Outcome::Refused(403), at(0)), None);
        }
        let alarm = gate.learn(Outcome::Refused(403), at(0)).unwrap();
        assert!(!alarm.rest.is_zero(), "now it means the newsroom");
    }

    #[tokio::test]
    async fn whoever_waits_for_a_probe_follows_it() {
        let gate = gate(64);
        for _ in 0..PATIENCE {
            gate.learn(throttled(None), at(0));
        }
        let probe = gate.pass(at(5), false).await.unwrap();
        let (followed, ()) = tokio::join!(gate.pass(at(5), false), async {
            probe.learn(Outcome::Accepted, at(5));
            drop(probe);
        });
        drop(followed.unwrap());
    }

    #[test]
    fn a_probe_that_was_given_up_lets_another_go() {
        let gate = gate(64);
        for _ in 0..PATIENCE {
            gate.learn(throttled(None), at(0));
        }
        drop(gate.try_pass(at(5), false).unwrap().unwrap());
        assert!(gate.try_pass(at(5), false).unwrap().is_some());
    }

    #[test]
    fn what_a_service_asks_for_is_respected_within_bounds() {
        for (asked, rest) in [(1, FIRST_REST), (90, TimeDelta::seconds(90)), (9_999, LONGEST_REST)]
        {
            let gate = gate(64);
            let alarms = (0..PATIENCE).filter_map(|_| gate.learn(throttled(Some(asked)), at(0)));
            assert_eq!(alarms.map(|alarm| alarm.rest).collect::<Vec<_>>(), [rest]);
        }
    }

    #[test]
    fn a_refusal_of_our_credentials_stops_a_service_unless_it_takes_others() {
        let gate = gate(64);
        assert!(gate.learn(Outcome::Refused(401), at(0)).is_some());
        assert!(gate.try_pass(at(1), false).is_err());
        let gate = self::gate(64);
        gate.learn(Outcome::Accepted, at(0));
        assert_eq!(gate.learn(Outcome::Refused(403), at(0)), None);
        assert!(gate.try_pass(at(1), false).unwrap().is_some());
        // The half of its readers whose key is refused.
        let half = (1..2 * REFUSALS).filter_map(|_| {
            gate.learn(Outcome::Accepted, at(0));
            gate.learn(Outcome::Refused(403), at(0))
        });
        let told: Vec<_> = half.map(|alarm| (alarm.status, alarm.rest.is_zero())).collect();
        assert_eq!(told, [(403, true)], "the operator is told once, and nobody is stopped");
        assert!(gate.try_pass(at(1), false).unwrap().is_some());
    }

    #[tokio::test]
    async fn whoever_is_hurried_does_not_wait_for_one_that_is_silent() {
        let gate = gate(1);
        let silent_for_long = || tokio::time::sleep(Duration::from_millis(4_100));
        let lost = gate.pass(at(0), false).await.unwrap();
        assert_eq!(gate.look_for_silence(at(0)), None, "it may yet answer");
        silent_for_long().await;
        let (turned, alarm) =
            tokio::join!(gate.pass(at(0), true), async { gate.look_for_silence(at(0)) });
        assert_eq!(turned.unwrap_err(), Resting { until: at(5) });
        assert_eq!(alarm.map(|alarm| (alarm.status, alarm.rest)), Some((0, FIRST_REST)));
        lost.learn(Outcome::Failed(None), at(0));
        drop(lost);
        let probe = gate.pass(at(5), true).await.unwrap();
        let turned = gate.pass(at(5), true).await;
        assert_eq!(turned.unwrap_err(), Resting { until: at(10) }, "it goes on without the probe");
        assert_eq!(gate.resting(at(5)), Some(Resting { until: at(10) }));
        let told = gate.falls_silent();
        assert_eq!(gate.look_for_silence(at(5)), None);
        let told = tokio::time::timeout(Duration::from_millis(100), told).await;
        assert!(told.is_err(), "the probe has its time");
        silent_for_long().await;
        let alarm = gate.look_for_silence(at(5)).unwrap();
        assert_eq!(alarm.rest, FIRST_REST * 2);
        probe.learn(Outcome::Failed(None), at(5));
        drop(probe);
        let probe = gate.pass(at(15), true).await.unwrap();
        probe.learn(throttled(None), at(15));
        drop(probe);
        // It answers, if only that it is too much: the next probe is waited for again.
        let probe = gate.pass(at(60), true).await.unwrap();
        assert!(gate.try_pass(at(60), true).unwrap().is_none());
        probe.learn(Outcome::Accepted, at(60));
        drop(probe);
        assert!(gate.pass(at(60), true).await.is_ok());
    }

    #[tokio::test]
    async fn whoever_waits_is_let_in_or_turned_away() {
        let gate = gate(1);
        let first = gate.pass(at(0), false).await.unwrap();
        let (second, ()) = tokio::join!(gate.pass(at(0), false), async { drop(first) });
        drop(second.unwrap());
        let held = gate.pass(at(0), false).await.unwrap();
        let (turned, ()) = tokio::join!(gate.pass(at(0), false), async {
            held.learn(Outcome::Refused(401), at(0));
        });
        assert_eq!(turned.unwrap_err(), Resting { until: at(60) });
    }
}
