//! The date and time as a locale writes it, by CLDR through ICU4X.

use chrono::{Datelike, Timelike};
use chrono_tz::Tz;
use icu_calendar::Gregorian;
use icu_datetime::fieldsets::{E, MD, T};
use icu_datetime::input::{Date, DateTime, Time};
use icu_datetime::{DateTimeFormatterPreferences, FixedCalendarDateTimeFormatter};
use icu_locale_core::Locale;
use icu_locale_core::extensions::unicode::Value;
use icu_locale_core::preferences::extensions::unicode::keywords::{HourCycle, NumberingSystem};
use icu_locale_core::subtags::subtag;

use super::clock::Timestamp;

/// Weekday, day, month and time, with Latin digits and a 24-hour clock: for `ar-IQ`,
/// `السبت 23 تشرين الثاني 07:39`.
///
/// The parts are formatted one by one and joined by spaces, since CLDR's own joined pattern puts a
/// comma behind the weekday.
pub fn format(at: Timestamp, locale: &str, time_zone: Tz) -> anyhow::Result<String> {
    let local = at.with_timezone(&time_zone);
    // The calendar repeats itself every 400 years, weekdays included, and no year is written: so
    // those that ICU does not know, such as 10000 in Baghdad while it is 9999 in UTC, are no matter.
    let date = Date::try_new_gregorian(
        2_000 + local.year().rem_euclid(400),
        u8::try_from(local.month())?,
        u8::try_from(local.day())?,
    )?;
    let time = Time::try_new(u8::try_from(local.hour())?, u8::try_from(local.minute())?, 0, 0)?;
    let prefs = preferences(locale)?;

    let weekday = FixedCalendarDateTimeFormatter::<Gregorian, _>::try_new(prefs, E::long())?;
    let day = FixedCalendarDateTimeFormatter::<Gregorian, _>::try_new(prefs, MD::long())?;
    let clock = FixedCalendarDateTimeFormatter::<Gregorian, _>::try_new(prefs, T::hm())?;
    Ok(format!(
        "{} {} {}",
        weekday.format(&date),
        day.format(&date),
        clock.format(&DateTime { date, time })
    ))
}

fn preferences(locale: &str) -> anyhow::Result<DateTimeFormatterPreferences> {
    let locale: Locale = locale.parse()?;
    let mut prefs = DateTimeFormatterPreferences::from(&locale);
    prefs.numbering_system =
        NumberingSystem::try_from(Value::from_subtag(Some(subtag!("latn")))).ok();
    prefs.hour_cycle = Some(HourCycle::H23);
    Ok(prefs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erbil(locale: &str) -> String {
        let at = "2024-11-23T04:39:00Z".parse().unwrap();
        format(at, locale, chrono_tz::Asia::Baghdad).unwrap()
    }

    #[test]
    fn each_locale_writes_its_own_way() {
        assert_eq!(erbil("ar-IQ"), "السبت 23 تشرين الثاني 07:39");
        assert_eq!(erbil("en"), "Saturday November 23 07:39");
        assert_eq!(erbil("ckb-IQ"), "شەممە تشرینی دووەم 23 07:39");
    }

    #[test]
    fn the_years_do_not_end() {
        let written = |at: &str| format(at.parse().unwrap(), "en", chrono_tz::Asia::Baghdad);
        assert_eq!(written("9999-12-31T23:30:00Z").unwrap(), "Saturday January 1 02:30");
        assert_eq!(written("2024-02-29T00:00:00Z").unwrap(), "Thursday February 29 03:00");
        assert!(written("0001-01-01T00:00:00Z").unwrap().starts_with("Monday January 1 "));
    }

    #[test]
    fn a_broken_locale_is_an_error() {
        assert!(
            format("2024-11-23T04:39:00Z".parse().unwrap(), "not a locale", chrono_tz::UTC)
                .is_err()
        );
    }
}
