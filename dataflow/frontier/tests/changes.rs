//! The law changes while a crawl runs, judged by arrivals: what was released since a change never exceeds the new law, with all that
//! came before counted; and what a blacklist stops is counted and ends.

mod world;

use proptest::prelude::*;
use std::sync::Arc;
use weir_frontier::{FrontierConfig, JobSpec, Limits};
use weir_model::{FailureClass, FetchOutcome, Reason, Release, Tick};
use world::{Answer, Arrival, Laws, Rng, SECOND, World, is_robots};

fn laws(limits: Option<Limits>) -> Laws {
    Laws { limits, ..Laws::default() }
}

fn config(limits: Option<Limits>) -> FrontierConfig {
    FrontierConfig {
        laws: Arc::new(laws(limits)),
        request_timeout_us: 10 * SECOND,
        lease_grace_us: 5 * SECOND,
        ..FrontierConfig::default()
    }
}

fn free() -> JobSpec {
    JobSpec { obey_robots: false, concurrency_per_domain: 10_000, ..JobSpec::default() }
}

fn limits(hits: u32, window_s: u64, moderated: bool) -> Limits {
    Limits { hits, window_us: window_s * SECOND, moderated }
}

fn hostile(latency_us: u64) -> impl FnMut(&Release, &mut Rng) -> Answer {
    move |_, rng| {
        let latency = rng.below(latency_us + 1);
        match rng.below(12) {
            0 => Answer { lost: true, ..Answer::page(vec![]) }.after(latency),
            1 => Answer::failed(FailureClass::Protocol, true).after(latency),
            2 => Answer::of(FetchOutcome::Unfetched { reason: "deadline".into() }).after(latency),
            _ => Answer::page(vec![]).after(latency),
        }
    }
}

/// A window that holds anything released under a law holds no more than that law allows, of all that was released until its end.
fn judge(arrivals: &[&Arrival], reigns: &[(Tick, Option<Limits>)]) -> Result<(), String> {
    for (at, (since, law)) in reigns.iter().enumerate() {
        let Some(law) = law else { continue };
        let until = reigns.get(at + 1).map_or(Tick::NEVER, |next| next.0);
        let mut seen: Vec<&Arrival> = arrivals.iter().copied().filter(|one| one.released_at < until.0).collect();
        seen.sort_unstable_by_key(|one| one.at);
        for (start, first) in seen.iter().enumerate() {
            let window = || seen[start..].iter().take_while(|one| one.at - first.at < law.window_us);
            let count = window().count();
            if count > law.hits as usize && window().any(|one| one.released_at >= since.0) {
                return Err(format!("{count} arrivals in a window of {law:?}, the law no. {at}, from {}", first.at));
            }
        }
    }
    Ok(())
}

