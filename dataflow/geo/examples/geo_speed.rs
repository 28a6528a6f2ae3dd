//! What a look-up costs: a million items over twenty thousand addresses, at a provider that answers at once, in virtual time.
//! `cargo run --release -p weir-geo --example geo_speed`
#![allow(clippy::disallowed_methods, reason = "it measures wall time")]

use std::sync::Arc;
use std::time::Instant;
use weir_frontier::Limits;
use weir_geo::{
    CallResult, Command, Event, Gazetteer, GeoConfig, Geocoder, HttpAnswer, Out, Provider, ProviderConfig,
    ProviderKind, Waiter, normalise,
};
use weir_model::{JobId, Tick};

const ITEMS: u64 = 1_000_000;
const ADDRESSES: u64 = 20_000;
const OK: &str = r#"{"results": [{"geometry": {"location": {"lat": 51.5, "lng": -0.12}, "location_type": "ROOFTOP"}}], "status": "OK"}"#;

fn main() {
    for (kind, addresses) in [("ascii", addresses("Ashford, London")), ("other", addresses("Áshförd, Łódź"))] {
        let started = Instant::now();
        let bytes: usize = addresses.iter().map(|address| normalise(address).as_str().len()).sum();
        let each = started.elapsed().as_nanos() / addresses.len() as u128;
        println!("normalise, {kind}: {each} ns an address of {} bytes", bytes / addresses.len());
    }
    let law = Limits { hits: 50, window_us: 1_000_000, moderated: false };
    let config = ProviderConfig {
        url: Some("http://localhost/json".to_owned()),
        law: Some(law),
        ..ProviderConfig::new("site", ProviderKind::Google)
    };
    let provider = Arc::new(Provider::new(config).expect("a right configuration"));
    let config = GeoConfig { waiters_max: ITEMS as usize, ..GeoConfig::default() };
    let mut geocoder = Geocoder::new(&Arc::new(config), &Arc::new(Gazetteer::default()), &[provider], 1);
    let addresses = addresses("Ashford, London");
    let mut now = Tick(1_700_000_000_000_000);
    let mut out = Out::default();
    let (mut answered, mut calls) = (0u64, 0u64);
    let started = Instant::now();
    for item in 0..ITEMS {
        let address = &addresses[(item.wrapping_mul(7_919) % ADDRESSES) as usize];
        answered += u64::from(geocoder.want(now, JobId(1), address, Waiter(item), &mut out).is_some());
        // Items come at 2,000 in a second of virtual time, the provider's law lets 50 addresses be asked.
        if item % 20 == 19 {
            now = now.after_us(10_000);
            calls += step(&mut geocoder, now, &mut out);
            answered += out.answers.drain(..).count() as u64;
            out.records.clear();
        }
    }
    while geocoder.next_wake() < Tick::NEVER {
        now = now.max(geocoder.next_wake());
        calls += step(&mut geocoder, now, &mut out);
        answered += out.answers.drain(..).count() as u64;
        out.records.clear();
    }
    let took = started.elapsed();
    assert_eq!((answered, calls), (ITEMS, ADDRESSES), "every item an answer, every address one call");
    println!(
        "{ITEMS} items over {ADDRESSES} addresses: {} ns an item, {} items a second, {calls} calls, {} KiB remembered",
        took.as_nanos() / u128::from(ITEMS),
        (ITEMS as f64 / took.as_secs_f64()) as u64,
        geocoder.memory_bytes() >> 10,
    );
}

fn addresses(end: &str) -> Vec<String> {
    (0..ADDRESSES).map(|number| format!("{number} High Street, {end}")).collect()
}

fn step(geocoder: &mut Geocoder, now: Tick, out: &mut Out) -> u64 {
    geocoder.release_due(now, out);
    let mut calls = 0;
    for command in std::mem::take(&mut out.commands) {
        let Command::Call(call) = command else { continue };
        calls += 1;
        let answer = HttpAnswer { status: 200, retry_after_us: None, body: OK.as_bytes().to_vec() };
        let result = CallResult::Answered { at: now, answer };
        geocoder.event(now, Event::Returned { call: call.id, result }, out);
    }
    calls
}
