//! Pages whose items are still on their way: a page is delivered when the last of its items has settled.
//!
//! Owned by the worker of the page's slot (the low six bits of its release). Invariant: `remaining` is the number of items
//! of the page that are in some outbox or between two operators.

use crate::hash::KeyMap;
use crate::items::SLOTS;
use crate::record;
use std::collections::BTreeMap;
use weir_model::wire::{Reader, WireError, put_fixed, put_u64};
use weir_model::{JobId, ReleaseId};

/// The slot of a page.
#[must_use]
pub fn page_slot(page: ReleaseId) -> u8 {
    (page.0 as u8) & (SLOTS - 1)
}

#[derive(Clone, Copy, Debug)]
struct Open {
    job: JobId,
    /// Signed: in a replay, records of one group may come in another order than they were decided.
    remaining: i32,
}

/// The pages of one worker.
#[derive(Debug)]
pub struct Ledger {
    open: KeyMap<ReleaseId, Open>,
    live: BTreeMap<JobId, u64>,
    worker: usize,
    workers: usize,
}

impl Ledger {
    /// Empty ledger of worker `worker` of `workers`.
    #[must_use]
    pub fn new(worker: usize, workers: usize) -> Self {
        Ledger { open: KeyMap::default(), live: BTreeMap::new(), worker, workers }
    }

    /// A page with items has settled.
    pub fn open(&mut self, page: ReleaseId, job: JobId, items: u32) {
        debug_assert!(items > 0, "a page without items is delivered by the frontier");
        self.open.insert(page, Open { job, remaining: items as i32 });
        *self.live.entry(job).or_default() += 1;
    }

    /// One item of a page has settled; gives the job when it was the last.
    pub fn item_settled(&mut self, page: ReleaseId) -> Option<JobId> {
        let open = self.open.get_mut(&page)?;
        open.remaining -= 1;
        if open.remaining > 0 {
            return None;
        }
        let job = open.job;
        self.open.remove(&page);
        if let Some(live) = self.live.get_mut(&job) {
            *live -= 1;
        }
        Some(job)
    }

    /// Pages of a job whose items are on their way.
    #[must_use]
    pub fn live(&self, job: JobId) -> u64 {
        self.live.get(&job).copied().unwrap_or(0)
    }

    fn owns(&self, page: ReleaseId) -> bool {
        usize::from(page_slot(page)) % self.workers == self.worker
    }

    /// Applies one journal record: items count up, their settlement counts down.
    /// Workers write side by side, so within a group the records of a page come in any order; sums do not mind.
    pub fn replay(&mut self, kind: u8, fields: &mut Reader<'_>) -> Result<(), WireError> {
        match kind {
            record::OUTBOX => {
                let outbox = record::read_outbox(fields)?;
                if self.owns(outbox.page) {
                    self.shift(outbox.page, outbox.item.job, 1);
                }
            }
            record::ITEM_DONE => {
                let _ = fields.fixed()?;
                let page = ReleaseId(fields.fixed()?);
                let job = JobId(fields.u64()?);
                if self.owns(page) {
                    self.shift(page, job, -1);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn shift(&mut self, page: ReleaseId, job: JobId, by: i32) {
        let open = self.open.entry(page).or_insert(Open { job, remaining: 0 });
        open.remaining += by;
        if open.remaining == 0 {
            self.open.remove(&page);
        }
    }

    /// Ends a replay: what is open is alive.
    pub fn finish_replay(&mut self) {
        self.live.clear();
        for open in self.open.values() {
            debug_assert!(open.remaining > 0, "groups are atomic");
            *self.live.entry(open.job).or_default() += 1;
        }
    }

    /// Streams the ledger.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        put_u64(out, self.open.len() as u64);
        for (page, open) in &self.open {
            put_fixed(out, page.0);
            put_u64(out, open.job.0);
            put_u64(out, u64::try_from(open.remaining).unwrap_or(0));
        }
    }

    /// Restores a streamed ledger: each page goes to its owner.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(bytes);
        for _ in 0..reader.u64()? {
            let page = ReleaseId(reader.fixed()?);
            let job = JobId(reader.u64()?);
            let remaining = reader.u64()? as i32;
            if self.owns(page) {
                self.open.insert(page, Open { job, remaining });
            }
        }
        Ok(())
    }
}
