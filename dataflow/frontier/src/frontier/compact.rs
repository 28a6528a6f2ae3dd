//! Compaction: bodies that live in nearly dead chunks are copied to the end of the lane, so that the store may delete the chunks.
//!
//! Decides which bodies; the store reads them back as it does for a release. Until all of a round are there nothing is changed, and
//! a URL that is released or ends meanwhile is left out: its old body is simply read once for nothing.

use super::replay::rewrite;
use super::{Frontier, forget_body, keep_body};
use crate::address::{Addr, CHUNK_BYTES, ChunkId};
use crate::hash::NumberMap;
use crate::out::Out;
use crate::record::{Entry, MOVED};
use std::collections::BTreeSet;

/// A chunk with fewer live bodies than this is worth emptying: of some 80,000 that it can hold.
const SPARSE: u32 = (CHUNK_BYTES / 4096) as u32;

/// A round of compaction.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    awaited: BTreeSet<Addr>,
    bodies: NumberMap<Addr, Vec<u8>>,
}

impl Compaction {
    pub fn wants(&self, addr: Addr) -> bool {
        self.awaited.contains(&addr)
    }

    pub fn take(&mut self, addr: Addr, body: &[u8]) {
        self.awaited.remove(&addr);
        self.bodies.insert(addr, body.to_vec());
    }
}

impl Frontier {
    /// Goes on with compaction: asks for at most `max_entries` bodies of sparse chunks, or copies those that came back. Returns how
    /// many were asked for or copied; 0: nothing to do now. The chunk that the lane is writing is left alone.
    pub fn compact(&mut self, max_entries: usize, out: &mut Out) -> usize {
        if !self.compaction.awaited.is_empty() {
            return 0;
        }
        if !self.compaction.bodies.is_empty() {
            return self.move_bodies(out);
        }
        let writing = self.next_addr(out).chunk();
        let mut sparse: Vec<(u32, ChunkId)> = self
            .chunks
            .iter()
            .filter(|chunk| *chunk.1 < SPARSE && *chunk.0 != writing)
            .map(|chunk| (*chunk.1, *chunk.0))
            .collect();
        sparse.sort_unstable();
        let mut room = max_entries;
        sparse.retain(|(live, _)| {
            let fits = *live as usize <= room;
            room -= if fits { *live as usize } else { 0 };
            fits
        });
        let sparse: BTreeSet<ChunkId> = sparse.into_iter().map(|entry| entry.1).collect();
        if sparse.is_empty() {
            return 0;
        }
        let lines = self.domains.iter().flatten().flat_map(|domain| domain.lines.iter());
        for line in lines {
            let queued = line.queue.levels().flat_map(|level| level.1.iter()).map(Addr);
            let delayed = line.delayed.iter().map(|entry| entry.0.1);
            for addr in queued.chain(delayed).filter(|addr| sparse.contains(&addr.chunk())) {
                self.compaction.awaited.insert(addr);
            }
        }
        out.loads.extend(self.compaction.awaited.iter().filter(|addr| !self.loading.contains_key(addr)));
        self.compaction.awaited.len()
    }

    fn move_bodies(&mut self, out: &mut Out) -> usize {
        let bodies = std::mem::take(&mut self.compaction.bodies);
        let mut moved = 0;
        for domain in self.domains.iter_mut().flatten() {
            let slot = domain.slot;
            for line in &mut domain.lines {
                rewrite(line, |addr| {
                    let Some(body) = bodies.get(&addr) else { return Some(addr) };
                    let entry =
                        Entry::read(body).expect("the journal is checksummed, and its entries were written here");
                    let now = Addr::new(self.lane, self.hot.written() + out.journal.len() as u64);
                    Entry { replaces: Some(addr), ..entry }.put(&mut out.journal, MOVED, slot);
                    forget_body(&mut self.chunks, addr);
                    keep_body(&mut self.chunks, now);
                    moved += 1;
                    Some(now)
                });
            }
        }
        moved
    }
}
