//! The state directory as its owner uses it: open, append, sync, read, snapshot, retain, documents.
//!
//! Take the lease first (`Claim`). Every call blocks for the disk; none waits for anything else.

use crate::document;
use crate::error::At;
use crate::group::LanePart;
use crate::journal::Journal;
use crate::recovery::{Recovery, Report};
use crate::snapshot::{self, SnapshotInfo, SnapshotWriter};
use crate::{Addr, Disk, GroupSeq, StoreError, layout, scan};
use std::ops::Range;
use std::sync::Arc;

/// How a state directory is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Id of the state when the directory is fresh: any number that no other state has.
    pub state_id: u128,
    /// A segment is closed before it grows beyond this.
    pub segment_bytes: u64,
    /// Snapshots kept, at least 1. With 2, a damaged one falls back to the one before and the journal behind it.
    pub snapshots_kept: usize,
    /// Names of files and folders that others may have put into the directory before it was a state (a control socket).
    pub allowed: Vec<String>,
}

impl Options {
    /// Segments of 64 MiB, two snapshots.
    #[must_use]
    pub fn new(state_id: u128) -> Options {
        Options { state_id, segment_bytes: 64 << 20, snapshots_kept: 2, allowed: Vec::new() }
    }
}

/// What a `retain` removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Segments deleted.
    pub segments_removed: usize,
    /// Bytes of them.
    pub bytes_removed: u64,
    /// Segments kept.
    pub segments_kept: usize,
    /// Of these, segments wholly before the oldest kept snapshot: kept for live records only.
    pub segments_kept_for_live: usize,
}

/// An open state directory.
#[derive(Debug)]
pub struct Store {
    journal: Journal,
    /// Snapshots that are whole, ascending.
    snapshots: Vec<GroupSeq>,
    snapshots_kept: usize,
    next_lane: u16,
    bytes_at_snapshot: u64,
}

