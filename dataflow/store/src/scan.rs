//! Walks a segment file, group by group, and decides what its end means.
//!
//! A group that does not check out is a torn tail, to be cut away, only when it may never have been durable: it lies in the last
//! segment, and no whole group behind it says that it was synced. Everything else is damage and refused.

use crate::error::{At, shown};
use crate::group::{self, GROUP_FIXED, GroupHeader, Mismatch, SEGMENT_HEADER, SegmentId};
use crate::index::Index;
use crate::recovery::TornTail;
use crate::{Disk, DiskFile, GroupSeq, OpenMode, StoreError, layout};

/// Bytes read at once for a header: enough for groups of up to a few MB.
const HEADER_READ: usize = 4096;

/// Reads one segment.
pub(crate) struct SegmentReader<'a> {
    disk: &'a dyn Disk,
    pub name: String,
    file: Box<dyn DiskFile>,
    id: SegmentId,
    pub len: u64,
    pub position: u64,
    buffer: Vec<u8>,
}

/// A group that does not check out.
#[derive(Debug)]
pub(crate) struct Problem {
    pub offset: u64,
    pub expected: String,
    pub found: String,
}

impl<'a> SegmentReader<'a> {
    /// Opens a segment and checks its header; gives its first group too.
    pub fn open(disk: &'a dyn Disk, id: SegmentId) -> Result<(SegmentReader<'a>, GroupSeq), StoreError> {
        let name = layout::journal(id.number);
        let file = disk.open(&name, OpenMode::Read).at(disk, &name, "open")?;
        let len = file.len().at(disk, &name, "read")?;
        let mut bytes = [0; SEGMENT_HEADER as usize];
        let filled = file.read_at(0, &mut bytes).at(disk, &name, "read")?;
        let first = group::parse_segment_header(&bytes[..filled], id).map_err(|mismatch| {
            let path = disk.path(&name);
            match mismatch {
                Mismatch::Foreign(expected) => StoreError::Foreign { path, expected, found: shown(&bytes[..filled]) },
                Mismatch::Damaged(expected) => StoreError::Damaged {
                    path,
                    offset: 0,
                    expected: expected.to_owned(),
                    found: shown(&bytes[..filled]),
                },
            }
        })?;
        Ok((SegmentReader { disk, name, file, id, len, position: SEGMENT_HEADER, buffer: Vec::new() }, first))
    }

    /// The header of the next group, which must be `seq`; `None` at the end. Does not move.
    pub fn header(&mut self, seq: GroupSeq) -> Result<Option<Result<GroupHeader, Problem>>, StoreError> {
        if self.position >= self.len {
            return Ok(None);
        }
        let position = self.position;
        let problem = |found: String| Problem { offset: position, expected: format!("group {}", seq.0), found };
        let left = usize::try_from(self.len - self.position).unwrap_or(usize::MAX);
        self.buffer.resize(HEADER_READ.min(left), 0);
        self.fill(position)?;
        let Some(header_len) = group::header_len(&self.buffer).filter(|&len| len <= left) else {
            return Ok(Some(Err(problem(shown(&self.buffer)))));
        };
        if header_len > self.buffer.len() {
            self.buffer.resize(header_len, 0);
            self.fill(position)?;
        }
        let Some(header) = group::parse_group(&self.buffer[..header_len], self.id, self.position) else {
            return Ok(Some(Err(problem("a header that differs from its checksum".to_owned()))));
        };
        if header.seq != seq {
            return Ok(Some(Err(problem(format!("group {}", header.seq.0)))));
        }
        if header.total_len() > left as u64 {
            return Ok(Some(Err(problem(format!(
                "the end of the file {} bytes too early",
                header.total_len() - left as u64
            )))));
        }
        Ok(Some(Ok(header)))
    }

    /// The payload of the group whose header was just read.
    pub fn payload(&self, header: &GroupHeader, into: &mut Vec<u8>) -> Result<Result<(), Problem>, StoreError> {
        into.resize(header.payload_len as usize, 0);
        let at = self.position + u64::from(header.header_len);
        let filled = self.file.read_at(at, into).at(self.disk, &self.name, "read")?;
        into.truncate(filled);
        Ok(match group::bad_block(into, &header.sums) {
            None => Ok(()),
            Some(block) => Err(Problem {
                offset: at + (block * group::BLOCK_BYTES) as u64,
                expected: format!("block {block} of group {}", header.seq.0),
                found: "bytes that differ from their checksum".to_owned(),
            }),
        })
    }

