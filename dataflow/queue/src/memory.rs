//! The queue in memory: what SQS promises, in one process. For tests and for settings without a queue service.
//!
//! In order of sending, or simulated: in the order of a seed, since a real one promises none. Invariants: a message is in exactly one place; its visibility is an instant of the given clock; what it holds is bounded.

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
    /// Of the order in which messages come; none: as they were sent.
    seed: Option<u64>,
    state: Mutex<State>,
    sent: Notify,
}

#[derive(Default)]
struct State {
    next: u64,
    /// By their turn and number.
    messages: BTreeMap<(u64, u64), Message>,
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
        MemoryQueue {
            name: name.to_owned(),
            clock,
            visibility,
            seed: None,
            state: Mutex::default(),
            sent: Notify::new(),
        }
    }

    /// The same, but messages come in an order that a seed gives.
    #[must_use]
    pub fn simulated(self, seed: u64) -> MemoryQueue {
        MemoryQueue { seed: Some(seed), ..self }
    }

    fn key(&self, id: u64) -> (u64, u64) {
        (self.seed.map_or(0, |seed| mixed(seed ^ id)), id)
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
            for ((_, id), message) in &mut state.messages {
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
    fn find(&self, receipt: &Receipt, state: &State) -> Result<(u64, u64), QueueError> {
        let parts =
            receipt.0.split_once('/').and_then(|(id, count)| Some((self.key(id.parse().ok()?), count.parse().ok()?)));
        let found = parts.filter(|(key, count): &((u64, u64), u32)| {
            state.messages.get(key).is_some_and(|message| message.count == *count)
        });
        found.map(|(key, _)| key).ok_or_else(|| {
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
                state.messages.insert(self.key(state.next), Message { body: body.clone(), visible_at: now, count: 0 });
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
                let key = self.find(receipt, state)?;
                state.messages.get_mut(&key).expect("it was found").visible_at = until;
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
                let key = self.find(receipt, state)?;
                state.messages.remove(&key);
                Ok(())
            };
            receipts.iter().map(&mut settle).collect()
        });
        Box::pin(async { outcomes })
    }
}

/// A number that says nothing of the one it was made of (the finaliser of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
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

    struct Memory(Arc<Paused>, Option<u64>);

    impl contract::QueueFixture for Memory {
        fn queue(&self, visibility: Duration) -> BoxFuture<'_, Arc<dyn MessageQueue>> {
            let queue = MemoryQueue::new("memory", self.0.clone(), visibility);
            let queue = match self.1 {
                Some(seed) => queue.simulated(seed),
                None => queue,
            };
            let queue: Arc<dyn MessageQueue> = Arc::new(queue);
            Box::pin(async { queue })
        }
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "the test's own clock")]
    async fn the_queue_in_memory_keeps_the_contract() {
        contract::queue_contract(&Memory(Arc::new(Paused(tokio::time::Instant::now())), None)).await;
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "the test's own clock")]
    async fn the_simulated_queue_keeps_the_contract_and_no_order() {
        let clock = Arc::new(Paused(tokio::time::Instant::now()));
        for seed in 0..20 {
            contract::queue_contract(&Memory(Arc::clone(&clock), Some(seed))).await;
        }
        let mut orders = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let queue = MemoryQueue::new("memory", clock.clone(), Duration::from_secs(1)).simulated(seed);
            let bodies: Vec<String> = (0..5).map(|number| number.to_string()).collect();
            assert!(queue.send(&bodies).await.iter().all(Result::is_ok));
            let got = queue.receive(10, Duration::ZERO).await.expect("in memory");
            orders.insert(got.into_iter().map(|message| message.body.expect("a body")).collect::<Vec<_>>());
        }
        assert!(orders.len() > 10, "{orders:?}");
    }

    #[tokio::test]
    async fn artifacts_and_claims_in_memory_keep_their_contracts() {
        contract::artifacts_contract(&crate::MemoryArtifacts::default()).await;
        contract::claims_contract(&crate::MemoryClaims::default(), "t").await;
    }
}
