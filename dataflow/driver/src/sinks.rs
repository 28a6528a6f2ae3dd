//! A thread a sink: takes items in batches, writes them, tells each item's fate.
//!
//! Invariants: one outcome an item, in order; a transient failure is tried again with growing pauses for as long as it takes,
//! loses nothing and never becomes a refusal; a required sink that cannot go on stops the crawl by name, and the crawl can go on
//! later; a best-effort sink never holds up the others for longer than its patience; when the crawl is to stop, a sink that
//! waits tries once more and leaves the rest to the next run.

use crate::crawl::ToDriver;
use crate::error::CrawlError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use weir_connector::{ErrorClass, ItemOutcome, Sink, SinkError, SinkKind, SinkMark, read};
use weir_model::{Clock, ExtractionNote, Item, ItemSchema, JobId, Outcome, SinkId, Tick};
use weir_stage::{OutboxId, SinkVerdict};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// A sink that waits says so this often.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Pauses are slept in pieces, so that a stop is seen soon.
const PIECE: Duration = Duration::from_millis(100);
/// How long a best-effort sink that fails may hold up the others: a restart of a server. Then its items are missed.
const PATIENCE: Duration = Duration::from_secs(10);
/// A best-effort sink that is away is tried again this often; what comes in between is missed at once.
const PROBE_EVERY: Duration = Duration::from_secs(5);

enum Order {
    Write(Vec<(OutboxId, Arc<Item>)>),
    Committed(SinkMark),
    Finish { outcome: Outcome, complete: bool },
}

/// What a sink thread tells of a batch.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Each item's fate.
    pub outcomes: Vec<(OutboxId, SinkVerdict)>,
    /// Why, for those that were refused.
    pub reasons: Vec<(OutboxId, Box<str>)>,
    /// Where the sink stands now.
    pub mark: Option<Vec<u8>>,
    /// What else the sink did to items: counters.
    pub notes: Vec<ExtractionNote>,
    /// The crawl is to stop and the sink does not answer: the rest is left to the next run.
    pub leaves: bool,
}

/// How a sink's thread is started.
pub(crate) struct SinkStart {
    pub job: JobId,
    pub id: SinkId,
    /// Its name: the redacted URL.
    pub name: String,
    /// `None`: it could not be opened and is not required; everything for it is missed.
    pub sink: Option<Box<dyn Sink>>,
    /// The job's item types.
    pub schemas: Vec<Arc<ItemSchema>>,
    /// Items in a batch.
    pub batch: usize,
    /// The crawl waits for it.
    pub required: bool,
    /// The crawl is to stop.
    pub stop: Arc<AtomicBool>,
    pub clock: Arc<dyn Clock>,
}

/// How a sink's thread ends: with the sink when it was finished.
type Served = Result<Option<Box<dyn Sink>>, Failure>;

/// The driver's end of a sink.
pub(crate) struct SinkThread {
    id: SinkId,
    name: String,
    /// It wants to know which of its marks are durable.
    appends: bool,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<Served>>,
}

/// Why a sink's thread has ended.
#[derive(Clone, Debug)]
enum Failure {
    Sink(SinkError),
    Runtime(String),
}

impl Failure {
    fn told(self, name: &str) -> CrawlError {
        let error = match self {
            Failure::Sink(error) => error.to_string(),
            Failure::Runtime(error) => format!("cannot start its runtime: {error}"),
        };
        CrawlError::Sink { name: name.to_owned(), error }
    }
}

