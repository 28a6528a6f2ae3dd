//! The stage's end of the outside: a thread with the runtime it was given, orders in, news out.
//!
//! Decides nothing: how orders are carried out is in `errands`. Knows nothing of jobs. Invariant: what is told to the stage is read already.

use super::StageQueues;
use super::errands::{Desk, Write};
use crate::crawl::ToDriver;
use crate::error::CrawlError;
use crate::exchange::Parcel;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Sender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use weir_model::json::{ControlMessage, FetchEnvelope, Spent, StageMessage};
use weir_model::{Clock, ContentHash, JobId, MessageId, ReceiptId, Report, UnixMs};
use weir_queue::{InboxFigures, QueueError};

/// How long the end waits for what is on its way out.
pub(super) const END_MAX: Duration = Duration::from_secs(10);

/// What the outside tells a stage.
#[derive(Debug)]
pub enum FromOutside {
    /// Reports of functions.
    Reports {
        /// Of their message.
        receipt: ReceiptId,
        /// Who released.
        stage: String,
        /// The reports.
        reports: Vec<Report>,
        /// What the function took.
        spent: Vec<Spent>,
        /// Of the message.
        bytes: u64,
    },
    /// A fetch message was claimed by the stage, or by a function before.
    Claimed {
        /// Of no message: for what the news changes.
        receipt: ReceiptId,
        /// Which.
        message: MessageId,
        /// By the stage.
        won: bool,
    },
    /// A message of the requests queue.
    Message {
        /// Of the message.
        receipt: ReceiptId,
        /// What it says.
        message: Box<StageMessage>,
    },
    /// A command.
    Control {
        /// Of the message.
        receipt: ReceiptId,
        /// What it says.
        message: ControlMessage,
    },
    /// A spider file, or why there is none.
    Spider {
        /// Its hash.
        hash: ContentHash,
        /// Its text.
        text: Result<String, QueueError>,
    },
    /// A parcel lies on its owner's queue.
    ParcelSent {
        /// As in the parcel.
        job: JobId,
        /// As there.
        to: u32,
        /// As there.
        id: u64,
    },
    /// A stage is told of a job's end.
    Announced {
        /// Which job.
        job: JobId,
        /// Which stage.
        stage: u32,
    },
    /// A job's last part lies in the artifact store.
    PartWritten {
        /// Which job.
        job: JobId,
    },
    /// An object that a job waits for.
    Object {
        /// Which job.
        job: JobId,
        /// Its key.
        key: String,
        /// What lies there, or why there is nothing.
        bytes: Result<Vec<u8>, QueueError>,
    },
    /// A message could not be read and is now among the dead letters.
    Buried {
        /// The queue it came from.
        queue: &'static str,
        /// Why it could not be read.
        why: String,
    },
    /// Something fails for now, and is tried again.
    Trouble(String),
}

/// What the stage wants done.
pub(super) enum Order {
    Fetch(Box<FetchEnvelope>),
    Claim {
        message: MessageId,
        key: String,
        until: UnixMs,
    },
    HandOn(Parcel),
    /// A message for a stage's requests queue; the receipt is settled when it lies there.
    Tell(u32, String, Option<ReceiptId>),
    /// The news of a job's end for another stage.
    Announce(u32, String, JobId),
    Settle(Vec<ReceiptId>),
    Bury {
        receipt: ReceiptId,
        queue: &'static str,
        body: String,
        why: String,
    },
    Spider(ContentHash),
    Object(JobId, super::census::Wanted),
    Write(String, Write),
    End(std::sync::mpsc::SyncSender<()>),
}

/// The stage's end.
pub(super) struct Outside {
    orders: UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
    figures: Arc<Mutex<BTreeMap<&'static str, InboxFigures>>>,
}

