//! A provider's rate, kept by the law code of domains (`weir_frontier::throttle`), and what a snapshot needs of it.
//!
//! Invariant: arrivals of calls, each anywhere between the opening of its slot and its answer, never exceed the provider's hits
//! in any window, across restarts, too.

use crate::config::GeoConfig;
use crate::message::CallId;
use std::collections::BTreeMap;
use weir_frontier::throttle::{Arrival, Throttle};
use weir_frontier::{FrontierConfig, Limits};
use weir_model::{ReleaseId, Tick};

/// A call that still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub not_before: Tick,
    pub hit: Tick,
}

#[derive(Debug)]
pub(crate) struct Law {
    throttle: Throttle,
    config: FrontierConfig,
    window_us: u64,
    past: BTreeMap<CallId, Past>,
}

impl Law {
    pub fn new(limits: Limits, config: &GeoConfig) -> Law {
        let config = FrontierConfig {
            margin_us: config.margin_us,
            slot_us: config.slot_us,
            lookahead_us: 0,
            request_timeout_us: config.call_timeout_us,
            lease_grace_us: config.lease_grace_us,
            ..FrontierConfig::default()
        };
        Law { throttle: Throttle::new(Some(limits)), config, window_us: limits.window_us, past: BTreeMap::new() }
    }

    /// When the next call may leave.
    pub fn next_allowed(&self) -> Tick {
        self.throttle.next_allowed()
    }

    /// A call leaves for the slot that opens at `not_before`; gives its hit.
    pub fn reserve(&mut self, not_before: Tick, call: CallId) -> Tick {
        let hit = self.throttle.reserve(not_before, ReleaseId(call.0), &self.config);
        self.remember(not_before, call, hit);
        hit
    }

    /// As `reserve`, with a hit from the journal or a snapshot.
    pub fn reserve_hit(&mut self, not_before: Tick, call: CallId, hit: Tick) {
        self.throttle.reserve_hit(not_before, ReleaseId(call.0), hit, &self.config);
        self.remember(not_before, call, hit);
    }

    fn remember(&mut self, not_before: Tick, call: CallId, hit: Tick) {
        // What cannot matter at `not_before` any more; an older call that still counts keeps its successors a little longer.
        while let Some(first) =
            self.past.first_entry().filter(|past| past.get().hit.after_us(self.window_us) <= not_before)
        {
            first.remove();
        }
        self.past.insert(call, Past { not_before, hit });
    }

    /// A call has come back at `now`; gives where its hit lies from now on.
    pub fn returned(&mut self, call: CallId, arrival: Arrival, now: Tick) -> Option<Tick> {
        let hit = self.past.get(&call)?.hit;
        let after = self.throttle.answered(ReleaseId(call.0), hit, arrival, now, &self.config);
        self.moved(call, after);
        after
    }

    /// As `returned`, from the journal.
    pub fn move_hit(&mut self, call: CallId, after: Option<Tick>) {
        if let Some(past) = self.past.get(&call) {
            self.throttle.move_hit(ReleaseId(call.0), past.hit, after);
            self.moved(call, after);
        }
    }

    fn moved(&mut self, call: CallId, after: Option<Tick>) {
        match after {
            Some(hit) => {
                if let Some(past) = self.past.get_mut(&call) {
                    past.hit = hit;
                }
            }
            None => {
                self.past.remove(&call);
            }
        }
    }

    /// Calls that may still count, in the order they left.
    pub fn past(&self) -> impl ExactSizeIterator<Item = (CallId, Past)> {
        self.past.iter().map(|(call, past)| (*call, *past))
    }
}
