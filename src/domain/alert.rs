//! Alerts: the decision to notify readers of one story, and the words that reach their screens.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::audience::Subject;
use super::clock::Timestamp;

/// Characters (grapheme clusters) of an alert's title.
pub const MAX_TITLE: usize = 200;
/// Characters of an alert's body.
pub const MAX_BODY: usize = 500;
/// Actions that an alert may offer: browsers show two, and one opts out.
pub const MAX_ACTIONS: usize = 1;
/// Characters of an action's title.
pub const MAX_ACTION: usize = 40;

/// How far the delivery of an alert has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlertState {
    /// Decided for later.
    Scheduled,
    /// Decided; its audience is not divided into shards yet.
    Queued,
    /// On its way.
    Sending,
    /// Every subscription has been dealt with.
    Done,
    /// Called back: whoever had not been told by then is not told.
    Cancelled,
}

impl AlertState {
    /// Every state, in order.
    pub const ALL: [Self; 5] =
        [Self::Scheduled, Self::Queued, Self::Sending, Self::Done, Self::Cancelled];

    /// The word for it in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Queued => "QUEUED",
            Self::Sending => "SENDING",
            Self::Done => "DONE",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The state behind the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether there is something left to call back.
    pub fn may_cancel(self) -> bool {
        matches!(self, Self::Scheduled | Self::Queued | Self::Sending)
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

    /// Whether devices are to be woken at once.
    pub fn is_highest(self) -> bool {
        self == Self::High
    }

    /// The urgency behind the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|urgency| urgency.as_str() == word)
    }
}

/// What readers see of an alert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// The first line of the notification.
    pub title: String,
    /// What stands under it.
    pub body: String,
}

/// A button under a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What stands on it.
    pub title: String,
    /// What it opens.
    pub url: String,
}

/// What became of an alert's messages so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that push services took.
    pub accepted: i64,
    /// Subscriptions that turned out to be gone.
    pub gone: i64,
    /// Messages that were given up.
    pub failed: i64,
    /// Messages that were not sent: the reader had had enough, or slept until it was old news.
    pub suppressed: i64,
}

impl Counts {
    /// How many subscriptions have been dealt with.
    pub fn total(self) -> i64 {
        self.accepted + self.gone + self.failed + self.suppressed
    }
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its id.
    pub id: Uuid,
    /// The story.
    pub article_id: Uuid,
    /// The story's edition.
    pub edition_id: Uuid,
    /// Readers of this category or of one above it.
    pub category_id: Uuid,
    /// Readers of these tags.
    pub tags: Vec<Uuid>,
    /// Whether it reaches those who want breaking news alone.
    pub breaking: bool,
    /// What readers of the story's edition see.
    pub words: Words,
    /// What readers of further editions see, by edition.
    pub translations: Vec<(Uuid, Words)>,
    /// A picture, as an https address.
    pub image: Option<String>,
    /// Buttons.
    pub actions: Vec<Action>,
    /// How soon devices should be woken.
    pub urgency: Urgency,
    /// How far it has come.
    pub state: AlertState,
    /// Whether it went to an editor's own browser alone.
    pub test: bool,
    /// 1, and one more with each correction.
    pub round: i32,
    /// About how many subscriptions it concerns; 0 until that is reckoned, when it is on its way.
    pub audience: i64,
    /// What became of its messages.
    pub counts: Counts,
    /// How often the story was opened from it.
    pub clicked: i64,
    /// When it was decided.
    pub created_at: Timestamp,
    /// When it is to be sent, if not at once.
    pub scheduled_at: Option<Timestamp>,
    /// When its delivery began.
    pub started_at: Option<Timestamp>,
    /// When its latest round began, or was begun again by a replay.
    pub round_started_at: Option<Timestamp>,
    /// How many earlier rounds had dealt with.
    pub dealt_before: i64,
    /// How many had been dealt with when its latest round began, or was begun again.
    pub dealt_at_start: i64,
    /// When it stops being news.
    pub expires_at: Timestamp,
    /// When every subscription had been dealt with.
    pub finished_at: Option<Timestamp>,
}

/// What is open of an alert's delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Whether it has not come to everybody yet for the first time.
    pub first_pass: bool,
    /// When the quiet hours end of those who slept when it began.
    pub waves: Vec<Timestamp>,
}

impl Ahead {
    /// When the last of those wake who sleep still; `None` when nobody does. Whoever fell asleep since is
    /// tried again then.
    pub fn held_back_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.waves.iter().copied().filter(|wave| *wave > now).max()
    }

    /// Whether there are readers to whom it is to be sent now.
    pub fn is_moving(&self, now: Timestamp) -> bool {
        self.first_pass || self.waves.iter().any(|wave| *wave <= now)
    }
}

