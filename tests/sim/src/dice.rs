//! Chance from a seed: every decision of the simulation comes from here, so that a seed is a story.

use std::ops::RangeInclusive;

/// splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The dice of one part of the simulation: what one part rolls does not change what another does.
    pub fn of(seed: u64, part: &str) -> Dice {
        Dice(xxhash_rust::xxh3::xxh3_64_with_seed(part.as_bytes(), seed))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in the range.
    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    /// Below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True in `percent` of 100 throws.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// Small numbers often, large ones now and then: how delays are.
    pub fn skewed(&mut self, max: u64) -> u64 {
        let scale = self.within(0..=63);
        self.within(0..=max) >> (scale / 8)
    }
}
