//! robots.txt: asked before the first page of an origin, under the same law, and believed for a day.
//!
//! RFC 9309: redirects are followed up to five; 4xx means no rules; a server error or silence forbids everything, after retries.
//! A host that is not reached at all ends its URLs with that failure as their reason, which is what a person needs to know.

use super::Frontier;
use super::origin::{Asking, Origin, OriginState, Permission, ROBOTS_REDIRECTS_MAX, host_of, origin_key, robots_url};
use super::state::Domain;
use crate::offer::{Offer, OfferSource, slot_of};
use crate::out::{Out, RobotsAnswer, RobotsOutcome};
use crate::record::{self, Entry};
use crate::url::{Scratch, admit_form};
use weir_model::{DomainKey, FailureClass, FetchOutcome, JobId, LinkBatch, Report, RequestKind, TargetId, Tick};

/// Attempts to get a robots.txt.
const ATTEMPTS_MAX: u8 = 3;
/// The wait after the first failed attempt is twice this; it doubles.
pub(super) const BACKOFF_US: u64 = 1_000_000;
/// A redirect to another domain that brings no answer is asked again after this.
const ELSEWHERE_US: u64 = 600_000_000;
/// Origins of one domain whose robots.txt is kept.
const ORIGINS_MAX: usize = 1024;

/// What the report of a robots.txt request comes to.
enum Step {
    Answer(RobotsOutcome),
    Redirect(Box<str>),
    Retry(RobotsOutcome),
    Unsent,
}

fn step_of(outcome: &mut FetchOutcome) -> Step {
    match outcome {
        FetchOutcome::Robots { status: 200..=299, body } => Step::Answer(RobotsOutcome::Rules(std::mem::take(body))),
        FetchOutcome::Robots { status, .. }
        | FetchOutcome::Response { status }
        | FetchOutcome::Unreadable { status, .. } => match status {
            429 | 500..=599 => Step::Retry(RobotsOutcome::ServerError),
            _ => Step::Answer(RobotsOutcome::Missing),
        },
        FetchOutcome::Redirect { location, .. } => Step::Redirect(std::mem::take(location)),
        FetchOutcome::Failed { class, .. } => match class {
            FailureClass::TooLarge | FailureClass::Decode => Step::Answer(RobotsOutcome::ServerError),
            FailureClass::ForbiddenAddress | FailureClass::BadRequest => {
                Step::Answer(RobotsOutcome::Unreachable(*class))
            }
            _ => Step::Retry(RobotsOutcome::Unreachable(*class)),
        },
        FetchOutcome::Unfetched { .. } => Step::Unsent,
    }
}

impl Domain {
    pub(super) fn is_asking(&self) -> bool {
        self.origins.iter().any(|origin| matches!(origin.state, OriginState::Asking(_)))
    }

    pub(super) fn origin(&mut self, key: u64) -> Option<&mut Origin> {
        self.origins.iter_mut().find(|origin| origin.key == key)
    }

    pub(super) fn permission(&self, agent: &str, url: &str, now: Tick) -> Permission {
        let key = origin_key(url);
        let origin = self.origins.iter().find(|origin| origin.key == key);
        origin.map_or(Permission::Unknown, |origin| origin.permission(agent, url, now))
    }

    /// The slowest delay that an origin of the domain asks of any agent.
    fn crawl_delay_us(&self) -> u64 {
        let delays = self.origins.iter().flat_map(Origin::delays_us);
        delays.max().unwrap_or_default()
    }

    /// Begins to ask for the robots.txt of a URL's origin; returns the bytes of the answer that is no longer believed.
    pub(super) fn ask(&mut self, url: &str, job: JobId, now: Tick) -> usize {
        let (key, robots) = (origin_key(url), robots_url(url));
        let asking = Asking {
            job,
            url: robots.clone(),
            attempts: 0,
            redirects: 0,
            lost: false,
            refused: false,
            due: now,
            release: None,
        };
        let state = OriginState::Asking(asking);
        if let Some(origin) = self.origin(key) {
            let freed = origin.bytes();
            origin.state = state;
            return freed;
        }
        let mut freed = 0;
        if self.origins.len() >= ORIGINS_MAX
            && let Some(at) = self.origins.iter().position(|origin| matches!(origin.state, OriginState::Known { .. }))
        {
            freed = self.origins.remove(at).bytes();
        }
        self.origins.push(Origin { key, url: robots, state });
        freed
    }

    /// Asking for a closed job goes on for another that waits, or ends.
    pub(super) fn reassign_asking(&mut self, closed: JobId) {
        let lines = &self.lines;
        self.origins.retain_mut(|origin| {
            let key = origin.key;
            let OriginState::Asking(asking) = &mut origin.state else { return true };
            if asking.job != closed || asking.release.is_some() {
                return true;
            }
            let waits = |line: &&super::state::Line| line.parked.iter().any(|parked| parked.origin == key);
            let heir = lines.iter().find(waits).map(|line| line.job);
            asking.job = heir.unwrap_or(closed);
            heir.is_some()
        });
    }
}

