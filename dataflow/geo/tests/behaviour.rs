//! What a geocoder does, told as stories in virtual time.

mod world;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use weir_frontier::Limits;
use weir_geo::{Answer, Gazetteer, GeoConfig, Provider, ProviderConfig, ProviderKind, Unanswered};
use world::{Reply, SECOND, World, ok, status};

fn provider(name: &str, hits: u32, parallel: usize) -> Provider {
    let law = Some(Limits { hits, window_us: SECOND, moderated: false });
    let url = Some("http://localhost:9312/maps/api/geocode/json".to_owned());
    let config =
        ProviderConfig { law, url, parallel_max: Some(parallel), ..ProviderConfig::new(name, ProviderKind::Google) };
    Provider::new(config).expect("a right configuration")
}

fn simple(config: GeoConfig, behave: impl FnMut(&str) -> Reply + 'static) -> World {
    let mut behave = behave;
    World::new(1, 1, config, vec![provider("site", 50, 16)], Box::new(move |_, _, address, _| behave(address)))
}

#[test]
fn a_thousand_items_of_35_addresses_are_35_calls_and_the_second_run_none() {
    let config = GeoConfig { outer_cache: true, ..GeoConfig::default() };
    let mut world = simple(config.clone(), |_| ok(51.5, -0.12));
    for item in 0..1_019 {
        world.want(&format!("{}Street {}, London", [" ", "", "-"][item % 3], item % 35));
    }
    world.settle();
    assert_eq!((world.counts.wanted, world.counts.found, world.counts.misses), (1_019, 1_019, 35));
    assert_eq!((world.total_calls(), world.counts.calls, world.counts.already_set), (35, 35, 0));
    // Another run with a state of its own, and the same cache outside.
    let mut second = simple(config, |_| panic!("nobody is asked"));
    second.outer = std::mem::take(&mut world.outer);
    for item in 0..106 {
        second.want(&format!("street {}, LONDON", item % 35));
    }
    second.settle();
    assert_eq!((second.counts.already_set, second.counts.misses, second.counts.outer), (106, 0, 35));
    assert_eq!(second.counts.found, 106);
}

#[test]
fn a_location_keeps_its_source_precision_and_expiry() {
    let mut world = simple(GeoConfig::default(), |_| ok(51.5, -0.12));
    let item = world.want("Ashford, London");
    world.settle();
    let Answer::Found(place) = world.answer(item) else { panic!("found") };
    assert_eq!((&*place.source, place.precision.name(), place.location.lat()), ("site", "rooftop", 51.5));
    let days = (place.expires.unwrap().0 * 1_000 - world::START) / (86_400 * SECOND);
    assert_eq!(days, 30, "Google's terms");
    // When its life has ended, it is asked for again.
    world.run_for(29 * 86_400 * SECOND);
    world.want("Ashford, London");
    world.settle();
    assert_eq!(world.total_calls(), 1);
    world.run_for(2 * 86_400 * SECOND);
    world.want("Ashford, London");
    world.settle();
    assert_eq!(world.total_calls(), 2);
}

#[test]
fn an_address_that_always_fails_is_bounded_and_holds_up_nobody() {
    let mut world = simple(GeoConfig::default(), |address| match address.starts_with("over quota") {
        true => status("OVER_QUERY_LIMIT"),
        false => ok(1.0, 2.0),
    });
    let bad = world.want("over quota street");
    let good: Vec<u64> = (0..100).map(|n| world.want(&format!("Street {n}"))).collect();
    world.run_for(4 * SECOND);
    for item in good {
        assert!(matches!(world.answer(item), Answer::Found(_)));
    }
    world.settle();
    assert_eq!(world.answer(bad), &Answer::Unanswered(Unanswered::Failed));
    assert_eq!((world.counts.retries, world.counts.errors, world.counts.unanswered), (4, 1, 1));
    assert_eq!(world.calls_of["over quota street"], 5);
    // Its items are not a call each; after a while it is asked again.
    world.want("over quota street");
    world.settle();
    assert_eq!(world.calls_of["over quota street"], 5);
    world.run_for(300 * SECOND);
    world.want("over quota street");
    world.settle();
    assert_eq!(world.calls_of["over quota street"], 10);
}

