//! Sinks of a stage's jobs that are not open: each is opened on a thread of its own, again while it is away, and what is for it waits.
//!
//! Decides what becomes of a job whose sink cannot be opened, or cannot go on. Invariants: the loop of the stage never waits for a sink;
//! nothing of a job is released while it lacks a sink, and other jobs go on; an item is `unanswered` until its sink has settled it, and goes
//! to the sink again when that is opened again; what a sink that is given up has not stored becomes dead letters, with the reason.

use super::desk::OpenJob;
use super::intake::Waiting;
use super::opening::Broken;
use super::stage::StageDriver;
use crate::document::Untold;
use crate::error::CrawlError;
use crate::io::Input;
use crate::report::Output;
use crate::sinks::{SinkStart, SinkThread};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use weir_connector::{ErrorClass, JobInfo, Opened, Sink, SinkError, SinkMark, asks_for_more, identity};
use weir_model::{JobId, Outcome, SinkId, Tick};
use weir_stage::{OutboxId, SinkVerdict};

/// A sink that cannot be opened now is tried again after this.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A sink that stays away is told of this often.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// A sink that is not open.
pub(super) struct Awaited {
    /// As it was made, before it is tried for the first time.
    made: Option<Output>,
    /// When it is to be tried; `None`: a thread is opening it.
    at: Option<Tick>,
    /// Why it is not open.
    why: Option<String>,
    told_at: Tick,
}

impl Awaited {
    pub fn new(output: Output) -> Awaited {
        Awaited { made: Some(output), at: Some(Tick(0)), why: None, told_at: Tick(0) }
    }
}

/// What the document is to have of a sink when the journal has what it means.
pub(super) struct Noted {
    generation: u64,
    name: String,
    /// Durable is what was before it.
    barrier: u64,
}

/// What a thread tells that has opened a sink.
pub(crate) struct SinkOpened {
    job: JobId,
    id: SinkId,
    output: Output,
    result: Result<Opened, SinkError>,
}

impl OpenJob {
    fn url(&self, id: SinkId) -> &str {
        self.urls.get(&id).map_or("", String::as_str)
    }

    /// What it waits for, for a person.
    pub fn waits_for(&self) -> Option<String> {
        let (id, why) = self.awaited.iter().find_map(|(id, awaited)| Some((*id, awaited.why.as_ref()?)))?;
        Some(format!("it waits for the sink {}, which is tried every {} s: {why}", self.url(id), AGAIN_AFTER.as_secs()))
    }

    fn has_due_sink(&self, now: Tick) -> bool {
        self.awaited.values().any(|awaited| awaited.at.is_some_and(|at| at <= now))
    }
}

/// The refusal of items by the sink that they are for.
pub(super) fn refusals(job: JobId, sink: SinkId, items: Vec<OutboxId>, why: &str) -> Input {
    let reasons = items.iter().map(|item| (*item, why.into())).collect();
    let outcomes = items.into_iter().map(|item| (item, SinkVerdict::Refused)).collect();
    Input::Written { job, sink, outcomes, reasons, mark: None, notes: Vec::new() }
}

/// The job, whether it is open or lacks its sinks for that.
fn find<'a>(
    jobs: &'a mut BTreeMap<JobId, OpenJob>,
    waiting: &'a mut BTreeMap<JobId, Waiting>,
    job: JobId,
) -> Option<&'a mut OpenJob> {
    match jobs.get_mut(&job) {
        Some(open) => Some(open),
        None => waiting.get_mut(&job)?.ready.as_deref_mut().map(|ready| &mut ready.job),
    }
}

/// May take as long as it likes: nobody waits.
fn open(output: &mut Output, info: &JobInfo) -> Result<Opened, SinkError> {
    catch_unwind(AssertUnwindSafe(|| output.sink.open(info))).unwrap_or_else(|_| {
        let place = output.sink.describe().url;
        let todo = "This is a mistake in weir: please report it, with the lines before";
        Err(SinkError::new(ErrorClass::Permanent, "opening the sink panicked", place, "a sink that opens", todo))
    })
}

impl StageDriver {
    /// A job that goes on: nothing of it is released before its sinks are open.
    pub(super) fn await_sinks(&mut self, now: Tick, job: JobId) {
        let open = self.jobs.get_mut(&job).expect("the caller has it");
        let (spider, listed) = (Arc::clone(&open.spider), open.listed());
        open.delisting =
            open.settings.delist.then(|| crate::delisting::Delisting::new(&self.document, &listed, &spider));
        if !open.awaited.is_empty() {
            self.engine.pause(job);
            self.open_sinks(now, job);
        }
    }