impl Outside {
    pub fn start(
        queues: StageQueues,
        visibility: Duration,
        clock: Arc<dyn Clock>,
        runtime: tokio::runtime::Runtime,
        driver: Sender<ToDriver>,
    ) -> Result<Outside, CrawlError> {
        let (orders, mut inbox) = unbounded_channel();
        let figures = Arc::new(Mutex::new(BTreeMap::new()));
        let book = Arc::clone(&figures);
        let again = orders.clone();
        let thread = std::thread::Builder::new()
            .name("outside".into())
            .spawn(move || {
                runtime.block_on(async move {
                    let mut desk = Desk::start(queues, visibility, &clock, driver, again);
                    while let Some(order) = inbox.recv().await {
                        if let Order::End(done) = order {
                            desk.end().await;
                            // The stage may have given up waiting.
                            let _ = done.send(());
                            return;
                        }
                        desk.obey(order);
                        *book.lock().unwrap_or_else(PoisonError::into_inner) = desk.figures();
                    }
                });
            })
            .map_err(|error| CrawlError::System { what: "the thread of the queues", error })?;
        Ok(Outside { orders, thread: Some(thread), figures })
    }

    fn order(&self, order: Order) {
        // A dead thread has panicked and said so; its messages come again.
        let _ = self.orders.send(order);
    }

    pub fn fetch(&self, envelope: FetchEnvelope) {
        self.order(Order::Fetch(Box::new(envelope)));
    }

    /// Claims a fetch message, so that no function begins it any more; answered by `Claimed`, as lost when that cannot be known.
    pub fn claim(&self, message: MessageId, key: String, until: UnixMs) {
        self.order(Order::Claim { message, key, until });
    }

    pub fn hand_on(&self, parcel: Parcel) {
        self.order(Order::HandOn(parcel));
    }

    pub fn tell(&self, stage: u32, body: String, receipt: Option<ReceiptId>) {
        self.order(Order::Tell(stage, body, receipt));
    }

    pub fn settle(&self, receipts: Vec<ReceiptId>) {
        self.order(Order::Settle(receipts));
    }

    pub fn bury(&self, receipt: ReceiptId, queue: &'static str, body: String, why: String) {
        self.order(Order::Bury { receipt, queue, body, why });
    }

    pub fn load_spider(&self, hash: ContentHash) {
        self.order(Order::Spider(hash));
    }

    /// Writes an object; of several for one key the newest wins.
    pub fn put(&self, key: String, bytes: Vec<u8>) {
        self.order(Order::Write(key, Write::Put(bytes)));
    }

    /// Writes the last part of a job, after which no other is written; answered by `PartWritten`.
    pub fn put_last(&self, job: JobId, key: String, bytes: Vec<u8>) {
        self.order(Order::Write(key, Write::PutLast(job, bytes)));
    }

    /// Removes an object.
    pub fn remove(&self, key: String) {
        self.order(Order::Write(key, Write::Remove));
    }

    /// Removes all objects below `prefix` but these, before any of them is written.
    pub fn keep_only(&self, prefix: String, keys: BTreeSet<String>) {
        self.order(Order::Write(prefix, Write::KeepOnly(keys)));
    }

    /// Writes an object unless it is there, or waits for another stage to write it; answered by `Object` with what lies there.
    pub fn object(&self, job: JobId, wanted: super::census::Wanted) {
        self.order(Order::Object(job, wanted));
    }

    /// Counters of the inboxes, as of the last order.
    pub fn figures(&self) -> BTreeMap<&'static str, InboxFigures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells a stage that a job has ended; answered by `Announced`.
    pub fn announce(&self, stage: u32, body: String, job: JobId) {
        self.order(Order::Announce(stage, body, job));
    }

    /// Settles what was told, gives the other messages back, sends what is on its way.
    pub fn end(mut self) {
        let (done, ended) = sync_channel(1);
        self.order(Order::End(done));
        // A thread that has panicked is noticed by its channel.
        let _ = ended.recv_timeout(END_MAX * 2);
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
        {
            let _ = thread.join();
        }
    }
}