#[test]
fn an_unknown_address_is_believed_for_a_day() {
    let mut world = simple(GeoConfig::default(), |_| status("ZERO_RESULTS"));
    let item = world.want("Atlantis");
    world.settle();
    world.want("ATLANTIS!");
    world.settle();
    assert_eq!(world.answer(item), &Answer::NotFound);
    assert_eq!((world.total_calls(), world.counts.not_found, world.counts.errors), (1, 2, 0));
    world.run_for(86_400 * SECOND);
    world.want("Atlantis");
    world.settle();
    assert_eq!(world.total_calls(), 2);
}

#[test]
fn providers_are_asked_in_turn() {
    let behave = |_: &mut world::Dice, provider: usize, address: &str, _| match (provider, address) {
        (0, "broken" | "half broken") => Reply::Http(503, "<html>".to_owned(), None),
        (0, _) | (1, "nowhere" | "half broken") => status("ZERO_RESULTS"),
        _ => ok(1.0, 2.0),
    };
    let providers = vec![provider("first", 50, 4), provider("second", 50, 4)];
    let mut world = World::new(1, 1, GeoConfig::default(), providers, Box::new(behave));
    let found = world.want("somewhere");
    let nowhere = world.want("nowhere");
    let broken = world.want("broken");
    let half = world.want("half broken");
    world.settle();
    for item in [found, broken] {
        let Answer::Found(place) = world.answer(item) else { panic!("found") };
        assert_eq!(&*place.source, "second");
    }
    assert_eq!(world.answer(nowhere), &Answer::NotFound);
    assert_eq!(world.answer(half), &Answer::Unanswered(Unanswered::Failed), "the one that failed may know it");
    assert_eq!(world.counts.misses, 4, "a miss is an address, however many providers it takes");
}

#[test]
fn a_wrong_key_is_said_once_and_costs_one_call() {
    let mut world = simple(GeoConfig::default(), |_| status("REQUEST_DENIED"));
    let first = world.want("Street 1");
    world.settle();
    for n in 0..100 {
        world.want(&format!("Street {n}"));
    }
    world.settle();
    assert_eq!(world.total_calls(), 1);
    assert_eq!(world.answer(first), &Answer::Unanswered(Unanswered::Failed));
    assert_eq!(world.counts.unanswered, 101);
    let [notice] = world.notices.as_slice() else { panic!("one notice: {:?}", world.notices) };
    assert!(
        notice.contains("`site` denies its service: REQUEST_DENIED") && notice.contains("check its key"),
        "{notice}"
    );
    // A restart with the right key need not wait.
    world.behave = Box::new(|_, _, _, _| ok(1.0, 2.0));
    world.crash(1, SECOND);
    let item = world.want("Street 7");
    world.settle();
    assert!(matches!(world.answer(item), Answer::Found(_)));
}

#[test]
fn a_provider_that_hangs_lets_items_go_and_they_can_be_asked_later() {
    let config = GeoConfig { give_up_us: 30 * SECOND, ..GeoConfig::default() };
    let mut world = simple(config, |_| Reply::Hang);
    let items: Vec<u64> = (0..40).map(|n| world.want(&format!("Street {n}"))).collect();
    world.settle();
    for item in &items {
        assert!(matches!(world.answer(*item), Answer::Unanswered(_)));
        assert!(world.items[item].answered_at <= world::START + 30 * SECOND);
    }
    assert_eq!(world.counts.unanswered, 40);
    world.behave = Box::new(|_, _, _, _| ok(1.0, 2.0));
    world.run_for(600 * SECOND);
    let again: Vec<u64> = (0..40).map(|n| world.want(&format!("Street {n}"))).collect();
    world.settle();
    assert!(again.iter().all(|item| matches!(world.answer(*item), Answer::Found(_))));
}

/// A world with a provider that behaves so, and one behind it that knows everything.
fn with_another(config: GeoConfig, mut first: impl FnMut(u64) -> Reply + 'static) -> World {
    let behave = move |_: &mut world::Dice, provider: usize, _: &str, now| match provider {
        0 => first(now),
        _ => ok(1.0, 2.0),
    };
    let providers = vec![provider("down", 50, 16), provider("up", 50, 16)];
    World::new(1, 1, config, providers, Box::new(behave))
}

