//! The pace of one push service: how many messages it is sent at once, and when it is left alone, by what
//! it answers.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};

use super::outcome::Outcome;
use super::silence::Silence;
use crate::domain::clock::Timestamp;

/// Messages under way at once with a service that has answered nothing yet.
const FIRST_LIMIT: f64 = 4.0;
/// Answers in a row that say "too many" before a service is left alone.
pub(super) const PATIENCE: u32 = 5;
/// How long a service is left alone the first time; each probe that fails doubles it.
pub(super) const FIRST_REST: TimeDelta = TimeDelta::seconds(5);
/// Refusals in a row, of a service that takes others' messages, before they mean the newsroom: more than
/// anybody makes up who subscribes with keys of somebody else's.
pub(super) const REFUSALS: u32 = 100;
/// Nobody is left alone for longer without another look, whatever was asked for.
pub(super) const LONGEST_REST: TimeDelta = TimeDelta::minutes(10);
/// How long a service that refuses our credentials is left alone. The fault is ours.
const REFUSED_REST: TimeDelta = TimeDelta::seconds(60);

/// What is known of one push service.
#[derive(Debug)]
pub(super) struct Pace {
    most: f64,
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
    /// Refusals of which the operator was not told, since when, and when the operator was told of others.
    untold: u32,
    untold_since: Timestamp,
    told_at: Timestamp,
    /// Whether it has ever taken a message: whoever subscribes may make up hosts that never will.
    proven: bool,
    circuit: Circuit,
    silence: Silence,
    /// Whether it was left alone for its silence, and has answered nothing since.
    silent: bool,
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

/// The service is left alone, until about then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resting {
    /// When it is worth trying again.
    pub until: Timestamp,
}

/// A message that may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begun {
    /// Whether it is the one that finds out whether a service that was left alone takes messages again.
    pub(super) probe: bool,
    /// When.
    pub(super) at: Instant,
}

/// What an answer changed for those who wait for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Same,
    /// There is one more turn.
    More,
    /// There is none for long, or there are turns again.
    Other,
}

impl Pace {
    /// Of a service that has answered nothing yet, for at most so many messages at once.
    pub(super) fn new(most_at_once: u32) -> Self {
        let most = f64::from(most_at_once.max(1));
        Self {
            most,
            limit: FIRST_LIMIT.min(most),
            doubling: true,
            under_way: 0,
            wanted: false,
            complaints: 0,
            accepts: false,
            refusals: 0,
            untold: 0,
            untold_since: DateTime::UNIX_EPOCH,
            told_at: DateTime::UNIX_EPOCH,
            proven: false,
            circuit: Circuit::Closed,
            silence: Silence::default(),
            silent: false,
        }
    }

    /// Lets a message pass; `None` when it has to wait. One that is `hurried`, for others would wait with it,
    /// does not wait for a probe of a service that has fallen silent.
    pub(super) fn begin(
        &mut self,
        now: Timestamp,
        hurried: bool,
    ) -> Result<Option<Begun>, Resting> {
        match self.circuit {
            Circuit::Closed if f64::from(self.under_way) >= self.limit => {
                self.wanted = true;
                return Ok(None);
            }
            Circuit::Closed => {}
            Circuit::Open { until, .. } if now < until => return Err(Resting { until }),
            Circuit::Open { rest, .. } => {
                self.circuit = Circuit::Probing { rest };
                self.silence.end();
            }
            Circuit::Probing { .. } => {
                // Soon it is known, unless it was silent.
                return self.resting(now).filter(|_| hurried).map_or(Ok(None), Err);
            }
        }
        let at = Instant::now();
        self.silence.begin(at);
        self.under_way += 1;
        Ok(Some(Begun { probe: self.circuit != Circuit::Closed, at }))
    }

    /// A message is under way no more.
    pub(super) fn end(&mut self, begun: Begun) {
        self.under_way -= 1;
        self.wanted &= self.under_way > 0;
        if self.under_way == 0 {
            self.silence.end();
        }
        // A probe that was given up half-way has told nothing: another may go.
        if let Circuit::Probing { rest } = self.circuit
            && begun.probe
        {
            self.circuit = Circuit::Open { until: DateTime::UNIX_EPOCH, rest, status: 0 };
        }
    }

