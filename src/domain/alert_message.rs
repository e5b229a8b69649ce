//! Alert messages: the bytes that are sealed for a browser, one form for every reader of an edition
//! but for the link that opts out.
//!
//! The form is Declarative Web Push
//! (<https://github.com/WebKit/explainers/tree/main/DeclarativeWebPush>). Browsers that do not know
//! it hand the same bytes to the service worker.

use serde::Serialize;
use url::Url;
use uuid::Uuid;

use super::alert::{Action, Alert};
use super::edition::Edition;
use super::text;

/// Bytes of a payload before it is sealed (RFC 8291 §4).
pub const MAX_PAYLOAD: usize = 3_993;
/// Bytes of a payload for a push service that finds the first one too large.
pub const SHORT_PAYLOAD: usize = 1_500;
/// Characters of an opt-out token.
pub const OPT_OUT_TOKEN: usize = 32;

/// Stands in for the opt-out token while a form is made: letters that no text holds by chance.
const PLACE: &str = "@opt-out-token-stands-in-here-32";

/// A message with a place for each reader's opt-out token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Form {
    /// The message of an alert for readers of an edition, in at most `limit` bytes: the body is cut
    /// first, then the title. The picture and the buttons go before a word is cut.
    ///
    /// `site` is what the newsroom is called from outside.
    pub fn new(
        alert: &Alert,
        edition: &Edition,
        site: &Url,
        limit: usize,
    ) -> Result<Self, serde_json::Error> {
        let whole = serde_json::to_vec(&message(alert, edition, site, usize::MAX))?;
        if whole.len() <= limit {
            return Ok(Self::split(&whole));
        }
        let plain = Alert { image: None, actions: Vec::new(), ..alert.clone() };
        let mut room = limit;
        loop {
            let payload = serde_json::to_vec(&message(&plain, edition, site, room))?;
            if payload.len() <= limit || room == 0 {
                return Ok(Self::split(&payload));
            }
            room = room.saturating_sub(payload.len() - limit + 8);
        }
    }

    fn split(payload: &[u8]) -> Self {
        let place = payload.windows(PLACE.len()).rposition(|window| window == PLACE.as_bytes());
        let place = place.unwrap_or(payload.len());
        let after = payload.get(place + PLACE.len()..).unwrap_or_default();
        Self { before: payload[..place].to_vec(), after: after.to_vec() }
    }

    /// The message for the reader of a token.
    pub fn with(&self, opt_out_token: &str) -> Vec<u8> {
        [&self.before, opt_out_token.as_bytes(), &self.after].concat()
    }

    /// The message as an editor looks at it: that of no reader.
    pub fn sample(&self) -> Vec<u8> {
        self.with(&"x".repeat(OPT_OUT_TOKEN))
    }
}

/// Where a reader lands who opens an alert: it counts, and leads on to the story.
pub fn open_url(site: &Url, alert_id: Uuid, locale: &str) -> String {
    format!("{site}alerts/{}/{locale}", alert_id.simple())
}

/// Where a reader opts out.
fn opt_out_url(site: &Url) -> String {
    format!("{site}alerts/opt-out/{PLACE}")
}

/// The message with its words cut to about `room` bytes: first the body, then the title.
fn message(alert: &Alert, edition: &Edition, site: &Url, room: usize) -> Message {
    let words = alert.words_for(edition.id);
    let title = cut(&words.title, room);
    let body = cut(&words.body, room.saturating_sub(title.len()));
    let actions = alert.actions.iter().enumerate().map(|(number, Action { title, url })| Button {
        action: format!("action-{number}"),
        title: title.clone(),
        navigate: url.clone(),
    });
    let opt_out = Button {
        action: "opt-out".to_owned(),
        title: opt_out_title(&edition.locale).to_owned(),
        navigate: opt_out_url(site),
    };
    Message {
        web_push: 8030,
        notification: Notification {
            title,
            body,
            navigate: open_url(site, alert.id, &edition.locale),
            lang: edition.locale.clone(),
            dir: edition.direction.as_str(),
            tag: alert.topic(),
            image: alert.image.clone(),
            actions: actions.chain([opt_out]).collect(),
        },
        alert: alert.id,
    }
}

/// What the button says that opts out.
fn opt_out_title(locale: &str) -> &'static str {
    match locale.split('-').next() {
        Some("ar") => "إيقاف الإشعارات",
        Some("ckb") => "ڕاگرتنی ئاگادارییەکان",
        Some("ku" | "kmr") => "Agahdariyan rawestîne",
        _ => "Stop alerts",
    }
}

#[derive(Serialize)]
struct Message {
    web_push: u16,
    notification: Notification,
    alert: Uuid,
}

#[derive(Serialize)]
struct Notification {
    title: String,
    body: String,
    navigate: String,
    lang: String,
    dir: &'static str,
    tag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    actions: Vec<Button>,
}

#[derive(Serialize)]
struct Button {
    action: String,
    title: String,
    navigate: String,
}

