//! Figures of a job: what progress shows, what stop rules look at, what the closing stats say.

use crate::jobs::StopRule;
use std::collections::BTreeMap;
use weir_model::{Outcome, Reason, Tick};
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
        for reason in Reason::ALL {
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

    /// Why this crawl may have missed items that are there; none: one that finished so has seen everything.
    #[must_use]
    pub fn incomplete(&self) -> Option<String> {
        let rejected = |reason: Reason| self.urls.rejected(reason);
        let pages = |count: u64, why: &str| (count > 0).then(|| format!("{count} pages {why}"));
        pages(self.dead_letters(), "went wrong for good")
            .or_else(|| pages(self.urls.abandoned, "were given up"))
            .or_else(|| pages(rejected(Reason::Blacklisted), "are on the blacklist"))
            .or_else(|| self.is_shut_out().then(|| "pages were denied (status 401, 403 or the like)".to_owned()))
            .or_else(|| self.unread().map(|counter| format!("items on its pages could not be read ({counter})")))
    }

    /// Pages with a status that does not say that they are gone, as 404 and 410 do. What is tried again by default is counted elsewhere.
    fn is_shut_out(&self) -> bool {
        let answers = |wanted: &dyn Fn(u16) -> bool| -> u64 {
            self.urls.responses.iter().filter(|(status, _)| wanted(*status)).map(|(_, count)| count).sum()
        };
        let refused = self.urls.rejected(Reason::Status);
        let gone = answers(&|status| matches!(status, 404 | 410));
        let denied = answers(&|status| (400..500).contains(&status) && !matches!(status, 404 | 408 | 410 | 429));
        // Answers for robots.txt are among them.
        refused > 0 && (refused > gone || denied > self.urls.robots_requests)
    }

    /// The counter of items that were on a page and in no sink: without a required field or key, or refused by a computation.
    fn unread(&self) -> Option<&str> {
        let is_of = |counter: &&String| {
            let mut parts = counter.split('/');
            let (first, second) = (parts.next(), parts.next());
            (first == Some("compute") && counter.ends_with("/refused"))
                || matches!(second, Some("required" | "empty_key"))
        };
        self.notes.keys().find(is_of).map(String::as_str)
    }

    fn dead_letters(&self) -> u64 {
        Reason::ALL.iter().filter(|reason| reason.is_dead_letter()).map(|reason| self.urls.rejected(*reason)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(responses: &[(u16, u64)], rejected: &[(Reason, u64)], notes: &[&str]) -> JobFigures {
        let mut figures = JobFigures::default();
        responses.iter().for_each(|(status, count)| figures.urls.response(*status, *count));
        rejected.iter().for_each(|(reason, count)| figures.urls.rejected[*reason as usize - 1] = *count);
        figures.notes = notes.iter().map(|note| ((*note).to_owned(), (1, String::new()))).collect();
        figures.urls.robots_requests = 1;
        figures
    }

    #[test]
    fn what_is_gone_is_judged_only_by_a_crawl_that_was_let_in_everywhere() {
        let told = |responses: &[(u16, u64)], rejected: &[(Reason, u64)], notes: &[&str]| {
            figures(responses, rejected, notes).incomplete().unwrap_or_default()
        };
        // Gone pages are what it is about; decisions by rule, retried answers and a missing robots.txt hinder nothing.
        assert_eq!(
            told(&[(200, 9), (404, 4), (410, 1), (429, 3)], &[(Reason::Status, 5)], &["property/price/not_a_number"]),
            ""
        );
        assert_eq!(
            told(&[(200, 9), (404, 1)], &[(Reason::Offsite, 3), (Reason::TooDeep, 2), (Reason::Robots, 1)], &[]),
            ""
        );
        assert_eq!(
            told(&[(200, 9), (403, 1), (404, 2)], &[(Reason::Status, 2)], &[]),
            "",
            "robots.txt alone was denied"
        );
        for (responses, rejected) in [
            (&[(200, 9), (403, 3)][..], Reason::Status),
            (&[(200, 9), (403, 3), (404, 1)], Reason::Status),
            (&[(404, 4), (451, 2)], Reason::Status),
            (&[(200, 9)], Reason::Blacklisted),
            (&[(200, 9)], Reason::FailedTimeout),
        ] {
            assert_ne!(told(responses, &[(rejected, 3)], &[]), "", "{responses:?} {rejected:?}");
        }
        for note in ["property/required/price", "property/empty_key/url", "compute/score/refused"] {
            assert!(told(&[(200, 9)], &[], &[note]).contains(note));
        }
    }
}
