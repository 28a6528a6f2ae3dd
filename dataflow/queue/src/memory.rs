//! The queue in memory: what SQS promises, in one process. For tests and for settings without a queue service.
//!
//! Invariants: a message is in exactly one place; its visibility is an instant of the given clock; what it holds is bounded.

use crate::queue::{BoxFuture, MessageQueue, Receipt, Received};
use crate::{QueueError, QueueErrorClass};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use weir_model::{Clock, Tick};

/// Messages that a queue holds; beyond it senders are told to come later.
const MESSAGES_MAX: usize = 100_000;
/// As SQS counts.
const BODY_BYTES_MAX: usize = 1 << 20;
/// As SQS gives.
const RECEIVED_MAX: usize = 10;

/// A queue in memory.
pub struct MemoryQueue {
    name: String,
    clock: Arc<dyn Clock>,
    visibility: Duration,
    state: Mutex<State>,
    sent: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    messages: BTreeMap<u64, Message>,
}

struct Message {
    body: String,
    visible_at: Tick,
    count: u32,
}

impl MemoryQueue {
    /// An empty queue whose messages come back after `visibility`.
    #[must_use]
    pub fn new(name: &str, clock: Arc<dyn Clock>, visibility: Duration) -> MemoryQueue {
        MemoryQueue { name: name.to_owned(), clock, visibility, state: Mutex::default(), sent: Notify::new() }
    }

    /// Messages that are not settled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|state| state.messages.len())
    }

    /// True when all is settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what is visible; with nothing there, when something will be.
    fn take(&self, max: usize) -> (Vec<Received>, Tick) {
        let now = self.clock.now();
        self.with(|state| {
            let mut taken = Vec::new();
            let mut next = Tick::NEVER;
            for (id, message) in &mut state.messages {
                if taken.len() == max.min(RECEIVED_MAX) {
                    break;
                }
                if message.visible_at > now {
                    next = next.min(message.visible_at);
                    continue;
                }
                message.visible_at = now.after(self.visibility);
                message.count += 1;
                taken.push(Received {
                    id: id.to_string(),
                    body: Ok(message.body.clone()),
                    receipt: Receipt(format!("{id}/{}", message.count).into()),
                    receive_count: message.count,
                });
            }
            (taken, next)
        })
    }

    /// The message of a receipt that is its newest.
    fn find(receipt: &Receipt, state: &State) -> Result<u64, QueueError> {
        let parts = receipt.0.split_once('/').and_then(|(id, count)| Some((id.parse().ok()?, count.parse().ok()?)));
        let found = parts
            .filter(|(id, count): &(u64, u32)| state.messages.get(id).is_some_and(|message| message.count == *count));
        found.map(|(id, _)| id).ok_or_else(|| {
            QueueError::new(QueueErrorClass::NotFound, format!("no message is held by the receipt {:?}", receipt.0))
        })
    }
}

impl MessageQueue for MemoryQueue {
    fn name(&self) -> &str {
        &self.name
    }

    fn body_bytes_max(&self) -> usize {
        BODY_BYTES_MAX
    }

    fn send<'a>(&'a self, bodies: &'a [String]) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        let now = self.clock.now();
        let outcomes = self.with(|state| {
            let mut send = |body: &String| {
                if body.is_empty() || body.len() > BODY_BYTES_MAX {
                    let message = format!("a message of {} bytes; 1 to {BODY_BYTES_MAX} are allowed", body.len());
                    return Err(QueueError::new(QueueErrorClass::TooLarge, message));
                }
                if state.messages.len() >= MESSAGES_MAX {
                    let message = format!("queue {} is full ({MESSAGES_MAX} messages)", self.name);
                    return Err(QueueError::new(QueueErrorClass::Transient, message));
                }
                state.next += 1;
                state.messages.insert(state.next, Message { body: body.clone(), visible_at: now, count: 0 });
                Ok(())
            };
            bodies.iter().map(&mut send).collect()
        });
        self.sent.notify_waiters();
        Box::pin(async { outcomes })
    }

    fn receive(&self, max: usize, wait: Duration) -> BoxFuture<'_, Result<Vec<Received>, QueueError>> {
        Box::pin(async move {
            let end = self.clock.now().after(wait);
            loop {
                // Asked for before looking, so that nothing sent in between is missed.
                let sent = self.sent.notified();
                let (taken, next) = self.take(max);
                let now = self.clock.now();
                if !taken.is_empty() || now >= end {
                    return Ok(taken);
                }
                // Whichever comes first; what came is seen by the next look.
                let _ = tokio::time::timeout(next.min(end).since(now), sent).await;
            }
        })
    }

    fn extend<'a>(
        &'a self,
        receipts: &'a [Receipt],
        visibility: Duration,
    ) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        let until = self.clock.now().after(visibility);
        let outcomes = self.with(|state| {
            let mut extend = |receipt| {
                let id = Self::find(receipt, state)?;
                state.messages.get_mut(&id).expect("it was found").visible_at = until;
                Ok(())
            };
            receipts.iter().map(&mut extend).collect()
        });
        self.sent.notify_waiters();
        Box::pin(async { outcomes })
    }

    fn settle<'a>(&'a self, receipts: &'a [Receipt]) -> BoxFuture<'a, Vec<Result<(), QueueError>>> {
        let outcomes = self.with(|state| {
            let mut settle = |receipt| {
                let id = Self::find(receipt, state)?;
                state.messages.remove(&id);
                Ok(())
            };
            receipts.iter().map(&mut settle).collect()
        });
        Box::pin(async { outcomes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    /// Tokio's clock, which the tests' runtime moves on when everybody waits.
    struct Paused(tokio::time::Instant);

    impl Clock for Paused {
        fn now(&self) -> Tick {
            Tick(1).after(self.0.elapsed())
        }
    }

    struct Memory(Arc<Paused>);

    impl contract::QueueFixture for Memory {
        fn queue(&self, visibility: Duration) -> BoxFuture<'_, Arc<dyn MessageQueue>> {
            let queue: Arc<dyn MessageQueue> = Arc::new(MemoryQueue::new("memory", self.0.clone(), visibility));
            Box::pin(async { queue })
        }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "the test's own clock")]
    async fn the_queue_in_memory_keeps_the_contract() {
        contract::queue_contract(&Memory(Arc::new(Paused(tokio::time::Instant::now())))).await;
    }

    #[tokio::test]
    async fn artifacts_and_claims_in_memory_keep_their_contracts() {
        contract::artifacts_contract(&crate::MemoryArtifacts::default()).await;
        contract::claims_contract(&crate::MemoryClaims::default(), "t").await;
    }
}
