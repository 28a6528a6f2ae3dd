//! Receive, commit, settle, recover: one pure state machine, run by the driver and by the simulation alike.
//!
//! Decides when the stage is stepped, what waits for the journal and what may go at once, when a group closes, when a
//! receipt may be settled and when a job is over. Knows no clock (time is an argument), no thread, no disk and no socket:
//! it is fed `Input`s and gives `Action`s, and whoever runs it performs them and reports back.
//!
//! Invariants:
//! - a step's commands that need durability leave only after the group that holds the step's records is synced;
//! - a receipt is settled when all its reports were stepped and the last of their groups is synced;
//! - at most one group is under way; while it is, the next one fills;
//! - nothing is dispatched beyond `concurrency`, and nothing at all while the outbox is full.

use crate::figures::JobFigures;
use crate::group::{Group, Held};
use crate::jobs::JobRun;
use crate::record;
use std::collections::{BTreeMap, VecDeque};
use weir_frontier::{Addr, Counters, LogLine, Offer, OfferSource};
use weir_model::{
    ExtractionNote, FetchMessage, JobId, LinkBatch, MessageId, Outcome, ReceiptId, Release, Report, SinkId, Tick,
};
use weir_stage::{Event, ItemCounts, JobLive, LaneBytes, OutboxId, OutboxItem, SinkVerdict, Stage, Step};

/// Bounds of an engine. Each is a limit on something in flight.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Requests under way, all domains together.
    pub concurrency: usize,
    /// Releases packed into one fetch message.
    pub message_releases_max: usize,
    /// A group closes at this age.
    pub group_us: u64,
    /// A group closes when it holds this many bytes, whatever its age.
    pub group_bytes_max: usize,
    /// A group closes when this many events went into it.
    pub group_events_max: usize,
    /// Nothing is released while items waiting for sinks hold more than this.
    pub outbox_bytes_max: usize,
    /// Start URLs are offered when fewer URLs than this are queued.
    pub start_low_water: u64,
    /// Start URLs offered in one step.
    pub start_batch: usize,
    /// Events applied in one step.
    pub step_events_max: usize,
    /// The driver's own lane of the journal.
    pub lane: u16,
    /// Part of message ids: they differ from those of every other start.
    pub boot: u32,
}

impl EngineConfig {
    /// The defaults of `weir crawl`.
    #[must_use]
    pub fn new(lane: u16, boot: u32) -> Self {
        EngineConfig {
            concurrency: 100,
            message_releases_max: 32,
            group_us: 20_000,
            group_bytes_max: 4 << 20,
            group_events_max: 10_000,
            outbox_bytes_max: 64 << 20,
            start_low_water: 20_000,
            start_batch: 2_000,
            step_events_max: 4_096,
            lane,
            boot,
        }
    }
}

/// How long the stage sleeps when requests are due but nothing may be released; a report wakes it before.
const FULL_PAUSE_US: u64 = 100_000;
/// How long it sleeps when something is due that waits for its body; the body wakes it before.
const LOAD_PAUSE_US: u64 = 1_000;

/// Start URLs in one offer.
const OFFER_URLS: usize = 256;

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// A message of reports was received.
    Reports {
        /// To be settled when everything in it is durable.
        receipt: ReceiptId,
        /// The reports.
        reports: Vec<Report>,
    },
    /// A sink has settled items.
    Written {
        /// Which sink.
        sink: SinkId,
        /// Each item's fate.
        outcomes: Vec<(OutboxId, SinkVerdict)>,
        /// Where the sink stands now (a feed's committed length); kept in the journal.
        mark: Option<Vec<u8>>,
    },
    /// A body was read back.
    Loaded {
        /// The worker that asked.
        worker: usize,
        /// Its address.
        addr: Addr,
        /// The record.
        record: Vec<u8>,
    },
    /// The group with this number is durable.
    Synced {
        /// As in `Action::Append`.
        group: u64,
    },
}

