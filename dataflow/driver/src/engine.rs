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
//! - nothing is dispatched beyond `concurrency`, and nothing at all while the outbox is full or computations lag behind.

use crate::exchange::Exchange;
use crate::figures::JobFigures;
use crate::group::{Group, Held};
use crate::io::{Action, EngineConfig, Input};
use crate::jobs::JobRun;
use crate::letters::Letters;
use crate::packing::Packing;
use crate::record;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use weir_frontier::{DomainLaw, LawBook, LogLine, Offer, OfferSource};
use weir_geo::Command;
use weir_model::{ExtractionNote, JobId, LinkBatch, SinkId, Tick};
use weir_stage::{Again, Event, JobLive, LaneBytes, OutboxId, SinkVerdict, Stage, Step};

/// How long the stage sleeps when requests are due but nothing may be released; a report wakes it before.
const FULL_PAUSE_US: u64 = 100_000;
/// How long it sleeps when something is due that waits for its body; the body wakes it before.
const LOAD_PAUSE_US: u64 = 1_000;

/// Counter of start URLs that the spider's hooks dropped.
const START_DROPPED: &str = "hook/start/dropped";

/// Start URLs in one offer.
const OFFER_URLS: usize = 256;

/// The engine.
pub struct Engine {
    pub(crate) stage: Stage,
    pub(crate) config: EngineConfig,
    pub(crate) inputs: VecDeque<Input>,
    pub(crate) group: Group,
    pub(crate) under_way: Option<(u64, Held)>,
    pub(crate) groups: u64,
    /// The last group that is durable.
    durable: u64,
    pub(crate) lane_written: u64,
    pub(crate) in_flight: usize,
    pub(crate) messages: u64,
    pub(crate) next_wake: Tick,
    pub(crate) outbox_bytes: usize,
    /// Of these, bytes that wait for a computation or a location.
    pub(crate) waiting_bytes: usize,
    /// Items that wait for a computation.
    pub(crate) computing: usize,
    pub(crate) notices: Vec<String>,
    pub(crate) jobs: BTreeMap<JobId, JobRun>,
    pub(crate) live: BTreeMap<JobId, JobLive>,
    pub(crate) exchanges: BTreeMap<JobId, Exchange>,
    pub(crate) figures: BTreeMap<JobId, JobFigures>,
    pub(crate) marks: BTreeMap<(JobId, SinkId), Vec<u8>>,
    pub(crate) redelivered: u64,
    pub(crate) letters: Letters,
    /// Parts that an import of another stage's export has left in the journal: it was not ended, or no snapshot came since.
    pub(crate) imports: BTreeMap<u128, u64>,
    /// All that still waits for sinks may be left to the next run.
    pub(crate) leaves_items: bool,
    pub(crate) log: Vec<LogLine>,
    pub(crate) actions: Vec<Action>,
    pub(crate) recovered: bool,
    pub(crate) packing: Packing,
    /// URLs offered in the step that is not yet in `live`.
    pub(crate) offered: u64,
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
            durable: 0,
            lane_written: 0,
            in_flight: 0,
            messages: 0,
            next_wake: Tick(0),
            outbox_bytes: 0,
            waiting_bytes: 0,
            computing: 0,
            notices: Vec::new(),
            jobs: BTreeMap::new(),
            live: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            figures: BTreeMap::new(),
            marks: BTreeMap::new(),
            redelivered: 0,
            letters: Letters::default(),
            imports: BTreeMap::new(),
            leaves_items: false,
            log: Vec::new(),
            actions: Vec::new(),
            recovered: false,
            packing: Packing::default(),
            offered: 0,
        }
    }

    // ---- the run --------------------------------------------------------------------------------------------------

    /// Takes note of what happened; nothing is done before the next `advance`.
    pub fn feed(&mut self, input: Input) {
        self.inputs.push_back(input);
    }

    /// Another law from `now` on, on all workers; the next `advance` steps with it.
    pub fn set_laws(&mut self, now: Tick, laws: &Arc<dyn LawBook>) {
        self.stage.set_laws(laws, now);
        self.next_wake = self.next_wake.min(now);
    }

    /// How the domains stand that have most queued, at most so many of each worker, and how many are known in all.
    pub fn domain_laws(&mut self, max: usize) -> (Vec<DomainLaw>, usize) {
        self.stage.domain_laws(max)
    }

    /// Does everything that can be done at `now`; gives what is to be done outside.
    pub fn advance(&mut self, now: Tick) -> Vec<Action> {
        self.apply_stop_rules(now);
        // What a step decided is seen to while the workers are at the next one. Both end in the same group.
        let mut decided: Option<(Step, usize)> = None;
        loop {
            let (events, loaded) = self.take_events(now);
            if events.is_empty()
                && !loaded
                && let Some((step, count)) = decided.take()
            {
                self.apply(now, step, count);
            }
            if events.is_empty() && !loaded && now < self.next_wake {
                break;
            }
            // One worker runs on this thread: there is nothing to be done beside it.
            if self.stage.workers() == 1
                && let Some((step, count)) = decided.take()
            {
                self.apply(now, step, count);
            }
            let count = events.len();
            self.stage.begin(now, events, self.in_flight_max());
            if let Some((step, count)) = decided.take() {
                self.apply(now, step, count);
            }
            decided = Some((self.stage.end(), count));
        }
        self.close_group(now, false);
        self.pack(now);
        std::mem::take(&mut self.actions)
    }

    /// When `advance` wants to be called again even if nothing happens.
    #[must_use]
    pub fn next_wake(&self) -> Tick {
        let group = match (self.group.opened_at, &self.under_way) {
            (Some(opened), None) => opened.after_us(self.config.group_us),
            _ => Tick::NEVER,
        };
        self.next_wake.min(group).min(self.packing.next(self.config.message_lead_us))
    }

    fn in_flight_max(&self) -> usize {
        let stopping = self.jobs.values().all(|run| run.stopping.is_some() || run.ended.is_some());
        let full = self.outbox_bytes > self.config.outbox_bytes_max || self.computing > self.config.computing_max;
        if stopping || full {
            return 0;
        }
        self.config.concurrency
    }

    /// Events of the waiting inputs, at most `step_events_max`. The flag says that bodies were loaded.
    fn take_events(&mut self, now: Tick) -> (Vec<Event>, bool) {
        let (mut events, mut notes) = (Vec::new(), Vec::new());
        let mut loaded = false;
        while events.len() < self.config.step_events_max {
            let Some(input) = self.inputs.pop_front() else { break };
            match input {
                Input::Reports { receipt, reports } => {
                    events.extend(reports.into_iter().map(|report| Event::Report(Box::new(report))));
                    self.group.opened_at.get_or_insert(now);
                    self.group.held.receipts.push(receipt);
                }
                Input::Spent { spent, report_bytes } => self.spend(now, &spent, report_bytes),
                Input::Inward { receipt, job, inward } => self.take_inward(now, receipt, job, inward, &mut events),
                Input::ParcelSent { job, to, id } => self.parcel_sent(now, job, to, id),
                Input::Written { job, sink, outcomes, reasons, mark, notes: counted } => {
                    notes.extend(counted.into_iter().map(|note| (job, note)));
                    self.take_written(now, sink, outcomes, reasons, &mut events);
                    if let Some(mark) = mark {
                        self.keep_mark(now, job, sink, mark);
                    }
                }
                Input::Loaded { worker, addr, record } => {
                    self.stage.loaded(worker, addr, record);
                    loaded = true;
                }
                Input::Computed { answer, notes: counted } => {
                    events.extend(answer.map(Event::Computed));
                    notes.extend(counted);
                }
                Input::Rows { items, notes: counted } => {
                    for item in items {
                        let page = self.page_of_none();
                        events.push(Event::Locate(Box::new(Again { page, item, sinks: u32::MAX, computes: false })));
                    }
                    notes.extend(counted);
                }
                Input::Geocoded(answers) => events.extend(answers.into_iter().map(Event::Geo)),
                Input::Synced { group } => self.synced(group),
            }
        }
        self.keep_notes(now, &notes);
        self.offer_start(now, &mut events);
        (events, loaded)
    }

    fn take_written(
        &mut self,
        now: Tick,
        sink: SinkId,
        outcomes: Vec<(OutboxId, SinkVerdict)>,
        reasons: Vec<(OutboxId, Box<str>)>,
        events: &mut Vec<Event>,
    ) {
        let mut reasons = reasons.into_iter().peekable();
        let mut missed = 0;
        for (id, verdict) in outcomes {
            missed += u64::from(verdict == SinkVerdict::Missed);
            events.push(match verdict {
                SinkVerdict::Refused => {
                    let reason = reasons.next_if(|(of, _)| *of == id).map(|(_, reason)| reason).unwrap_or_default();
                    Event::Refused { sink, id, reason }
                }
                _ => Event::Written { sink, id, verdict },
            });
        }
        if missed > 0 {
            self.keep_missed(now, sink, missed);
        }
    }

    fn keep_mark(&mut self, now: Tick, job: JobId, sink: SinkId, mark: Vec<u8>) {
        if self.jobs.get(&job).is_some_and(|run| run.ended.is_none()) {
            self.marks.insert((job, sink), mark.clone());
            self.write_own(now, &record::Record::SinkMark { job, sink, mark: mark.clone() });
            self.group.held.marks.insert((job, sink), mark);
        }
    }

    /// Start URLs come in batches, as the queues run low; how far they came is in the same group as their admission.
    fn offer_start(&mut self, now: Tick, events: &mut Vec<Event>) {
        let (mut records, mut dropped) = (Vec::new(), Vec::new());
        let offered = std::mem::take(&mut self.offered);
        for (job, run) in &mut self.jobs {
            let queued = self.live.get(job).map_or(0, |live| live.urls.queued) + offered;
            let runs = run.ended.is_none() && run.stopping.is_none();
            if !runs || run.start_next >= run.start_count || queued >= self.config.start_low_water {
                continue;
            }
            let count = self.config.start_batch.min((run.start_count - run.start_next) as usize);
            let end = run.start_next + count as u64;
            self.offered += count as u64;
            // Several offers, so that several workers prepare them.
            while run.start_next < end {
                let piece = OFFER_URLS.min((end - run.start_next) as usize);
                let mut links = LinkBatch::default();
                run.fill(piece, &mut links);
                dropped.push((*job, piece - links.len().min(piece)));
                run.start_next += piece as u64;
                events.push(Event::Offer(Offer { job: *job, source: OfferSource::Start, links, ..Offer::default() }));
            }
            records.push(record::Record::StartProgress { job: *job, next: run.start_next });
        }
        for record in records {
            self.write_own(now, &record);
        }
        for (job, count) in dropped.into_iter().filter(|(_, count)| *count > 0) {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let note = ExtractionNote { counter: START_DROPPED.into(), count, example: "".into() };
            self.keep_notes(now, &[(job, note)]);
        }
    }

    pub(crate) fn write_own(&mut self, now: Tick, record: &record::Record) {
        let mut bytes = Vec::new();
        record::framed(&mut bytes, record);
        let offset = self.lane_written;
        self.lane_written += bytes.len() as u64;
        self.group.add(now, LaneBytes { lane: self.config.lane, offset, bytes });
    }

    pub(crate) fn apply(&mut self, now: Tick, step: Step, events: usize) {
        self.group.events += events;
        for part in step.journal {
            self.group.add(now, part);
        }
        self.in_flight = step.in_flight;
        self.dispatch(step.free);
        if !(step.releases.is_empty() && step.alone.is_empty() && step.writes.is_empty() && step.geo.is_empty()) {
            self.group.opened_at.get_or_insert(now);
        }
        self.group.held.releases.extend(step.releases);
        self.group.held.alone.extend(step.alone);
        self.group.held.writes.extend(step.writes);
        self.hold_geocodes(step.geo);
        if !step.computes.is_empty() {
            self.actions.push(Action::Compute(step.computes));
        }
        let (later, loads): (Vec<_>, Vec<_>) = step.loads.into_iter().partition(|(_, addr)| self.group.holds(*addr));
        self.group.loads.extend(later);
        if !loads.is_empty() {
            self.actions.push(Action::Load(loads));
        }
        self.count(&step.counters, &step.items);
        self.bury(now, step.poison);
        self.keep_notes(now, &step.notes);
        self.hand_on(now, step.elsewhere);
        self.keep_geocodes(now, &step.geo_counts, step.geo_notices);
        self.log.extend(step.log);
        self.live = step.live;
        self.outbox_bytes = step.outbox_bytes;
        self.waiting_bytes = step.waiting_bytes;
        self.computing = step.computing;
        self.next_wake = step.next_wake;
        self.apply_stop_rules(now);
        let full = self.in_flight >= self.in_flight_max();
        if self.next_wake <= now || (step.ready > 0 && !full) {
            // Something is due that this step could not release: no room, or room that a lost lease has just made, or a body that is
            // being read back.
            let pause = if full { FULL_PAUSE_US } else { LOAD_PAUSE_US };
            self.next_wake = self.next_wake.min(now.after_us(pause)).max(now.after_us(1));
        }
    }

    /// Requests to the cache may leave at once; a call waits until its place under the law is durable.
    fn hold_geocodes(&mut self, commands: Vec<Command>) {
        let (calls, others): (Vec<_>, Vec<_>) =
            commands.into_iter().partition(|command| matches!(command, Command::Call(_)));
        self.group.held.calls.extend(calls);
        if !others.is_empty() {
            self.actions.push(Action::Geocode(others));
        }
    }

    /// Takes note that a group is durable without stepping: what waited for it is among the next actions.
    pub fn synced(&mut self, group: u64) {
        let Some((number, held)) = self.under_way.take_if(|(number, _)| *number == group) else {
            unreachable!("group {group} was not under way");
        };
        debug_assert_eq!(number, group);
        self.packing.add(held.releases);
        for release in held.alone {
            self.send(vec![release]);
        }
        if !held.writes.is_empty() {
            self.actions.push(Action::Write(held.writes));
        }
        if !held.calls.is_empty() {
            self.actions.push(Action::Geocode(held.calls));
        }
        self.actions.extend(held.parcels.into_iter().map(Action::HandOn));
        if !held.letters.is_empty() {
            self.actions.push(Action::Letters(held.letters));
        }
        if !held.marks.is_empty() {
            self.actions.push(Action::Committed(held.marks.into_iter().collect()));
        }
        if !held.receipts.is_empty() {
            self.actions.push(Action::Settle(held.receipts));
        }
        self.durable = group;
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

    /// The group with which everything that was stepped is durable.
    #[must_use]
    pub fn barrier(&self) -> u64 {
        if self.group.is_empty() { self.groups } else { self.groups + 1 }
    }

    /// Whether a group of `barrier` is durable.
    #[must_use]
    pub fn is_durable(&self, group: u64) -> bool {
        self.durable >= group
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
}
