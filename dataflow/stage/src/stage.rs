//! The stage as the rest of weir sees it: one value, stepped. One worker runs on the caller's thread, without any other
//! thread; more workers run on threads of their own, which sleep between steps.
//!
//! Invariants: a step returns when its events have come to rest on every worker; the same events give the same sets of
//! effects at any number of workers; nobody else names timely.

use crate::event::{Event, Poison, Step};
use crate::geocode::Geocoding;
use crate::graph::owner;
use crate::items::{Census, Counted, ItemCounts, KnownItem, SinkMasks};
use crate::remote::{self, Remote, Threads};
use crate::worker::{Shell, Taken, WorkerConfig};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use timely::communication::Allocator;
use timely::worker::Worker;
use weir_frontier::{Addr, Counters, DomainLaw, FrontierConfig, JobSpec, LawBook, LiveChunk, LoadBodies, TakeRecord};
use weir_model::wire::WireError;
use weir_model::{JobId, SinkId, Tick};

/// What a stage is started with.
#[derive(Clone, Debug)]
pub struct StageConfig {
    /// Settings of the frontiers.
    pub frontier: Arc<FrontierConfig>,
    /// Differs for every start on one state, and grows: ids never repeat.
    pub boot: u32,
    /// A lane of the journal for each worker, of this start alone: their number is the number of workers, 1 to 64. One worker
    /// needs no thread.
    pub lanes: Vec<u16>,
    /// What locations are looked up with. `None`: there is no such stage, fields to be geocoded stay empty.
    pub geocoding: Option<Arc<Geocoding>>,
}

/// Frontier, items and ledger as one dataflow over 1 to N workers.
pub struct Stage {
    /// The one worker of a stage without threads.
    local: Option<Shell>,
    remotes: Vec<Remote>,
    _threads: Option<Threads>,
    epoch: u64,
    turn: usize,
    in_flight_max: usize,
    /// Releases under way on each remote worker after its last step, and how many more it could have released.
    under_way: Vec<usize>,
    ready: Vec<usize>,
    loaded: Vec<Vec<(Addr, Vec<u8>)>>,
}

impl Stage {
    /// Starts the workers.
    ///
    /// # Panics
    /// When the number of workers is not within 1 to 64, or a thread cannot be started.
    #[must_use]
    pub fn new(config: &StageConfig) -> Stage {
        let workers = config.lanes.len();
        assert!((1..=usize::from(weir_frontier::SLOTS)).contains(&workers), "1 to 64 workers");
        let loaded = vec![Vec::new(); workers];
        let configs: Vec<WorkerConfig> = config
            .lanes
            .iter()
            .map(|lane| WorkerConfig {
                frontier: Arc::clone(&config.frontier),
                lane: *lane,
                boot: config.boot,
                geocoding: config.geocoding.clone(),
            })
            .collect();
        let (local, remotes, threads) = if workers == 1 {
            let allocator = Allocator::Thread(timely::communication::allocator::Thread::default());
            let worker = Worker::new(timely::WorkerConfig::default(), allocator, None);
            (Some(Shell::new(worker, &configs[0])), Vec::new(), None)
        } else {
            let (remotes, threads) = remote::spawn(configs);
            (None, remotes, Some(threads))
        };
        let (under_way, ready) = (vec![0; workers], vec![0; workers]);
        Stage { local, remotes, _threads: threads, epoch: 0, turn: 0, in_flight_max: 0, under_way, ready, loaded }
    }

