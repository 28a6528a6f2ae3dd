//! One simulated file, and what a power cut leaves of it.
//!
//! Decides which unsynced changes survive and how the one under way is torn. Knows no names and no faults. Invariant: what was
//! applied to `durable` is never lost.

/// A change of a file's bytes.
#[derive(Debug)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

/// A file: its bytes as readers see them, and as they would survive.
#[derive(Debug, Default)]
pub(super) struct Inode {
    pub now: Vec<u8>,
    pub durable: Vec<u8>,
    pub pending: Vec<Change>,
}

impl Inode {
    pub fn apply(data: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write { offset, bytes } => {
                if data.len() < offset + bytes.len() {
                    data.resize(offset + bytes.len(), 0);
                }
                data[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Change::Truncate { len } => data.resize(*len, 0),
        }
    }

    pub fn change(&mut self, change: Change) {
        Self::apply(&mut self.now, &change);
        self.pending.push(change);
    }

    pub fn lose_power(&mut self, chance: &mut Chance) {
        let pending = std::mem::take(&mut self.pending);
        let in_order = chance.one_in(2);
        let survivors = chance.below(pending.len() + 1);
        for (at, change) in pending.iter().enumerate() {
            let whole = if in_order { at < survivors } else { chance.one_in(2) };
            match change {
                _ if whole => Self::apply(&mut self.durable, change),
                // Torn: the front of it, or sectors of it, the others as zeros or as they were.
                Change::Write { offset, bytes } if at == survivors || !in_order => {
                    let sectors = chance.one_in(2);
                    let front = chance.below(bytes.len() + 1);
                    for (index, sector) in bytes.chunks(512).enumerate() {
                        let start = index * 512;
                        let keep = if sectors {
                            if chance.one_in(2) { sector.len() } else { 0 }
                        } else {
                            front.saturating_sub(start).min(sector.len())
                        };
                        if keep > 0 {
                            let part = Change::Write { offset: offset + start, bytes: sector[..keep].to_vec() };
                            Self::apply(&mut self.durable, &part);
                        }
                    }
                }
                _ => {}
            }
        }
        self.now = self.durable.clone();
    }
}

/// splitmix64: the same seed loses the same bytes.
pub(super) struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
}
