//! Names: each distinct element or attribute name of a page becomes a small number.
//!
//! Decides how a name is found again (a seeded, open-addressed table whose slots hold the first eight bytes of the name,
//! so that most names are compared by one word). Must not know what a name means: the rule beside it comes from `parse`.
//! Invariants: ids of the seeded names are the same on every page; names of one page are forgotten with it, so a hostile
//! site cannot grow the table for the next; an HTML name is stored lower-cased and at most 100 bytes long, as libxml2 does.

use crate::parse::rules::Rule;
use crate::parse::table::SEEDED;
use crate::tree::{NONE, NameId};

/// Longest HTML name in bytes; libxml2 cuts longer ones here.
pub(crate) const NAME_BYTES_MAX: usize = 100;
const SLOTS_MIN: usize = 1024;
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// A slot of the table. `word`: the name itself when it has at most eight bytes, else a hash of all of it.
#[derive(Clone, Copy)]
struct Slot {
    word: u64,
    id: u32,
    len: u32,
}

const EMPTY: Slot = Slot { word: 0, id: NONE, len: 0 };

/// What is known of a name, and where the parser stands with it.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub rule: Rule,
    /// Depth of the innermost open element of this name, 0 for none. The parser leaves all at 0.
    pub open: u32,
    /// The start tag (by number) that last had an attribute of this name.
    pub stamp: u32,
    start: u32,
    len: u32,
    slot: u32,
    /// The first eight bytes, zero-padded, for a name of at most eight; 0 for a longer one.
    pub word: u64,
}

impl Entry {
    /// Length of the name if it and one more byte fit a word, else 0.
    #[inline]
    pub(crate) fn word_len(&self) -> u32 {
        if self.len <= 7 { self.len } else { 0 }
    }
}

/// The table.
pub(crate) struct Names {
    slots: Vec<Slot>,
    shift: u32,
    seed: u64,
    entries: Vec<Entry>,
    text: String,
    seeded: usize,
    seeded_text: usize,
}

impl Default for Names {
    fn default() -> Names {
        Names::new(0)
    }
}

impl Names {
    /// A table that knows the seeded names. `seed` moves every hash: an adapter may draw it at random, so that no page can
    /// be written to collide.
    pub(crate) fn new(seed: u64) -> Names {
        let mut names = Names {
            slots: vec![EMPTY; SLOTS_MIN],
            shift: 64 - SLOTS_MIN.trailing_zeros(),
            seed: (seed ^ MIX).wrapping_mul(MIX) | 1,
            entries: Vec::with_capacity(512),
            text: String::new(),
            seeded: 0,
            seeded_text: 0,
        };
        for kind in 0..NameId::FIRST_REAL {
            names.entries.push(Entry { rule: Rule::PLAIN, open: 0, stamp: 0, start: 0, len: 0, slot: kind, word: 0 });
        }
        for (name, rule) in SEEDED {
            let id = names.intern(name.as_bytes());
            names.entries[id.0 as usize].rule = *rule;
        }
        names.seeded = names.entries.len();
        names.seeded_text = names.text.len();
        names
    }

    /// Forgets what the last page added.
    pub(crate) fn forget_page(&mut self) {
        // The seeded names went in first, so taking the others out leaves every probe sequence whole.
        if self.slots.len() > SLOTS_MIN {
            self.entries.truncate(self.seeded);
            self.rebuild(SLOTS_MIN);
        }
        for entry in self.entries.drain(self.seeded..) {
            self.slots[entry.slot as usize] = EMPTY;
        }
        self.text.truncate(self.seeded_text);
    }

    pub(crate) fn text(&self, id: NameId) -> &str {
        let entry = &self.entries[id.0 as usize];
        &self.text[entry.start as usize..(entry.start + entry.len) as usize]
    }

    #[inline]
    pub(crate) fn entry(&self, id: NameId) -> &Entry {
        &self.entries[id.0 as usize]
    }

    #[inline]
    pub(crate) fn entry_mut(&mut self, id: NameId) -> &mut Entry {
        &mut self.entries[id.0 as usize]
    }

