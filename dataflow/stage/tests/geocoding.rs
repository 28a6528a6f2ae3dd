//! What the stage does with items that have an address, through its public face: who waits, who goes on, what survives.

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_frontier::Limits;
use weir_geo::{
    CallResult, Gazetteer, GeoConfig, GeoCounts, Provider, ProviderConfig, ProviderKind, hash_with_location,
};
use weir_model::{Item, JobId, Value};
use weir_stage::{Event, Geocoding, OutboxItem};
use world::{JOB, World, found, item, masks, place_of};

const SECOND: u64 = 1_000_000;

fn geocoding(config: GeoConfig, gazetteer: &str, providers: &[&str]) -> Geocoding {
    let provider = |name: &&str| {
        let config = ProviderConfig {
            url: Some(format!("http://localhost:1/{name}")),
            law: Some(Limits { hits: 1_000, window_us: SECOND, moderated: false }),
            parallel_max: Some(1_000),
            ..ProviderConfig::new(name, ProviderKind::Google)
        };
        Arc::new(Provider::new(config).expect("a right configuration"))
    };
    Geocoding {
        config: Arc::new(config),
        gazetteer: Arc::new(Gazetteer::read("test", format!("name,lat,lon\n{gazetteer}").as_bytes()).expect("a file")),
        providers: providers.iter().map(provider).collect(),
    }
}

fn one_provider() -> Geocoding {
    geocoding(GeoConfig::default(), "", &["site"])
}

/// An item with an address, and perhaps a second one.
fn at(key: u64, address: &str, second: Option<&str>) -> Item {
    let text = |text: &str| Value::Str(text.into());
    let values = vec![text(address), Value::Null, second.map_or(Value::Null, text), Value::Null];
    Item { values, ..item(key, 1, key) }
}

fn location(write: &OutboxItem, field: usize) -> Option<(f64, f64)> {
    match write.item.values[field] {
        Value::Geo { lat, lon } => Some((lat, lon)),
        _ => None,
    }
}

#[test]
fn an_item_waits_for_its_location_and_its_page_for_the_item() {
    let mut world = World::with(1, masks(&[], &[0]), Some(one_provider()));
    let waits = at(1, "10 Downing Street", None);
    assert!(world.page(vec![waits.clone()]).is_empty());
    assert_eq!((world.waiting_pages(JOB), world.delivered), (1, 0));
    let bytes = world.last.waiting_bytes;
    assert!(bytes >= waits.bytes() && world.last.outbox_bytes == bytes, "it counts against the bound of the outbox");
    let calls = world.calls();
    assert_eq!(calls.len(), 1);
    world.answer(&calls[0], found(51.5, -0.127));
    let write = world.told.pop().expect("it went on");
    assert_eq!(location(&write, 1), Some((51.5, -0.127)));
    let place = weir_geo::Location::new(51.5, -0.127).ok();
    assert_eq!(write.item.hash, hash_with_location(waits.hash, 1, place), "so that a location counts as a change");
    assert_eq!((world.last.waiting_bytes, world.delivered), (0, 0));
    world.settle_all();
    assert_eq!((world.waiting_pages(JOB), world.delivered, world.counts(JOB).scraped), (0, 1, 1));
}

#[test]
fn an_item_without_an_address_or_with_a_location_goes_on_at_once() {
    let mut world = World::with(1, masks(&[], &[0]), Some(one_provider()));
    let mut set = at(1, "somewhere", None);
    set.values[1] = Value::Geo { lat: 1.0, lon: 2.0 };
    let writes = world.page(vec![set, at(2, " -- ", None), Item { values: vec![Value::Null; 4], ..item(3, 1, 3) }]);
    assert_eq!(writes.len(), 3);
    assert!(world.calls().is_empty());
    // The second field of each has no address either.
    assert_eq!((world.geo_counts.already_set, world.geo_counts.no_address), (1, 2 + 3));
    assert_eq!(location(&writes[0], 1).or(location(&writes[1], 1)).or(location(&writes[2], 1)), Some((1.0, 2.0)));
}

#[test]
fn without_a_geocoder_items_pass_and_nothing_is_counted() {
    let mut world = World::new(1, masks(&[], &[0]));
    assert_eq!(world.page(vec![at(1, "somewhere", None)]).len(), 1);
    assert_eq!((world.geo_counts, world.wanted.len()), (GeoCounts::default(), 0));
}

