//! The frame: what stands around every page of an edition.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use chrono_tz::Tz;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::ask::{Category, EDITIONS, Editions, Fault, Place, Reader, SITE_HEADER, SiteHeader};
use super::words::{Words, words};
use crate::domain::clock::Timestamp;
use crate::domain::local_time;
use crate::http::assets;

/// Scripts and styles of ours and nothing else; pictures from wherever editors took them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' https: http:; connect-src 'self'; worker-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

/// Everything but the letters that an address may hold as they are (RFC 3986 §2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A link.
#[derive(Debug)]
pub(super) struct Link {
    pub name: String,
    pub href: String,
    pub current: bool,
}

/// A link to another edition.
#[derive(Debug)]
pub(super) struct EditionLink {
    pub locale: String,
    pub name: String,
    pub href: String,
}

/// An instant for people and for programs.
#[derive(Debug)]
pub(super) struct At {
    pub iso: String,
    pub text: String,
}

/// Where the page's own files are.
#[derive(Debug)]
pub(super) struct Assets {
    pub style: String,
    pub icon: String,
    pub page: String,
    pub alerts: String,
}

/// What stands around every page of an edition.
#[derive(Debug)]
pub(super) struct Frame {
    pub locale: String,
    pub direction: &'static str,
    pub name: String,
    /// The town, its weather if known, the local date and time.
    pub today: String,
    pub home: String,
    pub others: Vec<EditionLink>,
    pub sections: Vec<Link>,
    pub assets: Assets,
    pub words: &'static Words,
    time_zone: Tz,
}

impl Frame {
    /// The frame of an edition; `None` where there is no such edition.
    pub(super) async fn of(reader: Reader<'_>, locale: &str) -> Result<Option<Self>, Fault> {
        let header = reader.ask::<SiteHeader>(SITE_HEADER, json!({ "locale": locale }));
        let editions = reader.ask::<Editions>(EDITIONS, json!({}));
        let (header, editions) = tokio::try_join!(header, editions)?;
        let Some(edition) = header.edition else { return Ok(None) };
        let others = editions.editions.into_iter().filter(|other| other.locale != edition.locale);
        let others = others.map(|other| EditionLink {
            href: home(&other.locale),
            name: other.name,
            locale: other.locale,
        });
        let sections = header.categories.iter().map(|category| section(&edition.locale, category));
        Ok(Some(Self {
            today: today(edition.place, &edition.local_time.formatted),
            home: home(&edition.locale),
            others: others.collect(),
            sections: sections.collect(),
            assets: Assets {
                style: assets::address("site.css"),
                icon: assets::address("icon.svg"),
                page: assets::address("site.js"),
                alerts: assets::address("alerts.js"),
            },
            words: words(&edition.locale),
            direction: if edition.direction == "RTL" { "rtl" } else { "ltr" },
            time_zone: edition.time_zone.parse().unwrap_or(Tz::UTC),
            name: edition.name,
            locale: edition.locale,
        }))
    }

    /// Where a story of this edition is.
    pub(super) fn story(&self, slug: &str) -> String {
        story(&self.locale, slug)
    }

    /// A link to the stories of a category.
    pub(super) fn section(&self, category: &Category) -> Link {
        section(&self.locale, category)
    }

    /// An instant as this edition writes it.
    pub(super) fn at(&self, at: Timestamp) -> At {
        let text = local_time::format(at, &self.locale, self.time_zone);
        let text = text.unwrap_or_else(|_| at.format("%Y-%m-%d %H:%M").to_string());
        At { iso: at.to_rfc3339(), text }
    }

    /// A link to a story as another edition tells it.
    pub(super) fn translation(&self, locale: String, href: String) -> Option<EditionLink> {
        let edition = self.others.iter().find(|other| other.locale == locale)?;
        Some(EditionLink { name: edition.name.clone(), locale, href })
    }

    /// The page that says that there is none.
    pub(super) fn not_found(&self) -> Response {
        let words = self.words;
        let page = Plain { frame: self, words, title: words.not_found, text: words.not_found_text };
        page_of(StatusCode::NOT_FOUND, &page)
    }
}

#[derive(Template)]
#[template(path = "plain.html")]
struct Plain<'a> {
    frame: &'a Frame,
    words: &'static Words,
    title: &'a str,
    text: &'a str,
}

/// Where an edition's front page is.
pub(super) fn home(locale: &str) -> String {
    format!("/{}", utf8_percent_encode(locale, SEGMENT))
}

/// Where a story is.
pub(super) fn story(locale: &str, slug: &str) -> String {
    format!("{}/{}", home(locale), utf8_percent_encode(slug, SEGMENT))
}

fn section(locale: &str, category: &Category) -> Link {
    let href = with_query(&home(locale), &[("category", &category.slug)]);
    Link { name: category.name.clone(), href, current: false }
}

/// An address with parameters behind it.
pub(super) fn with_query(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    format!("{path}?{}", query.extend_pairs(parameters).finish())
}

/// `أربيل 6°C السبت 23 تشرين الثاني 07:39`
fn today(place: Option<Place>, time: &str) -> String {
    let Some(Place { name, temperature_celsius }) = place else { return time.to_owned() };
    match temperature_celsius {
        // Adding nothing makes -0 a 0.
        Some(degrees) => format!("{name} \u{2066}{}°C\u{2069} {time}", degrees.round() + 0.0),
        None => format!("{name} {time}"),
    }
}

/// A page as it is sent: never kept without asking again, for news changes.
pub(super) fn page_of(status: StatusCode, page: &impl Template) -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-cache")];
    match page.render() {
        Ok(html) => (status, headers, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            broken()
        }
    }
}

/// For when we fail: no edition is known, so all languages are there.
pub(super) fn broken() -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
    let page = Html(include_str!("../../../web/broken.html"));
    (StatusCode::INTERNAL_SERVER_ERROR, headers, page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weather_stands_between_the_town_and_the_time() {
        let place =
            |temperature_celsius| Some(Place { name: "أربيل".into(), temperature_celsius });
        assert_eq!(today(place(Some(6.4)), "السبت"), "أربيل \u{2066}6°C\u{2069} السبت");
        assert_eq!(today(place(Some(-0.2)), "السبت"), "أربيل \u{2066}0°C\u{2069} السبت");
        assert_eq!(today(place(None), "السبت"), "أربيل السبت");
        assert_eq!(today(None, "السبت"), "السبت");
    }

    #[test]
    fn addresses_are_escaped() {
        assert_eq!(story("ar-IQ", "a/b?<"), "/ar-IQ/a%2Fb%3F%3C");
        assert_eq!(with_query("/en", &[("category", "a&b=c")]), "/en?category=a%26b%3Dc");
    }
}
