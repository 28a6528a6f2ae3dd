//! The nearest listings where a real server's geo sets end: at the poles and at 180 degrees.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use common::{Keys, with_value};
use weir_connector::contract::{wait, write};
use weir_connector::{Near, Reader};
use weir_geo::{Location, haversine_km};
use weir_model::Value;
use weir_redis::RedisReader;

#[test]
fn near_a_pole_a_circle_reaches_over_it() {
    let keys = Keys::fresh("");
    let mut sink = keys.open();
    let at = |id: u32, lat: f64, lon: f64| with_value(id, 1, 5, Value::Geo { lat, lon });
    write(&mut sink, &[at(1, 85.0, 180.0), at(2, 89.5, 180.0), at(3, 85.0, 0.0), at(4, 80.0, 0.0)]);
    let near = Near { within_km: Some(700.0), ..Near::new(Location::new(89.0, 0.0).unwrap(), 9) };
    let found = wait(RedisReader::from_url(&keys.url()).unwrap().nearest(&near)).unwrap();
    let shown: Vec<_> = found.iter().map(|found| ((found.id.0 >> 64) as u32, found.km.round())).collect();
    assert_eq!(shown, [(2, 167.0), (3, 445.0), (1, 667.0)]);
}

/// Against all distances measured: circles of every size around every latitude.
#[test]
fn circles_anywhere_hold_what_lies_in_them() {
    let keys = Keys::fresh("");
    let mut sink = keys.open();
    let mut state = 7u64;
    let mut number = |from: f64, to: f64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from + (to - from) * ((state >> 11) as f64 / (1u64 << 53) as f64)
    };
    let mut place = || {
        let south = if number(0.0, 1.0) < 0.3 { -1.0 } else { 1.0 };
        let lat = if number(0.0, 1.0) < 0.5 { number(75.0, 90.0) } else { number(0.0, 75.0) };
        (Location::new(south * lat, number(-180.0, 180.0)).unwrap(), 10f64.powf(number(1.5, 4.2)))
    };
    let mut places: Vec<Location> = (0..300).map(|_| place().0).collect();
    let edges =
        [(0.0, 180.0), (0.0, -180.0), (85.051_128_78, 0.0), (-85.051_128_78, 180.0), (90.0, 0.0), (-90.0, -180.0)];
    places.extend(edges.map(|(lat, lon)| Location::new(lat, lon).unwrap()));
    let items =
        places.iter().zip(0..).map(|(at, id)| with_value(id, 1, 5, Value::Geo { lat: at.lat(), lon: at.lon() }));
    write(&mut sink, &items.collect::<Vec<_>>());
    let reader = RedisReader::from_url(&keys.url()).unwrap();
    let centres: Vec<(Location, f64)> = (0..60).map(|_| place()).collect();
    let around_edges = places[300..].iter().flat_map(|at| [(*at, 10.0), (*at, 1_500.0)]);
    for (at, km) in around_edges.chain(centres) {
        for limit in [3, 1_000] {
            let near = Near { within_km: Some(km), ..Near::new(at, limit) };
            let found = wait(reader.nearest(&near)).unwrap();
            let mut all: Vec<f64> =
                places.iter().map(|place| haversine_km(at, *place)).filter(|far| *far <= km).collect();
            all.sort_by(f64::total_cmp);
            all.truncate(limit);
            let found: Vec<f64> = found.into_iter().map(|found| found.km).collect();
            assert_eq!(found, all, "within {km} km of {at:?}");
        }
    }
}
