//! the frontier, pure: canonical URLs, dedup, queues, the throttle law, robots.

pub mod address;
pub mod config;
pub mod counters;
pub mod domain;
pub mod job;
pub mod offer;
pub mod out;
pub mod retry;
pub mod robots;
pub mod scope;
pub mod url;

pub use address::{Addr, ChunkId, LiveChunk};
pub use config::{BootInfo, FrontierConfig, LawBook, Limits};
pub use counters::{Counters, JobCounts};
pub use job::{JobSpec, JobTable, Order};
pub use offer::{Candidate, CandidateBatch, Offer, OfferSource, slot_of, slot_of_release};
pub use out::{Budget, Live, LogLine, Out, RobotsAnswer, RobotsOutcome, SettledPage};

/// Virtual slots of a stage: the unit in which domains move between workers.
pub const SLOTS: u8 = 64;