impl Store {
    /// Opens a directory: refuses what is foreign or damaged, cuts a torn tail, removes unfinished parts.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Store, Recovery), StoreError> {
        let found = layout::survey(&*disk, &options.allowed)?;
        let fresh = found.state_id.is_none();
        let state_id = found.state_id.unwrap_or(options.state_id);
        let scanned = scan::scan(&*disk, state_id, &found.journals)?;
        let chosen = choose_snapshot(&*disk, state_id, &found.snapshots, &scanned)?;
        // From here on the directory is known to be good and is written to.
        for part in &found.parts {
            disk.remove(part).at(&*disk, part, "remove")?;
        }
        if fresh {
            layout::write_state(&*disk, state_id)?;
        }
        let journal = Journal::resume(disk.clone(), state_id, scanned.index, scanned.last, options.segment_bytes)?;
        let base = chosen.seq.unwrap_or_default();
        let segments = journal
            .index
            .segments
            .iter()
            .filter(|(_, segment)| segment.last() > base)
            .map(|(&number, _)| number)
            .collect();
        let report = Report {
            fresh,
            snapshot: chosen.seq,
            last: scanned.last,
            segments: journal.index.segments.len(),
            journal_bytes: journal.index.segments.values().map(|segment| segment.len).sum(),
            torn: scanned.torn,
            fallback: chosen.fallback,
            removed_parts: found.parts,
            other_files: found.others,
        };
        let next_lane = chosen.next_lane.max(journal.index.highest_lane().map_or(0, |lane| lane.wrapping_add(1)));
        let snapshots = found.snapshots.into_iter().filter(|&seq| seq <= base).collect();
        let snapshots_kept = options.snapshots_kept.max(1);
        let store = Store { journal, snapshots, snapshots_kept, next_lane, bytes_at_snapshot: 0 };
        Ok((store, Recovery { disk, state_id, segments, report }))
    }

    /// Lanes that no kept record uses: one for each worker of this process start.
    ///
    /// # Panics
    /// When more are asked for than there are.
    pub fn allocate_lanes(&mut self, count: usize) -> Vec<u16> {
        let mut lanes = Vec::with_capacity(count);
        for _ in 0..=u16::MAX {
            if lanes.len() == count {
                break;
            }
            if !self.journal.index.has_lane(self.next_lane) {
                lanes.push(self.next_lane);
            }
            self.next_lane = self.next_lane.wrapping_add(1);
        }
        assert_eq!(lanes.len(), count, "all 65536 lanes are in use");
        lanes
    }

    /// Appends what the workers wrote as one group: there wholly or not at all. Durable after the next `sync`.
    /// An error leaves the journal as it was; after a full disk the same parts may be tried again.
    ///
    /// # Panics
    /// When a lane occurs twice or does not go on where it stopped.
    pub fn append_group(&mut self, parts: &[LanePart<'_>]) -> Result<GroupSeq, StoreError> {
        self.journal.append(parts)
    }

    /// Makes all appended groups durable; gives the last.
    pub fn sync(&mut self) -> Result<GroupSeq, StoreError> {
        self.journal.sync()
    }

    /// The last group appended.
    #[must_use]
    pub fn last(&self) -> GroupSeq {
        self.journal.last
    }

    /// The last group that is durable.
    #[must_use]
    pub fn durable(&self) -> GroupSeq {
        self.journal.durable
    }

    /// Reads one record's body (without its length) into `into`, which is emptied first.
    pub fn read_at(&mut self, addr: Addr, into: &mut Vec<u8>) -> Result<(), StoreError> {
        into.clear();
        self.journal.read_many(&[addr], &mut |_, bytes| into.extend_from_slice(bytes))
    }

    /// Reads many records' bodies, in the order of their places on disk, each checked. Nothing was given for an unknown address.
    pub fn read_many(&mut self, addrs: &[Addr], each: &mut dyn FnMut(Addr, &[u8])) -> Result<(), StoreError> {
        self.journal.read_many(addrs, each)
    }

    /// Bytes appended since the last snapshot (of this process): what a restart would replay more.
    #[must_use]
    pub fn bytes_since_snapshot(&self) -> u64 {
        self.journal.appended_bytes - self.bytes_at_snapshot
    }

    /// Bytes of all kept segments.
    #[must_use]
    pub fn journal_bytes(&self) -> u64 {
        self.journal.index.segments.values().map(|segment| segment.len).sum()
    }

    /// Begins a snapshot that stands for all groups so far, which are synced first. What is written into it must be the state
    /// after exactly these groups; appending goes on meanwhile.
    pub fn begin_snapshot(&mut self) -> Result<SnapshotWriter, StoreError> {
        let seq = self.journal.sync()?;
        SnapshotWriter::begin(self.journal.disk.clone(), self.journal.state_id, seq, self.next_lane)
    }

    /// Ends a snapshot, makes it the one that the next open uses, and removes those that are too many.
    pub fn install_snapshot(&mut self, writer: SnapshotWriter) -> Result<SnapshotInfo, StoreError> {
        let info = writer.finish()?;
        if self.snapshots.last() != Some(&info.seq) {
            self.snapshots.push(info.seq);
        }
        self.bytes_at_snapshot = self.journal.appended_bytes;
        while self.snapshots.len() > self.snapshots_kept {
            let name = layout::snapshot(self.snapshots[0]);
            self.journal.disk.remove(&name).at(&*self.journal.disk, &name, "remove")?;
            self.snapshots.remove(0);
        }
        Ok(info)
    }

    /// Deletes segments that lie wholly before the oldest kept snapshot and of which `live` says that no record is needed. It is
    /// asked once for each lane of such a segment, with the range of the lane's offsets in it.
    pub fn retain(&mut self, live: &mut dyn FnMut(u16, Range<u64>) -> bool) -> Result<Retained, StoreError> {
        let mut done = Retained::default();
        let full = self.snapshots.len() >= self.snapshots_kept;
        let before = if full { self.snapshots.first().copied().unwrap_or_default() } else { GroupSeq(0) };
        let journal = &mut self.journal;
        let numbers: Vec<u32> = journal.index.segments.keys().copied().collect();
        for number in numbers {
            let segment = &journal.index.segments[&number];
            if number == journal.active || segment.last() > before {
                continue;
            }
            if journal.index.ranges(number).into_iter().any(|(lane, range)| live(lane, range)) {
                done.segments_kept_for_live += 1;
                continue;
            }
            done.bytes_removed += segment.len;
            done.segments_removed += 1;
            let name = layout::journal(number);
            journal.disk.remove(&name).at(&*journal.disk, &name, "remove")?;
            journal.readers.remove(&number);
            journal.index.remove(number);
        }
        if done.segments_removed > 0 {
            journal.disk.sync_dir().at(&*journal.disk, "", "sync")?;
        }
        done.segments_kept = journal.index.segments.len();
        Ok(done)
    }

    /// Replaces a small document atomically; durable when it returns.
    ///
    /// # Panics
    /// When the name has other characters than letters, digits, dot, dash and underscore.
    pub fn put_document(&mut self, name: &str, body: &[u8]) -> Result<(), StoreError> {
        assert!(layout::valid_document_name(name), "{name:?} is no name of a document");
        document::replace(&*self.journal.disk, &layout::document_file(name), &document::encode("doc", body))
    }

    /// Reads a document; `None` when it was never put.
    pub fn get_document(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Store::peek_document(&*self.journal.disk, name)
    }

    /// Reads a document of a directory without opening it: also while another process owns it.
    pub fn peek_document(disk: &dyn Disk, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let file = layout::document_file(name);
        let Some(content) = document::read_whole(disk, &file)? else { return Ok(None) };
        Ok(Some(document::decode(disk, &file, "doc", &content)?.to_vec()))
    }

    /// Names of all documents, sorted.
    pub fn documents(&self) -> Result<Vec<String>, StoreError> {
        let names = self.journal.disk.names().at(&*self.journal.disk, "", "list")?;
        Ok(names
            .iter()
            .filter_map(|name| if let layout::Kind::Document(doc) = layout::kind(name) { Some(doc) } else { None })
            .collect())
    }

    /// Removes a document, if it is there.
    pub fn remove_document(&mut self, name: &str) -> Result<(), StoreError> {
        let file = layout::document_file(name);
        match self.journal.disk.remove(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result.at(&*self.journal.disk, &file, "remove"),
        }?;
        self.journal.disk.sync_dir().at(&*self.journal.disk, "", "sync")
    }

    /// Ends with an empty group, which proves to the next open that everything before it was durable: after a clean end any
    /// damage is told from a torn write.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.journal.sync()?;
        self.journal.append(&[])?;
        self.journal.sync()?;
        Ok(())
    }
}