/// What is to be done outside.
#[derive(Debug)]
pub enum Action {
    /// Append to the journal as one group, make it durable, answer `Synced`.
    Append {
        /// Number of the group, from 1.
        group: u64,
        /// Its parts.
        parts: Vec<LaneBytes>,
    },
    /// Hand to a fetch-parse function.
    Dispatch(FetchMessage),
    /// Read back, answer `Loaded`.
    Load(Vec<(usize, Addr)>),
    /// Write to the sinks that each names, answer `Written`.
    Write(Vec<OutboxItem>),
    /// Delete from the queue.
    Settle(Vec<ReceiptId>),
}

/// The engine.
pub struct Engine {
    pub(crate) stage: Stage,
    pub(crate) config: EngineConfig,
    pub(crate) inputs: VecDeque<Input>,
    pub(crate) group: Group,
    pub(crate) under_way: Option<(u64, Held)>,
    pub(crate) groups: u64,
    pub(crate) lane_written: u64,
    pub(crate) in_flight: usize,
    pub(crate) messages: u64,
    pub(crate) next_wake: Tick,
    pub(crate) outbox_bytes: usize,
    pub(crate) jobs: BTreeMap<JobId, JobRun>,
    pub(crate) live: BTreeMap<JobId, JobLive>,
    pub(crate) figures: BTreeMap<JobId, JobFigures>,
    pub(crate) marks: BTreeMap<(JobId, SinkId), Vec<u8>>,
    pub(crate) redelivered: u64,
    pub(crate) log: Vec<LogLine>,
    pub(crate) actions: Vec<Action>,
    pub(crate) recovered: bool,
}

impl Engine {
    /// An engine over a fresh stage.
    #[must_use]
    pub fn new(stage: Stage, config: EngineConfig) -> Engine {
        Engine {
            stage,
            config,
            inputs: VecDeque::new(),
            group: Group::default(),
            under_way: None,
            groups: 0,
            lane_written: 0,
            in_flight: 0,
            messages: 0,
            next_wake: Tick(0),
            outbox_bytes: 0,
            jobs: BTreeMap::new(),
            live: BTreeMap::new(),
            figures: BTreeMap::new(),
            marks: BTreeMap::new(),
            redelivered: 0,
            log: Vec::new(),
            actions: Vec::new(),
            recovered: false,
        }
    }

    // ---- the run --------------------------------------------------------------------------------------------------

    /// Takes note of what happened; nothing is done before the next `advance`.
    pub fn feed(&mut self, input: Input) {
        self.inputs.push_back(input);
    }

    /// Does everything that can be done at `now`; gives what is to be done outside.
    pub fn advance(&mut self, now: Tick) -> Vec<Action> {
        self.apply_stop_rules(now);
        loop {
            let (events, stepped) = self.take_events(now);
            let due = !events.is_empty() || now >= self.next_wake || stepped;
            if !due {
                break;
            }
            let count = events.len();
            let step = self.stage.step(now, events, self.in_flight_max());
            let ready = step.ready > 0;
            self.apply(now, step, count);
            let full = self.in_flight >= self.in_flight_max();
            if self.next_wake <= now || (ready && !full) {
                // Something is due that this step could not release: no room, or room that a lost lease has just made, or a
                // body that is being read back.
                let pause = if full { FULL_PAUSE_US } else { LOAD_PAUSE_US };
                self.next_wake = self.next_wake.min(now.after_us(pause)).max(now.after_us(1));
            }
        }
        self.close_group(now, false);
        std::mem::take(&mut self.actions)
    }

    /// When `advance` wants to be called again even if nothing happens.
    #[must_use]
    pub fn next_wake(&self) -> Tick {
        let group = match (self.group.opened_at, &self.under_way) {
            (Some(opened), None) => opened.after_us(self.config.group_us),
            _ => Tick::NEVER,
        };
        self.next_wake.min(group)
    }

