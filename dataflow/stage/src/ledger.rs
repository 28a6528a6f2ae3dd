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
    remaining: u32,
}

/// The pages of one worker.
#[derive(Debug)]
pub struct Ledger {
    open: KeyMap<ReleaseId, Open>,
    live: BTreeMap<JobId, u64>,
    delivered: BTreeMap<JobId, u64>,
    worker: usize,
    workers: usize,
}

impl Ledger {
    /// Empty ledger of worker `worker` of `workers`.
    #[must_use]
    pub fn new(worker: usize, workers: usize) -> Self {
        Ledger { open: KeyMap::default(), live: BTreeMap::new(), delivered: BTreeMap::new(), worker, workers }
    }

    /// A page with items has settled.
    pub fn open(&mut self, page: ReleaseId, job: JobId, items: u32) {
        debug_assert!(items > 0, "a page without items is delivered by the frontier");
        self.open.insert(page, Open { job, remaining: items });
        *self.live.entry(job).or_default() += 1;
    }

    /// One item of a page has settled; true when it was the last.
    pub fn item_settled(&mut self, page: ReleaseId, journal: &mut Vec<u8>) -> Option<JobId> {
        let open = self.open.get_mut(&page)?;
        open.remaining -= 1;
        if open.remaining > 0 {
            return None;
        }
        let job = open.job;
        record::page_delivered(journal, page_slot(page), page, job);
        self.close(page, job);
        Some(job)
    }

    fn close(&mut self, page: ReleaseId, job: JobId) {
        self.open.remove(&page);
        if let Some(live) = self.live.get_mut(&job) {
            *live -= 1;
        }
        *self.delivered.entry(job).or_default() += 1;
    }

    /// Pages of a job whose items are on their way.
    #[must_use]
    pub fn live(&self, job: JobId) -> u64 {
        self.live.get(&job).copied().unwrap_or(0)
    }

    /// Pages of a job all of whose items have settled.
    #[must_use]
    pub fn delivered(&self, job: JobId) -> u64 {
        self.delivered.get(&job).copied().unwrap_or(0)
    }

    fn owns(&self, page: ReleaseId) -> bool {
        usize::from(page_slot(page)) % self.workers == self.worker
    }

    /// Applies one journal record: items count up, their settlement counts down.
    pub fn replay(&mut self, kind: u8, fields: &mut Reader<'_>) -> Result<(), WireError> {
        match kind {
            record::OUTBOX => {
                let outbox = record::read_outbox(fields)?;
                if self.owns(outbox.page) {
                    let job = outbox.item.job;
                    let live = &mut self.live;
                    let open = self.open.entry(outbox.page).or_insert_with(|| {
                        *live.entry(job).or_default() += 1;
                        Open { job, remaining: 0 }
                    });
                    open.remaining += 1;
                }
            }
            record::ITEM_DONE => {
                let _ = fields.fixed()?;
                let page = ReleaseId(fields.fixed()?);
                if self.owns(page)
                    && let Some(open) = self.open.get_mut(&page)
                {
                    open.remaining = open.remaining.saturating_sub(1);
                }
            }
            record::PAGE_DELIVERED => {
                let page = ReleaseId(fields.fixed()?);
                let job = JobId(fields.u64()?);
                if self.owns(page) {
                    if self.open.contains_key(&page) {
                        self.close(page, job);
                    } else {
                        *self.delivered.entry(job).or_default() += 1;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// After a replay: pages whose last item settled in the very group that was lost with the `delivered` record do not
    /// exist (a group is atomic), so nothing may be open with nothing remaining.
    pub fn check(&self) {
        debug_assert!(self.open.values().all(|open| open.remaining > 0), "groups are atomic");
    }

    /// Streams the ledger.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        put_u64(out, self.open.len() as u64);
        for (page, open) in &self.open {
            put_fixed(out, page.0);
            put_u64(out, open.job.0);
            put_u64(out, u64::from(open.remaining));
        }
        put_u64(out, self.delivered.len() as u64);
        for (job, delivered) in &self.delivered {
            put_u64(out, job.0);
            put_u64(out, *delivered);
        }
    }

    /// Restores a streamed ledger: pages go to their owners, the counts to worker 0.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(bytes);
        for _ in 0..reader.u64()? {
            let page = ReleaseId(reader.fixed()?);
            let job = JobId(reader.u64()?);
            let remaining = reader.u64()? as u32;
            if self.owns(page) {
                self.open.insert(page, Open { job, remaining });
                *self.live.entry(job).or_default() += 1;
            }
        }
        for _ in 0..reader.u64()? {
            let job = JobId(reader.u64()?);
            let delivered = reader.u64()?;
            if self.worker == 0 {
                *self.delivered.entry(job).or_default() += delivered;
            }
        }
        Ok(())
    }
}
