//! The newest records of a worker's lane, in memory: most URLs are released soon after they were found.
//!
//! Decides nothing. Invariant: a record is found here whole or not at all; what is dropped is the oldest.

use std::collections::VecDeque;

/// Bytes a block holds before the next is begun.
const BLOCK: usize = 256 << 10;

/// The end of a lane.
#[derive(Clone, Debug, Default)]
pub struct Hot {
    /// Each with the offset of its first byte; whole steps, so no record is cut.
    blocks: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
    bytes_max: usize,
    written: u64,
}

impl Hot {
    /// Keeps about the last `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Hot {
        Hot { bytes_max, ..Hot::default() }
    }

    /// Bytes of the lane so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The records of a step follow.
    pub fn append(&mut self, records: &[u8]) {
        if records.is_empty() {
            return;
        }
        match self.blocks.back_mut() {
            Some((_, block)) if block.len() < BLOCK => block.extend_from_slice(records),
            _ => self.blocks.push_back((self.written, records.to_vec())),
        }
        self.written += records.len() as u64;
        self.bytes += records.len();
        while self.bytes > self.bytes_max {
            let Some((_, dropped)) = self.blocks.pop_front() else { break };
            self.bytes -= dropped.len();
        }
    }

    /// The bytes from `offset` on, at least to the end of the record that begins there.
    #[must_use]
    pub fn get(&self, offset: u64) -> Option<&[u8]> {
        let at = self.blocks.partition_point(|block| block.0 <= offset).checked_sub(1)?;
        let (start, block) = &self.blocks[at];
        block.get(usize::try_from(offset - start).ok()?..).filter(|bytes| !bytes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_bytes_are_found_by_offset_and_the_oldest_are_dropped() {
        let mut hot = Hot::new(1 << 20);
        for step in 0..4000u32 {
            hot.append(&step.to_le_bytes().repeat(256));
        }
        assert_eq!(hot.written(), 4000 * 1024);
        assert_eq!(&hot.get(3999 * 1024).unwrap()[..4], 3999u32.to_le_bytes());
        assert_eq!(&hot.get(3300 * 1024).unwrap()[..4], 3300u32.to_le_bytes());
        assert!(hot.get(100 * 1024).is_none());
        assert!(hot.get(4000 * 1024).is_none());
    }
}
