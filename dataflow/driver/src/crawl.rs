//! One job in one process: the threads, the loop, the end.
//!
//! ```text
//!   fetch threads ──reports──┐                    ┌──> fetch threads (Dispatch)
//!   journal thread ──synced──┼──> Engine.advance ─┼──> journal thread (Append, Load)
//!   sink threads ──written───┤     (this thread)  ├──> sink threads (Write)
//!   geocoder ──geocoded──────┤                    ├──> geocoder (Geocode)
//!   programs ──computed──────┘                    └──> programs, functions (Compute)
//! ```
//! This module performs actions and feeds inputs; what they mean is decided in `engine`.

use crate::backfill::Rows;
use crate::clock::SystemClock;
use crate::compute::{self, Broken, Computer};
use crate::delisting::Delisting;
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::events::{Events, EventsOf};
use crate::fetchers::Fetchers;
use crate::figures::JobFigures;
use crate::geocoder::GeocodeThread;
use crate::io::{Action, Input};
use crate::journal::JournalThread;
use crate::law::{self, ControlSocket, Law, LawNews, PolicyWatch};
use crate::opening::{fetch_parts, open_engine, open_sink};
use crate::replay;
use crate::report::{CrawlOptions, CrawlReport, Observer, Output, Progress};
use crate::sinks::{SinkStart, SinkThread, Written};
use crate::state::{Document, State, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use weir_frontier::Addr;
use weir_model::{Clock, ExtractionNote, ItemSchema, JobId, Outcome, ReceiptId, Report, SinkId, Tick, crash};
use weir_stage::{Computed, OutboxItem};

/// The loop looks at the stop flag and shows progress this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the threads tell the driver.
pub(crate) enum ToDriver {
    Reports(Vec<Report>),
    Written { job: weir_model::JobId, sink: SinkId, written: Written },
    Synced { group: u64, journal_bytes: u64 },
    Loaded { worker: usize, addr: Addr, record: Vec<u8> },
    Geocoded(Vec<weir_geo::Event>),
    Computed { answer: Option<Box<Computed>>, notes: Vec<(weir_model::JobId, ExtractionNote)> },
    Law(LawNews),
    Remote(Box<crate::remote::FromOutside>),
    JournalFailed(CrawlError),
    Failed(CrawlError),
}

/// Runs one job to its end.
pub fn crawl(mut options: CrawlOptions, observer: &mut dyn Observer) -> Result<CrawlReport, CrawlError> {
    // What is read back from a sink has been computed.
    let computes = options.backfill.is_none();
    if computes {
        compute::check(&options.compute, &options.spider).map_err(CrawlError::Usage)?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let started_at = clock.now();
    let mut state = State::open(&options.state, &*clock)?;
    if let Some(why) = &state.recovery.report.fallback {
        observer.say(&format!("the newest snapshot was not used, all it held comes from the journal: {why}"));
    }
    if let Some(torn) = &state.recovery.report.torn {
        observer.say(&format!("{}: an unfinished write of {} bytes was cut away", torn.path, torn.bytes));
    }
    let wanted = Wanted {
        spider: options.spider.name().to_owned(),
        args: options.spider.args().clone(),
        spider_hash: options.spider.content_hash(),
        sinks: options.sinks.iter().map(Output::name).collect(),
        best_effort: options.sinks.iter().filter(|sink| !sink.required).map(Output::name).collect(),
        replays: options.replay.is_some(),
        backfills: options.backfill.as_ref().map(|backfill| backfill.job),
        made_by: options.made_by.clone(),
        schemas: options.spider.schemas().iter().map(|schema| ItemSchema::clone(schema)).collect(),
        now: started_at.unix_ms(),
    };
    let chosen = state.document.choose(&wanted, options.fresh)?;
    state.document.began(chosen.job, started_at);
    state.save()?;
    if chosen.file_changed {
        observer.say("the spider file has changed since the job began; the job goes on with the new one");
    }
    let law = Law::open(&options.laws, state.store.get_document(law::DOCUMENT)?)?;
    let mut engine = open_engine(&options, &mut state, &chosen, law.book(), started_at)?;
    state.letters.append(&engine.take_letters(), &state.document)?;
    for damaged in &state.letters.known().damaged {
        observer.say(&format!("a dead letter is lost: {damaged}"));
    }
    let mut events = match options.events.take() {
        Some(file) => Some(Events::start(EventsOf::job(&options, &chosen), file)?),
        None => None,
    };
    let mut document = state.document.clone();
    if let Some(outcome) = engine.ended(chosen.job) {
        // The end was in the journal but not yet in the document: the crash came between. Now it is in both, and the job is over.
        document.ended(chosen.job, outcome);
        state.document = document;
        state.save()?;
        state.close()?;
        let report = CrawlReport {
            job: chosen.job.0,
            continued: true,
            outcome,
            failure: None,
            figures: engine.figures(chosen.job),
            redelivered: engine.redelivered(),
            elapsed: clock.now().since(started_at),
        };
        if let Some(mut events) = events {
            events.opened(options.spider.name(), true);
            events.end(clock.now().unix_ms(), &report);
        }
        return Ok(report);
    }
    let rows = match options.backfill.take() {
        Some(backfill) => {
            let waiters_max =
                options.geocoding.as_ref().map_or(usize::MAX, |geocoding| geocoding.geocoding.config.waiters_max);
            let place = (&document, &*options.state);
            Some(Rows::new(backfill, chosen.job, place, &options.spider, waiters_max)?)
        }
        None => None,
    };
    let letters = replay::letters(&options, state.letters.known(), &chosen.sinks)?;
    let snapshot_bytes = options.settings.journal_snapshot_bytes;
    let (to_driver, inbox) = channel();
    let mut sinks = Vec::new();
    let this = document.job(chosen.job.0).expect("it was chosen from this document");
    let mut delisting = Delisting::new(&document, this, &options.spider);
    for (mut output, id) in options.sinks.into_iter().zip(&chosen.sinks) {
        let is_there =
            open_sink(&mut output, *id, (chosen.job, chosen.started), &options.spider, &mut engine, &mut document)?;
        let Output { sink, required } = output;
        let marks = options.settings.delist && is_there;
        let sink = if marks { delisting.wrap(*id, sink, &options.stop) } else { sink };
        let start = SinkStart {
            job: chosen.job,
            id: *id,
            name: sink.describe().url,
            batch: options.settings.sink_batch_items.min(sink.describe().batch.items_max),
            sink: is_there.then_some(sink),
            required,
            stop: Arc::clone(&options.stop),
            clock: Arc::clone(&clock),
        };
        sinks.push(SinkThread::start(start, to_driver.clone())?);
    }
    document.opened(chosen.job);
    state.document = document;
    state.save()?;
    let document = state.document;
    let watch = options.laws.file.as_ref().map(|file| PolicyWatch::start(file, to_driver.clone())).transpose()?;
    let socket = ControlSocket::start(&options.state, to_driver.clone());
    let journal = JournalThread::start(
        state.store,
        state.lease,
        (state.letters, document.clone()),
        Arc::clone(&clock),
        to_driver.clone(),
    )?;
    let parts = fetch_parts(&options.settings, &options.spider, &clock, &chosen);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = options.settings.fetch_threads.unwrap_or(cores);
    let fetchers = Fetchers::start(threads, &parts, &to_driver)?;
    let geocoder = match options.geocoding {
        Some(geocoding) => GeocodeThread::start(geocoding, Arc::clone(&clock), to_driver.clone())?,
        None => GeocodeThread::none(),
    };
    let mut computer = Computer::new(options.compute, Broken::Fails, to_driver.clone());
    if computes {
        computer.open(chosen.job, &options.spider)?;
    }
    if let Some(events) = &mut events {
        events.opened(options.spider.name(), chosen.continued);
    }
    let mut driver = Driver {
        engine,
        law,
        _watch: watch,
        _socket: socket,
        events,
        clock,
        inbox,
        journal,
        fetchers,
        geocoder,
        computer: Some(computer),
        rows,
        sinks,
        unanswered: BTreeMap::new(),
        leaving: BTreeSet::new(),
        delisting,
        job: chosen.job,
        started_at,
        receipts: 0,
        journal_bytes: 0,
        snapshot_at: snapshot_bytes,
        snapshot_bytes,
        failure: None,
    };
    if !letters.is_empty() {
        driver.engine.replay_letters(driver.clock.now(), chosen.job, letters);
    }
    let outcome = driver.run(&options.stop, observer);
    driver.end(outcome, document, chosen.continued)
}

struct Driver {
    engine: Engine,
    law: Law,
    _watch: Option<PolicyWatch>,
    _socket: Option<ControlSocket>,
    /// Who asked to be told of everything.
    events: Option<Events>,
    clock: Arc<dyn Clock>,
    inbox: Receiver<ToDriver>,
    journal: JournalThread,
    fetchers: Fetchers,
    geocoder: GeocodeThread,
    /// Until the end.
    computer: Option<Computer>,
    /// What a backfill looks up, until all of it has entered.
    rows: Option<Rows>,
    sinks: Vec<SinkThread>,
    /// Items that a sink has and has not answered for.
    unanswered: BTreeMap<SinkId, usize>,
    /// Sinks that leave what they have to the next run.
    leaving: BTreeSet<SinkId>,
    delisting: Delisting,
    job: weir_model::JobId,
    started_at: Tick,
    receipts: u64,
    journal_bytes: u64,
    snapshot_at: u64,
    snapshot_bytes: u64,
    failure: Option<CrawlError>,
}

impl Driver {
    fn run(&mut self, stop: &AtomicBool, observer: &mut dyn Observer) -> Outcome {
        let mut shown = Tick(0);
        loop {
            let now = self.clock.now();
            let actions = self.engine.advance(now);
            self.perform(actions);
            for notice in self.engine.take_notices() {
                // A warning: also for those who asked for no progress.
                tracing::warn!("{notice}");
            }
            for line in self.engine.take_log() {
                match &mut self.events {
                    Some(events) => {
                        events.logged(&line);
                        if events.log_is_shown {
                            observer.log(&line);
                        }
                    }
                    None => observer.log(&line),
                }
            }
            if let Some(events) = &mut self.events {
                events.hand_over(now.unix_ms());
            }
            if now.since(shown) >= LOOK_EVERY {
                shown = now;
                observer.progress(&self.progress(now));
                if stop.load(Ordering::Relaxed) {
                    self.engine.stop(self.job, Outcome::Shutdown);
                }
            }
            if self.failure.is_some() {
                return Outcome::Failed;
            }
            self.engine.leave_items(self.sinks_leave());
            let over = self.engine.is_over(self.job);
            match self.enter_rows(over) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    self.failure = Some(error);
                    return Outcome::Failed;
                }
            }
            if let Some(outcome) = over {
                return outcome;
            }
            self.snapshot_when_due(now);
            let wait = self.engine.next_wake().since(self.clock.now()).min(LOOK_EVERY);
            if !self.receive(wait) {
                return Outcome::Failed;
            }
        }
    }

    /// Lets the next rows of a backfill enter, when there is room; true: some did. `over`: what was under way before is finished.
    fn enter_rows(&mut self, over: Option<Outcome>) -> Result<bool, CrawlError> {
        let Some(rows) = &mut self.rows else { return Ok(false) };
        let stops =
            self.engine.stopping(self.job).is_some() || over.is_some_and(|outcome| outcome != Outcome::Finished);
        if stops || !(rows.is_read() || over.is_some()) || !rows.has_room(self.engine.live(self.job).pages) {
            return Ok(false);
        }
        let notes = if rows.is_read() { Vec::new() } else { rows.read(&self.engine)? };
        let items = rows.next_lot()?;
        if items.is_empty() {
            self.rows = None;
        }
        let enters = !(items.is_empty() && notes.is_empty());
        if enters {
            self.engine.feed(Input::Rows { items, notes });
        }
        Ok(enters)
    }

    /// Whether what still waits for sinks is left to the next run: some do not answer and the crawl is to stop; the others have
    /// finished what they had.
    fn sinks_leave(&self) -> bool {
        let is_done = |sink: &SinkThread| {
            self.leaving.contains(&sink.id()) || self.unanswered.get(&sink.id()).is_none_or(|count| *count == 0)
        };
        !self.leaving.is_empty() && self.sinks.iter().all(is_done)
    }

    /// Waits for the next message and takes everything that has come.
    fn receive(&mut self, wait: Duration) -> bool {
        let mut next = if wait.is_zero() {
            self.inbox.try_recv().ok()
        } else {
            match self.inbox.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        };
        while let Some(message) = next {
            self.take(message);
            next = self.inbox.try_recv().ok();
        }
        true
    }

    fn take(&mut self, message: ToDriver) {
        if let Some(events) = &mut self.events {
            events.heard(&message);
        }
        let input = match message {
            ToDriver::Reports(reports) => {
                self.receipts += 1;
                Input::Reports { receipt: ReceiptId(self.receipts), reports }
            }
            ToDriver::Geocoded(events) => Input::Geocoded(events),
            ToDriver::Computed { answer, notes } => Input::Computed { answer, notes },
            ToDriver::Written { job, sink, written } => {
                let Written { outcomes, reasons, mark, leaves } = written;
                let unanswered = self.unanswered.entry(sink).or_default();
                *unanswered = unanswered.saturating_sub(outcomes.len());
                if leaves {
                    self.leaving.insert(sink);
                }
                Input::Written { job, sink, outcomes, reasons, mark }
            }
            ToDriver::Law(news) => return self.take_law(news),
            // Only a stage with queues has such things.
            ToDriver::Remote(_) => return,
            ToDriver::Loaded { worker, addr, record } => Input::Loaded { worker, addr, record },
            ToDriver::Synced { group, journal_bytes } => {
                self.journal_bytes = journal_bytes;
                Input::Synced { group }
            }
            ToDriver::JournalFailed(error) | ToDriver::Failed(error) => {
                self.failure.get_or_insert(error);
                return;
            }
        };
        self.engine.feed(input);
    }

    fn take_law(&mut self, news: LawNews) {
        match self.law.take(self.clock.now(), news, &mut self.engine, &self.journal) {
            Ok(happened) => {
                if let (Some(events), Some(event)) = (&mut self.events, happened) {
                    events.law(event);
                }
            }
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Append { group, parts } => self.journal.append(group, parts),
                Action::Dispatch(message) => self.fetchers.send(message),
                Action::Load(wanted) => self.journal.load(wanted),
                Action::Write(items) => self.write(&items),
                Action::Geocode(commands) => self.geocoder.send(commands),
                Action::Compute(wanted) => {
                    if let Some(computer) = &self.computer {
                        computer.send(wanted);
                    }
                }
                Action::HandOn(parcel) => unreachable!("the only stage owns all domains: {parcel:?}"),
                Action::Letters(letters) => {
                    if let Some(events) = &mut self.events {
                        events.buried(&letters);
                    }
                    self.journal.letters(letters);
                }
                Action::Committed(marks) => self.committed(marks),
                // The queue is in this process: deleting from it is forgetting.
                Action::Settle(_receipts) => crash::point("delete a receipt"),
            }
        }
    }

    fn write(&mut self, items: &[OutboxItem]) {
        for sink in &self.sinks {
            let bit = 1u32 << sink.id().0;
            let wanted: Vec<_> = items
                .iter()
                .filter(|item| item.sinks & bit != 0)
                .map(|item| (item.id, Arc::clone(&item.item)))
                .collect();
            if let Some(events) = &mut self.events {
                items.iter().filter(|item| item.sinks & bit != 0).for_each(|item| events.sent(sink.id(), item));
            }
            if !wanted.is_empty() {
                *self.unanswered.entry(sink.id()).or_default() += wanted.len();
                sink.write(wanted);
            }
        }
    }

    fn committed(&self, marks: Vec<((JobId, SinkId), Vec<u8>)>) {
        for ((_, id), mark) in marks {
            if let Some(sink) = self.sinks.iter().find(|sink| sink.id() == id) {
                sink.committed(mark);
            }
        }
    }

    /// Takes a snapshot when much has been written since the last: flush, wait until all is durable, stream.
    fn snapshot_when_due(&mut self, now: Tick) {
        if self.journal_bytes < self.snapshot_at {
            return;
        }
        // Nothing is stepped from here on; what comes in waits.
        while !self.engine.is_settled() {
            let actions = self.engine.flush(now);
            self.perform(actions);
            match self.inbox.recv_timeout(LOOK_EVERY) {
                Ok(ToDriver::Synced { group, .. }) => self.engine.synced(group),
                Ok(message) => self.take(message),
                Err(_) => {}
            }
            if self.failure.is_some() {
                return;
            }
        }
        let actions = self.engine.flush(now);
        self.perform(actions);
        let bytes = self.journal.snapshot_of(&mut self.engine);
        self.snapshot_at = self.snapshot_bytes.max(bytes * 2);
        self.journal_bytes = 0;
    }

    fn progress(&self, now: Tick) -> Progress {
        let figures = self.engine.figures(self.job);
        let live = self.engine.live(self.job);
        Progress {
            elapsed: now.since(self.started_at),
            pages: figures.urls.responses.iter().map(|(_, count)| count).sum(),
            items: figures.items.scraped,
            errors: figures.errors(),
            queued: live.urls.queued + live.urls.delayed + live.urls.parked,
            in_flight: self.engine.in_flight() as u64,
            pending: live.pages,
        }
    }

    /// The end in the journal, then the sinks, then the document, then the lease.
    fn end(mut self, outcome: Outcome, mut document: Document, continued: bool) -> Result<CrawlReport, CrawlError> {
        self.fetchers_end();
        // First everything that the sinks confirmed becomes durable, marks included; then what is gone is marked and the feeds are
        // completed, then the end is written. A crash in between completes the feeds again, from their marks.
        self.settle_all();
        let mut finished = Vec::new();
        if self.failure.is_none() {
            let complete = outcome != Outcome::Shutdown;
            self.delisting.plan(&mut self.engine, outcome);
            for sink in std::mem::take(&mut self.sinks) {
                match sink.finish(outcome, complete) {
                    Ok(sink) => finished.extend(sink),
                    Err(error) => {
                        self.failure.get_or_insert(error);
                    }
                }
            }
        }
        if self.failure.is_none() {
            self.delisting.settle(&mut self.engine, self.clock.now());
            self.engine.end_job(self.clock.now(), self.job, outcome);
            self.settle_all();
        }
        if self.failure.is_none() && outcome != Outcome::Shutdown {
            document.ended(self.job, outcome);
            if let Err(error) = self.journal.save(&document) {
                self.failure.get_or_insert(error);
            }
            if self.failure.is_none() {
                finished.iter_mut().for_each(|sink| sink.ended());
            }
        }
        let report = CrawlReport {
            job: self.job.0,
            continued,
            outcome: if self.failure.is_some() { Outcome::Failed } else { outcome },
            failure: self.failure.as_ref().map(ToString::to_string),
            figures: self.engine.figures(self.job),
            redelivered: self.engine.redelivered(),
            elapsed: self.clock.now().since(self.started_at),
        };
        std::mem::replace(&mut self.geocoder, GeocodeThread::none()).end();
        if let Some(computer) = self.computer.take() {
            computer.end();
        }
        self.journal.end();
        if let Some(mut events) = self.events.take() {
            for line in self.engine.take_log() {
                events.logged(&line);
            }
            events.end(self.clock.now().unix_ms(), &report);
        }
        Ok(report)
    }

    fn fetchers_end(&mut self) {
        let empty = Fetchers::none();
        std::mem::replace(&mut self.fetchers, empty).end();
    }

    /// Flushes until everything is durable.
    fn settle_all(&mut self) {
        while self.failure.is_none() && !self.engine.is_quiet() {
            let now = self.clock.now();
            let mut actions = self.engine.advance(now);
            actions.extend(self.engine.flush(now));
            // Nothing new is begun at the end.
            actions.retain(|action| {
                !matches!(action, Action::Dispatch(_) | Action::Write(_) | Action::Geocode(_) | Action::Compute(_))
            });
            self.perform(actions);
            if !self.engine.is_quiet() && !self.receive(LOOK_EVERY) {
                return;
            }
        }
    }
}

/// Counts of remarks, for the closing stats.
#[must_use]
pub fn notes(figures: &JobFigures) -> &BTreeMap<String, (u64, String)> {
    &figures.notes
}
