//! The throttle law of one domain: when its next request may leave.
//!
//! Decides instants from the hits it is told of. Knows no queue and no clock.
//!
//! A hit is kept as the latest instant at which its request can have arrived. While a release is unreported, that is the end of
//! its slot plus margin and time-out; its report moves it to where it belongs. A request may leave at `t` when fewer than `hits` of
//! them lie after `t - window`. So whatever is late, lost or repeated wastes a slot and never breaks the law.
//!
//! A law may change: what lies in the new window counts under the new law. What the old one had forgotten by then counts as the
//! densest past that the old one allowed (`Past`).
//!
//! Invariant: arrivals, each anywhere between the start of its request and its answer, never exceed `hits` in any window, and
//! are never closer than the crawl delay.

use crate::config::{FrontierConfig, Limits};
use std::collections::BTreeSet;
use weir_model::{ReleaseId, Tick};

/// How many requests late a moderated domain may be and still make up for it.
const EVEN_CREDIT: u64 = 4;

/// What a report says of its request's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// No byte was written: no hit was used.
    Unsent,
    /// The first byte of the answer came at this instant, by the function's clock.
    Answered(Tick),
    /// Written, and given up at this instant.
    GivenUp(Tick),
}

/// Hits beyond which a forgotten past is waited out instead of being taken for granted one by one.
const PAST_HITS_MAX: u64 = 10_000;

/// What is taken for granted of a past that nobody remembers, when a law comes that looks further back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Nothing leaves before.
    pub held_until: Tick,
    /// Until when it may have been asked without a law.
    pub free: Tick,
    /// The last instant of which not all is known.
    pub last: Tick,
    /// From each burst to the one before it, as the densest of the laws before allowed.
    pub step_us: u64,
    /// Hits in a burst, by the same law.
    pub burst: u64,
    /// Hits that are taken for granted.
    pub count: u64,
}

/// What a snapshot keeps of a throttle, beside its hits.
pub(crate) type Kept = [u64; 9];

/// The law of a domain and its hits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    limits: Option<Limits>,
    crawl_delay_us: u64,
    /// Latest possible arrival of each request that still counts.
    hits: BTreeSet<(Tick, ReleaseId)>,
    /// When the next request is due by perfectly even spacing.
    even: Tick,
    /// Not before this, by even spacing as it is kept: a request that came late is made up for.
    spaced: Tick,
    /// Not before this, by a crawl delay that became known after the request that brought it.
    held_until: Tick,
    /// When it was asked first under a law, as far as is known; 0: never.
    first: Tick,
    /// When it was asked last.
    left: Tick,
    /// Until when it may have been asked without a law, uncounted; 0: never.
    free: Tick,
    /// All hits after this are known.
    forgotten: Tick,
    /// What all laws before the one in force allowed at most: so many in a burst, and the time between two; 0: there was none.
    densest: (u64, u64),
}

/// A law that allows whatever two laws allow, also when one follows the other.
fn denser(one: (u64, u64), other: (u64, u64)) -> (u64, u64) {
    if one.0 == 0 { other } else { (one.0.max(other.0), one.1.min(other.1)) }
}

impl Throttle {
    /// A domain that was never asked.
    #[must_use]
    pub fn new(limits: Option<Limits>) -> Throttle {
        Throttle { limits, ..Throttle::default() }
    }

