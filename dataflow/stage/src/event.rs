//! What goes into a step and what comes out of it: events in, commands out.
//!
//! Invariant: a step's journal parts and its commands belong together. The parts must be durable before a release of a
//! domain with a law leaves, before an item is written, before a geocode provider is asked and before a receipt is settled.

use crate::compute::{Computed, Computing};
use crate::geocode::Left;
use crate::items::{Delisted, ItemCounts, OutboxId, OutboxItem, SeenElsewhere, SinkVerdict};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_frontier::{Addr, Counters, DeadRequest, Elsewhere, Live, LogLine, Offer};
use weir_geo::GeoCounts;
use weir_model::{ExtractionNote, Item, JobId, Release, ReleaseId, Report, SinkId, Tick};

/// What happened outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// Start URLs (links of pages never come this way: they are found in reports).
    Offer(Offer),
    /// A function reports one release.
    Report(Box<Report>),
    /// What a robots.txt on another domain turned out to be (the stage's own: left over from the step before).
    Robots(weir_frontier::RobotsAnswer),
    /// A sink has settled an item.
    Written {
        /// Which sink.
        sink: SinkId,
        /// Which item.
        id: OutboxId,
        /// How.
        verdict: SinkVerdict,
    },
    /// A sink has refused an item.
    Refused {
        /// Which sink.
        sink: SinkId,
        /// Which item.
        id: OutboxId,
        /// Why, as a person reads it.
        reason: Box<str>,
    },
    /// A dead letter's item is to be written again.
    Again(Box<Again>),
    /// An item that a sink holds without its location: it begins with the geocoder.
    Locate(Box<Again>),
    /// A sink has marked listings as gone.
    Delisted(Box<Delisted>),
    /// Another stage has seen listings that this one knew.
    SeenElsewhere(Box<SeenElsewhere>),
    /// A computation has ended.
    Computed(Box<Computed>),
    /// A geocode provider or cache has answered.
    Geo(weir_geo::Event),
    /// What the step before has left (the stage's own).
    Left(LeftOver),
}

/// An item that is written again: it counts as a page of its job with this one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Again {
    /// A number that no release has or will have.
    pub page: ReleaseId,
    /// The item, of a job that is open.
    pub item: Item,
    /// To these sinks of the job, as far as they do not hold it.
    pub sinks: u32,
    /// Computations failed on it: it begins with them once more. Otherwise nothing of it changes on its way to the sinks.
    pub computes: bool,
}

/// What goes to the dead letters.
#[derive(Clone, Debug, PartialEq)]
pub enum Poison {
    /// An item that a sink refused.
    Item {
        /// Which sink.
        sink: SinkId,
        /// The item.
        item: Arc<Item>,
        /// Why, as a person reads it; may be empty.
        reason: Box<str>,
    },
    /// An item that a computation failed on.
    Uncomputed {
        /// Which computation.
        by: Box<str>,
        /// The item as it came to it.
        item: Arc<Item>,
        /// Why, as a person reads it.
        reason: Box<str>,
    },
    /// A request that was given up.
    Request(Box<DeadRequest>),
}

/// What a step leaves for the next one: the stage's own.
#[derive(Clone, Debug)]
pub struct LeftOver(pub(crate) Left);

/// Record bytes of one worker in one step, for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneBytes {
    /// The worker's lane.
    pub lane: u16,
    /// Bytes written to the lane before these.
    pub offset: u64,
    /// Records, back to back.
    pub bytes: Vec<u8>,
}

/// What is alive of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobLive {
    /// URLs in the frontier.
    pub urls: Live,
    /// Fetched pages whose items are on their way to the sinks.
    pub pages: u64,
}

impl JobLive {
    /// URLs without a verdict.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.urls.total() + self.pages
    }

    pub(crate) fn add(&mut self, other: &JobLive) {
        self.urls.queued += other.urls.queued;
        self.urls.leased += other.urls.leased;
        self.urls.delayed += other.urls.delayed;
        self.urls.parked += other.urls.parked;
        self.pages += other.pages;
    }
}

/// Commands and figures of one step, of all workers.
#[derive(Debug, Default)]
pub struct Step {
    /// To be appended to the journal as one group.
    pub journal: Vec<LaneBytes>,
    /// Requests that may be made once the step is durable.
    pub releases: Vec<Release>,
    /// Requests that may be made at once.
    pub free: Vec<Release>,
    /// Requests that may be made, each in a message of its own.
    pub alone: Vec<Release>,
    /// Bodies to read back, with the worker that asks.
    pub loads: Vec<(usize, Addr)>,
    /// Items to write.
    pub writes: Vec<OutboxItem>,
    /// What went wrong for good: durable with the step.
    pub poison: Vec<Poison>,
    /// What is to be computed: may begin at once.
    pub computes: Vec<Computing>,
    /// What the geocoder wants: cache requests may leave at once, calls when the step is durable.
    pub geo: Vec<weir_geo::Command>,
    /// Counters of geocoding by job: what changed. What concerns no job is under `JobId(0)`.
    pub geo_counts: BTreeMap<JobId, GeoCounts>,
    /// What the operator should know of geocode providers.
    pub geo_notices: Vec<weir_geo::Notice>,
    /// URL counters: what changed.
    pub counters: Counters,
    /// Item counters by job: what changed.
    pub items: BTreeMap<JobId, ItemCounts>,
    /// Counted remarks of extraction.
    pub notes: Vec<(JobId, ExtractionNote)>,
    /// URLs that other stages own: to be handed on.
    pub elsewhere: Vec<Elsewhere>,
    /// Lines of the crawl log, when enabled.
    pub log: Vec<LogLine>,
    /// What is alive of each open job.
    pub live: BTreeMap<JobId, JobLive>,
    /// Bytes that wait in the outbox, for a computation or for a location.
    pub outbox_bytes: usize,
    /// Of these, bytes that wait for a computation or a location.
    pub waiting_bytes: usize,
    /// Items that wait for a computation.
    pub computing: usize,
    /// Requests that are released and neither reported nor lost.
    pub in_flight: usize,
    /// Domains that may have more to release, over what this step might.
    pub ready: usize,
    /// When the stage wants to be stepped again even if nothing happens.
    pub next_wake: Tick,
}
