//! What the state keeps of a feed: how far the job got, to the byte.
//!
//! Pure. Invariant: `read(write(mark)) == mark`.

use crate::compress::Frame;
use weir_connector::SinkMark;

/// Where a job's feed stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The part that is written, or the next one.
    pub number: u64,
    /// Parts from here up to `number` are full; they may not all be complete at their place.
    pub pending_from: u64,
    /// The part that is written.
    pub open: Option<Open>,
}

/// A part in the middle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Open {
    /// Its committed length.
    pub len: u64,
    /// A hash of its end.
    pub tail: u64,
    /// Rows in it.
    pub rows: u64,
    /// Bytes in it before they were compressed.
    pub plain: u64,
    /// The version of its first item.
    pub since: u64,
    /// The frame that the compressor has open.
    pub frame: Frame,
}

impl Mark {
    /// `feed 2 NUMBER PENDING_FROM [LEN TAIL ROWS PLAIN SINCE FRAME_OPEN FRAME_SUM FRAME_LEN]`
    pub fn write(&self) -> SinkMark {
        let mut text = format!("feed 2 {} {}", self.number, self.pending_from);
        if let Some(Open { len, tail, rows, plain, since, frame }) = self.open {
            let Frame { open, sum, len: frame_len } = frame;
            text.push_str(&format!(" {len} {tail:x} {rows} {plain} {since} {} {sum:x} {frame_len}", u8::from(open)));
        }
        SinkMark(text.into_bytes())
    }

    /// `None` when it is no mark of a feed.
    pub fn read(mark: &SinkMark) -> Option<Mark> {
        let text = std::str::from_utf8(&mark.0).ok()?;
        let mut fields = text.strip_prefix("feed 2 ")?.split(' ');
        let mut next = |radix| u64::from_str_radix(fields.next()?, radix).ok();
        let (number, pending_from) = (next(10)?, next(10)?);
        let open = match next(10) {
            None => None,
            Some(len) => Some(Open {
                len,
                tail: next(16)?,
                rows: next(10)?,
                plain: next(10)?,
                since: next(10)?,
                frame: Frame {
                    open: next(10)? == 1,
                    sum: u32::try_from(next(16)?).ok()?,
                    len: u32::try_from(next(10)?).ok()?,
                },
            }),
        };
        Some(Mark { number, pending_from, open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_nothing_else_is_one() {
        let frame = Frame { open: true, sum: 0xdead_beef, len: 17 };
        let open = Open { len: 5, tail: u64::MAX, rows: 2, plain: 99, since: 1_420_074_061_000_007, frame };
        for open in [None, Some(open)] {
            let mark = Mark { number: 12, pending_from: 9, open };
            assert_eq!(Mark::read(&mark.write()), Some(mark));
        }
        for other in ["", "feed 1 5 2 0000", "feed 2 1", "feed 2 1 1 5 0", "sqlite"] {
            assert_eq!(Mark::read(&SinkMark(other.as_bytes().to_vec())), None, "{other}");
        }
    }
}
