//! The file in which one stage hands what it had to another: a line, a head, parts, an end.
//!
//! Decides bytes alone. After the line `weir-slice 1` come frames: kind, length (4 bytes), checksum (8 bytes, of kind, number and body), body.
//! The head is JSON, the end says how many parts there were. Invariants: a file is there under its name only when it is whole and synced;
//! what is not as it was written is an error that says where, before anything of it is used.

use crate::document::{JobEntry, SinkEntry, StageJob};
use crate::error::CrawlError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use weir_frontier::policy::Changes;
use weir_model::{JobId, Outcome};
use xxhash_rust::xxh3::Xxh3;

const MAGIC: &str = "weir-slice";
const VERSION: &str = "1";
/// Longest first line that is looked at.
const LINE_MAX: usize = 64;
/// A frame is a group of the importing journal.
pub(super) const PART_BYTES: usize = 1 << 20;
/// No frame is longer; a head holds the spider files of all running jobs.
const FRAME_MAX: usize = 256 << 20;

const HEAD: u8 = b'H';
const RECORDS: u8 = b'R';
const KNOWN: u8 = b'K';
const END: u8 = b'E';

/// Which stage of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// From 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl std::fmt::Display for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stage {} of {}", self.index, self.of)
    }
}

/// What a file says of itself and of the jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    /// No other export has it.
    pub id: String,
    /// The deployment.
    pub stack: String,
    pub from: Seat,
    pub to: Seat,
    /// Sinks by the numbers that the masks mean.
    pub sinks: Vec<SinkEntry>,
    pub jobs: Vec<MovedJob>,
    /// Jobs that have ended: their late messages are known by this.
    pub ended: Vec<(JobId, Outcome)>,
    /// Of those, what they were: whose listings they saw last is judged by it.
    #[serde(default)]
    pub forerunners: Vec<JobEntry>,
    /// What commands have changed of the law.
    #[serde(default)]
    pub law: Changes,
}

/// A running job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct MovedJob {
    pub job: StageJob,
    pub listed: Option<JobEntry>,
    pub stopping: Option<Outcome>,
    /// Of a stage that goes away, for its heir: shards that it took, and start URLs of them that it has not offered yet.
    pub shards: Option<u32>,
    pub taken: Vec<u32>,
    pub pieces: Vec<Range<u64>>,
    /// URLs handed on to each stage and taken in from it.
    pub counts: BTreeMap<u32, (u64, u64)>,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Records of the journal, each with its length in front.
    Records(Vec<u8>),
    /// What is known of items of one slot.
    Known(u8, Vec<u8>),
}

/// The name of a file in its folder.
pub(super) fn name_of(from: Seat, to: Seat) -> String {
    format!("stage-{}-of-{}.to-stage-{}-of-{}.weir-slice", from.index, from.of, to.index, to.of)
}

fn checksum(kind: u8, number: u64, body: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&[kind]);
    hash.update(&number.to_le_bytes());
    hash.update(body);
    hash.digest()
}

// ---- writing ------------------------------------------------------------------------------------------------------------

/// A file while it is written.
pub(super) struct Writer {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    frames: u64,
    open: Vec<u8>,
}

impl Writer {
    pub fn create(folder: &Path, head: &Head) -> std::io::Result<Writer> {
        let path = folder.join(name_of(head.from, head.to));
        let part = path.with_extension("part");
        let mut file = BufWriter::new(File::create(&part)?);
        file.write_all(format!("{MAGIC} {VERSION}\n").as_bytes())?;
        let mut writer = Writer { path, part, file, frames: 0, open: Vec::new() };
        writer.frame(HEAD, &serde_json::to_vec(head).expect("numbers and texts are JSON"))?;
        Ok(writer)
    }

