//! A group of the journal while it fills: what the steps wrote, and what waits until it is durable.

use crate::exchange::Parcel;
use crate::letters::LetterOp;
use std::collections::BTreeMap;
use weir_frontier::Addr;
use weir_model::{JobId, ReceiptId, Release, SinkId, Tick};
use weir_stage::{LaneBytes, OutboxItem};

/// What waits for a group.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub releases: Vec<Release>,
    pub alone: Vec<Release>,
    pub writes: Vec<OutboxItem>,
    pub receipts: Vec<ReceiptId>,
    /// URLs for other stages.
    pub parcels: Vec<Parcel>,
    /// Dead letters that come and go.
    pub letters: Vec<LetterOp>,
    /// How far each job's sinks got.
    pub marks: BTreeMap<(JobId, SinkId), Vec<u8>>,
    /// Calls to geocode providers.
    pub calls: Vec<weir_geo::Command>,
}

#[derive(Debug, Default)]
pub(crate) struct Group {
    pub parts: BTreeMap<u16, (u64, Vec<u8>)>,
    pub bytes: usize,
    pub events: usize,
    /// Bodies to read back that lie in this group: not before it is appended.
    pub loads: Vec<(usize, Addr)>,
    pub opened_at: Option<Tick>,
    pub held: Held,
}

impl Group {
    pub fn is_empty(&self) -> bool {
        self.opened_at.is_none()
    }

    /// True when a record is not yet on its way to the journal.
    pub fn holds(&self, addr: Addr) -> bool {
        self.parts.get(&addr.lane()).is_some_and(|(offset, _)| *offset <= addr.offset())
    }

    pub fn add(&mut self, now: Tick, part: LaneBytes) {
        self.opened_at.get_or_insert(now);
        self.bytes += part.bytes.len();
        match self.parts.entry(part.lane) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert((part.offset, part.bytes));
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let (offset, bytes) = entry.get_mut();
                assert_eq!(*offset + bytes.len() as u64, part.offset, "a lane is written without gaps");
                bytes.extend_from_slice(&part.bytes);
            }
        }
    }
}
