//! What an open found, and its replay: the sections of the snapshot, then every record of every later group, in order.
//!
//! Holds one frame or one group in memory. Every byte that is handed out was checked.

use crate::group::{self, SegmentId};
use crate::scan::{Problem, SegmentReader};
use crate::snapshot::{self, Piece};
use crate::{Addr, Disk, GroupSeq, StoreError};
use std::sync::Arc;

/// One event of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed<'a> {
    /// A section of the snapshot begins.
    SectionBegin {
        /// Its name.
        name: &'a str,
    },
    /// Its next bytes, at most 256 KiB.
    SectionChunk {
        /// Its name.
        name: &'a str,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// It is complete.
    SectionEnd {
        /// Its name.
        name: &'a str,
    },
    /// A record of a group behind the snapshot.
    Record {
        /// Where it lies.
        addr: Addr,
        /// Its body, without the length.
        bytes: &'a [u8],
    },
    /// All records of this group were given.
    GroupEnd {
        /// The group.
        seq: GroupSeq,
    },
}

/// The end of the journal that was not yet durable when the machine stopped; it was cut away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Segment file.
    pub path: String,
    /// Where the last whole group ends.
    pub offset: u64,
    /// Bytes cut away.
    pub bytes: u64,
    /// What was there instead of a group.
    pub found: String,
}

/// What an open found: worth a line in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The directory was empty.
    pub fresh: bool,
    /// The snapshot that is replayed.
    pub snapshot: Option<GroupSeq>,
    /// The last group of the journal.
    pub last: GroupSeq,
    /// Journal segments kept.
    pub segments: usize,
    /// Bytes of them.
    pub journal_bytes: u64,
    /// A tail that was cut away.
    pub torn: Option<TornTail>,
    /// Why the newest snapshot was not used; the one before and the journal are complete.
    pub fallback: Option<String>,
    /// Unfinished files of ours that were removed.
    pub removed_parts: Vec<String>,
    /// Files that are not ours; never touched.
    pub other_files: Vec<String>,
}

/// Replays what an open found. Independent of the store: it reads what was there at the open.
#[derive(Debug)]
pub struct Recovery {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) state_id: u128,
    /// Segments with groups behind the snapshot.
    pub(crate) segments: Vec<u32>,
    /// What was found.
    pub report: Report,
}

impl Recovery {
    /// Gives every event in order. An error text of the receiver stops the replay and is told with file and offset.
    pub fn for_each(&mut self, each: &mut dyn FnMut(Replayed<'_>) -> Result<(), String>) -> Result<(), StoreError> {
        let base = self.report.snapshot.unwrap_or_default();
        if let Some(seq) = self.report.snapshot {
            snapshot::read(&*self.disk, self.state_id, seq, &mut |piece| match piece {
                Piece::Section(name) => each(Replayed::SectionBegin { name }),
                Piece::Chunk(name, bytes) => each(Replayed::SectionChunk { name, bytes }),
                Piece::EndOfSection(name) => each(Replayed::SectionEnd { name }),
            })?;
        }
        let mut payload = Vec::new();
        for &number in &self.segments {
            let (mut reader, first) = SegmentReader::open(&*self.disk, SegmentId { state_id: self.state_id, number })?;
            let mut next = first;
            while next <= self.report.last {
                let Some(header) = reader.header(next)? else { break };
                let header = header.map_err(|problem| reader.damaged(problem))?;
                if next > base {
                    reader.payload(&header, &mut payload)?.map_err(|problem| reader.damaged(problem))?;
                    give_group(&reader, &header, &payload, each)?;
                }
                reader.position += header.total_len();
                next = GroupSeq(next.0 + 1);
            }
        }
        Ok(())
    }
}

fn give_group(
    reader: &SegmentReader<'_>,
    header: &group::GroupHeader,
    payload: &[u8],
    each: &mut dyn FnMut(Replayed<'_>) -> Result<(), String>,
) -> Result<(), StoreError> {
    let payload_at = reader.position + u64::from(header.header_len);
    let rejected = |at: usize, why: String| StoreError::Rejected {
        path: reader.name.clone(),
        offset: payload_at + at as u64,
        why,
    };
    for part in &header.parts {
        let start = part.payload.start as usize;
        let bytes = &payload[start..part.payload.end as usize];
        let walked = group::records(part.lane, part.offset, bytes, |addr, bytes, at| {
            each(Replayed::Record { addr, bytes }).map_err(|why| rejected(start + at, why))
        })?;
        walked.map_err(|at| {
            let offset = payload_at + (start + at) as u64;
            reader.damaged(Problem {
                offset,
                expected: "a whole record".to_owned(),
                found: "one that is longer than its part".to_owned(),
            })
        })?;
    }
    each(Replayed::GroupEnd { seq: header.seq }).map_err(|why| rejected(0, why))
}
