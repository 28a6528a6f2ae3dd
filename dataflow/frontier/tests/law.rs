//! The throttle law, judged by arrivals: never one too many, and hardly a slot wasted.

mod world;

use proptest::prelude::*;
use std::sync::Arc;
use weir_frontier::{FrontierConfig, JobSpec, Limits};
use weir_model::{FailureClass, FetchOutcome, Release};
use world::{Answer, Laws, Rng, SECOND, World, densest};

fn config(limits: Limits, margin_us: u64) -> FrontierConfig {
    let laws = Laws { limits: Some(limits), ..Laws::default() };
    FrontierConfig {
        laws: Arc::new(laws),
        margin_us,
        request_timeout_us: 10 * SECOND,
        lease_grace_us: 5 * SECOND,
        ..FrontierConfig::default()
    }
}

fn spec() -> JobSpec {
    JobSpec { obey_robots: false, concurrency_per_domain: 10_000, ..JobSpec::default() }
}

/// Everything that can go wrong, with latencies up to `latency_us`.
fn hostile(latency_us: u64) -> impl FnMut(&Release, &mut Rng) -> Answer {
    move |_, rng| {
        let latency = rng.below(latency_us + 1);
        match rng.below(12) {
            0 => Answer { lost: true, ..Answer::page(vec![]) }.after(latency),
            1 => Answer::failed(FailureClass::Protocol, true).after(latency),
            2 => Answer::failed(FailureClass::Connect, false).after(latency),
            3 => Answer::of(FetchOutcome::Unfetched { reason: "deadline".into() }).after(latency),
            4 => Answer::status(503).after(latency),
            _ => Answer::page(vec![]).after(latency),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn arrivals_never_exceed_the_law_in_any_window(
        seed: u64,
        hits in 1u32..20,
        window_ms in 200u64..5_000,
        moderated: bool,
        margin_ms in prop::sample::select(vec![0u64, 50]),
        lookahead_ms in prop::sample::select(vec![0u64, 200]),
        latency_ms in prop::sample::select(vec![5u64, 300, 3_000]),
        travel_ms in prop::sample::select(vec![0u64, 100, 1_500]),
        crash_every in prop::option::of(5u64..60),
    ) {
        let limits = Limits { hits, window_us: window_ms * 1000, moderated };
        let config = FrontierConfig { lookahead_us: lookahead_ms * 1000, ..config(limits, margin_ms * 1000) };
        let mut world = World::new(seed, 2, config, spec(), Box::new(hostile(latency_ms * 1000)));
        world.travel_us = travel_ms * 1000;
        world.start((0..120).map(|n| format!("http://site{}.example/{n}", n % 2)));
        while world.advance() {
            if crash_every.is_some_and(|every| world.steps.is_multiple_of(every)) && world.steps < 2_000 {
                if world.rng.below(2) == 0 {
                    world.crash(1 + (world.steps % 3) as usize);
                } else {
                    world.restart_from_snapshot(1 + (world.steps % 3) as usize);
                }
            }
            prop_assert!(world.steps < 200_000, "no end: {:?}", world.live());
        }
        for domain in ["site0.", "site1."] {
            let mut at: Vec<u64> = world.arrived(domain).iter().map(|arrival| arrival.at).collect();
            prop_assert!(!at.is_empty());
            let (most, _) = densest(&mut at, limits.window_us);
            prop_assert!(most <= hits as usize, "{most} arrivals in a window of {hits}");
        }
    }
}

/// The share of what the law allows that was used by one domain with work at all times.
fn utilisation(limits: Limits, margin_us: u64, latency: fn(&mut Rng) -> u64, lag_us: u64) -> f64 {
    let mut ttfb = (0u64, 0u64);
    let sum = std::rc::Rc::new(std::cell::Cell::new(ttfb));
    let shared = sum.clone();
    let web = move |_: &Release, rng: &mut Rng| {
        let latency = latency(rng);
        let (total, count) = shared.get();
        shared.set((total + latency, count + 1));
        Answer::page(vec![]).after(latency)
    };
    let mut world = World::new(3, 1, config(limits, margin_us), spec(), Box::new(web));
    let windows = (1_500 / u64::from(limits.hits)).max(12);
    world.start((0..u64::from(limits.hits) * (windows + 2)).map(|n| format!("http://site.example/{n}")));
    let begin = world.now;
    // What is used of the first windows is the burst; the steady state is judged.
    let (from, to) = (begin.after_us(2 * limits.window_us), begin.after_us(windows * limits.window_us));
    while world.now < to && world.advance() {
        let lag = world.rng.below(lag_us + 1);
        world.now = world.now.after_us(lag);
    }
    ttfb = sum.get();
    let mean = ttfb.0 as f64 / ttfb.1 as f64;
    let used = world.arrivals.iter().filter(|arrival| arrival.at >= from.0 && arrival.at < to.0).count() as f64;
    let cycle = limits.window_us as f64 + mean + 2.0 * margin_us as f64;
    used / (f64::from(limits.hits) * (to.0 - from.0) as f64 / cycle)
}

#[test]
fn at_least_99_percent_of_the_law_is_used_while_there_is_work() {
    let steady: fn(&mut Rng) -> u64 = |_| 20_000;
    let even: fn(&mut Rng) -> u64 = |rng| rng.below(400_000);
    let wild: fn(&mut Rng) -> u64 = |rng| {
        let unit = (rng.next() >> 11) as f64 / (1u64 << 53) as f64;
        (-(1.0 - unit).ln() * 1_000_000.0) as u64
    };
    for (name, latency) in [("steady", steady), ("even", even), ("wild", wild)] {
        for moderated in [false, true] {
            for (hits, window_s) in [(60, 60), (10, 60), (600, 6), (1, 2), (100, 10)] {
                for (margin_us, lag_us) in [(0, 0), (0, 2_000), (50_000, 0)] {
                    let limits = Limits { hits, window_us: window_s * SECOND, moderated };
                    // The lag of waking up is part of every cycle.
                    let used = utilisation(limits, margin_us, latency, lag_us);
                    assert!(used >= 0.99, "{used:.4} of {limits:?}, {name}, margin {margin_us}, lag {lag_us}");
                }
            }
        }
    }
}

#[test]
fn a_moderated_domain_is_asked_evenly() {
    let limits = Limits { hits: 60, window_us: 60 * SECOND, moderated: true };
    let mut world =
        World::new(1, 1, config(limits, 0), spec(), Box::new(|_, rng| Answer::page(vec![]).after(rng.below(1000))));
    world.start((0..200).map(|n| format!("http://site.example/{n}")));
    world.run();
    let mut at: Vec<u64> = world.arrivals.iter().map(|arrival| arrival.at).collect();
    let (most, gap) = densest(&mut at, 60 * SECOND);
    assert!(most <= 60 && gap >= 990_000, "{most} {gap}");
}
