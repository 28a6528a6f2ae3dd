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
    /// Every counter by the name that the docs list; those that are nothing say nothing, but for the headline ones.
    #[must_use]
    pub fn named(&self, redelivered: u64) -> Vec<(String, u64)> {
        let (urls, items) = (&self.urls, &self.items);
        let mut stats = vec![
            ("urls/offered".to_owned(), urls.offered),
            ("urls/admitted".to_owned(), urls.admitted),
            ("verdict/delivered".to_owned(), urls.delivered),
            ("verdict/duplicate".to_owned(), urls.duplicate),
            ("verdict/redirected".to_owned(), urls.redirected),
            ("verdict/abandoned".to_owned(), urls.abandoned),
        ];
        for reason in weir_model::Reason::ALL {
            let kind = if reason.is_dead_letter() { "dead_lettered" } else { "rejected" };
            stats.push((format!("verdict/{kind}/{}", reason.as_str()), urls.rejected(reason)));
        }
        stats.push(("requests".to_owned(), urls.requests));
        stats.push(("requests/robots".to_owned(), urls.robots_requests));
        for (status, count) in &urls.responses {
            stats.push((format!("responses/{status}"), *count));
        }
        stats.extend([
            ("responses/wire_bytes".to_owned(), urls.wire_bytes),
            ("responses/body_bytes".to_owned(), urls.body_bytes),
            ("retries".to_owned(), urls.retries),
            ("unfetched".to_owned(), urls.unfetched),
            ("leases_lost".to_owned(), urls.leases_lost),
            ("redelivered".to_owned(), redelivered),
            ("items/scraped".to_owned(), items.scraped),
            ("items/stored".to_owned(), items.stored),
            ("items/unchanged".to_owned(), items.unchanged),
            ("items/stale".to_owned(), items.stale),
            ("items/refused".to_owned(), items.refused),
        ]);
        for (counter, (count, _)) in &self.notes {
            stats.push((counter.clone(), *count));
        }
        let always = ["urls/admitted", "verdict/delivered", "requests", "items/scraped"];
        stats.retain(|(name, count)| *count > 0 || always.contains(&name.as_str()));
        stats
    }

    /// URLs that went wrong for good, and items that a sink refused.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.dead_letters() + self.items.refused
    }

    /// True when no URL and no item before its sinks was dead-lettered or abandoned: a crawl that finished so has seen everything.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.dead_letters() == 0 && self.urls.abandoned == 0 && !self.has_uncomputed()
    }

    /// An item that a computation failed on was on its page, and no sink has heard of it.
    fn has_uncomputed(&self) -> bool {
        self.notes.keys().any(|counter| counter.starts_with("compute/") && counter.ends_with("/refused"))
    }

    fn dead_letters(&self) -> u64 {
        weir_model::Reason::ALL
            .iter()
            .filter(|reason| reason.is_dead_letter())
            .map(|reason| self.urls.rejected(*reason))
            .sum()
    }
}