    /// Number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.remotes.len().max(1)
    }

    /// Opens a job, with the sinks its items go to.
    pub fn open_job(&mut self, spec: &Arc<JobSpec>, masks: SinkMasks) {
        if let Some(local) = &mut self.local {
            local.open_job(spec, masks);
        }
        for remote in &mut self.remotes {
            remote.open_job(spec, masks);
        }
    }

    /// Closes a job. With `abandon`, its queued URLs end as `abandoned`; without, they stay in the state.
    pub fn close_job(&mut self, job: JobId, abandon: bool) {
        if let Some(local) = &mut self.local {
            local.close_job(job, abandon);
        }
        for remote in &mut self.remotes {
            remote.close_job(job, abandon);
        }
    }

    /// Releases nothing more of a job; what is under way is still settled.
    pub fn hold_job(&mut self, job: JobId) {
        if let Some(local) = &mut self.local {
            local.hold_job(job);
        }
        for remote in &mut self.remotes {
            remote.hold_job(job);
        }
    }

    /// Goes on with a job that was held.
    pub fn resume_job(&mut self, job: JobId) {
        if let Some(local) = &mut self.local {
            local.resume_job(job);
        }
        for remote in &mut self.remotes {
            remote.resume_job(job);
        }
    }

    /// Another law from `now` on, on all workers before their next step.
    pub fn set_laws(&mut self, laws: &Arc<dyn LawBook>, now: Tick) {
        if let Some(local) = &mut self.local {
            local.set_laws(Arc::clone(laws), now);
        }
        for remote in &mut self.remotes {
            remote.set_laws(laws, now);
        }
    }

    /// How the domains stand that have most queued, at most so many of each worker, and how many are known in all.
    pub fn domain_laws(&mut self, max: usize) -> (Vec<DomainLaw>, usize) {
        let (mut laws, mut count) = self.local.as_ref().map(|local| local.domain_laws(max)).unwrap_or_default();
        for remote in &mut self.remotes {
            let (more, known) = remote.domain_laws(max);
            laws.extend(more);
            count += known;
        }
        (laws, count)
    }

    /// A sink that is new to the state, or was emptied: every item goes to it again.
    pub fn reset_sink(&mut self, sink: SinkId) {
        if let Some(local) = &mut self.local {
            local.reset_sink(sink);
        }
        for remote in &mut self.remotes {
            remote.reset_sink(sink);
        }
    }

    /// Of these sinks, all at once, it is not known what they hold: until they are open every item goes to them.
    pub fn doubt_sinks(&mut self, sinks: u32) {
        if let Some(local) = &mut self.local {
            local.doubt_sinks(sinks);
        }
        for remote in &mut self.remotes {
            remote.doubt_sinks(sinks);
        }
    }

    /// Begins to move bodies out of sparse chunks of the journal, a few in each step: after a snapshot.
    pub fn compact(&mut self) {
        if let Some(local) = &mut self.local {
            local.compact();
        }
        for remote in &mut self.remotes {
            remote.compact();
        }
    }

    /// Bodies that `Step::loads` asked for; they are taken in by the next step.
    pub fn loaded(&mut self, worker: usize, addr: Addr, record: Vec<u8>) {
        self.loaded[worker].push((addr, record));
    }

    /// Applies events at `now`, lets everything come to rest, and releases requests until `in_flight_max` are under way.
    pub fn step(&mut self, now: Tick, events: Vec<Event>, in_flight_max: usize) -> Step {
        self.begin(now, events, in_flight_max);
        self.end()
    }

    /// The first half of a step: with several workers they begin, and the caller may do something else until `end`. Each worker
    /// gets a part of what may be under way, in proportion to what it could release, so that nobody waits for the caller in between.
    pub fn begin(&mut self, now: Tick, events: Vec<Event>, in_flight_max: usize) {
        self.in_flight_max = in_flight_max;
        if let Some(local) = &mut self.local {
            local.feed(now, self.epoch, events, std::mem::take(&mut self.loaded[0]));
        } else {
            self.feed_all(now, self.epoch, events);
        }
    }

    /// The second half.
    pub fn end(&mut self) -> Step {
        let epoch = self.epoch;
        self.epoch += 1;
        let mut step = Step { next_wake: Tick::NEVER, ..Step::default() };
        if let Some(local) = &mut self.local {
            while !local.turn(epoch, true) {}
            take(&mut step, 0, local.release(self.in_flight_max));
            return step;
        }
        let (mut releases, mut free) = (Vec::new(), Vec::new());
        for (at, remote) in self.remotes.iter_mut().enumerate() {
            let mut taken = remote.taken();
            (self.under_way[at], self.ready[at]) = (taken.leased, taken.ready);
            releases.push(std::mem::take(&mut taken.out.releases));
            free.push(std::mem::take(&mut taken.out.free));
            take(&mut step, at, taken);
        }
        // In turn, so that the reports of a later step have work for every worker.
        step.releases = in_turn(releases);
        step.free = in_turn(free);
        step
    }

    /// Gives each event to its owner, so that the exchange moves nothing between threads; offers, which anyone may prepare, in turn.
    fn feed_all(&mut self, now: Tick, epoch: u64, events: Vec<Event>) {
        let workers = self.workers();
        let mut pieces: Vec<Vec<Event>> =
            (0..workers).map(|_| Vec::with_capacity(events.len() / workers + 64)).collect();
        for event in events {
            let at = match owner(&event) {
                Some(slot) => usize::from(slot) % workers,
                None => {
                    self.turn = (self.turn + 1) % workers;
                    self.turn
                }
            };
            pieces[at].push(event);
        }
        let parts = parts(self.in_flight_max, &self.under_way, &self.ready);
        for (at, remote) in self.remotes.iter_mut().enumerate() {
            let loaded = std::mem::take(&mut self.loaded[at]);
            remote.step(now, epoch, std::mem::take(&mut pieces[at]), loaded, parts[at]);
        }
    }

    /// Applies journal records in order; each worker keeps what it owns.
    pub fn replay(&mut self, records: &[(Addr, &[u8])]) -> Result<(), WireError> {
        if let Some(local) = &mut self.local {
            records.iter().try_for_each(|(addr, record)| local.replay(*addr, record))?;
        }
        for remote in &mut self.remotes {
            remote.replay(records)?;
        }
        Ok(())
    }

    /// Applies one section of a snapshot.
    pub fn restore(&mut self, name: &str, bytes: &[u8]) -> Result<(), WireError> {
        if let Some(local) = &mut self.local {
            local.restore(name, bytes)?;
        }
        for remote in &mut self.remotes {
            remote.restore(name, bytes)?;
        }
        Ok(())
    }

    /// Ends recovery: leases of the last run are queued again, the outbox is written again by the next step.
    pub fn finish_replay(&mut self, now: Tick) {
        if let Some(local) = &mut self.local {
            local.finish_replay(now);
        }
        for remote in &mut self.remotes {
            remote.finish_replay(now);
        }
    }

    /// The newest version of every item that the state knows.
    ///
    /// # Panics
    /// With several workers: who only looks needs one.
    pub fn each_known(&self, visit: &mut dyn FnMut(KnownItem)) {
        self.local.as_ref().expect("one worker, without a thread").each_known(visit);
    }

    /// Writes what domains and dedup entries come to as records for other stages, slot by slot. Right after `finish_replay`.
    ///
    /// # Errors
    /// Those of `load` and `write`.
    ///
    /// # Panics
    /// With several workers: who exports needs one.
    pub fn export(&self, load: LoadBodies<'_>, write: TakeRecord<'_>) -> io::Result<()> {
        self.local.as_ref().expect("one worker, without a thread").export(load, write)
    }

    /// Items that wait for their sinks or for a location. With one worker.
    ///
    /// # Panics
    /// With several workers: who only looks needs one.
    #[must_use]
    pub fn waiting_items(&self) -> usize {
        self.local.as_ref().expect("one worker, without a thread").waiting_items()
    }

    /// Durable counts over all workers: URLs and items by job.
    pub fn counts(&mut self) -> (Counters, BTreeMap<JobId, ItemCounts>) {
        let (mut urls, mut items) = self.local.as_ref().map(Shell::counts).unwrap_or_default();
        for remote in &mut self.remotes {
            let (more_urls, more_items) = remote.counts();
            urls.add(&more_urls);
            for (job, counts) in &more_items {
                items.entry(*job).or_default().add(counts);
            }
        }
        (urls, items)
    }

    /// What a complete crawl saw, and what it did not see of what earlier jobs of its spider and arguments saw last.
    pub fn count_absent(&mut self, census: &Census) -> Counted {
        let mut counted = self.local.as_ref().map(|local| local.count_absent(census)).unwrap_or_default();
        for remote in &mut self.remotes {
            counted.add(remote.count_absent(census));
        }
        counted
    }

    /// Streams the whole state: `write(section, bytes)`, a section possibly in several parts, one after the other.
    pub fn snapshot(&mut self, write: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let workers = self.workers();
        if let Some(local) = &self.local {
            local.snapshot(0, workers, write)?;
        }
        for (at, remote) in self.remotes.iter_mut().enumerate() {
            remote.snapshot(at, workers, write)?;
        }
        Ok(())
    }

    /// Chunks of the journal that hold bodies still needed.
    pub fn live_chunks(&mut self) -> Vec<LiveChunk> {
        let mut chunks = self.local.as_ref().map(Shell::live_chunks).unwrap_or_default();
        for remote in &mut self.remotes {
            chunks.extend(remote.live_chunks());
        }
        chunks
    }
}

