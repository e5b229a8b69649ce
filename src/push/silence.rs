//! Silence: how long a push service may answer nothing before nobody waits for it who has messages for
//! others as well.

use std::time::{Duration, Instant};

/// How long one may take that has not answered for a while: names are looked up and connections opened.
const FIRST: Duration = Duration::from_secs(4);
/// How long one may take at least, and at most, whatever it took before.
const LEAST: Duration = Duration::from_secs(2);
const MOST: Duration = Duration::from_secs(5);
/// For how long it counts what an answer took: connections are closed that nobody uses.
const LATELY: Duration = Duration::from_secs(60);
/// How many times as long as its slowest answer of late one may take.
const TIMES: u32 = 4;

/// What was heard of one push service.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Since when nothing is heard though something is under way.
    since: Option<Instant>,
    /// How long its answers take, those that took longest of late, and when the last one came.
    slowest: Option<(Duration, Instant)>,
}

impl Silence {
    /// A message sets out.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// An answer came to what set out then.
    pub(super) fn hear(&mut self, began: Instant, now: Instant) {
        let took = now.duration_since(began);
        let before = self.lately(now).unwrap_or_default();
        self.slowest = Some((took.max(before - before / 64), now));
        self.since = self.since.map(|since| since.max(now));
    }

    /// Nothing is under way any more, or nothing that counts.
    pub(super) fn end(&mut self) {
        self.since = None;
    }

    /// Whether it has lasted longer than there is a reason for.
    pub(super) fn is_long(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| {
            let slowest = self.lately(since);
            let patience = slowest.map_or(FIRST, |slowest| (slowest * TIMES).clamp(LEAST, MOST));
            now.duration_since(since) > patience
        })
    }

    fn lately(&self, now: Instant) -> Option<Duration> {
        let (slowest, at) = self.slowest?;
        (now.duration_since(at) < LATELY).then_some(slowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_take_as_long_as_it_has_done() {
        let began = Instant::now();
        let after = |millis| began + Duration::from_millis(millis);
        let mut silence = Silence::default();
        assert!(!silence.is_long(after(60_000)), "nothing is asked");
        silence.begin(began);
        silence.begin(after(1_900));
        assert!(!silence.is_long(after(4_000)) && silence.is_long(after(4_001)));
        silence.hear(began, after(1_000));
        assert!(!silence.is_long(after(5_000)) && silence.is_long(after(5_001)));
        for millis in 1_000..1_500 {
            silence.hear(after(millis), after(millis + 10));
        }
        assert!(!silence.is_long(after(3_509)) && silence.is_long(after(3_510)), "it is fast now");
        silence.end();
        assert!(!silence.is_long(after(60_000)));
        silence.begin(after(90_000));
        assert!(!silence.is_long(after(94_000)), "its connections may have to be opened again");
    }
}
