//! Items between a settled page and the sinks: newest version wins, unchanged costs no write, nothing is lost on the way.
//!
//! Decides, for every item and sink, whether it is written; keeps the outbox (items that some sink has not confirmed) and
//! the newest version a key. Knows nothing of sinks beyond two masks: those that append (feeds hold every item of a job)
//! and those that upsert (one row a key). Invariants:
//! - an older version never follows a newer one to an upserting sink, and a write of one key is never in flight twice;
//! - an item leaves the outbox when every sink it was sent to has confirmed or refused it, and not before;
//! - every change is in the journal in the same group as what caused it.

use crate::hash::KeyMap;
use crate::record;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use weir_model::wire::{Reader, WireError, put_fixed, put_u64};
use weir_model::{Item, ItemId, JobId, ReleaseId, SinkId};

/// Slots that state is partitioned into, as in the frontier.
pub const SLOTS: u8 = 64;

/// The slot that owns an item.
#[must_use]
pub fn item_slot(id: ItemId) -> u8 {
    (id.0 as u8) & (SLOTS - 1)
}

/// One item on its way to the sinks. The low six bits are the item's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId(pub u64);

impl OutboxId {
    /// The slot that owns the item.
    #[must_use]
    pub fn slot(self) -> u8 {
        (self.0 as u8) & (SLOTS - 1)
    }
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
}

/// An item for a sink to write.
#[derive(Clone, Debug)]
pub struct OutboxItem {
    /// What the confirmation answers to.
    pub id: OutboxId,
    /// The item.
    pub item: Arc<Item>,
    /// The sinks that are to write it.
    pub sinks: u32,
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
    /// Refusals, by sink and item.
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

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    version: u64,
    hash: u64,
    /// Upserting sinks that hold exactly this hash.
    confirmed: u32,
    /// A write of this key is in flight.
    busy: bool,
}

#[derive(Debug)]
struct Pending {
    page: ReleaseId,
    item: Arc<Item>,
    waiting: u32,
}

#[derive(Debug, Default)]
struct Slot {
    known: KeyMap<ItemId, Known>,
    outbox: BTreeMap<OutboxId, Pending>,
    /// Writes behind one that is in flight, oldest first.
    behind: BTreeMap<ItemId, VecDeque<OutboxId>>,
}

/// What happened, for the caller to pass on.
#[derive(Debug, Default)]
pub struct ItemsOut {
    /// To be written.
    pub writes: Vec<OutboxItem>,
    /// Items of these pages have settled (one entry an item).
    pub settled_pages: Vec<ReleaseId>,
    /// Count changes by job.
    pub counts: BTreeMap<JobId, ItemCounts>,
}

/// The item state of one worker.
#[derive(Debug)]
pub struct Items {
    slots: Vec<Slot>,
    worker: usize,
    workers: usize,
    masks: BTreeMap<JobId, SinkMasks>,
    counts: BTreeMap<JobId, ItemCounts>,
    next: u64,
    outbox_bytes: usize,
}

impl Items {
    /// Empty state for worker `worker` of `workers`; `boot` differs for every process start, so ids never repeat.
    #[must_use]
    pub fn new(worker: usize, workers: usize, boot: u32) -> Self {
        let slots = (0..SLOTS).map(|_| Slot::default()).collect();
        let next = (u64::from(boot) << 32) | ((worker as u64) << 26);
        Items { slots, worker, workers, masks: BTreeMap::new(), counts: BTreeMap::new(), next, outbox_bytes: 0 }
    }

    fn owns(&self, slot: u8) -> bool {
        usize::from(slot) % self.workers == self.worker
    }

    /// A job's sinks. Items of a job without sinks settle at once.
    pub fn open_job(&mut self, job: JobId, masks: SinkMasks) {
        self.masks.insert(job, masks);
    }

    /// A sink that is new to the state, or was emptied: every item goes to it again.
    pub fn reset_sink(&mut self, sink: SinkId) {
        for slot in &mut self.slots {
            for known in slot.known.values_mut() {
                known.confirmed &= !(1 << sink.0);
            }
        }
    }

