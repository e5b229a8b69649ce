//! Alerts: their words, their topics, and how far they have come.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, LockType};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use uuid::Uuid;

use super::entities::{alert, alert_tag, alert_text};
use super::{keyset, unreadable};
use crate::domain::alert::{Action, Alert, AlertState, Counts, Urgency, Words};
use crate::domain::clock::Timestamp;
use crate::domain::page::{Order, Page, PageRequest};

/// Adds an alert.
pub async fn insert(
    connection: &impl ConnectionTrait,
    alert: &Alert,
    created_by: Option<Uuid>,
) -> Result<(), DbErr> {
    let row = alert::ActiveModel {
        id: Set(alert.id),
        article_id: Set(alert.article_id),
        edition_id: Set(alert.edition_id),
        category_id: Set(alert.category_id),
        breaking: Set(alert.breaking),
        accepted: Set(0),
        gone: Set(0),
        failed: Set(0),
        suppressed: Set(0),
        clicked: Set(0),
        audience: Set(alert.audience),
        test: Set(alert.test),
        round: Set(alert.round),
        waves: Set(0),
        created_by: Set(created_by),
        created_at: Set(alert.created_at),
        scheduled_at: Set(alert.scheduled_at),
        started_at: Set(None),
        round_started_at: Set(None),
        dealt_before: Set(0),
        dealt_at_start: Set(0),
        expires_at: Set(alert.expires_at),
        finished_at: Set(None),
        ..told(alert)?
    };
    alert::Entity::insert(row).exec_without_returning(connection).await?;
    let tags = alert
        .tags
        .iter()
        .map(|tag| alert_tag::ActiveModel { alert_id: Set(alert.id), tag_id: Set(*tag) });
    if !alert.tags.is_empty() {
        alert_tag::Entity::insert_many(tags).exec_without_returning(connection).await?;
    }
    put_translations(connection, alert).await
}

/// Puts new words, picture, buttons, times and state in place of the old ones.
pub async fn update(connection: &impl ConnectionTrait, alert: &Alert) -> Result<(), DbErr> {
    let row = alert::ActiveModel {
        id: Set(alert.id),
        round: Set(alert.round),
        scheduled_at: Set(alert.scheduled_at),
        expires_at: Set(alert.expires_at),
        finished_at: Set(alert.finished_at),
        ..told(alert)?
    };
    alert::Entity::update(row).exec(connection).await?;
    alert_text::Entity::delete_many()
        .filter(alert_text::COLUMN.alert_id.eq(alert.id))
        .exec(connection)
        .await?;
    put_translations(connection, alert).await
}

/// What readers see, and how far it has come.
fn told(alert: &Alert) -> Result<alert::ActiveModel, DbErr> {
    let actions = serde_json::to_string(&alert.actions);
    Ok(alert::ActiveModel {
        title: Set(alert.words.title.clone()),
        body: Set(alert.words.body.clone()),
        image: Set(alert.image.clone()),
        actions: Set(actions.map_err(|error| DbErr::Json(error.to_string()))?),
        state: Set(alert.state.as_str().to_owned()),
        urgency: Set(alert.urgency.as_str().to_owned()),
        ..<alert::ActiveModel as Default>::default()
    })
}

async fn put_translations(connection: &impl ConnectionTrait, alert: &Alert) -> Result<(), DbErr> {
    if alert.translations.is_empty() {
        return Ok(());
    }
    let rows = alert.translations.iter().map(|(edition, words)| alert_text::ActiveModel {
        alert_id: Set(alert.id),
        edition_id: Set(*edition),
        title: Set(words.title.clone()),
        body: Set(words.body.clone()),
    });
    alert_text::Entity::insert_many(rows).exec_without_returning(connection).await?;
    Ok(())
}

/// An alert.
pub async fn by_id(connection: &impl ConnectionTrait, id: Uuid) -> Result<Option<Alert>, DbErr> {
    let row = alert::Entity::find_by_id(id).one(connection).await?;
    Ok(complete(connection, Vec::from_iter(row)).await?.pop())
}

/// An alert, locked until the transaction ends.
///
/// A weaker lock than FOR UPDATE, which the new retries of others would block.
pub async fn lock(connection: &impl ConnectionTrait, id: Uuid) -> Result<Option<Alert>, DbErr> {
    let find = alert::Entity::find_by_id(id).lock(LockType::NoKeyUpdate);
    let row = find.one(connection).await?;
    Ok(complete(connection, Vec::from_iter(row)).await?.pop())
}

/// A page of the alerts that readers were meant to see, the latest first.
pub async fn page(
    connection: &impl ConnectionTrait,
    request: &PageRequest,
) -> Result<Page<Alert>, DbErr> {
    use alert::Column;
    let mut find = alert::Entity::find().filter(alert::COLUMN.test.eq(false));
    let key = (Column::CreatedAt, Column::Id);
    keyset::restrict(QuerySelect::query(&mut find), key, Order::Descending, request);
    let rows = complete(connection, find.all(connection).await?).await?;
    Ok(Page::from_rows(rows, request))
}

/// The alerts whose delivery began after one instant and before another, oldest first.
pub async fn started_between(
    connection: &impl ConnectionTrait,
    (after, before): (Timestamp, Timestamp),
) -> Result<Vec<Alert>, DbErr> {
    let find = alert::Entity::find()
        .filter(alert::COLUMN.started_at.gt(after))
        .filter(alert::COLUMN.started_at.lt(before))
        // One that was called back before it reached anybody has annoyed nobody.
        .filter(
            alert::COLUMN.state.ne(AlertState::Cancelled.as_str()).or(alert::COLUMN.accepted.gt(0)),
        )
        .order_by_asc(alert::COLUMN.started_at)
        .order_by_asc(alert::COLUMN.id);
    let rows = find.all(connection).await?;
    complete(connection, rows).await
}

