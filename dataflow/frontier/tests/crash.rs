//! What comes back after a crash: exactly what was durable, on any number of workers.

mod world;

use proptest::prelude::*;
use std::sync::Arc;
use weir_frontier::{FrontierConfig, JobSpec, Limits, Live, Order};
use weir_model::{FailureClass, FetchOutcome, Release};
use world::{Answer, Contents, Laws, Rng, SECOND, World, is_robots};

/// Some 300 URLs of 9 domains that link to each other, and everything that can go wrong.
fn web(release: &Release, rng: &mut Rng) -> Answer {
    let latency = rng.below(300_000);
    if is_robots(release) {
        return match rng.below(4) {
            0 => Answer::robots(404, ""),
            1 => Answer::robots(503, ""),
            2 => Answer::robots(200, "User-agent: *\nCrawl-delay: 1\nDisallow: /9"),
            _ => Answer::robots(200, "User-agent: *\nDisallow: /3"),
        }
        .after(latency);
    }
    match rng.below(14) {
        0 => Answer { lost: true, ..Answer::page(vec![]) },
        1 => Answer::failed(FailureClass::Timeout, true),
        2 => Answer::of(FetchOutcome::Unfetched { reason: "deadline".into() }),
        3 => Answer::status(503),
        4 => Answer::status(404),
        5 => Answer::redirect(&link(rng)),
        _ => Answer::page((0..rng.below(6)).map(|_| link(rng)).collect()),
    }
    .after(latency)
}

fn link(rng: &mut Rng) -> String {
    format!("http://w{}.site{}.example/{}", rng.below(2), rng.below(9), rng.below(30))
}

fn world(seed: u64, workers: usize, law: bool, order: Order, hot_bytes: usize) -> World {
    let limits = law.then_some(Limits { hits: 5, window_us: 2 * SECOND, moderated: seed.is_multiple_of(2) });
    let config = FrontierConfig {
        laws: Arc::new(Laws { limits, ..Laws::default() }),
        request_timeout_us: 5 * SECOND,
        lease_grace_us: SECOND,
        hot_bytes,
        read_ahead: 3,
        parked_max: 2,
        ..FrontierConfig::default()
    };
    let spec = JobSpec { order, concurrency_per_domain: 4, pages_per_domain_max: Some(25), ..JobSpec::default() };
    let mut world = World::new(seed, workers, config, spec, Box::new(web));
    world.start((0..40).map(|n| format!("http://w0.site{}.example/{}", n % 9, n % 30)));
    world
}

fn without_past(mut contents: Contents, world: &World) -> Contents {
    // Hits that no longer count may have been forgotten already, or not yet.
    let window = 2 * SECOND;
    contents.hits.retain(|hit| hit.1 + window.max(SECOND) > world.now.0);
    contents
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_brings_back_queues_sets_laws_and_counts(
        seed: u64,
        workers in 1usize..4,
        law: bool,
        fifo: bool,
        cold: bool,
        crashes in prop::collection::vec((1u64..120, 1usize..4, any::<bool>()), 1..6),
    ) {
        let order = if fifo { Order::Fifo } else { Order::Lifo };
        let mut world = world(seed, workers, law, order, if cold { 500 } else { 8 << 20 });
        for (after, workers, from_journal) in crashes {
            let until = world.steps + after;
            while world.steps < until && world.advance() {
                // Now and then the state of some slots is written down, each at its own place of the journal.
                if world.rng.below(10) == 0 {
                    let first = world.rng.below(64) as u8;
                    (first..64).step_by(5).for_each(|slot| world.take_snapshot(slot));
                }
            }
            let before = without_past(world.contents(), &world);
            let chunks: u64 = world.workers.iter().flat_map(|f| f.live_chunks()).map(|chunk| u64::from(chunk.live)).sum();
            prop_assert_eq!(chunks, (before.queued.len() + before.delayed.len()) as u64);
            if from_journal { world.crash(workers) } else { world.restart_from_snapshot(workers) }
            let after = without_past(world.contents(), &world);
            prop_assert_eq!(&before, &after);
            let live = world.live();
            prop_assert_eq!((live.leased, live.parked), (0, 0));
            prop_assert_eq!(live.total(), chunks);
            world.check_conservation();
        }
        while world.advance() {
            prop_assert!(world.steps < 100_000, "no end: {:?}", world.live());
        }
        world.step();
        prop_assert_eq!(world.live(), Live::default());
        world.check_conservation();
        let counts = world.counts();
        prop_assert_eq!(counts.admitted, counts.offered - counts.duplicate
            - counts.rejected(weir_model::Reason::Budget) - counts.rejected(weir_model::Reason::TooManyRedirects)
            - counts.rejected(weir_model::Reason::TooDeep) + self_redirects(&world));
    }
}

