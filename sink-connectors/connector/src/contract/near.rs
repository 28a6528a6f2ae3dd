//! The part of the suite for sinks that can be read: the same list from all of them.

use super::{item, job, wait, write};
use crate::{Condition, Found, Near, Reader, Sink};
use serde_json::json;
use std::sync::Arc;
use weir_geo::Location;
use weir_model::{Item, Outcome, Value};

/// Listings that are written, every other one with a place; places repeat after a hundred.
const LISTINGS: u32 = 300;

/// Fills a fresh place by a new sink, and asks a reader of the same place.
///
/// # Panics
/// When the reader breaks a promise.
pub fn nearest(mut sink: Box<dyn Sink>, reader: &dyn Reader) {
    sink.open(&job(None)).expect("the place is opened");
    let items: Vec<_> = (0..LISTINGS).map(|id| item(id, 1, f64::from(id))).collect();
    write(&mut *sink, &items);
    wait(sink.finish(Outcome::Finished, true)).expect("it finishes");

    let near = Near::new(Location::new(51.5, -0.25).expect("a place"), 5);
    let ids = |near: &Near| -> Vec<u32> {
        let found = wait(reader.nearest(near)).expect("it is found");
        assert!(found.is_sorted_by(|a, b| (a.km, a.id.0) <= (b.km, b.id.0)), "nearest first");
        found.iter().map(|found| (found.id.0 >> 64) as u32).collect()
    };
    assert_eq!(ids(&near), [0, 100, 200, 2, 102], "at one place the smaller id first");
    assert_eq!(ids(&Near { limit: 4, ..near.clone() }), [0, 100, 200, 2], "whatever the limit cuts");
    assert_eq!(ids(&Near { within_km: Some(0.1), limit: 100, ..near.clone() }), [0, 100, 200]);
    assert_eq!(ids(&Near { limit: 10_000, ..near.clone() }).len(), 150, "who has no place is not near");

    let found = wait(reader.nearest(&Near { limit: 50, ..near.clone() })).expect("it is found");
    let Found { km, item, .. } = found.iter().find(|found| found.id.0 >> 64 == 4).expect("the fourth is near");
    assert!((km - 0.2769).abs() < 1e-4, "{km} km");
    let expected = json!({
        "url": "http://site/00004", "price": 4.0, "rooms": 4, "tags": ["a,b", "c\"d\né"], "seen": "2015-01-01T01:01:01Z",
        "location": {"lat": 51.5, "lon": -0.246}, "extra": {"n": [1, 2.5, null]}, "new": true,
    });
    assert_eq!(Some(item), expected.as_object());
    assert!(item.keys().eq(expected.as_object().into_iter().flat_map(|expected| expected.keys())), "in their order");

    let asked = |conditions: &[&str]| {
        let conditions = conditions.iter().map(|text| Condition::parse(text).expect("a condition")).collect();
        Near { conditions, ..near.clone() }
    };
    for (conditions, expected) in [
        (&["price>=100"][..], &[100, 200, 102, 202, 104][..]),
        (&["price>=6", "price < 10.0"], &[6, 8]),
        (&["price>297.5"], &[298]),
        (&["url=http://site/00004"], &[4]),
        (&["url=HTTP://site/00004"], &[]),
        (&["url!=http://site/00000", "price<=102"], &[100, 2, 102, 4, 6]),
        (&["url~SITE 00004"], &[4]),
        (&["url~sit"], &[]),
        (&["url<http://site/00003"], &[0, 2]),
        (&["rooms<=2"], &[0, 2]),
        (&["rooms!=0", "rooms<7"], &[2, 4, 6]),
        (&["new=false"], &[]),
        (&["new=true", "rooms<4"], &[0, 2]),
        (&["tags=a,b", "rooms=2"], &[2]),
        (&["tags!=a,b"], &[]),
        (&["tags~D é", "rooms=2"], &[2]),
        (&["seen=2015-01-01", "rooms=2"], &[2]),
        (&["seen>2015-01-01"], &[]),
        (&["seen<=2015-01-01T01:01:01Z", "rooms=2"], &[2]),
    ] {
        assert_eq!(ids(&asked(conditions)), expected, "{conditions:?}");
    }
    let refused = |near: &Near| wait(reader.nearest(near)).expect_err("a mistake").what;
    assert!(refused(&asked(&["prise<3"])).contains("prise"));
    assert!(refused(&asked(&["price<cheap"])).contains("cheap"));
    assert!(refused(&Near { field: Some("office".to_owned()), ..near.clone() }).contains("office"));
    assert!(refused(&Near { item: Some("ship".to_owned()), ..near.clone() }).contains("ship"));

    let sydney = Near { at: Location::new(-33.87, 151.21).expect("a place"), limit: 1, ..near };
    let far = wait(reader.nearest(&sydney)).expect("it is found");
    assert!(far.len() == 1 && far[0].km > 16_000.0, "the nearest may be far away: {far:?}");
    at_the_pole(&mut *sink, reader);
}

/// Beyond 85.05 degrees, where maps of squares and the cells of geo sets end.
fn at_the_pole(sink: &mut dyn Sink, reader: &dyn Reader) {
    let at = |id: u32, version: u64, lat: f64, lon: f64| {
        let mut values = item(id, version, 1.0).values.clone();
        values[5] = Value::Geo { lat, lon };
        Arc::new(Item { values, ..(*item(id, version, 1.0)).clone() })
    };
    let mut put = |items: &[Arc<Item>], gone: &[u32]| {
        sink.open(&job(None)).expect("the place is opened");
        write(sink, items);
        let gone: Vec<_> = gone.iter().map(|id| item(*id, 1, 1.0).id).collect();
        wait(sink.delist(0, &gone, 9)).expect("they are marked");
        wait(sink.finish(Outcome::Finished, true)).expect("it finishes");
    };
    let near = Near { within_km: Some(600.0), ..Near::new(Location::new(89.5, 180.0).expect("a place"), 10) };
    let nearest = || -> Vec<(u32, f64)> {
        let found = wait(reader.nearest(&near)).expect("it is found");
        found.iter().map(|found| ((found.id.0 >> 64) as u32, found.km.round())).collect()
    };
    put(&[at(401, 1, 89.0, 0.0), at(402, 1, 85.0, 180.0), at(403, 1, 88.0, -90.0), at(404, 1, 80.0, 0.0)], &[]);
    assert_eq!(nearest(), [(401, 167.0), (403, 229.0), (402, 500.0)]);
    put(&[at(401, 2, 51.5, 0.0), at(404, 2, 90.0, 0.0)], &[403]);
    assert_eq!(nearest(), [(404, 56.0), (402, 500.0)], "one has moved away, one here, one is gone");
}
