//! The frontier of one worker: which requests may be made now, and what became of each URL.
//!
//! Decides admission, order, pace, retries and verdicts of the domains it owns. Is told the time, does no I/O: everything it wants
//! is in `Out`. A step is `settle* admit* loaded* release_due end_step`; then its journal bytes become durable as one group, and
//! only then may its releases leave (those of unlimited domains may leave at once).
//!
//! Invariants:
//! - every offered URL has exactly one verdict or lives (queued, leased, delayed, parked); `Unseen` is not in the dedup set,
//!   `Leased` is in `leases`, `Done` is in the set and nowhere else;
//! - a domain's law is never broken, whatever is late, lost, repeated, or restarted;
//! - a domain that may not be asked never holds up another;
//! - replaying the journal gives the same queues, sets, laws and counts, leases being queued again.

mod admit;
mod compact;
mod fate;
pub(crate) mod law;
pub(crate) mod moving;
pub(crate) mod origin;
mod release;
mod replay;
mod robots;
mod settle;
mod snapshot;
pub(crate) mod state;

use crate::address::{Addr, ChunkId, LiveChunk};
use crate::config::{BootInfo, FrontierConfig};
use crate::counters::{Counters, JobCounts};
use crate::hash::NumberMap;
use crate::hot::Hot;
use crate::job::JobSpec;
use crate::out::{Live, LogLine, Out};
use crate::{SLOTS, record};
use replay::Edits;
use state::{Domain, DomainIndex, Jobs, Lease, State};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use weir_model::{DomainKey, JobId, Reason, ReleaseId, Tick, Verdict};

const EPOCH_BITS: u32 = 20;
const NUMBER_BITS: u32 = 38;

/// See the module.
#[derive(Debug)]
pub struct Frontier {
    config: Arc<FrontierConfig>,
    lane: u16,
    worker: usize,
    workers: usize,
    boot: BootInfo,
    /// Releases of this process so far.
    released: u64,
    jobs: Jobs,
    by_key: NumberMap<DomainKey, DomainIndex>,
    domains: Vec<Option<Box<Domain>>>,
    free: Vec<DomainIndex>,
    /// Domains that may have something to release, each once.
    ring: VecDeque<DomainIndex>,
    /// Domains in state `Waiting`.
    calendar: BTreeSet<(Tick, DomainIndex)>,
    /// Domains in state `Idle`, by the instant from which they may be forgotten.
    idle: BTreeSet<(Tick, DomainIndex)>,
    leases: NumberMap<ReleaseId, Lease>,
    /// No lease runs out before.
    lease_check: Tick,
    /// Buffers of ended leases.
    spare: Vec<Vec<u8>>,
    hot: Hot,
    /// Domains that wait for these bodies.
    loading: NumberMap<Addr, DomainIndex>,
    /// Bodies that were read back or are being read.
    heads: usize,
    /// Origins in the order of their answers, and their bytes.
    answered: VecDeque<(DomainKey, u64)>,
    robots_bytes: usize,
    /// Live bodies by chunk.
    chunks: NumberMap<ChunkId, u32>,
    /// Counts by slot.
    totals: Vec<Counters>,
    edits: Edits,
    compaction: compact::Compaction,
}

impl Frontier {
    /// An empty frontier for the slots of `worker` (of `workers`, at most 64), writing `lane`.
    #[must_use]
    pub fn new(config: Arc<FrontierConfig>, lane: u16, worker: usize, workers: usize, boot: BootInfo) -> Frontier {
        assert!(worker < workers && workers <= usize::from(SLOTS), "worker {worker} of {workers}");
        assert!(boot.epoch < 1 << EPOCH_BITS, "a state is opened at most a million times");
        Frontier {
            hot: Hot::new(config.hot_bytes),
            config,
            lane,
            worker,
            workers,
            boot,
            released: 0,
            jobs: Jobs::default(),
            by_key: NumberMap::default(),
            domains: Vec::new(),
            free: Vec::new(),
            ring: VecDeque::new(),
            calendar: BTreeSet::new(),
            idle: BTreeSet::new(),
            leases: NumberMap::default(),
            lease_check: Tick::NEVER,
            spare: Vec::new(),
            loading: NumberMap::default(),
            heads: 0,
            answered: VecDeque::new(),
            robots_bytes: 0,
            chunks: NumberMap::default(),
            totals: vec![Counters::default(); usize::from(SLOTS)],
            edits: Edits::default(),
            compaction: compact::Compaction::default(),
        }
    }