#[test]
fn a_provider_that_cannot_be_reached_is_tried_so_often_with_growing_pauses_and_costs_no_call() {
    let tries = Rc::new(Cell::new(0));
    let counted = Rc::clone(&tries);
    let mut world = simple(GeoConfig::default(), move |_| {
        counted.set(counted.get() + 1);
        Reply::Away
    });
    let item = world.want("Street 1");
    world.settle();
    assert_eq!(world.answer(item), &Answer::Unanswered(Unanswered::Failed));
    let waited = world.items[&item].answered_at - world::START;
    assert!((15 * SECOND..20 * SECOND).contains(&waited), "1, 2, 4 and 8 s of pauses, not {waited} us");
    assert_eq!(tries.get(), 5);
    assert_eq!((world.counts.calls, world.counts.retries, world.counts.errors), (0, 4, 1));
    let [notice] = world.notices.as_slice() else { panic!("once a minute: {:?}", world.notices) };
    for part in ["`site` cannot be reached: connection refused", "check its url", "geocode.wait_max"] {
        assert!(notice.contains(part), "{notice}");
    }
    let (_, usage) = world.workers[0].usage().next().expect("a provider");
    assert_eq!((usage.unsent, usage.failed), (5, 0));
}

#[test]
fn a_provider_that_is_away_is_passed_over_and_tried_by_one_call_at_a_time() {
    let replies: [fn() -> Reply; 3] = [|| Reply::Away, || Reply::Hang, || Reply::Http(503, "<html>".to_owned(), None)];
    for reply in replies {
        let tries = Rc::new(Cell::new(0));
        let counted = Rc::clone(&tries);
        let back_at = world::START + 120 * SECOND;
        let mut world = with_another(GeoConfig::default(), move |now| {
            if now >= back_at {
                return ok(3.0, 4.0);
            }
            counted.set(counted.get() + 1);
            reply()
        });
        for n in 0..600 {
            world.want(&format!("Street {n}"));
        }
        world.run_for(40 * SECOND);
        assert_eq!(world.counts.found, 600, "12 s of the second provider's rate, and a time-out of the first");
        assert!(tries.get() < 30, "{} for 600 addresses", tries.get());
        assert_eq!((world.arrivals[1].len(), world.counts.errors), (600, 600));
        assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
        assert!(world.notices[0].contains("go on to the next provider"), "{:?}", world.notices);
        // A slow stream of addresses finds out that it is back.
        for n in 600..700 {
            world.want(&format!("Street {n}"));
            world.run_for(2 * SECOND);
        }
        world.settle();
        assert_eq!(world.counts.found, 700);
        assert!(world.arrivals[1].len() < 700, "the first one is asked again");
        assert!(world.notices.len() <= 4, "once a minute: {:?}", world.notices);
        world.judge();
    }
}

#[test]
fn without_another_provider_addresses_wait_for_one_that_is_away() {
    let tries = Rc::new(Cell::new(0));
    let counted = Rc::clone(&tries);
    let back_at = world::START + 200 * SECOND;
    let behave = move |_: &mut world::Dice, _, _: &str, now: u64| {
        counted.set(counted.get() + 1);
        if now < back_at { Reply::Away } else { ok(1.0, 2.0) }
    };
    let mut world = World::new(1, 1, GeoConfig::default(), vec![provider("site", 50, 16)], Box::new(behave));
    for n in 0..120 {
        world.want(&format!("Street {n}"));
    }
    world.run_until(back_at);
    assert!(tries.get() <= 16 + 10, "{} tries by one call at a time", tries.get());
    assert_eq!(world.counts.calls, 0);
    world.settle();
    assert_eq!((world.counts.found, world.counts.unanswered, world.counts.calls), (120, 0, 120));
    assert!(world.now < back_at + 70 * SECOND, "the longest pause is a minute");
    assert_eq!(world.notices.len(), 4, "once a minute: {:?}", world.notices);
}

#[test]
fn whoever_waits_in_vain_for_a_provider_that_fails_is_counted_as_an_error() {
    for reply in [|| Reply::Away, || Reply::Hang] {
        let config = GeoConfig { give_up_us: 2 * SECOND, ..GeoConfig::default() };
        let mut world = simple(config, move |_| reply());
        for n in 0..120 {
            world.want(&format!("Street {n}"));
        }
        world.run_for(2 * SECOND);
        let sent = world.total_calls() as u64;
        assert_eq!((world.counts.unanswered, world.counts.calls), (120, sent), "a run that ends now has counted them");
        assert!(world.counts.errors >= 3 && world.counts.errors <= 120, "{}", world.counts.errors);
        let errors = world.counts.errors;
        world.settle();
        assert_eq!((world.counts.errors, world.counts.calls), (errors, sent), "and none twice");
    }
}

