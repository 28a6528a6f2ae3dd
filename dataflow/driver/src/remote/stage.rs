//! The loop of a stage with queues: feeds the engine with what came, performs what it decided, opens jobs, tells how it goes.

use super::desk::{OpenJob, prepare_job};
use super::health::Health;
use super::outside::{FromOutside, Outside};
use super::window::Window;
use super::{StageOptions, opening, seats};
use crate::clock::SystemClock;
use crate::compute::{Broken, Computer};
use crate::crawl::ToDriver;
use crate::delisting::Delisting;
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::exchange::Inward;
use crate::geocoder::GeocodeThread;
use crate::io::{Action, Input};
use crate::journal::JournalThread;
use crate::law::{self, Law, PolicyWatch, Refused};
use crate::opening::open_sink;
use crate::report::Output;
use crate::sinks::{SinkStart, SinkThread, Written};
use crate::state::{Document, StageJob, State};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use weir_frontier::Slice;
use weir_model::json::{Control, ControlMessage, FetchEnvelope, JobHeader, StageMessage};
use weir_model::{
    Clock, ContentHash, FetchMessage, FetchOutcome, JobId, Outcome, ReceiptId, Report, SinkId, Tick, crash,
};
use weir_queue::{QueueError, QueueErrorClass};
use weir_stage::OutboxItem;

/// The loop looks at the stop flag and at jobs' ends at least this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A spider file, or a sink, that cannot be had now is asked for again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A drain waits so long for what is under way; what comes later is fetched again by the next run.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// Commands that are remembered, so that a repeated one is obeyed once.
const OBEYED_MAX: usize = 100;

/// Messages of a job that is not open yet.
struct Waiting {
    header: JobHeader,
    messages: Vec<(ReceiptId, Inward)>,
    /// Not before: something failed for now.
    again_at: Option<Tick>,
}

pub(super) struct StageDriver {
    pub engine: Engine,
    pub law: Law,
    _watch: Option<PolicyWatch>,
    pub clock: Arc<dyn Clock>,
    inbox: Receiver<ToDriver>,
    driver: Sender<ToDriver>,
    pub journal: JournalThread,
    geocoder: GeocodeThread,
    pub computer: Computer,
    pub outside: Outside,
    pub document: Document,
    pub jobs: BTreeMap<JobId, OpenJob>,
    waiting: BTreeMap<JobId, Waiting>,
    pub options: StageOptions,
    pub slice: Slice,
    /// What fetch messages and reports call this stage: no other state has it.
    pub name: String,
    pub started_at: Tick,
    journal_bytes: u64,
    snapshot_at: u64,
    pub health: Health,
    pub window: Window,
    pub counts: Counts,
    pub told: super::telling::Told,
    pub obeyed: VecDeque<String>,
    pub shown: super::letters::Shown,
    pub failure: Option<CrawlError>,
}

/// What the stage counts of messages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Reports of another state's releases.
    pub strange: u64,
    /// Messages of jobs that had ended.
    pub late: u64,
    /// Messages nobody could use.
    pub buried: u64,
    /// Fetch messages.
    pub dispatched: u64,
    /// Parcels handed on.
    pub parcels: u64,
}

