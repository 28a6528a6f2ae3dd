//! What a frontier asks of the world in one step.

use crate::address::Addr;
use crate::counters::Counters;
use crate::offer::Offer;
use std::sync::Arc;
use weir_model::{ExtractionNote, FailureClass, Item, JobId, Reason, Release, ReleaseId, Request, Tick};

/// All effects of a step, in the order they were decided. The caller drains it and hands it in again.
#[derive(Debug, Default)]
pub struct Out {
    /// Records of this step, back to back. The stage may append its own (types 64 and up). Before the next step the caller calls
    /// `Frontier::end_step`, hands these bytes to the store as they are, and clears them.
    pub journal: Vec<u8>,
    /// Requests that may be made once this step is durable: they count against a law.
    pub releases: Vec<Release>,
    /// Requests of domains without a law: they may leave at once, and after a crash they are simply released again.
    pub free: Vec<Release>,
    /// Requests that may be made, each in a message of its own: their lease was lost before.
    pub alone: Vec<Release>,
    /// Bodies to read back: each comes back by `Frontier::loaded`.
    pub loads: Vec<Addr>,
    /// Links of settled pages and redirect targets: to `prepare`, in the same step.
    pub offers: Vec<Offer>,
    /// Settled pages that hold items: on to the item stage.
    pub pages: Vec<SettledPage>,
    /// Counted remarks of pages without items (those of the others are in `pages`).
    pub notes: Vec<(JobId, ExtractionNote)>,
    /// Answers to robots.txt of a domain that another slot may own: to `Frontier::robots_answer` of `answer.slot`, in the same step;
    /// those that `release_due` adds (a lost lease) in the next.
    pub robots: Vec<RobotsAnswer>,
    /// Requests for pages that were given up for good: for the dead letters.
    pub dead: Vec<DeadRequest>,
    /// What was counted in this step.
    pub counters: Counters,
    /// Lines of the crawl log, when enabled.
    pub log: Vec<LogLine>,
}

/// A fetched page with items (at least one). Its URL is `pending` until `Frontier::count_verdict` is called for it.
#[derive(Clone, Debug, PartialEq)]
pub struct SettledPage {
    /// The job.
    pub job: JobId,
    /// The release that fetched it.
    pub release: ReleaseId,
    /// The page.
    pub url: Arc<str>,
    /// HTTP status.
    pub status: u16,
    /// Start of the fetch.
    pub started_at: Tick,
    /// What was extracted.
    pub items: Vec<Item>,
    /// Counted remarks.
    pub notes: Vec<ExtractionNote>,
}

/// A request for a page whose verdict is a dead letter (`Reason::is_dead_letter`).
#[derive(Clone, Debug, PartialEq)]
pub struct DeadRequest {
    /// The job.
    pub job: JobId,
    /// As it was last made.
    pub request: Request,
    /// Its verdict.
    pub reason: Reason,
    /// What happened, as a person reads it.
    pub detail: Box<str>,
}

/// What robots.txt of an origin turned out to be, found on another domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RobotsAnswer {
    /// The slot of the origin's domain.
    pub slot: u8,
    /// The job that asked.
    pub job: JobId,
    /// The origin's robots.txt.
    pub url: Box<str>,
    /// What it said.
    pub outcome: RobotsOutcome,
}

/// What asking for a robots.txt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RobotsOutcome {
    /// 2xx: these rules.
    Rules(Box<[u8]>),
    /// 4xx, or too many redirects: no rules.
    Missing,
    /// 5xx or 429, to the end of the retries.
    ServerError,
    /// No answer, to the end of the retries.
    Unreachable(FailureClass),
}

/// A line of the crawl log, for people. URLs carry no userinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLine {
    /// An answer was taken.
    Crawled {
        /// HTTP status.
        status: u16,
        /// The page.
        url: Box<str>,
        /// The page that led there.
        referer: Option<Box<str>>,
    },
    /// A redirect was taken.
    Redirecting {
        /// HTTP status.
        status: u16,
        /// From.
        url: Box<str>,
        /// To.
        target: Box<str>,
    },
    /// A failed attempt will be repeated.
    Retrying {
        /// The page.
        url: Box<str>,
        /// Failed attempts so far.
        attempts: u8,
        /// Why, as a person reads it.
        reason: Box<str>,
    },
    /// Decided against, or given up.
    Rejected {
        /// The reason's name and counter.
        reason: Reason,
        /// The URL.
        url: Box<str>,
        /// More, as a person reads it; may be empty.
        detail: Box<str>,
    },
}

/// How much may be released now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Requests, at most.
    pub requests: usize,
}

/// URLs of a job that have no verdict yet, on this worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// In a queue.
    pub queued: u64,
    /// Released, not yet reported.
    pub leased: u64,
    /// Waiting for a back-off.
    pub delayed: u64,
    /// Waiting for a robots.txt.
    pub parked: u64,
}

impl Live {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.queued + self.leased + self.delayed + self.parked
    }
}