/// How much each worker may have under way, never more than `in_flight_max` together. Each is meant to have a part in proportion to what
/// it has and could release; who has more shrinks to it as its reports come, who has less grows by what nobody has.
fn parts(in_flight_max: usize, under_way: &[usize], ready: &[usize]) -> Vec<usize> {
    let rest = in_flight_max.saturating_sub(under_way.iter().sum());
    let wanted: Vec<usize> = under_way.iter().zip(ready).map(|(has, more)| has + more).collect();
    let mut parts = share(in_flight_max, &wanted);
    let missing: Vec<usize> = parts.iter().zip(under_way).map(|(part, has)| part.saturating_sub(*has)).collect();
    for ((part, more), has) in parts.iter_mut().zip(share(rest, &missing)).zip(under_way) {
        *part = if *part > *has { has + more } else { *part };
    }
    parts
}

/// Divides a budget in proportion to what could be released; nothing known: evenly.
fn share(budget: usize, hints: &[usize]) -> Vec<usize> {
    let total: usize = hints.iter().sum();
    if total == 0 {
        return (0..hints.len()).map(|at| budget / hints.len() + usize::from(at < budget % hints.len())).collect();
    }
    let mut shares: Vec<usize> = hints.iter().map(|hint| budget * hint / total).collect();
    let mut rest = budget - shares.iter().sum::<usize>();
    for (given, _) in shares.iter_mut().zip(hints).filter(|(_, hint)| **hint > 0) {
        let one = rest.min(1);
        *given += one;
        rest -= one;
    }
    shares
}