/// The latest alert of a story that readers were meant to see.
pub async fn latest_of_article(
    connection: &impl ConnectionTrait,
    article_id: Uuid,
) -> Result<Option<Alert>, DbErr> {
    let find = alert::Entity::find()
        .filter(alert::COLUMN.article_id.eq(article_id))
        .filter(alert::COLUMN.test.eq(false))
        .filter(alert::COLUMN.state.ne(AlertState::Cancelled.as_str()))
        .order_by_desc(alert::COLUMN.id);
    let row = find.one(connection).await?;
    Ok(complete(connection, Vec::from_iter(row)).await?.pop())
}

/// Whether it was ever decided to alert readers of a story, whatever became of it.
pub async fn any_of_article(
    connection: &impl ConnectionTrait,
    article_id: Uuid,
) -> Result<bool, DbErr> {
    let find = alert::Entity::find()
        .filter(alert::COLUMN.article_id.eq(article_id))
        .filter(alert::COLUMN.test.eq(false));
    Ok(find.one(connection).await?.is_some())
}

/// The alerts of a story that are not over yet, oldest first.
pub async fn open_of_article(
    connection: &impl ConnectionTrait,
    article_id: Uuid,
) -> Result<Vec<Alert>, DbErr> {
    let open = AlertState::ALL.into_iter().filter(|state| state.may_cancel());
    let find = alert::Entity::find()
        .filter(alert::COLUMN.article_id.eq(article_id))
        .filter(alert::COLUMN.state.is_in(open.map(AlertState::as_str)))
        .order_by_asc(alert::COLUMN.id);
    let rows = find.all(connection).await?;
    complete(connection, rows).await
}

/// Adds to how often stories were opened from an alert.
pub async fn add_clicks(
    connection: &impl ConnectionTrait,
    id: Uuid,
    clicks: i64,
) -> Result<(), DbErr> {
    use alert::Column;
    alert::Entity::update_many()
        .col_expr(Column::Clicked, Expr::col(Column::Clicked).add(clicks))
        .filter(alert::COLUMN.id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

/// The category of an alert.
pub async fn category_of(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<Uuid>, DbErr> {
    let find = alert::Entity::find_by_id(id).select_only().column(alert::Column::CategoryId);
    find.into_tuple().one(connection).await
}

/// Moves what is still to be delivered from one category to another: its readers have moved.
pub async fn move_category(
    connection: &impl ConnectionTrait,
    from: Uuid,
    to: Uuid,
) -> Result<(), DbErr> {
    alert::Entity::update_many()
        .col_expr(alert::Column::CategoryId, to.into())
        .filter(alert::COLUMN.category_id.eq(from))
        .exec(connection)
        .await?;
    Ok(())
}

/// Reads what belongs to each alert besides its row.
async fn complete(
    connection: &impl ConnectionTrait,
    rows: Vec<alert::Model>,
) -> Result<Vec<Alert>, DbErr> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids = || rows.iter().map(|row| row.id);
    let of = alert_tag::COLUMN.alert_id.is_in(ids());
    let mut tags: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for link in alert_tag::Entity::find().filter(of).all(connection).await? {
        tags.entry(link.alert_id).or_default().push(link.tag_id);
    }
    let of = alert_text::COLUMN.alert_id.is_in(ids());
    let texts = alert_text::Entity::find().filter(of).order_by_asc(alert_text::COLUMN.edition_id);
    let mut translations: HashMap<Uuid, Vec<(Uuid, Words)>> = HashMap::new();
    for text in texts.all(connection).await? {
        let words = Words { title: text.title, body: text.body };
        translations.entry(text.alert_id).or_default().push((text.edition_id, words));
    }
    rows.into_iter()
        .map(|row| {
            let further = translations.remove(&row.id).unwrap_or_default();
            let tags = tags.remove(&row.id).unwrap_or_default();
            Ok(Alert { tags, translations: further, ..from_row(row)? })
        })
        .collect()
}

fn from_row(row: alert::Model) -> Result<Alert, DbErr> {
    let actions: Vec<Action> = serde_json::from_str(&row.actions)
        .map_err(|_| unreadable("alert actions", &row.actions))?;
    Ok(Alert {
        id: row.id,
        article_id: row.article_id,
        edition_id: row.edition_id,
        category_id: row.category_id,
        tags: Vec::new(),
        breaking: row.breaking,
        words: Words { title: row.title, body: row.body },
        translations: Vec::new(),
        image: row.image,
        actions,
        state: AlertState::from_word(&row.state)
            .ok_or_else(|| unreadable("alert state", &row.state))?,
        urgency: Urgency::from_word(&row.urgency)
            .ok_or_else(|| unreadable("urgency", &row.urgency))?,
        test: row.test,
        round: row.round,
        audience: row.audience,
        counts: Counts {
            accepted: row.accepted,
            gone: row.gone,
            failed: row.failed,
            suppressed: row.suppressed,
        },
        clicked: row.clicked,
        created_at: row.created_at,
        scheduled_at: row.scheduled_at,
        started_at: row.started_at,
        round_started_at: row.round_started_at,
        dealt_before: row.dealt_before,
        dealt_at_start: row.dealt_at_start,
        expires_at: row.expires_at,
        finished_at: row.finished_at,
    })
}
