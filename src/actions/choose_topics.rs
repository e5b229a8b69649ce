//! What a reader wants to hear of, and when: parsed alike when opting in and when choosing anew.

use std::collections::{BTreeSet, HashSet};

use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use crate::app::App;
use crate::domain::audience::{Delivery, Manners, Reader, Topics};
use crate::domain::failure::{Failure, Faults, FieldCode, Rejection};
use crate::domain::push_subscription::MAX_TOPICS;
use crate::domain::quiet_hours::{QuietHours, STEP_MINUTES, parse_time};
use crate::storage;
use crate::storage::alert_retry::Retry;
use crate::storage::push_subscription::Stored;

/// Alerts a day that can be asked for at most.
const MOST_PER_DAY: i32 = 1_000;

/// What a reader chose. What is absent stays as it was.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The edition's locale.
    pub locale: Option<String>,
    /// These categories and what is below them; what took the place of one that is gone.
    pub categories: Option<Vec<Uuid>>,
    /// Stories with one of these tags.
    pub tags: Option<Vec<Uuid>>,
    /// Breaking news alone.
    pub breaking_only: Option<bool>,
    /// When alerts are held back; `Some(None)` for never.
    pub quiet_hours: Option<Option<Quiet>>,
    /// No more than so many alerts in 24 hours; `Some(None)` for as many as there are.
    pub max_per_day: Option<Option<i32>>,
    /// Breaking news comes whatever the hour and the count.
    pub breaking_always: Option<bool>,
}

