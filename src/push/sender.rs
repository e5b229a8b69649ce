//! The sender: seals off the reactor, sends with bounded concurrency for each push service.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use tokio::sync::Semaphore;

use super::outcome::Outcome;
use super::seal::seal;
use super::transport::Transport;
use super::vapid::{Signer, VapidKeys};
use crate::config::PushConfig;
use crate::domain::alert::Urgency;
use crate::domain::alert_message::Form;
use crate::domain::clock::Timestamp;
use crate::domain::push_subscription::Recipient;

/// How long a push service that refuses our credentials is left alone.
const REFUSED_FOR: TimeDelta = TimeDelta::seconds(60);

/// What is sent to many.
#[derive(Debug, Clone)]
pub struct Message {
    /// Before sealing, at most 3993 bytes.
    pub form: Form,
    /// The same, shorter, for a push service that finds it too large.
    pub short_form: Form,
    /// Until when a push service keeps it for a browser that is away.
    pub expires_at: Timestamp,
    /// How soon devices should be woken.
    pub urgency: Urgency,
    /// Replaces an earlier message of the same topic that still waits.
    pub topic: String,
}

/// Sends messages to browsers by their push services.
#[derive(Debug)]
pub struct Sender {
    transport: Transport,
    signer: Signer,
    sealing: Semaphore,
    concurrency: usize,
    services: Mutex<HashMap<String, Service>>,
}

/// What is known of one push service.
#[derive(Debug, Clone)]
struct Service {
    turns: Arc<Semaphore>,
    /// The status with which it refused our credentials, and until when it is left alone.
    refused: Option<(u16, Timestamp)>,
}

impl Sender {
    /// A sender with these keys.
    pub fn new(keys: VapidKeys, config: &PushConfig) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(Self {
            transport: Transport::new(config.allow_loopback)?,
            signer: Signer::new(keys, config.subject.clone()),
            sealing: Semaphore::new(cores),
            concurrency: usize::try_from(config.concurrency)?,
            services: Mutex::new(HashMap::new()),
        })
    }

    /// Sends a message to one browser and says what became of it. A message that is too large is
    /// tried once more, shorter.
    pub async fn send(
        &self,
        to: &Recipient,
        opt_out_token: &str,
        message: &Message,
        now: Timestamp,
    ) -> Outcome {
        let origin = to.endpoint.origin();
        let Ok(_turn) = self.service(&origin).turns.acquire_owned().await else {
            return Outcome::Failed(None);
        };
        // Asked only now: the service may have refused us while this message waited for its turn.
        if let Some((status, until)) = self.service(&origin).refused
            && now < until
        {
            return Outcome::Refused(status);
        }
        let mut outcome = self.attempt(to, message.form.with(opt_out_token), message, now).await;
        if outcome == Outcome::TooLarge {
            outcome = self.attempt(to, message.short_form.with(opt_out_token), message, now).await;
        }
        let service = to.endpoint.service();
        metrics::counter!("khabar_push_total", "outcome" => outcome.as_str(), "service" => service)
            .increment(1);
        if let Outcome::Refused(status) = outcome {
            self.refuse(&origin, status, now);
        }
        outcome
    }

    async fn attempt(
        &self,
        to: &Recipient,
        payload: Vec<u8>,
        message: &Message,
        now: Timestamp,
    ) -> Outcome {
        let authorization = match self.signer.authorization(&to.endpoint.origin(), now) {
            Ok(authorization) => authorization,
            Err(error) => {
                tracing::error!(%error, "no VAPID token can be made; check the keys in the data folder");
                return Outcome::Failed(None);
            }
        };
        let sealed = {
            let Ok(_turn) = self.sealing.acquire().await else { return Outcome::Failed(None) };
            let keys = to.keys.clone();
            tokio::task::spawn_blocking(move || seal(&keys, &payload)).await
        };
        match sealed {
            Ok(Ok(body)) => {
                self.transport.send(&to.endpoint, authorization, body, message, now).await
            }
            // The row is damaged, or the system gives no randomness: no reason to delete anybody.
            Ok(Err(_)) => {
                tracing::error!(id = to.id, "a message cannot be sealed");
                Outcome::Failed(None)
            }
            Err(error) => {
                tracing::error!(%error, "sealing was interrupted");
                Outcome::Failed(None)
            }
        }
    }

    fn service(&self, origin: &str) -> Service {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let known = services.entry(origin.to_owned()).or_insert_with(|| Service {
            turns: Arc::new(Semaphore::new(self.concurrency)),
            refused: None,
        });
        known.clone()
    }

    /// Leaves a push service alone for a while and raises the alarm, once: the fault is ours.
    fn refuse(&self, origin: &str, status: u16, now: Timestamp) {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(service) = services.get_mut(origin) else { return };
        let known = service.refused.is_some_and(|(_, until)| now < until);
        service.refused = Some((status, now + REFUSED_FOR));
        if !known {
            tracing::error!(
                service = origin,
                status,
                "a push service refuses our credentials; check the clock, push.subject and the VAPID keys"
            );
        }
    }
}
