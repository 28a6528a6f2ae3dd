//! When a batch closes: by items, by bytes, or by age. Pure; time is an argument.

use std::sync::Arc;
use std::time::Duration;
use weir_model::{Item, Tick};

/// Limits of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Most items.
    pub items_max: usize,
    /// Most bytes (`Item::bytes`); a single larger item makes a batch of its own.
    pub bytes_max: usize,
    /// Longest time that an item waits for others.
    pub wait_max: Duration,
}

impl Default for BatchPolicy {
    fn default() -> Self {
        BatchPolicy { items_max: 2000, bytes_max: 4 << 20, wait_max: Duration::from_millis(100) }
    }
}

/// Gathers items into batches.
#[derive(Debug)]
pub struct Batcher {
    policy: BatchPolicy,
    items: Vec<Arc<Item>>,
    bytes: usize,
    since: Tick,
}

impl Batcher {
    /// An empty one.
    #[must_use]
    pub fn new(policy: BatchPolicy) -> Batcher {
        Batcher { policy, items: Vec::new(), bytes: 0, since: Tick::NEVER }
    }

    /// Adds an item; gives the batch that became full.
    pub fn push(&mut self, item: Arc<Item>, now: Tick) -> Option<Vec<Arc<Item>>> {
        let bytes = item.bytes();
        let full =
            if !self.items.is_empty() && self.bytes + bytes > self.policy.bytes_max { self.take() } else { None };
        if self.items.is_empty() {
            self.since = now;
        }
        self.items.push(item);
        self.bytes += bytes;
        // At most one batch is given a call: one that is full only now is due at once.
        if full.is_none() && self.is_full() { self.take() } else { full }
    }

    /// True when the batch should be taken now.
    #[must_use]
    pub fn is_due(&self, now: Tick) -> bool {
        self.is_full() || now >= self.next_wake()
    }

    /// When the oldest item has waited long enough; `NEVER` when there is none.
    #[must_use]
    pub fn next_wake(&self) -> Tick {
        if self.items.is_empty() { Tick::NEVER } else { self.since.after(self.policy.wait_max) }
    }

    /// What was gathered; `None` when nothing was.
    pub fn take(&mut self) -> Option<Vec<Arc<Item>>> {
        self.bytes = 0;
        self.since = Tick::NEVER;
        if self.items.is_empty() { None } else { Some(std::mem::take(&mut self.items)) }
    }

    /// Items and bytes waiting.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.items.len(), self.bytes)
    }

    fn is_full(&self) -> bool {
        self.items.len() >= self.policy.items_max || self.bytes >= self.policy.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::Value;

    fn item(text: usize) -> Arc<Item> {
        Arc::new(Item { values: vec![Value::Str("x".repeat(text).into())], ..crate::contract::blank_item() })
    }

    #[test]
    fn a_batch_closes_by_count_by_bytes_and_by_age() {
        let mut batcher =
            Batcher::new(BatchPolicy { items_max: 3, bytes_max: 10_000, wait_max: Duration::from_millis(5) });
        assert!(batcher.push(item(1), Tick(0)).is_none());
        assert!(batcher.push(item(1), Tick(1)).is_none());
        assert_eq!(batcher.push(item(1), Tick(2)).map(|b| b.len()), Some(3));
        assert!(batcher.push(item(6000), Tick(10)).is_none());
        assert_eq!(batcher.push(item(6000), Tick(11)).map(|b| b.len()), Some(1), "two would be too many bytes");
        assert_eq!(batcher.next_wake(), Tick(5_011));
        assert!(!batcher.is_due(Tick(5_010)) && batcher.is_due(Tick(5_011)));
        assert_eq!(batcher.push(item(50_000), Tick(12)).map(|b| b.len()), Some(1));
        assert!(batcher.is_due(Tick(12)), "the large one waits for nobody");
        assert_eq!(batcher.take().map(|b| b.len()), Some(1));
        assert_eq!(batcher.next_wake(), Tick::NEVER);
    }
}
