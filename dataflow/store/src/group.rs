//! The bytes of a segment: its header, and groups of lane parts. Pure; no disk.
//!
//! A group is a header (fixed fields, a table of parts, a checksum for each block of 4 KiB of payload) and the payload. The header's
//! own checksum covers the tables, hence the payload too, and is seeded with state, segment and position, so that no bytes of
//! another place or another state pass. Block checksums let one record be read and checked without its whole group.

use crate::document::FORMAT_VERSION;
use crate::{Addr, GroupSeq};
use std::ops::Range;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Payload bytes under one checksum: what a single record's reading costs at least.
pub const BLOCK_BYTES: usize = 4096;
/// Largest payload of a group: it is held in memory when it is replayed.
pub const GROUP_BYTES_MAX: u64 = 256 << 20;
/// Most lanes in a group.
pub(crate) const PARTS_MAX: usize = 1024;

const SEGMENT_MAGIC: &[u8; 8] = b"WEIRJRNL";
/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER: u64 = 48;
const GROUP_MAGIC: [u8; 4] = *b"wGRP";
/// Bytes of a group's fixed fields.
pub(crate) const GROUP_FIXED: usize = 40;
const PART_BYTES: usize = 16;

/// What one worker wrote since the last group: whole records, each a varint length and that many bytes.
#[derive(Clone, Copy, Debug)]
pub struct LanePart<'a> {
    /// The worker's lane.
    pub lane: u16,
    /// Bytes the lane had written before these.
    pub offset: u64,
    /// The records.
    pub bytes: &'a [u8],
}

/// A part as the header tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub lane: u16,
    pub offset: u64,
    /// Where in the payload.
    pub payload: Range<u32>,
}

/// A group's header, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupHeader {
    pub seq: GroupSeq,
    /// The last group that was durable when this one was written.
    pub durable_through: GroupSeq,
    pub header_len: u32,
    pub payload_len: u32,
    pub parts: Vec<Part>,
    pub sums: Vec<u32>,
}

impl GroupHeader {
    /// Header and payload.
    pub fn total_len(&self) -> u64 {
        u64::from(self.header_len) + u64::from(self.payload_len)
    }
}

/// Whose segment it is; seeds the checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentId {
    pub state_id: u128,
    pub number: u32,
}

impl SegmentId {
    fn seed(self, offset: u64) -> u64 {
        let mut bytes = [0; 28];
        bytes[..16].copy_from_slice(&self.state_id.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.number.to_le_bytes());
        bytes[20..].copy_from_slice(&offset.to_le_bytes());
        xxh3_64(&bytes)
    }
}

/// What a header is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// Not ours, or of another version or state.
    Foreign(String),
    /// Ours once.
    Damaged(&'static str),
}