    /// False when requests may leave as they come.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limits.is_some() || self.crawl_delay_us > 0
    }

    /// The law in force.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.limits
    }

    /// Without a law: a request left, or its answer came.
    pub fn note_free(&mut self, at: Tick) {
        self.left = self.left.max(at);
        self.free = self.free.max(at);
    }

    /// Another law from `now` on. What is to be taken for granted of the past is taken in, and given back to be kept durably.
    pub fn set_limits(&mut self, limits: Option<Limits>, now: Tick) -> Option<Past> {
        let before = std::mem::replace(&mut self.limits, limits);
        let limits = limits?;
        // Even spacing begins anew behind the last request.
        self.even = Tick(0);
        if limits.moderated {
            let spacing = limits.window_us / u64::from(limits.hits);
            let next = if self.left > Tick(0) { self.left } else { now }.after_us(spacing);
            self.spaced = if self.left > Tick(0) { next } else { self.spaced.min(next) };
            self.even = self.spaced;
        } else {
            self.spaced = Tick(0);
        }
        let past = self.unknown_past(before, limits, now)?;
        self.assume(&past);
        Some(past)
    }

    /// The densest past that the laws before allowed, where the new one looks and nobody remembers.
    fn unknown_past(&mut self, before: Option<Limits>, limits: Limits, now: Tick) -> Option<Past> {
        let mut past = Past { free: self.free, ..Past::default() };
        if self.free > Tick(0) {
            // Nobody counted: the window may be full of what came until then.
            past.held_until = self.free.after_us(limits.window_us);
        }
        let pace = match before {
            Some(law) => Some((u64::from(law.hits), law.window_us)),
            None => (self.crawl_delay_us > 0).then_some((1, self.crawl_delay_us)),
        };
        if self.first > Tick(0)
            && let Some(pace) = pace
        {
            self.densest = denser(self.densest, pace);
            (past.burst, past.step_us) = self.densest;
            let horizon = Tick(now.0.saturating_sub(limits.window_us)).max(self.first);
            if self.forgotten >= horizon {
                let bursts = (self.forgotten.0 - horizon.0) / past.step_us.max(1) + 1;
                // No more matter; all of these do, since what is remembered may turn out to be unsent.
                let count = bursts.saturating_mul(past.burst).min(u64::from(limits.hits));
                if count > PAST_HITS_MAX {
                    past.held_until = past.held_until.max(self.forgotten.after_us(limits.window_us));
                } else {
                    (past.last, past.count) = (self.forgotten, count);
                }
            }
        }
        (past != Past::default()).then_some(past)
    }

    /// Takes a past for granted.
    pub fn assume(&mut self, past: &Past) {
        self.held_until = self.held_until.max(past.held_until);
        self.free = self.free.max(past.free);
        if past.burst > 0 {
            self.densest = denser(self.densest, (past.burst, past.step_us));
        }
        for number in 0..past.count.min(PAST_HITS_MAX) {
            let back = (number / past.burst.max(1)).saturating_mul(past.step_us);
            // Ids that no release has.
            self.hits.insert((Tick(past.last.0.saturating_sub(back)), ReleaseId(u64::MAX - number)));
        }
    }

    /// Sets the crawl delay of the domain's robots.txt, the slowest of its origins. Counts from `now` on.
    pub fn set_crawl_delay(&mut self, delay_us: u64, now: Tick) {
        // Whether or not this was known before: a replay may know of delays that the domain had forgotten when it asked.
        self.held_until = self.held_until.max(now.after_us(delay_us));
        if self.limits.is_none() && self.crawl_delay_us > 0 && self.first > Tick(0) {
            self.densest = denser(self.densest, (1, self.crawl_delay_us));
        }
        self.crawl_delay_us = delay_us;
    }

    /// The crawl delay in force.
    #[must_use]
    pub fn crawl_delay_us(&self) -> u64 {
        self.crawl_delay_us
    }

    /// When the next request may leave, as far as is known now; only a report can make it earlier.
    #[must_use]
    pub fn next_allowed(&self) -> Tick {
        let mut next = self.held_until;
        if let Some(limits) = self.limits {
            if let Some(over) = self.hits.len().checked_sub(limits.hits as usize) {
                let (blocking, _) = self.hits.iter().nth(over).expect("over < hits.len(), since hits >= 1");
                next = next.max(blocking.after_us(limits.window_us));
            }
            next = next.max(self.spaced);
        }
        match self.hits.last() {
            Some((latest, _)) if self.crawl_delay_us > 0 => next.max(latest.after_us(self.crawl_delay_us)),
            _ => next,
        }
    }

    /// Until when this domain's past matters: before, it must not be forgotten.
    #[must_use]
    pub fn forgettable_at(&self) -> Tick {
        let window = self.limits.map_or(0, |limits| limits.window_us).max(self.crawl_delay_us);
        let counted = self.hits.last().map_or(Tick(0), |(latest, _)| latest.after_us(window));
        counted.max(self.spaced).max(self.held_until)
    }

    /// A request leaves for the slot that opens at `not_before`; returns its hit, to be given back with its report.
    pub fn reserve(&mut self, not_before: Tick, release: ReleaseId, config: &FrontierConfig) -> Tick {
        let hit = not_before.after_us(config.slot_us + config.margin_us + config.request_timeout_us);
        self.reserve_hit(not_before, release, hit, config);
        hit
    }

    /// As `reserve`, with a hit that was computed before (at replay).
    pub fn reserve_hit(&mut self, not_before: Tick, release: ReleaseId, hit: Tick, config: &FrontierConfig) {
        // A slot may open later than one that a report frees next: what counts there must not be forgotten here.
        self.prune(Tick(not_before.0.saturating_sub(config.lookahead_us)));
        self.left = self.left.max(not_before);
        if !self.is_limited() {
            return;
        }
        if self.first == Tick(0) {
            self.first = not_before;
        }
        self.hits.insert((hit, release));
        let Some(limits) = self.limits.filter(|limits| limits.moderated) else { return };
        let spacing = limits.window_us / u64::from(limits.hits);
        // Slow answers free their hits late. What was lost by that is made up for, with at least about half the spacing between
        // two requests; a domain that had nothing to do begins anew. The window above stays exact in any case.
        let credit = (EVEN_CREDIT * spacing).max(config.catch_up_us);
        let late = not_before.0.saturating_sub(self.even.0);
        let busy = self.hits.len() >= limits.hits as usize;
        self.even = match (late <= credit, busy) {
            (true, _) => self.even,
            (false, true) => Tick(not_before.0 - credit),
            (false, false) => not_before,
        }
        .after_us(spacing);
        self.spaced = self.even.max(not_before.after_us((spacing / 2).saturating_sub(config.catch_up_us)));
    }

    /// The report of `release` came at `now`; returns where its hit lies from now on.
    pub fn answered(
        &mut self,
        release: ReleaseId,
        hit: Tick,
        arrival: Arrival,
        now: Tick,
        config: &FrontierConfig,
    ) -> Option<Tick> {
        let after = match arrival {
            Arrival::Unsent => None,
            Arrival::Answered(at) => Some(at.after_us(config.margin_us).min(now)),
            Arrival::GivenUp(at) => Some(at.min(now).after_us(config.margin_us + config.request_timeout_us)),
        };
        self.move_hit(release, hit, after);
        after
    }

    /// Moves a hit from `before` to `after`, or takes it away.
    pub fn move_hit(&mut self, release: ReleaseId, before: Tick, after: Option<Tick>) {
        if self.hits.remove(&(before, release))
            && let Some(after) = after
        {
            self.hits.insert((after, release));
        }
    }

    /// Forgets hits that cannot matter at `from` or later.
    fn prune(&mut self, from: Tick) {
        let window = self.limits.map_or(0, |limits| limits.window_us).max(self.crawl_delay_us);
        while self.hits.first().is_some_and(|(hit, _)| hit.after_us(window) <= from) {
            let forgotten = self.hits.pop_first().map_or(Tick(0), |(hit, _)| hit);
            self.forgotten = self.forgotten.max(forgotten);
        }
    }

    /// What a snapshot keeps: crawl delay and instants, and the hits.
    pub(crate) fn parts(&self) -> (Kept, &BTreeSet<(Tick, ReleaseId)>) {
        let (even, spaced, held_until) = (self.even.0, self.spaced.0, self.held_until.0);
        let past = [self.first.0, self.free.0, self.forgotten.0, self.densest.0, self.densest.1];
        let [first, free, forgotten, burst, step_us] = past;
        ([self.crawl_delay_us, even, spaced, held_until, first, free, forgotten, burst, step_us], &self.hits)
    }

    /// Puts back what a snapshot kept; the limits are those of today's policy.
    pub(crate) fn restore(&mut self, kept: Kept) {
        let [crawl_delay_us, even, spaced, held_until, first, free, forgotten, burst, step_us] = kept;
        self.crawl_delay_us = crawl_delay_us;
        self.even = Tick(even);
        self.spaced = Tick(spaced);
        self.held_until = Tick(held_until);
        self.first = Tick(first);
        self.free = Tick(free);
        self.forgotten = Tick(forgotten);
        self.densest = (burst, step_us);
    }

    /// Puts back one hit.
    pub(crate) fn restore_hit(&mut self, hit: Tick, release: ReleaseId) {
        self.hits.insert((hit, release));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn throttle(hits: u32, window_s: u64, moderated: bool) -> Throttle {
        Throttle::new(Some(Limits { hits, window_us: window_s * SECOND, moderated }))
    }

    #[test]
    fn an_unreported_request_counts_until_it_cannot_arrive_any_more() {
        let config = FrontierConfig { margin_us: 50_000, request_timeout_us: 30 * SECOND, ..FrontierConfig::default() };
        let mut throttle = throttle(1, 10, false);
        let hit = throttle.reserve(Tick(0), ReleaseId(1), &config);
        assert_eq!(hit, Tick(config.slot_us + 50_000 + 30 * SECOND));
        assert_eq!(throttle.next_allowed(), hit.after_us(10 * SECOND));
        // Its report tells better; the stage's own time bounds what a function's clock says.
        let answered = Arrival::Answered(Tick(400_000));
        assert_eq!(throttle.answered(ReleaseId(1), hit, answered, Tick(420_000), &config), Some(Tick(420_000)));
        assert_eq!(throttle.next_allowed(), Tick(420_000 + 10 * SECOND));
    }

    #[test]
    fn an_unsent_request_gives_its_hit_back() {
        let config = FrontierConfig::default();
        let mut throttle = throttle(1, 10, false);
        let hit = throttle.reserve(Tick(5), ReleaseId(1), &config);
        throttle.answered(ReleaseId(1), hit, Arrival::Unsent, Tick(6), &config);
        assert!(throttle.next_allowed() <= Tick(6));
    }

    #[test]
    fn a_slot_taken_ahead_of_time_forgets_nothing_that_still_counts() {
        let config = FrontierConfig { lookahead_us: SECOND, ..FrontierConfig::default() };
        let mut throttle = throttle(1, 10, false);
        let hit = throttle.reserve(Tick(0), ReleaseId(1), &config);
        throttle.answered(ReleaseId(1), hit, Arrival::Answered(Tick(0)), Tick(0), &config);
        // At nine seconds and a half the slot at ten is given away, and comes back unused.
        let next = throttle.next_allowed();
        assert_eq!(next, Tick(10 * SECOND));
        let hit = throttle.reserve(next, ReleaseId(2), &config);
        throttle.answered(ReleaseId(2), hit, Arrival::Unsent, Tick(9_600_000), &config);
        assert_eq!(throttle.next_allowed(), Tick(10 * SECOND), "the first request still counts");
    }

    #[test]
    fn a_forgotten_past_counts_also_when_what_is_remembered_turns_out_unsent() {
        let config = FrontierConfig::default();
        let mut throttle = throttle(2, 1, false);
        let ask = |throttle: &mut Throttle, at: u64, id: u64| throttle.reserve(Tick(at), ReleaseId(id), &config);
        for id in [1, 2] {
            let hit = ask(&mut throttle, 5, id);
            throttle.answered(ReleaseId(id), hit, Arrival::Answered(Tick(5)), Tick(5), &config);
        }
        // A second later both are forgotten, and two more are under way.
        let now = Tick(5 + SECOND);
        let hits = [3, 4].map(|id| (id, ask(&mut throttle, now.0, id)));
        throttle.set_limits(Some(Limits { hits: 3, window_us: 10 * SECOND, moderated: false }), now);
        for (id, hit) in hits {
            throttle.answered(ReleaseId(id), hit, Arrival::Unsent, now, &config);
        }
        assert!(throttle.next_allowed() <= now, "two of three");
        ask(&mut throttle, now.0, 5);
        assert_eq!(throttle.next_allowed(), Tick(5 + 10 * SECOND));
    }

    #[test]
    fn a_moderated_domain_that_had_nothing_to_do_gets_no_credit() {
        let config = FrontierConfig::default();
        let mut throttle = throttle(60, 60, true);
        for at in [100, 200] {
            throttle.reserve(Tick(at * SECOND), ReleaseId(at), &config);
            assert_eq!(throttle.next_allowed(), Tick((at + 1) * SECOND));
        }
    }

    #[test]
    fn a_crawl_delay_known_after_its_request_holds_the_next_one() {
        let config = FrontierConfig::default();
        let mut throttle = Throttle::new(None);
        assert!(!throttle.is_limited());
        throttle.set_crawl_delay(3 * SECOND, Tick(SECOND));
        assert_eq!(throttle.next_allowed(), Tick(4 * SECOND));
        let hit = throttle.reserve(Tick(4 * SECOND), ReleaseId(1), &config);
        throttle.answered(ReleaseId(1), hit, Arrival::Answered(Tick(5 * SECOND)), Tick(6 * SECOND), &config);
        assert_eq!(throttle.next_allowed(), Tick(8 * SECOND));
    }
}
