//! The end of a complete crawl: listings that it has not seen are marked as gone in every sink that can.
//!
//! Decides which listings are this crawl's to judge: those that an earlier job of the same spider and arguments saw last. Each sink
//! marks them before it finishes; what it has said is in the journal in the same group as the job's end. A crash in between does it
//! again, which changes nothing. Invariant: an incomplete crawl, and one that has seen nothing at all, marks nothing. What several
//! stages have seen of one crawl is put together elsewhere (`remote::census`).

use crate::document::{Document, JobEntry};
use crate::engine::Engine;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_connector::{BoxFuture, ErrorClass, ItemOutcome, JobInfo, Opened, Sink, SinkError, SinkInfo, SinkMark};
use weir_model::{ExtractionNote, Item, ItemId, ItemSchema, JobId, Outcome, SinkId, Tick, crash};
use weir_spider::Spider;
use weir_stage::{Absent, Census, Counted};

/// Listings in one order to a sink.
const BATCH_IDS: usize = 1_000;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// In a pause the stop flag is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Attempts before a sink that only fails stops the crawl, as for writes.
const ATTEMPTS_MAX: u32 = 30;

/// What a sink is to mark, and what it has marked; shared by the driver and the sink's thread, one after the other.
#[derive(Debug, Default)]
struct Marks {
    /// Since when they are gone: the beginning of the crawl, before every version it could have given them.
    at: u64,
    /// By item type.
    wanted: BTreeMap<u16, Vec<ItemId>>,
    marked: Vec<ItemId>,
}

type Shared = Arc<Mutex<Marks>>;

fn locked(marks: &Shared) -> MutexGuard<'_, Marks> {
    // A panic of the other side left plain values.
    marks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The driver's side: what a job may delist, and where.
pub(crate) struct Delisting {
    job: JobId,
    at: u64,
    /// Earlier jobs of the same spider and arguments, with the numbers that their item types have now.
    earlier: BTreeMap<JobId, Vec<Option<u16>>>,
    sinks: Vec<(SinkId, Shared)>,
    /// Another stage marks these, too, and counts them.
    counted_elsewhere: BTreeSet<ItemId>,
}

impl Delisting {
    /// What this crawl may judge, among the jobs that the document knows.
    pub fn new(document: &Document, this: &JobEntry, spider: &Spider) -> Delisting {
        let now = |before: &ItemSchema| {
            spider.schemas().iter().position(|schema| schema.name == before.name).map(|at| at as u16)
        };
        // A replay sees its letters alone, a backfill its rows.
        let crawls = !this.replays && this.backfills.is_none();
        let forerunners = document
            .jobs
            .iter()
            .filter(|entry| crawls && entry.id < this.id && entry.spider == this.spider && entry.args == this.args);
        Delisting {
            job: JobId(this.id),
            at: this.began_us,
            earlier: forerunners.map(|entry| (JobId(entry.id), entry.schemas.iter().map(now).collect())).collect(),
            sinks: Vec::new(),
            counted_elsewhere: BTreeSet::new(),
        }
    }

    /// A sink that will mark what is gone before it finishes; one that cannot stays as it is.
    /// `stop`: set from outside, to go on another time.
    pub fn wrap(&mut self, id: SinkId, sink: Box<dyn Sink>, stop: &Arc<AtomicBool>) -> Box<dyn Sink> {
        if !sink.can_delist() {
            return sink;
        }
        let marks = Shared::default();
        // It may have been opened before, and have failed since.
        self.sinks.retain(|(known, _)| *known != id);
        self.sinks.push((id, Arc::clone(&marks)));
        Box::new(MarkingSink { sink, marks, stop: Arc::clone(stop) })
    }

    /// What the crawl saw, what it did not see and is this state's to judge, and which of the asked listings are known to be there.
    pub fn count(&self, engine: &mut Engine, asked: BTreeSet<ItemId>) -> Counted {
        let sinks = self.sinks.iter().fold(0, |mask, (id, _)| mask | 1 << id.0);
        let earlier = self.earlier.keys().copied().collect();
        engine.count_absent(&Census { job: self.job, earlier, sinks, asked: Arc::new(asked) })
    }

    /// Says what is to be marked. Everything that was crawled has settled; the sinks finish next.
    pub fn plan(&mut self, engine: &mut Engine, outcome: Outcome) {
        if outcome != Outcome::Finished || self.sinks.is_empty() || self.earlier.is_empty() {
            return;
        }
        let incomplete = engine.figures(self.job).incomplete();
        let counted = self.count(engine, BTreeSet::new());
        if may_mark(counted.absent.len(), counted.seen, incomplete.as_deref()) {
            self.mark(&counted.absent);
        }
    }

    /// Has these marked.
    pub fn mark(&mut self, absent: &[Absent]) {
        for (id, marks) in &self.sinks {
            let marks = &mut *locked(marks);
            marks.at = self.at;
            for gone in absent.iter().filter(|gone| gone.sinks & (1 << id.0) != 0) {
                // A type that the spider has no more: no sink is open for it.
                let now = self.earlier.get(&gone.job).and_then(|types| types.get(usize::from(gone.schema)).copied());
                if let Some(schema) = now.flatten() {
                    marks.wanted.entry(schema).or_default().push(gone.id);
                }
            }
        }
    }

    /// Of those, another stage counts these.
    pub fn counted_elsewhere(&mut self, ids: impl Iterator<Item = ItemId>) {
        self.counted_elsewhere.extend(ids);
    }

