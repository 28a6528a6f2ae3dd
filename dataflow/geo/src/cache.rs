//! The memory of addresses: bounded by bytes, least recently used first out, nothing kept beyond its life.
//!
//! Knows no provider and no clock. Invariants: `bytes()` never exceeds the bound; what has expired is not found; the order in
//! which entries leave depends only on what was asked in which order.

use crate::address::NormalisedAddress;
use crate::entry::{Entry, Place};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use weir_model::Tick;
use xxhash_rust::xxh3::Xxh3Builder;

/// A map by address. The seed keeps pages from choosing addresses that collide.
pub(crate) type AddressMap<V> = HashMap<NormalisedAddress, V, Xxh3Builder>;

/// An empty map.
pub(crate) fn address_map<V>(seed: u64) -> AddressMap<V> {
    HashMap::with_hasher(Xxh3Builder::new().with_seed(seed))
}

/// Bytes of an entry beside its text: the slab, the map, the index of expiries, a place.
const ENTRY_BYTES: usize = 280;
const NONE: u32 = u32::MAX;

/// What is remembered of an address.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kept {
    Found(Arc<Place>),
    NotFound,
    /// The providers failed; not asked again for a short while. Never leaves the process.
    Failed,
}

impl Kept {
    pub fn of(entry: &Entry) -> Kept {
        match entry {
            Entry::Found(place) => Kept::Found(Arc::clone(place)),
            Entry::NotFound { .. } => Kept::NotFound,
        }
    }
}

/// One remembered address.
#[derive(Clone, Debug)]
pub(crate) struct Memo {
    pub kept: Kept,
    /// End of its life.
    pub expires: Tick,
    /// Known before this run: from a snapshot, the journal or the outer cache.
    pub earlier: bool,
    /// The outer cache has not confirmed it.
    pub unsaved: bool,
}

#[derive(Debug)]
struct Node {
    address: NormalisedAddress,
    memo: Memo,
    newer: u32,
    older: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Memory {
    index: AddressMap<u32>,
    nodes: Vec<Option<Node>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    expiring: BTreeSet<(Tick, u32)>,
    bytes: usize,
    bytes_max: usize,
    evicted: u64,
}

impl Memory {
    pub fn new(bytes_max: usize, seed: u64) -> Memory {
        Memory {
            index: address_map(seed),
            nodes: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            expiring: BTreeSet::new(),
            bytes: 0,
            bytes_max,
            evicted: 0,
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Entries that had to leave before their time.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// What is remembered, which makes it the most recently used.
    pub fn get(&mut self, now: Tick, address: &NormalisedAddress) -> Option<&Memo> {
        let at = *self.index.get(address)?;
        if self.node(at).memo.expires <= now {
            self.remove(at);
            return None;
        }
        self.unlink(at);
        self.link_newest(at);
        Some(&self.node(at).memo)
    }

    /// Remembers, instead of what was remembered before.
    pub fn put(&mut self, address: NormalisedAddress, memo: Memo) {
        if let Some(at) = self.index.get(&address).copied() {
            self.remove(at);
        }
        let bytes = cost(&address);
        if bytes > self.bytes_max {
            self.evicted += 1;
            return;
        }
        while self.bytes + bytes > self.bytes_max {
            self.evicted += 1;
            self.remove(self.oldest);
        }
        let expires = memo.expires;
        let node = Node { address: address.clone(), memo, newer: NONE, older: NONE };
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = Some(node);
                at
            }
            None => {
                self.nodes.push(Some(node));
                u32::try_from(self.nodes.len() - 1).expect("a bound of bytes keeps far fewer entries than 2^32")
            }
        };
        self.index.insert(address, at);
        if expires < Tick::NEVER {
            self.expiring.insert((expires, at));
        }
        self.bytes += bytes;
        self.link_newest(at);
    }

    /// The outer cache holds it.
    pub fn saved(&mut self, address: &NormalisedAddress) {
        if let Some(at) = self.index.get(address).copied() {
            self.node_mut(at).memo.unsaved = false;
        }
    }

    /// Drops what has expired.
    pub fn expire(&mut self, now: Tick) {
        while let Some((_, at)) = self.expiring.first().copied().filter(|(expires, _)| *expires <= now) {
            self.remove(at);
        }
    }

