//! A place that is no disk of this machine: what a feed needs of it.

use std::fs::File;
use std::path::Path;
use weir_connector::SinkError;

/// Files elsewhere, by name. Calls block; the feed has a thread of its own. A failure that may pass has the class `Transient`.
pub trait Remote: Send {
    /// Where it is, for people; nothing secret in it.
    fn place(&self) -> String;

    /// Whether there is a file of that name. The first call also shows whether account and place are right.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn exists(&mut self, name: &str) -> Result<bool, SinkError>;

    /// Stores a whole file under a name, in place of what may be there: readers see all of it or nothing. Calling it again changes
    /// nothing.
    ///
    /// # Errors
    /// When it is not there, whole and durable.
    fn put(&mut self, name: &str, file: &Path) -> Result<(), SinkError>;

    /// Copies a file from there to the end of an open one here.
    ///
    /// # Errors
    /// When it is not there, or not all of it came.
    fn get(&mut self, name: &str, to: &mut File) -> Result<(), SinkError>;

    /// Takes a file away; one that is gone already is no error.
    ///
    /// # Errors
    /// When it may still be there.
    fn remove(&mut self, name: &str) -> Result<(), SinkError>;
}
