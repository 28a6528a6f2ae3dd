//! The stage as the rest of weir sees it: one value, stepped. One worker runs on the caller's thread without any other;
//! more workers run on threads of their own, with worker 0 still on the caller's.
//!
//! Invariants: a step returns when its events have come to rest on every worker; the same events give the same sets of
//! effects at any number of workers; nobody else names timely.

use crate::event::{Event, Step};
use crate::items::{ItemCounts, SinkMasks};
use crate::remote::Remote;
use crate::worker::{Shell, Taken, WorkerConfig};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use timely::communication::Allocator;
use timely::communication::allocator::AllocateBuilder;
use timely::worker::Worker;
use weir_frontier::{Addr, Counters, FrontierConfig, JobSpec, LiveChunk};
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
}

/// Frontier, items and ledger as one dataflow over 1 to N workers.
pub struct Stage {
    local: Shell,
    remotes: Vec<Remote>,
    epoch: u64,
    turn: usize,
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
        let worker_config = |index: usize| WorkerConfig {
            frontier: Arc::clone(&config.frontier),
            lane: config.lanes[index],
            boot: config.boot,
        };
        let timely_config = timely::WorkerConfig::default();
        let loaded = vec![Vec::new(); workers];
        if workers == 1 {
            let allocator = Allocator::Thread(timely::communication::allocator::Thread::default());
            let local = Shell::new(Worker::new(timely_config, allocator, None), &worker_config(0));
            return Stage { local, remotes: Vec::new(), epoch: 0, turn: 0, loaded };
        }
        let (builders, _guard) = timely::CommunicationConfig::Process(workers)
            .try_build()
            .expect("workers of one process need no network");
        let mut builders = builders.into_iter();
        let first = builders.next().expect("one builder a worker");
        let remotes =
            builders.enumerate().map(|(at, builder)| Remote::spawn(builder, worker_config(at + 1))).collect();
        let local = Shell::new(Worker::new(timely_config, first.build(), None), &worker_config(0));
        Stage { local, remotes, epoch: 0, turn: 0, loaded }
    }

    /// Number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.remotes.len() + 1
    }

    /// Opens a job, with the sinks its items go to.
    pub fn open_job(&mut self, spec: &Arc<JobSpec>, masks: SinkMasks) {
        self.local.open_job(spec, masks);
        for remote in &mut self.remotes {
            remote.open_job(spec, masks);
        }
    }

    /// Closes a job. With `abandon`, its queued URLs end as `abandoned`; without, they stay in the state.
    pub fn close_job(&mut self, job: JobId, abandon: bool) {
        self.local.close_job(job, abandon);
        for remote in &mut self.remotes {
            remote.close_job(job, abandon);
        }
    }

    /// A sink that is new to the state, or was emptied: every item goes to it again.
    pub fn reset_sink(&mut self, sink: SinkId) {
        self.local.reset_sink(sink);
        for remote in &mut self.remotes {
            remote.reset_sink(sink);
        }
    }

    /// Bodies that `Step::loads` asked for; they are taken in by the next step.
    pub fn loaded(&mut self, worker: usize, addr: Addr, record: Vec<u8>) {
        self.loaded[worker].push((addr, record));
    }

    /// Applies events at `now`, lets everything come to rest, and releases at most `budget` requests.
    pub fn step(&mut self, now: Tick, events: Vec<Event>, budget: usize) -> Step {
        let epoch = self.epoch;
        self.epoch += 1;
        let mut step = Step { next_wake: Tick::NEVER, ..Step::default() };
        if self.remotes.is_empty() {
            let loaded = std::mem::take(&mut self.loaded[0]);
            self.local.feed(now, epoch, events, loaded);
            while !self.local.turn(epoch, true) {}
            take(&mut step, 0, self.local.release(budget));
            return step;
        }
        self.feed_all(now, epoch, events);
        while !self.local.turn(epoch, false) {}
        let mut hints = vec![self.local.ready_hint()];
        hints.extend(self.remotes.iter_mut().map(Remote::rested));
        let shares = share(budget, &hints);
        for (remote, requests) in self.remotes.iter_mut().zip(&shares[1..]) {
            remote.release(*requests);
        }
        take(&mut step, 0, self.local.release(shares[0]));
        for (at, remote) in self.remotes.iter_mut().enumerate() {
            take(&mut step, at + 1, remote.taken());
        }
        step
    }

    /// Spreads events over the workers in contiguous pieces; the exchange brings each to its owner.
    fn feed_all(&mut self, now: Tick, epoch: u64, events: Vec<Event>) {
        let workers = self.workers();
        let each = events.len().div_ceil(workers).max(1);
        let mut pieces: Vec<Vec<Event>> = vec![Vec::new(); workers];
        for (at, event) in events.into_iter().enumerate() {
            pieces[(self.turn + at / each) % workers].push(event);
        }
        self.turn = (self.turn + 1) % workers;
        for (at, remote) in self.remotes.iter_mut().enumerate() {
            let loaded = std::mem::take(&mut self.loaded[at + 1]);
            remote.feed(now, epoch, std::mem::take(&mut pieces[at + 1]), loaded);
        }
        let loaded = std::mem::take(&mut self.loaded[0]);
        self.local.feed(now, epoch, std::mem::take(&mut pieces[0]), loaded);
    }

    /// Applies journal records in order; each worker keeps what it owns.
    pub fn replay(&mut self, records: &[(Addr, &[u8])]) -> Result<(), WireError> {
        for (addr, record) in records {
            self.local.replay(*addr, record)?;
        }
        for remote in &mut self.remotes {
            remote.replay(records)?;
        }
        Ok(())
    }

    /// Applies one section of a snapshot.
    pub fn restore(&mut self, name: &str, bytes: &[u8]) -> Result<(), WireError> {
        self.local.restore(name, bytes)?;
        for remote in &mut self.remotes {
            remote.restore(name, bytes)?;
        }
        Ok(())
    }

    /// Ends recovery: leases of the last run are queued again, the outbox is written again by the next step.
    pub fn finish_replay(&mut self, now: Tick) {
        self.local.finish_replay(now);
        for remote in &mut self.remotes {
            remote.finish_replay(now);
        }
    }

    /// Durable counts over all workers: URLs and items by job.
    pub fn counts(&mut self) -> (Counters, BTreeMap<JobId, ItemCounts>) {
        let (mut urls, mut items) = self.local.counts();
        for remote in &mut self.remotes {
            let (more_urls, more_items) = remote.counts();
            urls.add(&more_urls);
            for (job, counts) in &more_items {
                items.entry(*job).or_default().add(counts);
            }
        }
        (urls, items)
    }

    /// Streams the whole state: `write(section, bytes)`, a section possibly in several parts, one after the other.
    pub fn snapshot(&mut self, write: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let workers = self.workers();
        self.local.snapshot(0, workers, write)?;
        for (at, remote) in self.remotes.iter_mut().enumerate() {
            remote.snapshot(at + 1, workers, write)?;
        }
        Ok(())
    }

    /// Chunks of the journal that hold bodies still needed.
    pub fn live_chunks(&mut self) -> Vec<LiveChunk> {
        let mut chunks = self.local.live_chunks();
        for remote in &mut self.remotes {
            chunks.extend(remote.live_chunks());
        }
        chunks
    }
}