/// Quiet hours as they are written.
#[derive(Debug, Clone)]
pub struct Quiet {
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`.
    pub until: String,
    /// IANA name.
    pub time_zone: String,
}

/// Puts what a reader chose in place of what the reader chose before.
pub(super) async fn choose_anew(
    app: &App,
    connection: &impl ConnectionTrait,
    old: &Stored,
    (topics, manners): (&Topics, &Manners),
) -> Result<(), DbErr> {
    if manners.is_quiet_otherwise(&old.manners) {
        wake(app, connection, old, topics).await?;
    }
    storage::push_subscription::choose(connection, old, topics, manners, app.now()).await
}

/// Takes a reader whose quiet hours change out of the waves that come when the former ones end: what
/// they hold back, and the reader still wants, is tried by itself, now or when the new ones end.
async fn wake(
    app: &App,
    connection: &impl ConnectionTrait,
    old: &Stored,
    topics: &Topics,
) -> Result<(), DbErr> {
    let ahead = storage::alert_shard::ahead_of(connection, (old.service_id, old.id)).await?;
    if ahead.is_empty() {
        return Ok(());
    }
    let edition_id = old.topics.edition_id;
    let caps = storage::edition::alert_caps(connection, &[edition_id]).await?;
    let cap = caps.get(&edition_id).copied();
    let reader = Reader {
        manners: old.manners,
        quiet_since: old.quiet_since,
        topics: Some(old.topics.clone()),
        since: old.created_at,
    };
    for (alert_id, ends) in ahead {
        let Some(alert) = storage::alert::by_id(connection, alert_id).await? else { continue };
        let began = alert.round_started_at.unwrap_or(alert.created_at);
        // The first pass looks at the new hours by itself; and an earlier change woke the reader.
        let is_awake = old.quiet_since.is_some_and(|since| since > began);
        if ends.contains(&None) || is_awake {
            continue;
        }
        let path = storage::category::path(connection, alert.category_id).await?;
        let subject = alert.subject(path);
        if !(old.topics.cover(&subject) && topics.cover(&subject)) {
            continue;
        }
        let earlier = match cap.or(old.manners.max_per_day) {
            Some(_) => storage::audience::earlier_than(connection, subject.at).await?,
            None => Vec::new(),
        };
        if let Delivery::At(end) = reader.delivery(&subject, began, &earlier, cap)
            && ends.contains(&Some(end))
        {
            let retry = vec![(Retry::unsent(old.id, old.service_id), app.now())];
            storage::alert_retry::insert_all(connection, alert_id, retry).await?;
        }
    }
    Ok(())
}

/// What can be wrong with a choice besides its fields' form.
pub(super) trait ChoiceCodes: From<FieldCode> {
    /// There is no edition of this locale.
    const EDITION_NOT_FOUND: Self;
    /// There is no such category.
    const CATEGORY_NOT_FOUND: Self;
    /// There is no such tag.
    const TAG_NOT_FOUND: Self;
}

impl Choice {
    /// The choice made on top of an earlier one. Finds every fault.
    pub(super) async fn over<C: ChoiceCodes>(
        &self,
        connection: &impl ConnectionTrait,
        (mut topics, mut manners): (Topics, Manners),
    ) -> Result<(Topics, Manners), Failure<C>> {
        let mut faults = Faults::default();
        if let Some(locale) = &self.locale {
            match storage::edition::by_locale(connection, locale).await? {
                Some(edition) => topics.edition_id = edition.id,
                None => {
                    let message = format!("there is no edition {locale}");
                    faults.push(Rejection::at("locale", C::EDITION_NOT_FOUND, message));
                }
            }
        }
        if let Some(chosen) = &self.categories {
            let ids = distinct("categories", chosen, &mut faults);
            // Browsers go on asking for what their readers chose when they opted in.
            let held = storage::category_successor::hold(connection, &ids).await?;
            let known = held.keys().copied().collect();
            for at in unknown("categories", (chosen, &ids), &known) {
                faults.push(Rejection::at(&at, C::CATEGORY_NOT_FOUND, "there is no such category"));
            }
            topics.categories = BTreeSet::from_iter(held.into_values()).into_iter().collect();
        }
        if let Some(chosen) = &self.tags {
            topics.tags = distinct("tags", chosen, &mut faults);
            let known = storage::tag::by_ids(connection, &topics.tags).await?;
            let known = known.into_iter().map(|tag| tag.id).collect();
            for at in unknown("tags", (chosen, &topics.tags), &known) {
                faults.push(Rejection::at(&at, C::TAG_NOT_FOUND, "there is no such tag"));
            }
        }
        topics.breaking_only = self.breaking_only.unwrap_or(topics.breaking_only);
        manners.breaking_always = self.breaking_always.unwrap_or(manners.breaking_always);
        if let Some(quiet) = &self.quiet_hours {
            manners.quiet = quiet.as_ref().and_then(|quiet| parse_quiet(quiet, &mut faults));
        }
        if let Some(most) = self.max_per_day {
            manners.max_per_day = most.and_then(|most| faults.take(parse_most(most)));
        }
        faults.check()?;
        Ok((topics, manners))
    }
}

/// The ids without repetition; none when they are more than the limit.
fn distinct<C: From<FieldCode>>(field: &str, ids: &[Uuid], faults: &mut Faults<C>) -> Vec<Uuid> {
    if ids.len() > MAX_TOPICS {
        let message = format!("holds {} items; at most {MAX_TOPICS} are allowed", ids.len());
        faults.push(Rejection::at(field, FieldCode::TooLong.into(), message));
        return Vec::new();
    }
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Where those among the chosen ids that were looked for stand and are not known.
fn unknown(
    field: &str,
    (chosen, looked_for): (&[Uuid], &[Uuid]),
    known: &HashSet<Uuid>,
) -> Vec<String> {
    let is_unknown = |(_, id): &(usize, &Uuid)| looked_for.contains(id) && !known.contains(id);
    let all = chosen.iter().enumerate();
    all.filter(is_unknown).map(|(number, _)| format!("{field}.{number}")).collect()
}

fn parse_quiet<C: From<FieldCode>>(quiet: &Quiet, faults: &mut Faults<C>) -> Option<QuietHours> {
    let zone = quiet.time_zone.parse::<Tz>().map_err(|_| {
        let message = "must be an IANA time zone such as Asia/Baghdad";
        Rejection::invalid("quietHours.timeZone", message)
    });
    let zone = faults.take(zone);
    let mut time = |field: &str, text: &str| {
        let on_a_step = |minutes: &u16| minutes.is_multiple_of(STEP_MINUTES);
        let time = parse_time(text).filter(on_a_step).ok_or_else(|| {
            let message = "must be a time of day on a quarter of an hour, such as 22:00";
            Rejection::invalid(&format!("quietHours.{field}"), message)
        });
        faults.take(time)
    };
    let (from, until) = (time("from", &quiet.from), time("until", &quiet.until));
    let hours = QuietHours::new(from?, until?, zone?).ok_or_else(|| {
        Rejection::invalid("quietHours.until", "must be another time than the beginning")
    });
    faults.take(hours)
}

fn parse_most<C: From<FieldCode>>(most: i32) -> Result<u16, Rejection<C>> {
    u16::try_from(most).ok().filter(|_| (1..=MOST_PER_DAY).contains(&most)).ok_or_else(|| {
        let message =
            format!("must lie between 1 and {MOST_PER_DAY}; opt out to hear of nothing at all");
        Rejection::invalid("maxPerDay", message)
    })
}
