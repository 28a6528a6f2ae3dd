//! What a frontier holds: jobs, domains with their lines, leases. Shapes only.

use crate::address::Addr;
use crate::frontier::origin::Origin;
use crate::hash::NumberMap;
use crate::job::{JobSpec, Order};
use crate::offer::slot_of;
use crate::out::Live;
use crate::queue::Queue;
use crate::seen::Seen;
use crate::throttle::Throttle;
use crate::{LawBook, SLOTS};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use weir_model::{DomainKey, JobId, Tick};

/// Index of a domain in `Frontier::domains`.
pub(crate) type DomainIndex = u32;

/// A job's part of this worker.
#[derive(Debug)]
pub(crate) struct Job {
    pub id: JobId,
    /// Known once the job was opened; until then nothing of it is released.
    pub spec: Option<Arc<JobSpec>>,
    /// Being stopped: nothing more of it is released.
    pub held: bool,
    pub live: Live,
    /// By slot.
    pub seen: Vec<Seen>,
    /// URLs admitted by domain, when there is a budget.
    pub admitted: NumberMap<DomainKey, u64>,
}

impl Job {
    pub fn new(id: JobId) -> Job {
        Job {
            id,
            spec: None,
            held: false,
            live: Live::default(),
            seen: vec![Seen::default(); usize::from(SLOTS)],
            admitted: NumberMap::default(),
        }
    }

    pub fn order(&self) -> Order {
        self.spec.as_ref().map_or(Order::Lifo, |spec| spec.order)
    }
}

/// The jobs. Few, so they are searched one by one.
#[derive(Debug, Default)]
pub(crate) struct Jobs(pub Vec<Job>);

impl Jobs {
    pub fn get(&self, id: JobId) -> Option<&Job> {
        self.0.iter().find(|job| job.id == id)
    }

    pub fn get_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.0.iter_mut().find(|job| job.id == id)
    }

    /// A job that lives: whatever is queued or leased keeps its job here.
    pub fn known(&mut self, id: JobId) -> &mut Job {
        self.get_mut(id).expect("a job is dropped with all its URLs")
    }

    pub fn enter(&mut self, id: JobId) -> &mut Job {
        let at = match self.0.iter().position(|job| job.id == id) {
            Some(at) => at,
            None => {
                self.0.push(Job::new(id));
                self.0.len() - 1
            }
        };
        &mut self.0[at]
    }
}

/// Where a domain stands in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing to do; may be forgotten at this instant.
    Idle(Tick),
    /// In the ring: may have something to release.
    Ready,
    /// In the calendar: nothing before this instant.
    Waiting(Tick),
    /// Waits for an event: a report, a robots.txt, a body.
    Blocked,
}

/// A popped URL whose body is read back, or was.
#[derive(Debug)]
pub(crate) struct Head {
    pub addr: Addr,
    pub priority: i16,
    pub record: Option<Vec<u8>>,
}

/// A URL that waits for the robots.txt of its origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parked {
    pub addr: Addr,
    pub priority: i16,
    pub origin: u64,
}

/// One job's URLs at one domain.
#[derive(Debug)]
pub(crate) struct Line {
    pub job: JobId,
    pub queue: Queue,
    pub heads: VecDeque<Head>,
    pub delayed: BinaryHeap<Reverse<(Tick, Addr, i16)>>,
    pub parked: Vec<Parked>,
    /// Pages under way.
    pub leased: u32,
    /// As many wait for robots.txt as may: no more are taken from the queue.
    pub parking_full: bool,
}

impl Line {
    pub fn new(job: JobId) -> Line {
        Line {
            job,
            queue: Queue::default(),
            heads: VecDeque::new(),
            delayed: BinaryHeap::new(),
            parked: Vec::new(),
            leased: 0,
            parking_full: false,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.leased == 0
            && self.queue.is_empty()
            && self.heads.is_empty()
            && self.delayed.is_empty()
            && self.parked.is_empty()
    }
}

/// A registered domain: its law, its URLs, its origins.
#[derive(Debug)]
pub(crate) struct Domain {
    pub key: DomainKey,
    pub slot: u8,
    pub name: Box<str>,
    pub blacklisted: bool,
    pub throttle: Throttle,
    pub lines: Vec<Line>,
    /// Which line is asked first next time.
    pub turn: usize,
    pub state: State,
    pub origins: Vec<Origin>,
}

impl Domain {
    pub fn new(key: DomainKey, name: &str, laws: &dyn LawBook) -> Domain {
        Domain {
            key,
            slot: slot_of(key),
            name: name.into(),
            blacklisted: laws.blacklisted(name),
            throttle: Throttle::new(laws.limits(name)),
            lines: Vec::new(),
            turn: 0,
            state: State::Blocked,
            origins: Vec::new(),
        }
    }

    pub fn line(&mut self, job: JobId) -> &mut Line {
        let at = match self.lines.iter().position(|line| line.job == job) {
            Some(at) => at,
            None => {
                self.lines.push(Line::new(job));
                self.lines.len() - 1
            }
        };
        &mut self.lines[at]
    }

    /// The instant from which nothing is lost by forgetting this domain.
    pub fn forgettable_at(&self) -> Tick {
        self.origins.iter().map(Origin::fresh_until).fold(self.throttle.forgettable_at(), Tick::max)
    }
}

/// A release under way.
#[derive(Debug)]
pub(crate) struct Lease {
    pub addr: Addr,
    pub job: JobId,
    pub domain: DomainIndex,
    /// When it counts as lost.
    pub until: Tick,
    /// Its hit in the domain's law.
    pub hit: Option<Tick>,
    /// The origin whose robots.txt it asks for, of this domain.
    pub origin: Option<u64>,
    /// The body of its record; empty for a robots.txt of this domain.
    pub record: Vec<u8>,
}