    /// Bytes that wait in the outbox.
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.outbox_bytes
    }

    /// Durable counts of all jobs.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<JobId, ItemCounts> {
        &self.counts
    }

    /// An item of a settled page arrives.
    pub fn accept(&mut self, page: ReleaseId, item: Item, journal: &mut Vec<u8>, out: &mut ItemsOut) {
        let slot_index = item_slot(item.id);
        debug_assert!(self.owns(slot_index), "exchanged by item key");
        let id = OutboxId(((self.next + 1) << 6) | u64::from(slot_index));
        self.next += 1;
        let masks = self.masks.get(&item.job).copied().unwrap_or_default();
        let before = self.slots[usize::from(slot_index)].known.get(&item.id).copied();
        let mut delta = ItemCounts { scraped: 1, ..ItemCounts::default() };
        let upsert = upserts_needed(before.as_ref(), &item, masks.upsert, &mut delta);
        let waiting = masks.append | upsert;
        let job = item.job;
        record::outbox(journal, slot_index, id, page, waiting, &item);
        self.learn(slot_index, &item);
        if waiting == 0 {
            delta.settled = 1;
            record::item_done(journal, slot_index, id, page, job);
            out.settled_pages.push(page);
        } else {
            self.enqueue(id, page, Arc::new(item), waiting, masks, out);
        }
        self.count(job, &delta, out);
    }

    fn count(&mut self, job: JobId, delta: &ItemCounts, out: &mut ItemsOut) {
        self.counts.entry(job).or_default().add(delta);
        out.counts.entry(job).or_default().add(delta);
    }

    /// Newest version wins; two with the same version: the greater content hash.
    fn learn(&mut self, slot: u8, item: &Item) {
        let known = self.slots[usize::from(slot)].known.entry(item.id).or_default();
        if (item.version, item.hash) > (known.version, known.hash) || known.version == 0 {
            if known.hash != item.hash {
                known.confirmed = 0;
            }
            known.version = item.version;
            known.hash = item.hash;
        }
    }

    fn enqueue(
        &mut self,
        id: OutboxId,
        page: ReleaseId,
        item: Arc<Item>,
        waiting: u32,
        masks: SinkMasks,
        out: &mut ItemsOut,
    ) {
        self.outbox_bytes += item.bytes();
        let slot = &mut self.slots[usize::from(id.slot())];
        let mut now = waiting;
        if waiting & masks.upsert != 0 {
            let known = slot.known.entry(item.id).or_default();
            if known.busy {
                slot.behind.entry(item.id).or_default().push_back(id);
                now &= masks.append;
            } else {
                known.busy = true;
            }
        }
        if now != 0 {
            out.writes.push(OutboxItem { id, item: Arc::clone(&item), sinks: now });
        }
        slot.outbox.insert(id, Pending { page, item, waiting });
    }

    /// A sink has settled one item. An unknown id is a repetition and changes nothing.
    pub fn written(
        &mut self,
        sink: SinkId,
        id: OutboxId,
        verdict: SinkVerdict,
        journal: &mut Vec<u8>,
        out: &mut ItemsOut,
    ) {
        let bit = 1u32 << sink.0;
        let slot_index = id.slot();
        let Some(pending) = self.slots[usize::from(slot_index)].outbox.get(&id) else { return };
        if pending.waiting & bit == 0 {
            return;
        }
        let (job, key) = (pending.item.job, pending.item.id);
        record::confirmed(journal, slot_index, id, sink, verdict);
        let mut delta = ItemCounts::default();
        match verdict {
            SinkVerdict::Stored => delta.stored = 1,
            SinkVerdict::Stale => delta.stale = 1,
            SinkVerdict::Refused => delta.refused = 1,
        }
        if let Some(page) = self.confirm(sink, id, verdict) {
            delta.settled = 1;
            record::item_done(journal, slot_index, id, page, job);
            out.settled_pages.push(page);
        }
        self.release_next(slot_index, key, out);
        self.count(job, &delta, out);
    }

    /// Takes a sink off an item; gives the page when no sink is left.
    fn confirm(&mut self, sink: SinkId, id: OutboxId, verdict: SinkVerdict) -> Option<ReleaseId> {
        let bit = 1u32 << sink.0;
        let slot = &mut self.slots[usize::from(id.slot())];
        let pending = slot.outbox.get_mut(&id)?;
        pending.waiting &= !bit;
        let key = pending.item.id;
        let masks = self.masks.get(&pending.item.job).copied().unwrap_or_default();
        if let Some(known) = slot.known.get_mut(&key) {
            let upserting = masks.upsert & bit != 0;
            if verdict == SinkVerdict::Stored && upserting && known.hash == pending.item.hash {
                known.confirmed |= bit;
            }
            if upserting && pending.waiting & masks.upsert == 0 {
                known.busy = false;
            }
        }
        if pending.waiting != 0 {
            return None;
        }
        let done = slot.outbox.remove(&id)?;
        self.outbox_bytes -= done.item.bytes();
        Some(done.page)
    }

    /// The next write of a key whose last one has just come back.
    fn release_next(&mut self, slot: u8, key: ItemId, out: &mut ItemsOut) {
        let slot = &mut self.slots[usize::from(slot)];
        let Some(known) = slot.known.get_mut(&key) else { return };
        if known.busy {
            return;
        }
        let Some(queue) = slot.behind.get_mut(&key) else { return };
        let next = queue.pop_front();
        if queue.is_empty() {
            slot.behind.remove(&key);
        }
        let Some(pending) = next.and_then(|id| slot.outbox.get(&id).map(|pending| (id, pending))) else { return };
        let (id, pending) = pending;
        known.busy = true;
        let masks = self.masks.get(&pending.item.job).copied().unwrap_or_default();
        out.writes.push(OutboxItem { id, item: Arc::clone(&pending.item), sinks: pending.waiting & masks.upsert });
    }

    /// After a restart: everything in the outbox is to be written again, in order of version a key.
    pub fn rewrite_outbox(&mut self, out: &mut ItemsOut) {
        for slot in &mut self.slots {
            let mut by_age: Vec<(u64, OutboxId)> = slot.outbox.iter().map(|(id, p)| (p.item.version, *id)).collect();
            by_age.sort_unstable();
            for known in slot.known.values_mut() {
                known.busy = false;
            }
            slot.behind.clear();
            for (_, id) in by_age {
                let Some(pending) = slot.outbox.get(&id) else { continue };
                let masks = self.masks.get(&pending.item.job).copied().unwrap_or_default();
                let mut now = pending.waiting;
                if now & masks.upsert != 0 {
                    let known = slot.known.entry(pending.item.id).or_default();
                    if known.busy {
                        slot.behind.entry(pending.item.id).or_default().push_back(id);
                        now &= masks.append;
                    } else {
                        known.busy = true;
                    }
                }
                if now != 0 {
                    out.writes.push(OutboxItem { id, item: Arc::clone(&pending.item), sinks: now });
                }
            }
        }
    }

    /// Applies one journal record of this module (types 64 to 66); others are ignored.
    pub fn replay(&mut self, kind: u8, slot: u8, fields: &mut Reader<'_>) -> Result<(), WireError> {
        if !self.owns(slot) {
            return Ok(());
        }
        match kind {
            record::OUTBOX => {
                let outbox = record::read_outbox(fields)?;
                self.learn(slot, &outbox.item);
                let mut delta = ItemCounts { scraped: 1, ..ItemCounts::default() };
                let (job, id) = (outbox.item.job, outbox.id);
                if outbox.waiting == 0 {
                    delta.settled = 1;
                } else {
                    self.outbox_bytes += outbox.item.bytes();
                    let pending = Pending { page: outbox.page, item: Arc::new(outbox.item), waiting: outbox.waiting };
                    self.slots[usize::from(slot)].outbox.insert(id, pending);
                }
                self.counts.entry(job).or_default().add(&delta);
            }
            record::CONFIRMED => {
                let (id, sink, verdict) = record::read_confirmed(fields)?;
                let Some(pending) = self.slots[usize::from(slot)].outbox.get(&id) else { return Ok(()) };
                let job = pending.item.job;
                let mut delta = ItemCounts::default();
                match verdict {
                    SinkVerdict::Stored => delta.stored = 1,
                    SinkVerdict::Stale => delta.stale = 1,
                    SinkVerdict::Refused => delta.refused = 1,
                }
                if self.confirm(sink, id, verdict).is_some() {
                    delta.settled = 1;
                }
                self.counts.entry(job).or_default().add(&delta);
            }
            _ => {}
        }
        Ok(())
    }

    /// Streams one slot's state.
    pub fn snapshot(&self, slot: u8, out: &mut Vec<u8>) {
        let state = &self.slots[usize::from(slot)];
        put_u64(out, state.known.len() as u64);
        for (id, known) in &state.known {
            out.extend_from_slice(&id.0.to_le_bytes());
            put_u64(out, known.version);
            put_fixed(out, known.hash);
            put_u64(out, u64::from(known.confirmed));
        }
        put_u64(out, state.outbox.len() as u64);
        for (id, pending) in &state.outbox {
            record::put_outbox_fields(out, *id, pending.page, pending.waiting, &pending.item);
        }
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

    /// Restores what `snapshot` streamed.
    pub fn restore(&mut self, slot: u8, bytes: &[u8]) -> Result<(), WireError> {
        if !self.owns(slot) {
            return Ok(());
        }
        let mut reader = Reader::new(bytes);
        let state = &mut self.slots[usize::from(slot)];
        for _ in 0..reader.u64()? {
            let id: [u8; 16] = reader.take(16)?.try_into().expect("take gives exactly sixteen");
            let version = reader.u64()?;
            let hash = reader.fixed()?;
            let confirmed = reader.u64()? as u32;
            let known = Known { version, hash, confirmed, busy: false };
            state.known.insert(ItemId(u128::from_le_bytes(id)), known);
        }
        for _ in 0..reader.u64()? {
            let outbox = record::read_outbox(&mut reader)?;
            self.outbox_bytes += outbox.item.bytes();
            let pending = Pending { page: outbox.page, item: Arc::new(outbox.item), waiting: outbox.waiting };
            state.outbox.insert(outbox.id, pending);
        }
        Ok(())
    }
}

/// Which upserting sinks need this item, given what is known of its key.
fn upserts_needed(before: Option<&Known>, item: &Item, upsert: u32, delta: &mut ItemCounts) -> u32 {
    let Some(known) = before else { return upsert };
    if known.hash == item.hash {
        let unchanged = upsert & known.confirmed;
        delta.unchanged += u64::from(unchanged.count_ones());
        return upsert & !unchanged;
    }
    if (item.version, item.hash) < (known.version, known.hash) {
        delta.stale += u64::from(upsert.count_ones());
        return 0;
    }
    upsert
}