    fn in_flight_max(&self) -> usize {
        let stopping = self.jobs.values().all(|run| run.stopping.is_some() || run.ended.is_some());
        if stopping || self.outbox_bytes > self.config.outbox_bytes_max {
            return 0;
        }
        self.config.concurrency
    }

    /// Events of the waiting inputs, at most `step_events_max`. The flag says that bodies were loaded.
    fn take_events(&mut self, now: Tick) -> (Vec<Event>, bool) {
        let mut events = Vec::new();
        let mut loaded = false;
        while events.len() < self.config.step_events_max {
            let Some(input) = self.inputs.pop_front() else { break };
            match input {
                Input::Reports { receipt, reports } => {
                    events.extend(reports.into_iter().map(|report| Event::Report(Box::new(report))));
                    self.group.opened_at.get_or_insert(now);
                    self.group.held.receipts.push(receipt);
                }
                Input::Written { sink, outcomes, mark } => {
                    events.extend(outcomes.into_iter().map(|(id, verdict)| Event::Written { sink, id, verdict }));
                    if let Some(mark) = mark {
                        self.keep_mark(now, sink, mark);
                    }
                }
                Input::Loaded { worker, addr, record } => {
                    self.stage.loaded(worker, addr, record);
                    loaded = true;
                }
                Input::Synced { group } => self.synced(group),
            }
        }
        self.offer_start(now, &mut events);
        (events, loaded)
    }

    fn keep_mark(&mut self, now: Tick, sink: SinkId, mark: Vec<u8>) {
        // A sink serves the jobs that run now; one, in the embedded setting.
        let running: Vec<JobId> =
            self.jobs.iter().filter(|(_, run)| run.ended.is_none()).map(|(job, _)| *job).collect();
        for job in running {
            self.marks.insert((job, sink), mark.clone());
            self.write_own(now, &record::Record::SinkMark { job, sink, mark: mark.clone() });
        }
    }

    /// Start URLs come in batches, as the queues run low; how far they came is in the same group as their admission.
    fn offer_start(&mut self, now: Tick, events: &mut Vec<Event>) {
        let mut records = Vec::new();
        for (job, run) in &mut self.jobs {
            let queued = self.live.get(job).map_or(0, |live| live.urls.queued);
            let runs = run.ended.is_none() && run.stopping.is_none();
            if !runs || run.start_next >= run.start_count || queued >= self.config.start_low_water {
                continue;
            }
            let count = self.config.start_batch.min((run.start_count - run.start_next) as usize);
            let end = run.start_next + count as u64;
            // Several offers, so that several workers prepare them.
            while run.start_next < end {
                let piece = OFFER_URLS.min((end - run.start_next) as usize);
                let mut links = LinkBatch::default();
                run.start.fill(run.start_next, piece, &mut links);
                run.start_next += piece as u64;
                events.push(Event::Offer(Offer { job: *job, source: OfferSource::Start, links, ..Offer::default() }));
            }
            records.push(record::Record::StartProgress { job: *job, next: run.start_next });
        }
        for record in records {
            self.write_own(now, &record);
        }
    }

    fn write_own(&mut self, now: Tick, record: &record::Record) {
        let mut bytes = Vec::new();
        record::framed(&mut bytes, record);
        let offset = self.lane_written;
        self.lane_written += bytes.len() as u64;
        self.group.add(now, LaneBytes { lane: self.config.lane, offset, bytes });
    }

    fn apply(&mut self, now: Tick, step: Step, events: usize) {
        self.group.events += events;
        for part in step.journal {
            self.group.add(now, part);
        }
        self.in_flight = step.in_flight;
        self.dispatch(step.free);
        if !(step.releases.is_empty() && step.alone.is_empty() && step.writes.is_empty()) {
            self.group.opened_at.get_or_insert(now);
        }
        self.group.held.releases.extend(step.releases);
        self.group.held.alone.extend(step.alone);
        self.group.held.writes.extend(step.writes);
        let (later, loads): (Vec<_>, Vec<_>) = step.loads.into_iter().partition(|(_, addr)| self.group.holds(*addr));
        self.group.loads.extend(later);
        if !loads.is_empty() {
            self.actions.push(Action::Load(loads));
        }
        self.count(&step.counters, &step.items);
        self.keep_notes(now, &step.notes);
        self.log.extend(step.log);
        self.live = step.live;
        self.outbox_bytes = step.outbox_bytes;
        self.next_wake = step.next_wake;
        self.apply_stop_rules(now);
    }