    fn frame(&mut self, kind: u8, body: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(body.len()).ok().filter(|length| *length as usize <= FRAME_MAX);
        let length = length.ok_or_else(|| std::io::Error::other(format!("a part of {} bytes", body.len())))?;
        self.file.write_all(&[kind])?;
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&checksum(kind, self.frames, body).to_le_bytes())?;
        self.file.write_all(body)?;
        self.frames += 1;
        Ok(())
    }

    /// A record's body.
    pub fn record(&mut self, body: &[u8]) -> std::io::Result<()> {
        weir_model::wire::put_bytes(&mut self.open, body);
        if self.open.len() >= PART_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let mut open = std::mem::take(&mut self.open);
        self.frame(RECORDS, &open)?;
        open.clear();
        self.open = open;
        Ok(())
    }

    /// What is known of items of one slot.
    pub fn known(&mut self, slot: u8, items: &[u8]) -> std::io::Result<()> {
        self.flush()?;
        let mut body = vec![slot];
        body.extend_from_slice(items);
        self.frame(KNOWN, &body)
    }

    /// Ends the file; it has its name and is durable when this returns.
    pub fn finish(mut self) -> std::io::Result<PathBuf> {
        self.flush()?;
        let parts = self.frames - 1;
        self.frame(END, &parts.to_le_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        std::fs::rename(&self.part, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(self.path)
    }
}

// ---- reading ------------------------------------------------------------------------------------------------------------

/// A file that was found to be whole.
pub(super) struct Slice {
    path: PathBuf,
    pub head: Head,
    /// Parts in it.
    pub parts: u64,
}

impl Slice {
    /// Reads all of it once, before anything of it is used.
    pub fn open(path: &Path) -> Result<Slice, CrawlError> {
        let mut head = None;
        let parts = read(path, &mut |kind, body| {
            if kind == HEAD {
                head = Some(serde_json::from_slice(body).map_err(|error| format!("its head: {error}"))?);
            }
            Ok(())
        })?;
        let head = head.ok_or_else(|| refused(path, "it has no head"))?;
        Ok(Slice { path: path.to_owned(), head, parts })
    }

    /// Gives the parts in order, with their numbers.
    pub fn each(&self, take: &mut dyn FnMut(u64, Part) -> Result<(), CrawlError>) -> Result<(), CrawlError> {
        let (mut number, mut failed) = (0, None);
        let read = read(&self.path, &mut |kind, body| {
            let part = match (kind, body) {
                (RECORDS, _) => Part::Records(body.to_vec()),
                (KNOWN, [slot, items @ ..]) => Part::Known(*slot, items.to_vec()),
                (KNOWN, _) => return Err("a part about items without a slot".to_owned()),
                _ => return Ok(()),
            };
            number += 1;
            take(number - 1, part).map_err(|error| {
                let told = error.to_string();
                failed = Some(error);
                told
            })
        });
        match failed {
            Some(error) => Err(error),
            None => read.map(drop),
        }
    }
}

/// A file that is not to be used.
pub(super) fn refused(path: &Path, why: &str) -> CrawlError {
    CrawlError::Usage(format!("{}: {why}", path.display()))
}

/// Takes a frame: its kind and its body. The error says what is wrong with it.
type TakeFrame<'a> = &'a mut dyn FnMut(u8, &[u8]) -> Result<(), String>;

/// Reads a whole file, frame by frame; gives the number of its parts.
fn read(path: &Path, take: TakeFrame<'_>) -> Result<u64, CrawlError> {
    let file = File::open(path).map_err(|error| {
        refused(path, &format!("cannot be read: {error}; expected a file that weir stage export has written"))
    })?;
    let mut file = BufReader::with_capacity(1 << 16, file);
    let mut at = first_line(path, &mut file)?;
    let damaged = |at: u64, what: &str| {
        let why = format!(
            "damaged at byte {at}: {what}. Nothing of it was taken in; copy it again from where it was written"
        );
        refused(path, &why)
    };
    let mut body = Vec::new();
    for number in 0u64.. {
        let mut front = [0; 13];
        file.read_exact(&mut front).map_err(|_| damaged(at, "it ends before its end"))?;
        let (kind, length) = (front[0], u32::from_le_bytes([front[1], front[2], front[3], front[4]]) as usize);
        if !matches!(kind, HEAD | RECORDS | KNOWN | END) || length > FRAME_MAX || (kind == HEAD) != (number == 0) {
            return Err(damaged(at, "no part begins so"));
        }
        body.clear();
        let read =
            (&mut file).take(length as u64).read_to_end(&mut body).map_err(|error| damaged(at, &error.to_string()))?;
        if read < length {
            return Err(damaged(at, "it ends before its end"));
        }
        if front[5..] != checksum(kind, number, &body).to_le_bytes() {
            return Err(damaged(at, "a part with another checksum than its own"));
        }
        take(kind, &body).map_err(|what| damaged(at, &what))?;
        at += 13 + length as u64;
        if kind == END {
            let parts = number.saturating_sub(1);
            let rest = file.read(&mut [0]).map_err(|error| damaged(at, &error.to_string()))?;
            if body != parts.to_le_bytes() || rest > 0 {
                return Err(damaged(at, "its end is not where it says"));
            }
            return Ok(parts);
        }
    }
    unreachable!("a file ends before 2^64 parts")
}

/// Checks what kind of file it is; gives the length of its first line.
fn first_line(path: &Path, file: &mut impl Read) -> Result<u64, CrawlError> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LINE_MAX && file.read(&mut byte).is_ok_and(|read| read == 1) && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&line);
    match text.split_once(' ') {
        Some((MAGIC, VERSION)) => Ok(line.len() as u64 + 1),
        Some((MAGIC, other)) => {
            let why =
                format!("an export of format {other:?}; this weir reads format {VERSION}: use the weir that wrote it");
            Err(refused(path, &why))
        }
        _ => Err(refused(path, "no export of a stage: expected a file that weir stage export has written")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let (from, to) = (Seat { index: 0, of: 1 }, Seat { index: 1, of: 2 });
        let (sinks, jobs, ended) = (Vec::new(), Vec::new(), vec![(JobId(3), Outcome::Finished)]);
        let (forerunners, law) = (Vec::new(), Changes::default());
        Head { id: "7".into(), stack: "weir".into(), from, to, sinks, jobs, ended, forerunners, law }
    }

    fn written(folder: &Path) -> PathBuf {
        let mut writer = Writer::create(folder, &head()).expect("a file");
        writer.record(&[1, 2, 3]).expect("written");
        writer.record(&[4]).expect("written");
        writer.known(9, &[5, 6]).expect("written");
        writer.finish().expect("whole")
    }

    #[test]
    fn a_file_gives_back_what_was_written_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = written(folder.path());
        assert!(path.ends_with("stage-0-of-1.to-stage-1-of-2.weir-slice"), "{path:?}");
        let slice = Slice::open(&path).expect("whole");
        assert_eq!((&slice.head, slice.parts), (&head(), 2));
        let mut parts = Vec::new();
        slice
            .each(&mut |number, part| {
                parts.push((number, part));
                Ok(())
            })
            .expect("read");
        assert_eq!(parts, [(0, Part::Records(vec![3, 1, 2, 3, 1, 4])), (1, Part::Known(9, vec![5, 6]))]);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
    }

    #[test]
    fn every_byte_that_is_changed_missing_or_added_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = written(folder.path());
        let whole = std::fs::read(&path).expect("there");
        let told = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("written");
            Slice::open(&path).err().map(|error| error.to_string()).unwrap_or_default()
        };
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert!(told(&bytes).contains("weir-slice: "), "byte {at} was changed");
            assert!(told(&whole[..at]).contains("weir-slice: "), "cut at {at}");
        }
        assert!(told(&[&whole[..], b"x"].concat()).contains("damaged at byte"));
        let newer = [b"weir-slice 2\n", &whole[13..]].concat();
        assert!(told(&newer).contains("format \"2\"; this weir reads format 1"), "{}", told(&newer));
        assert!(told(b"{}").contains("no export of a stage"));
        assert_eq!(told(&whole), "");
    }
}