    /// All entries, the least recently used first: putting them in this order makes the same memory.
    pub fn oldest_first(&self) -> impl Iterator<Item = (&NormalisedAddress, &Memo)> {
        let mut at = self.oldest;
        std::iter::from_fn(move || {
            let node = (at != NONE).then(|| self.node(at))?;
            at = node.newer;
            Some((&node.address, &node.memo))
        })
    }

    fn node(&self, at: u32) -> &Node {
        self.nodes[at as usize].as_ref().expect("the index and the list name nodes that are there")
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        self.nodes[at as usize].as_mut().expect("the index and the list name nodes that are there")
    }

    fn unlink(&mut self, at: u32) {
        let (newer, older) = (self.node(at).newer, self.node(at).older);
        match newer {
            NONE => self.newest = older,
            newer => self.node_mut(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.node_mut(older).newer = newer,
        }
    }

    fn link_newest(&mut self, at: u32) {
        let before = self.newest;
        let node = self.node_mut(at);
        (node.newer, node.older) = (NONE, before);
        match before {
            NONE => self.oldest = at,
            before => self.node_mut(before).newer = at,
        }
        self.newest = at;
    }

    fn remove(&mut self, at: u32) {
        self.unlink(at);
        let node = self.nodes[at as usize].take().expect("a linked node is there");
        self.bytes -= cost(&node.address);
        self.expiring.remove(&(node.memo.expires, at));
        self.index.remove(&node.address);
        self.free.push(at);
    }
}

fn cost(address: &NormalisedAddress) -> usize {
    ENTRY_BYTES + address.as_str().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::normalise;
    use proptest::prelude::*;

    fn memo(expires: u64) -> Memo {
        Memo { kept: Kept::NotFound, expires: Tick(expires), earlier: false, unsaved: false }
    }

    #[test]
    fn the_least_recently_used_leaves_first() {
        let mut memory = Memory::new(3 * (ENTRY_BYTES + 1), 1);
        for name in ["a", "b", "c"] {
            memory.put(normalise(name), memo(u64::MAX));
        }
        assert!(memory.get(Tick(0), &normalise("a")).is_some());
        memory.put(normalise("d"), memo(u64::MAX));
        let left: Vec<&str> = memory.oldest_first().map(|(address, _)| address.as_str()).collect();
        assert_eq!(left, ["c", "a", "d"]);
        assert_eq!(memory.evicted(), 1);
    }

    #[test]
    fn nothing_is_kept_beyond_its_life() {
        let mut memory = Memory::new(1 << 20, 1);
        memory.put(normalise("a"), memo(10));
        memory.put(normalise("b"), memo(20));
        assert!(memory.get(Tick(9), &normalise("a")).is_some());
        assert!(memory.get(Tick(10), &normalise("a")).is_none());
        memory.expire(Tick(20));
        assert_eq!((memory.len(), memory.bytes()), (0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn it_does_what_a_plain_list_does(steps in prop::collection::vec((0..4u8, 0..12u8, 1..40u64), 0..120)) {
            const ROOM: usize = 5;
            let mut memory = Memory::new(ROOM * (ENTRY_BYTES + 1), 7);
            // Oldest first: name and end of life.
            let mut plain: Vec<(u8, u64)> = Vec::new();
            for (now, (what, name, life)) in steps.into_iter().enumerate() {
                let now = now as u64;
                let address = normalise(&char::from(b'a' + name).to_string());
                match what {
                    0 | 1 => {
                        plain.retain(|(other, _)| *other != name);
                        if plain.len() == ROOM {
                            plain.remove(0);
                        }
                        plain.push((name, now + life));
                        memory.put(address, memo(now + life));
                    }
                    2 => {
                        let found = plain.iter().position(|(other, _)| *other == name).map(|at| plain.remove(at));
                        let found = found.filter(|(_, expires)| *expires > now);
                        plain.extend(found);
                        prop_assert_eq!(memory.get(Tick(now), &address).map(|memo| memo.expires.0), found.map(|(_, e)| e));
                    }
                    _ => {
                        plain.retain(|(_, expires)| *expires > now);
                        memory.expire(Tick(now));
                    }
                }
                let left: Vec<u64> = memory.oldest_first().map(|(_, memo)| memo.expires.0).collect();
                prop_assert_eq!(left, plain.iter().map(|(_, expires)| *expires).collect::<Vec<_>>());
                prop_assert!(memory.bytes() <= ROOM * (ENTRY_BYTES + 1) && memory.len() == plain.len());
            }
        }
    }
}
