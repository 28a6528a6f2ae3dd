//! Admission: dedup, blacklist, page budget, then the queue of its domain.

use super::{Frontier, keep_body};
use crate::address::Addr;
use crate::job::JobSpec;
use crate::offer::{Candidate, CandidateBatch};
use crate::out::Out;
use crate::record::{self, Entry};
use weir_model::{DomainKey, Reason, Tick, Verdict};

impl Frontier {
    /// Takes prepared URLs of a slot of this worker.
    pub fn admit(&mut self, _now: Tick, batch: &CandidateBatch, out: &mut Out) {
        assert!(self.owns(batch.slot), "slot {} belongs to another worker", batch.slot);
        let Some(job) = self.jobs.get(batch.job) else {
            let pages = batch.entries.iter().filter(|candidate| !candidate.always).count();
            out.counters.job(batch.job).abandoned += pages as u64;
            return;
        };
        let spec = job.spec.clone();
        let mut start = 0;
        let mut last: Option<(DomainKey, u32)> = None;
        let (mut admitted, mut duplicates, mut extra) = (0u64, 0u64, 0u64);
        for candidate in &batch.entries {
            let record = &batch.bytes[start..candidate.end as usize];
            start = candidate.end as usize;
            let job = self.jobs.known(batch.job);
            if !candidate.always && !job.seen[usize::from(batch.slot)].insert(candidate.fingerprint.0) {
                duplicates += 1;
                continue;
            }
            let index = match last {
                Some((key, index)) if key == candidate.domain => index,
                _ => self.domain_of(candidate, record),
            };
            last = Some((candidate.domain, index));
            if let Some(reason) = self.refusal(index, candidate, spec.as_deref(), batch) {
                record::put_refused(&mut out.journal, batch.slot, candidate.fingerprint, batch.job);
                out.counters.job(batch.job).verdict(Verdict::Rejected(reason));
                let url = entry_of(record).url;
                self.log_rejected(reason, url, "", out);
                continue;
            }
            let addr = Addr::new(self.lane, self.hot.written() + out.journal.len() as u64);
            out.journal.extend_from_slice(record);
            keep_body(&mut self.chunks, addr);
            self.domain_mut(index).line(batch.job).queue.push(addr, candidate.priority);
            self.wake(index);
            admitted += 1;
            extra += u64::from(candidate.always);
        }
        self.jobs.known(batch.job).live.queued += admitted;
        let counts = out.counters.job(batch.job);
        counts.offered += extra;
        counts.admitted += admitted;
        counts.duplicate += duplicates;
    }

    fn domain_of(&mut self, candidate: &Candidate, record: &[u8]) -> u32 {
        match self.by_key.get(&candidate.domain) {
            Some(index) => *index,
            None => self.enter_domain(candidate.domain, entry_of(record).domain_name()),
        }
    }

    /// Why a new URL is not queued. Counts it against its domain's budget when it is.
    fn refusal(
        &mut self,
        index: u32,
        candidate: &Candidate,
        spec: Option<&JobSpec>,
        batch: &CandidateBatch,
    ) -> Option<Reason> {
        if self.domain_mut(index).blacklisted && !candidate.always {
            return Some(Reason::Blacklisted);
        }
        let max = spec.filter(|_| !candidate.always)?.pages_per_domain_max?;
        let admitted = self.jobs.known(batch.job).admitted.entry(candidate.domain).or_insert(0);
        if *admitted >= max {
            return Some(Reason::Budget);
        }
        *admitted += 1;
        None
    }
}

/// The queued URL of a whole record.
fn entry_of(record: &[u8]) -> Entry<'_> {
    let (body, _) = record::split(record).expect("a candidate holds a whole record");
    Entry::read(body).expect("a candidate's record was encoded by prepare")
}
