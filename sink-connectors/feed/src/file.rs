//! The files of a feed's part: `PATH` (complete or not there), `PATH.part` (while it is written), `PATH.part.job` (whose part it is),
//! and `PATH.part.done` (what an end was made of that cannot be taken back: kept until the state knows of the end).
//!
//! Who writes holds the place (`claim`). Invariants: the part is cut back to the committed length after a failed write and on resuming; the
//! note of whose part it is is durable before the part exists. Every create, write, sync, truncation, rename and removal passes a crash point.

use crate::claim::{Claim, in_use};
use crate::sink::Existing;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use weir_connector::{Compression, ErrorClass, SinkError};
use weir_model::crash;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes before the committed length that a mark remembers by their hash.
const TAIL: u64 = 4096;

/// An open part.
#[derive(Debug)]
pub(crate) struct PartFile {
    names: PartNames,
    file: File,
    /// Bytes that are durable and confirmed.
    pub len: u64,
}

/// The names of a part's files.
#[derive(Clone, Debug)]
pub(crate) struct PartNames {
    pub target: PathBuf,
    pub part: PathBuf,
    pub note: PathBuf,
    done: PathBuf,
    /// The part becomes `target` by its renaming; otherwise `target`, or what lies elsewhere, is made of it.
    direct: bool,
}

impl PartNames {
    pub fn new(target: &Path, direct: bool) -> PartNames {
        PartNames {
            target: target.to_owned(),
            part: beside(target, ".part"),
            note: beside(target, ".part.job"),
            done: beside(target, ".part.done"),
            direct,
        }
    }

    /// Another file beside the part.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        beside(&self.target, suffix)
    }

    /// The part waits to be completed.
    pub fn is_waiting(&self) -> Result<bool, SinkError> {
        Ok(length(&self.part)?.is_some())
    }

    /// The part is complete at its target.
    pub fn is_complete(&self) -> Result<bool, SinkError> {
        Ok(length(&self.target)?.is_some())
    }

    /// True when a job has noted that the part is its own: the target, if there is one, was made by it, or is what it keeps or replaces.
    pub fn is_of(&self, tag: &str) -> Result<bool, SinkError> {
        Ok(self.owner()?.is_some_and(|owner| owner == tag))
    }

    /// The job that has noted that the part is its own.
    fn owner(&self) -> Result<Option<String>, SinkError> {
        match std::fs::read_to_string(&self.note) {
            Ok(text) => Ok(Some(text.trim_end().to_owned()).filter(|owner| !owner.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SinkError::io("read", &self.note, &error)),
        }
    }

    /// The complete part becomes its target; `keep` whose it is.
    pub fn rename_to_target(&self, keep: bool) -> Result<(), SinkError> {
        rename(&self.part, &self.target)?;
        if keep { Ok(()) } else { self.remove_note() }
    }

    /// What `target` was made of, is kept or goes.
    pub fn put_aside(&self, keep: bool) -> Result<(), SinkError> {
        if keep {
            return rename(&self.part, &self.done);
        }
        remove(&self.part)?;
        self.remove_note()
    }

    /// Takes away what the end of the last part kept.
    pub fn forget(&self) -> Result<(), SinkError> {
        remove(&self.done)?;
        self.remove_note()
    }

    /// Takes away a part of this job that was never confirmed; false when there is none.
    pub fn discard(&self, tag: &str) -> Result<bool, SinkError> {
        if !self.is_of(tag)? {
            return Ok(false);
        }
        remove(&self.part)?;
        self.remove_note()?;
        Ok(true)
    }

    fn remove_note(&self) -> Result<(), SinkError> {
        remove(&self.note)
    }
}

