//! Items between their page and the geocoder, as far as programs or functions fill fields of them.
//!
//! Decides which computation an item is due for, what of one that waits is in the journal, and when it goes on. Who computes, how
//! long it may take and what becomes of a program that dies is the driver's. Invariants:
//! - an item that is still here when a step ends has a record, and another one when it leaves: a restart finds exactly those
//!   that wait, and lets them begin with their first computation again;
//! - an item leaves exactly once: on, or refused; an answer for one that has left changes nothing;
//! - an item of a type without computations never stops here.

use crate::event::Poison;
use crate::hash::KeyMap;
use crate::items::SLOTS;
use crate::ledger::page_slot;
use crate::record;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_frontier::ComputeStep;
use weir_model::wire::{Reader, WireError};
use weir_model::{Item, JobId, ReleaseId, Value};

/// An item that waits for a computation. The low six bits are the slot of its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComputeId(pub u64);

impl ComputeId {
    /// The slot in whose name it waits.
    #[must_use]
    pub fn slot(self) -> u8 {
        (self.0 as u8) & (SLOTS - 1)
    }
}

/// Something to compute.
#[derive(Clone, Debug)]
pub struct Computing {
    /// Which item.
    pub id: ComputeId,
    /// Which of its job's computations.
    pub at: usize,
    /// The item.
    pub item: Arc<Item>,
}

/// A computation has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// As in `Computing`.
    pub id: ComputeId,
    /// As there.
    pub at: usize,
    /// What came of it.
    pub result: Result<Made, Uncomputed>,
}

/// What was computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Values, in the order of the computation's fields.
    pub values: Vec<Value>,
    /// The item's content hash with them.
    pub hash: u64,
}

/// What kept an item from being computed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncomputed {
    /// The computation's name.
    pub by: Box<str>,
    /// Why, as a person reads it.
    pub reason: Box<str>,
}

/// Where an item goes after a computation.
#[derive(Debug)]
pub(crate) enum Onward {
    /// To its next computation; or it had left before.
    Nowhere,
    On(ReleaseId, Item),
    Refused(ReleaseId, JobId, Poison),
}

#[derive(Clone, Debug)]
struct Waiting {
    page: ReleaseId,
    item: Arc<Item>,
    /// Which of the job's computations it waits for; behind the last: for none.
    at: usize,
}

/// The part of one worker.
#[derive(Debug)]
pub(crate) struct Compute {
    steps: BTreeMap<JobId, Vec<ComputeStep>>,
    waiting: KeyMap<ComputeId, Waiting>,
    /// To be computed, not yet handed over.
    wanted: Vec<Computing>,
    /// In a replay: those that left before their record came.
    gone: BTreeSet<ComputeId>,
    /// Items of jobs that do not go on in this run: they stay as they are and hold nobody up.
    paused: BTreeMap<ComputeId, Waiting>,
    bytes: usize,
    next: u64,
    worker: usize,
    workers: usize,
}

impl Compute {
    pub fn new(worker: usize, workers: usize, boot: u32) -> Compute {
        Compute {
            steps: BTreeMap::new(),
            waiting: KeyMap::default(),
            wanted: Vec::new(),
            gone: BTreeSet::new(),
            paused: BTreeMap::new(),
            bytes: 0,
            next: (u64::from(boot) << 32) | ((worker as u64) << 26),
            worker,
            workers,
        }
    }

    pub fn open_job(&mut self, job: JobId, steps: &[ComputeStep]) {
        self.steps.insert(job, steps.to_vec());
    }

    /// A job has ended. With `abandon`, what still waits of it is forgotten.
    pub fn close_job(&mut self, job: JobId, abandon: bool) {
        self.steps.remove(&job);
        if abandon {
            self.waiting.retain(|_, waiting| waiting.item.job != job);
            self.paused.retain(|_, waiting| waiting.item.job != job);
            self.wanted.retain(|wanted| wanted.item.job != job);
            self.bytes = self.waiting.values().map(|waiting| waiting.item.bytes()).sum();
        }
    }

    /// Bytes of items that wait here.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Items that wait here.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What is to be computed since the last call.
    pub fn take_wanted(&mut self) -> Vec<Computing> {
        std::mem::take(&mut self.wanted)
    }

    /// A new item of a page. Given back when nothing is computed of it.
    pub fn begin(&mut self, page: ReleaseId, item: Item, journal: &mut Vec<u8>) -> Option<Item> {
        let Some(at) = self.step_of(&item, 0) else { return Some(item) };
        self.next += 1;
        let id = ComputeId((self.next << 6) | u64::from(page_slot(page)));
        record::computes(journal, id, page, &item);
        self.bytes += item.bytes();
        self.wait(id, Waiting { page, item: Arc::new(item), at });
        None
    }

