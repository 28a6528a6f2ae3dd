//! Two hundred seeds hold every invariant; each known-bad variant is found, by the invariant that is about it.

use std::collections::BTreeMap;
use weir_sim::{Invariant, Sabotage, Scenario, Told, run, run_scenario};

const SEEDS: u64 = 200;
/// A variant that goes unnoticed for so many seeds is not found.
const SEARCHED: u64 = 400;

#[test]
fn two_hundred_seeds_hold_every_invariant() {
    let told: Vec<_> = (0..SEEDS).map(|seed| run(seed, None, None)).collect();
    let broken: Vec<String> =
        told.iter().filter(|told| told.violation.is_some()).map(|told| format!("{told}")).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    // They are worth something: there were crashes, and pages arrived.
    let lives: u32 = told.iter().map(|told| told.lives).sum();
    assert!(u64::from(lives) > SEEDS + SEEDS / 2, "only {lives} process starts");
    let delivered: u64 = told.iter().map(|told| told.delivered).sum();
    assert!(delivered > SEEDS * 5, "only {delivered} pages delivered");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let mut traces = BTreeMap::new();
    for seed in 0..40 {
        let told = run(seed, None, None);
        if !told.threaded {
            let again = run(seed, None, None);
            assert_eq!((told.trace, told.events), (again.trace, again.events), "seed {seed}");
            traces.insert(told.trace, seed);
        }
    }
    assert!(traces.len() > 20, "other seeds are other stories: {} different", traces.len());
}

const HOUR_US: u64 = 3_600_000_000;
const SEEDS_OF_AN_HOUR: u64 = 25;

fn an_hour_without_a_sink(seed: u64, sabotage: Option<Sabotage>) -> Told {
    run_scenario(seed, Scenario::SinkAway, sabotage, None)
}

/// The invariants say what is bounded and what stands still; here is what makes the hour worth something.
#[test]
fn a_sink_that_is_away_for_an_hour_stops_the_fetching_within_bounds_and_gets_everything_afterwards() {
    let told: Vec<_> = (0..SEEDS_OF_AN_HOUR).map(|seed| an_hour_without_a_sink(seed, None)).collect();
    let broken: Vec<String> =
        told.iter().filter(|told| told.violation.is_some()).map(|told| format!("{told}")).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    for told in &told {
        // An item of this web is at most 512 bytes, a page has five, and sixteen pages may be under way.
        assert!(told.held.outbox_bytes_most <= 4_000 + 17 * 5 * 512, "{told}: {:?}", told.held);
    }
    let full: Vec<_> = told.iter().filter(|told| told.held.full_us > HOUR_US / 2).collect();
    assert!(full.len() as u64 > SEEDS_OF_AN_HOUR / 3, "the outbox ran full in {} stories", full.len());
    assert!(full.iter().all(|told| told.simulated_us > HOUR_US && told.held.waiting_most > 1));
    assert!(full.iter().any(|told| told.lives > 2), "some of these were killed besides");
}

/// A variant breaks the invariant that is about it, in one of the first seeds; it may break others before.
fn breaks(sabotage: Sabotage, invariant: Invariant) {
    breaks_in(&|seed| run(seed, Some(sabotage), None), sabotage, invariant);
}

fn breaks_in(play: &dyn Fn(u64) -> Told, sabotage: Sabotage, invariant: Invariant) {
    let mut others = BTreeMap::new();
    for seed in 0..SEARCHED {
        let Some(violation) = play(seed).violation else { continue };
        if violation.invariant == invariant {
            return;
        }
        *others.entry(violation.invariant).or_insert(0) += 1;
    }
    panic!("{sabotage:?} does not break `{invariant}` in {SEARCHED} seeds, but {others:?}");
}

#[test]
fn receipts_settled_at_once_are_found() {
    breaks(Sabotage::SettledAtOnce, Invariant::NoSettlementBeforeEffect);
}

#[test]
fn a_pretended_sync_is_found() {
    breaks(Sabotage::PretendedSync, Invariant::NoSettlementBeforeEffect);
}

#[test]
fn hits_that_a_restart_forgets_are_found() {
    breaks(Sabotage::ForgottenHits, Invariant::Law);
}

#[test]
fn lost_leases_that_nobody_notices_are_found() {
    breaks(Sabotage::LostIsDone, Invariant::NothingWaitsForEver);
}

#[test]
fn a_feed_that_is_not_cut_back_is_found() {
    breaks(Sabotage::UncutFeed, Invariant::SinksAreAFunctionOfTheItems);
}

#[test]
fn second_copies_that_are_fetched_are_found() {
    breaks(Sabotage::UnclaimedCopy, Invariant::OneReleaseOneRequest);
}

#[test]
fn an_outbox_that_holds_up_nobody_is_found() {
    let sabotage = Sabotage::NoBackpressure;
    breaks_in(&|seed| an_hour_without_a_sink(seed, Some(sabotage)), sabotage, Invariant::Limits);
}

#[test]
fn a_sink_that_is_given_up_is_found() {
    let sabotage = Sabotage::GivesUp;
    breaks_in(&|seed| an_hour_without_a_sink(seed, Some(sabotage)), sabotage, Invariant::SinksAreAFunctionOfTheItems);
}