/// Runs a stage until it is told to stop.
///
/// # Errors
/// What kept it from starting or going on; nothing that was received is lost by it.
pub fn run_stage(mut options: StageOptions) -> Result<(), CrawlError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let mut state = State::open(&options.state, &*clock)?;
    let is_new = state.document.stage.is_none();
    let claimed = opening::claim(&mut state.document, &options.stack, options.slice);
    if let Err(error) = claimed.and_then(|()| seats::take(&options, is_new)) {
        state.close()?;
        return Err(error);
    }
    state.save()?;
    let started_at = clock.now();
    let law = Law::open(&options.laws, state.store.get_document(law::DOCUMENT)?)?;
    let (engine, jobs) = opening::open_engine(&options, &mut state, &law.book(), started_at)?;
    let (driver, inbox) = channel();
    let health = Health::default();
    if let Some(port) = options.health_port {
        health.serve(port, Arc::clone(&clock))?;
    }
    let name = format!("stage-{}.{}", options.slice.index, state.document.state);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| CrawlError::System { what: "a runtime", error })?;
    let runtime = std::mem::replace(&mut options.runtime, runtime);
    let geocoder = match options.geocoding.take() {
        Some(geocoding) => GeocodeThread::start(geocoding, Arc::clone(&clock), driver.clone())?,
        None => GeocodeThread::none(),
    };
    let computer = Computer::new(options.compute.clone(), Broken::Refuses, driver.clone());
    let document = state.document;
    let journal = {
        let (letters, clock) = (state.letters, Arc::clone(&clock));
        JournalThread::start(state.store, state.lease, (letters, document.clone()), clock, driver.clone())?
    };
    let outside = {
        let (queues, visibility) = (options.queues.clone(), options.pace.visibility);
        Outside::start(queues, visibility, Arc::clone(&clock), runtime, driver.clone())?
    };
    let watch = options.laws.file.as_ref().map(|file| PolicyWatch::start(file, driver.clone())).transpose()?;
    let mut stage = StageDriver {
        engine,
        law,
        _watch: watch,
        clock,
        inbox,
        driver,
        journal,
        geocoder,
        computer,
        outside,
        document,
        jobs,
        waiting: BTreeMap::new(),
        slice: options.slice,
        name,
        started_at,
        journal_bytes: 0,
        snapshot_at: options.settings.journal_snapshot_bytes,
        window: Window::new(options.settings.concurrency),
        options,
        health,
        counts: Counts::default(),
        told: super::telling::Told::default(),
        obeyed: VecDeque::new(),
        shown: super::letters::Shown::default(),
        failure: None,
    };
    stage.begin()?;
    stage.run();
    stage.end()
}

impl StageDriver {
    /// Opens the sinks of jobs that go on, and hands on what was not known to be handed on.
    fn begin(&mut self) -> Result<(), CrawlError> {
        // A job whose end is in the journal has complete sinks and no marks: opened again, a feed would begin anew.
        let running: Vec<JobId> = self.jobs.keys().copied().filter(|job| self.engine.ended(*job).is_none()).collect();
        for job in running {
            self.open_sinks(job)?;
            self.computer.open(job, &self.jobs[&job].spider)?;
        }
        self.journal.save(&self.document)?;
        for parcel in self.engine.unsent_parcels() {
            self.outside.hand_on(parcel);
        }
        self.show_all_letters();
        tracing::info!(
            stage = self.slice.index,
            of = self.slice.of,
            stack = self.options.stack,
            jobs = self.jobs.len(),
            "stage started"
        );
        Ok(())
    }

    fn run(&mut self) {
        let mut draining_since = None;
        loop {
            let now = self.clock.now();
            self.turn(now);
            if self.failure.is_some() {
                return;
            }
            if draining_since.is_none() && self.options.stop.load(Ordering::Relaxed) {
                tracing::info!(in_flight = self.engine.in_flight(), "stopping: what is under way is finished");
                for job in self.jobs.keys() {
                    self.engine.stop(*job, Outcome::Shutdown);
                }
                draining_since = Some(now);
            }
            if let Some(since) = draining_since {
                let busy = self.engine.in_flight() > 0 || self.jobs.keys().any(|job| self.engine.live(*job).pages > 0);
                if !busy || now.since(since) > DRAIN_MAX {
                    return;
                }
            }
            let wait = self.engine.next_wake().since(self.clock.now()).min(LOOK_EVERY);
            if !self.receive(wait) {
                return;
            }
        }
    }

