//! Appends groups to the last segment. Invariant: a segment is left behind only when all of it is durable.
//!
//! After a write that failed the segment is cut back to its last whole group, so that a full disk can be tried again. After a sync
//! that failed nobody knows what the disk holds: the journal takes nothing more.

use crate::error::At;
use crate::group::{self, GROUP_BYTES_MAX, LanePart, SEGMENT_HEADER, SegmentId};
use crate::index::Index;
use crate::{Disk, DiskFile, GroupSeq, OpenMode, StoreError, layout};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The journal, open for appending and reading.
#[derive(Debug)]
pub(crate) struct Journal {
    pub disk: Arc<dyn Disk>,
    pub state_id: u128,
    pub index: Index,
    /// The segment that is written to.
    pub active: u32,
    pub last: GroupSeq,
    pub durable: GroupSeq,
    /// Payload and headers appended by this process.
    pub appended_bytes: u64,
    /// Open for reading, by segment.
    pub readers: BTreeMap<u32, Box<dyn DiskFile>>,
    file: Box<dyn DiskFile>,
    segment_bytes: u64,
    buffer: Vec<u8>,
    broken: Option<String>,
}

impl Journal {
    /// Goes on behind what a scan found; cuts a torn tail; makes the first segment in a fresh state.
    pub fn resume(
        disk: Arc<dyn Disk>,
        state_id: u128,
        mut index: Index,
        last: GroupSeq,
        segment_bytes: u64,
    ) -> Result<Journal, StoreError> {
        let newest = index.segments.last_key_value().map(|(&number, segment)| (number, segment.len));
        let (active, file) = match newest {
            Some((number, len)) => {
                let name = layout::journal(number);
                let mut file = disk.open(&name, OpenMode::ReadWrite).at(&*disk, &name, "open")?;
                if file.len().at(&*disk, &name, "read")? > len {
                    file.truncate(len).at(&*disk, &name, "truncate")?;
                }
                // What was found, names too, may still be in a cache of the system only: from here on it counts as durable.
                file.sync().at(&*disk, &name, "sync")?;
                disk.sync_dir().at(&*disk, "", "sync")?;
                (number, file)
            }
            None => {
                let file = create_segment(&*disk, SegmentId { state_id, number: 1 }, GroupSeq(last.0 + 1))?;
                index.add_segment(1, GroupSeq(last.0 + 1), SEGMENT_HEADER);
                (1, file)
            }
        };
        Ok(Journal {
            disk,
            state_id,
            index,
            active,
            last,
            durable: last,
            appended_bytes: 0,
            readers: BTreeMap::new(),
            file,
            segment_bytes,
            buffer: Vec::new(),
            broken: None,
        })
    }

    /// Appends a group with one write. Durable after the next `sync`.
    pub fn append(&mut self, parts: &[LanePart<'_>]) -> Result<GroupSeq, StoreError> {
        self.usable()?;
        let payload: u64 = parts.iter().map(|part| part.bytes.len() as u64).sum();
        if payload > GROUP_BYTES_MAX {
            return Err(StoreError::GroupTooLarge { bytes: payload, max: GROUP_BYTES_MAX });
        }
        self.check_parts(parts);
        let len = self.active_len();
        if len > SEGMENT_HEADER && len + payload > self.segment_bytes {
            self.roll()?;
        }
        let position = self.active_len();
        let seq = GroupSeq(self.last.0 + 1);
        let id = SegmentId { state_id: self.state_id, number: self.active };
        let header = group::encode_group(&mut self.buffer, id, position, seq, self.durable, parts);
        if let Err(source) = self.file.write_at(position, &self.buffer) {
            let name = layout::journal(self.active);
            let failed = StoreError::Io { path: self.disk.path(&name), action: "write", source };
            if let Err(undo) = self.file.truncate(position) {
                self.broken = Some(format!("{failed}; and cutting back failed too: {undo}"));
            }
            return Err(failed);
        }
        self.index.add_group(self.active, &header).expect("check_parts saw that the lanes go on");
        self.appended_bytes += self.buffer.len() as u64;
        self.last = seq;
        if self.buffer.capacity() > 8 << 20 {
            self.buffer = Vec::new();
        }
        Ok(seq)
    }

    /// Makes all appended groups durable; gives the last.
    pub fn sync(&mut self) -> Result<GroupSeq, StoreError> {
        self.usable()?;
        if self.durable < self.last {
            let name = layout::journal(self.active);
            if let Err(source) = self.file.sync() {
                let failed = StoreError::Io { path: self.disk.path(&name), action: "sync", source };
                self.broken = Some(failed.to_string());
                return Err(failed);
            }
            self.durable = self.last;
        }
        Ok(self.durable)
    }

    fn roll(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        let number = self.active + 1;
        let first = GroupSeq(self.last.0 + 1);
        self.file = create_segment(&*self.disk, SegmentId { state_id: self.state_id, number }, first)?;
        self.index.add_segment(number, first, SEGMENT_HEADER);
        self.active = number;
        Ok(())
    }

    fn active_len(&self) -> u64 {
        self.index.segments[&self.active].len
    }

    fn usable(&self) -> Result<(), StoreError> {
        match &self.broken {
            None => Ok(()),
            Some(cause) => Err(StoreError::Broken { path: self.disk.path(""), cause: cause.clone() }),
        }
    }

    /// Our own mistakes: a lane twice, a lane that jumps, bytes that are no records.
    fn check_parts(&self, parts: &[LanePart<'_>]) {
        for (at, part) in parts.iter().enumerate() {
            assert!(
                parts[..at].iter().all(|other| other.lane != part.lane),
                "lane {} occurs twice in a group",
                part.lane
            );
            if let Some(end) = self.index.lane_end(part.lane) {
                assert_eq!(part.offset, end, "lane {} goes on at {end}, not at {}", part.lane, part.offset);
            }
            debug_assert!(
                matches!(group::records(part.lane, part.offset, part.bytes, |_, _, _| Ok::<(), ()>(())), Ok(Ok(()))),
                "the bytes of lane {} are no whole records",
                part.lane
            );
        }
    }
}

/// A segment exists only with a whole header: written aside, synced, renamed.
fn create_segment(disk: &dyn Disk, id: SegmentId, first: GroupSeq) -> Result<Box<dyn DiskFile>, StoreError> {
    let name = layout::journal(id.number);
    crate::document::replace(disk, &name, &group::segment_header(id, first))?;
    disk.open(&name, OpenMode::ReadWrite).at(disk, &name, "open")
}
