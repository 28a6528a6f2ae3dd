//! Which fingerprints were admitted: one set a slot and job.
//!
//! Decides membership only. A set costs at most 16 bytes of memory an entry, peak included: open addressing in plain arrays, many
//! shards that grow one at a time and at different sizes, growth by a quarter, and no second copy of more than one shard.
//!
//! Invariants: `insert` is true exactly once a fingerprint; an entry is never lost by growth.

/// Entries up to which a set is one array.
const SINGLE_MAX: usize = 16_384;
const SHARDS: usize = 64;
/// Load at which an array grows, in 1/64: 0.86.
const LOAD: usize = 55;

/// A set of 64-bit fingerprints.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    shards: Vec<Shard>,
    len: usize,
    /// Zero marks an empty place, so the fingerprint zero is kept here.
    zero: bool,
}

impl Seen {
    /// Adds a fingerprint; false when it was there.
    pub fn insert(&mut self, fingerprint: u64) -> bool {
        if fingerprint == 0 {
            self.len += usize::from(!self.zero);
            return !std::mem::replace(&mut self.zero, true);
        }
        if self.len >= SINGLE_MAX && self.shards.len() == 1 {
            self.split();
        }
        let shard = match self.shards.len() {
            0 => {
                self.shards.push(Shard::default());
                0
            }
            1 => 0,
            _ => fingerprint as usize % SHARDS,
        };
        let added = self.shards[shard].insert(fingerprint);
        self.len += usize::from(added);
        added
    }

    /// Whether a fingerprint was added.
    #[must_use]
    pub fn contains(&self, fingerprint: u64) -> bool {
        match (fingerprint, self.shards.len()) {
            (0, _) => self.zero,
            (_, 0) => false,
            (_, 1) => self.shards[0].contains(fingerprint),
            _ => self.shards[fingerprint as usize % SHARDS].contains(fingerprint),
        }
    }

    /// Number of fingerprints.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the arrays.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.table.capacity() * 8).sum()
    }

    /// All fingerprints, shard by shard.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let stored = self.shards.iter().flat_map(|shard| shard.table.iter().copied().filter(|entry| *entry != 0));
        self.zero.then_some(0).into_iter().chain(stored)
    }

    /// Makes room for `total` entries in all, so that a stored set comes back without growing.
    ///
    /// Stored sets come in the order of their arrays. Put into an array that is still too small for all, they would fill its
    /// beginning only, and every look-up would walk through it.
    pub fn reserve(&mut self, total: usize) {
        if total >= SINGLE_MAX && self.shards.len() <= 1 {
            self.split();
        }
        let each = total / self.shards.len().max(1);
        for (index, shard) in self.shards.iter_mut().enumerate() {
            shard.grow_to(capacity_for(each) + stagger(capacity_for(each), index));
        }
    }

    fn split(&mut self) {
        let old = std::mem::take(&mut self.shards);
        let each = capacity_for(SINGLE_MAX / SHARDS + 1);
        self.shards = (0..SHARDS).map(|index| Shard::with_capacity(each + stagger(each, index))).collect();
        for fingerprint in old.iter().flat_map(|shard| shard.table.iter().copied()).filter(|entry| *entry != 0) {
            self.shards[fingerprint as usize % SHARDS].insert(fingerprint);
        }
    }
}

fn capacity_for(len: usize) -> usize {
    len * 64 / LOAD + 8
}

/// Up to a quarter more, another part for each shard: so they do not all grow at the same count.
fn stagger(capacity: usize, index: usize) -> usize {
    capacity * index / (4 * SHARDS)
}

#[derive(Clone, Debug, Default)]
struct Shard {
    table: Vec<u64>,
    len: usize,
}

impl Shard {
    fn with_capacity(capacity: usize) -> Shard {
        Shard { table: vec![0; capacity], len: 0 }
    }

    /// The high bits of a fingerprint spread over any capacity; the low ones have chosen the shard.
    fn home(&self, fingerprint: u64) -> usize {
        ((u128::from(fingerprint) * self.table.len() as u128) >> 64) as usize
    }

    fn insert(&mut self, fingerprint: u64) -> bool {
        if (self.len + 1) * 64 > self.table.len() * LOAD {
            let capacity = self.table.len();
            self.grow_to(if capacity < 1024 { (capacity * 2).max(16) } else { capacity + capacity / 4 });
        }
        let mut at = self.home(fingerprint);
        loop {
            match self.table[at] {
                0 => {
                    self.table[at] = fingerprint;
                    self.len += 1;
                    return true;
                }
                entry if entry == fingerprint => return false,
                _ => at = if at + 1 == self.table.len() { 0 } else { at + 1 },
            }
        }
    }

    fn contains(&self, fingerprint: u64) -> bool {
        if self.len == 0 {
            return false;
        }
        let mut at = self.home(fingerprint);
        loop {
            match self.table[at] {
                0 => return false,
                entry if entry == fingerprint => return true,
                _ => at = if at + 1 == self.table.len() { 0 } else { at + 1 },
            }
        }
    }

    fn grow_to(&mut self, capacity: usize) {
        if capacity <= self.table.len() {
            return;
        }
        let old = std::mem::replace(self, Shard::with_capacity(capacity));
        for fingerprint in old.table.into_iter().filter(|entry| *entry != 0) {
            self.insert(fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(mut x: u64) -> u64 {
        x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^ (x >> 32)
    }

    #[test]
    fn a_fingerprint_is_new_exactly_once_at_every_size() {
        let mut seen = Seen::default();
        for n in 0..200_000u64 {
            assert!(seen.insert(mix(n)), "{n} is new");
            if n % 7 == 0 {
                assert!(!seen.insert(mix(n / 2)), "{} was there", n / 2);
            }
        }
        assert_eq!(seen.len(), 200_000);
        assert!((0..200_000).all(|n| seen.contains(mix(n))));
        assert!(!(200_000..400_000).any(|n| seen.contains(mix(n))));
        assert_eq!(seen.iter().count(), 200_000);
    }

    #[test]
    fn zero_is_a_fingerprint_like_any_other() {
        let mut seen = Seen::default();
        assert!(!seen.contains(0));
        assert!(seen.insert(0));
        assert!(!seen.insert(0));
        assert_eq!((seen.len(), seen.iter().collect::<Vec<_>>()), (1, vec![0]));
    }

    #[test]
    fn sixteen_bytes_an_entry_at_every_count() {
        let mut seen = Seen::default();
        for n in 0..1_500_000u64 {
            seen.insert(mix(n));
            if n >= 50_000 && n % 1_000 == 0 {
                // The arrays, and one more shard while it grows.
                let peak = seen.bytes() + seen.bytes() / SHARDS * 2;
                let most = if n < 500_000 { 16 } else { 13 };
                assert!(peak <= most * seen.len(), "{peak} bytes for {} entries", seen.len());
            }
        }
    }

    #[test]
    fn a_stored_set_comes_back_in_its_own_order_without_slowing_down() {
        let mut seen = Seen::default();
        (0..300_000u64).for_each(|n| {
            seen.insert(mix(n));
        });
        let mut back = Seen::default();
        back.reserve(seen.len());
        assert!(seen.iter().all(|fingerprint| back.insert(fingerprint)));
        assert_eq!(back.len(), seen.len());
    }

    #[test]
    fn a_small_set_is_small() {
        let mut seen = Seen::default();
        (1..=10u64).for_each(|n| {
            seen.insert(mix(n));
        });
        assert!(seen.bytes() <= 256, "{}", seen.bytes());
    }
}
