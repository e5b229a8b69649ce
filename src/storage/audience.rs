//! Whom an alert concerns, read in the order of subscription ids.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
};
use uuid::Uuid;

use super::browser::recipient;
use super::entities::push_subscription::{COLUMN, Column, Entity, Model};
use super::entities::{alert, push_subscription_category, push_subscription_tag};
use super::push_subscription::{manners, topics};
use super::{Vault, category, id_ranges};
use crate::domain::alert::Alert;
use crate::domain::audience::{CAP_SPAN, Reader, Subject};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;

/// Ranges of ids that are counted at most; of more, so many are looked at.
const SAMPLES: usize = 100;
/// Ids in each of them.
const SAMPLE: i64 = 1_000;
/// So many ranges are not told apart from all there are.
const MANY: u64 = 2_000;

/// A subscription that an alert concerns: where it is sent, and when it may be.
pub type Candidate = (Recipient, Reader);

/// Which part of an audience is read.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Those of this push service.
    pub service_id: i32,
    /// What the alert is about.
    pub subject: &'a Subject,
    /// Those alone who have quiet hours.
    pub quiet_only: bool,
    /// Whether an edition caps its alerts: then what each reader chose is read as well, which is
    /// otherwise needed for those alone who have a cap of their own.
    pub capped: bool,
}

/// A page of an audience.
#[derive(Debug, Default)]
pub struct Page {
    /// Whom the alert concerns, in order of their ids.
    pub candidates: Vec<Candidate>,
    /// Subscriptions whose row this version cannot read. They must not hold up the others.
    pub unreadable: Vec<i64>,
    /// Up to which id the page reaches.
    pub end: i64,
}

/// A page of an audience: ids after one and up to another, in order.
pub async fn page(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    part: Part<'_>,
    (after, last): (i64, i64),
    limit: u64,
) -> Result<Page, DbErr> {
    let mut find = concerned(part.subject, (after, last))
        .filter(COLUMN.service_id.eq(part.service_id))
        .order_by_asc(COLUMN.id)
        .limit(limit);
    if part.quiet_only {
        find = find.filter(COLUMN.quiet_from.is_not_null());
    }
    let rows = find.all(connection).await?;
    let is_last = u64::try_from(rows.len()).unwrap_or(u64::MAX) < limit;
    let end = rows.last().filter(|_| !is_last).map_or(last, |row| row.id);
    let page = candidates(connection, vault, rows, part.capped).await?;
    Ok(Page { end, ..page })
}

/// The subscriptions with these ids that are still there, each with what the reader chose.
pub async fn by_ids(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    ids: &[i64],
) -> Result<Page, DbErr> {
    let find = living().filter(COLUMN.id.is_in(ids.iter().copied())).order_by_asc(COLUMN.id);
    candidates(connection, vault, find.all(connection).await?, true).await
}

/// How many subscriptions an alert concerns, or about how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Subscriptions.
    pub count: u64,
    /// Whether they were counted one by one. Otherwise it is projected from a sample.
    pub exact: bool,
}

/// How many subscriptions of a push service with ids after one and up to another an alert concerns.
pub async fn count_of(
    connection: &impl ConnectionTrait,
    subject: &Subject,
    service_id: i32,
    range: (i64, i64),
) -> Result<u64, DbErr> {
    let of = concerned(subject, range).filter(COLUMN.service_id.eq(service_id));
    of.count(connection).await
}

/// How many subscriptions an alert concerns: counted where its editions' lie in few ranges of ids, else
/// projected from some of the ranges, so that the answer takes as long for ten million as for few.
pub async fn size(connection: &impl ConnectionTrait, subject: &Subject) -> Result<Size, DbErr> {
    let limit = Some(MANY);
    let ranges = match id_ranges::starts(connection, &subject.editions, (SAMPLE, limit)).await? {
        // One of two push services is counted with the other.
        Some(starts) => starts.into_iter().map(|(_, start)| start).collect(),
        None => id_ranges::all_starts(connection, SAMPLE).await?,
    };
    let ranges = Vec::from_iter(ranges);
    let samples = ranges.len().min(SAMPLES);
    let sample = (0..samples).map(|number| ranges[number * ranges.len() / samples]);
    let found = count(connection, subject, sample).await?;
    let share = u128::from(found) * ranges.len() as u128 / samples.max(1) as u128;
    Ok(Size { count: u64::try_from(share).unwrap_or(u64::MAX), exact: samples == ranges.len() })
}

/// How many subscriptions in ranges of ids, which begin after these, an alert concerns.
async fn count(
    connection: &impl ConnectionTrait,
    subject: &Subject,
    starts: impl Iterator<Item = i64>,
) -> Result<u64, DbErr> {
    // One statement for those that adjoin.
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for start in starts {
        match joined.last_mut() {
            Some((_, end)) if *end == start => *end += SAMPLE,
            _ => joined.push((start, start + SAMPLE)),
        }
    }
    let mut found = 0;
    for range in joined {
        found += concerned(subject, range).count(connection).await?;
    }
    Ok(found)
}

/// How many subscriptions this alert concerns.
pub async fn size_of(connection: &impl ConnectionTrait, alert: &Alert) -> Result<Size, DbErr> {
    let path = category::path(connection, alert.category_id).await?;
    size(connection, &alert.subject(path)).await
}

