//! A worker on a thread of its own, spoken to in orders and answers. It sleeps between steps.

use crate::event::Event;
use crate::items::{Census, Counted, ItemCounts, SinkMasks};
use crate::worker::{Shell, Taken, WorkerConfig};
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use timely::communication::{WorkerGuards, initialize_from};
use timely::worker::Worker;
use weir_frontier::{Addr, Counters, DomainLaw, JobSpec, LawBook, LiveChunk};
use weir_model::wire::WireError;
use weir_model::{JobId, SinkId, Tick};

type Records = Vec<(Addr, Vec<u8>)>;

enum Order {
    OpenJob(Arc<JobSpec>, SinkMasks),
    CloseJob(JobId, bool),
    HoldJob(JobId),
    ResumeJob(JobId),
    SetLaws(Arc<dyn LawBook>, Tick),
    DomainLaws(usize),
    ResetSink(SinkId),
    DoubtSinks(u32),
    Compact,
    Step { now: Tick, epoch: u64, events: Vec<Event>, loaded: Records, in_flight_max: usize },
    Replay(Records),
    Restore(String, Vec<u8>),
    FinishReplay(Tick),
    Counts,
    CountAbsent(Census),
    Snapshot(usize, usize),
    LiveChunks,
}

enum Answer {
    Taken(Box<Taken>),
    Done(Result<(), WireError>),
    Counts(Counters, BTreeMap<JobId, ItemCounts>),
    CountedAbsent(Counted),
    Part(String, Vec<u8>),
    SnapshotEnd,
    LiveChunks(Vec<LiveChunk>),
    DomainLaws(Vec<DomainLaw>, usize),
}

/// The caller's end of a worker thread.
pub(crate) struct Remote {
    orders: Sender<Order>,
    answers: Receiver<Answer>,
}

/// The threads, joined when dropped: after the remotes, whose end ends them.
pub(crate) struct Threads {
    _guards: WorkerGuards<()>,
}

/// A worker's end, taken by its thread when it starts.
type Seat = Mutex<Option<(Receiver<Order>, SyncSender<Answer>)>>;

/// Starts one thread a worker.
pub(crate) fn spawn(configs: Vec<WorkerConfig>) -> (Vec<Remote>, Threads) {
    let mut remotes = Vec::with_capacity(configs.len());
    let mut seats: Vec<Seat> = Vec::with_capacity(configs.len());
    for _ in &configs {
        let (orders, inbox) = channel();
        // Bounded: a snapshot streams no faster than it is written.
        let (outbox, answers) = sync_channel(4);
        remotes.push(Remote { orders, answers });
        seats.push(Mutex::new(Some((inbox, outbox))));
    }
    let (builders, others) = timely::CommunicationConfig::Process(configs.len())
        .try_build()
        .expect("workers of one process need no network");
    let guards = initialize_from(builders, others, move |allocator| {
        let worker = Worker::new(timely::WorkerConfig::default(), allocator, timer());
        let index = worker.index();
        let seat = seats[index].lock().map_or(None, |mut seat| seat.take());
        let (inbox, outbox) = seat.expect("one thread a seat");
        serve(&mut Shell::new(worker, &configs[index]), &inbox, &outbox);
    })
    .expect("the system starts threads");
    (remotes, Threads { _guards: guards })
}

/// timely parks a waiting worker only when it has a timer; without, it spins. Nothing here reads it.
#[allow(clippy::disallowed_methods, reason = "no decision depends on it")]
fn timer() -> Option<std::time::Instant> {
    Some(std::time::Instant::now())
}

/// Turns without sleeping while others are still at the step: they are nearly done, and waking up costs more than a look.
const SPIN_TURNS: u32 = 100;

const ENDED: &str = "a stage worker ended early: it panicked, see above";

impl Remote {
    fn order(&mut self, order: Order) {
        self.orders.send(order).expect(ENDED);
    }

    fn answer(&mut self) -> Answer {
        self.answers.recv().expect(ENDED)
    }

    pub fn open_job(&mut self, spec: &Arc<JobSpec>, masks: SinkMasks) {
        self.order(Order::OpenJob(Arc::clone(spec), masks));
    }

    pub fn close_job(&mut self, job: JobId, abandon: bool) {
        self.order(Order::CloseJob(job, abandon));
    }

    pub fn hold_job(&mut self, job: JobId) {
        self.order(Order::HoldJob(job));
    }

    pub fn resume_job(&mut self, job: JobId) {
        self.order(Order::ResumeJob(job));
    }

    pub fn set_laws(&mut self, laws: &Arc<dyn LawBook>, now: Tick) {
        self.order(Order::SetLaws(Arc::clone(laws), now));
    }

    pub fn domain_laws(&mut self, max: usize) -> (Vec<DomainLaw>, usize) {
        self.order(Order::DomainLaws(max));
        match self.answer() {
            Answer::DomainLaws(laws, count) => (laws, count),
            _ => unreachable!("answers come in the order of the orders"),
        }
    }

    pub fn reset_sink(&mut self, sink: SinkId) {
        self.order(Order::ResetSink(sink));
    }

    pub fn doubt_sinks(&mut self, sinks: u32) {
        self.order(Order::DoubtSinks(sinks));
    }

