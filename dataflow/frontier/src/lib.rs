//! The frontier, pure: canonical URLs, scope, dedup, domain queues, the throttle law, robots.txt, retries.
//!
//! Decides which request may be made when, and how each URL ends. It is told the time and does no I/O: what must survive a crash it
//! writes as records into `Out::journal`, what it needs from outside it asks for in `Out`. One `Frontier` a worker owns the slots
//! `slot % workers == worker`; whatever concerns a domain goes to the owner of its slot.
//!
//! The way of a URL: `prepare` (any worker: canonical form, fingerprint, scope, record) -> `Frontier::admit` (its owner: dedup,
//! queue) -> `release_due` (its turn, its domain's law, robots.txt) -> `settle` (verdict, retry, redirect, links).

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
pub mod slice;
pub mod throttle;
pub mod url;

pub use address::{Addr, ChunkId, LiveChunk};
pub use config::{BootInfo, FrontierConfig, LawBook, Limits};
pub use counters::{Counters, JobCounts};
pub use frontier::Frontier;
pub use frontier::law::DomainLaw;
pub use frontier::moving::{LoadBodies, TakeRecord};
pub use job::{ComputeStep, GeocodeField, JobSpec, JobTable, Order};
pub use offer::{Candidate, CandidateBatch, Offer, OfferSource, slot_of, slot_of_release};
pub use out::{Budget, DeadRequest, Live, LogLine, Out, RobotsAnswer, RobotsOutcome, SettledPage};
pub use prepare::{Elsewhere, Scratch, prepare};
pub use slice::Slice;

/// Virtual slots of a stage: the unit in which domains move between workers.
pub const SLOTS: u8 = 64;
