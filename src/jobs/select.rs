//! Selects whom of a page an alert reaches now, whom later, and whom not at all.

use std::collections::{BTreeSet, HashMap};

use sea_orm::DbErr;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::audience::{Delivery, Reader, Subject, Topics};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;
use crate::storage;
use crate::storage::alert_retry::Retry;
use crate::storage::alert_shard::Shard;
use crate::storage::audience::Part;

/// What decides, for one round of one alert. The same page is always selected alike, whenever and
/// by whomever, up to its reader's quiet hours.
#[derive(Debug)]
pub(super) struct Selection {
    alert_id: Uuid,
    /// Whether it is for an editor's own browser, whatever that one chose.
    test: bool,
    category_id: Uuid,
    subject: Subject,
    /// The alerts of the days before, once a page has somebody whom a cap concerns.
    earlier: OnceCell<Vec<Subject>>,
    /// How many alerts a day each edition allows itself.
    caps: HashMap<Uuid, u16>,
    /// When the round began: those who slept then are reached by a wave.
    began: Timestamp,
    expires: Timestamp,
}

/// A page as it is to be delivered.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// Whom the alert reaches now.
    pub now: Vec<Recipient>,
    /// Who fell asleep since the round began, and until when.
    pub waiting: Vec<(Retry, Timestamp)>,
    /// When those wake up who slept when it began.
    pub waves: BTreeSet<Timestamp>,
    /// How many it does not reach, by their own wish.
    pub suppressed: i64,
    /// Those whose row cannot be read.
    pub unreadable: Vec<Retry>,
    /// Up to which id the page reaches.
    pub end: i64,
    /// When it was read.
    pub read_at: Timestamp,
}

impl Selection {
    /// What decides for an alert.
    pub(super) async fn of(app: &App, alert: &Alert) -> Result<Self, DbErr> {
        let connection = app.db.connection();
        let path = storage::category::path(connection, alert.category_id).await?;
        let subject = alert.subject(path);
        Ok(Self {
            alert_id: alert.id,
            test: alert.test,
            category_id: alert.category_id,
            earlier: OnceCell::new(),
            caps: storage::edition::alert_caps(connection, &subject.editions).await?,
            began: alert.round_started_at.unwrap_or(subject.at),
            expires: alert.expires_at,
            subject,
        })
    }

    /// The next page of a shard.
    pub(super) async fn page(
        &self,
        app: &App,
        shard: &Shard,
        limit: u64,
    ) -> Result<Selected, DbErr> {
        let part = Part {
            service_id: shard.service_id,
            subject: &self.subject,
            quiet_only: shard.due_at.is_some(),
            capped: !self.caps.is_empty(),
        };
        let range = (shard.cursor, shard.last_id);
        let (connection, read_at) = (app.db.connection(), app.now());
        let page = storage::audience::page(connection, &app.vault, part, range, limit).await?;
        let mut selected = Selected { end: page.end, read_at, ..Selected::default() };
        if shard.due_at.is_none() {
            let of = |id| Retry::unsent(id, shard.service_id);
            selected.unreadable = page.unreadable.into_iter().map(of).collect();
        }
        let is_capped = page.candidates.iter().any(|(_, reader)| reader.topics.is_some());
        let earlier: &[Subject] = if is_capped {
            self.earlier
                .get_or_try_init(|| storage::audience::earlier_than(connection, self.subject.at))
                .await?
        } else {
            &[]
        };
        for (recipient, reader) in page.candidates {
            let cap = self.caps.get(&recipient.edition_id).copied();
            // Who has chosen other hours since goes by the clock: the waves go by the former ones.
            let anew = reader.quiet_since.is_some_and(|since| since > self.began);
            let at = if anew { app.now() } else { self.began };
            let delivery = reader.delivery(&self.subject, at, earlier, cap);
            match (delivery, shard.due_at) {
                (_, Some(_)) if anew => {}
                (Delivery::At(_), None) if anew => {
                    self.put(&mut selected, recipient, &reader, app.now());
                }
                (Delivery::Now, None) => self.put(&mut selected, recipient, &reader, app.now()),
                (Delivery::At(release), None) if release < self.expires => {
                    selected.waves.insert(release);
                }
                (Delivery::At(_) | Delivery::Capped, None) => selected.suppressed += 1,
                (Delivery::At(release), Some(wave)) if release == wave => {
                    self.put(&mut selected, recipient, &reader, app.now());
                }
                // The shard's first pass, or another wave, takes care of them.
                (_, Some(_)) => {}
            }
        }
        Ok(selected)
    }

    /// Whether the alert is still of the category that decided. When one is deleted its readers pass to
    /// another, and so do the alerts: what was read around that moment is to be read again.
    pub(super) async fn is_current(&self, app: &App) -> Result<bool, DbErr> {
        let now = storage::alert::category_of(app.db.connection(), self.alert_id).await?;
        Ok(now == Some(self.category_id))
    }

    /// Whether a reader whom the alert concerned has not chosen otherwise since.
    pub(super) fn concerns(&self, reader: &Reader) -> bool {
        let cover = |topics: &Topics| match self.test {
            true => self.subject.editions.contains(&topics.edition_id),
            false => topics.cover(&self.subject),
        };
        reader.topics.as_ref().is_some_and(cover)
    }

    /// Puts a reader among those who are reached now, unless quiet hours have begun meanwhile.
    fn put(&self, selected: &mut Selected, recipient: Recipient, reader: &Reader, now: Timestamp) {
        match self.held_until(reader, now) {
            None => selected.now.push(recipient),
            Some(until) if until < self.expires => {
                selected.waiting.push((Retry::untried(&recipient), until));
            }
            Some(_) => selected.suppressed += 1,
        }
    }

    /// Until when quiet hours that go on now hold the alert back.
    pub(super) fn held_until(&self, reader: &Reader, now: Timestamp) -> Option<Timestamp> {
        if self.test { None } else { reader.release(&self.subject, now) }
    }

    /// How many the rest of a shard concerns.
    pub(super) async fn count(&self, app: &App, shard: &Shard) -> Result<i64, DbErr> {
        let range = (shard.cursor, shard.last_id);
        let connection = app.db.connection();
        let count =
            storage::audience::count_of(connection, &self.subject, shard.service_id, range).await?;
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }
}
