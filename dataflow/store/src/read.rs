//! Reads single records by address, in the order of their places on disk, each block checked.

use crate::error::At;
use crate::group::{self, BLOCK_BYTES};
use crate::journal::Journal;
use crate::{Addr, OpenMode, StoreError, layout};

/// Records nearer than this are read in one go.
const GAP_MAX: u32 = 16 << 10;
/// Most bytes read ahead in one go.
const WINDOW_MAX: u32 = 256 << 10;
/// Most segments open for reading at a time.
const READERS_MAX: usize = 64;

/// A run of checked blocks of one group.
#[derive(Default)]
struct Window {
    segment: u32,
    payload_at: u64,
    /// First byte of it, in the payload; a multiple of the block size.
    start: u32,
    bytes: Vec<u8>,
}

/// One record that is wanted.
#[derive(Clone, Copy)]
struct Wanted {
    segment: u32,
    payload_at: u64,
    at: u32,
    addr: Addr,
}

impl Journal {
    /// Gives each record's body (without its length), in the order of their places.
    pub fn read_many(&mut self, addrs: &[Addr], each: &mut dyn FnMut(Addr, &[u8])) -> Result<(), StoreError> {
        let mut wanted = Vec::with_capacity(addrs.len());
        for &addr in addrs {
            let place =
                self.index.find(addr).ok_or_else(|| StoreError::UnknownAddress { path: self.disk.path(""), addr })?;
            wanted.push(Wanted { segment: place.segment, payload_at: place.payload_at, at: place.at, addr });
        }
        wanted.sort_unstable_by_key(|w| (w.segment, w.payload_at, w.at));
        let mut window = Window::default();
        for (at, &record) in wanted.iter().enumerate() {
            let behind = wanted[at + 1..]
                .iter()
                .take_while(|w| (w.segment, w.payload_at) == (record.segment, record.payload_at));
            let mut ahead = record.at;
            for next in behind {
                if next.at - ahead > GAP_MAX || next.at - record.at > WINDOW_MAX {
                    break;
                }
                ahead = next.at;
            }
            self.read_one(record, ahead, &mut window, each)?;
        }
        Ok(())
    }

    fn read_one(
        &mut self,
        record: Wanted,
        ahead: u32,
        window: &mut Window,
        each: &mut dyn FnMut(Addr, &[u8]),
    ) -> Result<(), StoreError> {
        let Some(place) = self.index.find(record.addr) else { unreachable!("read_many found it") };
        let part_end = place.part_end;
        // Most records are short: one read covers length and body.
        let mut need = (record.at + 512).max(ahead + 512).min(part_end);
        loop {
            self.cover(record, need, window)?;
            let from = (record.at - window.start) as usize;
            let have = &window.bytes[from..];
            let have = &have[..have.len().min((part_end - record.at) as usize)];
            if let Some((body, _)) = group::record(have) {
                each(record.addr, body);
                return Ok(());
            }
            let wanted = group::record_len(have).and_then(|(prefix, len)| u32::try_from(prefix + len).ok());
            need = match wanted.and_then(|len| record.at.checked_add(len)) {
                Some(end) if end <= part_end && end > need => end,
                _ => {
                    return Err(StoreError::Damaged {
                        path: self.disk.path(&layout::journal(record.segment)),
                        offset: record.payload_at + u64::from(record.at),
                        expected: format!(
                            "the beginning of a record (lane {}, offset {})",
                            record.addr.lane(),
                            record.addr.offset()
                        ),
                        found: "bytes that are none".to_owned(),
                    });
                }
            };
        }
    }

    /// Makes the window cover the payload from the record to `end`.
    fn cover(&mut self, record: Wanted, end: u32, window: &mut Window) -> Result<(), StoreError> {
        let same = (window.segment, window.payload_at) == (record.segment, record.payload_at);
        if same && window.start <= record.at && end as usize <= window.start as usize + window.bytes.len() {
            return Ok(());
        }
        let disk = self.disk.clone();
        let name = layout::journal(record.segment);
        if !self.readers.contains_key(&record.segment) {
            if self.readers.len() >= READERS_MAX {
                self.readers.clear();
            }
            let file = disk.open(&name, OpenMode::Read).at(&*disk, &name, "open")?;
            self.readers.insert(record.segment, file);
        }
        let file = &self.readers[&record.segment];
        let Some(place) = self.index.find(record.addr) else { unreachable!("read_many found it") };
        let block = BLOCK_BYTES as u32;
        let start = record.at / block * block;
        let stop = end.next_multiple_of(block).min(place.payload_len);
        window.bytes.resize((stop - start) as usize, 0);
        let position = record.payload_at + u64::from(start);
        let filled = file.read_at(position, &mut window.bytes).at(&*disk, &name, "read")?;
        window.bytes.truncate(filled);
        let sums = &place.sums[(start / block) as usize..(stop as usize).div_ceil(BLOCK_BYTES)];
        if let Some(bad) = group::bad_block(&window.bytes, sums) {
            return Err(StoreError::Damaged {
                path: disk.path(&name),
                offset: position + (bad * BLOCK_BYTES) as u64,
                expected: "a block with its checksum".to_owned(),
                found: "bytes that differ from it".to_owned(),
            });
        }
        (window.segment, window.payload_at, window.start) = (record.segment, record.payload_at, start);
        Ok(())
    }
}