fn any_law() -> impl Strategy<Value = Option<Limits>> {
    prop::option::weighted(
        0.8,
        (1u32..20, 200u64..6_000, any::<bool>()).prop_map(|(hits, window_ms, moderated)| Limits {
            hits,
            window_us: window_ms * 1_000,
            moderated,
        }),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_law_lets_a_window_exceed_the_law_of_its_last_release(
        seed: u64,
        first in any_law(),
        changes in prop::collection::vec((1u64..4_000, any_law()), 1..6),
        margin_ms in prop::sample::select(vec![0u64, 50]),
        lookahead_ms in prop::sample::select(vec![0u64, 200]),
        latency_ms in prop::sample::select(vec![5u64, 300, 3_000]),
        crash_every in prop::option::of(5u64..60),
    ) {
        let config = FrontierConfig {
            margin_us: margin_ms * 1_000,
            lookahead_us: lookahead_ms * 1_000,
            ..config(first)
        };
        let mut world = World::new(seed, 2, config, free(), Box::new(hostile(latency_ms * 1_000)));
        // Few at once, so that a domain without a law is not done before the first change.
        world.budget = 3;
        world.start((0..200).map(|n| format!("http://site{}.example/{n}", n % 2)));
        let mut reigns = vec![(world.now, first)];
        let mut changes = changes.into_iter();
        let mut next = changes.next().map(|(after, law)| (world.now.after_us(after * 1_000), law));
        while world.advance() {
            if let Some((_, law)) = next.filter(|(due, _)| *due <= world.now) {
                // What was released at this instant was released under the law before.
                world.now = world.now.after_us(1);
                world.set_laws(laws(law));
                reigns.push((world.now, law));
                next = changes.next().map(|(after, law)| (world.now.after_us(after * 1_000), law));
            }
            if crash_every.is_some_and(|every| world.steps.is_multiple_of(every)) && world.steps < 2_000 {
                // A change is durable before anybody says so; here: with the next group.
                world.step();
                if world.rng.below(2) == 0 {
                    world.crash(1 + (world.steps % 3) as usize);
                } else {
                    world.restart_from_snapshot(1 + (world.steps % 3) as usize);
                }
            }
            prop_assert!(world.steps < 200_000, "no end: {:?}", world.live());
        }
        for domain in ["site0.", "site1."] {
            let judged = judge(&world.arrived(domain), &reigns);
            prop_assert!(judged.is_ok(), "{domain}: {judged:?}");
        }
    }
}

/// Arrivals within each whole second from a moment on.
fn by_second(world: &World, from: Tick) -> Vec<usize> {
    let mut counts = Vec::new();
    for arrival in world.arrivals.iter().filter(|arrival| arrival.at >= from.0) {
        let second = ((arrival.at - from.0) / SECOND) as usize;
        counts.resize(counts.len().max(second + 1), 0);
        counts[second] += 1;
    }
    counts
}

/// Until everything has happened that happens within so many seconds.
fn run_for(world: &mut World, seconds: u64) {
    let end = world.now.after_us(seconds * SECOND);
    loop {
        let busy = world.step() > 0 || world.workers.iter().any(|frontier| frontier.ready_hint() > 0);
        let next = world.next_instant();
        if !busy && next >= end {
            world.now = end;
            return;
        }
        if !busy {
            world.now = world.now.max(next);
        }
    }
}

fn paced(limits: Option<Limits>, pages: usize) -> World {
    let web = Box::new(|_: &Release, _: &mut Rng| Answer::page(vec![]).after(1_000));
    let mut world = World::new(1, 1, config(limits), free(), web);
    world.start((0..pages).map(|n| format!("http://site.example/{n}")));
    world
}

#[test]
fn a_halved_law_counts_what_is_in_its_window_already() {
    let mut world = paced(Some(limits(10, 10, false)), 100);
    run_for(&mut world, 1);
    assert_eq!(world.arrivals.len(), 10, "a burst");
    world.set_laws(laws(Some(limits(5, 10, false))));
    run_for(&mut world, 8);
    assert_eq!(world.arrivals.len(), 10, "ten lie in the window, five are allowed");
    run_for(&mut world, 2);
    assert_eq!(world.arrivals.len(), 15);
}

#[test]
fn a_loosened_law_is_used_at_once_also_by_a_domain_that_waits() {
    let mut world = paced(Some(limits(1, 3_600, true)), 100);
    run_for(&mut world, 2);
    assert_eq!(world.arrivals.len(), 1);
    let from = world.now;
    world.set_laws(laws(Some(limits(10, 1, true))));
    run_for(&mut world, 3);
    let counts = by_second(&world, from);
    assert!(counts[0] >= 9 && counts[1] >= 9, "{counts:?}");
}

#[test]
fn a_longer_window_counts_what_the_old_law_may_have_let_through() {
    let mut world = paced(Some(limits(10, 1, true)), 2_000);
    run_for(&mut world, 20);
    let asked = world.arrivals.len();
    assert!((195..=200).contains(&asked), "{asked}");
    // Of the last twenty seconds only one is remembered. A hundred in a minute: the window is full.
    world.set_laws(laws(Some(limits(100, 60, false))));
    run_for(&mut world, 49);
    assert_eq!(world.arrivals.len(), asked, "200 lie in the minute");
    run_for(&mut world, 15);
    assert!(world.arrivals.len() > asked, "and it goes on");
    // A domain that is asked since a second has no past to be taken for granted.
    let mut young = paced(Some(limits(10, 2, true)), 2_000);
    run_for(&mut young, 1);
    assert_eq!(young.arrivals.len(), 5);
    young.set_laws(laws(Some(limits(100, 60, false))));
    run_for(&mut young, 1);
    assert_eq!(young.arrivals.len(), 100);
}

#[test]
fn a_domain_that_gets_its_first_law_waits_a_window_since_nobody_counted() {
    let mut world = paced(None, 500);
    world.budget = 1;
    (0..20).for_each(|_| {
        world.advance();
    });
    let (asked, from) = (world.arrivals.len(), world.now);
    assert!(asked >= 10);
    world.set_laws(laws(Some(limits(5, 10, false))));
    run_for(&mut world, 9);
    assert_eq!(world.arrivals.len(), asked);
    run_for(&mut world, 2);
    assert_eq!(world.arrivals.len(), asked + 5);
    assert!(world.arrivals[asked].at - from.0 < 11 * SECOND);
    // And without it, it is asked freely again.
    world.set_laws(laws(None));
    world.budget = 1_000;
    run_for(&mut world, 1);
    assert_eq!(world.arrivals.len(), 500);
}

#[test]
fn what_waits_at_a_blacklisted_domain_is_refused_at_once_and_the_job_ends() {
    let mut world = paced(Some(limits(1, 60, true)), 100);
    world.start(["http://other.example/".to_owned()]);
    run_for(&mut world, 1);
    let laws = Laws { blacklist: vec!["site.example".into()], ..laws(Some(limits(1, 60, true))) };
    world.set_laws(laws);
    let asked = world.arrived("site.example").len();
    // Not a page a minute: what is only refused waits for no law.
    run_for(&mut world, 1);
    let counts = world.counts();
    assert_eq!(counts.rejected(Reason::Blacklisted), 100 - asked as u64);
    world.run();
    assert_eq!(world.arrived("site.example").len(), asked);
    assert_eq!(world.counts().delivered, asked as u64 + 1);
}

#[test]
fn a_domain_that_is_taken_off_the_blacklist_is_asked_for_what_is_found_from_then_on() {
    let mut world = paced(None, 0);
    let barred = Laws { blacklist: vec!["site.example".into()], ..Laws::default() };
    world.set_laws(barred);
    world.start((0..5).map(|n| format!("http://site.example/{n}")));
    world.run();
    world.set_laws(Laws::default());
    world.start((0..9).map(|n| format!("http://site.example/{n}")));
    world.run();
    let counts = world.counts();
    assert_eq!((counts.rejected(Reason::Blacklisted), counts.duplicate, counts.delivered), (5, 5, 4));
    assert_eq!(world.arrivals.len(), 4);
}

#[test]
fn no_robots_txt_is_asked_of_a_host_that_has_been_blacklisted() {
    // The robots.txt is slow and fails first: the domain is blacklisted between its attempts, or while it is under way.
    for (before_s, asked) in [(1, 1), (0, 1)] {
        let web = Box::new(|release: &Release, _: &mut Rng| match is_robots(release) {
            true => Answer::status(503).after(500_000),
            false => Answer::page(vec![]),
        });
        let mut world = World::new(1, 1, config(None), JobSpec::default(), web);
        world.start((0..40).map(|n| format!("http://www.site.example/{n}")));
        world.advance();
        run_for(&mut world, before_s);
        world.set_laws(Laws { blacklist: vec!["www.site.example".into()], ..Laws::default() });
        world.run();
        assert_eq!(world.arrivals.len(), asked, "{:?}", world.arrivals);
        assert_eq!(world.counts().rejected(Reason::Blacklisted), 40);
    }
}