impl SinkThread {
    pub fn start(start: SinkStart, driver: Sender<ToDriver>) -> Result<SinkThread, CrawlError> {
        let (id, name) = (start.id, start.name.clone());
        let appends = start.sink.as_ref().is_some_and(|sink| sink.describe().kind == SinkKind::Appending);
        let (orders, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name(format!("sink-{}", id.0))
            .spawn(move || {
                let (name, job) = (start.name.clone(), start.job);
                let result = Server::serve(start, &inbox, &driver);
                if let Err(failure) = &result {
                    // After the driver's end nobody waits for it; the join gives the error too.
                    let error = failure.clone().told(&name);
                    let _ = driver.send(ToDriver::SinkFailed { job, sink: id, error });
                }
                result
            })
            .map_err(|error| CrawlError::System { what: "a sink's thread", error })?;
        Ok(SinkThread { id, name, appends, orders: Some(orders), thread: Some(thread) })
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

    /// A mark of the sink is durable.
    pub fn committed(&self, mark: Vec<u8>) {
        if let Some(orders) = self.orders.as_ref().filter(|_| self.appends) {
            // As in `write`.
            let _ = orders.send(Order::Committed(SinkMark(mark)));
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

    /// Ends the sink: `complete` when the job holds all its items. Gives it back, to be told when the end is durable.
    pub fn finish(mut self, outcome: Outcome, complete: bool) -> Result<Option<Box<dyn Sink>>, CrawlError> {
        self.begin_finish(outcome, complete);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result.map_err(|failure| failure.told(&self.name)),
            _ => Ok(None),
        }
    }
}

/// The thread itself.
struct Server {
    name: String,
    sink: Option<Box<dyn Sink>>,
    schemas: Vec<Arc<ItemSchema>>,
    required: bool,
    stop: Arc<AtomicBool>,
    runtime: tokio::runtime::Runtime,
    clock: Arc<dyn Clock>,
    /// A best-effort sink has used its patience up: when it is tried again.
    away_until: Option<Tick>,
}

/// What became of a batch.
struct Attempted {
    /// `None`: not settled.
    outcomes: Vec<Option<ItemOutcome>>,
    mark: Option<SinkMark>,
}

impl Server {
    fn serve(start: SinkStart, inbox: &Receiver<Order>, driver: &Sender<ToDriver>) -> Served {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Runtime(error.to_string()))?;
        let SinkStart { job, id, name, sink, schemas, batch, required, stop, clock } = start;
        let mut server = Server { name, sink, schemas, required, stop, runtime, clock, away_until: None };
        let mut waiting: Vec<(OutboxId, Arc<Item>)> = Vec::new();
        let mut committed = None;
        let mut finish = None;
        let mut leaves = false;
        loop {
            if waiting.is_empty() && finish.is_none() {
                match inbox.recv() {
                    Ok(Order::Write(items)) => waiting = items,
                    Ok(Order::Committed(mark)) => committed = Some(mark),
                    Ok(Order::Finish { outcome, complete }) => finish = Some((outcome, complete)),
                    // Dropped without a finish: the crawl stopped at once, the next run goes on.
                    Err(_) => return Ok(None),
                }
            }
            // Everything that has arrived meanwhile goes into the same batch.
            while waiting.len() < batch && finish.is_none() {
                match inbox.try_recv() {
                    Ok(Order::Write(items)) => waiting.extend(items),
                    Ok(Order::Committed(mark)) => committed = Some(mark),
                    Ok(Order::Finish { outcome, complete }) => finish = Some((outcome, complete)),
                    Err(_) => break,
                }
            }
            if let Some(mark) = committed.take() {
                server.committed(&mark)?;
            }
            if leaves {
                // What still comes stays in the outbox.
                waiting.clear();
            }
            while !waiting.is_empty() {
                let count = waiting.len().min(batch);
                let (ids, items): (Vec<OutboxId>, Vec<Arc<Item>>) = waiting.drain(..count).unzip();
                let attempted = server.write(&items)?;
                let written = server.told(&ids, &items, attempted);
                leaves = written.leaves;
                if driver.send(ToDriver::Written { job, sink: id, written }).is_err() {
                    return Ok(None);
                }
                if leaves {
                    waiting.clear();
                }
            }
            if let Some((outcome, complete)) = finish {
                server.finish(outcome, complete)?;
                return Ok(server.sink);
            }
        }
    }

    /// Each item's fate, with the reasons of those that were refused.
    fn told(&mut self, ids: &[OutboxId], items: &[Arc<Item>], attempted: Attempted) -> Written {
        let notes = self.sink.as_mut().map(|sink| sink.notes()).unwrap_or_default();
        let mut written = Written { mark: attempted.mark.map(|mark| mark.0), notes, ..Written::default() };
        for ((id, item), outcome) in ids.iter().zip(items).zip(attempted.outcomes) {
            let verdict = match outcome {
                Some(ItemOutcome::Stored | ItemOutcome::Unchanged) => SinkVerdict::Stored,
                Some(ItemOutcome::Stale) => SinkVerdict::Stale,
                Some(ItemOutcome::Refused { reason }) => {
                    let item = read::called(&self.schemas, item);
                    tracing::error!(sink = self.name, item, %reason, "item refused");
                    written.reasons.push((*id, reason.into()));
                    SinkVerdict::Refused
                }
                Some(ItemOutcome::Retry { .. }) | None if self.required => {
                    written.leaves = true;
                    continue;
                }
                Some(ItemOutcome::Retry { .. }) | None => SinkVerdict::Missed,
            };
            written.outcomes.push((*id, verdict));
        }
        written
    }

    /// Writes one batch, again and again while the failure is transient: until it is settled, the crawl is to stop, or the patience
    /// with a best-effort sink is used up.
    fn write(&mut self, items: &[Arc<Item>]) -> Result<Attempted, Failure> {
        let mut attempted = Attempted { outcomes: vec![None; items.len()], mark: None };
        let Some(sink) = &mut self.sink else { return Ok(attempted) };
        let began = self.clock.now();
        if self.away_until.is_some_and(|until| began < until) {
            return Ok(attempted);
        }
        let mut open: Vec<usize> = (0..items.len()).collect();
        let mut outcomes = Vec::with_capacity(items.len());
        let mut pause = RETRY_FIRST;
        let mut said_at = None::<Duration>;
        loop {
            // What is seen after this is judged by the attempt after it: a stop always gets one more.
            let last = self.stop.load(Ordering::Relaxed);
            let again: Vec<Arc<Item>>;
            let batch = if open.len() == items.len() {
                items
            } else {
                again = open.iter().map(|at| Arc::clone(&items[*at])).collect();
                &again
            };
            let failed = match self.runtime.block_on(sink.write(batch, &mut outcomes)) {
                Ok(mark) => {
                    assert_eq!(outcomes.len(), open.len(), "a sink gives one outcome an item");
                    let (mut left, mut reason) = (Vec::new(), String::new());
                    for (at, outcome) in open.drain(..).zip(outcomes.drain(..)) {
                        match outcome {
                            ItemOutcome::Retry { reason: why } => {
                                left.push(at);
                                reason = why;
                            }
                            settled => attempted.outcomes[at] = Some(settled),
                        }
                    }
                    attempted.mark = Some(mark);
                    open = left;
                    if open.is_empty() {
                        if said_at.is_some() || self.away_until.is_some() {
                            tracing::info!(sink = self.name, "the sink takes items again");
                        }
                        self.away_until = None;
                        return Ok(attempted);
                    }
                    format!("{} items were put off: {reason}", open.len())
                }
                Err(error) if error.class == ErrorClass::Transient => error.to_string(),
                Err(error) if !self.required => {
                    tracing::warn!(
                        sink = self.name,
                        %error,
                        "the sink is given up for this run; it is not required, the next run brings what it missed"
                    );
                    self.sink = None;
                    return Ok(attempted);
                }
                Err(error) => return Err(Failure::Sink(error)),
            };
            let now = self.clock.now();
            let waited = now.since(began);
            let was_away = self.away_until.is_some();
            if was_away || (!self.required && waited >= PATIENCE) {
                self.away_until = Some(now.after(PROBE_EVERY));
            }
            if last || was_away {
                return Ok(attempted);
            }
            if self.away_until.is_some() {
                tracing::warn!(
                    sink = self.name,
                    error = failed,
                    "the sink is not required and does not answer: the crawl goes on without it, the next run brings what it missed"
                );
                return Ok(attempted);
            }
            if said_at.is_none_or(|at| waited - at >= SAY_EVERY) {
                said_at = Some(waited);
                tracing::warn!(
                    sink = self.name,
                    error = failed,
                    waited_s = waited.as_secs(),
                    "the sink does not take items; it is tried again until it does"
                );
            }
            pace(&self.stop, pause);
            pause = (pause * 2).min(if self.required { RETRY_MAX } else { PROBE_EVERY });
        }
    }

    /// Tells the sink what is durable; when the crawl is to stop and it does not answer, the next run tells it.
    fn committed(&mut self, mark: &SinkMark) -> Result<(), Failure> {
        match self.again(|runtime, sink| runtime.block_on(sink.committed(mark))) {
            Err(error) if error.class == ErrorClass::Transient => Ok(()),
            Err(error) if !self.required => {
                tracing::warn!(sink = self.name, %error, "the sink is given up for this run; it is not required");
                self.sink = None;
                Ok(())
            }
            result => result.map_err(Failure::Sink),
        }
    }

    fn finish(&mut self, outcome: Outcome, complete: bool) -> Result<(), Failure> {
        match self.again(|runtime, sink| runtime.block_on(sink.finish(outcome, complete))) {
            Err(error) if !self.required => {
                tracing::warn!(sink = self.name, %error, "the sink was not closed in order; it is not required");
                Ok(())
            }
            result => result.map_err(Failure::Sink),
        }
    }

    /// Calls again and again while the failure is transient: until the crawl is to stop, or the patience with a best-effort sink is
    /// used up.
    fn again(
        &mut self,
        mut call: impl FnMut(&tokio::runtime::Runtime, &mut dyn Sink) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        let began = self.clock.now();
        let mut pause = RETRY_FIRST;
        let mut said_at = None::<Duration>;
        loop {
            let last = self.stop.load(Ordering::Relaxed);
            let error = match call(&self.runtime, sink.as_mut()) {
                Err(error) if error.class == ErrorClass::Transient => error,
                result => return result,
            };
            let waited = self.clock.now().since(began);
            if last || (!self.required && waited >= PATIENCE) {
                return Err(error);
            }
            if said_at.is_none_or(|at| waited - at >= SAY_EVERY) {
                said_at = Some(waited);
                tracing::warn!(
                    sink = self.name,
                    %error,
                    waited_s = waited.as_secs(),
                    "the sink cannot complete its files; it is tried again until it can"
                );
            }
            pace(&self.stop, pause);
            pause = (pause * 2).min(RETRY_MAX);
        }
    }
}

/// Pauses this thread until the time is over or the crawl is to stop; orders that arrive meanwhile stay in the channel.
fn pace(stop: &AtomicBool, pause: Duration) {
    let (_open, nothing) = channel::<()>();
    let mut left = pause;
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        let piece = left.min(PIECE);
        // Nothing is ever sent: this ends by its time-out.
        let _ = nothing.recv_timeout(piece);
        left -= piece;
    }
}
