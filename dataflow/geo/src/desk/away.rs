//! Whether a provider is away: different addresses in a row that it did not answer, whatever the reason.
//!
//! Decides when it is tried again, by one call. Knows no address and no law. Not kept over a restart: whoever has repaired it is
//! not to wait.

use crate::config::GeoConfig;
use std::collections::BTreeSet;
use weir_model::Tick;

/// Different addresses in a row without an answer that make a provider away: one may be the address's own fault, two chance.
const ADDRESSES: usize = 3;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Away {
    /// Addresses without an answer since the last answer, by their numbers in the line, until they are enough.
    missed: BTreeSet<u64>,
    /// Pauses since the last answer.
    pauses: u32,
    until: Tick,
}

impl Away {
    pub fn is_away(&self) -> bool {
        self.pauses > 0
    }

    /// It is not asked before this.
    pub fn until(&self) -> Tick {
        self.until
    }

    /// It is there.
    pub fn answered(&mut self) {
        *self = Away::default();
    }

    /// The address with this number was not answered at `now`, by a call that left at `left`.
    pub fn missed(&mut self, now: Tick, left: Tick, number: u64, config: &GeoConfig) {
        if self.is_away() {
            // What was under way when the pause began says nothing new.
            if left < self.until {
                return;
            }
        } else {
            self.missed.insert(number);
            if self.missed.len() < ADDRESSES {
                return;
            }
        }
        self.pauses = self.pauses.saturating_add(1);
        self.until = now.after_us(config.backoff(self.pauses));
    }
}
