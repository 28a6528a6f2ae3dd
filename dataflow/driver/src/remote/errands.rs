//! What a stage has done outside: messages sent and received, objects written and waited for.
//!
//! Decides how often to try again and what to read from a message. Invariants: a receipt is settled only when the stage says so, or when
//! its message lies among the dead letters; what cannot be sent now is sent later, and each trouble is told once for each of its texts until
//! something works again.

use super::StageQueues;
use super::census::Wanted;
use super::outside::{END_MAX, FromOutside, Order};
use crate::crawl::ToDriver;
use crate::exchange::Parcel;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use weir_model::json::{ControlMessage, QueueMessage, ReportBatch, StageMessage};
use weir_model::{Clock, ContentHash, JobId, ReceiptId, UnixMs};
use weir_queue::{
    ArtifactStore, Backoff, Claim, Claims, Inbox, InboxConfig, InboxEvent, InboxFigures, MessageQueue, QueueError,
    QueueErrorClass, send_all,
};

/// Between attempts to send what could not be sent.
const PAUSE: Duration = Duration::from_secs(2);
/// Attempts to send a fetch message or an object: after that its lease, or the next look, brings it again.
const ATTEMPTS: u32 = 30;
/// Who claims what no function has begun.
const STAGE: &str = "its stage";
/// Between two looks for an object of another stage, and how long it is looked for.
const OBJECT_PAUSE: Duration = Duration::from_millis(500);
const OBJECT_MAX: Duration = Duration::from_secs(15 * 60);
/// Objects below a prefix that are looked at.
const OBJECTS_MAX: usize = 1_000_000;

/// What is done to an object.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Write {
    Put(Vec<u8>),
    /// The last part of a job: the stage hears when it lies there.
    PutLast(JobId, Vec<u8>),
    Remove,
    /// Of a prefix, which comes before all keys below it: what else lies there goes.
    KeepOnly(BTreeSet<String>),
}

/// Objects to be written: one write of a key at a time, the newest, in the order of keys.
#[derive(Default)]
struct Objects {
    waiting: Mutex<BTreeMap<String, Write>>,
    more: Notify,
    idle: Notify,
}

