//! Silence: how long a push service may answer nothing before nobody waits for it who has messages for
//! others as well.

use std::time::{Duration, Instant};

/// How long one may take that has never answered: names are looked up and connections opened meanwhile.
const FIRST: Duration = Duration::from_secs(2);
/// How long one may take at least, and at most, whatever it took before.
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(5);
/// How many times as long as its slowest answer of late one may take.
const TIMES: u32 = 4;

/// What was heard of one push service.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Since when nothing is heard though something is under way.
    since: Option<Instant>,
    /// How long its answers take, those that took longest of late.
    slowest: Option<Duration>,
}

impl Silence {
    /// A message sets out, while so many are under way already.
    pub(super) fn begin(&mut self, now: Instant, under_way: u32) {
        if under_way == 0 {
            self.since = Some(now);
        }
    }

    /// An answer came to what set out then.
    pub(super) fn hear(&mut self, began: Instant, now: Instant) {
        let took = now.duration_since(began);
        let before = self.slowest.unwrap_or_default();
        self.slowest = Some(took.max(before - before / 64));
        self.since = self.since.map(|since| since.max(now));
    }

    /// Nothing is under way any more.
    pub(super) fn end(&mut self) {
        self.since = None;
    }

    /// Whether it has lasted longer than there is a reason for.
    pub(super) fn is_long(&self, now: Instant) -> bool {
        let patience = self.slowest.map_or(FIRST, |slowest| (slowest * TIMES).clamp(LEAST, MOST));
        self.since.is_some_and(|since| now.duration_since(since) > patience)
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
        silence.begin(began, 0);
        silence.begin(after(1_900), 1);
        assert!(!silence.is_long(after(2_000)) && silence.is_long(after(2_001)));
        silence.hear(began, after(500));
        assert!(!silence.is_long(after(2_500)) && silence.is_long(after(2_501)));
        for millis in 500..1_000 {
            silence.hear(after(millis), after(millis + 10));
        }
        assert!(!silence.is_long(after(2_009)) && silence.is_long(after(2_010)), "it is fast now");
        silence.end();
        assert!(!silence.is_long(after(60_000)));
    }
}
