//! Whose a part is: `PATH.part.job` names the job, and the process that writes for it holds a lock on that note.
//!
//! Invariants: at most one process holds a place, from before its part exists until its job has nothing left to do there; only the holder
//! changes note, part and target. The lock goes with the process; the note stays for the one that goes on with the job.

use crate::file::{At, PartNames, remove, sync_folder};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use weir_connector::{ErrorClass, FeedUrl, SinkError};
use weir_model::crash;

/// Each try that fails met a holder who was just leaving.
const TRIES: u32 = 16;

/// A place that this process holds.
#[derive(Debug)]
pub(crate) struct Claim {
    names: PartNames,
    note: File,
}

impl Claim {
    /// Takes a place, or says that another process has it.
    pub fn take(names: &PartNames) -> Result<Claim, SinkError> {
        check_place(&names.target)?;
        if let Some(folder) = names.target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).at("create", folder)?;
        }
        for _ in 0..TRIES {
            crash::point("feed: create note");
            let mut options = OpenOptions::new();
            let note = options.read(true).write(true).create(true).truncate(false).open(&names.note);
            let note = note.at("create", &names.note)?;
            match note.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => break,
                // Some file systems, mostly of networks, have no locks: there the note alone tells jobs apart.
                Err(TryLockError::Error(_)) => {}
            }
            let claim = Claim { names: names.clone(), note };
            // Who held it may have taken the note away since it was opened: then it guards nothing.
            if claim.holds()? {
                return Ok(claim);
            }
        }
        Err(in_use(&names.part))
    }

    /// The note is still the one that its name leads to.
    pub fn holds(&self) -> Result<bool, SinkError> {
        let path = &self.names.note;
        let found = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            result => result.at("look at", path)?,
        };
        let own = self.note.metadata().at("look at", path)?;
        Ok((found.dev(), found.ino()) == (own.dev(), own.ino()))
    }

    /// Notes durably whose the part is.
    pub fn sign(&self, tag: &str) -> Result<(), SinkError> {
        let path = &self.names.note;
        crash::point("feed: write note");
        self.note.set_len(0).at("write", path)?;
        self.note.write_all_at(format!("{tag}\n").as_bytes(), 0).at("write", path)?;
        crash::point("feed: sync note");
        self.note.sync_data().at("sync", path)?;
        sync_folder(path)
    }

    /// Lets the place go as it was: a note that names nobody goes as well.
    pub fn leave(self) {
        if self.note.metadata().is_ok_and(|note| note.len() == 0) {
            // The error that led here is the one to be told; what stays binds nobody.
            let _ = remove(&self.names.note);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Closing alone would leave it to a program that another thread is starting just now, until that has left our files.
        let _ = self.note.unlock();
    }
}

pub(crate) fn in_use(part: &Path) -> SinkError {
    SinkError::new(
        ErrorClass::Configuration,
        "another crawl is writing this feed",
        part.display().to_string(),
        "a feed of its own for each crawl",
        "Name another file with -o, or run the command again when that crawl has ended",
    )
}

/// Refuses what is there and no file: a pipe cannot be cut back to what was confirmed, and nothing can take its place when it is complete.
///
/// # Errors
/// The place is a folder, a pipe, a device, or standard output by another name.
pub fn check_place(target: &Path) -> Result<(), SinkError> {
    match std::fs::metadata(target) {
        Ok(found) if found.is_dir() => Err(SinkError::io("write", target, &io::ErrorKind::IsADirectory.into())),
        Ok(found) if !found.is_file() => Err(FeedUrl::no_stream(&target.display().to_string())),
        _ if is_descriptor(target) => Err(FeedUrl::no_stream(&target.display().to_string())),
        _ => Ok(()),
    }
}

/// Something that the process has open already, which may be a file (`> items.jsonl`) or closed.
fn is_descriptor(path: &Path) -> bool {
    let names = ["/dev/stdin", "/dev/stdout", "/dev/stderr"];
    let in_folder =
        |folder: &Path| folder == Path::new("/dev/fd") || (folder.starts_with("/proc") && folder.ends_with("fd"));
    names.iter().any(|name| path == Path::new(name)) || path.parent().is_some_and(in_folder)
}
