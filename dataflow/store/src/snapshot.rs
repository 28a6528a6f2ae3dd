//! Snapshots: named sections in one file, written aside and renamed, each frame checked. A snapshot stands for all groups up to its number.
//!
//! A frame is kind, length, checksum (seeded with its position) and body. Readers and writers hold one frame of at most 256 KiB.

use crate::document::FORMAT_VERSION;
use crate::error::{At, shown};
use crate::{Disk, DiskFile, GroupSeq, OpenMode, StoreError, layout};
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const MAGIC: &[u8; 8] = b"WEIRSNAP";
const HEADER: usize = 56;
const FRAME_HEADER: usize = 16;
/// Largest body of a frame.
const FRAME_MAX: usize = 256 << 10;

const SECTION: u8 = 1;
const CHUNK: u8 = 2;
const END_OF_SECTION: u8 = 3;
const END: u8 = 4;

/// What a finished snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// All groups up to this one are in it.
    pub seq: GroupSeq,
    /// Its length.
    pub bytes: u64,
}

/// Writes a snapshot. Dropped without `Store::install_snapshot`, it leaves a part that the next open removes.
#[derive(Debug)]
pub struct SnapshotWriter {
    disk: Arc<dyn Disk>,
    seq: GroupSeq,
    part: String,
    file: Box<dyn DiskFile>,
    position: u64,
    buffer: Vec<u8>,
    open: bool,
    sections: u64,
}

