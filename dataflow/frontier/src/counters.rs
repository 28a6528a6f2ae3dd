//! What is counted, by job. Every exit of a URL has a counter here.
//!
//! Invariant (conservation): `offered == verdicts() + pending + queued + leased + delayed + parked` of the job.

use weir_model::{JobId, Reason, Verdict};

/// Counts of one job. Each is a sum of deltas, so that workers and steps add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// URLs offered: start URLs, links, redirect targets.
    pub offered: u64,
    /// Put into a queue.
    pub admitted: u64,
    /// Verdict: fetched and all in it settled.
    pub delivered: u64,
    /// Verdict: already admitted.
    pub duplicate: u64,
    /// Verdict: the target carries on.
    pub redirected: u64,
    /// Verdict: a stop condition or a cancel.
    pub abandoned: u64,
    /// Verdicts by reason: `rejected[reason as usize - 1]`.
    pub rejected: [u64; Reason::ALL.len()],
    /// Fetched pages whose items wait for their sinks: the verdict comes by `Frontier::count_verdict`.
    pub pending: i64,
    /// Requests released, robots.txt included. Not kept over a crash: what was under way is released again.
    pub requests: u64,
    /// Answers by status, robots.txt included, sorted by status.
    pub responses: Vec<(u16, u64)>,
    /// Bytes of bodies on the wire.
    pub wire_bytes: u64,
    /// Bytes of bodies decoded.
    pub body_bytes: u64,
    /// Requests tried again after a failure.
    pub retries: u64,
    /// Releases that came back unsent.
    pub unfetched: u64,
    /// Leases that ran out.
    pub leases_lost: u64,
    /// Robots.txt asked.
    pub robots_requests: u64,
    /// Failed attempts of requests by class, whether retried or not, `FailureClass` order.
    pub failures: [u64; 9],
}

impl JobCounts {
    /// Counts one verdict.
    pub fn verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Delivered => self.delivered += 1,
            Verdict::Duplicate => self.duplicate += 1,
            Verdict::Redirected => self.redirected += 1,
            Verdict::Abandoned => self.abandoned += 1,
            Verdict::Rejected(reason) => self.rejected[reason as usize - 1] += 1,
        }
    }

    /// Counts one answer.
    pub fn response(&mut self, status: u16, count: u64) {
        match self.responses.binary_search_by_key(&status, |entry| entry.0) {
            Ok(at) => self.responses[at].1 += count,
            Err(at) => self.responses.insert(at, (status, count)),
        }
    }

    /// How often `reason` was the verdict.
    #[must_use]
    pub fn rejected(&self, reason: Reason) -> u64 {
        self.rejected[reason as usize - 1]
    }

    /// Answers with this status.
    #[must_use]
    pub fn status(&self, status: u16) -> u64 {
        self.responses.iter().find(|entry| entry.0 == status).map_or(0, |entry| entry.1)
    }

    /// All verdicts.
    #[must_use]
    pub fn verdicts(&self) -> u64 {
        self.delivered + self.duplicate + self.redirected + self.abandoned + self.rejected.iter().sum::<u64>()
    }

    /// Adds a delta.
    pub fn add(&mut self, delta: &JobCounts) {
        self.offered += delta.offered;
        self.admitted += delta.admitted;
        self.delivered += delta.delivered;
        self.duplicate += delta.duplicate;
        self.redirected += delta.redirected;
        self.abandoned += delta.abandoned;
        for (sum, count) in self.rejected.iter_mut().zip(delta.rejected) {
            *sum += count;
        }
        self.pending += delta.pending;
        self.requests += delta.requests;
        for (status, count) in &delta.responses {
            self.response(*status, *count);
        }
        self.wire_bytes += delta.wire_bytes;
        self.body_bytes += delta.body_bytes;
        self.retries += delta.retries;
        self.unfetched += delta.unfetched;
        self.leases_lost += delta.leases_lost;
        self.robots_requests += delta.robots_requests;
        for (sum, count) in self.failures.iter_mut().zip(delta.failures) {
            *sum += count;
        }
    }
}

/// Deltas of a step, by job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Few jobs at a time: a list.
    jobs: Vec<(JobId, JobCounts)>,
    /// Reports for an unknown or already settled release.
    pub redelivered: u64,
}

impl Counters {
    /// The counts of a job, made when there are none.
    pub fn job(&mut self, job: JobId) -> &mut JobCounts {
        let at = match self.jobs.iter().position(|entry| entry.0 == job) {
            Some(at) => at,
            None => {
                self.jobs.push((job, JobCounts::default()));
                self.jobs.len() - 1
            }
        };
        &mut self.jobs[at].1
    }

    /// The counts of a job, if any.
    #[must_use]
    pub fn get(&self, job: JobId) -> Option<&JobCounts> {
        self.jobs.iter().find(|entry| entry.0 == job).map(|entry| &entry.1)
    }

    /// Every job with its counts.
    pub fn iter(&self) -> impl Iterator<Item = (JobId, &JobCounts)> {
        self.jobs.iter().map(|entry| (entry.0, &entry.1))
    }

    /// True when nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.redelivered == 0
    }

    /// Adds the deltas of another step or worker.
    pub fn add(&mut self, delta: &Counters) {
        for (job, counts) in &delta.jobs {
            self.job(*job).add(counts);
        }
        self.redelivered += delta.redelivered;
    }

    /// Forgets everything, keeps nothing.
    pub fn clear(&mut self) {
        self.jobs.clear();
        self.redelivered = 0;
    }
}
