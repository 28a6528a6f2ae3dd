//! The imperative shell: receive, feed the stage, perform its commands, settle receipts.
//!
//! `engine` is pure and decides; `crawl` runs it with threads for the journal, for fetching and for each sink. The same
//! engine runs under the simulation in `tests/sim`.

mod clock;
mod crawl;
mod engine;
mod error;
mod fetchers;
pub mod fetching;
mod figures;
mod group;
mod jobs;
mod journal;
mod opening;
mod record;
mod recover;
mod settings;
mod sinks;
mod state;

pub use clock::SystemClock;
pub use crawl::{CrawlOptions, CrawlReport, Observer, Progress, crawl, notes};
pub use engine::{Action, Engine, EngineConfig, Input};
pub use error::CrawlError;
pub use figures::JobFigures;
pub use jobs::{JobRun, StartSource, StopRule};
pub use settings::{LogLevel, Order, Profile, SettingError, Settings};