/// The beginning of a text in at most `bytes` bytes, cut between characters as people count them.
fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    // Each character takes one byte at least: so many cannot be too few.
    let mut characters = bytes;
    loop {
        let short = text::shorten(text, characters);
        if short.len() <= bytes || characters == 0 {
            return if characters == 0 { String::new() } else { short };
        }
        characters -= (short.len() - bytes).div_ceil(4).min(characters);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::alert::{AlertState, Counts, Urgency, Words};
    use crate::domain::clock::Timestamp;
    use crate::domain::edition::Direction;
    use proptest::prelude::*;

    fn edition(number: u128, locale: &str) -> Edition {
        Edition {
            id: Uuid::from_u128(number),
            locale: locale.to_owned(),
            name: "خبر".to_owned(),
            direction: if locale == "en" { Direction::Ltr } else { Direction::Rtl },
            time_zone: chrono_tz::UTC,
            place: None,
            alerts_per_day: None,
        }
    }

    fn site() -> Url {
        "https://news.example/".parse().unwrap()
    }

    pub(crate) fn alert(title: &str, body: &str) -> Alert {
        Alert {
            id: Uuid::from_u128(1),
            article_id: Uuid::from_u128(2),
            edition_id: Uuid::from_u128(3),
            category_id: Uuid::from_u128(4),
            tags: Vec::new(),
            breaking: false,
            words: Words { title: title.to_owned(), body: body.to_owned() },
            translations: Vec::new(),
            image: None,
            actions: Vec::new(),
            urgency: Urgency::Normal,
            state: AlertState::Queued,
            test: false,
            round: 1,
            audience: 0,
            counts: Counts::default(),
            clicked: 0,
            created_at: Timestamp::UNIX_EPOCH,
            scheduled_at: None,
            started_at: None,
            round_started_at: None,
            dealt_before: 0,
            dealt_at_start: 0,
            expires_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
        }
    }

    fn payload(alert: &Alert, edition: &Edition, limit: usize) -> Vec<u8> {
        Form::new(alert, edition, &site(), limit).unwrap().with(&"t".repeat(OPT_OUT_TOKEN))
    }

    fn read(payload: &[u8]) -> serde_json::Value {
        serde_json::from_slice(payload).unwrap()
    }

    #[test]
    fn the_message_is_declarative_web_push() {
        let mut alert = alert("خبر عاجل", "نص");
        alert.image = Some("https://news.example/a.jpg".to_owned());
        let video =
            Action { title: "فيديو".to_owned(), url: "https://news.example/v".to_owned() };
        alert.actions = vec![video];
        let message = read(&payload(&alert, &edition(3, "ar-IQ"), MAX_PAYLOAD));
        assert_eq!(message["web_push"], 8030);
        let opt_out = format!("https://news.example/alerts/opt-out/{}", "t".repeat(32));
        let expected = serde_json::json!({
            "title": "خبر عاجل", "body": "نص", "lang": "ar-IQ", "dir": "rtl",
            "navigate": "https://news.example/alerts/00000000000000000000000000000001/ar-IQ",
            "tag": "AAAAAAAAAAAAAAAAAAAAAg", "image": "https://news.example/a.jpg",
            "actions": [
                { "action": "action-0", "title": "فيديو", "navigate": "https://news.example/v" },
                { "action": "opt-out", "title": "إيقاف الإشعارات", "navigate": opt_out },
            ],
        });
        assert_eq!(message["notification"], expected);
    }

    #[test]
    fn each_edition_reads_its_own_words() {
        let mut alert = alert("خبر", "نص");
        let english = Words { title: "News".to_owned(), body: "Text".to_owned() };
        alert.translations = vec![(Uuid::from_u128(5), english)];
        let message = read(&payload(&alert, &edition(5, "en"), MAX_PAYLOAD));
        assert_eq!(message["notification"]["title"], "News");
        assert_eq!(message["notification"]["dir"], "ltr");
        assert_eq!(message["notification"]["actions"][0]["title"], "Stop alerts");
    }

    #[test]
    fn the_body_is_cut_before_the_title_and_the_picture_before_both() {
        let mut long = alert("عنوان", &"كلمة ".repeat(2_000));
        long.image = Some("https://news.example/a.jpg".to_owned());
        let payload = payload(&long, &edition(3, "ar-IQ"), SHORT_PAYLOAD);
        let notification = read(&payload)["notification"].clone();
        assert_eq!(notification["title"], "عنوان");
        assert!(notification["body"].as_str().unwrap().ends_with('…'));
        assert!(notification.get("image").is_none());
        assert!(payload.len() > SHORT_PAYLOAD / 2);
    }

    proptest! {
        #[test]
        fn any_message_fits(title in "\\PC{0,300}", body in "(\\PC|\"|\\\\|\n){0,3000}") {
            let payload = payload(&alert(&title, &body), &edition(3, "ar-IQ"), MAX_PAYLOAD);
            prop_assert!(payload.len() <= MAX_PAYLOAD);
            prop_assert!(read(&payload)["notification"]["actions"][0]["navigate"].is_string());
        }
    }
}