/// Notes how many subscriptions a round of an alert concerns, unless another round has begun.
pub async fn note_size(
    connection: &impl ConnectionTrait,
    (alert_id, round): (Uuid, i32),
    size: Size,
) -> Result<(), DbErr> {
    let count = i64::try_from(size.count).unwrap_or(i64::MAX);
    alert::Entity::update_many()
        .col_expr(alert::Column::Audience, count.into())
        .filter(alert::COLUMN.id.eq(alert_id))
        .filter(alert::COLUMN.round.eq(round))
        .exec(connection)
        .await?;
    Ok(())
}

/// What the alerts were about that can count against a cap at an instant.
pub async fn earlier_than(
    connection: &impl ConnectionTrait,
    at: Timestamp,
) -> Result<Vec<Subject>, DbErr> {
    // Of the day before, and of the day before that: those count against the caps of these.
    let span = (at - CAP_SPAN - CAP_SPAN, at);
    let alerts = super::alert::started_between(connection, span).await?;
    let categories: HashSet<Uuid> = alerts.iter().map(|alert| alert.category_id).collect();
    let paths = category::paths(connection, &Vec::from_iter(categories)).await?;
    let path = |alert: &Alert| paths.get(&alert.category_id).cloned().unwrap_or_default();
    Ok(alerts.iter().map(|alert| alert.subject(path(alert))).collect())
}

/// Subscriptions that reach somebody: all but decoys.
pub(super) fn living() -> Select<Entity> {
    Entity::find().filter(COLUMN.sealed.is_not_null())
}

/// What [`crate::domain::audience::Topics::cover`] says, for the database.
fn concerned(subject: &Subject, (after, last): (i64, i64)) -> Select<Entity> {
    use push_subscription_category as category;
    use push_subscription_tag as tag;
    let of_category = Query::select()
        .column(category::Column::PushSubscriptionId)
        .from(category::Entity)
        .and_where(category::COLUMN.category_id.is_in(subject.category_path.iter().copied()))
        .and_where(category::COLUMN.push_subscription_id.gt(after))
        .and_where(category::COLUMN.push_subscription_id.lte(last))
        .to_owned();
    let of_tag = Query::select()
        .column(tag::Column::PushSubscriptionId)
        .from(tag::Entity)
        .and_where(tag::COLUMN.tag_id.is_in(subject.tags.iter().copied()))
        .and_where(tag::COLUMN.push_subscription_id.gt(after))
        .and_where(tag::COLUMN.push_subscription_id.lte(last))
        .to_owned();
    let chosen = |chose: SelectStatement| Expr::col((Entity, Column::Id)).in_subquery(chose);
    let mut topic = COLUMN.all_categories.eq(true).or(chosen(of_category));
    if !subject.tags.is_empty() {
        topic = topic.or(chosen(of_tag));
    }
    let find = living()
        .filter(COLUMN.id.gt(after))
        .filter(COLUMN.id.lte(last))
        .filter(COLUMN.edition_id.is_in(subject.editions.iter().copied()))
        .filter(topic);
    if subject.breaking { find } else { find.filter(COLUMN.breaking_only.eq(false)) }
}

async fn candidates(
    connection: &impl ConnectionTrait,
    vault: &Vault,
    rows: Vec<Model>,
    capped: bool,
) -> Result<Page, DbErr> {
    let is_capped = |row: &Model| capped || row.max_per_day.is_some();
    let ids: Vec<i64> = rows.iter().filter(|row| is_capped(row)).map(|row| row.id).collect();
    let mut chosen = chosen(connection, &ids).await?;
    let mut page = Page::default();
    for row in rows {
        let (id, key_id) = (row.id, row.key_id);
        let (categories, tags) = chosen.remove(&id).unwrap_or_default();
        let topics = is_capped(&row).then(|| topics(&row, categories, tags));
        let (quiet_since, since) = (row.quiet_since, row.created_at);
        let reader = manners(&row).map(|manners| Reader { manners, quiet_since, topics, since });
        let candidate = match reader {
            Ok(reader) => recipient(connection, vault, row).await.map(|to| (to, reader)),
            Err(error) => Err(error),
        };
        match candidate {
            Ok(candidate) => page.candidates.push(candidate),
            // What the database did not answer is asked again; nobody is given up for it.
            Err(error) if !matches!(error, DbErr::Custom(_)) => return Err(error),
            Err(error) => {
                // A line for each would drown the log when a key is lost.
                if page.unreadable.is_empty() {
                    // Another process has the master key that this one lacks: the page is left to it.
                    if vault.is_behind(connection, key_id).await? {
                        return Err(error);
                    }
                    tracing::error!(id, %error, "a push subscription cannot be read, nor perhaps others");
                }
                page.unreadable.push(id);
            }
        }
    }
    Ok(page)
}

type Chosen = HashMap<i64, (Vec<Uuid>, Vec<Uuid>)>;

/// The categories and tags that subscriptions were made for.
pub(super) async fn chosen(
    connection: &impl ConnectionTrait,
    ids: &[i64],
) -> Result<Chosen, DbErr> {
    let mut chosen = Chosen::new();
    if ids.is_empty() {
        return Ok(chosen);
    }
    use push_subscription_category as category;
    use push_subscription_tag as tag;
    let of = category::COLUMN.push_subscription_id.is_in(ids.iter().copied());
    for link in category::Entity::find().filter(of).all(connection).await? {
        chosen.entry(link.push_subscription_id).or_default().0.push(link.category_id);
    }
    let of = tag::COLUMN.push_subscription_id.is_in(ids.iter().copied());
    for link in tag::Entity::find().filter(of).all(connection).await? {
        chosen.entry(link.push_subscription_id).or_default().1.push(link.tag_id);
    }
    Ok(chosen)
}