/// The header of a segment whose first group will be `first`.
pub(crate) fn segment_header(id: SegmentId, first: GroupSeq) -> Vec<u8> {
    let mut out = Vec::with_capacity(SEGMENT_HEADER as usize);
    out.extend_from_slice(SEGMENT_MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&id.number.to_le_bytes());
    out.extend_from_slice(&id.state_id.to_le_bytes());
    out.extend_from_slice(&first.0.to_le_bytes());
    let sum = xxh3_64(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

/// The first group of a segment, when the header is whole and ours.
pub(crate) fn parse_segment_header(bytes: &[u8], id: SegmentId) -> Result<GroupSeq, Mismatch> {
    if bytes.len() < SEGMENT_HEADER as usize {
        return Err(Mismatch::Damaged("a segment header of 48 bytes"));
    }
    if &bytes[..8] != SEGMENT_MAGIC {
        return Err(Mismatch::Foreign("the magic \"WEIRJRNL\"".to_owned()));
    }
    if u32_at(bytes, 8) != FORMAT_VERSION {
        return Err(Mismatch::Foreign(format!("format version {FORMAT_VERSION}")));
    }
    if u64_at(bytes, 40) != xxh3_64(&bytes[..40]) {
        return Err(Mismatch::Damaged("a segment header with its checksum"));
    }
    if bytes[16..32] != id.state_id.to_le_bytes() {
        return Err(Mismatch::Foreign(format!("the state id {:032x} of state.weir", id.state_id)));
    }
    if u32_at(bytes, 12) != id.number {
        return Err(Mismatch::Foreign(format!("segment number {}", id.number)));
    }
    Ok(GroupSeq(u64_at(bytes, 32)))
}

/// Puts header and payload of a group, to be written at `position`, into `out` (emptied first).
pub(crate) fn encode_group(
    out: &mut Vec<u8>,
    id: SegmentId,
    position: u64,
    seq: GroupSeq,
    durable_through: GroupSeq,
    parts: &[LanePart<'_>],
) -> GroupHeader {
    assert!(parts.len() <= PARTS_MAX, "a group has at most {PARTS_MAX} lanes, not {}", parts.len());
    let payload_len: usize = parts.iter().map(|part| part.bytes.len()).sum();
    let blocks = payload_len.div_ceil(BLOCK_BYTES);
    let header_len = GROUP_FIXED + parts.len() * PART_BYTES + blocks * 4;
    out.clear();
    out.reserve(header_len + payload_len);
    out.extend_from_slice(&GROUP_MAGIC);
    out.extend_from_slice(&(header_len as u32).to_le_bytes());
    out.extend_from_slice(&seq.0.to_le_bytes());
    out.extend_from_slice(&durable_through.0.to_le_bytes());
    out.extend_from_slice(&(payload_len as u32).to_le_bytes());
    out.extend_from_slice(&(parts.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    let mut table = Vec::with_capacity(parts.len());
    let mut start = 0u32;
    for part in parts {
        let len = part.bytes.len() as u32;
        out.extend_from_slice(&u32::from(part.lane).to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&part.offset.to_le_bytes());
        table.push(Part { lane: part.lane, offset: part.offset, payload: start..start + len });
        start += len;
    }
    out.resize(header_len, 0);
    for part in parts {
        out.extend_from_slice(part.bytes);
    }
    let (header, payload) = out.split_at_mut(header_len);
    let sums: Vec<u32> = payload.chunks(BLOCK_BYTES).map(block_sum).collect();
    for (slot, sum) in header[GROUP_FIXED + parts.len() * PART_BYTES..].chunks_exact_mut(4).zip(&sums) {
        slot.copy_from_slice(&sum.to_le_bytes());
    }
    let checksum = xxh3_64_with_seed(header, id.seed(position));
    header[32..40].copy_from_slice(&checksum.to_le_bytes());
    GroupHeader {
        seq,
        durable_through,
        header_len: header_len as u32,
        payload_len: payload_len as u32,
        parts: table,
        sums,
    }
}

/// Length of the whole header when the fixed fields (40 bytes) hang together.
pub(crate) fn header_len(fixed: &[u8]) -> Option<usize> {
    if fixed.len() < GROUP_FIXED || fixed[..4] != GROUP_MAGIC {
        return None;
    }
    let (parts, payload) = (u32_at(fixed, 28) as usize, u32_at(fixed, 24) as usize);
    if parts > PARTS_MAX || payload as u64 > GROUP_BYTES_MAX {
        return None;
    }
    let expected = GROUP_FIXED + parts * PART_BYTES + payload.div_ceil(BLOCK_BYTES) * 4;
    (u32_at(fixed, 4) as usize == expected).then_some(expected)
}

/// The header at `position`, when `bytes` (exactly the header) are whole.
pub(crate) fn parse_group(bytes: &[u8], id: SegmentId, position: u64) -> Option<GroupHeader> {
    let len = header_len(bytes.get(..GROUP_FIXED)?)?;
    if bytes.len() != len {
        return None;
    }
    let mut zeroed = bytes.to_vec();
    zeroed[32..40].fill(0);
    if xxh3_64_with_seed(&zeroed, id.seed(position)) != u64_at(bytes, 32) {
        return None;
    }
    let part_count = u32_at(bytes, 28) as usize;
    let payload_len = u32_at(bytes, 24);
    let (table, sums) = bytes[GROUP_FIXED..].split_at(part_count * PART_BYTES);
    let mut parts = Vec::with_capacity(part_count);
    let mut start = 0u32;
    for entry in table.chunks_exact(PART_BYTES) {
        let end = start.checked_add(u32_at(entry, 4))?;
        parts.push(Part { lane: u16::try_from(u32_at(entry, 0)).ok()?, offset: u64_at(entry, 8), payload: start..end });
        start = end;
    }
    if start != payload_len {
        return None;
    }
    Some(GroupHeader {
        seq: GroupSeq(u64_at(bytes, 8)),
        durable_through: GroupSeq(u64_at(bytes, 16)),
        header_len: len as u32,
        payload_len,
        parts,
        sums: sums.chunks_exact(4).map(|sum| u32_at(sum, 0)).collect(),
    })
}

/// Checksum of a block.
pub(crate) fn block_sum(block: &[u8]) -> u32 {
    xxh3_64(block) as u32
}

/// Index of the first block that is not what it was.
pub(crate) fn bad_block(payload: &[u8], sums: &[u32]) -> Option<usize> {
    let mut blocks = payload.chunks(BLOCK_BYTES);
    let bad = sums.iter().position(|&sum| blocks.next().map(block_sum) != Some(sum));
    bad.or_else(|| blocks.next().map(|_| sums.len()))
}

/// Where a search for the next group may go on.
pub(crate) fn find_magic(bytes: &[u8], from: usize) -> Option<usize> {
    bytes.get(from..)?.windows(4).position(|window| window == GROUP_MAGIC).map(|at| from + at)
}

/// Walks the records of a part: address and body (without the length), or where it stops making sense.
pub(crate) fn records<E>(
    lane: u16,
    offset: u64,
    bytes: &[u8],
    mut each: impl FnMut(Addr, &[u8], usize) -> Result<(), E>,
) -> Result<Result<(), usize>, E> {
    let mut at = 0;
    while at < bytes.len() {
        let Some((body, end)) = record(&bytes[at..]) else { return Ok(Err(at)) };
        each(Addr::new(lane, offset + at as u64), body, at)?;
        at += end;
    }
    Ok(Ok(()))
}

/// The first record of `bytes`: body, and bytes with its length; `None` when it does not end in them.
pub(crate) fn record(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (prefix, len) = record_len(bytes)?;
    let end = prefix.checked_add(len)?;
    bytes.get(prefix..end).map(|body| (body, end))
}

/// Bytes of the length and the length itself.
pub(crate) fn record_len(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut reader = weir_model::wire::Reader::new(bytes);
    let len = usize::try_from(reader.u64().ok()?).ok()?;
    Some((bytes.len() - reader.rest().len(), len))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a slice of four"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a slice of eight"))
}
