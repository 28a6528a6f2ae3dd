//! Pages whose items are still on their way: a page is delivered when the last of its items has settled.
//!
//! Owned by the worker of the page's slot (the low six bits of its release). Invariant: `remaining` is the number of items
//! of the page that wait for a computation or a location, are in some outbox or between two operators.

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

    /// A job was given up: its pages wait for nothing any more. How many there were.
    pub fn give_up(&mut self, job: JobId) -> usize {
        let before = self.open.len();
        self.open.retain(|_, open| open.job != job);
        self.live.remove(&job);
        before - self.open.len()
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
            record::WAITS | record::COMPUTES => {
                let (_, page, item) = record::read_waits(fields)?;
                if self.owns(page) {
                    self.shift(page, item.job, 1);
                }
            }
            record::ITEM_DONE | record::WAIT_ENDED | record::COMPUTE_ENDED | record::COMPUTE_REFUSED => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items::OutboxId;
    use weir_model::{Item, ItemId};

    const JOB: JobId = JobId(1);

    fn records(page: ReleaseId, items: u64) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let record = |fill: &dyn Fn(&mut Vec<u8>)| {
            let mut journal = Vec::new();
            fill(&mut journal);
            // Without the length in front, as a reader of the journal hands it over.
            journal.split_off(3)
        };
        let item = Item { job: JOB, schema: 0, id: ItemId(0), hash: 0, version: 1, values: Vec::new() };
        let entered = |at: u64| record(&|out| record::outbox(out, 0, OutboxId(at), page, 1, &item));
        let done = |at: u64| record(&|out| record::item_done(out, 0, OutboxId(at), page, JOB));
        ((0..items).map(entered).collect(), (0..items).map(done).collect())
    }

    fn replay(ledger: &mut Ledger, record: &[u8]) {
        ledger.replay(record[0], &mut Reader::new(&record[2..])).expect("a record that the stage wrote");
    }

    #[test]
    fn a_page_is_open_until_the_last_of_its_items() {
        let mut ledger = Ledger::new(0, 1);
        ledger.open(ReleaseId(9), JOB, 2);
        assert_eq!((ledger.item_settled(ReleaseId(9)), ledger.live(JOB)), (None, 1));
        assert_eq!((ledger.item_settled(ReleaseId(9)), ledger.live(JOB)), (Some(JOB), 0));
        assert_eq!(ledger.item_settled(ReleaseId(9)), None, "a page ends once");
    }

    #[test]
    fn replay_does_not_mind_the_order_of_workers_within_a_group() {
        let (entered, done) = records(ReleaseId(9), 3);
        let mut orders: Vec<Vec<&Vec<u8>>> = vec![entered.iter().chain(&done[..2]).collect()];
        orders.push(done[..2].iter().chain(&entered).collect());
        orders.push([&done[0], &entered[2], &entered[0], &done[1], &entered[1]].to_vec());
        for order in orders {
            let mut ledger = Ledger::new(0, 1);
            order.into_iter().for_each(|record| replay(&mut ledger, record));
            ledger.finish_replay();
            assert_eq!(ledger.live(JOB), 1);
            assert_eq!(ledger.item_settled(ReleaseId(9)), Some(JOB), "one of three was left");
        }
    }

    #[test]
    fn a_snapshot_of_some_workers_is_taken_in_by_others_each_page_by_its_owner() {
        let pages: Vec<ReleaseId> = (0..200).map(|at| ReleaseId(at * 13 + 5)).collect();
        let mut sections = Vec::new();
        for worker in 0..3 {
            let mut ledger = Ledger::new(worker, 3);
            for page in pages.iter().filter(|page| usize::from(page_slot(**page)) % 3 == worker) {
                ledger.open(*page, JOB, 1 + (page.0 % 4) as u32);
            }
            let mut bytes = Vec::new();
            ledger.snapshot(&mut bytes);
            sections.push(bytes);
        }
        let mut others: Vec<Ledger> = (0..2).map(|worker| Ledger::new(worker, 2)).collect();
        for ledger in &mut others {
            sections.iter().for_each(|section| ledger.restore(section).expect("what snapshot wrote"));
            ledger.finish_replay();
        }
        assert_eq!(others.iter().map(|ledger| ledger.live(JOB)).sum::<u64>(), 200);
        for page in pages {
            let owner = &mut others[usize::from(page_slot(page)) % 2];
            for _ in 0..page.0 % 4 {
                assert_eq!(owner.item_settled(page), None);
            }
            assert_eq!(owner.item_settled(page), Some(JOB), "{page:?}");
        }
    }
}