    pub fn compact(&mut self) {
        self.order(Order::Compact);
    }

    /// Begins a step; `taken` waits for its end.
    pub fn step(&mut self, now: Tick, epoch: u64, events: Vec<Event>, loaded: Records, in_flight_max: usize) {
        self.order(Order::Step { now, epoch, events, loaded, in_flight_max });
    }

    pub fn taken(&mut self) -> Taken {
        match self.answer() {
            Answer::Taken(taken) => *taken,
            _ => unreachable!("answers come in the order of the orders"),
        }
    }

    fn done(&mut self) -> Result<(), WireError> {
        match self.answer() {
            Answer::Done(result) => result,
            _ => unreachable!("answers come in the order of the orders"),
        }
    }

    pub fn replay(&mut self, records: &[(Addr, &[u8])]) -> Result<(), WireError> {
        self.order(Order::Replay(records.iter().map(|(addr, record)| (*addr, record.to_vec())).collect()));
        self.done()
    }

    pub fn restore(&mut self, name: &str, bytes: &[u8]) -> Result<(), WireError> {
        self.order(Order::Restore(name.to_owned(), bytes.to_vec()));
        self.done()
    }

    pub fn finish_replay(&mut self, now: Tick) {
        self.order(Order::FinishReplay(now));
    }

    pub fn counts(&mut self) -> (Counters, BTreeMap<JobId, ItemCounts>) {
        self.order(Order::Counts);
        match self.answer() {
            Answer::Counts(urls, items) => (urls, items),
            _ => unreachable!("answers come in the order of the orders"),
        }
    }

    pub fn count_absent(&mut self, census: &Census) -> Counted {
        self.order(Order::CountAbsent(census.clone()));
        match self.answer() {
            Answer::CountedAbsent(counted) => counted,
            _ => unreachable!("answers come in the order of the orders"),
        }
    }

    pub fn snapshot(
        &mut self,
        index: usize,
        peers: usize,
        write: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.order(Order::Snapshot(index, peers));
        let mut result = Ok(());
        loop {
            match self.answer() {
                // After a failed write the rest is drained, so that orders and answers stay in step.
                Answer::Part(name, bytes) if result.is_ok() => result = write(&name, &bytes),
                Answer::Part(..) => {}
                Answer::SnapshotEnd => return result,
                _ => unreachable!("answers come in the order of the orders"),
            }
        }
    }

    pub fn live_chunks(&mut self) -> Vec<LiveChunk> {
        self.order(Order::LiveChunks);
        match self.answer() {
            Answer::LiveChunks(chunks) => chunks,
            _ => unreachable!("answers come in the order of the orders"),
        }
    }
}

fn serve(shell: &mut Shell, orders: &Receiver<Order>, answers: &SyncSender<Answer>) {
    while let Ok(order) = orders.recv() {
        let answer = match order {
            Order::OpenJob(spec, masks) => {
                shell.open_job(&spec, masks);
                continue;
            }
            Order::CloseJob(job, abandon) => {
                shell.close_job(job, abandon);
                continue;
            }
            Order::HoldJob(job) => {
                shell.hold_job(job);
                continue;
            }
            Order::ResumeJob(job) => {
                shell.resume_job(job);
                continue;
            }
            Order::SetLaws(laws, now) => {
                shell.set_laws(laws, now);
                continue;
            }
            Order::DomainLaws(max) => {
                let (laws, count) = shell.domain_laws(max);
                Answer::DomainLaws(laws, count)
            }
            Order::ResetSink(sink) => {
                shell.reset_sink(sink);
                continue;
            }
            Order::DoubtSinks(sinks) => {
                shell.doubt_sinks(sinks);
                continue;
            }
            Order::Compact => {
                shell.compact();
                continue;
            }
            Order::FinishReplay(now) => {
                shell.finish_replay(now);
                continue;
            }
            Order::Step { now, epoch, events, loaded, in_flight_max } => {
                shell.feed(now, epoch, events, loaded);
                let mut turns = 0u32;
                while !shell.turn(epoch, turns < SPIN_TURNS) {
                    turns += 1;
                }
                Answer::Taken(Box::new(shell.release(in_flight_max)))
            }
            Order::Replay(records) => {
                Answer::Done(records.iter().try_for_each(|(addr, record)| shell.replay(*addr, record)))
            }
            Order::Restore(name, bytes) => Answer::Done(shell.restore(&name, &bytes)),
            Order::Counts => {
                let (urls, items) = shell.counts();
                Answer::Counts(urls, items)
            }
            Order::CountAbsent(census) => Answer::CountedAbsent(shell.count_absent(&census)),
            Order::Snapshot(index, peers) => {
                // A part that cannot be sent means that the caller is gone: the next receive ends the thread.
                let _ = shell.snapshot(index, peers, &mut |name, part| {
                    answers.send(Answer::Part(name.to_owned(), part.to_vec())).map_err(io::Error::other)
                });
                Answer::SnapshotEnd
            }
            Order::LiveChunks => Answer::LiveChunks(shell.live_chunks()),
        };
        if answers.send(answer).is_err() {
            return;
        }
    }
}