    /// The next computation of an item, from number `from` on.
    fn step_of(&self, item: &Item, from: usize) -> Option<usize> {
        let steps = self.steps.get(&item.job)?;
        (from..steps.len()).find(|at| steps[*at].schema == item.schema)
    }

    fn wait(&mut self, id: ComputeId, waiting: Waiting) {
        self.wanted.push(Computing { id, at: waiting.at, item: Arc::clone(&waiting.item) });
        self.waiting.insert(id, waiting);
    }

    /// A computation has ended.
    pub fn computed(&mut self, computed: Computed, journal: &mut Vec<u8>) -> Onward {
        let Computed { id, at, result } = computed;
        if self.waiting.get(&id).is_none_or(|waiting| waiting.at != at) {
            return Onward::Nowhere;
        }
        let Some(Waiting { page, item, .. }) = self.waiting.remove(&id) else { return Onward::Nowhere };
        self.bytes -= item.bytes();
        let Made { values, hash } = match result {
            Ok(made) => made,
            Err(Uncomputed { by, reason }) => {
                let job = item.job;
                record::compute_ended(journal, record::COMPUTE_REFUSED, id, page, job);
                return Onward::Refused(page, job, Poison::Uncomputed { by, item, reason });
            }
        };
        let mut item = Arc::unwrap_or_clone(item);
        let fields = self.steps.get(&item.job).and_then(|steps| steps.get(at)).map_or(&[][..], |step| &step.fields);
        for (field, value) in fields.iter().zip(values) {
            if let Some(place) = item.values.get_mut(*field) {
                *place = value;
            }
        }
        item.hash = hash;
        match self.step_of(&item, at.saturating_add(1)) {
            Some(at) => {
                self.bytes += item.bytes();
                self.wait(id, Waiting { page, item: Arc::new(item), at });
                Onward::Nowhere
            }
            None => {
                record::compute_ended(journal, record::COMPUTE_ENDED, id, page, item.job);
                Onward::On(page, item)
            }
        }
    }

    // ---- restarts -------------------------------------------------------------------------------------------------

    fn owns(&self, slot: u8) -> bool {
        usize::from(slot) % self.workers == self.worker
    }

    /// Applies a record of this module.
    pub fn replay(&mut self, kind: u8, slot: u8, fields: &mut Reader<'_>) -> Result<(), WireError> {
        if !self.owns(slot) {
            return Ok(());
        }
        match kind {
            record::COMPUTES => self.keep(fields),
            record::COMPUTE_ENDED | record::COMPUTE_REFUSED => {
                let id = ComputeId(fields.fixed()?);
                if self.waiting.remove(&id).is_none() {
                    self.gone.insert(id);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn keep(&mut self, fields: &mut Reader<'_>) -> Result<(), WireError> {
        let (id, page, item) = record::read_waits(fields)?;
        let id = ComputeId(id.0);
        if self.owns(id.slot()) && !self.gone.remove(&id) {
            self.waiting.insert(id, Waiting { page, item: Arc::new(item), at: 0 });
        }
        Ok(())
    }

    /// Ends a replay: what waited of the jobs that go on begins with its first computation. Those that have none any more are
    /// given back, to be taken by the next step.
    pub fn finish_replay(&mut self) -> Vec<Computed> {
        self.gone.clear();
        let steps = &self.steps;
        let (waiting, paused): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.waiting.drain().partition(|(_, waiting)| steps.contains_key(&waiting.item.job));
        self.paused = paused;
        self.bytes = waiting.values().map(|waiting: &Waiting| waiting.item.bytes()).sum();
        let mut passed = Vec::new();
        for (id, mut waiting) in waiting {
            match self.step_of(&waiting.item, 0) {
                Some(at) => {
                    waiting.at = at;
                    self.wait(id, waiting);
                }
                None => {
                    waiting.at = usize::MAX;
                    let made = Made { values: Vec::new(), hash: waiting.item.hash };
                    passed.push(Computed { id, at: waiting.at, result: Ok(made) });
                    self.waiting.insert(id, waiting);
                }
            }
        }
        passed
    }

    /// Streams the items that wait, as their pages gave them or a computation left them.
    pub fn snapshot(&self, bytes: &mut Vec<u8>) {
        for (id, waiting) in self.waiting.iter().chain(&self.paused) {
            record::put_waits_fields(bytes, weir_geo::Waiter(id.0), waiting.page, &waiting.item);
        }
    }

    /// Puts back the items that waited, each to its owner.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            self.keep(&mut reader)?;
        }
        Ok(())
    }
}
