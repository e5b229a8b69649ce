//! Gates: how many messages one push service is sent at once, how many a second, and when it is left
//! alone. Each origin has its own, so that one that is slow or angry holds up nobody else's.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::Notify;

use super::outcome::Outcome;
use crate::domain::clock::Timestamp;

/// Messages under way at once with a service that has answered nothing yet. It is the number of
/// connections that may be opened before the first one has shown that it takes many messages.
const FIRST_LIMIT: f64 = 4.0;
/// Answers in a row that say "too many" before a service is left alone.
const PATIENCE: u32 = 5;
/// How long a service is left alone the first time; each probe that fails doubles it.
const FIRST_REST: TimeDelta = TimeDelta::seconds(5);
/// Refusals in a row, of a service that takes others' messages, before they mean the newsroom: more than
/// anybody makes up who subscribes with keys of somebody else's.
const REFUSALS: u32 = 100;
/// Nobody is left alone for longer without another look, whatever was asked for.
const LONGEST_REST: TimeDelta = TimeDelta::minutes(10);
/// How long a service that refuses our credentials is left alone. The fault is ours.
const REFUSED_REST: TimeDelta = TimeDelta::seconds(60);

/// The way to one push service.
#[derive(Debug)]
pub(super) struct Gate {
    most: f64,
    rate: DefaultDirectRateLimiter,
    state: Mutex<State>,
    left: Notify,
}

#[derive(Debug)]
struct State {
    /// Messages that may be under way at once: grows with success, halves when it is too many.
    limit: f64,
    /// Whether it still doubles, as it does until something goes wrong for the first time.
    doubling: bool,
    under_way: u32,
    /// Whether the limit has held a message up since nothing was under way.
    wanted: bool,
    /// Answers in a row that said "too many".
    complaints: u32,
    /// Whether it has taken a message since it refused our credentials for the last time.
    accepts: bool,
    /// Refusals since it took a message.
    refusals: u32,
    circuit: Circuit,
}

/// Whether messages pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    Closed,
    /// Nothing passes until then; after that one message, the probe.
    Open {
        until: Timestamp,
        rest: TimeDelta,
        status: u16,
    },
    /// The probe is on its way.
    Probing {
        rest: TimeDelta,
    },
}

/// A message that passed. It counts as under way for as long as this lives.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    /// How many were under way when it passed.
    pub(super) place: u32,
}

/// The service is left alone, until about then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resting {
    /// When it is worth trying again.
    pub until: Timestamp,
}

impl Gate {
    /// A gate for at most so many messages at once and a second.
    pub(super) fn new(most_at_once: u32, most_per_second: NonZeroU32) -> Self {
        let most = f64::from(most_at_once.max(1));
        Self {
            most,
            rate: DefaultDirectRateLimiter::direct(Quota::per_second(most_per_second)),
            state: Mutex::new(State {
                limit: FIRST_LIMIT.min(most),
                doubling: true,
                under_way: 0,
                wanted: false,
                complaints: 0,
                accepts: false,
                refusals: 0,
                circuit: Circuit::Closed,
            }),
            left: Notify::new(),
        }
    }

