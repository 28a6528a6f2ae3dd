//! What can go wrong with a state directory, said so that a person can act: what, where, expected, what to do.

use crate::{Addr, Disk};
use std::io;

/// An error of the state directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}. {}", hint(source))]
    Io {
        /// File or directory.
        path: String,
        /// `write`, `sync`, `rename`, ...
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes of ours that are not as they were written.
    #[error(
        "{path} is damaged at byte {offset}: expected {expected}, found {found}. Nothing was changed. Restore the state directory from a backup, or start anew with --fresh and another --state"
    )]
    Damaged {
        /// File.
        path: String,
        /// Where in it.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Files that this version did not write.
    #[error(
        "{path} does not belong to a state directory of this version: expected {expected}, found {found}. Nothing was changed. Choose another directory with --state"
    )]
    Foreign {
        /// File or directory.
        path: String,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Another process works on the directory.
    #[error(
        "state directory {path} is in use by process {pid} on {host} since {since}. Wait until it has ended, stop it (kill -INT {pid}), or choose another directory with --state"
    )]
    Owned {
        /// Directory.
        path: String,
        /// Process.
        pid: u32,
        /// Machine.
        host: String,
        /// RFC 3339.
        since: String,
    },
    /// This process may no longer write: its lease ran out before it was renewed, or another owner took over.
    #[error(
        "the lease on state directory {path} is lost: {why}. This process stops, so that two never write at once; run the same command again"
    )]
    LeaseLost {
        /// Directory.
        path: String,
        /// What happened.
        why: String,
    },
    /// An earlier write or sync failed in a way after which nobody knows what the disk holds.
    #[error(
        "the journal in {path} takes no more writes since an earlier failure ({cause}). What was confirmed is safe; run the same command again"
    )]
    Broken {
        /// Directory.
        path: String,
        /// The first failure.
        cause: String,
    },
    /// No kept segment holds this address.
    #[error("no record at lane {} offset {} in {path}: its segment was deleted or it was never written", addr.lane(), addr.offset())]
    UnknownAddress {
        /// Directory.
        path: String,
        /// The address.
        addr: Addr,
    },
    /// A group beyond the limit.
    #[error("a group of {bytes} bytes is over the limit of {max}: close groups earlier")]
    GroupTooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// Whoever is told the records could not use one.
    #[error("{path}: the record at byte {offset} cannot be used: {why}. Nothing was changed")]
    Rejected {
        /// File.
        path: String,
        /// Where.
        offset: u64,
        /// What the reader said.
        why: String,
    },
}

impl StoreError {
    /// True when the disk is full or a quota reached: worth trying again when there is space.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, StoreError::Io { source, .. } if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// True when another process works on the directory.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        matches!(self, StoreError::Owned { .. })
    }
}

/// What to do about an error of the operating system.
fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "The disk is full: make room, then run the same command again; nothing that was confirmed is lost"
        }
        io::ErrorKind::ReadOnlyFilesystem => "The file system is read-only: choose a writable folder with --state",
        io::ErrorKind::PermissionDenied => "Check the owner and mode of the folder, or choose another with --state",
        io::ErrorKind::NotFound => "Was it removed while weir was running?",
        _ => "Check the disk; nothing that was confirmed is lost",
    }
}

/// Names the file in an error of the operating system.
pub(crate) trait At<T> {
    fn at(self, disk: &dyn Disk, name: &str, action: &'static str) -> Result<T, StoreError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, disk: &dyn Disk, name: &str, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { path: disk.path(name), action, source })
    }
}

/// Shows the first bytes of something unexpected.
pub(crate) fn shown(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "the end of the file".to_owned();
    }
    let head = &bytes[..bytes.len().min(16)];
    if head.iter().all(|b| (0x20..0x7f).contains(b)) {
        return format!("{:?}", String::from_utf8_lossy(head));
    }
    let hex: Vec<String> = head.iter().map(|b| format!("{b:02x}")).collect();
    format!("bytes {}", hex.join(" "))
}
