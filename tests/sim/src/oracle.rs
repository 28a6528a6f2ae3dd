//! What the world has seen, and whether it may have: the invariants that are checked while the story runs.

use crate::plan::Plan;
use crate::web::{RobotsFile, SECOND, Web, domain_of, host_of};
use crate::{Invariant, Violation};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use weir_model::{FetchMessage, FetchOutcome, Release, ReleaseId, Report, RequestKind, Tick};

/// Leases end within this of what can be told from outside: groups, syncs, turns of the driver's loop.
const LEASE_BLUR_US: u64 = 5 * SECOND;

/// A release of the present life that is not reported.
#[derive(Clone, Debug)]
struct Outstanding {
    url: String,
    /// Surely a lease before this.
    until: Tick,
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Arrivals of each domain that may still matter.
    arrivals: BTreeMap<String, VecDeque<Tick>>,
    fetched: BTreeSet<ReleaseId>,
    outstanding: BTreeMap<ReleaseId, Outstanding>,
    /// Releases whose report ended their URL, in this life.
    decided: BTreeMap<ReleaseId, String>,
    /// URLs whose end is in a message that was settled.
    settled: BTreeSet<String>,
    /// When the report of a host's robots.txt was last received.
    robots_at: BTreeMap<String, Tick>,
    /// Fetches of each page, by their start as reported.
    pub starts: BTreeSet<(String, u64)>,
}

fn broken<T>(invariant: Invariant, what: String) -> Result<T, Violation> {
    Err(Violation { invariant, what })
}

impl Oracle {
    /// Requests under way in this life, at least.
    pub fn in_flight(&self, now: Tick) -> usize {
        self.outstanding.values().filter(|release| release.until > now).count()
    }

    pub fn dispatched(&mut self, now: Tick, message: &FetchMessage, plan: &Plan, web: &Web) -> Result<(), Violation> {
        if message.releases.is_empty() || message.releases.len() > plan.message_releases_max {
            return broken(Invariant::Limits, format!("a message of {} releases", message.releases.len()));
        }
        for release in &message.releases {
            let url = release.request.url.to_string();
            if release.request.kind == RequestKind::Page {
                if self.settled.contains(&url) {
                    let what = format!("{url} is released again, although the receipt of its end was settled");
                    return broken(Invariant::NoSettlementBeforeEffect, what);
                }
                self.may_be_fetched(now, &url, plan, web)?;
            }
            let until = release.not_before.after_us(plan.margin_us + plan.timeout_us + plan.lease_grace_us);
            let until = Tick(until.0 - LEASE_BLUR_US);
            self.outstanding.insert(release.id, Outstanding { url, until });
        }
        let in_flight = self.in_flight(now);
        if in_flight > plan.concurrency {
            return broken(Invariant::Limits, format!("{in_flight} requests in flight, {} allowed", plan.concurrency));
        }
        Ok(())
    }

    fn may_be_fetched(&self, now: Tick, url: &str, plan: &Plan, web: &Web) -> Result<(), Violation> {
        if !web.obey_robots {
            return Ok(());
        }
        if !web.allows(url) {
            return broken(Invariant::Robots, format!("{url} is released, which robots.txt forbids"));
        }
        let asked = web.robots_host(host_of(url));
        let fresh = self.robots_at.get(asked).is_some_and(|at| at.after_us(plan.robots_ttl_us + LEASE_BLUR_US) > now);
        if !fresh {
            return broken(
                Invariant::Robots,
                format!("{url} is released without a fresh answer of {asked}/robots.txt"),
            );
        }
        Ok(())
    }

    /// A request reaches its site.
    pub fn arrived(&mut self, now: Tick, release: &Release, plan: &Plan, web: &Web) -> Result<(), Violation> {
        let url = &*release.request.url;
        if !self.fetched.insert(release.id) {
            return broken(Invariant::OneReleaseOneRequest, format!("release {} asks for {url} again", release.id.0));
        }
        let domain = domain_of(url).to_owned();
        let site = &web.sites[host_of(url)];
        let arrivals = self.arrivals.entry(domain.clone()).or_default();
        if let Some(law) = site.law {
            let before = arrivals.len().checked_sub(law.hits as usize).map(|at| arrivals[at]);
            if let Some(before) = before.filter(|before| before.after_us(law.window_us) > now) {
                let gap = now.since(before);
                let what = format!("{domain}: {} arrivals within {gap:?}, {law:?}", law.hits + 1);
                return broken(Invariant::Law, what);
            }
        }
        // Known with certainty only where the domain has one robots.txt.
        let hosts = web.sites.keys().filter(|host| domain_of(host) == domain).count();
        if let RobotsFile::Rules { crawl_delay_us, .. } = site.robots
            && web.obey_robots
            && hosts == 1
            && release.request.kind == RequestKind::Page
            && let Some(before) = arrivals.back().filter(|before| before.after_us(crawl_delay_us) > now)
        {
            let gap = now.since(*before);
            return broken(Invariant::Law, format!("{domain}: {gap:?} apart, crawl delay {crawl_delay_us} µs"));
        }
        // What a dead process released before it knew of any delay binds nobody: the next one cannot know of it.
        let limited = release.not_after == release.not_before.after_us(plan.slot_us);
        if !limited && !self.outstanding.contains_key(&release.id) {
            return Ok(());
        }
        arrivals.push_back(now);
        if arrivals.len() > 8 {
            arrivals.pop_front();
        }
        Ok(())
    }

    /// The process is given a report.
    pub fn received(&mut self, now: Tick, report: &Report) {
        let Some(release) = self.outstanding.remove(&report.release) else { return };
        if let FetchOutcome::Robots { .. } = report.outcome {
            self.robots_at.insert(host_of(&release.url).to_owned(), now);
            return;
        }
        if release.url.ends_with("/robots.txt") || release.until <= now {
            return;
        }
        let ends = match report.outcome {
            FetchOutcome::Response { status } => matches!(status, 200 | 404),
            FetchOutcome::Redirect { .. } | FetchOutcome::Unreadable { .. } => true,
            _ => false,
        };
        if ends {
            self.decided.insert(report.release, release.url);
        }
    }

    /// The receipt of these reports is settled.
    pub fn settled(&mut self, reports: &[Report]) {
        for report in reports {
            if let Some(url) = self.decided.get(&report.release) {
                self.settled.insert(url.clone());
            }
        }
    }

    /// The process is gone, whatever it knew.
    pub fn died(&mut self) {
        self.outstanding.clear();
        self.decided.clear();
    }
}
