//! Addresses and sequence numbers. Invariant: an address names one record for as long as the state lives.

/// Where a record lies: lane (16 bits) and offset in the lane (48 bits). A lane is what one worker of one process start wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr(pub u64);

impl Addr {
    /// Bits of the offset.
    const OFFSET_BITS: u32 = 48;

    /// Puts lane and offset together.
    ///
    /// # Panics
    /// When the offset needs more than 48 bits (256 TiB in one lane).
    #[must_use]
    pub fn new(lane: u16, offset: u64) -> Addr {
        assert!(offset < 1 << Self::OFFSET_BITS, "a lane holds at most 2^48 bytes, offset is {offset}");
        Addr(u64::from(lane) << Self::OFFSET_BITS | offset)
    }

    /// The lane.
    #[must_use]
    pub fn lane(self) -> u16 {
        (self.0 >> Self::OFFSET_BITS) as u16
    }

    /// Bytes that the lane had written before this record.
    #[must_use]
    pub fn offset(self) -> u64 {
        self.0 & ((1 << Self::OFFSET_BITS) - 1)
    }
}

/// Number of a group in the journal, from 1, without gaps. 0 is "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupSeq(pub u64);