/// Renames durably.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), SinkError> {
    crash::point("feed: rename");
    std::fs::rename(from, to).at("rename", from)?;
    sync_folder(to)
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> Result<(), SinkError> {
    crash::point("feed: remove");
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SinkError::io("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Where a job stopped, as far as the file knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub len: u64,
    pub tail: u64,
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(crate) trait At<T> {
    fn at(self, action: &str, path: &Path) -> Result<T, SinkError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &str, path: &Path) -> Result<T, SinkError> {
        self.map_err(|error| SinkError::io(action, path, &error))
    }
}

impl PartFile {
    /// A part for a job that has confirmed nothing yet. Gives true when it begins behind content to be kept (`append`).
    pub fn begin(
        names: PartNames,
        claim: &Claim,
        tag: &str,
        existing: Existing,
    ) -> Result<(PartFile, bool), SinkError> {
        let PartNames { target, part, note: _, done, direct } = &names;
        let occupied = |path: &Path, what: &str, expected: &str, todo: &str| {
            SinkError::new(ErrorClass::Configuration, what, path.display().to_string(), expected, todo)
        };
        let owner = names.owner()?;
        let ours = owner.as_deref() == Some(tag);
        let part_len = length(part)?;
        if ours && existing == Existing::Refuse && !(*direct && part_len.is_some()) && names.is_complete()? {
            // Of this job, which completed it without an item, so without a mark, and was killed before its end was written down.
            if *direct {
                rename(target, part)?;
            } else {
                remove(target)?;
            }
        }
        // Also before its first item: the job that is named there means to go on in it.
        if existing != Existing::Overwrite && !ours && part_len.is_some_and(|len| len > 0 || owner.is_some()) {
            return Err(occupied(
                part,
                "belongs to an unfinished job",
                "no such file, or --overwrite",
                "Resume that job with its --state, name another file, or give --overwrite",
            ));
        }
        let kept = length(target)?;
        if existing == Existing::Refuse && kept.is_some() {
            return Err(occupied(
                target,
                "the feed exists already, from another job",
                "no such file, or --append or --overwrite",
                "Name another file with -o, or give --append or --overwrite",
            ));
        }
        if !ours {
            claim.sign(tag)?;
        }
        // Of a job that was killed after its end was written down.
        remove(done)?;
        let is_new = length(part)?.is_none();
        crash::point("feed: create");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).create_new(is_new);
        let file = match options.open(part) {
            // Where the file system has no locks.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(in_use(part)),
            result => result.at("create", part)?,
        };
        let mut opened = PartFile { names, file, len: 0 };
        let append = existing == Existing::Append && kept.is_some_and(|len| len > 0);
        if append {
            opened.copy_from_target()?;
        }
        opened.sync()?;
        sync_folder(&opened.names.target)?;
        Ok((opened, append))
    }

    /// The part of a job that stopped at `position`; taken back from where it went when the process died after completing it.
    pub fn resume(names: PartNames, claim: &Claim, tag: &str, position: Position) -> Result<PartFile, SinkError> {
        let PartNames { target, part, note: _, done, direct } = &names;
        let ours = names.is_of(tag)?;
        let gone = if *direct { target } else { done };
        let at = if ours && length(part)?.is_some() { part } else { gone };
        let not_ours = |found: &str| {
            SinkError::new(
                ErrorClass::Configuration,
                format!("this is not the feed that the job wrote so far: {found}"),
                at.display().to_string(),
                format!("the {} bytes that were confirmed", position.len),
                "Put the file back, or give --fresh to begin the job anew",
            )
        };
        let file = match OpenOptions::new().read(true).write(true).open(at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(not_ours("it is gone")),
            result => result.at("open", at)?,
        };
        if file.metadata().at("read", at)?.len() < position.len {
            return Err(not_ours("it is shorter"));
        }
        if tail_hash(&file, position.len).at("read", at)? != position.tail {
            return Err(not_ours("its end differs"));
        }
        if at == gone {
            if length(part)?.is_some_and(|len| len > 0) {
                return Err(not_ours("another job is writing beside it"));
            }
            claim.sign(tag)?;
            rename(gone, part)?;
        }
        if !direct {
            // What was made of it is not all of it any more.
            remove(target)?;
        }
        let opened = PartFile { names, file, len: position.len };
        opened.cut()?;
        opened.sync()?;
        sync_folder(&opened.names.target)?;
        Ok(opened)
    }

    /// Appends and makes durable. After an error the part is as it was before.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        crash::point("feed: write");
        if let Err(error) = self.file.write_all_at(bytes, self.len) {
            self.cut()?;
            return Err(SinkError::io("write", &self.names.part, &error));
        }
        self.sync()?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Where the job stands.
    pub fn position(&self) -> Result<Position, SinkError> {
        Ok(Position { len: self.len, tail: tail_hash(&self.file, self.len).at("read", &self.names.part)? })
    }

    fn copy_from_target(&mut self) -> Result<(), SinkError> {
        let source = File::open(&self.names.target).at("open", &self.names.target)?;
        let mut buffer = vec![0; 1 << 20];
        let mut last = b'\n';
        let plain = Compression::of(&self.names.target.to_string_lossy()).0 == Compression::None;
        loop {
            let count = match source.read_at(&mut buffer, self.len) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.at("read", &self.names.target)?,
            };
            if count == 0 {
                break;
            }
            crash::point("feed: copy");
            self.file.write_all_at(&buffer[..count], self.len).at("write", &self.names.part)?;
            self.len += count as u64;
            last = buffer[count - 1];
        }
        if plain && last != b'\n' {
            self.file.write_all_at(b"\n", self.len).at("write", &self.names.part)?;
            self.len += 1;
        }
        Ok(())
    }

    fn cut(&self) -> Result<(), SinkError> {
        crash::point("feed: truncate");
        self.file.set_len(self.len).at("truncate", &self.names.part)
    }

    fn sync(&self) -> Result<(), SinkError> {
        crash::point("feed: sync");
        // After a failed sync nobody knows what the disk holds: not to be tried again in this process.
        self.file.sync_data().map_err(|error| SinkError {
            class: ErrorClass::Permanent,
            ..SinkError::io("sync", &self.names.part, &error)
        })
    }
}

fn length(path: &Path) -> Result<Option<u64>, SinkError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SinkError::io("look at", path, &error)),
    }
}

/// Makes names in the file's folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), SinkError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    crash::point("feed: sync folder");
    File::open(folder).and_then(|folder| folder.sync_all()).at("sync", folder)
}

fn tail_hash(file: &File, len: u64) -> io::Result<u64> {
    let start = len.saturating_sub(TAIL);
    let mut tail = vec![0; (len - start) as usize];
    file.read_exact_at(&mut tail, start)?;
    Ok(xxh3_64(&tail))
}
