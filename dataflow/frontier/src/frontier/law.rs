//! Another law while crawls run: who may be asked how often, and who not at all.
//!
//! Decides what becomes of domains that are known when the law changes: their throttles go on under the new limits with the hits they
//! have, what is queued of a blacklisted domain is refused when its turn comes, and its robots.txt is not asked for any more. Knows
//! neither files nor commands. Invariants: no release after the change breaks the new law, also not by what the old one had forgotten;
//! what was released before it is under way as the old law allowed.

use super::Frontier;
use super::origin::{Origin, OriginState, host_of};
use super::state::{Domain, Line};
use crate::config::{LawBook, Limits};
use crate::out::Out;
use crate::record;
use std::sync::Arc;
use weir_model::Tick;

/// How a known domain stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainLaw {
    /// Its name.
    pub name: Box<str>,
    /// Its law; `None`: unlimited.
    pub limits: Option<Limits>,
    /// What its robots.txt asks for, in microseconds; 0: nothing.
    pub crawl_delay_us: u64,
    /// Never asked.
    pub blacklisted: bool,
    /// URLs that wait.
    pub queued: u64,
}

impl Frontier {
    /// Takes another law from `now` on. Between two steps; what is to be durable of it is in the next group.
    pub fn set_laws(&mut self, laws: Arc<dyn LawBook>, now: Tick, out: &mut Out) {
        Arc::make_mut(&mut self.config).laws = Arc::clone(&laws);
        for index in 0..self.domains.len() {
            let Some(mut domain) = self.domains[index].take() else { continue };
            let limits = laws.limits(&domain.name);
            if limits != domain.throttle.limits() {
                let was_limited = domain.throttle.is_limited();
                if let Some(past) = domain.throttle.set_limits(limits, now) {
                    record::put_past(&mut out.journal, domain.slot, domain.key, &domain.name, &past);
                }
                if !was_limited && domain.throttle.is_limited() {
                    self.count_free_leases(&mut domain, now, out);
                }
            }
            domain.blacklisted = laws.blacklisted(&domain.name);
            self.forsake(&mut domain);
            self.domains[index] = Some(domain);
            // Also of a domain whose law is the same a host may be blacklisted.
            self.wake(index as u32);
        }
    }

    /// Asks no more for the robots.txt of blacklisted hosts: what waits for it is refused in its turn.
    pub(super) fn forsake(&mut self, domain: &mut Domain) {
        let is_barred = |url: &str| domain.blacklisted || self.config.laws.blacklisted(host_of(url));
        let mut forsaken = Vec::new();
        domain.origins.retain_mut(|origin| {
            let Origin { key, url, state: OriginState::Asking(asking) } = origin else { return true };
            if asking.release.is_some() {
                return true;
            }
            if is_barred(url) {
                forsaken.push(*key);
                return false;
            }
            if is_barred(&asking.url) {
                // Redirected there before: asked anew, the redirect is the answer.
                asking.url.clone_from(url);
                asking.redirects = 0;
            }
            true
        });
        for key in forsaken {
            self.unpark(domain, key);
        }
    }

    /// How the domains stand that have most queued, at most so many, and how many are known in all.
    #[must_use]
    pub fn domain_laws(&self, max: usize) -> (Vec<DomainLaw>, usize) {
        let queued = |line: &Line| line.queue.len() + line.heads.len() + line.delayed.len() + line.parked.len();
        let mut known: Vec<(usize, &Domain)> = self
            .domains
            .iter()
            .filter_map(|domain| domain.as_deref())
            .map(|domain| (domain.lines.iter().map(queued).sum(), domain))
            .collect();
        let count = known.len();
        let order = |one: &(usize, &Domain), two: &(usize, &Domain)| {
            two.0.cmp(&one.0).then_with(|| one.1.name.cmp(&two.1.name))
        };
        if max < count {
            known.select_nth_unstable_by(max, order);
            known.truncate(max);
        }
        known.sort_unstable_by(order);
        let laws = known.into_iter().map(|(queued, domain)| DomainLaw {
            name: domain.name.clone(),
            limits: domain.throttle.limits(),
            crawl_delay_us: domain.throttle.crawl_delay_us(),
            blacklisted: domain.blacklisted,
            queued: queued as u64,
        });
        (laws.collect(), count)
    }
}