    /// True when a whole group behind the problem says that `seq` was durable.
    fn proves_durable(&mut self, seq: GroupSeq) -> Result<bool, StoreError> {
        let left = usize::try_from(self.len - self.position).unwrap_or(usize::MAX);
        let mut rest = vec![0; left];
        let filled = self.file.read_at(self.position, &mut rest).at(self.disk, &self.name, "read")?;
        rest.truncate(filled);
        let mut from = 1;
        while let Some(at) = group::find_magic(&rest, from) {
            let header =
                rest.get(at..at + GROUP_FIXED).and_then(group::header_len).and_then(|len| rest.get(at..at + len));
            if let Some(header) = header.and_then(|bytes| group::parse_group(bytes, self.id, self.position + at as u64))
                && header.durable_through >= seq
            {
                return Ok(true);
            }
            from = at + 1;
        }
        Ok(false)
    }

    fn fill(&mut self, at: u64) -> Result<(), StoreError> {
        let filled = self.file.read_at(at, &mut self.buffer).at(self.disk, &self.name, "read")?;
        self.buffer.truncate(filled);
        Ok(())
    }

    /// The problem as an error.
    pub fn damaged(&self, problem: Problem) -> StoreError {
        StoreError::Damaged {
            path: self.disk.path(&self.name),
            offset: problem.offset,
            expected: problem.expected,
            found: problem.found,
        }
    }
}

/// What a walk over all segments found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub index: Index,
    pub last: GroupSeq,
    pub torn: Option<TornTail>,
    /// Groups that no segment holds (first, last, and the segment behind the gap).
    pub gaps: Vec<(GroupSeq, GroupSeq, u32)>,
}

/// Reads the headers of all groups, and the payloads of the last segment. Changes nothing.
pub(crate) fn scan(disk: &dyn Disk, state_id: u128, numbers: &[u32]) -> Result<Scanned, StoreError> {
    let mut found = Scanned { index: Index::default(), last: GroupSeq(0), torn: None, gaps: Vec::new() };
    let mut payload = Vec::new();
    for (at, &number) in numbers.iter().enumerate() {
        let is_last = at + 1 == numbers.len();
        let (mut reader, first) = SegmentReader::open(disk, SegmentId { state_id, number })?;
        if first.0 > found.last.0 + 1 {
            found.gaps.push((GroupSeq(found.last.0 + 1), GroupSeq(first.0 - 1), number));
        } else if first.0 < found.last.0 + 1 {
            let expected = format!("a segment that begins with group {}", found.last.0 + 1);
            return Err(reader.damaged(Problem { offset: 32, expected, found: format!("group {}", first.0) }));
        }
        found.index.add_segment(number, first, SEGMENT_HEADER);
        let mut next = first;
        while let Some(header) = reader.header(next)? {
            let checked = match header {
                Ok(header) if is_last => reader.payload(&header, &mut payload)?.map(|()| header),
                other => other,
            };
            match checked {
                Ok(header) => {
                    if let Err(lane) = found.index.add_group(number, &header) {
                        let expected = format!("offsets of lane {lane} that go on");
                        return Err(reader.damaged(Problem {
                            offset: reader.position,
                            expected,
                            found: "one that goes back".to_owned(),
                        }));
                    }
                    reader.position += header.total_len();
                    next = GroupSeq(next.0 + 1);
                }
                Err(problem) if is_last && !reader.proves_durable(next)? => {
                    let bytes = reader.len - reader.position;
                    found.torn = Some(TornTail {
                        path: disk.path(&reader.name),
                        offset: reader.position,
                        bytes,
                        found: problem.found,
                    });
                    break;
                }
                Err(problem) => return Err(reader.damaged(problem)),
            }
        }
        found.last = GroupSeq(next.0 - 1);
    }
    Ok(found)
}
