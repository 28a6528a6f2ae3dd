//! The loop of a stage with queues: takes what came (`intake`), performs what the engine decided (`performing`), ends and tells of jobs,
//! takes snapshots; its beginning and its end.

use super::awaiting::Noted;
use super::desk::OpenJob;
use super::health::Health;
use super::intake::Waiting;
use super::opening::Broken;
use super::outside::Outside;
use super::unbegun::Unbegun;
use super::window::Window;
use super::{StageOptions, opening, seats};
use crate::clock::SystemClock;
use crate::compute::{self, Computer};
use crate::crawl::ToDriver;
use crate::document::Document;
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::geocoder::GeocodeThread;
use crate::io::{Action, Input};
use crate::journal::JournalThread;
use crate::law::{self, Law, PolicyWatch};
use crate::state::State;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use weir_frontier::Slice;
use weir_model::{Clock, JobId, Outcome, SinkId, Tick};

/// The loop looks at the stop flag and at jobs' ends at least this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A drain waits so long for what is under way; what comes later is fetched again by the next run.
const DRAIN_MAX: Duration = Duration::from_secs(30);

pub(super) struct StageDriver {
    pub engine: Engine,
    pub law: Law,
    _watch: Option<PolicyWatch>,
    pub clock: Arc<dyn Clock>,
    inbox: Receiver<ToDriver>,
    pub driver: Sender<ToDriver>,
    pub journal: JournalThread,
    pub geocoder: GeocodeThread,
    pub computer: Computer,
    pub outside: Outside,
    pub document: Document,
    pub jobs: BTreeMap<JobId, OpenJob>,
    pub waiting: BTreeMap<JobId, Waiting>,
    /// Sinks that were not opened since this process began: they may have been emptied meanwhile.
    pub doubted: u32,
    /// Sinks that were found new or emptied, and the group with which the state has forgotten what they held.
    pub generations: BTreeMap<SinkId, Noted>,
    pub options: StageOptions,
    pub slice: Slice,
    /// What fetch messages and reports call this stage: no other state has it.
    pub name: String,
    pub started_at: Tick,
    journal_bytes: u64,
    snapshot_at: u64,
    pub health: Health,
    pub window: Window,
    pub unbegun: Unbegun,
    pub unbegun_told_at: Tick,
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
    /// Requests that no function began in time.
    pub unbegun: u64,
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
    let opened = match opening::open_engine(&options, &mut state, &law.book(), started_at) {
        Ok(opened) => opened,
        Err(error) => {
            state.close()?;
            return Err(error);
        }
    };
    let (engine, jobs, broken) = opened;
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
    let computer = Computer::new(options.compute.clone(), compute::Broken::Refuses, driver.clone());
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
        doubted: 0,
        generations: BTreeMap::new(),
        slice: options.slice,
        name,
        started_at,
        journal_bytes: 0,
        snapshot_at: options.settings.journal_snapshot_bytes,
        window: Window::new(options.settings.concurrency),
        unbegun: Unbegun::default(),
        unbegun_told_at: Tick(0),
        options,
        health,
        counts: Counts::default(),
        told: super::telling::Told::default(),
        obeyed: VecDeque::new(),
        shown: super::letters::Shown::default(),
        failure: None,
    };
    stage.begin(broken)?;
    stage.run();
    stage.end()
}

impl StageDriver {
    /// Has the sinks of jobs that go on opened, ends the `broken` ones, and hands on what was not known to be handed on.
    fn begin(&mut self, broken: Vec<Broken>) -> Result<(), CrawlError> {
        let now = self.clock.now();
        // A job whose end is in the journal has complete sinks and no marks: opened again, a feed would begin anew.
        let running: Vec<JobId> = self.jobs.keys().copied().filter(|job| self.engine.ended(*job).is_none()).collect();
        self.doubted = running.iter().fold(0, |sinks, job| sinks | self.jobs[job].masks.upsert);
        self.engine.doubt_sinks(self.doubted);
        for job in running {
            self.computer.open(job, &self.jobs[&job].spider)?;
            self.await_sinks(now, job);
        }
        for broken in broken {
            self.end_broken(now, &broken)?;
        }
        self.journal.save(&self.document)?;
        for parcel in self.engine.unsent_parcels() {
            self.outside.hand_on(parcel);
        }
        self.tell_ends();
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
                // What waits for a sink that is not open is the next run's.
                let mut open = self.jobs.iter().filter(|(_, open)| open.awaited.is_empty()).map(|(job, _)| *job);
                let busy = self.engine.in_flight() > 0 || open.any(|job| self.engine.live(job).pages > 0);
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
        self.take_back(now);
        self.ask_again(now);
        self.open_due_sinks(now);
        self.note_generations();
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
            ToDriver::Written { job, sink, written } => return self.written(job, sink, written),
            ToDriver::SinkOpened(opened) => return self.take_opened(self.clock.now(), *opened),
            ToDriver::SinkFailed { job, sink, error } => {
                return self.take_failed_sink(self.clock.now(), job, sink, &error);
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
