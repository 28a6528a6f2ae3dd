//! One worker: its state, its dataflow, and the two phases of a step.
//!
//! Phase one runs the dataflow until it has come to rest everywhere; phase two releases what is due. A worker knows no time
//! but what it is told with a step, and touches nothing outside: what it wants is left in `Out` and taken by the shell.

mod restart;

use crate::compute::{Compute, Computing, Onward};
use crate::event::{Again, Event, JobLive, LaneBytes, LeftOver};
use crate::geocode::{GeoTaken, Geocode, Geocoding, Left, PageItem};
use crate::graph::{self, Graph};
use crate::items::{Census, Counted, Items, ItemsOut, KnownItem, SinkMasks, SinkVerdict};
use crate::ledger::Ledger;
use crate::moved::Moved;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use timely::worker::Worker;
use weir_frontier::{
    Addr, BootInfo, Budget, CandidateBatch, DomainLaw, Elsewhere, Frontier, FrontierConfig, JobSpec, JobTable, LawBook,
    LoadBodies, Offer, Out, RobotsAnswer, Scratch, TakeRecord,
};
use weir_model::{ExtractionNote, Item, JobId, ReleaseId, SinkId, Tick, Verdict};

/// What a spider counts of a page whose items have fields to be geocoded: it cannot know whether there is a geocoder.
const NOT_CONFIGURED: &str = "geocode/not_configured";

/// Everything a worker is started with.
#[derive(Clone)]
pub(crate) struct WorkerConfig {
    pub frontier: Arc<FrontierConfig>,
    pub lane: u16,
    pub boot: u32,
    pub geocoding: Option<Arc<Geocoding>>,
}

/// The state that the operators of one worker share.
pub(crate) struct State {
    frontier: Frontier,
    compute: Compute,
    geocode: Geocode,
    items: Items,
    ledger: Ledger,
    jobs: JobTable,
    now: Tick,
    out: Out,
    scratch: Scratch,
    notes: Vec<(JobId, ExtractionNote)>,
    lane: u16,
    lane_written: u64,
    open: Vec<JobId>,
    pub items_out: ItemsOut,
    pub offers: Vec<Offer>,
    pub robots: Vec<RobotsAnswer>,
    pub page_items: Vec<PageItem>,
    pub candidates: Vec<CandidateBatch>,
}

impl State {
    pub fn settle(&mut self, event: Event) {
        match event {
            Event::Offer(offer) => self.offers.push(offer),
            Event::Robots(answer) => self.robots.push(answer),
            Event::Written { sink, id, verdict: SinkVerdict::Refused } => {
                self.items.refused(sink, id, Box::default(), &mut self.out.journal, &mut self.items_out);
            }
            Event::Written { sink, id, verdict } => {
                self.items.written(sink, id, verdict, &mut self.out.journal, &mut self.items_out);
            }
            Event::Refused { sink, id, reason } => {
                self.items.refused(sink, id, reason, &mut self.out.journal, &mut self.items_out);
            }
            Event::Again(again) => {
                let Again { page, item, sinks, computes } = *again;
                self.open_page(page, &item);
                if computes {
                    self.enter(page, item);
                } else {
                    self.page_items.push(PageItem { sinks, ..PageItem::plain(page, item) });
                }
            }
            Event::Locate(again) => {
                let Again { page, item, .. } = *again;
                self.open_page(page, &item);
                self.geocode_or_pass(page, item);
            }
            Event::Delisted(delisted) => self.items.delisted(&delisted, &mut self.out.journal),
            Event::SeenElsewhere(seen) => self.items.seen_elsewhere(&seen, &mut self.out.journal),
            Event::Report(report) => {
                self.frontier.settle(self.now, *report, &mut self.out);
                self.offers.append(&mut self.out.offers);
                self.robots.append(&mut self.out.robots);
                // Taken and put back: its room is kept for the next report.
                let mut pages = std::mem::take(&mut self.out.pages);
                for page in pages.drain(..) {
                    let job = page.job;
                    self.notes.extend(page.notes.into_iter().map(|note| (job, note)));
                    self.ledger.open(page.release, job, page.items.len() as u32);
                    let release = page.release;
                    page.items.into_iter().for_each(|item| self.enter(release, item));
                }
                self.out.pages = pages;
            }
            Event::Computed(computed) => match self.compute.computed(*computed, &mut self.out.journal) {
                Onward::Nowhere => {}
                Onward::On(page, item) => self.geocode_or_pass(page, item),
                Onward::Refused(page, job, poison) => {
                    self.items.uncomputed(job, &mut self.items_out);
                    self.items_out.refused.push(poison);
                    self.items_out.settled_pages.push(page);
                }
            },
            Event::Geo(event) => {
                self.geocode.event(self.now, event, &mut self.out.journal, &mut self.page_items);
            }
            Event::Left(LeftOver(left)) => {
                self.geocode.take_left(self.now, left, &mut self.out.journal, &mut self.page_items);
            }
        }
    }

