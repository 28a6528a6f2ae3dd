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

/// The first seed that finds a variant, and how.
fn found(sabotage: Sabotage) -> (u64, Invariant) {
    let found = (0..SEARCHED).find_map(|seed| Some((seed, run(seed, Some(sabotage), None).violation?.invariant)));
    found.unwrap_or_else(|| panic!("{sabotage:?} is not found in {SEARCHED} seeds"))
}

#[test]
fn receipts_settled_at_once_are_found() {
    assert_eq!(found(Sabotage::SettledAtOnce).1, Invariant::NoSettlementBeforeEffect);
}

#[test]
fn a_pretended_sync_is_found() {
    let (seed, invariant) = found(Sabotage::PretendedSync);
    let loss = [Invariant::NoSettlementBeforeEffect, Invariant::Conservation, Invariant::OneReleaseOneRequest];
    assert!(loss.contains(&invariant), "seed {seed}: {invariant}");
}

#[test]
fn hits_that_a_restart_forgets_are_found() {
    assert_eq!(found(Sabotage::ForgottenHits).1, Invariant::Law);
}

#[test]
fn lost_leases_that_nobody_notices_are_found() {
    assert_eq!(found(Sabotage::LostIsDone).1, Invariant::NothingWaitsForEver);
}

#[test]
fn a_feed_that_is_not_cut_back_is_found() {
    assert_eq!(found(Sabotage::UncutFeed).1, Invariant::SinksAreAFunctionOfTheItems);
}

#[test]
fn second_copies_that_are_fetched_are_found() {
    assert_eq!(found(Sabotage::UnclaimedCopy).1, Invariant::OneReleaseOneRequest);
}
