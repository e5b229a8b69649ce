//! Sends one alert to many, and stops when it is told to.

use std::collections::HashMap;

use anyhow::Context;
use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Work;
use super::lease::Held;
use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::alert_message::{Form, MAX_PAYLOAD, SHORT_PAYLOAD};
use crate::domain::push_subscription::Recipient;
use crate::push::{Message, Outcome};
use crate::storage;

/// Messages under way at once; each push service has a bound of its own besides.
const AT_ONCE: usize = 256;

/// What an alert says to the readers of each edition that it reaches.
#[derive(Debug)]
pub(super) struct Messages(HashMap<Uuid, Message>);

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
            })
        };
        let messages = editions.iter().map(|edition| Ok((edition.id, message(edition)?)));
        Ok(Self(messages.collect::<anyhow::Result<_>>()?))
    }

    fn for_edition(&self, edition_id: Uuid) -> anyhow::Result<&Message> {
        self.0.get(&edition_id).context("an alert reaches an edition that it has no words for")
    }
}

/// What became of those whom a message was for.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Whom it was sent to, and what the push services said.
    pub outcomes: Vec<(Recipient, Outcome)>,
    /// Whose turn had not come when the worker was shut down.
    pub unsent: Vec<Recipient>,
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
    if recipients.is_empty() {
        return Ok(Some(Sent::default()));
    }
    let (_heartbeat, lost) = held.keep(work.leases.clone());
    let sending = send_each(work, messages, recipients, &lost);
    Ok(tokio::select! {
        () = lost.cancelled() => None,
        sent = sending => Some(sent?),
    })
}

async fn send_each(
    work: &Work,
    messages: &Messages,
    recipients: Vec<Recipient>,
    lost: &CancellationToken,
) -> anyhow::Result<Sent> {
    let mut sent = Sent::default();
    let mut sending = stream::iter(recipients)
        .map(|recipient| async move {
            if work.shutdown.is_cancelled() || lost.is_cancelled() {
                return anyhow::Ok((recipient, None));
            }
            let message = messages.for_edition(recipient.edition_id)?;
            let token = work.opt_out.token(recipient.id, recipient.generation);
            let outcome = work.sender.send(&recipient, &token, message, work.app.now()).await;
            Ok((recipient, Some(outcome)))
        })
        .buffer_unordered(AT_ONCE);
    while let Some(done) = sending.next().await {
        match done? {
            (recipient, Some(outcome)) => sent.outcomes.push((recipient, outcome)),
            (recipient, None) => sent.unsent.push(recipient),
        }
    }
    Ok(sent)
}
