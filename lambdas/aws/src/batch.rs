//! How entries are cut into batch calls: at most ten, at most 1 MiB of bodies together. Pure.

use std::ops::Range;

/// Entries of one call.
pub(crate) const BATCH_ENTRIES_MAX: usize = 10;
/// Bytes of one call's bodies together, and of one body: 1 MiB, as the queue counts (UTF-8).
pub(crate) const BATCH_BYTES_MAX: usize = 1 << 20;

/// Consecutive ranges of entries of these sizes, each within the limits. A single entry over the limit has its own range.
pub(crate) fn batches(sizes: &[usize]) -> Vec<Range<usize>> {
    let mut ranges = Vec::with_capacity(sizes.len().div_ceil(BATCH_ENTRIES_MAX));
    let (mut start, mut bytes) = (0, 0usize);
    for (at, size) in sizes.iter().enumerate() {
        if at > start && (at - start == BATCH_ENTRIES_MAX || bytes + size > BATCH_BYTES_MAX) {
            ranges.push(start..at);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < sizes.len() {
        ranges.push(start..sizes.len());
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_ten_entries_and_a_mebibyte_at_most() {
        assert!(batches(&[]).is_empty());
        assert_eq!(batches(&[1; 25]), [0..10, 10..20, 20..25]);
        assert_eq!(batches(&[400 << 10; 5]), [0..2, 2..4, 4..5]);
        assert_eq!(batches(&[BATCH_BYTES_MAX, 1, BATCH_BYTES_MAX - 1, 1]), [0..1, 1..3, 3..4]);
        assert_eq!(batches(&[1, BATCH_BYTES_MAX + 5, 1]), [0..1, 1..2, 2..3], "too large for any call: alone");
    }
}
