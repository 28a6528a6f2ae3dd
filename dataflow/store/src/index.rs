//! Which file holds which bytes of which lane: in memory, rebuilt at open from group headers.
//!
//! Costs 24 bytes a lane part, 12 a group and 4 for each 4 KiB of payload. Invariant: extents of a lane are sorted and do not overlap.

use crate::group::{BLOCK_BYTES, GroupHeader};
use crate::{Addr, GroupSeq};
use std::collections::BTreeMap;
use std::ops::Range;

/// A run of a lane's bytes in one group.
#[derive(Clone, Copy, Debug)]
struct Extent {
    offset: u64,
    len: u32,
    segment: u32,
    group: u32,
    /// Where in the group's payload.
    start: u32,
}

#[derive(Clone, Copy, Debug)]
struct GroupPlace {
    payload_at: u32,
    payload_len: u32,
    first_sum: u32,
}

/// One segment file.
#[derive(Debug)]
pub(crate) struct Segment {
    /// First group in it.
    pub first: GroupSeq,
    /// Bytes of it that are good.
    pub len: u64,
    groups: Vec<GroupPlace>,
    sums: Vec<u32>,
}

impl Segment {
    /// Last group in it; the one before `first` when it is empty.
    pub fn last(&self) -> GroupSeq {
        GroupSeq(self.first.0 + self.groups.len() as u64 - 1)
    }
}

/// Where a record begins, and what checks the blocks around it.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub segment: u32,
    /// Position of the payload in the file.
    pub payload_at: u64,
    pub payload_len: u32,
    /// Position of the record in the payload.
    pub at: u32,
    /// Where its part ends in the payload.
    pub part_end: u32,
    pub sums: &'a [u32],
}

/// All segments and lanes.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub segments: BTreeMap<u32, Segment>,
    lanes: BTreeMap<u16, Vec<Extent>>,
}

impl Index {
    /// Adds an empty segment.
    pub fn add_segment(&mut self, number: u32, first: GroupSeq, len: u64) {
        self.segments.insert(number, Segment { first, len, groups: Vec::new(), sums: Vec::new() });
    }

    /// Adds a group at the end of a segment; names the lane when its offsets go back.
    pub fn add_group(&mut self, number: u32, header: &GroupHeader) -> Result<(), u16> {
        let segment = self.segments.get_mut(&number).expect("a group is added to a segment that was added");
        for part in &header.parts {
            if self
                .lanes
                .get(&part.lane)
                .and_then(|run| run.last())
                .is_some_and(|last| last.offset + u64::from(last.len) > part.offset)
            {
                return Err(part.lane);
            }
        }
        let group = segment.groups.len() as u32;
        let payload_at =
            u32::try_from(segment.len + u64::from(header.header_len)).expect("a segment is far below 4 GiB");
        segment.groups.push(GroupPlace {
            payload_at,
            payload_len: header.payload_len,
            first_sum: segment.sums.len() as u32,
        });
        segment.sums.extend_from_slice(&header.sums);
        segment.len += header.total_len();
        for part in header.parts.iter().filter(|part| !part.payload.is_empty()) {
            let len = part.payload.end - part.payload.start;
            let extent = Extent { offset: part.offset, len, segment: number, group, start: part.payload.start };
            self.lanes.entry(part.lane).or_default().push(extent);
        }
        Ok(())
    }

    /// Finds the bytes of an address.
    pub fn find(&self, addr: Addr) -> Option<Place<'_>> {
        let run = self.lanes.get(&addr.lane())?;
        let extent = run[..run.partition_point(|extent| extent.offset <= addr.offset())].last()?;
        let within = u32::try_from(addr.offset() - extent.offset).ok().filter(|&within| within < extent.len)?;
        let segment = self.segments.get(&extent.segment)?;
        let group = segment.groups[extent.group as usize];
        let first_sum = group.first_sum as usize;
        Some(Place {
            segment: extent.segment,
            payload_at: u64::from(group.payload_at),
            payload_len: group.payload_len,
            at: extent.start + within,
            part_end: extent.start + extent.len,
            sums: &segment.sums[first_sum..first_sum + (group.payload_len as usize).div_ceil(BLOCK_BYTES)],
        })
    }

    /// Bytes that a lane has written, as far as it is known.
    pub fn lane_end(&self, lane: u16) -> Option<u64> {
        self.lanes.get(&lane)?.last().map(|extent| extent.offset + u64::from(extent.len))
    }

    /// Lanes with bytes in kept segments.
    pub fn has_lane(&self, lane: u16) -> bool {
        self.lanes.contains_key(&lane)
    }

    /// Highest lane with bytes in kept segments.
    pub fn highest_lane(&self) -> Option<u16> {
        self.lanes.keys().next_back().copied()
    }

    /// Which bytes of which lanes lie in a segment: one range a lane.
    pub fn ranges(&self, number: u32) -> Vec<(u16, Range<u64>)> {
        let mut out = Vec::new();
        for (&lane, run) in &self.lanes {
            let start = run.partition_point(|extent| extent.segment < number);
            let end = run.partition_point(|extent| extent.segment <= number);
            if let [first, .., last] | [first @ last] = &run[start..end] {
                out.push((lane, first.offset..last.offset + u64::from(last.len)));
            }
        }
        out
    }

    /// Forgets a segment.
    pub fn remove(&mut self, number: u32) {
        self.segments.remove(&number);
        self.lanes.retain(|_, run| {
            run.retain(|extent| extent.segment != number);
            run.shrink_to_fit();
            !run.is_empty()
        });
    }
}
