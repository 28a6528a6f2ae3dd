//! The imperative shell: receive, feed the stage, perform its commands, settle receipts.
//!
//! `engine` is pure and decides; `crawl` runs it with threads for the journal, for fetching and for each sink. The same
//! engine runs under the simulation in `tests/sim`.

mod audit;
mod backfill;
mod clock;
mod compute;
mod crawl;
mod delisting;
mod document;
mod embedded;
mod ending;
mod engine;
mod error;
mod events;
mod exchange;
mod export;
mod fetchers;
pub mod fetching;
mod figures;
mod geocoder;
mod group;
mod io;
mod jobs;
mod journal;
pub mod law;
mod letter_file;
mod letter_pages;
mod letters;
mod opening;
mod packing;
mod record;
mod recover;
pub mod remote;
mod replay;
mod report;
mod settings;
mod sinks;
mod state;
mod stored;
mod telling;

pub use audit::{Audit, AuditOptions, Difference, SinkAudit, audit};
pub use backfill::Backfill;
pub use clock::SystemClock;
pub use compute::{Compute, ComputeOptions, Given};
pub use crawl::{crawl, notes};
pub use document::{Document, JobEntry, MadeBy, SinkEntry};
pub use engine::Engine;
pub use error::CrawlError;
pub use exchange::{Inward, Parcel};
pub use export::{ExportOptions, Exported, export};
pub use figures::JobFigures;
pub use geocoder::{CacheFuture, GeocodeCache, GeocodeOptions};
pub use io::{Action, EngineConfig, Input};
pub use jobs::{JobRun, StartSource, StopRule};
pub use letter_file::{DeadLetters, KeptLetter, LETTERS_FILE};
pub use letter_pages::{PAGES_PREFIX, page_key, page_stage};
pub use letters::{Content, Letter, LetterOp};
pub use report::{CrawlOptions, CrawlReport, Observer, Output, Progress, Replay};
pub use settings::{
    FeedSettings, GeocodeSettings, LogLevel, Order, Profile, ProviderSettings, SettingError, SettingErrors, Settings,
};
