//! Alerts: the decision to notify readers of one story, and the words that reach their screens.

use serde::Serialize;
use uuid::Uuid;

use super::clock::Timestamp;
use super::edition::Direction;
use super::text;

/// Characters (grapheme clusters) of an alert's title.
pub const MAX_TITLE: usize = 200;
/// Characters of an alert's body.
pub const MAX_BODY: usize = 500;
/// Bytes of a payload before it is sealed (RFC 8291 §4).
pub const MAX_PAYLOAD: usize = 3_993;
/// Bytes of a payload for a push service that finds the first one too large.
pub const SHORT_PAYLOAD: usize = 1_500;

/// How far the delivery of an alert has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertState {
    /// Decided; its audience is not divided into shards yet.
    Queued,
    /// On its way.
    Sending,
    /// Every subscription has been dealt with.
    Done,
}

impl AlertState {
    /// Every state, in order.
    pub const ALL: [Self; 3] = [Self::Queued, Self::Sending, Self::Done];

    /// The word for it in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Sending => "SENDING",
            Self::Done => "DONE",
        }
    }

    /// The state behind the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// How soon a push service should wake a device (RFC 8030 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Urgency {
    /// When on power and Wi-Fi.
    VeryLow,
    /// When on either.
    Low,
    /// As soon as the device does something anyway.
    Normal,
    /// At once, on a low battery too.
    High,
}

impl Urgency {
    /// Every urgency, least first.
    pub const ALL: [Self; 4] = [Self::VeryLow, Self::Low, Self::Normal, Self::High];

    /// The value of the `Urgency` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VeryLow => "very-low",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    /// The urgency behind the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|urgency| urgency.as_str() == word)
    }
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its id.
    pub id: Uuid,
    /// The story.
    pub article_id: Uuid,
    /// Readers of this edition.
    pub edition_id: Uuid,
    /// Readers of this category or of one above it.
    pub category_id: Uuid,
    /// Whether it reaches those who want breaking news alone.
    pub breaking: bool,
    /// The first line of the notification.
    pub title: String,
    /// What stands under it.
    pub body: String,
    /// How far it has come.
    pub state: AlertState,
    /// How soon devices should be woken.
    pub urgency: Urgency,
    /// Messages that push services took.
    pub accepted: i64,
    /// Subscriptions that turned out to be gone.
    pub gone: i64,
    /// Messages that were given up when the alert expired.
    pub failed: i64,
    /// When it was decided.
    pub created_at: Timestamp,
    /// When it stops being news.
    pub expires_at: Timestamp,
}

impl Alert {
    /// What replaces an earlier message that still waits at the push service (RFC 8030 §5.4): 22
    /// characters from the story's id.
    pub fn topic(&self) -> String {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.article_id.as_bytes())
    }

    /// The message as Declarative Web Push writes it, in at most `limit` bytes. Browsers that do not
    /// know the form hand it to the service worker, which finds the same words in it.
    pub fn payload(&self, story: &StoryLink<'_>, limit: usize) -> Result<Vec<u8>, serde_json::Error> {
        let mut room = limit;
        loop {
            let payload = serde_json::to_vec(&self.message(story, room))?;
            if payload.len() <= limit || room == 0 {
                return Ok(payload);
            }
            room = room.saturating_sub(payload.len() - limit + 8);
        }
    }

    /// The message with its words cut to about `room` bytes: first the body, then the title.
    fn message<'a>(&'a self, story: &StoryLink<'a>, room: usize) -> Message<'a> {
        let title = cut(&self.title, room);
        let body = cut(&self.body, room.saturating_sub(title.len()));
        Message {
            web_push: 8030,
            notification: Notification {
                title,
                body,
                navigate: story.url,
                lang: story.locale,
                dir: story.direction.as_str(),
                tag: self.topic(),
            },
            alert: self.id,
        }
    }
}

/// Where a story is found and how it is written.
#[derive(Debug, Clone, Copy)]
pub struct StoryLink<'a> {
    /// Its canonical address.
    pub url: &'a str,
    /// The edition's locale.
    pub locale: &'a str,
    /// Which way it runs.
    pub direction: Direction,
}

#[derive(Serialize)]
struct Message<'a> {
    web_push: u16,
    notification: Notification<'a>,
    alert: Uuid,
}

#[derive(Serialize)]
struct Notification<'a> {
    title: String,
    body: String,
    navigate: &'a str,
    lang: &'a str,
    dir: &'a str,
    tag: String,
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STORY: StoryLink<'_> =
        StoryLink { url: "https://news.example/ar-IQ/x", locale: "ar-IQ", direction: Direction::Rtl };

    fn alert(title: &str, body: &str) -> Alert {
        Alert {
            id: Uuid::from_u128(1),
            article_id: Uuid::from_u128(2),
            edition_id: Uuid::from_u128(3),
            category_id: Uuid::from_u128(4),
            breaking: false,
            title: title.to_owned(),
            body: body.to_owned(),
            state: AlertState::Queued,
            urgency: Urgency::Normal,
            accepted: 0,
            gone: 0,
            failed: 0,
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_message_is_declarative_web_push() {
        let payload = alert("خبر عاجل", "نص").payload(&STORY, MAX_PAYLOAD).unwrap();
        let message: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(message["web_push"], 8030);
        let expected = serde_json::json!({
            "title": "خبر عاجل", "body": "نص", "navigate": STORY.url, "lang": "ar-IQ", "dir": "rtl",
            "tag": "AAAAAAAAAAAAAAAAAAAAAg",
        });
        assert_eq!(message["notification"], expected);
    }

    #[test]
    fn words_have_their_own_words() {
        for state in AlertState::ALL {
            assert_eq!(AlertState::from_word(state.as_str()), Some(state));
        }
        for urgency in Urgency::ALL {
            assert_eq!(Urgency::from_word(urgency.as_str()), Some(urgency));
        }
    }

    #[test]
    fn the_body_is_cut_before_the_title() {
        let long = alert("عنوان", &"كلمة ".repeat(2_000));
        let payload = long.payload(&STORY, SHORT_PAYLOAD).unwrap();
        let message: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(message["notification"]["title"], "عنوان");
        assert!(message["notification"]["body"].as_str().unwrap().ends_with('…'));
        assert!(payload.len() > SHORT_PAYLOAD / 2);
    }

    proptest! {
        #[test]
        fn any_message_fits(title in "\\PC{0,300}", body in "(\\PC|\"|\\\\|\n){0,3000}") {
            let payload = alert(&title, &body).payload(&STORY, MAX_PAYLOAD).unwrap();
            prop_assert!(payload.len() <= MAX_PAYLOAD);
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&payload).is_ok());
        }
    }
}
