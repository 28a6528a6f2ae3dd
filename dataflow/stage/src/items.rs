//! Items between a settled page and the sinks: newest version wins, unchanged costs no write, nothing is lost on the way.
//!
//! Decides, for every item and sink, whether it is written (`versions`); keeps what some sink has not confirmed (`outbox`); counts.
//! Knows nothing of sinks beyond two masks: those that append (feeds hold every item of a job) and those that upsert (one row
//! a key). Invariants:
//! - an older version never follows a newer one to an upserting sink, and a write of one key is never in flight twice;
//! - an item leaves the outbox when every sink it was sent to has confirmed or refused it, and not before;
//! - every change is in the journal in the same group as what caused it.

mod gone;
mod outbox;
mod versions;

use crate::event::Poison;
use crate::record::{self, OutboxRecord};
pub use gone::{Absent, Census, Counted, Delisted, SeenElsewhere};
use outbox::Outbox;
pub use outbox::{OutboxId, OutboxItem};
use std::collections::BTreeMap;
use std::sync::Arc;
pub use versions::KnownItem;
use versions::Versions;
use weir_model::wire::{Reader, WireError, put_u64};
use weir_model::{Item, ItemId, JobId, ReleaseId, SinkId};

/// Slots that state is partitioned into, as in the frontier.
pub const SLOTS: u8 = 64;

/// The slot that owns an item.
#[must_use]
pub fn item_slot(id: ItemId) -> u8 {
    (id.0 as u8) & (SLOTS - 1)
}

/// Which sinks a job has, by how they write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkMasks {
    /// Sinks that hold every item of the job (feeds).
    pub append: u32,
    /// Sinks that hold the newest version a key.
    pub upsert: u32,
}

/// What a sink said of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkVerdict {
    /// Stored, or found to be there already.
    Stored,
    /// The sink holds a newer version.
    Stale,
    /// Refused by name: poison.
    Refused,
    /// Not written, and nobody waits for it: the sink is best effort and away. The next crawl brings it.
    Missed,
}

/// Item counters of one job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemCounts {
    /// Items that left pages.
    pub scraped: u64,
    /// Items all of whose sinks have settled.
    pub settled: u64,
    /// Writes that were not needed, by sink and item.
    pub unchanged: u64,
    /// Writes dropped because a newer version was known.
    pub stale: u64,
    /// Writes confirmed, by sink and item.
    pub stored: u64,
    /// Refusals, by sink and item; and items that a computation failed on.
    pub refused: u64,
}

impl ItemCounts {
    /// Adds another worker's or another step's counts.
    pub fn add(&mut self, other: &ItemCounts) {
        self.scraped += other.scraped;
        self.settled += other.settled;
        self.unchanged += other.unchanged;
        self.stale += other.stale;
        self.stored += other.stored;
        self.refused += other.refused;
    }
}

/// What an item counts that a computation failed on.
const UNCOMPUTED: ItemCounts = ItemCounts { scraped: 1, settled: 1, unchanged: 0, stale: 0, stored: 0, refused: 1 };

impl SinkVerdict {
    fn count(self) -> ItemCounts {
        let mut delta = ItemCounts::default();
        match self {
            SinkVerdict::Stored => delta.stored = 1,
            SinkVerdict::Stale => delta.stale = 1,
            SinkVerdict::Refused => delta.refused = 1,
            SinkVerdict::Missed => {}
        }
        delta
    }
}

/// What happened, for the caller to pass on.
#[derive(Debug, Default)]
pub struct ItemsOut {
    /// To be written.
    pub writes: Vec<OutboxItem>,
    /// Items of these pages have settled (one entry an item).
    pub settled_pages: Vec<ReleaseId>,
    /// Refused by a sink.
    pub refused: Vec<Poison>,
    /// Count changes by job.
    pub counts: BTreeMap<JobId, ItemCounts>,
}

#[derive(Debug, Default)]
struct Slot {
    versions: Versions,
    outbox: Outbox,
}