    /// The page of one item that an item stands for which enters again.
    fn open_page(&mut self, page: ReleaseId, item: &Item) {
        let counts = self.out.counters.job(item.job);
        counts.offered += 1;
        counts.admitted += 1;
        counts.pending += 1;
        self.ledger.open(page, item.job, 1);
    }

    /// A new item of a page: to its computations, to the geocoder, on.
    fn enter(&mut self, page: ReleaseId, item: Item) {
        if let Some(item) = self.compute.begin(page, item, &mut self.out.journal) {
            self.geocode_or_pass(page, item);
        }
    }

    fn geocode_or_pass(&mut self, page: ReleaseId, item: Item) {
        let item = if self.geocode.is_on() { self.geocode.enter(page, item) } else { PageItem::plain(page, item) };
        self.page_items.push(item);
    }

    pub fn prepare(&mut self, offer: &Offer) {
        let counters = &mut self.out.counters;
        weir_frontier::prepare(offer, &self.jobs, &mut self.scratch, &mut self.candidates, counters);
    }

    pub fn admit(&mut self, batch: CandidateBatch) {
        self.frontier.admit(self.now, &batch, &mut self.out);
        self.scratch.recycle(batch);
    }

    pub fn robots_answer(&mut self, answer: RobotsAnswer) {
        self.frontier.robots_answer(self.now, answer, &mut self.out);
    }

    /// Looks up what an item wants; what goes on is in `page_items`.
    pub fn look_up(&mut self, item: PageItem) {
        self.geocode.look_up(self.now, item, &mut self.out.journal, &mut self.page_items);
    }

    pub fn accept(&mut self, page: ReleaseId, item: Item, sinks: u32) {
        self.items.accept(page, item, sinks, &mut self.out.journal, &mut self.items_out);
    }

    pub fn item_settled(&mut self, page: ReleaseId) {
        if let Some(job) = self.ledger.item_settled(page) {
            self.frontier.count_verdict(job, Verdict::Delivered, &mut self.out);
        }
    }
}

/// What a worker hands over after a step.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub journal: Option<LaneBytes>,
    pub out: Out,
    pub items: ItemsOut,
    pub computes: Vec<Computing>,
    pub geo: GeoTaken,
    pub notes: Vec<(JobId, ExtractionNote)>,
    /// URLs that other stages own.
    pub elsewhere: Vec<Elsewhere>,
    pub live: BTreeMap<JobId, JobLive>,
    /// Bytes that wait in the outbox, for a computation or for a location.
    pub outbox_bytes: usize,
    /// Of these, for a computation or a location.
    pub waiting_bytes: usize,
    /// Items that wait for a computation.
    pub computing: usize,
    /// Releases under way.
    pub leased: usize,
    /// Domains that could have released more.
    pub ready: usize,
    pub next_wake: Tick,
}

/// A worker and its end of the dataflow.
pub(crate) struct Shell {
    worker: Worker,
    graph: Graph,
    state: Rc<RefCell<State>>,
    /// Events of the release phase, for the next step.
    left: Vec<Event>,
    /// Steps in which sparse chunks of the journal are still emptied.
    compact_steps: u32,
}

/// Bodies moved out of sparse chunks in one step: a step stays short.
const COMPACT_ENTRIES: usize = 256;
/// Steps after a snapshot in which chunks are emptied.
const COMPACT_STEPS: u32 = 4_096;

