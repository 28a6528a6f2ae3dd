//! Which part of a batch to try next when the server refuses one of its rows. Pure.
//!
//! Invariants: every row is in exactly one part that went through, or was refused alone; one bad row of n costs at most
//! 2 log2(n) further statements.

use std::ops::Range;

/// Most rows of a statement.
pub(crate) const ROWS_MAX: usize = 512;

/// The parts that are still to be tried, the next one last.
#[derive(Debug)]
pub(crate) struct Parts(Vec<Range<usize>>);

impl Parts {
    /// Parts of at most `rows_max` rows and `bytes_max` bytes (a larger row is alone). Lengths are powers of two, so that few
    /// different statements are prepared.
    pub fn new(bytes: impl Fn(usize) -> usize, rows: usize, rows_max: usize, bytes_max: usize) -> Parts {
        let mut parts = Vec::new();
        let mut start = 0;
        while start < rows {
            let mut fit = 0;
            let mut sum = 0;
            while start + fit < rows && fit < rows_max.clamp(1, ROWS_MAX) {
                sum += bytes(start + fit);
                if fit > 0 && sum > bytes_max {
                    break;
                }
                fit += 1;
            }
            let len = 1 << fit.ilog2();
            parts.push(start..start + len);
            start += len;
        }
        parts.reverse();
        Parts(parts)
    }

    /// The next part to try.
    pub fn next(&mut self) -> Option<Range<usize>> {
        self.0.pop()
    }

    /// A part was refused: the row that is to blame, or `None` when its halves are tried first.
    pub fn refused(&mut self, part: Range<usize>) -> Option<usize> {
        if part.len() == 1 {
            return Some(part.start);
        }
        let middle = part.start + part.len() / 2;
        self.0.push(middle..part.end);
        self.0.push(part.start..middle);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs against a server that refuses parts with a bad row: rows stored, rows refused, statements.
    fn run(mut parts: Parts, bad: &[usize]) -> (Vec<usize>, Vec<usize>, usize) {
        let (mut stored, mut refused, mut statements) = (Vec::new(), Vec::new(), 0);
        while let Some(part) = parts.next() {
            statements += 1;
            if bad.iter().any(|row| part.contains(row)) {
                refused.extend(parts.refused(part));
            } else {
                stored.extend(part);
            }
        }
        (stored, refused, statements)
    }

    #[test]
    fn a_bad_row_is_found_alone_and_the_others_keep_their_order() {
        let (stored, refused, statements) = run(Parts::new(|_| 10, 512, 512, 1 << 20), &[333]);
        assert_eq!(refused, [333]);
        assert_eq!(stored, (0..512).filter(|row| *row != 333).collect::<Vec<_>>());
        assert!(statements <= 19, "{statements}");
        let all: Vec<usize> = (0..37).collect();
        assert_eq!(run(Parts::new(|_| 10, 37, 512, 1 << 20), &all).1, all);
    }

    #[test]
    fn parts_keep_the_limits_of_rows_and_bytes() {
        let lengths = |mut parts: Parts| std::iter::from_fn(|| parts.next()).map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(lengths(Parts::new(|_| 10, 1300, 512, 1 << 20)), [512, 512, 256, 16, 4]);
        assert_eq!(lengths(Parts::new(|_| 10, 10, 512, 45)), [4, 4, 2]);
        assert_eq!(lengths(Parts::new(|row| if row == 1 { 1000 } else { 1 }, 4, 512, 100)), [1, 1, 2]);
        assert_eq!(lengths(Parts::new(|_| 10, 0, 512, 1)), [0; 0]);
    }
}
