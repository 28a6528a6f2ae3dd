//! Lines out of chunks: however the output of a program is cut into reads, the same lines come out.
//!
//! Pure. Invariant: never more than `LINE_BYTES_MAX` bytes are kept of a line that has no end yet.

/// An answer at most.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// What has come of a line that has not ended yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

/// A line that is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Lines {
    /// Takes a chunk; gives the lines that it ends, without their ends (`\n` or `\r\n`).
    pub fn take(&mut self, chunk: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut lines = Vec::new();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let mut line = std::mem::take(&mut self.begun);
            line.extend_from_slice(&rest[..end]);
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.len() > LINE_BYTES_MAX {
                return Err(TooLong);
            }
            lines.push(line);
            rest = &rest[end + 1..];
        }
        if self.begun.len() + rest.len() > LINE_BYTES_MAX {
            return Err(TooLong);
        }
        self.begun.extend_from_slice(rest);
        Ok(lines)
    }

    /// What is left at the end of the output: a last line without an end.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(&mut self.begun);
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_the_output_is_cut() {
        let output = "a\r\n\nlonger line £\nlast without an end".as_bytes();
        let meant = ["a", "", "longer line £"].map(|line| line.as_bytes().to_vec());
        for size in 1..=output.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for chunk in output.chunks(size) {
                found.extend(lines.take(chunk).expect("short lines"));
            }
            assert_eq!(found, meant, "chunks of {size}");
            assert_eq!(lines.rest().as_deref(), Some(&b"last without an end"[..]));
            assert_eq!(lines.rest(), None);
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept_without_end() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; LINE_BYTES_MAX / 2];
        assert_eq!(lines.take(&chunk), Ok(Vec::new()));
        assert_eq!(lines.take(&chunk), Ok(Vec::new()));
        assert_eq!(lines.take(b"x"), Err(TooLong));
    }
}
