//! The receiving end of a stage: takes messages, keeps them hidden while somebody works on them, settles them when told.
//!
//! Decides when to ask, when to extend and when to try again. Knows nothing of what bodies mean.
//! Invariants: at most `messages_max` messages and about `bytes_max` bytes are unsettled; a message is settled only when its
//! receipt's number was given to [`Inbox::settle`]; what is not settled comes back.

use crate::QueueError;
use crate::queue::{MessageQueue, Receipt};
use crate::send::{Backoff, settle_all};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use weir_model::{Clock, ReceiptId, Tick};

/// Bounds and times of an inbox.
#[derive(Clone, Debug)]
pub struct InboxConfig {
    /// How long a message is hidden; it is extended after a third of that, as long as it is not settled.
    pub visibility: Duration,
    /// Unsettled messages at once.
    pub messages_max: usize,
    /// Bytes of unsettled messages at once; one more reception may go beyond it.
    pub bytes_max: usize,
    /// How long one call waits for a message. SQS allows 20 s; longer waits cost less.
    pub wait: Duration,
    /// Calls at once. One takes at most ten messages.
    pub pollers: usize,
    /// Where receipt numbers come from: several inboxes of one engine share it.
    pub receipts: Arc<AtomicU64>,
}

impl Default for InboxConfig {
    fn default() -> Self {
        InboxConfig {
            visibility: Duration::from_secs(60),
            messages_max: 1_000,
            bytes_max: 64 << 20,
            wait: Duration::from_secs(20),
            pollers: 2,
            receipts: Arc::new(AtomicU64::new(1)),
        }
    }
}

/// A received message.
#[derive(Debug)]
pub struct Arrival {
    /// To be given to [`Inbox::settle`].
    pub receipt: ReceiptId,
    /// The queue's name for it.
    pub id: String,
    /// Its body, or why there is none (settle it then, or it comes back until it is dead-lettered).
    pub body: Result<String, QueueError>,
    /// How often it was received.
    pub receive_count: u32,
}

/// What an inbox tells.
#[derive(Debug)]
pub enum InboxEvent {
    /// A message.
    Arrived(Arrival),
    /// Receiving fails; it goes on trying. Told once for each different message until one call succeeds.
    Trouble(QueueError),
}

/// Counters of an inbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxFigures {
    /// Messages received.
    pub received: u64,
    /// Receipts settled.
    pub settled: u64,
    /// Receipts that could not be settled: their messages come back.
    pub settle_failed: u64,
    /// Receipts whose visibility could not be extended.
    pub extend_failed: u64,
    /// Calls that failed.
    pub receive_failed: u64,
    /// Messages that are not settled.
    pub unsettled: usize,
}

struct Held {
    receipt: Receipt,
    hidden_at: Tick,
    bytes: usize,
}

#[derive(Default)]
struct Book {
    held: BTreeMap<ReceiptId, Held>,
    bytes: usize,
    to_settle: Vec<ReceiptId>,
    figures: InboxFigures,
}

struct Shared {
    queue: Arc<dyn MessageQueue>,
    clock: Arc<dyn Clock>,
    config: InboxConfig,
    book: Mutex<Book>,
    room: Notify,
    settle: Notify,
    /// Held while a settlement is under way: the end waits for it.
    settling: tokio::sync::Mutex<()>,
}

/// An inbox: tasks on the runtime that it was started on.
pub struct Inbox {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Inbox {
    /// Begins to receive. `tell` is called from the runtime's tasks and must not block.
    pub fn start(
        queue: Arc<dyn MessageQueue>,
        clock: Arc<dyn Clock>,
        config: InboxConfig,
        tell: impl Fn(InboxEvent) + Send + Sync + 'static,
    ) -> Inbox {
        let pollers = config.pollers.max(1);
        let book = Mutex::default();
        let settling = tokio::sync::Mutex::new(());
        let shared =
            Arc::new(Shared { queue, clock, config, book, room: Notify::new(), settle: Notify::new(), settling });
        let tell = Arc::new(tell);
        let mut tasks = Vec::with_capacity(pollers + 2);
        for _ in 0..pollers {
            let (shared, tell) = (Arc::clone(&shared), Arc::clone(&tell));
            tasks.push(tokio::spawn(async move { shared.poll(&*tell).await }));
        }
        let keeper = Arc::clone(&shared);
        tasks.push(tokio::spawn(async move { keeper.keep().await }));
        let settler = Arc::clone(&shared);
        tasks.push(tokio::spawn(async move {
            loop {
                settler.settle.notified().await;
                settler.settle_told().await;
            }
        }));
        Inbox { shared, tasks }
    }