impl Frontier {
    /// What a robots.txt on another domain turned out to be: for the owner of the origin that redirected there.
    pub fn robots_answer(&mut self, now: Tick, answer: RobotsAnswer, out: &mut Out) {
        let Some(key) = domain_of(&answer.url) else { return };
        let Some(index) = self.by_key.get(&key).copied() else { return };
        let mut domain = self.domains[index as usize].take().expect("an index is given up with its domain");
        let origin = origin_key(&answer.url);
        if domain.origin(origin).is_some_and(|origin| origin.asking().is_some()) {
            self.learn(&mut domain, origin, answer.outcome, now, out);
        }
        self.domains[index as usize] = Some(domain);
        self.wake(index);
    }

    /// The report of a robots.txt that this domain asked for.
    pub(super) fn settle_robots(
        &mut self,
        domain: &mut Domain,
        key: u64,
        report: &mut Report,
        now: Tick,
        out: &mut Out,
    ) {
        let step = step_of(&mut report.outcome);
        self.advance_robots(domain, key, step, now, out);
    }

    /// The lease of a robots.txt ran out.
    pub(super) fn lose_robots(&mut self, domain: &mut Domain, key: u64, now: Tick, out: &mut Out) {
        if let Some(asking) = domain.origin(key).and_then(Origin::asking) {
            asking.lost = true;
        }
        let outcome = RobotsOutcome::Unreachable(FailureClass::Timeout);
        self.advance_robots(domain, key, Step::Retry(outcome), now, out);
    }

    fn advance_robots(&mut self, domain: &mut Domain, key: u64, step: Step, now: Tick, out: &mut Out) {
        let domain_key = domain.key;
        let Some(origin) = domain.origin(key) else { return };
        let url: Box<str> = origin.url.clone();
        let Some(asking) = origin.asking() else { return };
        asking.release = None;
        let answer = match step {
            Step::Answer(outcome) => Some(outcome),
            Step::Unsent => {
                asking.due = now;
                None
            }
            Step::Retry(outcome) => {
                asking.attempts += 1;
                asking.due = now.after_us(BACKOFF_US << asking.attempts);
                asking.refused |= outcome == RobotsOutcome::ServerError;
                let outcome = if asking.refused { RobotsOutcome::ServerError } else { outcome };
                (asking.attempts >= ATTEMPTS_MAX).then_some(outcome)
            }
            Step::Redirect(_) if asking.redirects >= ROBOTS_REDIRECTS_MAX => Some(RobotsOutcome::Missing),
            Step::Redirect(location) => match domain_of(&location) {
                None => Some(RobotsOutcome::Missing),
                // A robots.txt that may not be asked does not answer.
                Some(_) if self.config.laws.blacklisted(host_of(&location)) => Some(RobotsOutcome::ServerError),
                Some(target) => {
                    asking.redirects += 1;
                    if target == domain_key {
                        asking.due = now;
                        asking.url = location;
                    } else {
                        asking.due = now.after_us(ELSEWHERE_US);
                        out.offers.push(elsewhere(asking.job, &url, asking.redirects, &location));
                    }
                    None
                }
            },
        };
        match answer {
            Some(outcome) => self.learn(domain, key, outcome, now, out),
            // It may have been blacklisted while it was asked.
            None => self.forsake(domain),
        }
    }

    /// The report of a robots.txt that another domain redirected here. True when it is to be tried again.
    pub(super) fn settle_robots_elsewhere(
        &mut self,
        entry: &Entry<'_>,
        report: &mut Report,
        out: &mut Out,
    ) -> RobotsElsewhere {
        match step_of(&mut report.outcome) {
            Step::Unsent => return RobotsElsewhere::Unsent,
            Step::Retry(_) if entry.attempts + 1 < ATTEMPTS_MAX => return RobotsElsewhere::Retry,
            Step::Answer(outcome) | Step::Retry(outcome) => answer_elsewhere(entry, outcome, out),
            Step::Redirect(location) if entry.redirects < ROBOTS_REDIRECTS_MAX && domain_of(&location).is_some() => {
                let first = entry.first_url.unwrap_or(entry.url);
                out.offers.push(elsewhere(entry.job, first, entry.redirects + 1, &location));
            }
            Step::Redirect(_) => answer_elsewhere(entry, RobotsOutcome::Missing, out),
        }
        RobotsElsewhere::Done
    }

    /// Keeps an answer durably, and lets go on what waited for it.
    fn learn(&mut self, domain: &mut Domain, key: u64, outcome: RobotsOutcome, now: Tick, out: &mut Out) {
        let url = domain.origin(key).expect("asked for by this domain").url.clone();
        record::put_robots(&mut out.journal, domain.slot, domain.key, &domain.name, &url, &outcome, now);
        let was_limited = domain.throttle.is_limited();
        self.believe(domain, key, outcome, now);
        if !was_limited && domain.throttle.is_limited() {
            self.count_free_leases(domain, now, out);
        }
        self.unpark(domain, key);
    }

