//! What the frontier is told at start.

use crate::slice::Slice;
use std::fmt;
use std::sync::Arc;
use weir_model::Tick;

/// Who may be asked how often. Laws are asked for once a domain, restart and change, the blacklist once a release.
pub trait LawBook: Send + Sync {
    /// The law of a registered domain; `None`: unlimited.
    fn limits(&self, domain: &str) -> Option<Limits>;
    /// Never to be asked at all; a host under a domain, too.
    fn blacklisted(&self, host: &str) -> bool;
}

/// At most `hits` in any `window_us`, evenly spaced when `moderated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At least 1.
    pub hits: u32,
    /// Microseconds.
    pub window_us: u64,
    /// Even spacing instead of burst and pause.
    pub moderated: bool,
}

/// Everybody unlimited, nobody blacklisted.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLaw;

impl LawBook for NoLaw {
    fn limits(&self, _domain: &str) -> Option<Limits> {
        None
    }
    fn blacklisted(&self, _domain: &str) -> bool {
        false
    }
}

/// Settings of a frontier, equal on all workers.
#[derive(Clone)]
pub struct FrontierConfig {
    /// The policy.
    pub laws: Arc<dyn LawBook>,
    /// Bounds the clocks' difference and a process standing still between check and write. 0 in process.
    pub margin_us: u64,
    /// How long a slot stays open: `not_after = not_before + slot_us`.
    pub slot_us: u64,
    /// How far ahead of its `not_before` a request may be released (a function's idle budget). 0 in process.
    pub lookahead_us: u64,
    /// The longest a request takes from its first byte to its end.
    pub request_timeout_us: u64,
    /// How long past its slot and time-out a release may stay unreported.
    pub lease_grace_us: u64,
    /// How late the driver may wake without costing a moderated domain anything: so much closer than half its spacing two requests
    /// may come.
    pub catch_up_us: u64,
    /// Bytes of recent records kept in memory.
    pub hot_bytes: usize,
    /// Bodies of a domain asked from the store at once.
    pub read_ahead: usize,
    /// Bodies of all domains waiting in memory, at most (each domain may always have one).
    pub heads_max: usize,
    /// URLs of a domain waiting for robots.txt outside their queue.
    pub parked_max: usize,
    /// How long a robots.txt is believed.
    pub robots_ttl_us: u64,
    /// How long an unreachable robots.txt forbids everything.
    pub robots_failure_ttl_us: u64,
    /// Bytes of robots.txt kept, all origins together.
    pub robots_bytes_max: usize,
    /// Crawl-delay honoured at most.
    pub crawl_delay_max_us: u64,
    /// Whether `Out::log` is filled.
    pub log: bool,
    /// The domains of this stage: others' URLs are handed on.
    pub slice: Slice,
}

impl Default for FrontierConfig {
    fn default() -> Self {
        FrontierConfig {
            laws: Arc::new(NoLaw),
            margin_us: 0,
            slot_us: 1_000_000,
            lookahead_us: 0,
            request_timeout_us: 180_000_000,
            lease_grace_us: 60_000_000,
            catch_up_us: 100_000,
            hot_bytes: 8 << 20,
            read_ahead: 64,
            heads_max: 16_384,
            parked_max: 16,
            robots_ttl_us: 24 * 3_600_000_000,
            robots_failure_ttl_us: 3_600_000_000,
            robots_bytes_max: 32 << 20,
            crawl_delay_max_us: 3_600_000_000,
            log: false,
            slice: Slice::ALL,
        }
    }
}

impl FrontierConfig {
    /// Until when a request can arrive that was released without a law by `now`.
    pub(crate) fn latest_arrival(&self, now: Tick) -> Tick {
        now.after_us(self.margin_us + self.lease_grace_us + self.margin_us + self.request_timeout_us)
    }
}

impl fmt::Debug for FrontierConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrontierConfig")
            .field("margin_us", &self.margin_us)
            .field("slot_us", &self.slot_us)
            .field("lookahead_us", &self.lookahead_us)
            .field("request_timeout_us", &self.request_timeout_us)
            .finish_non_exhaustive()
    }
}

/// What makes ids of this process start unique.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootInfo {
    /// How often this state was opened: part of every release id, so greater than at any start before.
    pub epoch: u32,
}
