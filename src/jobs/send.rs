//! Sends one alert to many, and stops when it is told to.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use uuid::Uuid;

use super::Work;
use super::lease::Held;
use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::alert_message::{Form, MAX_PAYLOAD, SHORT_PAYLOAD};
use crate::domain::push_subscription::Recipient;
use crate::push::{Letter, Message, Sent};
use crate::storage;

/// What an alert says to the readers of each edition that it reaches.
#[derive(Debug)]
pub(super) struct Messages(HashMap<Uuid, Arc<Message>>);

impl Messages {
    /// The messages of an alert.
    pub(super) async fn of(app: &App, alert: &Alert) -> anyhow::Result<Self> {
        let further = alert.translations.iter().map(|(edition, _)| *edition);
        let editions: Vec<Uuid> = std::iter::once(alert.edition_id).chain(further).collect();
        let editions = storage::edition::by_ids(app.db.connection(), &editions).await?;
        let site = &app.config.public_url;
        let message = |edition| -> anyhow::Result<Message> {
            Ok(Message {
                form: Form::new(alert, edition, site, MAX_PAYLOAD)?,
                short_form: Form::new(alert, edition, site, SHORT_PAYLOAD)?,
                expires_at: alert.expires_at,
                urgency: alert.urgency,
                topic: alert.topic(),
                decided_at: alert.scheduled_at.unwrap_or(alert.created_at),
            })
        };
        let messages = editions.iter().map(|edition| Ok((edition.id, Arc::new(message(edition)?))));
        Ok(Self(messages.collect::<anyhow::Result<_>>()?))
    }
}

/// Sends to everybody; `None` when the work was lost to somebody else meanwhile, or called back.
///
/// On a shutdown no further message is begun, and those on their way are waited for.
pub(super) async fn send_all(
    work: &Work,
    messages: &Messages,
    recipients: Vec<Recipient>,
    held: Held,
) -> anyhow::Result<Option<Sent>> {
    let mut by_edition: HashMap<Uuid, Vec<Letter>> = HashMap::new();
    for to in recipients {
        let opt_out_token = work.opt_out.token(to.id, to.generation);
        let letters = by_edition.entry(to.edition_id).or_default();
        letters.push(Letter { to, opt_out_token, prepared: None });
    }
    let (_heartbeat, lost) = held.keep(work.leases.clone());
    let sending = async {
        let mut sent = Sent::default();
        for (edition, letters) in by_edition {
            let message = messages.0.get(&edition);
            let message =
                message.context("an alert reaches an edition that it has no words for")?;
            let more = work.sender.send(letters, message, &work.shutdown).await?;
            sent.tried.extend(more.tried);
            sent.untried.extend(more.untried);
            sent.resting = sent.resting.max(more.resting);
        }
        anyhow::Ok(sent)
    };
    Ok(tokio::select! {
        () = lost.cancelled() => None,
        sent = sending => Some(sent?),
    })
}