/// The item state of one worker.
#[derive(Debug)]
pub struct Items {
    slots: Vec<Slot>,
    worker: usize,
    workers: usize,
    masks: BTreeMap<JobId, SinkMasks>,
    /// Sinks that may not hold what they said.
    doubted: u32,
    counts: BTreeMap<JobId, ItemCounts>,
    next: u64,
}

impl Items {
    /// Empty state for worker `worker` of `workers`; `boot` differs for every process start, so ids never repeat.
    #[must_use]
    pub fn new(worker: usize, workers: usize, boot: u32) -> Self {
        let slots = (0..SLOTS).map(|_| Slot::default()).collect();
        let next = (u64::from(boot) << 32) | ((worker as u64) << 26);
        Items { slots, worker, workers, masks: BTreeMap::new(), doubted: 0, counts: BTreeMap::new(), next }
    }

    fn owns(&self, slot: u8) -> bool {
        usize::from(slot) % self.workers == self.worker
    }

    /// A job's sinks. Items of a job without sinks settle at once.
    pub fn open_job(&mut self, job: JobId, masks: SinkMasks) {
        self.masks.insert(job, masks);
    }

    /// A job has ended. With `abandon`, what still waits of it is forgotten.
    pub fn close_job(&mut self, job: JobId, abandon: bool) {
        if abandon {
            self.slots.iter_mut().for_each(|slot| slot.outbox.give_up(job));
        }
        self.masks.remove(&job);
    }

    /// A sink that is new to the state, or was emptied: every item goes to it again.
    pub fn reset_sink(&mut self, sink: SinkId) {
        for slot in &mut self.slots {
            slot.versions.forget_sink(sink);
        }
    }

    /// Of these sinks, and no others, it is not known what they hold: nothing counts as unchanged there.
    pub fn doubt_sinks(&mut self, sinks: u32) {
        self.doubted = sinks;
    }

    /// The newest version of every item.
    pub fn each_known(&self, visit: &mut dyn FnMut(KnownItem)) {
        self.slots.iter().for_each(|slot| slot.versions.each(visit));
    }

    /// What a complete crawl saw and did not see.
    #[must_use]
    pub fn count_absent(&self, census: &Census) -> Counted {
        let mut counted = Counted::default();
        self.slots.iter().for_each(|slot| slot.versions.count(census, &mut counted));
        counted
    }

    /// A sink has marked listings as gone.
    pub fn delisted(&mut self, delisted: &Delisted, journal: &mut Vec<u8>) {
        debug_assert!(self.owns(delisted.slot), "exchanged by slot");
        record::delisted(journal, delisted);
        self.slots[usize::from(delisted.slot)].delisted(delisted);
    }

    /// Another stage has seen listings that this one knew.
    pub fn seen_elsewhere(&mut self, seen: &SeenElsewhere, journal: &mut Vec<u8>) {
        debug_assert!(self.owns(seen.slot), "exchanged by slot");
        record::seen_elsewhere(journal, seen);
        self.slots[usize::from(seen.slot)].seen_elsewhere(seen);
    }

