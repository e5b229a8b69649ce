//! Audiences: whom an alert concerns, and when it may reach them.
//!
//! How often a reader was alerted lately is reckoned, not counted: alerts are few, and which of them
//! concerned a reader follows from what the reader chose. So a cap costs no write a recipient.

use chrono::TimeDelta;
use uuid::Uuid;

use super::clock::Timestamp;
use super::quiet_hours::QuietHours;

/// What a cap is reckoned over.
pub const CAP_SPAN: TimeDelta = TimeDelta::hours(24);

/// What a reader wants to hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topics {
    /// The edition.
    pub edition_id: Uuid,
    /// These categories and what is below them.
    pub categories: Vec<Uuid>,
    /// Stories with one of these tags.
    pub tags: Vec<Uuid>,
    /// Breaking news alone.
    pub breaking_only: bool,
}

impl Topics {
    /// Whether no topic was chosen: then every story of the edition concerns the reader.
    pub fn are_all(&self) -> bool {
        self.categories.is_empty() && self.tags.is_empty()
    }

    /// Whether an alert concerns the reader.
    pub fn cover(&self, subject: &Subject) -> bool {
        let chosen = |chosen: &[Uuid], of: &[Uuid]| of.iter().any(|one| chosen.contains(one));
        subject.editions.contains(&self.edition_id)
            && (subject.breaking || !self.breaking_only)
            && (self.are_all()
                || chosen(&self.categories, &subject.category_path)
                || chosen(&self.tags, &subject.tags))
    }
}

/// When a reader may be alerted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manners {
    /// Not in these hours.
    pub quiet: Option<QuietHours>,
    /// No more than so many alerts in 24 hours.
    pub max_per_day: Option<u16>,
    /// Breaking news comes whatever the hour and the count.
    pub breaking_always: bool,
}

impl Manners {
    /// Whether other hours are quiet by these.
    pub fn is_quiet_otherwise(&self, than: &Self) -> bool {
        (self.quiet, self.breaking_always) != (than.quiet, than.breaking_always)
    }
}

/// What decides whom an alert concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The editions whose readers are told.
    pub editions: Vec<Uuid>,
    /// The story's category and all above it.
    pub category_path: Vec<Uuid>,
    /// The story's tags.
    pub tags: Vec<Uuid>,
    /// Whether it is breaking news.
    pub breaking: bool,
    /// When it was sent out.
    pub at: Timestamp,
}

/// A reader whom an alert concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// When the reader may be alerted.
    pub manners: Manners,
    /// Since when these hours are quiet, if they have been others.
    pub quiet_since: Option<Timestamp>,
    /// What the reader chose; needed only where there is a cap.
    pub topics: Option<Topics>,
    /// Since when the reader has been subscribed.
    pub since: Timestamp,
}

/// Whether and when an alert may reach a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// At once.
    Now,
    /// When the reader's quiet hours end.
    At(Timestamp),
    /// Never: the reader has had as many as the reader wanted.
    Capped,
}

impl Reader {
    /// Whether an alert that concerns the reader may be delivered at an instant.
    ///
    /// `earlier` are the alerts of the span before it, oldest first; `cap` is the edition's own.
    pub fn delivery(
        &self,
        subject: &Subject,
        at: Timestamp,
        earlier: &[Subject],
        cap: Option<u16>,
    ) -> Delivery {
        if subject.breaking && self.manners.breaking_always {
            return Delivery::Now;
        }
        if let Some(cap) = self.cap(cap)
            && self.received(subject.at, earlier, cap) >= usize::from(cap)
        {
            return Delivery::Capped;
        }
        match self.release(subject, at) {
            Some(release) => Delivery::At(release),
            None => Delivery::Now,
        }
    }

    /// When the quiet hours that hold an alert back end; `None` outside of them.
    pub fn release(&self, subject: &Subject, at: Timestamp) -> Option<Timestamp> {
        if subject.breaking && self.manners.breaking_always {
            return None;
        }
        let release = self.manners.quiet?.release(at);
        (release > at).then_some(release)
    }

    /// The stricter of the reader's own cap and the edition's.
    fn cap(&self, edition: Option<u16>) -> Option<u16> {
        match (self.manners.max_per_day, edition) {
            (Some(own), Some(edition)) => Some(own.min(edition)),
            (own, edition) => own.or(edition),
        }
    }

