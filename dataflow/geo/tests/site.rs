//! The geocoder against the practice site, over real sockets: the site's generator judges the locations, its log the rate.
#![allow(clippy::disallowed_methods, reason = "a driver in small: it reads the clock")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use weir_frontier::Limits;
use weir_geo::{
    Answer, Call, CallResult, Command, Event, Gazetteer, GeoConfig, Geocoder, HttpAnswer, Out, Provider,
    ProviderConfig, ProviderKind, Waiter, normalise,
};
use weir_model::{JobId, Tick};
use weir_site::{Site, SiteHandle, SiteOptions};

const PER_SECOND: u32 = 200;
const THREADS: usize = 4;

fn now() -> Tick {
    Tick(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as u64)
}

/// One call: the first byte within the slot, or nothing.
fn perform(call: &Call, port: u16) -> CallResult {
    let path = call.request.with_key("").expose().split_once("/maps").expect("the site's endpoint").1.to_owned();
    let mut stream = match TcpStream::connect(("127.0.0.1", port)) {
        Ok(stream) => stream,
        Err(error) => return CallResult::Unreached { reason: error.to_string() },
    };
    stream.set_read_timeout(Some(Duration::from_micros(call.timeout_us))).expect("a time-out above zero");
    if now() > call.not_after {
        return CallResult::Unsent;
    }
    let request = format!("GET /maps{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut bytes = Vec::new();
    let sent = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut bytes));
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    match (sent, head) {
        (Ok(_), Some(head)) => {
            let status = std::str::from_utf8(&bytes[9..12]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            let answer = HttpAnswer { status, retry_after_us: None, body: bytes[head + 4..].to_vec() };
            CallResult::Answered { at: now(), answer }
        }
        _ => CallResult::GaveUp { at: now(), reason: "no whole answer".to_owned() },
    }
}

fn site() -> SiteHandle {
    let mut options = SiteOptions::with_listings(500);
    options.geocode_per_second = Some(PER_SECOND);
    Site::spawn(options).expect("the practice site starts")
}

/// Wants the location of each address, in this order, and waits for all: answers by place in the list.
fn locate(site: &SiteHandle, addresses: &[String]) -> BTreeMap<u64, Answer> {
    let law = Limits { hits: PER_SECOND, window_us: 1_000_000, moderated: false };
    let provider = ProviderConfig {
        url: Some(site.url("/maps/api/geocode/json")),
        law: Some(law),
        parallel_max: Some(THREADS),
        ..ProviderConfig::new("site", ProviderKind::Google)
    };
    let providers = [Arc::new(Provider::new(provider).expect("a right configuration"))];
    let mut geocoder = Geocoder::new(&Arc::new(GeoConfig::default()), &Arc::new(Gazetteer::default()), &providers, 1);

    let (send_call, calls) = mpsc::channel::<Call>();
    let (send_result, results) = mpsc::channel();
    let calls = Arc::new(Mutex::new(calls));
    for _ in 0..THREADS {
        let (calls, send_result, port) = (Arc::clone(&calls), send_result.clone(), site.port());
        std::thread::spawn(move || {
            loop {
                let call = calls.lock().expect("no thread panics with it").recv();
                let Ok(call) = call else { return };
                let result = perform(&call, port);
                if send_result.send((call.id, result)).is_err() {
                    return;
                }
            }
        });
    }

    let mut out = Out::default();
    let mut answers = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        let waiter = Waiter(at as u64);
        let answer = geocoder.want(now(), JobId(1), address, waiter, &mut out);
        answers.extend(answer.map(|answer| (waiter, answer)));
    }
    let deadline = now().after(Duration::from_secs(60));
    while answers.len() < addresses.len() {
        assert!(now() < deadline, "{} of {} items have an answer", answers.len(), addresses.len());
        geocoder.release_due(now(), &mut out);
        answers.append(&mut out.answers);
        for command in out.commands.drain(..) {
            if let Command::Call(call) = command {
                send_call.send(call).expect("the threads live as long as the test");
            }
        }
        let wake = geocoder.next_wake().since(now()).min(Duration::from_millis(50));
        if let Ok((call, result)) = results.recv_timeout(wake) {
            geocoder.event(now(), Event::Returned { call, result }, &mut out);
            answers.append(&mut out.answers);
        }
    }
    let (_, usage) = geocoder.usage().next().expect("one provider");
    let distinct: BTreeSet<_> = addresses.iter().map(|address| normalise(address)).collect();
    assert_eq!((usage.found, usage.over_limit, usage.failed), (distinct.len() as u64, 0, 0));
    assert!(distinct.len() > PER_SECOND as usize, "{} addresses take more than a second", distinct.len());
    let told = answers.len();
    let answers: BTreeMap<u64, Answer> = answers.into_iter().map(|(waiter, answer)| (waiter.0, answer)).collect();
    assert_eq!(answers.len(), told, "one answer an item");
    answers
}

/// The provider's own log: so many calls, and never more than the rate in any second, wherever it begins.
fn judge(site: &SiteHandle, calls: usize) {
    let mut arrivals: Vec<u64> =
        site.log().iter().filter(|access| access.path.starts_with("/maps/")).map(|access| access.arrived.0).collect();
    assert_eq!(arrivals.len(), calls, "one call an address");
    arrivals.sort_unstable();
    for pair in arrivals.windows(PER_SECOND as usize + 1) {
        let apart = pair[PER_SECOND as usize] - pair[0];
        assert!(apart >= 1_000_000, "{} calls within {apart} us", PER_SECOND + 1);
    }
}

#[test]
fn the_site_is_asked_once_an_address_and_never_beyond_its_rate() {
    let site = site();
    let listings: Vec<_> = site.portal().iter().collect();
    let addresses: Vec<String> = listings.iter().map(|listing| listing.address.clone()).collect();
    for (at, answer) in &locate(&site, &addresses) {
        let listing = &listings[*at as usize];
        let Answer::Found(place) = answer else { panic!("{}: {answer:?}", listing.address) };
        assert_eq!((place.location.lat(), place.location.lon()), (listing.lat, listing.lon), "{}", listing.address);
    }
    judge(&site, addresses.iter().map(|address| normalise(address)).collect::<BTreeSet<_>>().len());
}

/// The full size, a million items over all addresses of the site, is `python3 tests/bench/geocoder.py`.
#[test]
fn twenty_thousand_items_over_five_hundred_addresses_are_five_hundred_calls_within_the_rate() {
    const ADDRESSES: u64 = 500;
    let site = site();
    // Forty items an address, each address in the spellings of people.
    let addresses: Vec<String> = (0..20_000u64)
        .map(|item| {
            let address = format!("{} High Street, Leeds", item.wrapping_mul(7_919) % ADDRESSES);
            match item % 5 {
                0 => address.to_uppercase(),
                1 => address.replace(' ', "  "),
                2 => format!(" {address} "),
                3 => address.replace("High Street", "High-Street"),
                _ => address,
            }
        })
        .collect();
    let answers = locate(&site, &addresses);
    judge(&site, ADDRESSES as usize);
    // All items of an address have one place.
    let mut places = BTreeMap::new();
    for (at, answer) in &answers {
        let Answer::Found(place) = answer else { panic!("{}: {answer:?}", addresses[*at as usize]) };
        let here = (place.location.lat().to_bits(), place.location.lon().to_bits());
        let known = places.entry(normalise(&addresses[*at as usize])).or_insert(here);
        assert_eq!(*known, here, "{}", addresses[*at as usize]);
    }
    assert_eq!(places.len(), ADDRESSES as usize);
}