    /// Has those sinks opened whose time has come.
    pub(super) fn open_due_sinks(&mut self, now: Tick) {
        let open = self.jobs.iter().filter(|(_, open)| open.has_due_sink(now)).map(|(job, _)| *job);
        let ready = |waiting: &Waiting| waiting.ready.as_ref().is_some_and(|ready| ready.job.has_due_sink(now));
        let waiting = self.waiting.iter().filter(|(_, waiting)| ready(waiting)).map(|(job, _)| *job);
        for job in open.chain(waiting).collect::<Vec<_>>() {
            // Its sinks are complete, and its end is about to be noted.
            if self.engine.ended(job).is_none() {
                self.open_sinks(now, job);
            }
        }
    }

    pub(super) fn open_sinks(&mut self, now: Tick, job: JobId) {
        let Some(open) = find(&mut self.jobs, &mut self.waiting, job) else { return };
        let due = open.awaited.iter().filter(|(_, awaited)| awaited.at.is_some_and(|at| at <= now));
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.open_sink(job, id);
        }
    }

    fn open_sink(&mut self, job: JobId, id: SinkId) {
        let resume = self.engine.mark(job, id).map(|mark| SinkMark(mark.to_vec()));
        let state = self.document.state_id();
        let Some(open) = find(&mut self.jobs, &mut self.waiting, job) else { return };
        let Some(awaited) = open.awaited.get_mut(&id) else { return };
        let output = match awaited.made.take() {
            Some(output) => output,
            // One that has failed is not used again.
            None => {
                let name = &self.document.sinks[usize::from(id.0)].name;
                let made = (self.options.sinks)(&open.spider, &open.header).map_err(|error| error.to_string());
                let is_it = |output: &Output| identity(&output.name()) == identity(name);
                let found = made.map(|made| made.into_iter().find(is_it));
                match found {
                    Ok(Some(output)) => output,
                    Ok(None) => return self.cannot_open(job, id, "this stage is not given it any more"),
                    Err(why) => return self.cannot_open(job, id, &why),
                }
            }
        };
        awaited.at = None;
        let info = JobInfo {
            state,
            job,
            spider: open.spider.name().to_owned(),
            started: open.header.opened_at,
            schemas: open.spider.schemas().to_vec(),
            resume,
        };
        let driver = self.driver.clone();
        let thread = std::thread::Builder::new().name(format!("open-sink-{}", id.0)).spawn(move || {
            let mut output = output;
            let result = self::open(&mut output, &info);
            // After the stage's end nobody waits for it.
            let _ = driver.send(crate::crawl::ToDriver::SinkOpened(Box::new(SinkOpened { job, id, output, result })));
        });
        if let Err(error) = thread {
            self.failure.get_or_insert(CrawlError::System { what: "a sink's thread", error });
        }
    }

    pub(super) fn take_opened(&mut self, now: Tick, opened: SinkOpened) {
        let name = opened.output.name();
        let SinkOpened { job, id, output: Output { mut sink, required, known_as }, result } = opened;
        let Some(open) = find(&mut self.jobs, &mut self.waiting, job) else { return };
        if !open.awaited.contains_key(&id) {
            // Given up meanwhile.
            return;
        }
        let sink = match result {
            Ok(found) => {
                let holds_others = open.masks.upsert & (1 << id.0) != 0;
                let sink = match &mut open.delisting {
                    Some(delisting) if known_as.is_none() => delisting.wrap(id, sink, &self.options.stop),
                    _ => sink,
                };
                self.take_generation(now, (job, id), (found.generation, name), holds_others);
                Some(sink)
            }
            Err(error) if error.class == ErrorClass::Configuration => {
                if !self.jobs.contains_key(&job) {
                    sink.unopened();
                }
                return self.cannot_open(job, id, &error.to_string());
            }
            Err(error) if !required => {
                tracing::warn!(
                    sink = sink.describe().url,
                    %error,
                    "the sink cannot be opened; it is not required: the job goes on without it, the next one brings what it missed"
                );
                None
            }
            Err(error) => return self.open_later(now, job, id, &error.to_string()),
        };
        if let Err(error) = self.start_sink(job, id, sink, required) {
            self.failure.get_or_insert(error);
            return;
        }
        let Some(open) = find(&mut self.jobs, &mut self.waiting, job) else { return };
        if open.awaited.is_empty() {
            self.all_are_open(now, job);
        }
    }

    /// Another generation than last time, or more that is asked for in its rows: the place is new, was emptied or lacks something, and gets
    /// every item.
    fn take_generation(
        &mut self,
        now: Tick,
        (job, id): (JobId, SinkId),
        (generation, name): (u64, String),
        holds_others: bool,
    ) {
        let entry = &mut self.document.sinks[usize::from(id.0)];
        let known = self.generations.get(&id).map_or(entry.generation, |noted| noted.generation);
        if holds_others && (known != generation || asks_for_more(&entry.name, &name)) {
            self.engine.reset_sink(now, job, id);
            self.generations.insert(id, Noted { generation, name, barrier: self.engine.barrier() });
        } else {
            entry.name = name;
        }
        self.doubted &= !(1 << id.0);
        self.engine.doubt_sinks(self.doubted);
    }

    /// The document has a generation when the journal has what it means: after a crash in between the sink is found new again.
    pub(super) fn note_generations(&mut self) {
        let durable = self.generations.iter().filter(|(_, noted)| self.engine.is_durable(noted.barrier));
        let done: Vec<SinkId> = durable.map(|(id, _)| *id).collect();
        if done.is_empty() {
            return;
        }
        for id in done {
            let Some(Noted { generation, name, .. }) = self.generations.remove(&id) else { continue };
            let entry = &mut self.document.sinks[usize::from(id.0)];
            (entry.generation, entry.name) = (generation, name);
        }
        if let Err(error) = self.journal.save(&self.document) {
            self.failure.get_or_insert(error);
        }
    }

    /// `sink`: none when it is away and not required.
    fn start_sink(
        &mut self,
        job: JobId,
        id: SinkId,
        sink: Option<Box<dyn Sink>>,
        required: bool,
    ) -> Result<(), CrawlError> {
        let Some(open) = find(&mut self.jobs, &mut self.waiting, job) else { return Ok(()) };
        let batch = sink.as_ref().map_or(usize::MAX, |sink| sink.describe().batch.items_max);
        let start = SinkStart {
            job,
            id,
            name: open.url(id).to_owned(),
            schemas: open.spider.schemas().to_vec(),
            batch: self.options.settings.sink_batch_items.min(batch),
            sink,
            required,
            stop: Arc::clone(&self.options.stop),
            clock: Arc::clone(&self.clock),
        };
        let thread = SinkThread::start(start, self.driver.clone())?;
        let waiting = open.unanswered.get(&id).into_iter().flatten();
        let waiting: Vec<_> = waiting.map(|(item, content)| (*item, Arc::clone(content))).collect();
        if !waiting.is_empty() {
            thread.write(waiting);
        }
        open.awaited.remove(&id);
        open.sinks.push(thread);
        Ok(())
    }

    fn all_are_open(&mut self, now: Tick, job: JobId) {
        if self.waiting.contains_key(&job) {
            return self.admit(now, job);
        }
        if let Err(error) = self.journal.save(&self.document) {
            self.failure.get_or_insert(error);
            return;
        }
        self.engine.resume(job);
        tracing::info!(job = job.0, "the job goes on");
    }

    fn open_later(&mut self, now: Tick, job: JobId, id: SinkId, why: &str) {
        let Some(open) = find(&mut self.jobs, &mut self.waiting, job) else { return };
        let sink = open.url(id).to_owned();
        let Some(awaited) = open.awaited.get_mut(&id) else { return };
        let is_news = awaited.why.as_deref() != Some(why);
        awaited.at = Some(now.after(AGAIN_AFTER));
        awaited.why = Some(why.to_owned());
        if is_news || now.since(awaited.told_at) >= TELL_EVERY {
            awaited.told_at = now;
            tracing::warn!(
                job = job.0,
                sink,
                "the job waits, others go on: its sink cannot be opened, and is tried again every {} s: {why}",
                AGAIN_AFTER.as_secs()
            );
        }
        if is_news && let Some(waiting) = self.waiting.get(&job) {
            let open = waiting.ready.as_ref().map(|ready| &ready.job);
            let mut part = self.part(job, None, open.and_then(OpenJob::waits_for));
            part.spider.clone_from(&waiting.header.spider);
            self.write_part(&part);
        }
    }

    /// A sink that never can be opened as it is: the job ends, and what was for this sink becomes dead letters.
    fn cannot_open(&mut self, job: JobId, id: SinkId, why: &str) {
        let Some(open) = self.jobs.get_mut(&job) else { return self.fail_job(job, why) };
        let url = open.url(id).to_owned();
        tracing::error!(
            job = job.0,
            sink = url,
            "the sink cannot be opened, the job ends: {why}. What is stored stays; items that wait for this sink become dead letters"
        );
        open.failure
            .get_or_insert_with(|| format!("sink {url}: {why}; its items that were not stored are dead letters"));
        self.give_up_sink(job, id, &format!("the sink could not be opened: {why}"));
        self.engine.stop(job, Outcome::Failed);
    }

    fn give_up_sink(&mut self, job: JobId, id: SinkId, why: &str) {
        let Some(open) = self.jobs.get_mut(&job) else { return };
        open.awaited.remove(&id);
        open.given_up.insert(id, why.to_owned());
        let items: Vec<OutboxId> = open.unanswered.remove(&id).into_iter().flatten().map(|(item, _)| item).collect();
        if !items.is_empty() {
            self.engine.feed(refusals(job, id, items, why));
        }
    }

    /// Whether a job's end must wait for its sinks. One that is cancelled, or has failed, waits for none.
    pub(super) fn lacks_sinks(&mut self, job: JobId) -> bool {
        let open = &self.jobs[&job];
        if open.awaited.is_empty() || self.engine.ended(job).is_some() {
            return false;
        }
        let stopping = self.engine.stopping(job);
        let Some(outcome) = stopping.filter(|outcome| matches!(outcome, Outcome::Cancelled | Outcome::Failed)) else {
            return true;
        };
        let awaited = open.awaited.iter();
        let awaited =
            awaited.map(|(id, awaited)| (*id, awaited.why.clone().unwrap_or_else(|| "it does not answer".into())));
        for (id, why) in awaited.collect::<Vec<_>>() {
            let open = self.jobs.get_mut(&job).expect("looked up above");
            let url = open.url(id).to_owned();
            let (waits, ended) = (open.unanswered.get(&id).map_or(0, BTreeMap::len), outcome.as_str());
            tracing::warn!(job = job.0, sink = url, items = waits, "the job ends ({ended}) without its sink: {why}");
            open.failure.get_or_insert_with(|| {
                format!("it ended without its sink {url}: {why}; its items that were not stored are dead letters")
            });
            self.give_up_sink(job, id, &format!("the job ended ({ended}) while the sink could not be opened: {why}"));
        }
        false
    }

    // ---- a sink that was open ---------------------------------------------------------------------------------------

    pub(super) fn take_failed_sink(&mut self, now: Tick, job: JobId, id: SinkId, error: &CrawlError) {
        let Some(open) = self.jobs.get_mut(&job) else { return };
        // One that was to finish has said so already.
        let Some(at) = open.sinks.iter().position(|sink| sink.id() == id) else { return };
        drop(open.sinks.remove(at));
        self.reopen_sink(now, job, id, error);
    }

    /// A required sink cannot go on: it is opened anew, from its last mark, and its job waits meanwhile.
    pub(super) fn reopen_sink(&mut self, now: Tick, job: JobId, id: SinkId, error: &CrawlError) {
        let Some(open) = self.jobs.get_mut(&job) else { return };
        open.awaited.insert(id, Awaited { made: None, at: None, why: None, told_at: Tick(0) });
        // However far its end was: it is looked for again when the sink is open.
        (open.ending, open.roll) = (super::ending::Ending::Running, None);
        self.engine.pause(job);
        self.open_later(now, job, id, &error.to_string());
    }

    // ---- a job that cannot go on ------------------------------------------------------------------------------------

    /// Its spider file or its settings cannot be read by this weir: it ends, and says so.
    pub(super) fn end_broken(&mut self, now: Tick, broken: &Broken) -> Result<(), CrawlError> {
        let Broken { header, why } = broken;
        let job = header.job;
        let why = format!("{why}. What it had queued, and items that no sink had yet, are given up: enqueue it again");
        tracing::error!(job = job.0, spider = header.spider, "job cannot go on: {why}");
        self.engine.give_up(now, job);
        let mut part = self.part(job, Some(Outcome::Failed), Some(why));
        part.spider.clone_from(&header.spider);
        self.note_end(job, Outcome::Failed, Untold { part: Some(part), stages: self.others() });
        self.journal.save(&self.document)?;
        self.tell_end(job);
        Ok(())
    }
}