    /// Waits for a turn; fails at once while the service is left alone.
    pub(super) async fn pass(&self, now: Timestamp) -> Result<Pass<'_>, Resting> {
        let pass = loop {
            // Before the look, so that no turn that is given back in between is missed.
            let left = self.left.notified();
            if let Some(pass) = self.try_pass(now)? {
                break pass;
            }
            left.await;
        };
        self.rate.until_ready().await;
        Ok(pass)
    }

    fn try_pass(&self, now: Timestamp) -> Result<Option<Pass<'_>>, Resting> {
        let mut state = self.state();
        match state.circuit {
            Circuit::Closed if f64::from(state.under_way) >= state.limit => {
                state.wanted = true;
                return Ok(None);
            }
            Circuit::Closed => {}
            Circuit::Open { until, .. } if now < until => return Err(Resting { until }),
            Circuit::Open { rest, .. } => state.circuit = Circuit::Probing { rest },
            // Soon it is known.
            Circuit::Probing { .. } => return Ok(None),
        }
        let place = state.under_way;
        state.under_way += 1;
        Ok(Some(Pass { gate: self, place }))
    }

    /// Learns from what became of a message. Says so when the service is left alone from now on.
    pub(super) fn learn(&self, outcome: Outcome, now: Timestamp) -> Option<Alarm> {
        let mut state = self.state();
        let (turns, before) = (state.limit as u32, state.circuit);
        let alarm = match outcome {
            Outcome::Refused(status) => state.refuse(status, now),
            Outcome::Wait { status, after } => state.complain(after, status, now),
            // It found fault with the message, which says nothing of the next one.
            Outcome::Failed(Some(400..=499)) => {
                state.close();
                None
            }
            Outcome::Failed(status) => state.complain(None, status.unwrap_or_default(), now),
            Outcome::Accepted | Outcome::Gone | Outcome::TooLarge => {
                state.complaints = 0;
                if outcome == Outcome::Accepted {
                    (state.accepts, state.refusals) = (true, 0);
                }
                state.close();
                state.speed_up(self.most);
                None
            }
        };
        let (more, changed) = (state.limit as u32 > turns, state.circuit != before);
        drop(state);
        if changed {
            // Whoever waits for a turn learns that there is none for long, or that there is one again.
            self.left.notify_waiters();
        } else if more {
            self.left.notify_one();
        }
        alarm
    }

    /// Until when the service is left alone; `None` while messages pass.
    pub(super) fn resting(&self, now: Timestamp) -> Option<Resting> {
        match self.state().circuit {
            Circuit::Open { until, .. } if now < until => Some(Resting { until }),
            _ => None,
        }
    }

    /// Whether the service is left alone: nothing passes, or a probe alone.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        match self.state().circuit {
            Circuit::Closed => false,
            Circuit::Open { until, .. } => now < until,
            Circuit::Probing { .. } => true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A service is left alone from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alarm {
    /// The status that it answered last; 0 when it answered nothing.
    status: u16,
    /// For how long.
    rest: TimeDelta,
}

impl Alarm {
    /// Tells the operator, once for each time that a service is left alone.
    pub(super) fn raise(self, origin: &str) {
        let (status, seconds) = (self.status, self.rest.num_seconds());
        if matches!(status, 401 | 403) {
            tracing::error!(
                service = origin,
                status,
                seconds,
                "a push service refuses our credentials and is left alone; check the clock, push.subject and the VAPID keys"
            );
        } else {
            tracing::warn!(
                service = origin,
                status,
                seconds,
                "a push service takes no more messages and is left alone for a while"
            );
        }
    }
}

impl State {
    /// One more answer that says "too many", or none at all: fewer at once from now on, and after
    /// some in a row nothing for a while. A probe needs to say so only once.
    fn complain(&mut self, asked: Option<Duration>, status: u16, now: Timestamp) -> Option<Alarm> {
        self.doubling = false;
        self.limit = (self.limit / 2.0).max(1.0);
        self.complaints += 1;
        let rest = match self.circuit {
            Circuit::Probing { rest } => rest * 2,
            _ if self.complaints >= PATIENCE => FIRST_REST,
            _ => return None,
        };
        let asked = asked.and_then(|asked| TimeDelta::from_std(asked).ok());
        self.open(asked.map_or(rest, |asked| asked.max(rest)).min(LONGEST_REST), status, now)
    }

    /// A refusal of our credentials. One that takes others' messages refuses this one for its own sake:
    /// whoever subscribed with keys of somebody else's must not stop the alerts of everybody.
    fn refuse(&mut self, status: u16, now: Timestamp) -> Option<Alarm> {
        self.refusals += 1;
        if self.accepts && self.refusals < REFUSALS {
            self.close();
            return None;
        }
        (self.accepts, self.refusals) = (false, 0);
        self.open(REFUSED_REST, status, now)
    }

    /// Lets messages pass again if this was the probe. An answer to what was sent before the service
    /// was left alone says nothing of now.
    fn close(&mut self) {
        if let Circuit::Probing { .. } = self.circuit {
            self.circuit = Circuit::Closed;
        }
    }

