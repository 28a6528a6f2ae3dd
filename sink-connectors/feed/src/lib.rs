//! Feed files: JSON Lines, JSON and CSV, byte for byte as Scrapy's exporters write them, complete or not there at all.
//!
//! Decides the bytes of a feed (`Exporter`) and when they become `PATH` (`FeedSink`): while the job runs they are in `PATH.part`, each
//! batch synced; the end of the job renames it. Knows no queue and no database.
//!
//! Invariants: `PATH` is complete whenever it is there; a resumed job's part is cut back to the mark; a file of another job is never
//! touched unless the operator said `append` or `overwrite`.

mod cell;
mod charset;
mod export;
mod file;
mod readback;
mod sink;

pub use cell::Cell;
pub use charset::{Charset, OnUnmappable};
pub use export::{ExportOptions, Exporter};
pub use sink::{Existing, FeedSink};
