//! the frontier, pure: canonical URLs, dedup, queues, the throttle law, robots.

pub mod address;
pub mod config;
pub mod counters;
pub mod domain;
pub mod frontier;
mod hash;
mod hot;
pub mod job;
pub mod offer;
pub mod out;
pub mod policy;
pub mod prepare;
pub mod queue;
pub mod record;
pub mod retry;
pub mod robots;
pub mod scope;
pub mod seen;
pub mod throttle;
pub mod url;

pub use address::{Addr, ChunkId, LiveChunk};
pub use config::{BootInfo, FrontierConfig, LawBook, Limits};
pub use counters::{Counters, JobCounts};
pub use frontier::Frontier;
pub use job::{JobSpec, JobTable, Order};
pub use offer::{Candidate, CandidateBatch, Offer, OfferSource, slot_of, slot_of_release};
pub use out::{Budget, Live, LogLine, Out, RobotsAnswer, RobotsOutcome, SettledPage};
pub use prepare::{Scratch, prepare};

/// Virtual slots of a stage: the unit in which domains move between workers.
pub const SLOTS: u8 = 64;