    /// Settles messages: their effects are durable. Numbers that are not of this inbox are left alone.
    pub fn settle(&self, receipts: &[ReceiptId]) {
        self.shared.with(|book| {
            book.to_settle.extend(receipts.iter().filter(|receipt| book.held.contains_key(receipt)));
        });
        self.shared.settle.notify_one();
    }

    /// The counters.
    #[must_use]
    pub fn figures(&self) -> InboxFigures {
        self.shared.with(|book| InboxFigures { unsettled: book.held.len(), ..book.figures.clone() })
    }

    /// Stops receiving, settles what was told, and gives the rest back to the queue at once.
    pub async fn end(self) {
        let under_way = self.shared.settling.lock().await;
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            // Aborted: that is what it says.
            let _ = task.await;
        }
        drop(under_way);
        self.shared.settle_told().await;
        let left: Vec<Receipt> = self.shared.with(|book| {
            book.bytes = 0;
            std::mem::take(&mut book.held).into_values().map(|held| held.receipt).collect()
        });
        // What cannot be given back now comes back when its visibility runs out.
        let _ = self.shared.queue.extend(&left, Duration::ZERO).await;
    }
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Book) -> T) -> T {
        act(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for room, then receives, for ever.
    async fn poll(&self, tell: &(dyn Fn(InboxEvent) + Send + Sync)) {
        // A service that is down is asked every half minute.
        let backoff = Backoff { attempts: u32::MAX, first: Duration::from_secs(1), longest: Duration::from_secs(30) };
        let (mut failed, mut told) = (0, None);
        loop {
            let room = self.room.notified();
            let free = self.with(|book| {
                let full = book.bytes >= self.config.bytes_max;
                if full { 0 } else { self.config.messages_max.saturating_sub(book.held.len()) }
            });
            if free == 0 {
                room.await;
                continue;
            }
            match self.queue.receive(free.min(10), self.config.wait).await {
                Ok(messages) => {
                    (failed, told) = (0, None);
                    for message in messages {
                        tell(InboxEvent::Arrived(self.enter(message)));
                    }
                }
                Err(error) => {
                    failed += 1;
                    self.with(|book| book.figures.receive_failed += 1);
                    let pause = backoff.pause(failed);
                    if told.as_ref() != Some(&error) {
                        tell(InboxEvent::Trouble(error.clone()));
                        told = Some(error);
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn enter(&self, message: crate::Received) -> Arrival {
        let receipt = ReceiptId(self.config.receipts.fetch_add(1, Ordering::Relaxed));
        let bytes = message.body.as_ref().map_or(0, String::len);
        let held = Held { receipt: message.receipt, hidden_at: self.clock.now(), bytes };
        self.with(|book| {
            book.figures.received += 1;
            book.bytes += bytes;
            book.held.insert(receipt, held);
        });
        Arrival { receipt, id: message.id, body: message.body, receive_count: message.receive_count }
    }

    /// Extends what was hidden a third of its visibility ago.
    async fn keep(&self) {
        let visibility = self.config.visibility;
        loop {
            tokio::time::sleep(visibility / 6).await;
            let now = self.clock.now();
            let due: Vec<(ReceiptId, Receipt)> = self.with(|book| {
                let due = book.held.iter().filter(|(_, held)| now.since(held.hidden_at) >= visibility / 3);
                due.map(|(number, held)| (*number, held.receipt.clone())).collect()
            });
            let (numbers, receipts): (Vec<_>, Vec<_>) = due.into_iter().unzip();
            if receipts.is_empty() {
                continue;
            }
            let outcomes = self.queue.extend(&receipts, visibility).await;
            self.with(|book| {
                for (number, outcome) in numbers.into_iter().zip(outcomes) {
                    match outcome {
                        Ok(()) => {
                            if let Some(held) = book.held.get_mut(&number) {
                                held.hidden_at = now;
                            }
                        }
                        // Tried again at the next turn; when its time ran out, another copy comes, which is no harm.
                        Err(_) => book.figures.extend_failed += 1,
                    }
                }
            });
        }
    }

    async fn settle_told(&self) {
        let _under_way = self.settling.lock().await;
        let told: Vec<Receipt> = self.with(|book| {
            let told = std::mem::take(&mut book.to_settle);
            let mut receipts = Vec::with_capacity(told.len());
            for number in told {
                if let Some(held) = book.held.remove(&number) {
                    book.bytes -= held.bytes;
                    receipts.push(held.receipt);
                }
            }
            receipts
        });
        if told.is_empty() {
            return;
        }
        self.room.notify_waiters();
        let count = told.len();
        let (lost, _) = settle_all(&*self.queue, told, Backoff::default()).await;
        self.with(|book| {
            book.figures.settled += (count - lost) as u64;
            book.figures.settle_failed += lost as u64;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryQueue;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    struct Paused(tokio::time::Instant);

    impl Clock for Paused {
        fn now(&self) -> Tick {
            Tick(1).after(self.0.elapsed())
        }
    }

    #[allow(clippy::disallowed_methods, reason = "the test's own clock")]
    fn clock() -> Arc<Paused> {
        Arc::new(Paused(tokio::time::Instant::now()))
    }

    fn started(visibility: u64, messages_max: usize) -> (Arc<MemoryQueue>, Inbox, UnboundedReceiver<InboxEvent>) {
        let clock = clock();
        let visibility = Duration::from_secs(visibility);
        let queue = Arc::new(MemoryQueue::new("q", clock.clone(), visibility));
        let (events, inbox) = unbounded_channel();
        let config = InboxConfig { visibility, messages_max, ..InboxConfig::default() };
        let tell = move |event| events.send(event).expect("the test listens");
        let receiving = Inbox::start(queue.clone(), clock, config, tell);
        (queue, receiving, inbox)
    }

    async fn arrival(events: &mut UnboundedReceiver<InboxEvent>) -> Arrival {
        match tokio::time::timeout(Duration::from_secs(600), events.recv()).await {
            Ok(Some(InboxEvent::Arrived(arrival))) => arrival,
            other => panic!("expected a message: {other:?}"),
        }
    }

    async fn send(queue: &MemoryQueue, count: usize) {
        let bodies: Vec<String> = (0..count).map(|number| format!("message {number}")).collect();
        assert!(queue.send(&bodies).await.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_stays_hidden_for_hours_while_it_is_worked_on() {
        let (queue, inbox, mut events) = started(30, 10);
        send(&queue, 1).await;
        let first = arrival(&mut events).await;
        tokio::time::sleep(Duration::from_secs(7_200)).await;
        assert!(events.try_recv().is_err(), "nobody got it again");
        inbox.settle(&[first.receipt]);
        while !queue.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(inbox.figures(), InboxFigures { received: 1, settled: 1, ..InboxFigures::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_received_than_may_be_unsettled() {
        let (queue, inbox, mut events) = started(30, 3);
        send(&queue, 5).await;
        let mut receipts = Vec::new();
        for _ in 0..3 {
            receipts.push(arrival(&mut events).await.receipt);
        }
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(events.try_recv().is_err(), "no room");
        inbox.settle(&receipts);
        for _ in 0..2 {
            arrival(&mut events).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_settled_is_given_back_at_the_end() {
        let (queue, inbox, mut events) = started(3_600, 10);
        send(&queue, 2).await;
        let first = arrival(&mut events).await;
        let second = arrival(&mut events).await;
        inbox.settle(&[first.receipt, ReceiptId(999)]);
        inbox.end().await;
        let back = queue.receive(10, Duration::ZERO).await.expect("received");
        assert_eq!(back.len(), 1, "the settled one is gone, the other one is there at once");
        assert_eq!(back[0].body, second.body);
    }
}