    fn count(&mut self, urls: &Counters, items: &BTreeMap<JobId, ItemCounts>) {
        self.redelivered += urls.redelivered;
        for (job, counts) in urls.iter() {
            self.figures.entry(job).or_default().urls.add(counts);
        }
        for (job, counts) in items {
            self.figures.entry(*job).or_default().items.add(counts);
        }
    }

    /// Adds up the remarks of a step, so that the journal gets one record a counter and step.
    fn keep_notes(&mut self, now: Tick, notes: &[(JobId, ExtractionNote)]) {
        let mut sums: BTreeMap<(JobId, &str), (u64, &str)> = BTreeMap::new();
        for (job, note) in notes {
            sums.entry((*job, &note.counter)).or_insert((0, &note.example)).0 += u64::from(note.count);
        }
        for ((job, counter), (count, example)) in sums {
            self.note(job, counter, count, example);
            let (counter, example) = (counter.to_owned(), example.to_owned());
            self.write_own(now, &record::Record::Note { job, counter, count, example });
        }
    }

    pub(crate) fn note(&mut self, job: JobId, counter: &str, count: u64, example: &str) {
        let notes = &mut self.figures.entry(job).or_default().notes;
        match notes.get_mut(counter) {
            Some(entry) => entry.0 += count,
            None => {
                notes.insert(counter.to_owned(), (count, example.to_owned()));
            }
        }
    }

    /// Packs releases into messages.
    fn dispatch(&mut self, releases: Vec<Release>) {
        let mut releases = releases.into_iter().peekable();
        while releases.peek().is_some() {
            let releases = releases.by_ref().take(self.config.message_releases_max).collect();
            let id = self.message_id();
            self.actions.push(Action::Dispatch(FetchMessage { id, releases }));
        }
    }

    fn message_id(&mut self) -> MessageId {
        self.messages += 1;
        MessageId(u64::from(self.config.boot) << 32 | self.messages)
    }

    /// Takes note that a group is durable without stepping: what waited for it is among the next actions.
    pub fn synced(&mut self, group: u64) {
        let Some((number, held)) = self.under_way.take_if(|(number, _)| *number == group) else {
            unreachable!("group {group} was not under way");
        };
        debug_assert_eq!(number, group);
        self.dispatch(held.releases);
        for release in held.alone {
            let id = self.message_id();
            self.actions.push(Action::Dispatch(FetchMessage { id, releases: vec![release] }));
        }
        if !held.writes.is_empty() {
            self.actions.push(Action::Write(held.writes));
        }
        if !held.receipts.is_empty() {
            self.actions.push(Action::Settle(held.receipts));
        }
    }

    fn close_group(&mut self, now: Tick, force: bool) {
        let Some(opened) = self.group.opened_at else { return };
        let full = self.group.bytes >= self.config.group_bytes_max || self.group.events >= self.config.group_events_max;
        let due = force || full || now >= opened.after_us(self.config.group_us);
        if !due || self.under_way.is_some() {
            return;
        }
        let group = std::mem::take(&mut self.group);
        self.groups += 1;
        let parts = group.parts.into_iter().map(|(lane, (offset, bytes))| LaneBytes { lane, offset, bytes }).collect();
        self.under_way = Some((self.groups, group.held));
        self.actions.push(Action::Append { group: self.groups, parts });
        if !group.loads.is_empty() {
            self.actions.push(Action::Load(group.loads));
        }
    }

