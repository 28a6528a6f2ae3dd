//! SQLite's errors in the words of a sink: class, what was expected, what to do.

use rusqlite::ErrorCode;
use std::path::Path;
use weir_connector::{ErrorClass, SinkError};

/// Names the file and the action in an error of SQLite.
pub(crate) trait At<T> {
    fn at(self, action: &str, path: &Path) -> Result<T, SinkError>;
}

impl<T> At<T> for rusqlite::Result<T> {
    fn at(self, action: &str, path: &Path) -> Result<T, SinkError> {
        self.map_err(|error| sink_error(action, path, &error))
    }
}

fn sink_error(action: &str, path: &Path, error: &rusqlite::Error) -> SinkError {
    use ErrorClass::{Configuration, Permanent, Transient};
    let (class, expected, todo) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            (Transient, "free space", "Make room; the crawl goes on by itself, or run the same command again")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Transient,
            "a database that no other program is writing to",
            "End the other program's transaction; it is tried again",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => (
            Configuration,
            "a file in a folder that may be written to",
            "Make the folder, change its owner or mode, or choose another path with -o sqlite:PATH",
        ),
        Some(ErrorCode::NotADatabase) => {
            (Configuration, "a SQLite database", "Choose another path with -o sqlite:PATH; nothing was changed")
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            (Permanent, "an undamaged database", "Restore it from a backup, or write to a new file with --fresh")
        }
        _ => (Permanent, "a working database", "Check the disk, then run the same command again"),
    };
    SinkError::new(class, format!("cannot {action} ({error})"), path.display().to_string(), expected, todo)
}