    /// How many alerts have reached the reader in the span before an instant.
    fn received(&self, before: Timestamp, earlier: &[Subject], cap: u16) -> usize {
        let Some(topics) = &self.topics else { return 0 };
        let mut received: Vec<Timestamp> = Vec::new();
        let within = |since: Timestamp, had: &[Timestamp]| {
            had.iter().filter(|at| **at > since - CAP_SPAN).count()
        };
        for subject in earlier {
            let concerns = subject.at >= self.since && subject.at < before && topics.cover(subject);
            let passes = subject.breaking && self.manners.breaking_always;
            if concerns && (passes || within(subject.at, &received) < usize::from(cap)) {
                received.push(subject.at);
            }
        }
        within(before, &received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Tz;

    const NOON: &str = "2024-11-23T09:00:00Z";

    fn at(hours: i64) -> Timestamp {
        NOON.parse::<Timestamp>().unwrap() + TimeDelta::hours(hours)
    }

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn subject(hours: i64) -> Subject {
        Subject {
            editions: vec![id(1), id(2)],
            category_path: vec![id(10), id(11)],
            tags: vec![id(20)],
            breaking: false,
            at: at(hours),
        }
    }

    fn topics() -> Topics {
        Topics { edition_id: id(1), ..Topics::default() }
    }

    /// What comes of an alert at its own time.
    fn outcome(reader: &Reader, of: &Subject, earlier: &[Subject], cap: Option<u16>) -> Delivery {
        reader.delivery(of, of.at, earlier, cap)
    }

    fn reader(manners: Manners) -> Reader {
        Reader { manners, quiet_since: None, topics: Some(topics()), since: at(-1_000) }
    }

    #[test]
    fn topics_cover_what_was_chosen_and_nothing_else() {
        let subject = subject(0);
        assert!(topics().cover(&subject));
        assert!(!Topics { edition_id: id(3), ..topics() }.cover(&subject));
        assert!(!Topics { breaking_only: true, ..topics() }.cover(&subject));
        assert!(
            Topics { breaking_only: true, ..topics() }
                .cover(&Subject { breaking: true, ..subject.clone() })
        );
        for (categories, tags, expected) in [
            (vec![id(11)], vec![], true),
            (vec![id(12)], vec![], false),
            (vec![], vec![id(20)], true),
            (vec![], vec![id(21)], false),
            (vec![id(12)], vec![id(20)], true),
        ] {
            let chosen = Topics { categories, tags, ..topics() };
            assert_eq!(chosen.cover(&subject), expected, "{chosen:?}");
        }
    }

    #[test]
    fn a_cap_counts_what_came_in_the_last_day() {
        let reader = reader(Manners { max_per_day: Some(2), ..Manners::default() });
        let earlier: Vec<Subject> = [-30, -10, -5].map(subject).into();
        assert_eq!(outcome(&reader, &subject(0), &earlier[..2], None), Delivery::Now);
        assert_eq!(outcome(&reader, &subject(0), &earlier, None), Delivery::Capped);
        assert_eq!(
            outcome(&reader, &subject(15), &earlier, None),
            Delivery::Now,
            "the first is old"
        );
    }

    #[test]
    fn what_a_cap_kept_away_does_not_count() {
        let reader = reader(Manners { max_per_day: Some(1), ..Manners::default() });
        let earlier: Vec<Subject> = [-30, -20].map(subject).into();
        assert_eq!(outcome(&reader, &subject(0), &earlier, None), Delivery::Now);
    }

    #[test]
    fn alerts_from_before_the_reader_came_or_about_other_things_do_not_count() {
        let mut newcomer = reader(Manners { max_per_day: Some(1), ..Manners::default() });
        newcomer.since = at(-1);
        assert_eq!(outcome(&newcomer, &subject(0), &[subject(-2)], None), Delivery::Now);
        let other = Subject { editions: vec![id(9)], ..subject(-1) };
        let reader = reader(Manners { max_per_day: Some(1), ..Manners::default() });
        assert_eq!(outcome(&reader, &subject(0), &[other], None), Delivery::Now);
    }

    #[test]
    fn the_stricter_cap_holds_and_zero_means_none() {
        let reader = |max_per_day| reader(Manners { max_per_day, ..Manners::default() });
        let earlier = [subject(-1)];
        assert_eq!(outcome(&reader(None), &subject(0), &earlier, Some(1)), Delivery::Capped);
        assert_eq!(outcome(&reader(Some(5)), &subject(0), &earlier, Some(1)), Delivery::Capped);
        assert_eq!(outcome(&reader(Some(1)), &subject(0), &earlier, Some(5)), Delivery::Capped);
        assert_eq!(outcome(&reader(Some(0)), &subject(0), &[], None), Delivery::Capped);
    }

    #[test]
    fn the_night_is_quiet_unless_breaking_news_was_let_through() {
        let quiet = QuietHours::new(22 * 60, 7 * 60, Tz::Asia__Baghdad);
        let night = subject(13);
        let breaking = Subject { breaking: true, ..night.clone() };
        let asleep = reader(Manners { quiet, ..Manners::default() });
        assert_eq!(outcome(&asleep, &night, &[], None), Delivery::At(at(19)));
        assert_eq!(outcome(&asleep, &breaking, &[], None), Delivery::At(at(19)));
        assert_eq!(outcome(&asleep, &subject(0), &[], None), Delivery::Now);
        let awake = reader(Manners { quiet, breaking_always: true, max_per_day: Some(0) });
        assert_eq!(outcome(&awake, &breaking, &[], None), Delivery::Now);
        assert_eq!(outcome(&awake, &night, &[], None), Delivery::Capped);
    }
}
