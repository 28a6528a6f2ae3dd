//! Seeds: random addresses, answers, losses, snapshots and crashes. The world asserts what holds for any run: no more calls in any
//! window than the law allows, one call in flight an address, none for what is known, nobody waits longer than the bound.

mod world;

use weir_frontier::Limits;
use weir_geo::{Answer, GeoConfig, Provider, ProviderConfig, ProviderKind};
use world::{Dice, Reply, SECOND, World, ok, status};

fn providers(dice: &mut Dice) -> Vec<Provider> {
    (0..1 + dice.below(3))
        .map(|n| {
            let law = Limits {
                hits: 1 + dice.below(12) as u32,
                window_us: SECOND / 2 + dice.below(3 * SECOND),
                moderated: dice.chance(30),
            };
            let config = ProviderConfig {
                url: Some("http://localhost/json".to_owned()),
                law: Some(law),
                parallel_max: Some(1 + dice.below(8) as usize),
                keep_us: Some(60 * SECOND + dice.below(600 * SECOND)),
                ..ProviderConfig::new(&format!("p{n}"), ProviderKind::Google)
            };
            Provider::new(config).expect("a right configuration")
        })
        .collect()
}

fn reply(dice: &mut Dice, bad_days: u64, address: &str) -> Reply {
    if dice.chance(bad_days) {
        return match dice.below(10) {
            0 => Reply::Hang,
            1 => Reply::Lost,
            2 => Reply::Unsent,
            3 => Reply::Http(429, String::new(), Some(dice.below(90 * SECOND))),
            4 => Reply::Http(500 + dice.below(5) as u16, "<html>".to_owned(), None),
            5 => Reply::Http(200, "{\"results\": [{}]".to_owned(), None),
            6 => status("OVER_QUERY_LIMIT"),
            7 => status("UNKNOWN_ERROR"),
            8 => Reply::Away,
            _ => status("REQUEST_DENIED"),
        };
    }
    match address.len() % 5 {
        0 => status("ZERO_RESULTS"),
        _ => ok((address.len() % 90) as f64, 1.0),
    }
}

fn run(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let config = GeoConfig {
        outer_cache: dice.chance(50),
        give_up_us: 5 * SECOND + dice.below(300 * SECOND),
        waiters_max: 50 + dice.below(500) as usize,
        // Enough for all addresses of a run: what memory forgets is asked again by right.
        memory_bytes_max: 8 << 20,
        negative_keep_us: 60 * SECOND + dice.below(600 * SECOND),
        failed_keep_us: SECOND + dice.below(60 * SECOND),
        attempts_max: 1 + dice.below(5) as u32,
        margin_us: dice.below(2) * 50_000,
        denied_us: SECOND + dice.below(60 * SECOND),
        ..GeoConfig::default()
    };
    let bad_days = [0, 5, 30, 90][dice.below(4) as usize];
    let providers = providers(&mut dice);
    let workers = 1 + dice.below(4) as usize;
    let behave = Box::new(move |dice: &mut Dice, _: usize, address: &str, _: u64| reply(dice, bad_days, address));
    let mut world = World::new(seed, workers, config, providers, behave);
    world.sync_us = dice.below(100_000);
    world.latency_us = 1 + dice.below(2 * SECOND);
    world.cache_fails = [Some(0), Some(20), None][dice.below(3) as usize];
    let addresses = 1 + dice.below(120);
    for _ in 0..10 + dice.below(120) {
        match dice.below(100) {
            0..70 => {
                for _ in 0..1 + dice.below(6) {
                    let number = dice.below(addresses);
                    let gap = [" ", ", ", "  -", "\u{3000}"][dice.below(4) as usize];
                    let written = format!("{} Street{gap}{number}", "x".repeat((number % 7) as usize + 1));
                    let shout = dice.chance(50);
                    world.want(&if shout { written.to_uppercase() } else { written });
                }
            }
            70..93 => world.run_for(dice.below(4 * SECOND)),
            93..95 => world.run_for(dice.below(200 * SECOND)),
            95..97 => world.take_snapshot(),
            _ => world.crash(1 + dice.below(4) as usize, dice.below(2 * SECOND)),
        }
    }
    world.settle();
    world.judge();
    for item in world.items.values() {
        let Some(Answer::Found(place)) = &item.answer else { continue };
        let address = weir_geo::normalise(&item.address);
        assert_eq!(place.location.lat(), (address.as_str().len() % 90) as f64, "{address}: its own location");
        assert_ne!(address.as_str().len() % 5, 0, "{address}: nobody knows it");
    }
}

#[test]
fn seeds() {
    let only = std::env::var("WEIR_GEO_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let count = std::env::var("WEIR_GEO_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    for seed in only.map_or(0..count, |seed| seed..seed + 1) {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("seed {seed}; again: WEIR_GEO_SEED={seed} cargo test -p weir-geo --test simulation");
            std::panic::resume_unwind(panic);
        }
    }
}