fn take(step: &mut Step, worker: usize, taken: Taken) {
    step.journal.extend(taken.journal);
    let out = taken.out;
    append(&mut step.releases, out.releases);
    append(&mut step.free, out.free);
    append(&mut step.alone, out.alone);
    step.loads.extend(out.loads.into_iter().map(|addr| (worker, addr)));
    append(&mut step.writes, taken.items.writes);
    append(&mut step.poison, taken.items.refused);
    step.poison.extend(out.dead.into_iter().map(|dead| Poison::Request(Box::new(dead))));
    append(&mut step.computes, taken.computes);
    append(&mut step.geo, taken.geo.commands);
    append(&mut step.geo_notices, taken.geo.notices);
    for (job, counts) in &taken.geo.counts {
        step.geo_counts.entry(*job).or_default().add(counts);
    }
    step.counters.add(&out.counters);
    for (job, counts) in &taken.items.counts {
        step.items.entry(*job).or_default().add(counts);
    }
    append(&mut step.notes, taken.notes);
    append(&mut step.elsewhere, taken.elsewhere);
    append(&mut step.log, out.log);
    for (job, live) in &taken.live {
        step.live.entry(*job).or_default().add(live);
    }
    step.outbox_bytes += taken.outbox_bytes;
    step.waiting_bytes += taken.waiting_bytes;
    step.computing += taken.computing;
    step.in_flight += taken.leased;
    step.ready += taken.ready;
    step.next_wake = step.next_wake.min(taken.next_wake);
}

fn in_turn<T>(lists: Vec<Vec<T>>) -> Vec<T> {
    let mut all = Vec::with_capacity(lists.iter().map(Vec::len).sum());
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    while !lists.is_empty() {
        lists.retain_mut(|list| list.next().map(|one| all.push(one)).is_some());
    }
    all
}

fn append<T>(to: &mut Vec<T>, mut more: Vec<T>) {
    if to.is_empty() {
        *to = more;
    } else {
        to.append(&mut more);
    }
}

#[cfg(test)]
mod tests {
    use super::{in_turn, parts, share};

    #[test]
    fn releases_of_all_workers_leave_in_turn() {
        assert_eq!(in_turn(vec![vec![1, 2, 3], vec![], vec![4]]), [1, 4, 2, 3]);
    }

    #[test]
    fn workers_never_have_more_under_way_than_allowed_together() {
        assert_eq!(parts(100, &[20, 40], &[320, 160]), [60, 37], "one grows by what nobody has, the other shrinks");
        assert_eq!(parts(60, &[20, 40], &[280, 160]), [20, 24], "nothing is left to grow by");
        assert_eq!(parts(30, &[20, 40], &[280, 160]), [18, 12]);
        assert_eq!(parts(0, &[20, 40], &[300, 100]), [0, 0], "a crawl that stops releases nothing");
        assert_eq!(parts(5, &[0, 0], &[0, 0]), [3, 2], "nothing known: evenly");
    }

    #[test]
    fn a_budget_goes_where_there_is_work() {
        assert_eq!(share(100, &[1000, 0]), [100, 0]);
        assert_eq!(share(100, &[300, 100]), [75, 25]);
        assert_eq!(share(10, &[0, 0]), [5, 5]);
        assert_eq!(share(7, &[9, 9, 9]).iter().sum::<usize>(), 7);
    }
}
