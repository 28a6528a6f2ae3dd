//! Feed files: JSON Lines, JSON, CSV and XML, byte for byte as Scrapy's exporters write them, and Parquet; compressed, in parts, here or
//! elsewhere; complete or not there at all.
//!
//! Decides the bytes of a feed (`Exporter`), its names (`Template`) and when they become visible (`FeedSink`): while the job runs they are
//! in `PATH.part`, each batch synced; the end of the part renames it, or stores it elsewhere (`Remote`). Knows no queue and no database.
//!
//! Invariants: `PATH` is complete whenever it is there; a resumed job's part is cut back to the mark; a part of several is visible only
//! when the state keeps a mark behind it, and then never changes; a file of another job is never touched unless the operator said
//! `append` or `overwrite`, and not even then while that job is running (`claim`).

mod cell;
mod charset;
mod claim;
mod compress;
mod export;
mod file;
mod ftp;
mod header;
mod mark;
mod name;
mod parquet;
mod part;
mod readback;
mod remote;
mod sink;
mod xml;

pub use cell::Cell;
pub use charset::{Charset, OnUnmappable};
pub use claim::check_place;
pub use export::{ExportOptions, Exporter};
pub use ftp::{FtpRemote, FtpServer};
pub use name::Template;
pub use remote::Remote;
pub use sink::{Existing, FeedSink, PartLimits};