#[test]
fn a_known_address_holds_nobody_up() {
    let geocoding = geocoding(GeoConfig::default(), "Leeds,53.8,-1.55\n", &[]);
    let mut world = World::with(3, masks(&[], &[0]), Some(geocoding));
    let writes = world.page(vec![at(1, "LEEDS", None), at(2, "nowhere", None)]);
    let found: BTreeSet<bool> = writes.iter().map(|write| location(write, 1) == Some((53.8, -1.55))).collect();
    assert_eq!((writes.len(), found.len()), (2, 2));
    assert_eq!((world.geo_counts.gazetteer, world.geo_counts.not_found), (1, 1));
}

#[test]
fn any_number_of_workers_asks_once_an_address_and_fills_both_fields() {
    let told = |workers: usize| {
        let mut world = World::with(workers, masks(&[0], &[1]), Some(geocoding(GeoConfig::default(), "", &["site"])));
        let pages = |from: u64| {
            (from..from + 60).map(|n| {
                let second = format!("Other Road {}", n % 11);
                vec![at(n, &format!("Street {}", n % 7), (n % 2 == 0).then_some(&*second))]
            })
        };
        world.fetch(JOB, pages(0).collect());
        let mut asked = world.answer_all();
        world.fetch(JOB, pages(60).collect());
        world.rest();
        assert!(world.calls().is_empty(), "everything is known now");
        world.rest();
        asked.sort_unstable();
        assert_eq!(asked.len(), 7 + 11, "{workers} workers");
        asked.dedup();
        assert_eq!(asked.len(), 7 + 11, "one call an address");
        let mut places = BTreeMap::new();
        for write in &world.told {
            places.insert(write.item.id, (location(write, 1), location(write, 3), write.item.hash));
        }
        world.settle_all();
        assert_eq!((world.delivered, world.outbox_bytes(), world.waiting_pages(JOB)), (120, 0, 0));
        assert!(places.values().all(|(first, ..)| first.is_some()));
        assert_eq!(places.values().filter(|(_, second, _)| second.is_some()).count(), 60);
        (places, asked)
    };
    let one = told(1);
    for workers in [2, 3, 5] {
        assert_eq!(told(workers), one, "{workers} workers");
    }
}

#[test]
fn items_that_wait_outlive_the_process_and_are_delivered_once() {
    for (snapshot, before, after) in [(false, 1, 1), (true, 1, 3), (false, 3, 2), (true, 4, 1), (true, 2, 4)] {
        let mut world = World::with(before, masks(&[], &[0]), Some(one_provider()));
        let pages = (0..40).map(|n| vec![at(n, &format!("Street {}", n % 10), Some("The Square"))]);
        world.fetch(JOB, pages.collect());
        world.rest();
        // Half of the addresses are answered; the second address of their items is asked for, the rest waits.
        for call in world.calls().into_iter().take(5) {
            let (lat, lon) = place_of(&call.request.url);
            world.answer(&call, found(lat, lon));
        }
        assert_eq!(world.told.len(), 0, "the square is not known");
        let bytes = world.outbox_bytes();
        if snapshot {
            world.take_snapshot();
        }
        world.restart(after);
        world.restart(before);
        world.rest();
        assert_eq!((world.outbox_bytes(), world.waiting_pages(JOB)), (bytes, 40), "{snapshot} {before} {after}");
        let asked: BTreeSet<String> = world.answer_all().into_iter().collect();
        assert_eq!(asked.len(), 5 + 1, "what was answered is not asked again");
        assert_eq!(world.told.len(), 40);
        assert!(world.told.iter().all(|write| location(write, 1).is_some() && location(write, 3).is_some()));
        world.restart(after);
        assert_eq!((world.due.len(), world.last.waiting_bytes), (40, 0), "they are in the outbox, and there alone");
        world.settle_all();
        assert_eq!((world.delivered, world.outbox_bytes(), world.counts(JOB).scraped), (40, 0, 40));
        world.restart(before);
        assert_eq!((world.outbox_bytes(), world.waiting_pages(JOB)), (0, 0));
    }
}

#[test]
fn what_waits_goes_on_without_a_location_when_the_geocoder_is_taken_away() {
    let mut world = World::with(2, masks(&[], &[0]), Some(one_provider()));
    world.fetch(JOB, (0..9).map(|n| vec![at(n, &format!("Street {n}"), None)]).collect());
    world.take_snapshot();
    world.forget_geocoding();
    world.restart(1);
    assert_eq!(world.told.len(), 9);
    assert!(world.told.iter().all(|write| location(write, 1).is_none()));
    world.settle_all();
    world.restart(2);
    assert_eq!((world.delivered, world.outbox_bytes(), world.waiting_pages(JOB)), (9, 0, 0));
}

