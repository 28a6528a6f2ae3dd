//! Where a record lies: a lane of the journal and the bytes before it in that lane.
//!
//! Invariant: an address is given out once. A lane belongs to one worker of one process start, so it only grows.

use std::fmt;

/// Bytes of a lane that are counted, kept and deleted together.
pub const CHUNK_BYTES: u64 = 16 << 20;

const OFFSET_BITS: u32 = 48;

/// `lane << 48 | offset`: where a record's length prefix begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr(pub u64);

impl Addr {
    /// No record: what the frontier made up itself (a robots.txt request).
    pub const NONE: Addr = Addr(u64::MAX);

    /// The address of byte `offset` of `lane`.
    #[must_use]
    pub fn new(lane: u16, offset: u64) -> Addr {
        assert!(offset < 1 << OFFSET_BITS, "a lane holds at most 256 TiB");
        Addr(u64::from(lane) << OFFSET_BITS | offset)
    }

    /// The lane.
    #[must_use]
    pub fn lane(self) -> u16 {
        (self.0 >> OFFSET_BITS) as u16
    }

    /// Bytes before it in its lane.
    #[must_use]
    pub fn offset(self) -> u64 {
        self.0 & ((1 << OFFSET_BITS) - 1)
    }

    /// The chunk it lies in.
    #[must_use]
    pub fn chunk(self) -> ChunkId {
        ChunkId { lane: self.lane(), chunk: (self.offset() / CHUNK_BYTES) as u32 }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.lane(), self.offset())
    }
}

/// 16 MiB of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// The lane.
    pub lane: u16,
    /// Which 16 MiB of it, from 0.
    pub chunk: u32,
}

/// A chunk that still holds bodies of queued or leased URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveChunk {
    /// Which.
    pub id: ChunkId,
    /// How many bodies.
    pub live: u32,
}
