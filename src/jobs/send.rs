//! Sends one alert to many, and stops when it is told to.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::Context;
use uuid::Uuid;

use super::Work;
use super::lease::Held;
use super::prepare_keys::Stock;
use crate::app::App;
use crate::domain::alert::Alert;
use crate::domain::alert_message::{Form, MAX_PAYLOAD, SHORT_PAYLOAD};
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;
use crate::domain::vapid_keys::VapidKeys;
use crate::push::{Letter, Message, Sent};
use crate::storage;

/// What an alert says to the readers of each edition that it reaches.
#[derive(Debug)]
pub(super) struct Messages(HashMap<Uuid, Arc<Message>>);

impl Messages {
    /// The messages of an alert, of which it is measured how long they take: since it was decided, or
    /// since its round began, or the wave was due.
    pub(super) async fn of(
        app: &App,
        alert: &Alert,
        due_at: Option<Timestamp>,
    ) -> anyhow::Result<Self> {
        let decided_at = alert.scheduled_at.unwrap_or(alert.created_at);
        let is_first = alert.round_started_at == alert.started_at;
        let began_at = alert.round_started_at.filter(|_| !is_first).unwrap_or(decided_at);
        let editions = storage::edition::by_ids(app.db.connection(), &alert.editions()).await?;
        let site = &app.config.public_url;
        let message = |edition| -> anyhow::Result<Message> {
            Ok(Message {
                form: Form::new(alert, edition, site, MAX_PAYLOAD)?,
                short_form: Form::new(alert, edition, site, SHORT_PAYLOAD)?,
                expires_at: alert.expires_at,
                urgency: alert.urgency,
                topic: alert.topic(),
                decided_at: due_at.unwrap_or(began_at),
            })
        };
        let messages = editions.iter().map(|edition| Ok((edition.id, Arc::new(message(edition)?))));
        Ok(Self(messages.collect::<anyhow::Result<_>>()?))
    }
}

/// A letter to each, sealed by a prepared key where there is one.
pub(super) fn letters(work: &Work, to: Vec<Recipient>, stock: &mut Stock) -> Vec<Letter> {
    let letter = |to: Recipient| Letter {
        opt_out_token: work.opt_out.token(to.id),
        prepared: stock.take(&to),
        to,
    };
    to.into_iter().map(letter).collect()
}

/// Sends to everybody. On a shutdown, or when the work is lost to somebody else or called back, no
/// further message is begun, and those on their way are waited for: what they bring about is to be
/// written down as far as it is still this worker's.
pub(super) async fn send_all(
    work: &Work,
    messages: &Messages,
    letters: Vec<Letter>,
    held: Held,
) -> anyhow::Result<Sent> {
    let mut by_edition: HashMap<Uuid, Vec<Letter>> = HashMap::new();
    let keys: BTreeSet<i32> = letters.iter().map(|letter| letter.to.vapid_key_id).collect();
    for letter in letters {
        by_edition.entry(letter.to.edition_id).or_default().push(letter);
    }
    // Whoever was stopped until the lease had ended begins none when it goes on.
    let until = work.leases.local(held.until());
    // What is tried again has time: by it one that was silent is heard again.
    let hurried = matches!(held, Held::Shard(_));
    let (_heartbeat, lost) = held.keep(work.leases.clone());
    let stop = work.shutdown.child_token();
    let sending = async {
        let mut sent = Sent::default();
        for id in keys {
            learn_key(work, id).await;
        }
        for (edition, letters) in by_edition {
            let message = messages.0.get(&edition);
            let message =
                message.context("an alert reaches an edition that it has no words for")?;
            let more = work.sender.send(letters, message, (until, &stop), hurried).await?;
            sent.tried.extend(more.tried);
            sent.untried.extend(more.untried);
            sent.resting = sent.resting.max(more.resting);
        }
        anyhow::Ok(sent)
    };
    tokio::pin!(sending);
    tokio::select! {
        () = lost.cancelled() => stop.cancel(),
        sent = &mut sending => return sent,
    }
    sending.await
}

/// Hands the sender the VAPID key pair that a reader subscribed with, unless it has it. Without it
/// those readers' messages fail, and are tried again as long as they are news.
async fn learn_key(work: &Work, id: i32) {
    if work.sender.has_key(id) {
        return;
    }
    let opened = storage::vapid_key::open(work.app.db.connection(), &work.app.vault, id).await;
    let pair = opened.map_err(anyhow::Error::from).and_then(|pair| {
        VapidKeys::from_json(&pair.context("readers subscribed with a key pair that is gone")?)
    });
    match pair {
        Ok(pair) => work.sender.add_key(id, pair),
        Err(error) => {
            tracing::error!(id, error = format!("{error:#}"), "a VAPID key cannot be read")
        }
    }
}
