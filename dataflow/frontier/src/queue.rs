//! The queue of one job at one domain: by priority, then the newest or the oldest first.
//!
//! Decides order only. Holds addresses, 8 bytes a queued URL, in blocks: a queue of millions neither doubles nor moves.
//!
//! Invariant: what was pushed is popped exactly once, unless rewritten away.

use crate::address::Addr;
use crate::job::Order;
use std::collections::VecDeque;

/// Addresses of a block: 4 KiB.
const BLOCK: usize = 512;

/// Addresses in order, grown and freed by the block.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    blocks: VecDeque<Vec<u64>>,
    /// Places of the first block that were taken already.
    taken: usize,
    len: usize,
}

impl Chunks {
    /// Number of addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds at the back.
    pub fn push_back(&mut self, addr: u64) {
        if self.blocks.back().is_none_or(|block| block.len() == BLOCK) {
            let first = self.blocks.is_empty();
            self.blocks.push_back(Vec::with_capacity(if first { 4 } else { BLOCK }));
        }
        self.blocks.back_mut().expect("pushed above").push(addr);
        self.len += 1;
    }

    /// Adds at the front.
    pub fn push_front(&mut self, addr: u64) {
        if self.taken == 0 {
            self.blocks.push_front(vec![0; BLOCK]);
            self.taken = BLOCK;
        }
        self.taken -= 1;
        self.blocks[0][self.taken] = addr;
        self.len += 1;
    }

    /// Takes from the back.
    pub fn pop_back(&mut self) -> Option<u64> {
        self.len = self.len.checked_sub(1)?;
        let addr = self.blocks.back_mut()?.pop();
        self.drop_empty();
        addr
    }

    /// Takes from the front.
    pub fn pop_front(&mut self) -> Option<u64> {
        self.len = self.len.checked_sub(1)?;
        let addr = self.blocks[0][self.taken];
        self.taken += 1;
        self.drop_empty();
        Some(addr)
    }

    fn drop_empty(&mut self) {
        if self.len == 0 {
            self.blocks.clear();
            self.taken = 0;
            return;
        }
        if self.blocks.front().is_some_and(|block| block.len() == self.taken) {
            self.blocks.pop_front();
            self.taken = 0;
        }
        if self.blocks.back().is_some_and(Vec::is_empty) {
            self.blocks.pop_back();
        }
    }

    /// From front to back.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.blocks.iter().flatten().copied().skip(self.taken)
    }

    /// Replaces or removes each address, in one pass, freeing blocks on the way.
    pub fn rewrite(&mut self, mut change: impl FnMut(u64) -> Option<u64>) {
        let old = std::mem::take(self);
        let mut skip = old.taken;
        for block in old.blocks {
            for addr in block.into_iter().skip(std::mem::take(&mut skip)) {
                if let Some(addr) = change(addr) {
                    self.push_back(addr);
                }
            }
        }
    }
}

/// Queued addresses by priority.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// Sorted by priority, the highest last; none is empty.
    levels: Vec<(i16, Chunks)>,
    len: usize,
}

impl Queue {
    /// Number of addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// The highest priority present.
    #[must_use]
    pub fn top(&self) -> Option<i16> {
        self.levels.last().map(|level| level.0)
    }

    fn level(&mut self, priority: i16) -> &mut Chunks {
        let at = match self.levels.binary_search_by_key(&priority, |level| level.0) {
            Ok(at) => at,
            Err(at) => {
                self.levels.insert(at, (priority, Chunks::default()));
                at
            }
        };
        &mut self.levels[at].1
    }

    /// Adds a new address.
    pub fn push(&mut self, addr: Addr, priority: i16) {
        self.level(priority).push_back(addr.0);
        self.len += 1;
    }

    /// Puts back an address that was popped: it is the next of its priority.
    pub fn put_back(&mut self, addr: Addr, priority: i16, order: Order) {
        let level = self.level(priority);
        match order {
            Order::Lifo => level.push_back(addr.0),
            Order::Fifo => level.push_front(addr.0),
        }
        self.len += 1;
    }

    /// Takes the next address.
    pub fn pop(&mut self, order: Order) -> Option<(Addr, i16)> {
        let (priority, level) = self.levels.last_mut()?;
        let priority = *priority;
        let addr = match order {
            Order::Lifo => level.pop_back(),
            Order::Fifo => level.pop_front(),
        };
        if level.is_empty() {
            self.levels.pop();
        }
        self.len -= 1;
        Some((Addr(addr.expect("no level is empty")), priority))
    }

    /// Replaces or removes each address.
    pub fn rewrite(&mut self, mut change: impl FnMut(Addr) -> Option<Addr>) {
        for (_, level) in &mut self.levels {
            level.rewrite(|addr| change(Addr(addr)).map(|addr| addr.0));
        }
        self.levels.retain(|level| !level.1.is_empty());
        self.len = self.levels.iter().map(|level| level.1.len()).sum();
    }

    /// Every level with its addresses in the order in which they were pushed.
    pub fn levels(&self) -> impl Iterator<Item = (i16, &Chunks)> {
        self.levels.iter().map(|level| (level.0, &level.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_chunked_queue_behaves_as_a_deque(steps in prop::collection::vec((0u8..5, 0u64..1_000_000), 0..3000)) {
            let mut chunks = Chunks::default();
            let mut model = VecDeque::new();
            for (step, value) in steps {
                match step {
                    0 | 4 => { chunks.push_back(value); model.push_back(value); }
                    1 => { chunks.push_front(value); model.push_front(value); }
                    2 => prop_assert_eq!(chunks.pop_back(), model.pop_back()),
                    _ => prop_assert_eq!(chunks.pop_front(), model.pop_front()),
                }
                prop_assert_eq!(chunks.len(), model.len());
            }
            prop_assert_eq!(chunks.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            chunks.rewrite(|value| (value % 3 != 0).then_some(value + 1));
            let kept: Vec<u64> = model.iter().filter(|v| **v % 3 != 0).map(|v| v + 1).collect();
            prop_assert_eq!(chunks.iter().collect::<Vec<_>>(), kept);
        }
    }

    #[test]
    fn higher_priority_goes_first_then_the_newest_or_the_oldest() {
        for (order, expected) in [(Order::Lifo, [4, 5, 3, 1, 2]), (Order::Fifo, [4, 1, 3, 5, 2])] {
            let mut queue = Queue::default();
            for (addr, priority) in [(1, 0), (2, -5), (3, 0), (4, 7), (5, 0)] {
                queue.push(Addr(addr), priority);
            }
            let mut popped: Vec<u64> = std::iter::from_fn(|| queue.pop(order)).map(|entry| entry.0.0).collect();
            assert!(queue.is_empty());
            assert_eq!(queue.len(), 0);
            let first = popped[1];
            assert_eq!(popped, expected);
            // What is put back is the next of its priority.
            popped.clear();
            queue.push(Addr(9), 0);
            queue.put_back(Addr(first), 0, order);
            assert_eq!(queue.pop(order), Some((Addr(first), 0)));
        }
    }
}