#[test]
fn a_restart_does_not_wait_for_a_provider_that_was_away() {
    let mut world = simple(GeoConfig::default(), |_| Reply::Away);
    for n in 0..20 {
        world.want(&format!("Street {n}"));
    }
    world.run_for(100 * SECOND);
    world.behave = Box::new(|_, _, _, _| ok(1.0, 2.0));
    let now = world.now;
    world.crash(1, SECOND);
    world.settle();
    assert!(world.now < now + 5 * SECOND);
    assert_eq!(world.counts.found, 20);
}

#[test]
fn a_call_that_nobody_waits_for_is_not_made_again() {
    let config = GeoConfig { give_up_us: 3 * SECOND, ..GeoConfig::default() };
    let mut world = simple(config, |_| Reply::Hang);
    world.want("Street 1");
    world.settle();
    assert_eq!((world.total_calls(), world.counts.retries), (1, 0));
}

#[test]
fn who_comes_while_a_given_up_call_is_under_way_waits_no_longer_than_others() {
    let config = GeoConfig { give_up_us: 3 * SECOND, ..GeoConfig::default() };
    let mut first = true;
    let mut world = simple(config, move |_| match std::mem::take(&mut first) {
        true => Reply::Hang,
        false => ok(1.0, 2.0),
    });
    let early = world.want("Street 1");
    world.run_for(5 * SECOND);
    assert!(world.answer(early) == &Answer::Unanswered(Unanswered::TooLate));
    let middle = world.want("Street 1");
    world.run_for(4 * SECOND);
    let late = world.want("Street 1");
    world.settle();
    assert_eq!(world.answer(middle), &Answer::Unanswered(Unanswered::TooLate));
    assert!(matches!(world.answer(late), Answer::Found(_)), "a new call is made for who still waits");
    assert_eq!(world.total_calls(), 2);
}

#[test]
fn a_providers_retry_after_is_kept() {
    let mut first = true;
    let mut world = simple(GeoConfig::default(), move |_| match std::mem::take(&mut first) {
        true => Reply::Http(429, String::new(), Some(20 * SECOND)),
        false => ok(1.0, 2.0),
    });
    world.want("Street 1");
    world.run_for(SECOND);
    world.want("Street 2");
    world.settle();
    let [first, second, third] = world.arrivals[0][..] else { panic!("three calls") };
    assert!(second >= first + 20 * SECOND && third >= second);
    // Also over a restart.
    let mut world = simple(GeoConfig::default(), |_| Reply::Http(429, String::new(), Some(20 * SECOND)));
    world.want("Street 1");
    world.run_for(SECOND);
    world.behave = Box::new(|_, _, _, _| ok(1.0, 2.0));
    world.crash(2, SECOND);
    world.settle();
    assert!(world.arrivals[0][1] >= world.arrivals[0][0] + 20 * SECOND);
}

#[test]
fn a_cache_that_is_down_stops_nothing() {
    for fails in [Some(100), None] {
        let config = GeoConfig { outer_cache: true, ..GeoConfig::default() };
        let mut world = simple(config, |_| ok(1.0, 2.0));
        world.cache_fails = fails;
        for n in 0..20 {
            world.want(&format!("Street {}", n % 10));
        }
        world.settle();
        assert_eq!((world.counts.found, world.total_calls()), (20, 10));
        assert!(world.counts.cache_errors >= 10);
    }
}

#[test]
fn what_the_cache_could_not_store_is_offered_after_a_restart() {
    let config = GeoConfig { outer_cache: true, ..GeoConfig::default() };
    let mut world = simple(config, |_| ok(1.0, 2.0));
    world.cache_fails = Some(100);
    world.want("Street 1");
    world.settle();
    assert!(world.outer.is_empty());
    world.cache_fails = Some(0);
    world.take_snapshot();
    world.crash(3, SECOND);
    world.settle();
    assert_eq!(world.outer.len(), 1);
    let item = world.want("street 1");
    world.settle();
    assert!(matches!(world.answer(item), Answer::Found(_)));
    assert_eq!((world.total_calls(), world.counts.already_set), (1, 1));
}