struct Chosen {
    seq: Option<GroupSeq>,
    next_lane: u16,
    fallback: Option<String>,
}

/// The newest whole snapshot. An older one, or none, only when the journal behind it is complete, and never silently.
fn choose_snapshot(
    disk: &dyn Disk,
    state_id: u128,
    snapshots: &[GroupSeq],
    scanned: &scan::Scanned,
) -> Result<Chosen, StoreError> {
    let mut fallback: Option<StoreError> = None;
    for seq in snapshots.iter().rev().copied().map(Some).chain([None]) {
        let base = seq.unwrap_or_default();
        let header = seq.map(|seq| snapshot::read(disk, state_id, seq, &mut |_| Ok(()))).transpose();
        let complete = complete_from(disk, base, scanned);
        match (header, complete, fallback.take()) {
            (Ok(header), Ok(()), failed) => {
                let next_lane = header.map_or(0, |header| header.next_lane);
                return Ok(Chosen { seq, next_lane, fallback: failed.map(|error| error.to_string()) });
            }
            // Damage is told as it was found first.
            (Ok(_), Err(_), Some(first)) => return Err(first),
            (Ok(_), Err(missing), None) => return Err(missing),
            (Err(error @ StoreError::Damaged { .. }), _, first) => fallback = Some(first.unwrap_or(error)),
            (Err(error), _, _) => return Err(error),
        }
    }
    unreachable!("the last candidate is none at all, which is returned or refused")
}

/// All groups behind `base` are there.
fn complete_from(disk: &dyn Disk, base: GroupSeq, scanned: &scan::Scanned) -> Result<(), StoreError> {
    let missing = |from: GroupSeq, to: GroupSeq, file: String| StoreError::Damaged {
        path: disk.path(&file),
        offset: 0,
        expected: format!("groups {} to {}", from.0, to.0),
        found: "no file that holds them".to_owned(),
    };
    if let Some(&(from, to, number)) = scanned.gaps.iter().find(|(_, to, _)| *to > base) {
        return Err(missing(from, to, layout::journal(number)));
    }
    if scanned.last < base {
        // The snapshot holds more than the journal: it is the journal that was cut, or is an older copy.
        let last = scanned.index.segments.keys().next_back();
        let file = last.map_or_else(|| layout::snapshot(base), |&number| layout::journal(number));
        return Err(missing(GroupSeq(scanned.last.0 + 1), base, file));
    }
    Ok(())
}