    fn turn(&mut self, now: Tick) {
        let actions = self.engine.advance(now);
        self.perform(actions);
        for notice in self.engine.take_notices() {
            tracing::warn!("{notice}");
        }
        for line in self.engine.take_log() {
            tracing::debug!(?line);
        }
        self.health.turned(now);
        self.ask_again(now);
        self.end_jobs(now);
        self.tell(now);
        self.show_letters(now, false);
        self.sweep(now);
        self.snapshot_when_due(now);
    }

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
        let input = match message {
            ToDriver::Remote(event) => return self.take_outside(*event),
            ToDriver::Written { job, sink, written } => {
                let Written { outcomes, reasons, mark, .. } = written;
                Input::Written { job, sink, outcomes, reasons, mark }
            }
            ToDriver::Loaded { worker, addr, record } => Input::Loaded { worker, addr, record },
            ToDriver::Geocoded(events) => Input::Geocoded(events),
            ToDriver::Computed { answer, notes } => Input::Computed { answer, notes },
            ToDriver::Synced { group, journal_bytes } => {
                self.journal_bytes = journal_bytes;
                Input::Synced { group }
            }
            ToDriver::Law(news) => {
                let now = self.clock.now();
                if let Err(error) = self.law.take(now, news, &mut self.engine, &self.journal) {
                    self.failure.get_or_insert(error);
                }
                return;
            }
            ToDriver::Reports(_) => unreachable!("a stage has no fetch threads"),
            ToDriver::JournalFailed(error) | ToDriver::Failed(error) => {
                self.failure.get_or_insert(error);
                return;
            }
        };
        self.engine.feed(input);
    }

    fn take_outside(&mut self, event: FromOutside) {
        let now = self.clock.now();
        match event {
            FromOutside::Reports { receipt, stage, reports, spent, bytes } => {
                if stage == self.name {
                    self.adapt(now, &reports);
                    self.engine.feed(Input::Spent { spent, report_bytes: bytes });
                    self.engine.feed(Input::Reports { receipt, reports });
                } else {
                    // Of a state that lay here before: its releases are nobody's any more.
                    self.counts.strange += reports.len() as u64;
                    self.outside.settle(vec![receipt]);
                }
            }
            FromOutside::Message { receipt, message } => match *message {
                StageMessage::Shard(shard) => {
                    let inward = Inward::Shard { shard: shard.shard, shards: shard.shards, start: shard.start };
                    self.take_inward(shard.header, receipt, inward);
                }
                StageMessage::Forward(parcel) if parcel.to != self.slice.index => {
                    let why = format!("a parcel for stage {} came to stage {}", parcel.to, self.slice.index);
                    tracing::error!("{why}: is a requests queue shared?");
                    self.outside.bury(receipt, "requests", weir_model::json::QueueMessage::to_json(&parcel), why);
                }
                StageMessage::Forward(parcel) => {
                    let inward = Inward::Parcel { from: parcel.from, id: parcel.id, offers: parcel.offers };
                    self.take_inward(parcel.header, receipt, inward);
                }
                StageMessage::Tally(tally) => self.take_tally(now, receipt, tally),
            },
            FromOutside::Control { receipt, message } => self.obey(receipt, message),
            FromOutside::Spider { hash, text } => self.take_spider(now, hash, text),
            FromOutside::ParcelSent { job, to, id } => {
                self.counts.parcels += 1;
                self.engine.feed(Input::ParcelSent { job, to, id });
            }
            FromOutside::Announced { job, stage } => {
                if let Some(untold) = self.jobs.get_mut(&job).and_then(|open| open.untold.as_mut()) {
                    untold.remove(&stage);
                }
            }
            FromOutside::Object { job, key, bytes } => self.take_object(now, job, &key, bytes),
            FromOutside::Buried { queue, why } => {
                self.counts.buried += 1;
                tracing::error!(queue, "a message could not be used and lies among the dead letters: {why}");
            }
            FromOutside::Trouble(what) => tracing::warn!("{what}; trying again"),
        }
    }

    /// As many requests under way as functions keep up with.
    fn adapt(&mut self, now: Tick, reports: &[Report]) {
        let unsent = reports.iter().filter(|report| matches!(report.outcome, FetchOutcome::Unfetched { .. })).count();
        let before = self.window;
        let size = self.window.reported(now, reports.len() - unsent, unsent);
        if self.window.is_below(before) {
            // Beyond what was under way the old bound was none.
            self.window.fit(self.engine.in_flight() / 2);
        }
        self.engine.set_concurrency(size.min(self.window.size()));
    }

    // ---- jobs -----------------------------------------------------------------------------------------------------

    /// A message of a job: to the engine when it is open, or it waits for the spider.
    fn take_inward(&mut self, header: JobHeader, receipt: ReceiptId, inward: Inward) {
        let job = header.job;
        if self.jobs.contains_key(&job) {
            return self.feed_inward(job, receipt, inward);
        }
        if self.outcome_of(job).is_some() {
            self.counts.late += 1;
            return self.outside.settle(vec![receipt]);
        }
        if let Some(waiting) = self.waiting.get_mut(&job) {
            return waiting.messages.push((receipt, inward));
        }
        self.outside.load_spider(header.hash);
        self.waiting.insert(job, Waiting { header, messages: vec![(receipt, inward)], again_at: None });
    }

    fn ask_again(&mut self, now: Tick) {
        for waiting in self.waiting.values_mut() {
            if waiting.again_at.is_some_and(|at| at <= now) {
                waiting.again_at = None;
                self.outside.load_spider(waiting.header.hash);
            }
        }
    }

    fn take_spider(&mut self, now: Tick, hash: ContentHash, text: Result<String, QueueError>) {
        let wanted =
            self.waiting.iter().filter(|(_, waiting)| waiting.header.hash == hash && waiting.again_at.is_none());
        for job in wanted.map(|(job, _)| *job).collect::<Vec<_>>() {
            let opened = match &text {
                Ok(text) => self.open_job(now, job, text),
                Err(error) if error.class == QueueErrorClass::NotFound => Err(OpenError::Never(format!(
                    "spider {} is not in {}: enqueue the job again, which uploads it ({error})",
                    hash.spider_key(),
                    self.options.queues.artifacts.name()
                ))),
                Err(error) => Err(OpenError::Later(error.to_string())),
            };
            match opened {
                Ok(()) => {
                    let waiting = self.waiting.remove(&job).expect("listed above");
                    for (receipt, inward) in waiting.messages {
                        self.feed_inward(job, receipt, inward);
                    }
                }
                Err(OpenError::Later(why)) => {
                    tracing::warn!(job = job.0, "job cannot be opened now, trying again: {why}");
                    self.waiting.get_mut(&job).expect("listed above").again_at = Some(now.after(AGAIN_AFTER));
                }
                Err(OpenError::Never(why)) => self.fail_job(job, &why),
            }
        }
    }

    fn open_job(&mut self, now: Tick, job: JobId, text: &str) -> Result<(), OpenError> {
        let header = self.waiting[&job].header.clone();
        let prepared = prepare_job(&self.options, header.clone(), text).map_err(OpenError::Never)?;
        let names = prepared.sink_names();
        let opened_at = now.unix_ms();
        let mut open = prepared.into_job(opened_at);
        for name in names {
            let id = self.document.sink(&name).map_err(|error| OpenError::Never(error.to_string()))?;
            open.sink_ids.push(id.0);
        }
        let entry = StageJob {
            id: job,
            header: Some(header),
            spider: text.to_owned(),
            sinks: open.sink_ids.clone(),
            opened_at,
            outcome: None,
        };
        let listed = open.listed();
        let run = open.run(now);
        self.jobs.insert(job, open);
        if let Err(error) = self.open_sinks(job) {
            self.jobs.remove(&job);
            return Err(match error {
                CrawlError::Usage(why) => OpenError::Never(why),
                other => OpenError::Later(other.to_string()),
            });
        }
        self.document.jobs.push(listed);
        if let Some(stage) = &mut self.document.stage {
            stage.jobs.push(entry);
        }
        self.engine.name_sinks(self.document.sinks.iter().map(|sink| sink.name.clone()).collect());
        let saved = self.journal.save(&self.document);
        let opened = self.computer.open(job, &self.jobs[&job].spider);
        if let Err(error) = saved.and(opened) {
            self.failure.get_or_insert(error);
        }
        self.engine.open_job(run);
        tracing::info!(job = job.0, spider = self.jobs[&job].header.spider, "job opened");
        Ok(())
    }

    fn open_sinks(&mut self, job: JobId) -> Result<(), CrawlError> {
        let open = self.jobs.get_mut(&job).expect("the caller has it");
        let ids = open.ids();
        let (spider, started) = (Arc::clone(&open.spider), open.header.opened_at);
        let mut delisting = open.settings.delist.then(|| Delisting::new(&self.document, &open.listed(), &spider));
        let unopened = std::mem::take(&mut open.unopened);
        let mut threads = Vec::with_capacity(unopened.len());
        for (mut output, id) in unopened.into_iter().zip(ids) {
            let is_there = open_sink(&mut output, id, (job, started), &spider, &mut self.engine, &mut self.document)?;
            let Output { sink, required } = output;
            let sink = match &mut delisting {
                Some(delisting) if is_there => delisting.wrap(id, sink, &self.options.stop),
                _ => sink,
            };
            let start = SinkStart {
                job,
                id,
                name: sink.describe().url,
                batch: self.options.settings.sink_batch_items.min(sink.describe().batch.items_max),
                sink: is_there.then_some(sink),
                required,
                stop: Arc::clone(&self.options.stop),
                clock: Arc::clone(&self.clock),
            };
            threads.push(SinkThread::start(start, self.driver.clone())?);
        }
        let open = self.jobs.get_mut(&job).expect("it is there");
        (open.sinks, open.delisting) = (threads, delisting);
        Ok(())
    }

    /// A job that can never run here: its messages go to the dead letters, with the reason.
    fn fail_job(&mut self, job: JobId, why: &str) {
        let Some(waiting) = self.waiting.remove(&job) else { return };
        tracing::error!(job = job.0, spider = waiting.header.spider, "job cannot be opened: {why}");
        if let Err(error) = self.end_unopened(job, Outcome::Failed) {
            self.failure.get_or_insert(error);
            return;
        }
        let mut part = self.part(job, Some(Outcome::Failed), Some(why.to_owned()));
        part.spider.clone_from(&waiting.header.spider);
        self.write_part(&part);
        for (receipt, inward) in waiting.messages {
            let body = super::desk::message_of(&waiting.header, self.slice.index, inward);
            self.outside.bury(receipt, "requests", body, why.to_owned());
        }
    }

    fn obey(&mut self, receipt: ReceiptId, message: ControlMessage) {
        let ControlMessage { id, command } = message;
        if self.obeyed.contains(&id) {
            return self.outside.settle(vec![receipt]);
        }
        match command {
            Control::Cancel { job } => {
                tracing::info!(job = job.0, "cancelled by command {id}");
                if self.jobs.contains_key(&job) {
                    let inward = Inward::Stop(Outcome::Cancelled);
                    self.engine.feed(Input::Inward { receipt, job, inward });
                } else {
                    self.cancel_unopened(job, receipt);
                }
            }
            Control::Status {} => {
                self.told = super::telling::Told::in_detail();
                self.outside.settle(vec![receipt]);
            }
            command @ (Control::Policy { .. } | Control::Throttle { .. } | Control::Blacklist { .. }) => {
                self.obey_law(receipt, &ControlMessage { id: id.clone(), command });
            }
        }
        self.obeyed.push_back(id);
        if self.obeyed.len() > OBEYED_MAX {
            self.obeyed.pop_front();
        }
    }

    /// A change of the law, which is durable before its message is settled.
    fn obey_law(&mut self, receipt: ReceiptId, message: &ControlMessage) {
        match self.law.command(self.clock.now(), message, &mut self.engine, &self.journal) {
            Some(Err(Refused::Journal(error))) => {
                self.failure.get_or_insert(error);
            }
            Some(Err(Refused::Command(why))) => {
                self.outside.bury(receipt, "control", weir_model::json::QueueMessage::to_json(message), why);
            }
            Some(Ok(_)) | None => {
                self.told = super::telling::Told::default();
                self.outside.settle(vec![receipt]);
            }
        }
    }

    /// Its messages may still come: they find it ended.
    fn cancel_unopened(&mut self, job: JobId, receipt: ReceiptId) {
        if self.outcome_of(job).is_none() {
            if let Err(error) = self.end_unopened(job, Outcome::Cancelled) {
                self.failure.get_or_insert(error);
                return;
            }
            let part = self.part(job, Some(Outcome::Cancelled), None);
            self.write_part(&part);
        }
        if let Some(waiting) = self.waiting.remove(&job) {
            self.outside.settle(waiting.messages.into_iter().map(|(receipt, _)| receipt).collect());
        }
        self.outside.settle(vec![receipt]);
    }

    // ---- actions --------------------------------------------------------------------------------------------------

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Append { group, parts } => self.journal.append(group, parts),
                Action::Dispatch(message) => self.dispatch(message),
                Action::Load(wanted) => self.journal.load(wanted),
                Action::Write(items) => self.write(&items),
                Action::Geocode(commands) => self.geocoder.send(commands),
                Action::Compute(wanted) => self.computer.send(wanted),
                Action::Letters(letters) => {
                    self.shown.changed = true;
                    self.journal.letters(letters);
                }
                Action::Committed(marks) => self.committed(marks),
                Action::HandOn(parcel) => self.outside.hand_on(parcel),
                Action::Settle(receipts) => {
                    crash::point("delete a receipt");
                    self.outside.settle(receipts);
                }
            }
        }
    }

    fn dispatch(&mut self, message: FetchMessage) {
        let mut jobs: Vec<weir_model::json::JobRef> = Vec::new();
        for release in &message.releases {
            if jobs.iter().all(|job| job.job != release.job)
                && let Some(open) = self.jobs.get(&release.job)
            {
                jobs.push(open.reference.clone());
            }
        }
        // Releases of a job that has been closed meanwhile are nobody's any more.
        let FetchMessage { id, mut releases } = message;
        releases.retain(|release| jobs.iter().any(|job| job.job == release.job));
        if releases.is_empty() {
            return;
        }
        self.counts.dispatched += 1;
        self.outside.fetch(FetchEnvelope {
            stage: self.name.clone(),
            reports_queue: self.options.queues.reports.name().to_owned(),
            jobs,
            message: FetchMessage { id, releases },
        });
    }

    fn write(&self, items: &[OutboxItem]) {
        let mut by_job: BTreeMap<JobId, Vec<&OutboxItem>> = BTreeMap::new();
        for item in items {
            by_job.entry(item.item.job).or_default().push(item);
        }
        for (job, items) in by_job {
            let Some(open) = self.jobs.get(&job) else { continue };
            for sink in &open.sinks {
                let bit = 1u32 << sink.id().0;
                let wanted = items.iter().filter(|item| item.sinks & bit != 0);
                let wanted: Vec<_> = wanted.map(|item| (item.id, Arc::clone(&item.item))).collect();
                if !wanted.is_empty() {
                    sink.write(wanted);
                }
            }
        }
    }

    fn committed(&self, marks: Vec<((JobId, SinkId), Vec<u8>)>) {
        for ((job, id), mark) in marks {
            let Some(open) = self.jobs.get(&job) else { continue };
            if let Some(sink) = open.sinks.iter().find(|sink| sink.id() == id) {
                sink.committed(mark);
            }
        }
    }

    /// A state that exported what is not its own any more is rid of it with a snapshot.
    fn sweep(&mut self, now: Tick) {
        if !self.document.stage.as_ref().is_some_and(|stage| stage.unswept) {
            return;
        }
        self.snapshot_at = 0;
        self.snapshot_when_due(now);
        if let Some(stage) = &mut self.document.stage {
            stage.unswept = false;
        }
        // Behind the snapshot: the journal's orders are performed in order.
        if let Err(error) = self.journal.save(&self.document) {
            self.failure.get_or_insert(error);
        }
    }

    /// As in `crawl`: flush, wait until all is durable, stream.
    fn snapshot_when_due(&mut self, now: Tick) {
        if self.journal_bytes < self.snapshot_at {
            return;
        }
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
        self.snapshot_at = self.options.settings.journal_snapshot_bytes.max(bytes * 2);
        self.journal_bytes = 0;
    }

    /// Everything becomes durable, what was settled is deleted, the rest goes back to its queues.
    fn end(mut self) -> Result<(), CrawlError> {
        while self.failure.is_none() && !self.engine.is_quiet() {
            let now = self.clock.now();
            let mut actions = self.engine.advance(now);
            actions.extend(self.engine.flush(now));
            // Nothing new is begun at the end; parcels are in the journal.
            actions.retain(|action| {
                !matches!(
                    action,
                    Action::Dispatch(_)
                        | Action::Write(_)
                        | Action::Geocode(_)
                        | Action::Compute(_)
                        | Action::HandOn(_)
                )
            });
            self.perform(actions);
            if !self.engine.is_quiet() && !self.receive(LOOK_EVERY) {
                break;
            }
        }
        for job in self.jobs.keys().copied().collect::<Vec<_>>() {
            let part = self.part(job, None, None);
            self.write_part(&part);
        }
        self.show_letters(self.clock.now(), true);
        let StageDriver { outside, jobs, geocoder, computer, journal, failure, .. } = self;
        outside.end();
        for (_, open) in jobs {
            for sink in open.sinks {
                if let Err(error) = sink.finish(Outcome::Shutdown, false) {
                    tracing::warn!(%error, "a sink at the end; the next run goes on from its mark");
                }
            }
        }
        geocoder.end();
        computer.end();
        journal.end();
        match failure {
            Some(error) => Err(error),
            None => {
                tracing::info!("stopped; the same command goes on");
                Ok(())
            }
        }
    }
}

/// Why a job could not be opened.
enum OpenError {
    /// Nothing helps but another message.
    Never(String),
    /// Trying again may help.
    Later(String),
}
