//! Items that some sink has not confirmed yet, and the order in which the writes of one key leave.
//!
//! Invariants: an item stays until every sink it was sent to has confirmed or refused it; of one key at most one write to upserting
//! sinks is under way, the others wait behind it, oldest first; writes to appending sinks wait for nobody.

use super::SLOTS;
use crate::hash::KeyMap;
use crate::record::{self, OutboxRecord};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use weir_model::wire::{Reader, WireError, put_u64};
use weir_model::{Item, ItemId, JobId, ReleaseId, SinkId};

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

#[derive(Debug)]
struct Pending {
    page: ReleaseId,
    item: Arc<Item>,
    waiting: u32,
}

/// The items of one slot that are under way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pending: BTreeMap<OutboxId, Pending>,
    /// Keys with a write under way, each with the writes behind it.
    lines: KeyMap<ItemId, VecDeque<OutboxId>>,
    bytes: usize,
}

/// A sink was taken off an item.
pub(super) struct TakenOff {
    pub item: Arc<Item>,
    /// The item's page, when this was the last sink.
    pub settled: Option<ReleaseId>,
}

impl Outbox {
    /// Items that wait.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Bytes that wait here.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// An item that still waits for this sink.
    pub fn waiting(&self, id: OutboxId, sink: SinkId) -> Option<&Arc<Item>> {
        let pending = self.pending.get(&id)?;
        (pending.waiting & (1 << sink.0) != 0).then_some(&pending.item)
    }

    /// Keeps an item; nothing leaves yet.
    pub fn keep(&mut self, outbox: OutboxRecord) {
        self.bytes += outbox.item.bytes();
        let pending = Pending { page: outbox.page, item: Arc::new(outbox.item), waiting: outbox.waiting };
        self.pending.insert(outbox.id, pending);
    }

    /// Lets an item's writes leave, as far as no other write of its key is under way. `upsert`: the upserting sinks of its job.
    pub fn send(&mut self, id: OutboxId, upsert: u32, writes: &mut Vec<OutboxItem>) {
        let Some(pending) = self.pending.get(&id) else { return };
        let mut now = pending.waiting;
        if now & upsert != 0 {
            match self.lines.get_mut(&pending.item.id) {
                Some(behind) => {
                    behind.push_back(id);
                    now &= !upsert;
                }
                None => {
                    self.lines.insert(pending.item.id, VecDeque::new());
                }
            }
        }
        if now != 0 {
            writes.push(OutboxItem { id, item: Arc::clone(&pending.item), sinks: now });
        }
    }

    /// Takes a sink off an item that waits for it.
    pub fn take_off(&mut self, id: OutboxId, sink: SinkId) -> Option<TakenOff> {
        let pending = self.pending.get_mut(&id)?;
        pending.waiting &= !(1 << sink.0);
        let item = Arc::clone(&pending.item);
        if pending.waiting != 0 {
            return Some(TakenOff { item, settled: None });
        }
        let done = self.pending.remove(&id)?;
        self.bytes -= done.item.bytes();
        Some(TakenOff { item, settled: Some(done.page) })
    }

    /// An upserting sink has settled the write `id` of `key`: when it was the last of them, the next write of the key leaves.
    /// `upsert_of`: the upserting sinks of a job.
    pub fn next(&mut self, id: OutboxId, key: ItemId, upsert_of: impl Fn(JobId) -> u32, writes: &mut Vec<OutboxItem>) {
        if self.pending.get(&id).is_some_and(|pending| pending.waiting & upsert_of(pending.item.job) != 0) {
            return;
        }
        let Some(behind) = self.lines.get_mut(&key) else { return };
        while let Some(next) = behind.pop_front() {
            if let Some(pending) = self.pending.get(&next) {
                let sinks = pending.waiting & upsert_of(pending.item.job);
                writes.push(OutboxItem { id: next, item: Arc::clone(&pending.item), sinks });
                return;
            }
        }
        self.lines.remove(&key);
    }

    /// After a restart: everything of the jobs that go on leaves again, in order of version a key. `upsert_of`: the upserting sinks of
    /// such a job. Items of a job that pauses stay where they are, wait for nobody and hold nobody up.
    pub fn send_all(&mut self, upsert_of: impl Fn(JobId) -> Option<u32>, writes: &mut Vec<OutboxItem>) {
        let mut by_age: Vec<(u64, OutboxId, JobId)> =
            self.pending.iter().map(|(id, pending)| (pending.item.version, *id, pending.item.job)).collect();
        by_age.sort_unstable();
        self.lines.clear();
        for (_, id, job) in by_age {
            match upsert_of(job) {
                Some(upsert) => self.send(id, upsert, writes),
                None => self.bytes -= self.pending.get(&id).map_or(0, |pending| pending.item.bytes()),
            }
        }
    }

    /// Forgets what still waits of a job that was given up.
    pub fn give_up(&mut self, job: JobId) {
        let bytes = &mut self.bytes;
        self.pending.retain(|_, pending| {
            let stays = pending.item.job != job;
            if !stays {
                *bytes = bytes.saturating_sub(pending.item.bytes());
            }
            stays
        });
    }

    /// Streams all of it.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        put_u64(out, self.pending.len() as u64);
        for (id, pending) in &self.pending {
            record::put_outbox_fields(out, *id, pending.page, pending.waiting, &pending.item);
        }
    }

    /// Restores what `snapshot` streamed.
    pub fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), WireError> {
        for _ in 0..reader.u64()? {
            self.keep(record::read_outbox(reader)?);
        }
        Ok(())
    }
}