#[test]
fn an_item_waits_no_longer_than_it_may() {
    let config = GeoConfig { give_up_us: 60 * SECOND, ..GeoConfig::default() };
    for workers in [1, 3] {
        let mut world = World::with(workers, masks(&[], &[0]), Some(geocoding(config.clone(), "", &["site"])));
        world.fetch(JOB, (0..9).map(|n| vec![at(n, &format!("Street {n}"), None)]).collect());
        world.rest();
        world.wait(59 * SECOND);
        world.rest();
        assert_eq!(world.told.len(), 0);
        world.wait(2 * SECOND);
        world.rest();
        world.rest();
        assert_eq!((world.told.len(), world.last.waiting_bytes), (9, 0), "{workers} workers");
        assert_eq!(world.geo_counts.unanswered, 9);
        world.restart(workers);
        world.settle_all();
        assert_eq!((world.delivered, world.waiting_pages(JOB)), (9, 0));
    }
}

#[test]
fn items_beyond_the_bound_go_on_without_a_location() {
    let config = GeoConfig { waiters_max: 10, ..GeoConfig::default() };
    let mut world = World::with(1, masks(&[], &[0]), Some(geocoding(config, "", &["site"])));
    world.fetch(JOB, (0..25).map(|n| vec![at(n, &format!("Street {n}"), None)]).collect());
    assert_eq!((world.told.len(), world.geo_counts.full, world.waiting_pages(JOB)), (15, 15, 25));
    world.answer_all();
    assert_eq!(world.told.iter().filter(|write| location(write, 1).is_some()).count(), 10);
}

#[test]
fn a_provider_that_denies_its_service_holds_nobody_up_and_is_named_once() {
    let mut world = World::with(2, masks(&[], &[0]), Some(one_provider()));
    world.fetch(JOB, (0..9).map(|n| vec![at(n, &format!("Street {n}"), None)]).collect());
    world.rest();
    let mut notices = 0;
    for call in world.calls() {
        let answer = weir_geo::HttpAnswer { status: 403, ..weir_geo::HttpAnswer::default() };
        let result = CallResult::Answered { at: call.not_before, answer };
        world.step(vec![Event::Geo(weir_geo::Event::Returned { call: call.id, result })]);
        notices += world.last.geo_notices.len();
    }
    world.rest();
    assert_eq!((world.told.len(), notices), (9, 1));
    // Whoever comes now is told at once.
    world.wanted.clear();
    world.page(vec![at(100, "Street 100", Some("Street 101"))]);
    world.rest();
    assert_eq!((world.told.len(), world.calls().len(), world.last.waiting_bytes), (10, 0, 0));
    assert_eq!(world.geo_counts.unanswered, 9 + 2);
}

#[test]
fn what_waits_of_a_paused_job_holds_nobody_up_and_goes_on_with_its_job() {
    let sinks = masks(&[], &[0]);
    let mut world = World::with(2, sinks, Some(one_provider()));
    world.fetch(JOB, (0..9).map(|n| vec![at(n, &format!("Street {n}"), None)]).collect());
    world.restart_with(1, vec![(JobId(2), sinks)]);
    world.rest();
    assert_eq!((world.calls().len(), world.last.outbox_bytes, world.told.len()), (0, 0, 0));
    world.take_snapshot();
    world.restart_with(3, vec![(JOB, sinks)]);
    world.answer_all();
    assert_eq!(world.told.iter().filter(|write| location(write, 1).is_some()).count(), 9);
    world.settle_all();
    assert_eq!((world.delivered, world.waiting_pages(JOB), world.outbox_bytes()), (9, 0, 0));
}

#[test]
fn what_waits_of_a_job_that_is_given_up_is_forgotten() {
    let mut world = World::with(2, masks(&[], &[0]), Some(one_provider()));
    world.fetch(JOB, (0..9).map(|n| vec![at(n, &format!("Street {n}"), None)]).collect());
    world.rest();
    world.stage.close_job(JOB, true);
    world.answer_all();
    assert_eq!((world.told.len(), world.last.waiting_bytes), (0, 0));
}
