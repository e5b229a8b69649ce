//! Chooses the edition that content from elsewhere goes to.

use icu_locale_core::Locale;

use crate::app::App;
use crate::domain::edition::{self, Edition};
use crate::domain::failure::{Failure, Rejection};
use crate::storage;

/// Why none was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// There is no edition of the locale, or none of the language.
    EditionNotFound,
    /// Several editions are of the language.
    EditionUnclear,
}

/// The edition of a locale; when none is asked for, the only one of the content's language.
pub async fn choose_edition(
    app: &App,
    locale: Option<&str>,
    language: Option<&str>,
) -> Result<Edition, Failure<Code>> {
    let editions = storage::edition::all(app.db.connection()).await?;
    let listed: Vec<_> = editions.iter().map(|edition| edition.locale.as_str()).collect();
    let listed = match listed.join(", ") {
        none if none.is_empty() => {
            "there are none yet; make one: khabar edition create LOCALE --name NAME".to_owned()
        }
        some => format!("there are {some}"),
    };
    let reject = |code, message: String| Err(Rejection::at("edition", code, message).into());
    if let Some(locale) = locale {
        let wanted = edition::canonical_locale(locale).unwrap_or_else(|| locale.to_owned());
        return match editions.into_iter().find(|edition| edition.locale == wanted) {
            Some(edition) => Ok(edition),
            None => {
                reject(Code::EditionNotFound, format!("there is no edition {wanted}; {listed}"))
            }
        };
    }
    let Some(language) = language else {
        let message = format!("the content names no language; choose an edition: {listed}");
        return reject(Code::EditionUnclear, message);
    };
    let canonical = edition::canonical_locale(language);
    let exact = editions.iter().find(|e| Some(&e.locale) == canonical.as_ref());
    let alike: Vec<_> = editions.iter().filter(|e| speaks(&e.locale, language)).collect();
    match (exact, alike.as_slice()) {
        (Some(edition), _) => Ok(edition.clone()),
        (None, [edition]) => Ok((*edition).clone()),
        (None, []) => reject(
            Code::EditionNotFound,
            format!("no edition is in the content's language, {language}; {listed}"),
        ),
        (None, _) => reject(
            Code::EditionUnclear,
            format!("several editions are in {language}; choose one: {listed}"),
        ),
    }
}

/// Whether a locale is of the language that a tag names.
fn speaks(locale: &str, tag: &str) -> bool {
    match (locale.parse::<Locale>(), tag.parse::<Locale>()) {
        (Ok(locale), Ok(tag)) => locale.id.language == tag.id.language,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_compared_without_their_regions() {
        assert!(speaks("ar-IQ", "ar"));
        assert!(speaks("en", "en-US"));
        assert!(!speaks("ckb-IQ", "ku"));
        assert!(!speaks("ar-IQ", "not a tag"));
    }
}