    /// What waited for an origin's robots.txt goes back to its place.
    pub(super) fn unpark(&mut self, domain: &mut Domain, key: u64) {
        for line in &mut domain.lines {
            let job = self.jobs.known(line.job);
            let order = job.order();
            let (freed, parked) = line.parked.drain(..).partition::<Vec<_>, _>(|parked| parked.origin == key);
            line.parked = parked;
            line.parking_full = line.parked.len() >= self.config.parked_max.max(1);
            job.live.parked -= freed.len() as u64;
            job.live.queued += freed.len() as u64;
            for parked in freed.into_iter().rev() {
                line.queue.put_back(parked.addr, parked.priority, order);
            }
        }
    }

    /// What is under way without a hit counts from now on: the domain has got a law.
    pub(super) fn count_free_leases(&mut self, domain: &mut Domain, now: Tick, out: &mut Out) {
        let Some(index) = self.by_key.get(&domain.key) else { return };
        for (id, lease) in self.leases.iter_mut().filter(|(_, lease)| lease.domain == *index && lease.hit.is_none()) {
            domain.throttle.restore_hit(lease.until, *id);
            lease.hit = Some(lease.until);
            record::put_release(&mut out.journal, domain.slot, domain.key, *id, now, lease.until);
        }
    }

    /// Takes an answer as true from `fetched_at` on.
    pub(super) fn believe(&mut self, domain: &mut Domain, key: u64, outcome: RobotsOutcome, fetched_at: Tick) {
        let ttl = match outcome {
            RobotsOutcome::Rules(_) | RobotsOutcome::Missing => self.config.robots_ttl_us,
            RobotsOutcome::ServerError | RobotsOutcome::Unreachable(_) => self.config.robots_failure_ttl_us,
        };
        let agents = self.agents();
        let origin = domain.origin(key).expect("the caller found or made it");
        self.robots_bytes -= origin.bytes();
        let fresh_until = fetched_at.after_us(ttl);
        origin.state = OriginState::Known { fetched_at, fresh_until, outcome, rules: Vec::new() };
        agents.iter().for_each(|agent| origin.compile(agent));
        self.robots_bytes += origin.bytes();
        self.answered.push_back((domain.key, key));
        let delay = domain.crawl_delay_us().min(self.config.crawl_delay_max_us);
        domain.throttle.set_crawl_delay(delay, fetched_at);
        while self.robots_bytes > self.config.robots_bytes_max && self.answered.len() > 1 {
            self.disbelieve_oldest();
        }
    }

    fn agents(&self) -> Vec<String> {
        let specs = self.jobs.0.iter().filter_map(|job| job.spec.as_deref()).filter(|spec| spec.obey_robots);
        specs.map(|spec| spec.agent.clone()).collect()
    }

    /// A job with this agent was opened: what is known already is known for it, too.
    pub(super) fn believe_for(&mut self, agent: &str) {
        for domain in self.domains.iter_mut().flatten().filter(|domain| !domain.origins.is_empty()) {
            for origin in &mut domain.origins {
                self.robots_bytes -= origin.bytes();
                origin.compile(agent);
                self.robots_bytes += origin.bytes();
            }
            let delay = domain.crawl_delay_us().min(self.config.crawl_delay_max_us);
            domain.throttle.set_crawl_delay(delay, Tick(0));
        }
    }

    fn disbelieve_oldest(&mut self) {
        let Some((domain, key)) = self.answered.pop_front() else { return };
        let Some(index) = self.by_key.get(&domain) else { return };
        // The domain in hand is not in its place; its answer is the newest.
        let Some(domain) = self.domains[*index as usize].as_deref_mut() else { return };
        let known = |origin: &Origin| origin.key == key && matches!(origin.state, OriginState::Known { .. });
        if let Some(at) = domain.origins.iter().position(known) {
            self.robots_bytes -= domain.origins.swap_remove(at).bytes();
        }
    }
}

/// What becomes of a robots.txt entry of another domain.
pub(super) enum RobotsElsewhere {
    Done,
    Retry,
    Unsent,
}

fn domain_of(url: &str) -> Option<DomainKey> {
    admit_form(url, &mut Scratch::new()).ok().map(|admitted| admitted.domain_key())
}

fn elsewhere(job: JobId, origin: &str, redirects: u8, location: &str) -> Offer {
    let mut links = LinkBatch::default();
    links.push(location, TargetId::START, i16::MAX);
    Offer {
        job,
        redirects,
        first_url: Some(origin.into()),
        kind: RequestKind::Robots,
        source: OfferSource::Redirect,
        links,
        ..Offer::default()
    }
}

/// Sends the answer to the origin whose robots.txt redirected to `entry`.
pub(super) fn answer_elsewhere(entry: &Entry<'_>, outcome: RobotsOutcome, out: &mut Out) {
    let url = entry.first_url.unwrap_or(entry.url);
    if let Some(domain) = domain_of(url) {
        out.robots.push(RobotsAnswer { slot: slot_of(domain), job: entry.job, url: url.into(), outcome });
    }
}