impl Alert {
    /// What decides whom it concerns. `category_path` is its category and all above it.
    pub fn subject(&self, category_path: Vec<Uuid>) -> Subject {
        Subject {
            editions: self.editions(),
            category_path,
            tags: self.tags.clone(),
            breaking: self.breaking,
            at: self.started_at.unwrap_or(self.created_at),
        }
    }

    /// The editions whose readers it has words for.
    pub fn editions(&self) -> Vec<Uuid> {
        let further = self.translations.iter().map(|(edition, _)| *edition);
        std::iter::once(self.edition_id).chain(further).collect()
    }

    /// What readers of an edition see.
    pub fn words_for(&self, edition_id: Uuid) -> &Words {
        let of = |(edition, _): &&(Uuid, Words)| *edition == edition_id;
        self.translations.iter().find(of).map_or(&self.words, |(_, words)| words)
    }

    /// About how many subscriptions have yet to be dealt with in this round.
    pub fn queued(&self) -> i64 {
        match self.state {
            AlertState::Done | AlertState::Cancelled => 0,
            _ => (self.audience + self.dealt_before - self.counts.total()).max(0),
        }
    }

    /// Subscriptions dealt with a second since the round began, or was begun again.
    pub fn per_second(&self, now: Timestamp) -> Option<f64> {
        let took = self.finished_at.unwrap_or(now) - self.round_started_at?;
        let seconds = took.to_std().ok()?.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
        let dealt_with = (self.counts.total() - self.dealt_at_start).max(0) as f64;
        (seconds > 0.0).then(|| dealt_with / seconds)
    }

    /// When the round will be done if it goes on like this and nobody is tried again; `None` when that cannot
    /// be told.
    pub fn estimated_done_at(&self, now: Timestamp, ahead: &Ahead) -> Option<Timestamp> {
        let moving = ahead.is_moving(now).then(|| self.goes_on_until(now)).flatten();
        let ends = moving.max(ahead.held_back_until(now));
        ends.filter(|_| self.state == AlertState::Sending)
    }

    /// When all that is queued will be dealt with at this rate.
    fn goes_on_until(&self, now: Timestamp) -> Option<Timestamp> {
        let rate = self.per_second(now).filter(|rate| *rate > 0.0)?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more digits")]
        let seconds = self.queued() as f64 / rate;
        let left = std::time::Duration::try_from_secs_f64(seconds).ok()?;
        let left = chrono::TimeDelta::from_std(left).ok()?;
        now.checked_add_signed(left)
    }

    /// What replaces an earlier message that still waits at the push service (RFC 8030 §5.4), and
    /// the notification on the reader's screen: 22 characters from the story's id.
    pub fn topic(&self) -> String {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.article_id.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert_message::tests::alert;

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
    fn the_end_is_foreseen_by_the_rate_and_by_who_sleeps() {
        let began: Timestamp = "2024-11-23T06:00:00Z".parse().unwrap();
        let after = |seconds| began + chrono::TimeDelta::seconds(seconds);
        let counts = Counts { accepted: 100, ..Counts::default() };
        let (state, round_started_at) = (AlertState::Sending, Some(began));
        let alert = alert("خبر", "نص");
        let alert = Alert { state, round_started_at, counts, audience: 400, ..alert };
        let ends =
            |first_pass, waves| alert.estimated_done_at(after(10), &Ahead { first_pass, waves });
        assert_eq!(ends(true, Vec::new()), Some(after(40)), "300 more, 10 a second");
        assert_eq!(ends(true, vec![after(3_600)]), Some(after(3_600)));
        assert_eq!(ends(false, vec![after(3_600)]), Some(after(3_600)));
        assert_eq!(ends(false, vec![after(5)]), Some(after(40)), "a wave that is on its way");
        assert_eq!(ends(false, Vec::new()), None, "nothing is left but what is tried again");
    }

    #[test]
    fn whoever_is_awake_by_now_holds_nothing_back() {
        let at =
            |minute: u32| format!("2024-11-23T06:{minute:02}:00Z").parse::<Timestamp>().unwrap();
        let ahead = Ahead { first_pass: false, waves: vec![at(15), at(45), at(30)] };
        assert_eq!((ahead.held_back_until(at(0)), ahead.is_moving(at(0))), (Some(at(45)), false));
        assert_eq!((ahead.held_back_until(at(30)), ahead.is_moving(at(30))), (Some(at(45)), true));
        assert_eq!((ahead.held_back_until(at(50)), ahead.is_moving(at(50))), (None, true));
    }
}