    /// Lets the next user of the stamps count from 1.
    pub(crate) fn forget_stamps(&mut self) {
        for entry in &mut self.entries {
            entry.stamp = 0;
        }
    }

    /// Number of distinct names, kinds and seeded ones included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The id of a name that is known already.
    pub(crate) fn find(&self, name: &str) -> Option<NameId> {
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        let name = name.as_bytes();
        let slot = self.slots[self.locate(self.key(name), name.len() as u32, name)];
        (slot.id != NONE).then_some(NameId(slot.id))
    }

    /// The id of a name; it must not be empty, nor hold a zero byte.
    pub(crate) fn intern(&mut self, name: &[u8]) -> NameId {
        debug_assert!(!name.is_empty());
        let (word, len) = (self.key(name), name.len() as u32);
        let at = self.locate(word, len, name);
        match self.slots[at].id {
            NONE => self.insert(at, word, name),
            id => NameId(id),
        }
    }

    /// `intern` for a name of one to eight bytes that is already one lower-cased, zero-padded little-endian word.
    #[inline]
    pub(crate) fn intern_word(&mut self, word: u64, len: u32) -> NameId {
        let mask = self.slots.len() - 1;
        let mut at = (word.wrapping_mul(self.seed) >> self.shift) as usize;
        loop {
            let slot = self.slots[at & mask];
            // A zero byte occurs in no name, so equal words of names this short are equal names.
            if slot.word == word && slot.len == len {
                return NameId(slot.id);
            }
            if slot.id == NONE {
                return self.insert_word(at & mask, word, len);
            }
            at += 1;
        }
    }

    #[cold]
    fn insert_word(&mut self, at: usize, word: u64, len: u32) -> NameId {
        let bytes = word.to_le_bytes();
        self.insert(at, word, &bytes[..len as usize])
    }

    #[cold]
    fn insert(&mut self, at: usize, word: u64, name: &[u8]) -> NameId {
        let name = std::str::from_utf8(name).expect("names are cut from a str at ASCII bytes or whole characters");
        let id = self.entries.len() as u32;
        let (start, len) = (self.text.len() as u32, name.len() as u32);
        self.text.push_str(name);
        let own_word = if len <= 8 { word } else { 0 };
        let rule = Rule::PLAIN;
        self.entries.push(Entry { rule, open: 0, stamp: 0, start, len, slot: at as u32, word: own_word });
        self.slots[at] = Slot { word, id, len };
        if self.entries.len() * 2 > self.slots.len() {
            self.rebuild(self.slots.len() * 2);
        }
        NameId(id)
    }

    /// The slot that holds the name, or the empty one where it belongs.
    fn locate(&self, word: u64, len: u32, name: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (word.wrapping_mul(self.seed) >> self.shift) as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.id == NONE
                || (slot.word == word && slot.len == len && (len <= 8 || self.text(NameId(slot.id)).as_bytes() == name))
            {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    /// The word a name is kept under.
    fn key(&self, name: &[u8]) -> u64 {
        let mut hash = self.seed;
        for chunk in name.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            let word = u64::from_le_bytes(bytes);
            if name.len() <= 8 {
                return word;
            }
            hash = (hash.rotate_left(29) ^ word).wrapping_mul(MIX);
        }
        hash ^ (hash >> 32)
    }

    fn rebuild(&mut self, slots: usize) {
        self.slots.clear();
        self.slots.resize(slots, EMPTY);
        self.shift = 64 - slots.trailing_zeros();
        for index in NameId::FIRST_REAL as usize..self.entries.len() {
            let Entry { start, len, .. } = self.entries[index];
            let name = &self.text.as_bytes()[start as usize..(start + len) as usize];
            let word = self.key(name);
            let at = self.locate(word, len, name);
            self.slots[at] = Slot { word, id: index as u32, len };
            self.entries[index].slot = at as u32;
        }
    }

    pub(crate) fn bytes_held(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.entries.capacity() * size_of::<Entry>() + self.text.capacity()
    }
}
