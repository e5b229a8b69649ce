//! What an alert would be, before anything is sent.

use async_graphql::{Error, SimpleObject};
use serde_json::Value;

use super::alert::{AlertAudience, AlertUrgency};
use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::alert_message::{Form, MAX_PAYLOAD};
use crate::domain::clock::Timestamp;
use crate::domain::edition::Edition;
use crate::storage;
use crate::storage::audience::Size;

/// An alert as it would be.
#[derive(SimpleObject)]
pub struct AlertPreview {
    /// How many readers it would reach.
    audience: AlertAudience,
    /// How soon devices would be woken.
    urgency: AlertUrgency,
    /// When it would be sent; null for at once.
    scheduled_at: Option<Timestamp>,
    /// What the readers of each edition would see, the story's own first.
    messages: Vec<AlertMessage>,
}

/// What the readers of one edition see.
#[derive(SimpleObject)]
pub struct AlertMessage {
    /// The edition's.
    locale: String,
    /// As it fits.
    title: String,
    /// As it fits.
    body: String,
    /// The picture, as far as it fits.
    image: Option<String>,
    /// Bytes before it is sealed; push services take 3993.
    bytes: u64,
}

/// What an alert that is not kept would be.
pub(super) async fn preview(
    app: &App,
    (alert, size): (Alert, Size),
) -> Result<AlertPreview, Error> {
    let editions = storage::edition::by_ids(app.db.connection(), &alert.editions()).await?;
    let message = |edition: &Edition| -> Result<AlertMessage, Error> {
        let form = Form::new(&alert, edition, &app.config.public_url, MAX_PAYLOAD)?;
        let payload = form.sample();
        let message: Value = serde_json::from_slice(&payload)?;
        let text = |name: &str| message["notification"][name].as_str().map(str::to_owned);
        Ok(AlertMessage {
            locale: edition.locale.clone(),
            title: text("title").unwrap_or_default(),
            body: text("body").unwrap_or_default(),
            image: text("image"),
            bytes: payload.len() as u64,
        })
    };
    let own_first = |edition: &&Edition| edition.id != alert.edition_id;
    let mut editions: Vec<&Edition> = editions.iter().collect();
    editions.sort_by_key(own_first);
    Ok(AlertPreview {
        audience: size.into(),
        urgency: alert.urgency.into(),
        scheduled_at: alert.scheduled_at,
        messages: editions.into_iter().map(message).collect::<Result<_, _>>()?,
    })
}