/// Divides a budget in proportion to what could be released; nothing known: evenly.
fn share(budget: usize, hints: &[usize]) -> Vec<usize> {
    let total: usize = hints.iter().sum();
    if total <= budget {
        // There is enough for everybody: hints are capped, so give what is left evenly on top.
        let spare = (budget - total) / hints.len();
        return hints.iter().map(|hint| hint + spare).collect();
    }
    let mut shares: Vec<usize> = hints.iter().map(|hint| budget * hint / total).collect();
    let mut rest = budget - shares.iter().sum::<usize>();
    for (given, hint) in shares.iter_mut().zip(hints) {
        if rest > 0 && *hint > *given {
            *given += 1;
            rest -= 1;
        }
    }
    shares
}

fn take(step: &mut Step, worker: usize, taken: Taken) {
    step.journal.extend(taken.journal);
    let out = taken.out;
    append(&mut step.releases, out.releases);
    append(&mut step.alone, out.alone);
    step.loads.extend(out.loads.into_iter().map(|addr| (worker, addr)));
    append(&mut step.writes, taken.items.writes);
    step.counters.add(&out.counters);
    for (job, counts) in &taken.items.counts {
        step.items.entry(*job).or_default().add(counts);
    }
    append(&mut step.notes, taken.notes);
    append(&mut step.log, out.log);
    for (job, live) in &taken.live {
        step.live.entry(*job).or_default().add(live);
    }
    step.outbox_bytes += taken.outbox_bytes;
    step.next_wake = step.next_wake.min(taken.next_wake);
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
    use super::share;

    #[test]
    fn a_budget_goes_where_there_is_work() {
        assert_eq!(share(100, &[1000, 0]), [100, 0]);
        assert_eq!(share(100, &[300, 100]), [75, 25]);
        assert_eq!(share(10, &[0, 0]), [5, 5]);
        assert_eq!(share(7, &[9, 9, 9]).iter().sum::<usize>(), 7);
    }
}