impl Shell {
    pub fn new(mut worker: Worker, config: &WorkerConfig) -> Shell {
        let (index, peers) = (worker.index(), worker.peers());
        let boot = BootInfo { epoch: config.boot };
        let state = Rc::new(RefCell::new(State {
            frontier: Frontier::new(Arc::clone(&config.frontier), config.lane, index, peers, boot),
            compute: Compute::new(index, peers, config.boot),
            geocode: Geocode::new(config.geocoding.as_deref(), index, peers, config.boot),
            items: Items::new(index, peers, config.boot),
            ledger: Ledger::new(index, peers),
            jobs: JobTable::default(),
            now: Tick(0),
            out: Out::default(),
            scratch: Scratch::of_slice(config.frontier.log, config.frontier.slice),
            notes: Vec::new(),
            lane: config.lane,
            lane_written: 0,
            open: Vec::new(),
            items_out: ItemsOut::default(),
            offers: Vec::new(),
            robots: Vec::new(),
            page_items: Vec::new(),
            candidates: Vec::new(),
        }));
        let graph = graph::build(&mut worker, &state, config.geocoding.is_some());
        Shell { worker, graph, state, left: Vec::new(), compact_steps: 0 }
    }

    pub fn open_job(&mut self, spec: &Arc<JobSpec>, masks: SinkMasks) {
        let state = &mut *self.state.borrow_mut();
        state.jobs.open(Arc::clone(spec));
        state.frontier.open_job(Arc::clone(spec));
        state.items.open_job(spec.id, masks);
        state.compute.open_job(spec.id, &spec.computes);
        state.geocode.open_job(spec.id, &spec.geocodes);
        state.open.retain(|job| *job != spec.id);
        state.open.push(spec.id);
    }

    pub fn close_job(&mut self, job: JobId, abandon: bool) {
        let state = &mut *self.state.borrow_mut();
        state.frontier.close_job(job, abandon, &mut state.out);
        state.items.close_job(job, abandon);
        state.compute.close_job(job, abandon);
        state.geocode.close_job(job, abandon);
        if abandon {
            for _ in 0..state.ledger.give_up(job) {
                state.frontier.count_verdict(job, Verdict::Abandoned, &mut state.out);
            }
        }
        state.jobs.close(job);
        state.open.retain(|open| *open != job);
    }

    pub fn hold_job(&mut self, job: JobId) {
        self.state.borrow_mut().frontier.hold_job(job);
    }

    pub fn resume_job(&mut self, job: JobId) {
        self.state.borrow_mut().frontier.resume_job(job);
    }

    /// Takes another law.
    pub fn set_laws(&mut self, laws: Arc<dyn LawBook>, now: Tick) {
        let state = &mut *self.state.borrow_mut();
        state.frontier.set_laws(laws, now, &mut state.out);
    }

    /// How the domains stand that have most queued, and how many there are.
    pub fn domain_laws(&self, max: usize) -> (Vec<DomainLaw>, usize) {
        self.state.borrow().frontier.domain_laws(max)
    }

    pub fn reset_sink(&mut self, sink: SinkId) {
        self.state.borrow_mut().items.reset_sink(sink);
    }

    pub fn doubt_sinks(&mut self, sinks: u32) {
        self.state.borrow_mut().items.doubt_sinks(sinks);
    }

    /// Gives the worker its events; the dataflow has not run yet.
    pub fn feed(&mut self, now: Tick, epoch: u64, events: Vec<Event>, loaded: Vec<(Addr, Vec<u8>)>) {
        {
            let state = &mut *self.state.borrow_mut();
            state.now = now;
            for (addr, bytes) in loaded {
                state.frontier.loaded(addr, &bytes);
            }
        }
        let left: Vec<Left> = std::mem::take(&mut self.state.borrow_mut().geocode.left);
        let left = left.into_iter().map(|left| Event::Left(LeftOver(left)));
        for event in std::mem::take(&mut self.left).into_iter().chain(left).chain(events) {
            self.graph.input.send(Moved(event));
        }
        self.graph.input.advance_to(epoch + 1);
    }

