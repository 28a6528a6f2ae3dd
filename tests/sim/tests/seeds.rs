//! Two hundred seeds hold every invariant; each known-bad variant is found, by the invariant that is about it.

use std::collections::BTreeMap;
use weir_sim::{Invariant, Sabotage, run};

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

/// A variant breaks the invariant that is about it, in one of the first seeds; it may break others before.
fn breaks(sabotage: Sabotage, invariant: Invariant) {
    let mut others = BTreeMap::new();
    for seed in 0..SEARCHED {
        let Some(violation) = run(seed, Some(sabotage), None).violation else { continue };
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
