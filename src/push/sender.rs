//! The sender: seals ahead of the sends and off the reactor, and sends as fast as each push service
//! takes it.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue};
use ring::error::Unspecified;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::lines::Lines;
use super::outcome::Outcome;
use super::pace::Resting;
use super::post::{Post, head};
use super::seal::{Prepared, Salt};
use super::tally::Tally;
use super::transport::{Sending, Transport};
use super::vapid::Signer;
use super::ways::Ways;
use crate::config::PushConfig;
use crate::domain::alert::Urgency;
use crate::domain::alert_message::Form;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::push_subscription::Recipient;
use crate::domain::vapid_keys::VapidKeys;

/// Messages sealed in one go: long enough for a thread to be worth it, short enough to begin soon.
const SEALED_AT_ONCE: usize = 100;
/// Messages of one page under way at once; each push service has a bound of its own besides.
const AT_ONCE: usize = 512;
/// How long a page waits for the slowest of its services. Messages that have not got their turn by
/// then wait elsewhere, and hold up nobody. Far shorter than a lease: whoever was stopped for as long
/// as that, with its whole machine perhaps, must begin none when it goes on.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether a service of a page has fallen silent.
const LISTEN_EVERY: Duration = Duration::from_millis(250);
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
    /// From when on it is measured how long messages take.
    pub decided_at: Timestamp,
}

/// One browser's copy of a message.
#[derive(Debug)]
pub struct Letter {
    /// To whom.
    pub to: Recipient,
    /// What ends the reader's alerts by a link.
    pub opt_out_token: String,
    /// A key pair that was made beforehand; a fresh one is made without it.
    pub prepared: Option<Prepared>,
}

/// What became of the letters of a page.
#[derive(Debug, Default)]
pub struct Sent {
    /// Those that were sent, and what the push services said.
    pub tried: Vec<(Recipient, Outcome)>,
    /// Those that were not: their origin is left alone until then, or too slow, or the worker ends.
    pub untried: Vec<(Recipient, Option<Resting>)>,
    /// When the service is worth trying again, if it is left alone as a whole.
    pub resting: Option<Resting>,
}

/// Sends messages to browsers by their push services.
#[derive(Debug)]
pub struct Sender {
    transport: Transport,
    subject: String,
    signers: RwLock<Signers>,
    clock: Arc<dyn Clock>,
    cores: Arc<Semaphore>,
    ways: Ways,
}

/// What signs, by the ids of the VAPID keys.
type Signers = HashMap<i32, Arc<Signer>>;

struct Sealed {
    to: Recipient,
    opt_out_token: String,
    /// The body, and what identifies the newsroom; `None` when there is no making them.
    ready: Option<(Vec<u8>, HeaderValue)>,
}

/// What the letters of a page share.
struct Page<'a> {
    message: &'a Arc<Message>,
    head: HeaderMap,
    /// No letter waits for its turn beyond this.
    deadline: Instant,
    /// The same by the clock on the wall, which goes on while a machine sleeps.
    over_at: Timestamp,
    stop: &'a CancellationToken,
    /// Whether messages of a service that has fallen silent are given up, for others wait with them.
    hurried: bool,
}

enum Fate {
    /// And when it was answered.
    Tried(Outcome, Timestamp),
    Untried(Option<Resting>),
}

impl Sender {
    /// A sender that has no keys yet.
    pub fn new(config: &PushConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let per_second = NonZeroU32::new(config.per_second).context("push.per_second is 0")?;
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(Self {
            transport: Transport::new(config.allow_loopback, config.ca_file.as_deref())?,
            subject: config.subject.clone(),
            signers: RwLock::default(),
            clock,
            cores: Arc::new(Semaphore::new(cores)),
            ways: Ways::new(config.concurrency, per_second),
        })
    }

    /// Whether it has the VAPID key pair with an id.
    pub fn has_key(&self, id: i32) -> bool {
        self.signers().contains_key(&id)
    }