    fn open(&mut self, rest: TimeDelta, status: u16, now: Timestamp) -> Option<Alarm> {
        let known = matches!(self.circuit, Circuit::Open { until, .. } if now < until);
        if known {
            return None;
        }
        self.complaints = 0;
        self.circuit = Circuit::Open { until: now + rest, rest, status };
        Some(Alarm { status, rest })
    }

    /// One more for each message at first, so that the limit doubles with every round trip; later
    /// one more for each round trip. Only while the limit is what holds messages up.
    fn speed_up(&mut self, most: f64) {
        if !self.wanted {
            return;
        }
        let step = if self.doubling { 1.0 } else { 1.0 / self.limit };
        self.limit = (self.limit + step).min(most);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.under_way -= 1;
        state.wanted &= state.under_way > 0;
        // A probe that was given up half-way has told nothing: another may go.
        if let Circuit::Probing { rest } = state.circuit
            && state.under_way == 0
        {
            state.circuit = Circuit::Open { until: DateTime::UNIX_EPOCH, rest, status: 0 };
        }
        drop(state);
        self.gate.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// How many messages pass at once before one has to wait.
    fn width(gate: &Gate, now: Timestamp) -> usize {
        let mut passes = Vec::new();
        while let Ok(Some(pass)) = gate.try_pass(now) {
            passes.push(pass);
        }
        passes.len()
    }

    /// A round trip: as many as pass at once, each ending so.
    fn round_trip(gate: &Gate, outcome: Outcome) {
        let mut passes = Vec::new();
        while let Ok(Some(pass)) = gate.try_pass(at(0)) {
            passes.push(pass);
        }
        for pass in passes {
            gate.learn(outcome, at(0));
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
        assert_eq!(alarm, Alarm { status: 429, rest: FIRST_REST });
        assert_eq!(gate.try_pass(at(4)).unwrap_err(), Resting { until: at(5) });

        let probe = gate.try_pass(at(5)).unwrap().unwrap();
        assert!(gate.try_pass(at(5)).unwrap().is_none(), "one probe at a time; others wait for it");
        let alarm = gate.learn(throttled(None), at(5)).unwrap();
        assert_eq!(alarm.rest, FIRST_REST * 2);
        drop(probe);
        assert!(gate.try_pass(at(14)).is_err());
        let probe = gate.try_pass(at(15)).unwrap().unwrap();
        gate.learn(Outcome::Accepted, at(15));
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
            assert!(gate.try_pass(at(1)).is_err(), "{straggler:?}");
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
        assert!(gate.learn(Outcome::Refused(403), at(0)).is_some(), "now it means the newsroom");
    }

    #[tokio::test]
    async fn whoever_waits_for_a_probe_follows_it() {
        let gate = gate(64);
        for _ in 0..PATIENCE {
            gate.learn(throttled(None), at(0));
        }
        let probe = gate.pass(at(5)).await.unwrap();
        let (followed, ()) = tokio::join!(gate.pass(at(5)), async {
            gate.learn(Outcome::Accepted, at(5));
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
        drop(gate.try_pass(at(5)).unwrap().unwrap());
        assert!(gate.try_pass(at(5)).unwrap().is_some());
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
        assert!(gate.try_pass(at(1)).is_err());
        let gate = self::gate(64);
        gate.learn(Outcome::Accepted, at(0));
        assert_eq!(gate.learn(Outcome::Refused(403), at(0)), None);
        assert!(gate.try_pass(at(1)).unwrap().is_some());
    }

    #[tokio::test]
    async fn whoever_waits_is_let_in_or_turned_away() {
        let gate = gate(1);
        let first = gate.pass(at(0)).await.unwrap();
        let (second, ()) = tokio::join!(gate.pass(at(0)), async { drop(first) });
        drop(second.unwrap());
        let _held = gate.pass(at(0)).await.unwrap();
        let (turned, ()) = tokio::join!(gate.pass(at(0)), async {
            gate.learn(Outcome::Refused(401), at(0));
        });
        assert_eq!(turned.unwrap_err(), Resting { until: at(60) });
    }
}
