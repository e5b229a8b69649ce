//! Editions: the language editions of the site.

use chrono_tz::Tz;
use icu_locale_core::Locale;
use uuid::Uuid;

/// Languages that are usually written from right to left, and the scripts that are.
const RTL_LANGUAGES: [&str; 12] =
    ["ar", "ckb", "dv", "fa", "he", "pnb", "ps", "sd", "syr", "ug", "ur", "yi"];
const RTL_SCRIPTS: [&str; 5] = ["Arab", "Hebr", "Nkoo", "Syrc", "Thaa"];

/// Which way a text runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Left to right.
    Ltr,
    /// Right to left.
    Rtl,
}

impl Direction {
    /// The word for it: the value of HTML's `dir` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ltr => "ltr",
            Self::Rtl => "rtl",
        }
    }

    /// The direction of a locale's usual script.
    pub fn of_locale(tag: &str) -> Self {
        let Ok(locale) = tag.parse::<Locale>() else { return Self::Ltr };
        let rtl = match locale.id.script {
            Some(script) => RTL_SCRIPTS.contains(&script.as_str()),
            None => RTL_LANGUAGES.contains(&locale.id.language.as_str()),
        };
        if rtl { Self::Rtl } else { Self::Ltr }
    }

    /// The direction behind the word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "ltr" => Some(Self::Ltr),
            "rtl" => Some(Self::Rtl),
            _ => None,
        }
    }
}

/// The town an edition is at home in.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// As its readers call it.
    pub name: String,
    /// Degrees north (WGS 84).
    pub latitude: f64,
    /// Degrees east (WGS 84).
    pub longitude: f64,
}

/// A language edition.
#[derive(Debug, Clone, PartialEq)]
pub struct Edition {
    /// Its id.
    pub id: Uuid,
    /// BCP 47, such as `ar-IQ`; unique.
    pub locale: String,
    /// Shown to readers.
    pub name: String,
    /// Which way its text runs.
    pub direction: Direction,
    /// IANA time zone.
    pub time_zone: Tz,
    /// Where it is at home.
    pub place: Option<Place>,
    /// How many alerts a day its readers get at most, breaking news apart if they let it through.
    pub alerts_per_day: Option<u16>,
}

/// A BCP 47 tag in its canonical form: `AR-iq` becomes `ar-IQ`. `None` when it is not well formed.
pub fn canonical_locale(tag: &str) -> Option<String> {
    tag.parse::<Locale>().ok().map(|locale| locale.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_follows_the_script_else_the_language() {
        let rtl = |tag| Direction::of_locale(tag) == Direction::Rtl;
        assert!(rtl("ar-IQ") && rtl("ckb") && rtl("ku-Arab-IQ"));
        assert!(!rtl("en") && !rtl("ku") && !rtl("uz-Latn") && !rtl("no tag"));
    }

    #[test]
    fn locales_are_canonical() {
        assert_eq!(canonical_locale("AR-iq").as_deref(), Some("ar-IQ"));
        assert_eq!(canonical_locale("ckb-IQ").as_deref(), Some("ckb-IQ"));
        assert_eq!(canonical_locale("not a locale"), None);
    }
}