    /// Learns from what became of a message. Says so when the service is left alone from now on.
    pub(super) fn learn(
        &mut self,
        begun: Begun,
        outcome: Outcome,
        now: Timestamp,
    ) -> (Option<Alarm>, Turn) {
        self.proven |= outcome == Outcome::Accepted;
        if outcome != Outcome::Failed(None) {
            self.silence.hear(begun.at, Instant::now());
            self.silent = false;
        }
        if self.circuit != Circuit::Closed && !begun.probe {
            // What was sent before the service was left alone says nothing of now.
            return (None, Turn::Same);
        }
        let (turns, before) = (self.limit as u32, self.circuit);
        let alarm = match outcome {
            Outcome::Refused(status) => self.refuse(status, now),
            Outcome::Wait { status, after } => self.complain(after, status, now),
            // It found fault with the message, which says nothing of the next one.
            Outcome::Failed(Some(400..=499)) => {
                self.close();
                None
            }
            Outcome::Failed(status) => self.complain(None, status.unwrap_or_default(), now),
            Outcome::Accepted | Outcome::Gone | Outcome::TooLarge => {
                self.complaints = 0;
                if outcome == Outcome::Accepted {
                    (self.accepts, self.refusals) = (true, 0);
                }
                self.close();
                self.speed_up();
                None
            }
        };
        let turn = match self.limit as u32 > turns {
            _ if self.circuit != before => Turn::Other,
            true => Turn::More,
            false => Turn::Same,
        };
        (alarm, turn)
    }

    /// Leaves a service alone that has answered nothing for longer than there is a reason for. Says so when it
    /// is from now on.
    pub(super) fn look_for_silence(&mut self, now: Timestamp) -> Option<Alarm> {
        let rest = match self.circuit {
            Circuit::Open { .. } => return None,
            Circuit::Closed => FIRST_REST,
            Circuit::Probing { rest } => (rest * 2).min(LONGEST_REST),
        };
        if !self.silence.is_long(Instant::now()) {
            return None;
        }
        self.silent = true;
        self.open(rest, 0, now)
    }

    /// Whether it is left alone for its silence. A probe has its time.
    pub(super) fn rests_for_silence(&self) -> bool {
        self.silent && matches!(self.circuit, Circuit::Open { .. })
    }

    /// Until when the service is left alone; `None` while messages pass, or wait for a probe that they may wait
    /// for.
    pub(super) fn resting(&self, now: Timestamp) -> Option<Resting> {
        match self.circuit {
            Circuit::Open { until, .. } if now < until => Some(Resting { until }),
            Circuit::Probing { .. } if self.silent => Some(Resting { until: now + FIRST_REST }),
            _ => None,
        }
    }

    /// Whether it has ever taken a message.
    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Whether the service is left alone: nothing passes, or a probe alone.
    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        match self.circuit {
            Circuit::Closed => false,
            Circuit::Open { until, .. } => now < until,
            Circuit::Probing { .. } => true,
        }
    }

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
            // Readers of one VAPID key perhaps, among those of another whose messages are taken.
            if now - self.untold_since > LONGEST_REST {
                (self.untold, self.untold_since) = (0, now);
            }
            self.untold += 1;
            if self.untold < REFUSALS || now - self.told_at < LONGEST_REST {
                return None;
            }
            (self.untold, self.told_at) = (0, now);
            return Some(Alarm { status, rest: TimeDelta::zero() });
        }
        (self.accepts, self.refusals) = (false, 0);
        self.open(REFUSED_REST, status, now)
    }

    /// Lets messages pass again.
    fn close(&mut self) {
        self.circuit = Circuit::Closed;
    }

    fn open(&mut self, rest: TimeDelta, status: u16, now: Timestamp) -> Option<Alarm> {
        self.complaints = 0;
        self.circuit = Circuit::Open { until: now + rest, rest, status };
        Some(Alarm { status, rest })
    }

    /// One more for each message at first, so that the limit doubles with every round trip; later
    /// one more for each round trip. Only while the limit is what holds messages up.
    fn speed_up(&mut self) {
        if !self.wanted {
            return;
        }
        let step = if self.doubling { 1.0 } else { 1.0 / self.limit };
        self.limit = (self.limit + step).min(self.most);
    }
}

/// A service is left alone from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alarm {
    /// The status that it answered last; 0 when it answered nothing.
    pub(super) status: u16,
    /// For how long; zero when it is not, though it refuses some.
    pub(super) rest: TimeDelta,
}

impl Alarm {
    /// Tells the operator: once for each time that a service is left alone, and every ten minutes at most that
    /// it refuses many.
    pub(super) fn raise(self, origin: &str) {
        let (status, seconds) = (self.status, self.rest.num_seconds());
        if self.rest.is_zero() {
            tracing::error!(
                service = origin,
                status,
                "a push service refuses our credentials for many messages and takes others; check the VAPID keys: khabar keys status"
            );
        } else if matches!(status, 401 | 403) {
            tracing::error!(
                service = origin,
                status,
                seconds,
                "a push service refuses our credentials and is left alone; check the clock, push.subject and the VAPID keys"
            );
        } else if status == 0 {
            tracing::warn!(
                service = origin,
                seconds,
                "a push service does not answer and is left alone for a while; check that its name resolves here and that TLS to it opens"
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
