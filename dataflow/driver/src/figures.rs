//! Figures of a job: what progress shows, what stop rules look at, what the closing stats say.

use crate::jobs::StopRule;
use std::collections::BTreeMap;
use weir_model::{Outcome, Tick};
use weir_stage::ItemCounts;

/// Figures of a job for progress, stop rules and closing stats: of this run and before.
#[derive(Clone, Debug, Default)]
pub struct JobFigures {
    /// URL counts.
    pub urls: weir_frontier::JobCounts,
    /// Item counts.
    pub items: ItemCounts,
    /// Counted remarks with their first example.
    pub notes: BTreeMap<String, (u64, String)>,
}

impl StopRule {
    /// The outcome, when it is time to stop.
    pub(crate) fn applies(&self, figures: &JobFigures, started_at: Tick, now: Tick) -> Option<Outcome> {
        match *self {
            StopRule::Items(max) => (figures.items.scraped >= max).then_some(Outcome::ClosespiderItemcount),
            StopRule::Pages(max) => {
                let pages: u64 = figures.urls.responses.iter().map(|(_, count)| count).sum();
                (pages >= max).then_some(Outcome::ClosespiderPagecount)
            }
            StopRule::Errors(max) => (figures.errors() >= max).then_some(Outcome::ClosespiderErrorcount),
            StopRule::Us(max) => {
                (now.since(started_at).as_micros() as u64 >= max).then_some(Outcome::ClosespiderTimeout)
            }
        }
    }
}

impl JobFigures {
    /// URLs that went wrong for good, and items that a sink refused.
    #[must_use]
    pub fn errors(&self) -> u64 {
        let dead: u64 = weir_model::Reason::ALL
            .iter()
            .filter(|reason| reason.is_dead_letter())
            .map(|reason| self.urls.rejected(*reason))
            .sum();
        dead + self.items.refused
    }
}
