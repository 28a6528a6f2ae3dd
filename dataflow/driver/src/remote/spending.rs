//! What a job has cost so far, by what functions told and this stage counted; and its end when that is its budget.
//!
//! Counted as remarks of the job, so that they are in the journal and survive a restart. A message of reports that comes twice counts
//! twice: never less than what was paid. Invariant: a budget is shared evenly by the stages, so together they never begin a request
//! beyond it; what is under way then is still paid.

use super::stage::StageDriver;
use super::status::JobPart;
use crate::engine::Engine;
use crate::record::Record;
use std::collections::BTreeMap;
use weir_cost::{Architecture, BILLED_UNIT_BYTES, Bill, Fleet, Measured, Prices, Rates};
use weir_model::json::Spent;
use weir_model::{JobId, Outcome, Tick};

/// Milliseconds of functions.
const FUNCTION_MS: &str = "function/ms";
/// The same times their megabytes.
const FUNCTION_MB_MS: &str = "function/mb_ms";
/// Invocations.
const INVOCATIONS: &str = "function/invocations";
/// Messages of reports in units of 64 KiB.
const REPORT_UNITS: &str = "function/report_units";

/// What a stage reckons with.
#[derive(Clone, Debug)]
pub struct StageTariff {
    /// Of its region.
    pub prices: Prices,
    /// What functions and stages were built for.
    pub architecture: Architecture,
}

/// What stages told of a job, as it is billed.
#[must_use]
pub fn measured(parts: &[JobPart]) -> Measured {
    let mut sum = Measured::default();
    for part in parts {
        let of = |name: &str| part.stats.get(name).copied().unwrap_or_default();
        sum.function_mb_ms += of(FUNCTION_MB_MS);
        sum.invocations += of(INVOCATIONS);
        sum.report_units += of(REPORT_UNITS);
        sum.requests += of("requests");
        sum.stage_ms += part.at.0.saturating_sub(part.opened_at.0);
    }
    sum
}

impl Engine {
    /// Adds what functions told; durable with the group in which their reports are, or the one before.
    pub(crate) fn spend(&mut self, now: Tick, spent: &[Spent], report_bytes: u64) {
        let mut units = report_bytes.div_ceil(BILLED_UNIT_BYTES).max(1);
        for Spent { job, us, memory_mb, invocations } in spent {
            if self.jobs.get(job).is_none_or(|run| run.ended.is_some()) {
                continue;
            }
            let ms = us.div_ceil(1000);
            let counts = [
                (FUNCTION_MS, ms),
                (FUNCTION_MB_MS, ms.saturating_mul(u64::from(*memory_mb))),
                (INVOCATIONS, u64::from(*invocations)),
                (REPORT_UNITS, std::mem::take(&mut units)),
            ];
            for (counter, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
                self.note(*job, counter, count, "");
                let (counter, example) = (counter.to_owned(), String::new());
                self.write_own(now, &Record::Note { job: *job, counter, count, example });
            }
        }
    }
}

impl StageDriver {
    /// Stops a job whose part here has cost this stage's share of the budget.
    pub(super) fn stop_at_budget(&mut self, now: Tick, job: JobId) {
        let Some(budget) = self.jobs.get(&job).and_then(|open| open.settings.budget_micros) else { return };
        if self.engine.stopping(job).is_some() {
            return;
        }
        let share = budget as f64 / 1e6 / f64::from(self.slice.of);
        let so_far = self.cost(now, job);
        if so_far >= share {
            tracing::info!(
                job = job.0,
                dollars = so_far,
                budget = share,
                "the budget is reached: what is under way is finished"
            );
            self.engine.stop_for_good(now, job, Outcome::Budget);
        }
    }

    /// Dollars so far.
    fn cost(&self, now: Tick, job: JobId) -> f64 {
        let figures = self.engine.figures(job);
        let of = |name: &str| figures.notes.get(name).map_or(0, |(count, _)| *count);
        let opened_at = self.jobs.get(&job).map_or(now.unix_ms(), |open| open.opened_at);
        let measured = Measured {
            function_mb_ms: of(FUNCTION_MB_MS),
            invocations: of(INVOCATIONS),
            report_units: of(REPORT_UNITS),
            requests: figures.urls.requests,
            stage_ms: now.unix_ms().0.saturating_sub(opened_at.0),
        };
        let tariff = &self.options.tariff;
        Bill::of(&measured.usage(&Fleet::default(), &Rates::default()), &tariff.prices, tariff.architecture).total()
    }
}

/// Remarks that are a job's spending, and no example of anything.
pub(super) fn without_spending(notes: BTreeMap<String, String>) -> BTreeMap<String, String> {
    notes.into_iter().filter(|(name, _)| !name.starts_with("function/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::UnixMs;

    #[test]
    fn parts_of_all_stages_are_one_bill() {
        let part = |stage, at, stats: &[(&str, u64)]| JobPart {
            stage,
            opened_at: UnixMs(1_000),
            at: UnixMs(at),
            stats: stats.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            ..JobPart::default()
        };
        let parts = [
            part(0, 3_000, &[(FUNCTION_MB_MS, 256_000), (INVOCATIONS, 2), (REPORT_UNITS, 3), ("requests", 40)]),
            part(1, 6_000, &[(FUNCTION_MB_MS, 1_000), ("requests", 2)]),
        ];
        let sum = measured(&parts);
        let expected =
            Measured { function_mb_ms: 257_000, invocations: 2, report_units: 3, requests: 42, stage_ms: 7_000 };
        assert_eq!(sum, expected);
    }
}
