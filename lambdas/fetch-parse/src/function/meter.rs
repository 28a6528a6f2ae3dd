//! What an invocation takes, told with its reports: the stage adds up what a job costs. Waiting counts, since it is billed.
//!
//! Invariant: every microsecond is told once, with the first message of reports that leaves after it. What passes after an invocation's
//! last message is told by the next one; the last of all is lost, some milliseconds.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_model::json::Spent;
use weir_model::{Clock, JobId, Tick};

/// Of one invocation.
pub(super) struct Meter {
    clock: Arc<dyn Clock>,
    memory_mb: u32,
    told_until: Cell<Tick>,
    /// Of the invocation before.
    untold_us: Cell<u64>,
    invocations: Cell<u32>,
}

impl Meter {
    pub fn start(clock: &Arc<dyn Clock>, begun_at: Tick, untold_us: u64, memory_mb: u32) -> Meter {
        Meter {
            clock: Arc::clone(clock),
            memory_mb,
            told_until: Cell::new(begun_at),
            untold_us: Cell::new(untold_us),
            invocations: Cell::new(1),
        }
    }

    /// What a message of reports tells, by the jobs in it and how many reports each has there.
    pub fn told(&self, reports: &BTreeMap<JobId, u64>) -> Vec<Spent> {
        let us = self.untold();
        self.told_until.set(self.clock.now());
        self.untold_us.set(0);
        let mut invocations = self.invocations.take();
        let (mut left, mut count) = (us, reports.values().sum::<u64>());
        let mut spent = Vec::with_capacity(reports.len());
        for (job, of_job) in reports {
            // The last one gets what is left, so that nothing is lost by rounding.
            let us = (u128::from(left) * u128::from(*of_job) / u128::from(count.max(1))) as u64;
            (left, count) = (left - us, count - of_job);
            let invocations = std::mem::take(&mut invocations);
            spent.push(Spent { job: *job, us, memory_mb: self.memory_mb, invocations });
        }
        spent
    }

    /// Since the last message.
    pub fn untold(&self) -> u64 {
        self.untold_us.get() + self.clock.now().since(self.told_until.get()).as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct At(AtomicU64);

    impl Clock for At {
        fn now(&self) -> Tick {
            Tick(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn every_microsecond_is_told_once_and_shared_by_reports() {
        let at = Arc::new(At(AtomicU64::new(1_000)));
        let clock = Arc::clone(&at) as Arc<dyn Clock>;
        let meter = Meter::start(&clock, Tick(1_000), 7, 256);
        at.0.store(1_100, Ordering::Relaxed);
        let both = BTreeMap::from([(JobId(1), 2), (JobId(2), 1)]);
        let told = meter.told(&both);
        let of =
            |spent: &[Spent]| spent.iter().map(|spent| (spent.job.0, spent.us, spent.invocations)).collect::<Vec<_>>();
        assert_eq!(of(&told), [(1, 71, 1), (2, 36, 0)], "107 in all, one invocation");
        at.0.store(1_150, Ordering::Relaxed);
        assert_eq!(of(&meter.told(&BTreeMap::from([(JobId(2), 5)]))), [(2, 50, 0)]);
        at.0.store(1_153, Ordering::Relaxed);
        assert_eq!(meter.untold(), 3, "for the next invocation");
    }
}