/// A redirect to itself was admitted and ends as too many redirects.
fn self_redirects(world: &World) -> u64 {
    let counts = world.counts();
    let ended = counts.delivered + counts.redirected + counts.abandoned + counts.rejected.iter().sum::<u64>();
    let refused = counts.rejected(weir_model::Reason::Budget);
    let loops = counts.rejected(weir_model::Reason::TooManyRedirects);
    // Every admitted URL ended; what else ended as a loop was never admitted.
    counts.admitted + refused + loops - ended
}

#[test]
fn what_was_not_committed_never_happened() {
    let mut world = world(5, 2, false, Order::Lifo, 8 << 20);
    world.step();
    let before = world.contents();
    world.start(["http://late.example/".to_owned()]);
    world.crash(1);
    assert_eq!(world.contents(), before);
}

#[test]
fn many_ended_urls_are_taken_out_of_the_queues_as_the_journal_is_read() {
    let spec = JobSpec { obey_robots: false, ..JobSpec::default() };
    let mut world = World::new(1, 1, FrontierConfig::default(), spec, Box::new(|_, _| Answer::page(vec![])));
    world.budget = 10_000;
    for round in 0..30 {
        world.start((0..10_000).map(|n| format!("http://site{}.example/{round}/{n}", n % 50)));
        for _ in 0..3 {
            world.advance();
        }
    }
    let before = world.contents();
    world.crash(3);
    assert_eq!(world.contents(), before);
    world.run();
    assert_eq!(world.counts().delivered, 300_000);
}

#[test]
fn sparse_chunks_are_emptied_and_nothing_is_lost() {
    let spec = JobSpec { obey_robots: false, order: Order::Fifo, ..JobSpec::default() };
    let config = FrontierConfig { hot_bytes: 1 << 20, ..FrontierConfig::default() };
    // The first page of each domain never comes back, so old chunks stay alive for a few bodies.
    let web = |release: &Release, _: &mut Rng| {
        let stuck = release.request.url.ends_with("/0") && release.request.attempts == 0;
        if stuck { Answer::status(503) } else { Answer::page(vec![]) }
    };
    let mut world = World::new(1, 2, config, spec, Box::new(web));
    world.budget = 4_000;
    let long = "x".repeat(300);
    for round in 0..60 {
        world.start((0..2_000).map(|n| format!("http://site{}.example/{round}/{long}/{n}", n % 100)));
        world.step();
        world.now = world.now.after_us(1_000);
    }
    // Back-offs of a second keep some bodies alive in every chunk.
    while world.live().queued > 0 {
        world.step();
        world.now = world.now.after_us(1_000);
    }
    let chunks = |world: &World| world.workers.iter().map(|frontier| frontier.live_chunks().len()).sum::<usize>();
    let before = (chunks(&world), world.live());
    assert!(before.0 > 2 && before.1.delayed > 0, "{before:?}");
    for _ in 0..4 {
        for worker in 0..2 {
            let out = &mut world.outs[worker];
            world.workers[worker].compact(10_000, out);
        }
        world.step();
    }
    assert!(chunks(&world) < before.0, "{} of {before:?}", chunks(&world));
    let contents = world.contents();
    world.crash(1);
    assert_eq!(world.contents(), contents);
    world.run();
    assert_eq!(world.counts().delivered, 120_000);
}