    /// Closes the open group now, whatever its age. Empty when there is nothing to close or one is still under way.
    pub fn flush(&mut self, now: Tick) -> Vec<Action> {
        self.close_group(now, true);
        std::mem::take(&mut self.actions)
    }

    /// Everything that was stepped is durable; inputs may wait.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.group.is_empty() && self.under_way.is_none()
    }

    /// Everything is durable: no group is open or under way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.group.is_empty() && self.under_way.is_none() && self.inputs.is_empty()
    }

    // ---- the end --------------------------------------------------------------------------------------------------

    fn apply_stop_rules(&mut self, now: Tick) {
        for (job, run) in &mut self.jobs {
            if run.stopping.is_some() || run.ended.is_some() {
                continue;
            }
            let figures = self.figures.entry(*job).or_default();
            run.stopping = run.stops.iter().find_map(|rule| rule.applies(figures, run.started_at, now));
        }
    }

    /// Stops a job: nothing more is released, what is under way is finished.
    pub fn stop(&mut self, job: JobId, outcome: Outcome) {
        if let Some(run) = self.jobs.get_mut(&job)
            && run.ended.is_none()
        {
            run.stopping.get_or_insert(outcome);
        }
    }

    /// The outcome of a job that has nothing left to do, once: all URLs have a verdict, or it was stopped and what was under
    /// way is finished. The caller then calls `end_job`.
    #[must_use]
    pub fn is_over(&self, job: JobId) -> Option<Outcome> {
        let run = self.jobs.get(&job)?;
        if run.ended.is_some() || !self.inputs.is_empty() {
            return None;
        }
        let live = self.live.get(&job).copied().unwrap_or_default();
        if let Some(outcome) = run.stopping {
            let busy = self.in_flight > 0 || live.pages > 0 || self.under_way.is_some() || !self.group.is_empty();
            return (!busy).then_some(outcome);
        }
        let done = run.start_next >= run.start_count && live.total() == 0 && self.in_flight == 0 && self.recovered;
        (done && self.next_wake > Tick(0)).then_some(Outcome::Finished)
    }

    /// Ends a job in the journal. A `Shutdown` leaves it unfinished: the same command goes on with it.
    pub fn end_job(&mut self, now: Tick, job: JobId, outcome: Outcome) {
        if outcome != Outcome::Shutdown {
            self.stage.close_job(job, outcome != Outcome::Finished);
            self.write_own(now, &record::Record::JobEnd { job, outcome });
            let step = self.stage.step(now, Vec::new(), 0);
            self.apply(now, step, 0);
        }
        if let Some(run) = self.jobs.get_mut(&job) {
            run.ended = Some(outcome);
        }
    }

    /// Gives a job of an earlier run up: its queue is abandoned.
    pub fn give_up(&mut self, now: Tick, job: JobId) {
        self.stage.close_job(job, true);
        self.write_own(now, &record::Record::JobEnd { job, outcome: Outcome::Cancelled });
    }

    // ---- figures --------------------------------------------------------------------------------------------------

    /// Figures of a job, of all its runs.
    #[must_use]
    pub fn figures(&self, job: JobId) -> JobFigures {
        self.figures.get(&job).cloned().unwrap_or_default()
    }

    /// What is alive of a job.
    #[must_use]
    pub fn live(&self, job: JobId) -> JobLive {
        self.live.get(&job).copied().unwrap_or_default()
    }

    /// Requests under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bytes of items that wait for sinks.
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.outbox_bytes
    }

    /// Reports for a release that was settled before.
    #[must_use]
    pub fn redelivered(&self) -> u64 {
        self.redelivered
    }

    /// How a job was ended in the journal, if it was.
    #[must_use]
    pub fn ended(&self, job: JobId) -> Option<Outcome> {
        self.jobs.get(&job).and_then(|run| run.ended)
    }

    /// The crawl log since the last call.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.log)
    }
}
