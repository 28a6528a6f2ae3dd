//! Which of several stages owns a domain: rendezvous hashing, so that one stage more or less moves only its own share.
//!
//! Decides by number of stages and domain alone. Invariant: every domain has exactly one owner, the same wherever it is asked.

use crate::url::{Scratch, admit_form};
use weir_model::DomainKey;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The domains of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Which stage, from 0.
    pub index: u32,
    /// Of how many.
    pub of: u32,
}

impl Slice {
    /// All domains: the only stage there is.
    pub const ALL: Slice = Slice { index: 0, of: 1 };

    /// The stage that owns a domain.
    #[must_use]
    pub fn owner(self, domain: DomainKey) -> u32 {
        if self.of <= 1 {
            return 0;
        }
        let weight = |stage: &u32| xxh3_64_with_seed(&domain.0.to_le_bytes(), u64::from(*stage) + 1);
        (0..self.of).max_by_key(weight).expect("there is more than one stage")
    }

    /// The stage that owns the domain of a URL; none when it cannot be crawled.
    #[must_use]
    pub fn owner_of_url(self, url: &str) -> Option<u32> {
        admit_form(url, &mut Scratch::new()).ok().map(|admitted| self.owner(admitted.domain_key()))
    }
}

impl Default for Slice {
    fn default() -> Self {
        Slice::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stage_more_takes_its_share_and_moves_nothing_else() {
        let owner = |of, domain| Slice { index: 0, of }.owner(DomainKey(domain));
        let (mut moved, count) = (0, 10_000u64);
        for domain in (0..count).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            let (before, after) = (owner(4, domain), owner(5, domain));
            assert!(before < 4 && (after == before || after == 4), "only the new stage takes domains");
            moved += u64::from(after != before);
        }
        assert!((count / 6..count / 4).contains(&moved), "a fifth: {moved}");
    }

    #[test]
    fn subdomains_stay_together() {
        let slice = Slice { index: 0, of: 64 };
        let owner = slice.owner_of_url("https://www.shop.example/a");
        assert!(owner.is_some());
        assert_eq!(owner, slice.owner_of_url("http://img.shop.example:81/b?c"));
        assert_eq!(slice.owner_of_url("mailto:a@b"), None);
    }
}
