//! A thread a sink: takes items in batches, writes them, tells each item's fate.
//!
//! Invariants: one outcome an item, in order; a transient failure is tried again with growing pauses and loses nothing; a
//! sink that cannot go on stops the crawl by name, and the crawl can go on later.

use crate::crawl::ToDriver;
use crate::error::CrawlError;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use weir_connector::{ErrorClass, ItemOutcome, Sink, SinkError, SinkMark};
use weir_model::{Item, JobId, Outcome, SinkId};
use weir_stage::{OutboxId, SinkVerdict};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Attempts before a sink that only fails stops the crawl.
const RETRIES_MAX: u32 = 30;

enum Order {
    Write(Vec<(OutboxId, Arc<Item>)>),
    Finish { outcome: Outcome, complete: bool },
}

/// The driver's end of a sink.
pub(crate) struct SinkThread {
    id: SinkId,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<Result<(), CrawlError>>>,
}

impl SinkThread {
    pub fn start(
        job: JobId,
        id: SinkId,
        sink: Box<dyn Sink>,
        batch: usize,
        driver: Sender<ToDriver>,
    ) -> Result<SinkThread, CrawlError> {
        let name = sink.describe().url;
        let (orders, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name(format!("sink-{}", id.0))
            .spawn(move || {
                let result = serve((job, id), &name, sink, batch, &inbox, &driver);
                if let Err(error) = &result {
                    let failed = CrawlError::Sink { name, error: error.to_string() };
                    // After the driver's end nobody waits for it; the join gives the error too.
                    let _ = driver.send(ToDriver::Failed(failed));
                }
                result
            })
            .map_err(|error| CrawlError::System { what: "a sink's thread", error })?;
        Ok(SinkThread { id, orders: Some(orders), thread: Some(thread) })
    }

    pub fn id(&self) -> SinkId {
        self.id
    }

    pub fn write(&self, items: Vec<(OutboxId, Arc<Item>)>) {
        if let Some(orders) = &self.orders {
            // A failed sink has said so on the driver's channel; the items stay in the outbox.
            let _ = orders.send(Order::Write(items));
        }
    }

    /// Begins to end the sink; `finish` waits for it.
    pub fn begin_finish(&mut self, outcome: Outcome, complete: bool) {
        if let Some(orders) = self.orders.take() {
            let _ = orders.send(Order::Finish { outcome, complete });
        }
    }

    /// Whether the thread has ended: `finish` does not wait.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the sink: `complete` when the job holds all its items.
    pub fn finish(mut self, outcome: Outcome, complete: bool) -> Result<(), CrawlError> {
        self.begin_finish(outcome, complete);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Ok(()),
        }
    }
}

fn serve(
    (job, id): (JobId, SinkId),
    name: &str,
    mut sink: Box<dyn Sink>,
    batch: usize,
    inbox: &Receiver<Order>,
    driver: &Sender<ToDriver>,
) -> Result<(), CrawlError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CrawlError::System { what: "a sink's runtime", error })?;
    let failed = |error: SinkError| CrawlError::Sink { name: name.to_owned(), error: error.to_string() };
    let mut waiting: Vec<(OutboxId, Arc<Item>)> = Vec::new();
    let mut finish = None;
    loop {
        if waiting.is_empty() {
            match inbox.recv() {
                Ok(Order::Write(items)) => waiting = items,
                Ok(Order::Finish { outcome, complete }) => finish = Some((outcome, complete)),
                // Dropped without a finish: the crawl stopped at once, the next run goes on.
                Err(_) => return Ok(()),
            }
        }
        // Everything that has arrived meanwhile goes into the same batch.
        while waiting.len() < batch && finish.is_none() {
            match inbox.try_recv() {
                Ok(Order::Write(items)) => waiting.extend(items),
                Ok(Order::Finish { outcome, complete }) => finish = Some((outcome, complete)),
                Err(_) => break,
            }
        }
        while !waiting.is_empty() {
            let count = waiting.len().min(batch);
            let (ids, items): (Vec<OutboxId>, Vec<Arc<Item>>) = waiting.drain(..count).unzip();
            let (outcomes, mark) = write(&runtime, sink.as_mut(), &items).map_err(failed)?;
            let outcomes = ids.into_iter().zip(outcomes).map(|(id, outcome)| (id, verdict(name, outcome))).collect();
            if driver.send(ToDriver::Written { job, sink: id, outcomes, mark: Some(mark.0) }).is_err() {
                return Ok(());
            }
        }
        if let Some((outcome, complete)) = finish {
            return runtime.block_on(sink.finish(outcome, complete)).map_err(failed);
        }
    }
}

type Outcomes = (Vec<ItemOutcome>, SinkMark);

/// Writes one batch, again and again while the failure is transient.
fn write(runtime: &tokio::runtime::Runtime, sink: &mut dyn Sink, items: &[Arc<Item>]) -> Result<Outcomes, SinkError> {
    let mut pause = RETRY_FIRST;
    let mut settled: Vec<Option<ItemOutcome>> = vec![None; items.len()];
    let mut open: Vec<usize> = (0..items.len()).collect();
    let mut outcomes = Vec::with_capacity(items.len());
    for attempt in 1.. {
        let again: Vec<Arc<Item>>;
        let batch = if open.len() == items.len() {
            items
        } else {
            again = open.iter().map(|at| Arc::clone(&items[*at])).collect();
            &again
        };
        match runtime.block_on(sink.write(batch, &mut outcomes)) {
            Ok(mark) => {
                assert_eq!(outcomes.len(), open.len(), "a sink gives one outcome an item");
                let mut left = Vec::new();
                for (at, outcome) in open.drain(..).zip(outcomes.drain(..)) {
                    if attempt < RETRIES_MAX && !outcome.is_settled() {
                        left.push(at);
                    }
                    settled[at] = Some(outcome);
                }
                if left.is_empty() {
                    return Ok((settled.into_iter().flatten().collect(), mark));
                }
                open = left;
            }
            Err(error) if error.class == ErrorClass::Transient && attempt < RETRIES_MAX => {
                tracing::warn!(%error, attempt, pause_ms = pause.as_millis() as u64, "sink failed, trying again");
            }
            Err(error) => return Err(error),
        }
        pace(pause);
        pause = (pause * 2).min(RETRY_MAX);
    }
    unreachable!("the loop ends by returning")
}

/// Pauses this thread; orders that arrive meanwhile stay in the channel.
fn pace(pause: Duration) {
    let (_open, nothing) = channel::<()>();
    // Nothing is ever sent: this ends by its time-out.
    let _ = nothing.recv_timeout(pause);
}

fn verdict(name: &str, outcome: ItemOutcome) -> SinkVerdict {
    match outcome {
        ItemOutcome::Stored | ItemOutcome::Unchanged => SinkVerdict::Stored,
        ItemOutcome::Stale => SinkVerdict::Stale,
        ItemOutcome::Refused { reason } | ItemOutcome::Retry { reason } => {
            tracing::error!(sink = name, %reason, "item refused");
            SinkVerdict::Refused
        }
    }
}