    /// Opens a job, or tells the particulars of one that goes on.
    pub fn open_job(&mut self, spec: Arc<JobSpec>) {
        let id = spec.id;
        if spec.obey_robots {
            self.believe_for(&spec.agent);
        }
        self.jobs.enter(id).spec = Some(spec);
        self.wake_domains_of(id);
    }

    fn wake_domains_of(&mut self, job: JobId) {
        let with_job: Vec<DomainIndex> = self.each_domain(|domain| domain.lines.iter().any(|line| line.job == job));
        for index in with_job {
            self.wake(index);
        }
    }

    /// Releases nothing more of a job; what is under way is still settled.
    pub fn hold_job(&mut self, job: JobId) {
        if let Some(job) = self.jobs.get_mut(job) {
            job.held = true;
        }
    }

    /// Goes on with a job that was held.
    pub fn resume_job(&mut self, job: JobId) {
        if let Some(entry) = self.jobs.get_mut(job) {
            entry.held = false;
            self.wake_domains_of(job);
        }
    }

    /// Drops a job: its dedup sets, its queues, its leases. URLs without a verdict are abandoned; without `abandon` there must be none.
    pub fn close_job(&mut self, job: JobId, abandon: bool, out: &mut Out) {
        let live = self.live(job);
        assert!(abandon || live.total() == 0, "job {} is closed with {live:?}", job.0);
        if self.jobs.get(job).is_none() {
            return;
        }
        out.counters.job(job).abandoned += live.total();
        for slot in self.owned_slots().collect::<Vec<_>>() {
            record::put_close(&mut out.journal, slot, job);
        }
        self.drop_job(job);
    }

    fn drop_job(&mut self, job: JobId) {
        let chunks = &mut self.chunks;
        self.leases.retain(|_, lease| {
            let dropped = lease.job == job && lease.origin.is_none();
            if dropped {
                forget_body(chunks, lease.addr);
            }
            !dropped
        });
        for index in self.each_domain(|domain| domain.lines.iter().any(|line| line.job == job)) {
            let domain = self.domain_mut(index);
            let at = domain.lines.iter().position(|line| line.job == job).expect("filtered above");
            let line = domain.lines.swap_remove(at);
            domain.turn = 0;
            domain.reassign_asking(job);
            self.heads -= line.heads.len();
            let heads = line.heads.iter().map(|head| head.addr);
            let waiting = line.delayed.iter().map(|entry| entry.0.1).chain(line.parked.iter().map(|entry| entry.addr));
            let queued = line.queue.levels().flat_map(|level| level.1.iter().map(Addr));
            for addr in heads.clone().chain(waiting).chain(queued) {
                forget_body(&mut self.chunks, addr);
            }
            for addr in heads {
                self.loading.remove(&addr);
            }
            self.wake(index);
        }
        self.jobs.0.retain(|entry| entry.id != job);
    }

    /// The verdict of a settled page with items, or one of the stage's own; any worker may count it.
    pub fn count_verdict(&mut self, job: JobId, verdict: Verdict, out: &mut Out) {
        let counts = out.counters.job(job);
        counts.pending -= 1;
        counts.verdict(verdict);
    }

    /// Ends a step: what was counted becomes a record, and the records become readable. Then the journal goes to the store and both
    /// it and the counters are cleared.
    pub fn end_step(&mut self, out: &mut Out) {
        let slot = self.worker as u8;
        record::put_counts(&mut out.journal, slot, &out.counters);
        self.totals[usize::from(slot)].add(&out.counters);
        self.hot.append(&out.journal);
    }

    /// The slots of this worker.
    pub fn owned_slots(&self) -> impl Iterator<Item = u8> + use<> {
        (self.worker as u8..SLOTS).step_by(self.workers)
    }

    fn owns(&self, slot: u8) -> bool {
        slot < SLOTS && usize::from(slot) % self.workers == self.worker
    }

    /// URLs of a job without a verdict.
    #[must_use]
    pub fn live(&self, job: JobId) -> Live {
        self.jobs.get(job).map_or(Live::default(), |job| job.live)
    }