/// The thread\'s side: inboxes, senders, objects.
pub(super) struct Desk {
    queues: Arc<StageQueues>,
    inboxes: Vec<(&'static str, Inbox)>,
    driver: Sender<ToDriver>,
    orders: UnboundedSender<Order>,
    objects: Arc<Objects>,
    /// Numbers what comes in.
    receipts: Arc<AtomicU64>,
    tasks: JoinSet<()>,
    /// What the end does not wait for.
    waits: JoinSet<()>,
}

fn tell(driver: &Sender<ToDriver>, event: FromOutside) {
    // A stage that has ended needs nothing any more.
    let _ = driver.send(ToDriver::Remote(Box::new(event)));
}

impl Desk {
    pub fn start(
        queues: StageQueues,
        visibility: Duration,
        clock: &Arc<dyn Clock>,
        driver: Sender<ToDriver>,
        orders: UnboundedSender<Order>,
    ) -> Desk {
        let queues = Arc::new(queues);
        let receipts = Arc::new(AtomicU64::new(1));
        let mut inboxes = Vec::with_capacity(3);
        let kinds: [(&'static str, &Arc<dyn MessageQueue>, usize); 3] =
            [("requests", &queues.requests, 1), ("reports", &queues.reports, 2), ("control", &queues.control, 1)];
        for (kind, queue, pollers) in kinds {
            let config = InboxConfig { visibility, pollers, receipts: Arc::clone(&receipts), ..InboxConfig::default() };
            let (driver, orders) = (driver.clone(), orders.clone());
            let name = queue.name().to_owned();
            let inbox = Inbox::start(Arc::clone(queue), Arc::clone(clock), config, move |event| {
                receive(kind, &name, event, &driver, &orders);
            });
            inboxes.push((kind, inbox));
        }
        let objects = Arc::new(Objects::default());
        tokio::spawn(write_objects(Arc::clone(&objects), Arc::clone(&queues.artifacts), driver.clone()));
        Desk { queues, inboxes, driver, orders, objects, receipts, tasks: JoinSet::new(), waits: JoinSet::new() }
    }

    pub fn figures(&self) -> BTreeMap<&'static str, InboxFigures> {
        self.inboxes.iter().map(|(kind, inbox)| (*kind, inbox.figures())).collect()
    }

    pub fn obey(&mut self, order: Order) {
        while self.tasks.try_join_next().is_some() || self.waits.try_join_next().is_some() {}
        let (queues, driver) = (Arc::clone(&self.queues), self.driver.clone());
        match order {
            Order::Fetch(envelope) => {
                self.tasks.spawn(async move {
                    let body = envelope.to_json();
                    // What is lost here comes back by its lease.
                    send(&*queues.fetch, body, ATTEMPTS, &driver).await;
                });
            }
            Order::Claim { message, key, until } => {
                let receipt = ReceiptId(self.receipts.fetch_add(1, Ordering::Relaxed));
                self.waits.spawn(async move {
                    let won = claim(&*queues.claims, &key, until, ATTEMPTS, &driver).await;
                    tell(&driver, FromOutside::Claimed { receipt, message, won });
                });
            }
            Order::HandOn(Parcel { job, to, id, body }) => {
                self.tasks.spawn(async move {
                    let Some(peer) = queues.peers.get(to as usize) else { return };
                    if send(&**peer, body, u32::MAX, &driver).await {
                        tell(&driver, FromOutside::ParcelSent { job, to, id });
                    }
                });
            }
            Order::Tell(to, body, receipt) => {
                let orders = self.orders.clone();
                self.tasks.spawn(async move {
                    let Some(peer) = queues.peers.get(to as usize) else { return };
                    if send(&**peer, body, ATTEMPTS, &driver).await
                        && let Some(receipt) = receipt
                    {
                        let _ = orders.send(Order::Settle(vec![receipt]));
                    }
                });
            }
            Order::Announce(stage, body, job) => {
                self.tasks.spawn(async move {
                    let Some(peer) = queues.peers.get(stage as usize) else { return };
                    if send(&**peer, body, u32::MAX, &driver).await {
                        tell(&driver, FromOutside::Announced { job, stage });
                    }
                });
            }
            Order::Settle(receipts) => self.inboxes.iter().for_each(|(_, inbox)| inbox.settle(&receipts)),
            Order::Bury { receipt, queue, body, why } => {
                let orders = self.orders.clone();
                self.tasks.spawn(async move {
                    let letter = dead_letter(queue, &why, &body);
                    // Until it lies there, or this process ends: its message is deleted by nothing else.
                    if send(&*queues.dead_letters, letter, u32::MAX, &driver).await {
                        let _ = orders.send(Order::Settle(vec![receipt]));
                        tell(&driver, FromOutside::Buried { queue, why });
                    }
                });
            }
            Order::Spider(hash) => {
                self.tasks.spawn(async move {
                    let text = spider(&*queues.artifacts, hash).await;
                    tell(&driver, FromOutside::Spider { hash, text });
                });
            }
            Order::Write(key, write) => {
                self.objects.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(key, write);
                self.objects.more.notify_one();
            }
            Order::Object(job, wanted) => {
                self.waits.spawn(async move {
                    let bytes = object(&*queues.artifacts, &wanted).await;
                    tell(&driver, FromOutside::Object { job, key: wanted.key, bytes });
                });
            }
            Order::End(_) => {}
        }
    }

    pub async fn end(self) {
        let Desk { inboxes, mut tasks, objects, .. } = self;
        let out = async {
            while tasks.join_next().await.is_some() {}
            loop {
                let idle = objects.idle.notified();
                if objects.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                    return;
                }
                idle.await;
            }
        };
        // What could not be sent by then is in the journal, or comes back by its lease.
        let _ = tokio::time::timeout(END_MAX, out).await;
        for (_, inbox) in inboxes {
            // A queue that does not answer gives its messages back by itself.
            let _ = tokio::time::timeout(END_MAX, inbox.end()).await;
        }
    }
}

/// Reads a message and hands it to the stage; what cannot be read goes to the dead letters.
fn receive(
    kind: &'static str,
    queue: &str,
    event: InboxEvent,
    driver: &Sender<ToDriver>,
    orders: &UnboundedSender<Order>,
) {
    let arrival = match event {
        InboxEvent::Arrived(arrival) => arrival,
        InboxEvent::Trouble(error) => return tell(driver, FromOutside::Trouble(format!("{queue}: {error}"))),
    };
    let receipt = arrival.receipt;
    let (body, why) = match arrival.body {
        Err(error) => (String::new(), error.to_string()),
        Ok(body) => match read(kind, receipt, &body) {
            Ok(event) => return tell(driver, event),
            Err(why) => (body, why),
        },
    };
    let _ = orders.send(Order::Bury { receipt, queue: kind, body, why });
}

fn read(kind: &'static str, receipt: ReceiptId, body: &str) -> Result<FromOutside, String> {
    let told = |error: weir_model::json::MessageError| error.to_string();
    Ok(match kind {
        "requests" => FromOutside::Message { receipt, message: Box::new(StageMessage::from_json(body).map_err(told)?) },
        "reports" => {
            let ReportBatch { stage, reports, spent } = ReportBatch::from_json(body).map_err(told)?;
            FromOutside::Reports { receipt, stage, reports, spent, bytes: body.len() as u64 }
        }
        _ => FromOutside::Control { receipt, message: ControlMessage::from_json(body).map_err(told)? },
    })
}

/// A message nobody could use, with where it came from and why: read by people.
fn dead_letter(queue: &str, why: &str, body: &str) -> String {
    serde_json::json!({ "v": 1, "kind": "dead_letter", "queue": queue, "why": why, "body": body }).to_string()
}

/// Sends until it is sent; false when it was given up.
async fn send(queue: &dyn MessageQueue, body: String, attempts: u32, driver: &Sender<ToDriver>) -> bool {
    let mut told = None;
    for _ in 0..attempts {
        let outcome = send_all(queue, vec![body.clone()], Backoff::default()).await.pop();
        let Some(Err(error)) = outcome else { return true };
        if told.as_ref() != Some(&error.message) {
            tell(driver, FromOutside::Trouble(format!("{}: {error}", queue.name())));
            told = Some(error.message);
        }
        if error.class == QueueErrorClass::TooLarge {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
    }
    false
}

/// Whether the stage has the claim. When nobody knows it counts as lost: the leases of its requests decide.
async fn claim(claims: &dyn Claims, key: &str, until: UnixMs, attempts: u32, driver: &Sender<ToDriver>) -> bool {
    for attempt in 0..attempts {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match claims.claim(key, STAGE, until).await {
            Ok(claim) => return claim == Claim::Won,
            Err(error) => tell(driver, FromOutside::Trouble(format!("the claim of a silent fetch message: {error}"))),
        }
    }
    false
}

async fn spider(artifacts: &dyn ArtifactStore, hash: ContentHash) -> Result<String, QueueError> {
    let key = hash.spider_key();
    let bytes = artifacts.get(&key).await?;
    let wrong =
        |what: &str| QueueError::new(QueueErrorClass::NotFound, format!("{key} in {}: {what}", artifacts.name()));
    if ContentHash::of(&bytes) != hash {
        return Err(wrong("holds other bytes than its name says; upload it again by weir enqueue"));
    }
    String::from_utf8(bytes).map_err(|_| wrong("is not text"))
}

/// What lies at a key, as soon as something does.
async fn object(artifacts: &dyn ArtifactStore, wanted: &Wanted) -> Result<Vec<u8>, QueueError> {
    let attempts = OBJECT_MAX.as_millis() / OBJECT_PAUSE.as_millis();
    let mut last = None;
    for _ in 0..attempts {
        let there = match &wanted.bytes {
            None => artifacts.get(&wanted.key).await,
            Some(bytes) => match artifacts.put_new(&wanted.key, bytes.clone()).await {
                Ok(()) => Ok(bytes.clone()),
                Err(error) if error.class == QueueErrorClass::Exists => artifacts.get(&wanted.key).await,
                Err(error) => Err(error),
            },
        };
        match there {
            Ok(bytes) => return Ok(bytes),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(OBJECT_PAUSE).await;
    }
    Err(last.expect("it was tried"))
}

async fn perform(artifacts: &dyn ArtifactStore, key: &str, write: Write) -> Result<(), QueueError> {
    match write {
        Write::Put(bytes) | Write::PutLast(_, bytes) => artifacts.put(key, bytes).await,
        Write::Remove => artifacts.remove(key).await,
        Write::KeepOnly(keys) => {
            for found in artifacts.list(key, OBJECTS_MAX).await? {
                if !keys.contains(&found) {
                    artifacts.remove(&found).await?;
                }
            }
            Ok(())
        }
    }
}

async fn write_objects(objects: Arc<Objects>, artifacts: Arc<dyn ArtifactStore>, driver: Sender<ToDriver>) {
    let mut told = None;
    loop {
        let more = objects.more.notified();
        let next = {
            let waiting = objects.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.iter().next().map(|(key, write)| (key.clone(), write.clone()))
        };
        let Some((key, write)) = next else {
            objects.idle.notify_waiters();
            more.await;
            continue;
        };
        match perform(&*artifacts, &key, write.clone()).await {
            Ok(()) => {
                told = None;
                let mut waiting = objects.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                // Unless a newer one has come meanwhile.
                if waiting.get(&key) == Some(&write) {
                    waiting.remove(&key);
                    if let Write::PutLast(job, _) = write {
                        tell(&driver, FromOutside::PartWritten { job });
                    }
                }
            }
            Err(error) => {
                if told.as_ref() != Some(&error.message) {
                    tell(&driver, FromOutside::Trouble(format!("{}: {error}", artifacts.name())));
                    told = Some(error.message);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_queue::BoxFuture;

    struct Away;

    impl Claims for Away {
        fn claim<'a>(&'a self, _: &'a str, _: &'a str, _: UnixMs) -> BoxFuture<'a, Result<Claim, QueueError>> {
            Box::pin(async { Err(QueueError::new(QueueErrorClass::Transient, "503")) })
        }
    }

    #[test]
    fn a_claim_that_nobody_knows_of_counts_as_lost() {
        let (driver, told) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert!(!runtime.block_on(claim(&Away, "k", UnixMs(0), 1, &driver)));
        assert!(matches!(told.try_recv(), Ok(ToDriver::Remote(_))), "the trouble is told");
    }
}