    /// Signs with a VAPID key pair what goes to browsers that subscribed with it.
    pub fn add_key(&self, id: i32, keys: VapidKeys) {
        let signer = Arc::new(Signer::new(keys, self.subject.clone()));
        self.signers.write().unwrap_or_else(PoisonError::into_inner).insert(id, signer);
    }

    fn signers(&self) -> RwLockReadGuard<'_, Signers> {
        self.signers.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message to many readers of one service, each at the pace of its origin. Once `stop` is
    /// cancelled, or it is later than `until`, no further message is begun, and those on their way are
    /// waited for: unless it is `hurried`, for an origin that has fallen silent while others have messages too.
    pub async fn send(
        &self,
        letters: Vec<Letter>,
        message: &Arc<Message>,
        (until, stop): (Timestamp, &CancellationToken),
        hurried: bool,
    ) -> anyhow::Result<Sent> {
        let now = self.clock.now();
        let Some(first) = letters.first() else { return Ok(Sent::default()) };
        let (service_id, origin) = (first.to.service_id, first.to.endpoint.origin());
        let hurried = hurried && letters.iter().any(|letter| letter.to.endpoint.origin() != origin);
        let page = &Page {
            message,
            head: head(message, now)?,
            deadline: Instant::now() + PATIENCE,
            over_at: until.min(now + PATIENCE),
            stop,
            hurried,
        };
        let mut letters = letters.into_iter();
        let chunks = std::iter::from_fn(|| {
            let chunk: Vec<Letter> = letters.by_ref().take(SEALED_AT_ONCE).collect();
            (!chunk.is_empty()).then_some(chunk)
        });
        let mut sending = stream::iter(chunks)
            .map(|chunk| self.seal(chunk, Arc::clone(message)))
            .buffered(2)
            .flat_map(stream::iter)
            // Large, and moved about by what follows.
            .map(|sealed| Box::pin(self.deliver(sealed, page)))
            .buffer_unordered(AT_ONCE);
        let (mut sent, mut tally) = (Sent::default(), Tally::default());
        let mut listening = tokio::time::interval_at(Instant::now() + LISTEN_EVERY, LISTEN_EVERY);
        listening.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = tokio::select! {
                biased;
                next = sending.next() => next,
                due = listening.tick(), if hurried => {
                    // One that comes late was held up itself, and may have missed the answers.
                    if due.elapsed() < LISTEN_EVERY {
                        self.ways.listen(service_id, self.clock.now());
                    }
                    continue;
                }
            };
            match next {
                Some((to, Fate::Tried(outcome, at))) => {
                    tally.count(&to, outcome, (message.decided_at, at));
                    sent.tried.push((to, outcome));
                }
                Some((to, Fate::Untried(resting))) => sent.untried.push((to, resting)),
                None => break,
            }
        }
        if sent.untried.iter().any(|(_, resting)| resting.is_some()) {
            sent.resting = self.ways.resting(service_id, self.clock.now());
        }
        tally.record();
        Ok(sent)
    }

    /// Seals and signs letters, as many at once as there are cores.
    async fn seal(&self, letters: Vec<Letter>, message: Arc<Message>) -> Vec<Sealed> {
        let turn = Arc::clone(&self.cores).acquire_owned().await;
        let signers = self.signers().clone();
        let now = self.clock.now();
        let seal = move || {
            let _turn = turn;
            let mut salts = Salt::several(letters.len()).unwrap_or_default().into_iter();
            let seal = |letter: Letter| {
                let Letter { to, opt_out_token, prepared } = letter;
                let payload = message.form.with(&opt_out_token);
                let pair = prepared.map_or_else(|| Prepared::new(&to.keys), Ok);
                let body = pair
                    .and_then(|pair| pair.seal_with(salts.next().ok_or(Unspecified)?, &payload));
                if body.is_err() {
                    // The row is damaged, or the system gives no randomness: no reason to delete anybody.
                    tracing::error!(id = to.id, "a message cannot be sealed");
                }
                let ready = body.ok().zip(authorization(&signers, &to, now));
                Sealed { to, opt_out_token, ready }
            };
            letters.into_iter().map(seal).collect()
        };
        // A panic there is a bug that must not pass for letters that were never written.
        match tokio::task::spawn_blocking(seal).await {
            Ok(sealed) => sealed,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn deliver(&self, sealed: Sealed, page: &Page<'_>) -> (Recipient, Fate) {
        let Sealed { to, opt_out_token, ready } = sealed;
        // Before the gate: it is no fault of the push service.
        let Some((mut body, authorization)) = ready else {
            return (to, Fate::Tried(Outcome::Failed(None), self.clock.now()));
        };
        let way = self.ways.to(&to, self.clock.now());
        let turn = way.gate.pass(self.clock.now(), page.hurried);
        let pass = match tokio::time::timeout_at(page.deadline, turn).await {
            Ok(Ok(pass)) => pass,
            Ok(Err(resting)) => return (to, Fate::Untried(Some(resting))),
            Err(_) => return (to, Fate::Untried(None)),
        };
        let mut may_shorten = true;
        let (outcome, now) = loop {
            let letter = (Bytes::from(body), &authorization);
            let sending = tokio::select! {
                biased;
                sending = self.attempt(&to, &way.lines, page, letter) => sending,
                () = way.gate.falls_silent(), if page.hurried => Sending::Lost,
            };
            let now = self.clock.now();
            let outcome = match sending {
                Sending::Answered(answer) => {
                    Outcome::of_answer(answer.status, &answer.headers, now)
                }
                Sending::Lost => Outcome::Failed(None),
                Sending::NotBegun => return (to, Fate::Untried(None)),
            };
            if outcome != Outcome::TooLarge || !may_shorten {
                break (outcome, now);
            }
            let letter =
                Letter { to: to.clone(), opt_out_token: opt_out_token.clone(), prepared: None };
            let Some(shorter) = Box::pin(self.shorten(letter, page.message)).await else {
                break (outcome, now);
            };
            (body, may_shorten) = (shorter, false);
        };
        if let Some(alarm) = pass.learn(outcome, now) {
            alarm.raise(to.endpoint.origin());
        }
        (to, Fate::Tried(outcome, now))
    }

    async fn shorten(&self, letter: Letter, message: &Message) -> Option<Vec<u8>> {
        let short = Message { form: message.short_form.clone(), ..message.clone() };
        let sealed = self.seal(vec![letter], Arc::new(short)).await;
        Some(sealed.into_iter().next()?.ready?.0)
    }

    async fn attempt(
        &self,
        to: &Recipient,
        lines: &Lines,
        page: &Page<'_>,
        (body, authorization): (Bytes, &HeaderValue),
    ) -> Sending {
        let Ok(uri) = Uri::try_from(to.endpoint.url().as_str()) else {
            tracing::error!(id = to.id, "an endpoint is no address for a request");
            return Sending::Lost;
        };
        let may_begin = || !page.stop.is_cancelled() && self.clock.now() <= page.over_at;
        let (head, may_begin) = (&page.head, &may_begin);
        self.transport.send(lines, &Post { to: uri, head, authorization, body, may_begin }).await
    }

    /// Closes the connections that nobody uses any more, and tells the metrics how many services are left
    /// alone at the moment. To be called every few seconds.
    pub fn look_after(&self) {
        self.ways.look_after(self.clock.now());
    }
}

/// What identifies the newsroom to a reader's push service; `None` when there is no making it.
fn authorization(signers: &Signers, to: &Recipient, now: Timestamp) -> Option<HeaderValue> {
    match signers.get(&to.vapid_key_id)?.authorization(to.endpoint.origin(), now) {
        Ok(authorization) => Some(authorization),
        Err(error) => {
            tracing::error!(%error, "no VAPID token can be made; see khabar keys status");
            None
        }
    }
}