impl SnapshotWriter {
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        state_id: u128,
        seq: GroupSeq,
        next_lane: u16,
    ) -> Result<SnapshotWriter, StoreError> {
        let part = format!("{}.part", layout::snapshot(seq));
        let mut file = disk.open(&part, OpenMode::Create).at(&*disk, &part, "create")?;
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        header.extend_from_slice(&u32::from(next_lane).to_le_bytes());
        header.extend_from_slice(&state_id.to_le_bytes());
        header.extend_from_slice(&seq.0.to_le_bytes());
        header.extend_from_slice(&[0; 8]);
        header.extend_from_slice(&xxh3_64(&header).to_le_bytes());
        file.write_at(0, &header).at(&*disk, &part, "write")?;
        Ok(SnapshotWriter {
            disk,
            seq,
            part,
            file,
            position: HEADER as u64,
            buffer: Vec::new(),
            open: false,
            sections: 0,
        })
    }

    /// The last group that the snapshot stands for.
    #[must_use]
    pub fn seq(&self) -> GroupSeq {
        self.seq
    }

    /// Begins a section and ends the one before.
    ///
    /// # Panics
    /// When the name is longer than 1,000 bytes.
    pub fn section(&mut self, name: &str) -> Result<(), StoreError> {
        assert!(name.len() <= 1000, "a section's name has at most 1000 bytes");
        self.end_section()?;
        self.frame(SECTION, name.as_bytes())?;
        self.open = true;
        self.sections += 1;
        Ok(())
    }

    /// Adds to the section.
    ///
    /// # Panics
    /// When no section was begun.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        assert!(self.open, "bytes of a snapshot belong to a section");
        while !bytes.is_empty() {
            let (head, rest) = bytes.split_at(bytes.len().min(FRAME_MAX - self.buffer.len()));
            self.buffer.extend_from_slice(head);
            bytes = rest;
            if self.buffer.len() == FRAME_MAX {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Ends the file, makes it durable and gives it its name.
    pub(crate) fn finish(mut self) -> Result<SnapshotInfo, StoreError> {
        self.end_section()?;
        let sections = self.sections.to_le_bytes();
        self.frame(END, &sections)?;
        self.file.sync().at(&*self.disk, &self.part, "sync")?;
        drop(self.file);
        self.disk.rename(&self.part, &layout::snapshot(self.seq)).at(&*self.disk, &self.part, "rename")?;
        self.disk.sync_dir().at(&*self.disk, "", "sync")?;
        Ok(SnapshotInfo { seq: self.seq, bytes: self.position })
    }

    fn end_section(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        if std::mem::take(&mut self.open) { self.frame(END_OF_SECTION, &[]) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if !self.buffer.is_empty() {
            let body = std::mem::take(&mut self.buffer);
            self.frame(CHUNK, &body)?;
            self.buffer = body;
            self.buffer.clear();
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, body: &[u8]) -> Result<(), StoreError> {
        let mut out = Vec::with_capacity(FRAME_HEADER + body.len());
        out.extend_from_slice(&[kind, 0, 0, 0]);
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&frame_sum(&out, body, self.position, self.seq).to_le_bytes());
        out.extend_from_slice(body);
        self.file.write_at(self.position, &out).at(&*self.disk, &self.part, "write")?;
        self.position += out.len() as u64;
        Ok(())
    }
}

fn frame_sum(head: &[u8], body: &[u8], position: u64, seq: GroupSeq) -> u64 {
    xxh3_64_with_seed(head, position ^ seq.0.rotate_left(32)) ^ xxh3_64_with_seed(body, position)
}

/// A piece of a snapshot.
pub(crate) enum Piece<'a> {
    Section(&'a str),
    Chunk(&'a str, &'a [u8]),
    EndOfSection(&'a str),
}

/// What a snapshot's header says.
pub(crate) struct SnapshotHeader {
    pub next_lane: u16,
}

/// Reads a snapshot from end to end, checking every byte.
pub(crate) fn read(
    disk: &dyn Disk,
    state_id: u128,
    seq: GroupSeq,
    each: &mut dyn FnMut(Piece<'_>) -> Result<(), String>,
) -> Result<SnapshotHeader, StoreError> {
    let name = layout::snapshot(seq);
    let file = disk.open(&name, OpenMode::Read).at(disk, &name, "open")?;
    let len = file.len().at(disk, &name, "read")?;
    let damaged = |offset: u64, expected: &str, found: String| StoreError::Damaged {
        path: disk.path(&name),
        offset,
        expected: expected.to_owned(),
        found,
    };
    let mut header = [0; HEADER];
    let filled = file.read_at(0, &mut header).at(disk, &name, "read")?;
    let next_lane = parse_header(&header[..filled], state_id, seq).map_err(|expected| match expected {
        Ok(foreign) => {
            StoreError::Foreign { path: disk.path(&name), expected: foreign, found: shown(&header[..filled]) }
        }
        Err(expected) => damaged(0, expected, shown(&header[..filled])),
    })?;
    let mut position = HEADER as u64;
    let mut section: Option<String> = None;
    let mut sections = 0u64;
    let mut body = Vec::new();
    loop {
        let mut head = [0; FRAME_HEADER];
        let filled = file.read_at(position, &mut head).at(disk, &name, "read")?;
        if filled < FRAME_HEADER {
            return Err(damaged(position, "a frame", shown(&head[..filled])));
        }
        let body_len = u32::from_le_bytes(head[4..8].try_into().expect("four bytes")) as usize;
        if body_len > FRAME_MAX {
            return Err(damaged(position, "a frame of at most 256 KiB", format!("one of {body_len} bytes")));
        }
        body.resize(body_len, 0);
        let filled = file.read_at(position + FRAME_HEADER as u64, &mut body).at(disk, &name, "read")?;
        let sum = u64::from_le_bytes(head[8..16].try_into().expect("eight bytes"));
        if filled < body_len || frame_sum(&head[..8], &body, position, seq) != sum {
            return Err(damaged(position, "a frame with its checksum", "bytes that differ from it".to_owned()));
        }
        let rejected = |why: String| StoreError::Rejected { path: disk.path(&name), offset: position, why };
        match (head[0], &section) {
            (SECTION, None) => {
                let title =
                    String::from_utf8(body.clone()).map_err(|_| damaged(position, "a section's name", shown(&body)))?;
                each(Piece::Section(&title)).map_err(rejected)?;
                section = Some(title);
                sections += 1;
            }
            (CHUNK, Some(title)) => each(Piece::Chunk(title, &body)).map_err(rejected)?,
            (END_OF_SECTION, Some(title)) => {
                each(Piece::EndOfSection(title)).map_err(rejected)?;
                section = None;
            }
            (END, None) if body == sections.to_le_bytes() => {
                let end = position + (FRAME_HEADER + body_len) as u64;
                if end != len {
                    return Err(damaged(end, "the end of the file", format!("{} more bytes", len - end)));
                }
                return Ok(SnapshotHeader { next_lane });
            }
            (kind, _) => return Err(damaged(position, "a frame that may stand here", format!("kind {kind}"))),
        }
        position += (FRAME_HEADER + body_len) as u64;
    }
}

/// `Err(Ok(..))` is foreign, `Err(Err(..))` damaged.
fn parse_header(bytes: &[u8], state_id: u128, seq: GroupSeq) -> Result<u16, Result<String, &'static str>> {
    if bytes.len() < HEADER {
        return Err(Err("a snapshot header of 56 bytes"));
    }
    if &bytes[..8] != MAGIC {
        return Err(Ok("the magic \"WEIRSNAP\"".to_owned()));
    }
    if bytes[8..12] != FORMAT_VERSION.to_le_bytes() {
        return Err(Ok(format!("format version {FORMAT_VERSION}")));
    }
    if bytes[48..56] != xxh3_64(&bytes[..48]).to_le_bytes() {
        return Err(Err("a snapshot header with its checksum"));
    }
    if bytes[16..32] != state_id.to_le_bytes() {
        return Err(Ok(format!("the state id {state_id:032x} of state.weir")));
    }
    if bytes[32..40] != seq.0.to_le_bytes() {
        return Err(Ok(format!("a snapshot of group {}", seq.0)));
    }
    u16::try_from(u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes"))).map_err(|_| Err("a lane number"))
}