    /// Takes what the sinks have marked over into the state. The job's end follows in the same group.
    pub fn settle(&mut self, engine: &mut Engine, now: Tick) {
        let marked = self.sinks.iter().map(|(id, marks)| (*id, std::mem::take(&mut locked(marks).marked)));
        engine.delisted(now, self.job, marked.collect(), &self.counted_elsewhere);
    }
}

/// Whether a crawl with this end may judge what it has not seen, and says why not.
pub(crate) fn may_mark(absent: usize, seen: u64, incomplete: Option<&str>) -> bool {
    if absent == 0 {
        return false;
    }
    if let Some(why) = incomplete {
        tracing::warn!(absent, "nothing is marked as gone, since the crawl may have missed what is there: {why}");
        return false;
    }
    if seen == 0 {
        tracing::warn!(
            absent,
            "nothing is marked as gone: this crawl has found no item at all, which is more likely a broken rule"
        );
        return false;
    }
    true
}

/// A sink that marks what is gone before it finishes.
struct MarkingSink {
    sink: Box<dyn Sink>,
    marks: Shared,
    stop: Arc<AtomicBool>,
}

impl MarkingSink {
    async fn mark(&mut self) -> Result<(), SinkError> {
        // What is not marked yet stays wanted: after a failure that passes, the finish is called again.
        while let Some((schema, ids, at)) = self.next_batch() {
            crash::point("delist");
            let marked = mark(self.sink.as_mut(), schema, ids.clone(), at, &self.stop).await?;
            let marks = &mut *locked(&self.marks);
            marks.marked.extend(marked);
            if let Some(wanted) = marks.wanted.get_mut(&schema) {
                wanted.truncate(wanted.len() - ids.len());
            }
        }
        Ok(())
    }

    /// The last listings of an item type, with the time since when they are gone.
    fn next_batch(&self) -> Option<(u16, Vec<ItemId>, u64)> {
        let marks = locked(&self.marks);
        let (schema, ids) = marks.wanted.iter().find(|(_, ids)| !ids.is_empty())?;
        Some((*schema, ids[ids.len().saturating_sub(BATCH_IDS)..].to_vec(), marks.at))
    }
}

/// Marks, again and again while the failure is transient. Gives those that are marked, or not there.
async fn mark(
    sink: &mut dyn Sink,
    schema: u16,
    mut ids: Vec<ItemId>,
    at: u64,
    stop: &AtomicBool,
) -> Result<Vec<ItemId>, SinkError> {
    let mut marked = Vec::with_capacity(ids.len());
    let mut pause = PAUSE_FIRST;
    for attempt in 1..=ATTEMPTS_MAX {
        match sink.delist(schema, &ids, at).await {
            Ok(outcomes) => {
                assert_eq!(outcomes.len(), ids.len(), "a sink gives one outcome an item");
                let mut left = Vec::new();
                for (id, outcome) in ids.into_iter().zip(outcomes) {
                    match outcome {
                        ItemOutcome::Stored | ItemOutcome::Unchanged => marked.push(id),
                        // Somebody else has seen it since.
                        ItemOutcome::Stale => {}
                        ItemOutcome::Retry { .. } => left.push(id),
                        ItemOutcome::Refused { reason } => {
                            tracing::error!(sink = sink.describe().url, %reason, "a listing is gone, and cannot be marked");
                        }
                    }
                }
                ids = left;
            }
            Err(error)
                if error.class == ErrorClass::Transient && attempt < ATTEMPTS_MAX && !stop.load(Ordering::Relaxed) =>
            {
                tracing::warn!(%error, attempt, pause_ms = pause.as_millis() as u64, "marking what is gone failed, trying again");
            }
            Err(error) => return Err(error),
        }
        if ids.is_empty() {
            break;
        }
        let mut left = pause;
        while !left.is_zero() && !stop.load(Ordering::Relaxed) {
            let part = left.min(LOOK_EVERY);
            tokio::time::sleep(part).await;
            left -= part;
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
    // What is still refused for now is asked for again after the next complete crawl.
    Ok(marked)
}

impl Sink for MarkingSink {
    fn describe(&self) -> SinkInfo {
        self.sink.describe()
    }

    fn open(&mut self, job: &JobInfo) -> Result<Opened, SinkError> {
        self.sink.open(job)
    }

    fn write<'a>(
        &'a mut self,
        items: &'a [Arc<Item>],
        outcomes: &'a mut Vec<ItemOutcome>,
    ) -> BoxFuture<'a, Result<SinkMark, SinkError>> {
        self.sink.write(items, outcomes)
    }

    fn notes(&mut self) -> Vec<ExtractionNote> {
        self.sink.notes()
    }

    fn unopened(&mut self) {
        self.sink.unopened();
    }

    fn can_delist(&self) -> bool {
        true
    }

    fn delist<'a>(
        &'a mut self,
        schema: u16,
        ids: &'a [ItemId],
        at: u64,
    ) -> BoxFuture<'a, Result<Vec<ItemOutcome>, SinkError>> {
        self.sink.delist(schema, ids, at)
    }

    fn committed<'a>(&'a mut self, mark: &'a SinkMark) -> BoxFuture<'a, Result<(), SinkError>> {
        self.sink.committed(mark)
    }

    fn ended(&mut self) {
        self.sink.ended();
    }

    fn finish<'a>(&'a mut self, outcome: Outcome, complete: bool) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            self.mark().await?;
            self.sink.finish(outcome, complete).await
        })
    }
}