    /// One turn of the dataflow; true when the epoch has come to rest on all workers.
    pub fn turn(&mut self, epoch: u64, alone: bool) -> bool {
        if !self.graph.probe.less_equal(&epoch) {
            return true;
        }
        if alone {
            self.worker.step();
        } else {
            self.worker.step_or_park(Some(std::time::Duration::from_millis(1)));
        }
        !self.graph.probe.less_equal(&epoch)
    }

    /// Releases what is due until so many requests are under way, and hands everything over.
    pub fn release(&mut self, in_flight_max: usize) -> Taken {
        let state = &mut *self.state.borrow_mut();
        let requests = in_flight_max.saturating_sub(state.frontier.in_flight());
        state.frontier.release_due(state.now, Budget { requests }, &mut state.out);
        if self.compact_steps > 0 {
            self.compact_steps -= 1;
            state.frontier.compact(COMPACT_ENTRIES, &mut state.out);
        }
        self.left.extend(state.out.robots.drain(..).map(Event::Robots));
        let geo = state.geocode.release(state.now, &mut state.out.journal);
        state.notes.append(&mut state.out.notes);
        if state.geocode.is_on() {
            state.notes.retain(|(_, note)| *note.counter != *NOT_CONFIGURED);
        }
        state.frontier.end_step(&mut state.out);
        state.out.log.append(&mut state.scratch.log);
        let waiting_bytes = state.geocode.waiting_bytes() + state.compute.waiting_bytes();
        let is_at_rest = self.left.is_empty() && state.geocode.left.is_empty();
        let mut taken = Taken {
            geo,
            out: std::mem::take(&mut state.out),
            items: std::mem::take(&mut state.items_out),
            notes: std::mem::take(&mut state.notes),
            elsewhere: std::mem::take(&mut state.scratch.elsewhere),
            outbox_bytes: state.items.outbox_bytes() + waiting_bytes,
            waiting_bytes,
            computes: state.compute.take_wanted(),
            computing: state.compute.waiting(),
            leased: state.frontier.in_flight(),
            ready: state.frontier.ready_hint(),
            next_wake: if is_at_rest { state.frontier.next_wake().min(state.geocode.next_wake()) } else { state.now },
            ..Taken::default()
        };
        let bytes = std::mem::take(&mut taken.out.journal);
        if !bytes.is_empty() {
            let offset = state.lane_written;
            state.lane_written += bytes.len() as u64;
            taken.journal = Some(LaneBytes { lane: state.lane, offset, bytes });
        }
        for job in &state.open {
            let live = JobLive { urls: state.frontier.live(*job), pages: state.ledger.live(*job) };
            taken.live.insert(*job, live);
        }
        taken
    }

    /// Begins to move bodies out of sparse chunks, so that the store can drop them after the next snapshot.
    pub fn compact(&mut self) {
        self.compact_steps = COMPACT_STEPS;
    }

    /// The newest version of every item of this worker.
    pub fn each_known(&self, visit: &mut dyn FnMut(KnownItem)) {
        self.state.borrow().items.each_known(visit);
    }

    /// Writes the frontier's state, and what is known of addresses, as records for other stages.
    pub fn export(&self, load: LoadBodies<'_>, write: TakeRecord<'_>) -> std::io::Result<()> {
        let state = self.state.borrow();
        (0..weir_frontier::SLOTS).try_for_each(|slot| state.frontier.export(slot, &mut *load, &mut *write))?;
        state.geocode.export(write)
    }

    /// Items that wait for their sinks or for a location.
    pub fn waiting_items(&self) -> usize {
        let state = self.state.borrow();
        state.items.waiting() + state.geocode.waiting()
    }

    /// What a complete crawl saw and did not see, of this worker.
    pub fn count_absent(&self, census: &Census) -> Counted {
        self.state.borrow().items.count_absent(census)
    }

    /// Durable counts of this worker.
    pub fn counts(&self) -> (weir_frontier::Counters, BTreeMap<JobId, crate::items::ItemCounts>) {
        let state = self.state.borrow();
        (state.frontier.totals(), state.items.counts().clone())
    }

    /// Chunks of the journal that still hold bodies this worker needs.
    pub fn live_chunks(&self) -> Vec<weir_frontier::LiveChunk> {
        self.state.borrow().frontier.live_chunks()
    }
}