    /// Items that wait in the outbox.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.slots.iter().map(|slot| slot.outbox.len()).sum()
    }

    /// Bytes that wait in the outbox.
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.outbox.bytes()).sum()
    }

    /// Durable counts of all jobs.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<JobId, ItemCounts> {
        &self.counts
    }

    /// An item of a settled page arrives; `sinks`: those of its job that it may go to.
    pub fn accept(&mut self, page: ReleaseId, item: Item, sinks: u32, journal: &mut Vec<u8>, out: &mut ItemsOut) {
        let slot_index = item_slot(item.id);
        debug_assert!(self.owns(slot_index), "exchanged by item key");
        let id = OutboxId(((self.next + 1) << 6) | u64::from(slot_index));
        self.next += 1;
        let mut masks = self.masks.get(&item.job).copied().unwrap_or_default();
        let upsert = masks.upsert;
        masks.append &= sinks;
        masks.upsert &= sinks;
        let slot = &mut self.slots[usize::from(slot_index)];
        let mut delta = ItemCounts { scraped: 1, ..ItemCounts::default() };
        let waiting = masks.append | slot.versions.needed(&item, masks.upsert, self.doubted, &mut delta);
        let job = item.job;
        record::outbox(journal, slot_index, id, page, waiting, &item);
        slot.versions.learn(&item);
        if waiting == 0 {
            delta.settled = 1;
            record::item_done(journal, slot_index, id, page, job);
            out.settled_pages.push(page);
        } else {
            slot.outbox.keep(OutboxRecord { id, page, waiting, item });
            slot.outbox.send(id, upsert, &mut out.writes);
        }
        self.count(job, &delta, out);
    }

    fn count(&mut self, job: JobId, delta: &ItemCounts, out: &mut ItemsOut) {
        self.counts.entry(job).or_default().add(delta);
        out.counts.entry(job).or_default().add(delta);
    }

    /// A sink has settled one item. An unknown id, or a sink that has answered already, is a repetition and changes nothing.
    pub fn written(
        &mut self,
        sink: SinkId,
        id: OutboxId,
        verdict: SinkVerdict,
        journal: &mut Vec<u8>,
        out: &mut ItemsOut,
    ) {
        let slot_index = id.slot();
        let slot = &mut self.slots[usize::from(slot_index)];
        let Some(job) = slot.outbox.waiting(id, sink).map(|item| item.job) else { return };
        record::confirmed(journal, slot_index, id, sink, verdict);
        let mut delta = verdict.count();
        let Some((key, settled)) = slot.settle(id, sink, verdict) else { return };
        if let Some(page) = settled {
            delta.settled = 1;
            record::item_done(journal, slot_index, id, page, job);
            out.settled_pages.push(page);
        }
        let masks = &self.masks;
        let upsert_of = |job: JobId| masks.get(&job).map_or(0, |masks| masks.upsert);
        if upsert_of(job) & (1 << sink.0) != 0 {
            slot.outbox.next(id, key, upsert_of, &mut out.writes);
        }
        self.count(job, &delta, out);
    }

    /// A computation failed on an item: it ends before any sink.
    pub fn uncomputed(&mut self, job: JobId, out: &mut ItemsOut) {
        self.count(job, &UNCOMPUTED, out);
    }

    /// A sink has refused one item: settled, and poison with the reason.
    pub fn refused(&mut self, sink: SinkId, id: OutboxId, reason: Box<str>, journal: &mut Vec<u8>, out: &mut ItemsOut) {
        let slot = &self.slots[usize::from(id.slot())];
        if let Some(item) = slot.outbox.waiting(id, sink) {
            let item = Arc::clone(item);
            out.refused.push(Poison::Item { sink, item, reason });
        }
        self.written(sink, id, SinkVerdict::Refused, journal, out);
    }

    /// After a restart: everything in the outbox is to be written again, in order of version a key.
    pub fn rewrite_outbox(&mut self, out: &mut ItemsOut) {
        let masks = &self.masks;
        for slot in &mut self.slots {
            slot.outbox.send_all(|job| masks.get(&job).map(|masks| masks.upsert), &mut out.writes);
        }
    }

    /// Applies one journal record of this module (types 64 to 66, 70, 73 to 75); others are ignored.
    pub fn replay(&mut self, kind: u8, slot: u8, fields: &mut Reader<'_>) -> Result<(), WireError> {
        if slot >= SLOTS {
            return Err(WireError { expected: "a slot, 0 to 63" });
        }
        if !self.owns(slot) {
            return Ok(());
        }
        let state = &mut self.slots[usize::from(slot)];
        match kind {
            record::OUTBOX => {
                let outbox = record::read_outbox(fields)?;
                state.versions.learn(&outbox.item);
                let job = outbox.item.job;
                let mut delta = ItemCounts { scraped: 1, ..ItemCounts::default() };
                if outbox.waiting == 0 {
                    delta.settled = 1;
                } else {
                    state.outbox.keep(outbox);
                }
                self.counts.entry(job).or_default().add(&delta);
            }
            record::CONFIRMED => {
                let (id, sink, verdict) = record::read_confirmed(fields)?;
                let Some(job) = state.outbox.waiting(id, sink).map(|item| item.job) else { return Ok(()) };
                let mut delta = verdict.count();
                if let Some((_, Some(_page))) = state.settle(id, sink, verdict) {
                    delta.settled = 1;
                }
                self.counts.entry(job).or_default().add(&delta);
            }
            record::COMPUTE_REFUSED => {
                let (_id, _page) = (fields.fixed()?, fields.fixed()?);
                let job = JobId(fields.u64()?);
                self.counts.entry(job).or_default().add(&UNCOMPUTED);
            }
            record::KNOWN => {
                for known in record::read_known(fields)? {
                    state.versions.take_over(&known);
                }
            }
            record::DELISTED => state.delisted(&record::read_delisted(slot, fields)?),
            record::SEEN_ELSEWHERE => state.seen_elsewhere(&record::read_seen_elsewhere(slot, fields)?),
            _ => {}
        }
        Ok(())
    }

    /// Streams one slot's state.
    pub fn snapshot(&self, slot: u8, out: &mut Vec<u8>) {
        let state = &self.slots[usize::from(slot)];
        state.versions.snapshot(out);
        state.outbox.snapshot(out);
        state.versions.snapshot_marks(out);
    }

    /// Restores what `snapshot` streamed.
    pub fn restore(&mut self, slot: u8, bytes: &[u8]) -> Result<(), WireError> {
        if slot >= SLOTS {
            return Err(WireError { expected: "a slot, 0 to 63" });
        }
        if !self.owns(slot) {
            return Ok(());
        }
        let mut reader = Reader::new(bytes);
        let state = &mut self.slots[usize::from(slot)];
        state.versions.restore(&mut reader)?;
        state.outbox.restore(&mut reader)?;
        state.versions.restore_marks(&mut reader)
    }

    /// Streams the counts of this worker (they are sums: any worker may hold any part).
    pub fn snapshot_counts(&self, out: &mut Vec<u8>) {
        put_u64(out, self.counts.len() as u64);
        for (job, c) in &self.counts {
            for value in [job.0, c.scraped, c.settled, c.unchanged, c.stale, c.stored, c.refused] {
                put_u64(out, value);
            }
        }
    }

    /// Adds counts from a snapshot.
    pub fn restore_counts(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(bytes);
        for _ in 0..reader.u64()? {
            let job = JobId(reader.u64()?);
            let counts = ItemCounts {
                scraped: reader.u64()?,
                settled: reader.u64()?,
                unchanged: reader.u64()?,
                stale: reader.u64()?,
                stored: reader.u64()?,
                refused: reader.u64()?,
            };
            self.counts.entry(job).or_default().add(&counts);
        }
        Ok(())
    }
}

impl Slot {
    fn delisted(&mut self, delisted: &Delisted) {
        for id in &delisted.ids {
            self.versions.delisted(*id, delisted.sink);
        }
    }

    fn seen_elsewhere(&mut self, seen: &SeenElsewhere) {
        seen.ids.iter().for_each(|id| self.versions.forget(*id));
    }

    /// A sink has settled an item: gives the item's key, and its page when no sink is left.
    fn settle(&mut self, id: OutboxId, sink: SinkId, verdict: SinkVerdict) -> Option<(ItemId, Option<ReleaseId>)> {
        let taken = self.outbox.take_off(id, sink)?;
        if verdict == SinkVerdict::Stored {
            self.versions.confirm(&taken.item, sink);
        }
        Some((taken.item.id, taken.settled))
    }
}
