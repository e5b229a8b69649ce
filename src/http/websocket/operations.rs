//! The operations of one socket, each in a task of its own: while the client does not read, what it
//! asked for goes on, and whatever that holds is given back.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_graphql::Response as Answer;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::super::response::{Refusal, log_panic};

/// Queries and mutations that run at once; others wait their turn. A turn ends when the answer is
/// on its way, so this bounds what a socket that nobody reads from holds in memory.
const AT_ONCE: usize = 8;

/// What an operation has to tell its client.
pub(super) enum News {
    /// An answer; more may follow.
    Answer(Answer),
    /// There was nothing more to answer.
    Complete,
    /// It was not begun.
    Refused(Refusal),
    /// It panicked; that is logged.
    Panicked,
}

/// The operations under way. Dropping them ends all but the mutations.
pub(super) struct Operations {
    running: HashMap<String, Running>,
    begun: u64,
    turns: Arc<Semaphore>,
    sender: mpsc::Sender<Sent>,
    receiver: mpsc::Receiver<Sent>,
}

struct Running {
    number: u64,
    listens: bool,
    _task: AbortOnDropHandle<()>,
}

struct Sent {
    id: String,
    /// Tells an operation from an earlier one of the same id that was cancelled.
    number: u64,
    news: News,
}

impl Operations {
    pub(super) fn new() -> Self {
        // One at a time: whatever waits here was read by nobody yet.
        let (sender, receiver) = mpsc::channel(1);
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { running: HashMap::new(), begun: 0, turns, sender, receiver }
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.running.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    /// Begins an operation; one that `listens` goes on until somebody ends it.
    pub(super) fn begin(
        &mut self,
        id: String,
        listens: bool,
        answers: impl Future<Output = Result<BoxStream<'static, Answer>, Refusal>> + Send + 'static,
    ) {
        self.begun += 1;
        let outlet = Outlet { id: id.clone(), number: self.begun, sender: self.sender.clone() };
        let turns = (!listens).then(|| Arc::clone(&self.turns));
        let task = tokio::spawn(async move {
            let _turn = match turns {
                Some(turns) => turns.acquire_owned().await.ok(),
                None => None,
            };
            // Nothing but the outlet is used after a panic.
            let ended = AssertUnwindSafe(outlet.pass_on(answers)).catch_unwind().await;
            let last = ended.unwrap_or_else(|cause| {
                log_panic(&*cause);
                News::Panicked
            });
            outlet.send(last).await;
        });
        let task = AbortOnDropHandle::new(task);
        self.running.insert(id, Running { number: self.begun, listens, _task: task });
    }

    /// Ends an operation, if there is such a one. A mutation goes on; nobody hears its answer.
    pub(super) fn cancel(&mut self, id: &str) {
        self.running.remove(id);
    }

    /// Ends those that would go on for ever.
    pub(super) fn cancel_listening(&mut self) {
        self.running.retain(|_, running| !running.listens);
    }

    /// What comes next, and from which operation. Waits for ever when nothing is under way.
    pub(super) async fn next(&mut self) -> (String, News) {
        loop {
            let Some(Sent { id, number, news }) = self.receiver.recv().await else {
                return std::future::pending().await;
            };
            if self.running.get(&id).is_some_and(|running| running.number == number) {
                if !matches!(news, News::Answer(_)) {
                    self.running.remove(&id);
                }
                return (id, news);
            }
        }
    }
}

/// Where an operation's task puts its news.
struct Outlet {
    id: String,
    number: u64,
    sender: mpsc::Sender<Sent>,
}

impl Outlet {
    /// Passes all answers on; what is left to say is returned.
    async fn pass_on(
        &self,
        answers: impl Future<Output = Result<BoxStream<'static, Answer>, Refusal>>,
    ) -> News {
        let mut answers = match answers.await {
            Ok(answers) => answers,
            Err(refusal) => return News::Refused(refusal),
        };
        while let Some(answer) = answers.next().await {
            self.send(News::Answer(answer)).await;
        }
        News::Complete
    }

    /// Waits until the session takes it. A session that has ended has aborted this task as well.
    async fn send(&self, news: News) {
        let sent = Sent { id: self.id.clone(), number: self.number, news };
        drop(self.sender.send(sent).await);
    }
}