#[test]
fn damaged_values_in_the_cache_are_asked_for_again() {
    let config = GeoConfig { outer_cache: true, ..GeoConfig::default() };
    let mut world = simple(config, |_| ok(1.0, 2.0));
    world.outer.insert("street 1".to_owned(), b"\x01 not ours".to_vec());
    world.outer.insert("street 2".to_owned(), b"\x63 a later version".to_vec());
    for n in [1, 2] {
        world.want(&format!("Street {n}"));
    }
    world.settle();
    assert_eq!((world.counts.found, world.total_calls(), world.counts.cache_errors), (2, 2, 1));
}

#[test]
fn after_a_crash_only_calls_in_flight_are_repeated() {
    let mut world = simple(GeoConfig::default(), |_| ok(1.0, 2.0));
    for n in 0..200 {
        world.want(&format!("Street {n}"));
    }
    world.run_for(2 * SECOND);
    let (done, calls) = (world.items.values().filter(|item| item.is_done).count(), world.total_calls());
    assert!(done > 50 && calls < 200);
    world.crash(1, 50_000);
    for n in 0..200 {
        world.want(&format!("STREET {n}"));
    }
    world.settle();
    let repeated = world.total_calls() - 200;
    assert!(repeated <= 16 + 2, "{repeated} repeated with 16 in flight at most, and those of one group");
    assert!(world.calls_of.values().all(|calls| *calls <= 2));
    world.judge();
}

#[test]
fn items_without_an_address_and_places_that_are_known_ask_nobody() {
    let mut world = simple(GeoConfig::default(), |_| panic!("nobody is asked"));
    world.gazetteer = Arc::new(Gazetteer::read("towns.csv", b"name,lat,lon\nLondon,51.5,-0.12\n").unwrap());
    world.crash(1, 0);
    let empty = world.want(" , ");
    let town = world.want("LONDON.");
    let long = world.want(&"a".repeat(2_000));
    world.settle();
    assert_eq!(world.answer(empty), &Answer::NoAddress);
    assert!(matches!(world.answer(town), Answer::Found(place) if &*place.source == "gazetteer"));
    assert_eq!(world.answer(long), &Answer::Unanswered(Unanswered::TooLong));
    assert_eq!((world.counts.no_address, world.counts.gazetteer, world.counts.too_long), (1, 1, 1));
}

#[test]
fn without_a_provider_it_is_said() {
    let mut world = World::new(1, 1, GeoConfig::default(), Vec::new(), Box::new(|_, _, _, _| status("OK")));
    let item = world.want("London");
    world.settle();
    assert_eq!(world.answer(item), &Answer::Unanswered(Unanswered::NotConfigured));
    assert_eq!(world.counts.not_configured, 1);
}

#[test]
fn waiters_are_bounded() {
    let config = GeoConfig { waiters_max: 10, ..GeoConfig::default() };
    let mut world = simple(config, |_| ok(1.0, 2.0));
    for n in 0..15 {
        world.want(&format!("Street {n}"));
    }
    assert_eq!(world.workers[0].waiting(), 10);
    world.settle();
    assert_eq!((world.counts.full, world.counts.found), (5, 10));
}

#[test]
fn a_provider_is_used_as_fast_as_its_law_allows_and_no_faster() {
    let mut world =
        World::new(5, 4, GeoConfig::default(), vec![provider("site", 50, 50)], Box::new(|_, _, _, _| ok(1.0, 2.0)));
    (world.sync_us, world.latency_us) = (1_000, 1_000);
    for n in 0..40_000u64 {
        world.want(&format!("Street {}", n * 7_919 % 2_000));
    }
    world.settle();
    world.judge();
    assert_eq!((world.total_calls(), world.distinct(), world.counts.found), (2_000, 2_000, 40_000));
    let seconds = (world.arrivals[0].iter().max().unwrap() - world::START) as f64 / 1e6;
    // 2,000 calls at 50 a second; a call that the driver sends up to 0.2 s late moves the window by as much.
    assert!((39.0..48.0).contains(&seconds), "{seconds} s");
}
