//! Quiet hours: when a reader does not want to be woken, by the reader's own clock.

use chrono::{LocalResult, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;

use super::clock::Timestamp;

/// Quiet hours begin and end on these minutes of an hour, so that few moments release many readers.
pub const STEP_MINUTES: u16 = 15;
/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A span of every day in a time zone. It may run over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: u16,
    until: u16,
    time_zone: Tz,
}

impl QuietHours {
    /// From one time of day up to another, in minutes after midnight.
    ///
    /// `None` when the two are the same, are no times of a day, or do not lie on a quarter of an
    /// hour.
    pub fn new(from: u16, until: u16, time_zone: Tz) -> Option<Self> {
        let is_time = |minutes: u16| minutes < DAY && minutes.is_multiple_of(STEP_MINUTES);
        (is_time(from) && is_time(until) && from != until).then_some(Self {
            from,
            until,
            time_zone,
        })
    }

    /// When they begin, in minutes after midnight.
    pub fn from(self) -> u16 {
        self.from
    }

    /// When they end, in minutes after midnight.
    pub fn until(self) -> u16 {
        self.until
    }

    /// By whose clock.
    pub fn time_zone(self) -> Tz {
        self.time_zone
    }

    /// When a message may be delivered: at once outside the quiet hours, else at their end.
    ///
    /// An end that the clocks skip in spring comes as soon as they go on; one that comes twice in
    /// autumn counts the first time it lies ahead.
    pub fn release(self, at: Timestamp) -> Timestamp {
        let local = at.with_timezone(&self.time_zone).naive_local();
        let minute = local.hour() * 60 + local.minute();
        let (from, until) = (u32::from(self.from), u32::from(self.until));
        let over_midnight = from > until;
        let quiet = if over_midnight {
            minute >= from || minute < until
        } else {
            (from..until).contains(&minute)
        };
        if !quiet {
            return at;
        }
        let days = u64::from(over_midnight && minute >= from);
        let date = local.date() + chrono::Days::new(days);
        let ends = date.and_time(time(until));
        self.instant(ends, at)
    }

    fn instant(self, local: NaiveDateTime, after: Timestamp) -> Timestamp {
        match self.time_zone.from_local_datetime(&local) {
            LocalResult::Single(ends) => ends.to_utc(),
            LocalResult::Ambiguous(first, second) => {
                if first.to_utc() > after {
                    first.to_utc()
                } else {
                    second.to_utc()
                }
            }
            LocalResult::None => {
                let step = TimeDelta::minutes(i64::from(STEP_MINUTES));
                self.instant(local + step, after)
            }
        }
    }
}

fn time(minutes: u32) -> NaiveTime {
    NaiveTime::from_num_seconds_from_midnight_opt(minutes * 60, 0).unwrap_or_default()
}

/// A time of day as `HH:MM`, in minutes after midnight.
pub fn parse_time(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes): (u16, u16) = (digits(hours) && digits(minutes))
        .then(|| Some((hours.parse().ok()?, minutes.parse().ok()?)))
        .flatten()?;
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// Minutes after midnight as `HH:MM`.
pub fn format_time(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn release(from: &str, until: &str, zone: Tz, at: &str) -> String {
        let quiet =
            QuietHours::new(parse_time(from).unwrap(), parse_time(until).unwrap(), zone).unwrap();
        quiet.release(at.parse().unwrap()).format("%Y-%m-%dT%H:%MZ").to_string()
    }

    #[test]
    fn a_night_holds_back_until_the_morning_by_the_readers_clock() {
        let night = |at| release("22:00", "07:00", Tz::Asia__Baghdad, at);
        assert_eq!(night("2024-11-23T18:59:00Z"), "2024-11-23T18:59Z", "21:59 in Baghdad");
        assert_eq!(night("2024-11-23T19:00:00Z"), "2024-11-24T04:00Z");
        assert_eq!(night("2024-11-23T23:30:00Z"), "2024-11-24T04:00Z");
        assert_eq!(night("2024-11-24T03:59:00Z"), "2024-11-24T04:00Z");
        assert_eq!(night("2024-11-24T04:00:00Z"), "2024-11-24T04:00Z");
        let noon = |at| release("12:00", "14:15", Tz::America__New_York, at);
        assert_eq!(noon("2024-11-23T17:30:00Z"), "2024-11-23T19:15Z");
        assert_eq!(noon("2024-11-23T19:15:00Z"), "2024-11-23T19:15Z");
    }

    #[test]
    fn changes_of_the_clock_neither_wake_nor_swallow() {
        // In Berlin 02:00 becomes 03:00 on 2024-03-31, and 03:00 becomes 02:00 on 2024-10-27.
        let spring = |at| release("22:00", "02:30", Tz::Europe__Berlin, at);
        assert_eq!(spring("2024-03-30T23:00:00Z"), "2024-03-31T01:00Z");
        let autumn = |at| release("22:00", "02:30", Tz::Europe__Berlin, at);
        assert_eq!(autumn("2024-10-26T23:00:00Z"), "2024-10-27T00:30Z");
        assert_eq!(
            autumn("2024-10-27T01:10:00Z"),
            "2024-10-27T01:30Z",
            "02:10 for the second time"
        );
    }

    #[test]
    fn only_quarters_of_an_hour_are_taken() {
        for (from, until) in [(0, 0), (60, 60), (1440, 60), (7, 60), (60, 61)] {
            assert_eq!(QuietHours::new(from, until, Tz::UTC), None, "{from} {until}");
        }
    }

    #[test]
    fn times_of_day_are_read_and_written() {
        for (text, minutes) in [("00:00", Some(0)), ("23:45", Some(1_425)), ("07:05", Some(425))] {
            assert_eq!(parse_time(text), minutes);
            assert_eq!(minutes.map(format_time).as_deref(), Some(text));
        }
        for bad in ["", "7:00", "24:00", "12:60", "+1:00", "12:00:00", "١٢:٠٠", "noon"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_release_is_never_quiet_and_never_far(
            from in 0..96_u16, until in 0..96_u16, second in 0..2_000_000_000_i64, zone in 0..590_usize,
        ) {
            prop_assume!(from != until);
            let zone = chrono_tz::TZ_VARIANTS[zone];
            let quiet = QuietHours::new(from * 15, until * 15, zone).unwrap();
            let at = Timestamp::from_timestamp(second, 0).unwrap();
            let released = quiet.release(at);
            prop_assert!(released >= at);
            // A day of quiet hours, and what clocks have ever been put back or forward by.
            prop_assert!(released - at <= TimeDelta::hours(49), "{}", released - at);
        }
    }
}