    /// What was counted for a job, steps before a restart included.
    #[must_use]
    pub fn counts(&self, job: JobId) -> JobCounts {
        let mut sum = JobCounts::default();
        self.totals.iter().filter_map(|counters| counters.get(job)).for_each(|counts| sum.add(counts));
        sum
    }

    /// Everything counted, steps before a restart included.
    #[must_use]
    pub fn totals(&self) -> Counters {
        let mut sum = Counters::default();
        self.totals.iter().for_each(|counters| sum.add(counters));
        sum
    }

    /// Fingerprints in the dedup sets of a job.
    #[must_use]
    pub fn seen(&self, job: JobId) -> usize {
        self.jobs.get(job).map_or(0, |job| job.seen.iter().map(crate::seen::Seen::len).sum())
    }

    /// Domains known.
    #[must_use]
    pub fn domains(&self) -> usize {
        self.by_key.len()
    }

    /// Releases under way, robots.txt included.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.leases.len()
    }

    /// The chunks that hold bodies of live URLs of this worker.
    #[must_use]
    pub fn live_chunks(&self) -> Vec<LiveChunk> {
        let mut chunks: Vec<LiveChunk> =
            self.chunks.iter().map(|(id, live)| LiveChunk { id: *id, live: *live }).collect();
        chunks.sort_unstable_by_key(|chunk| chunk.id);
        chunks
    }

    fn next_addr(&self, out: &Out) -> Addr {
        Addr::new(self.lane, self.hot.written() + out.journal.len() as u64)
    }

    fn domain_mut(&mut self, index: DomainIndex) -> &mut Domain {
        self.domains[index as usize].as_mut().expect("an index is given up with its domain")
    }

    fn each_domain(&self, wanted: impl Fn(&Domain) -> bool) -> Vec<DomainIndex> {
        let known = self.domains.iter().enumerate().filter_map(|(index, domain)| Some((index, domain.as_deref()?)));
        known.filter(|(_, domain)| wanted(domain)).map(|(index, _)| index as DomainIndex).collect()
    }

    fn enter_domain(&mut self, key: DomainKey, name: &str) -> DomainIndex {
        if let Some(index) = self.by_key.get(&key) {
            return *index;
        }
        let domain = Box::new(Domain::new(key, name, &*self.config.laws));
        let index = match self.free.pop() {
            Some(index) => {
                self.domains[index as usize] = Some(domain);
                index
            }
            None => {
                self.domains.push(Some(domain));
                (self.domains.len() - 1) as DomainIndex
            }
        };
        self.by_key.insert(key, index);
        index
    }

    /// Something changed at a domain: it is looked at in the next `release_due`.
    fn wake(&mut self, index: DomainIndex) {
        let domain = self.domains[index as usize].as_mut().expect("an index is given up with its domain");
        match std::mem::replace(&mut domain.state, State::Ready) {
            State::Ready => return,
            State::Idle(at) => {
                self.idle.remove(&(at, index));
            }
            State::Waiting(at) => {
                self.calendar.remove(&(at, index));
            }
            State::Blocked => {}
        }
        self.ring.push_back(index);
    }

    fn log_rejected(&self, reason: Reason, url: &str, detail: &str, out: &mut Out) {
        if self.config.log {
            out.log.push(LogLine::Rejected { reason, url: url.into(), detail: detail.into() });
        }
    }
}

fn keep_body(chunks: &mut NumberMap<ChunkId, u32>, addr: Addr) {
    *chunks.entry(addr.chunk()).or_insert(0) += 1;
}

fn forget_body(chunks: &mut NumberMap<ChunkId, u32>, addr: Addr) {
    let live = chunks.get_mut(&addr.chunk()).expect("a live body is counted in its chunk");
    *live -= 1;
    if *live == 0 {
        chunks.remove(&addr.chunk());
    }
}

fn release_id(boot: BootInfo, number: u64, slot: u8) -> ReleaseId {
    assert!(number < 1 << NUMBER_BITS, "a process releases at most 2^38 requests");
    ReleaseId(u64::from(boot.epoch) << (NUMBER_BITS + 6) | number << 6 | u64::from(slot))
}
