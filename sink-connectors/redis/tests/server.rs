//! The suite and the behaviour of the sink and the cache on a real server: the one that `WEIR_TEST_REDIS` names, else a fresh one.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use common::{Keys, job_with, try_write, with_value};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_connector::contract::{self, item, job, wait, write};
use weir_connector::{ErrorClass, ItemOutcome, Near, Reader, Sink, SinkError};
use weir_geo::Location;
use weir_model::Value;
use weir_redis::{RedisCache, RedisReader, RedisSink};
use weir_services::{Fault, FaultProxy, Kind, Service, within};

const PATIENCE: Duration = Duration::from_secs(30);
const SECOND: &str = "~listing:00000000000000020000000000000005";

fn batch(ids: std::ops::Range<u32>) -> Vec<std::sync::Arc<weir_model::Item>> {
    ids.map(|id| item(id, 1, f64::from(id))).collect()
}

#[test]
fn the_sink_passes_the_suite() {
    contract::suite(|| Keys::fresh(""));
}

#[test]
fn the_sink_with_a_life_for_items_passes_the_suite() {
    contract::suite(|| Keys::fresh("&ttl=30d"));
}

#[test]
fn an_item_is_a_hash_and_its_place_a_member_of_a_geo_set() {
    let keys = Keys::fresh("");
    let mut sink = keys.open();
    write(&mut sink, &[item(2, 1_420_074_061_000_007, 334.39), item(3, 1, 1.0)]);
    let hash: BTreeMap<String, String> = keys.ask(&format!("HGETALL {SECOND}"));
    let expected = [
        ("_fetched_at", "2015-01-01T01:01:01.000007Z"),
        ("_hash", "4074e63d70a3d70a"),
        ("_job", "7"),
        ("_spider", "contract"),
        ("_version", "1420074061000007"),
        ("extra", "{\"n\": [1, 2.5, null]}"),
        ("location", "51.5,-0.248"),
        ("new", "true"),
        ("price", "334.39"),
        ("rooms", "2"),
        ("seen", "2015-01-01T01:01:01Z"),
        ("tags", "[\"a,b\", \"c\\\"d\\né\"]"),
        ("url", "http://site/00002"),
    ];
    assert_eq!(hash, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!(
        keys.ask::<Vec<String>>("ZRANGE ~listing:geo:location 0 -1"),
        ["00000000000000020000000000000005"],
        "the third has no place"
    );
    let moved =
        [with_value(2, 1_420_074_061_000_008, 5, Value::Null), with_value(3, 2, 5, Value::Geo { lat: 1.0, lon: 2.0 })];
    write(&mut sink, &moved);
    assert_eq!(keys.ask::<Vec<String>>("ZRANGE ~listing:geo:location 0 -1"), ["00000000000000030000000000000005"]);
    assert!(!keys.ask::<bool>(&format!("HEXISTS {SECOND} location")), "a value that is gone leaves no field");
}

#[test]
fn a_place_beyond_the_geo_sets_is_kept_in_the_hash() {
    let keys = Keys::fresh("");
    let mut sink = keys.open();
    let pole = with_value(2, 1, 5, Value::Geo { lat: 89.0, lon: 0.0 });
    let nowhere = with_value(3, 1, 5, Value::Geo { lat: 91.0, lon: 0.0 });
    let (outcomes, _) = write(&mut sink, &[pole, nowhere]);
    assert!(matches!(&outcomes[..], [ItemOutcome::Stored, ItemOutcome::Refused { .. }]), "{outcomes:?}");
    assert_eq!(keys.ask::<String>(&format!("HGET {SECOND} location")), "89.0,0.0");
    assert_eq!(keys.ask::<i64>("EXISTS ~listing:geo:location"), 0);
    let beyond = || keys.ask::<Vec<String>>("SMEMBERS ~listing:beyond:location");
    assert_eq!(beyond(), ["00000000000000020000000000000005"]);
    // It moves from one set to the other and back, and goes with its listing.
    let at = |version: u64, lat: f64| with_value(2, version, 5, Value::Geo { lat, lon: 0.0 });
    write(&mut sink, &[at(2, 85.0)]);
    assert_eq!((beyond().len(), keys.ask::<i64>("ZCARD ~listing:geo:location")), (0, 1));
    write(&mut sink, &[at(3, -85.1)]);
    assert_eq!((beyond().len(), keys.ask::<i64>("ZCARD ~listing:geo:location")), (1, 0));
    wait(sink.delist(0, &[item(2, 1, 1.0).id], 5)).unwrap();
    assert_eq!(beyond().len(), 0);
    write(&mut sink, &[at(6, 90.0)]);
    assert_eq!(beyond().len(), 1);
    // One that has expired is forgotten when somebody looks.
    keys.ask::<i64>(&format!("DEL {SECOND}"));
    let near = Near::new(Location::new(90.0, 0.0).unwrap(), 3);
    assert_eq!(wait(RedisReader::from_url(&keys.url()).unwrap().nearest(&near)).unwrap(), []);
    assert_eq!(beyond().len(), 0);
}

#[test]
fn an_item_lives_for_its_time_and_seeing_it_again_renews_it() {
    let keys = Keys::fresh("&ttl=1h");
    let mut sink = keys.open();
    write(&mut sink, &[item(2, 1, 1.0)]);
    let life = || keys.ask::<i64>(&format!("PTTL {SECOND}"));
    assert!((3_500_000..=3_600_000).contains(&life()), "{}", life());
    keys.ask::<i64>(&format!("PEXPIRE {SECOND} 60000"));
    assert_eq!(write(&mut sink, &[item(2, 1, 1.0)]).0, [ItemOutcome::Unchanged]);
    assert!(life() > 3_500_000, "{}", life());
}

#[test]
fn items_get_a_new_life_before_they_expire() {
    let keys = Keys::fresh("&ttl=1h");
    let generation = || keys.sink().open(&job(None)).unwrap().generation;
    let first = generation();
    assert_eq!(generation(), first);
    let mark: String = keys.ask("GET ~listing:_generation");
    let (number, made) = mark.split_once(':').unwrap();
    let made: u64 = made.parse().unwrap();
    keys.ask::<String>(&format!("SET ~listing:_generation {number}:{}", made - 1_700));
    assert_eq!(generation(), first, "younger than half a life");
    keys.ask::<String>(&format!("SET ~listing:_generation {number}:{}", made - 1_801));
    assert_ne!(generation(), first, "half a life has passed: every item is written once more");
}

#[test]
fn a_server_that_was_emptied_has_another_generation_and_is_noticed_while_open() {
    let keys = Keys::fresh("");
    let generation = || keys.sink().open(&job(None)).unwrap().generation;
    let first = generation();
    let mut sink = keys.open();
    write(&mut sink, &batch(0..3));
    assert_eq!(generation(), first);
    for name in keys.names("~listing:*") {
        keys.ask::<i64>(&format!("DEL {name}"));
    }
    let error = try_write(&mut sink, &batch(3..6)).unwrap_err();
    assert!(error.class == ErrorClass::Permanent && error.todo.contains("appendonly"), "{error}");
    assert_ne!(generation(), first);
}

#[test]
fn a_key_of_another_program_is_refused_alone_and_left_alone() {
    let keys = Keys::fresh("");
    let mut sink = keys.open();
    keys.ask::<String>(&format!("SET {SECOND} theirs"));
    let (outcomes, _) = write(&mut sink, &batch(0..500));
    for (id, outcome) in outcomes.iter().enumerate() {
        assert_eq!(
            matches!(outcome, ItemOutcome::Refused { reason } if reason.contains("WRONGTYPE")),
            id == 2,
            "{outcome:?}"
        );
    }
    assert_eq!(keys.ask::<String>(&format!("GET {SECOND}")), "theirs");
    keys.ask::<i64>("DEL ~listing:geo:location");
    keys.ask::<String>("SET ~listing:geo:location theirs");
    let before: BTreeMap<String, String> = keys.ask("HGETALL ~listing:00000000000000040000000000000005");
    let (outcomes, _) = write(&mut sink, &[item(4, 9, 9.0)]);
    assert!(matches!(&outcomes[0], ItemOutcome::Refused { .. }), "{outcomes:?}");
    let after: BTreeMap<String, String> = keys.ask("HGETALL ~listing:00000000000000040000000000000005");
    assert_eq!(before, after, "nothing of a refused item is written");
}

#[test]
fn names_that_would_mix_keys_up_are_refused() {
    let keys = Keys::fresh("");
    for name in ["a:b", "a b", ""] {
        let error = keys.sink().open(&job_with(|schema| schema.name = name.to_owned())).unwrap_err();
        assert_eq!(error.class, ErrorClass::Configuration, "{error}");
    }
}

#[test]
fn the_nearest_listings_come_first_and_expired_or_delisted_ones_not_at_all() {
    let keys = Keys::fresh("");
    let mut sink = keys.open();
    let at = |id: u32, lat: f64, lon: f64| with_value(id, 1, 5, Value::Geo { lat, lon });
    write(
        &mut sink,
        &[
            at(1, 0.0, 179.99),
            at(2, 0.0, -179.99),
            at(3, 0.0, 179.0),
            at(4, 51.5, 0.0),
            at(5, 0.0, 179.995),
            at(6, 0.0, 179.996),
        ],
    );
    keys.ask::<i64>("DEL ~listing:00000000000000050000000000000005");
    keys.ask::<i64>("HSET ~listing:00000000000000060000000000000005 _delisted_at 2026-01-01T00:00:00Z");
    let reader = RedisReader::from_url(&keys.url()).unwrap();
    let near = Near::new(Location::new(0.0, 179.995).unwrap(), 3);
    let nearest = |near: Near| wait(reader.nearest(&near)).unwrap();
    let found = nearest(near.clone());
    let shown: Vec<_> = found.iter().map(|found| ((found.id.0 >> 64) as u32, (found.km * 1000.0).round())).collect();
    assert_eq!(shown, [(1, 556.0), (2, 1668.0), (3, 110_639.0)]);
    assert_eq!(found[0].item["url"], "http://site/00001");
    assert_eq!(keys.ask::<i64>("ZCARD ~listing:geo:location"), 5, "the expired one is forgotten");
    assert_eq!(nearest(Near { within_km: Some(1.0), ..near.clone() }).len(), 1);
    assert_eq!(nearest(Near { limit: 100, ..near.clone() }).len(), 4, "the whole world");
}

#[test]
fn the_nearest_listings_are_those_of_every_sink() {
    let keys = Keys::fresh("");
    let reader = RedisReader::from_url(&keys.url()).unwrap();
    contract::nearest(Box::new(keys.sink()), &reader);
}

#[test]
fn a_listing_that_is_gone_is_marked_and_comes_back_with_a_newer_version() {
    let keys = Keys::fresh("");
    let mut sink = keys.open();
    write(&mut sink, &[item(2, 10, 1.0), item(4, 30, 2.0)]);
    let ids = [4, 9, 2].map(|id| item(id, 1, 1.0).id);
    let mut delist = |at| wait(sink.delist(0, &ids, at)).unwrap();
    assert_eq!(delist(20), [ItemOutcome::Stale, ItemOutcome::Unchanged, ItemOutcome::Stored]);
    assert_eq!(delist(20), [ItemOutcome::Stale, ItemOutcome::Unchanged, ItemOutcome::Unchanged]);
    assert_eq!(keys.ask::<String>(&format!("HGET {SECOND} _delisted_at")), "1970-01-01T00:00:00.000020Z");
    assert_eq!(keys.ask::<i64>("ZCARD ~listing:geo:location"), 1);
    write(&mut sink, &[item(2, 40, 1.0)]);
    assert!(!keys.ask::<bool>(&format!("HEXISTS {SECOND} _delisted_at")));
    assert_eq!(keys.ask::<i64>("ZCARD ~listing:geo:location"), 2);
}

#[test]
fn geocodes_are_cached_for_their_time() {
    let keys = Keys::fresh("");
    let cache = RedisCache::from_url(&keys.url()).unwrap();
    let (hour, moment) = (Duration::from_secs(3600), Duration::from_millis(1));
    wait(cache.set_many(&[("angel, london", vec![0, 255, 1], hour), ("nowhere", b"negative".to_vec(), moment)]))
        .unwrap();
    let get = || wait(cache.get_many(&["unknown", "angel, london", "nowhere"])).unwrap();
    within(PATIENCE, || (get()[2].is_none()).then_some(())).expect("a negative answer has a short life");
    assert_eq!(get(), [None, Some(vec![0, 255, 1]), None]);
    let life: i64 = keys.try_pttl("angel, london");
    assert!((3_500_000..=3_600_000).contains(&life), "{life}");
    assert_eq!(wait(cache.get_many::<&str>(&[])).unwrap(), []);
    wait(cache.set_many::<&str>(&[])).unwrap();
}

#[test]
fn the_caches_account_is_checked_and_a_server_that_is_away_is_no_mistake() {
    let server = Service::builder(Kind::Redis).start().unwrap();
    let keys = Keys::on(server.url(), "");
    RedisCache::checked(&keys.url()).unwrap();
    within(PATIENCE, || keys.names("~*").is_empty().then_some(())).expect("the check leaves nothing behind");
    keys.ask::<String>("CONFIG SET requirepass hunter2");
    for (account, number, words) in [
        ("", 0, "WEIR_REDIS_PASSWORD"),
        (":wrongpassword@", 0, "WEIR_REDIS_PASSWORD"),
        (":hunter2@", 99, "Correct the number"),
    ] {
        let url = format!("redis://{account}127.0.0.1:{}/{number}", server.port());
        let error = RedisCache::checked(&url).expect_err("the server says so");
        assert!(error.class != ErrorClass::Transient && error.todo.contains(words), "{error}");
        assert!(!error.to_string().contains("wrongpassword"), "{error}");
    }
    RedisCache::checked(&format!("redis://:hunter2@127.0.0.1:{}/0", server.port())).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    RedisCache::checked(&format!("redis://:wrongpassword@127.0.0.1:{free}/0")).unwrap();
}

impl Keys {
    fn try_pttl(&self, address: &str) -> i64 {
        let mut connection = redis::Client::open(&*self.server).unwrap().get_connection().unwrap();
        redis::cmd("PTTL").arg(format!("{}geocode:{address}", self.prefix)).query(&mut connection).unwrap()
    }
}

#[test]
fn a_connection_cut_in_mid_batch_is_replaced_and_nothing_is_lost_or_doubled() {
    let keys = Keys::fresh("&timeout=2s");
    let port = Service::shared_redis().unwrap().port();
    let mut proxy = FaultProxy::new(("127.0.0.1", port)).unwrap();
    let mut sink = RedisSink::from_url(&keys.url_at(&format!("redis://127.0.0.1:{}/0", proxy.port()))).unwrap();
    sink.open(&job(None)).unwrap();
    for (round, bytes) in [0u64, 1, 30, 60, 100].into_iter().enumerate() {
        let first = round as u32 * 20;
        proxy.set(Fault::CutAfter(bytes)).unwrap();
        let error = try_write(&mut sink, &batch(first..first + 20)).unwrap_err();
        assert_eq!(error.class, ErrorClass::Transient, "{error}");
        proxy.set(Fault::None).unwrap();
        let (outcomes, _) = write(&mut sink, &batch(first..first + 20));
        assert!(outcomes.iter().all(|o| matches!(o, ItemOutcome::Stored | ItemOutcome::Unchanged)), "{outcomes:?}");
    }
    assert_eq!(keys.names("~listing:0*").len(), 100);
    proxy.set(Fault::BlackHole).unwrap();
    let error = try_write(&mut sink, &batch(100..120)).unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient, "{error}");
    proxy.set(Fault::None).unwrap();
    let (outcomes, _) = write(&mut sink, &batch(100..120));
    assert!(
        outcomes.iter().all(|outcome| *outcome == ItemOutcome::Unchanged),
        "written before the time-out: {outcomes:?}"
    );
}

#[test]
fn a_durable_server_that_was_killed_is_used_again_when_it_is_back() {
    let mut server = Service::builder(Kind::Redis)
        .option("--appendonly")
        .option("yes")
        .option("--appendfsync")
        .option("always")
        .start()
        .unwrap();
    let keys = Keys::on(server.url(), "&connect_timeout=1s");
    let mut sink = keys.open();
    write(&mut sink, &batch(0..100));
    let generation = keys.sink().open(&job(None)).unwrap().generation;
    server.kill9().unwrap();
    let error = try_write(&mut sink, &batch(50..200)).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("port"), "{error}");
    assert_eq!(keys.sink().open(&job(None)).unwrap_err().class, ErrorClass::Transient, "so that it may be best effort");
    server.restart().unwrap();
    let written = within(PATIENCE, || try_write(&mut sink, &batch(50..200)).ok()).unwrap();
    let stored = written.iter().filter(|outcome| **outcome == ItemOutcome::Stored).count();
    assert_eq!((stored, written.len()), (100, 150));
    assert_eq!(keys.names("~listing:0*").len(), 200);
    assert_eq!(keys.sink().open(&job(None)).unwrap().generation, generation);
}

#[test]
fn a_server_that_comes_back_without_its_data_is_said_and_filled_by_the_next_run() {
    let mut server = Service::builder(Kind::Redis).option("--appendonly").option("no").start().unwrap();
    let keys = Keys::on(server.url(), "");
    let mut sink = keys.open();
    write(&mut sink, &batch(0..10));
    let generation = keys.sink().open(&job(None)).unwrap().generation;
    server.kill9().unwrap();
    server.restart().unwrap();
    let error = try_write(&mut sink, &batch(10..20)).unwrap_err();
    assert!(error.class == ErrorClass::Permanent && error.todo.contains("again"), "{error}");
    let mut sink = keys.sink();
    assert_ne!(sink.open(&job(None)).unwrap().generation, generation);
    assert!(write(&mut sink, &batch(0..20)).0.iter().all(|outcome| *outcome == ItemOutcome::Stored));
}

#[test]
fn full_memory_is_waited_for_and_named() {
    let server = Service::builder(Kind::Redis).option("--maxmemory").option("3mb").start().unwrap();
    let keys = Keys::on(server.url(), "");
    let mut sink = keys.open();
    let large: Vec<_> = (0..400).map(|id| with_value(id, 1, 0, Value::Str("x".repeat(10_000).into()))).collect();
    let error = try_write(&mut sink, &large).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("maxmemory"), "{error}");
    keys.ask::<String>("CONFIG SET maxmemory 100mb");
    let (outcomes, _) = write(&mut sink, &large);
    assert!(outcomes.iter().all(|o| matches!(o, ItemOutcome::Stored | ItemOutcome::Unchanged)), "nothing was given up");
}

#[test]
fn wrong_settings_are_named() {
    let server = Service::builder(Kind::Redis).start().unwrap();
    let keys = Keys::on(server.url(), "");
    keys.ask::<String>("CONFIG SET requirepass hunter2");
    let refused = |url: &str| RedisSink::from_url(url).unwrap().open(&job(None)).unwrap_err();
    for account in ["", ":wrongpassword@"] {
        let error = refused(&format!("redis://{account}127.0.0.1:{}/0", server.port()));
        assert!(error.class == ErrorClass::Configuration && error.todo.contains("WEIR_REDIS_PASSWORD"), "{error}");
        assert!(!error.to_string().contains("wrongpassword"), "{error}");
    }
    let url = format!("redis://:hunter2@127.0.0.1:{}/0", server.port());
    RedisSink::from_url(&url).unwrap().open(&job(None)).unwrap();
    let number = refused(&format!("redis://:hunter2@127.0.0.1:{}/99", server.port()));
    assert!(number.class == ErrorClass::Configuration && number.what.contains("database 99"), "{number}");
    assert!(number.what.contains("DB index") && number.todo.contains("databases"), "{number}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = refused(&format!("redis://127.0.0.1:{free}/0"));
    assert!(port.class == ErrorClass::Transient && port.todo.contains("port"), "{port}");
}

#[test]
fn an_account_that_may_only_read_is_refused_before_the_crawl() {
    let server = Service::builder(Kind::Redis).start().unwrap();
    let keys = Keys::on(server.url(), "");
    keys.ask::<String>("ACL SETUSER reader on >x allkeys +@read +@connection");
    let url = format!("redis://reader:x@127.0.0.1:{}/0", server.port());
    let error = RedisSink::from_url(&url).unwrap().open(&job(None)).unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.todo.contains("ACL SETUSER"), "{error}");
}

/// Whatever weir does with a server, by an account, in database 1.
fn everything(port: u16) -> Result<(), SinkError> {
    let url = format!("redis://weir:x@127.0.0.1:{port}/1?prefix=homes:&ttl=1h");
    let mut sink = RedisSink::from_url(&url)?;
    sink.open(&job(None))?;
    let at = |id: u32, version: u64, lat: f64| with_value(id, version, 5, Value::Geo { lat, lon: 0.0 });
    for (version, lat) in [(1, 51.5), (2, 89.0), (3, 51.5)] {
        let outcomes = try_write(&mut sink, &[at(2, version, lat), item(3, version, 1.0)])?;
        let stored = outcomes.iter().all(|outcome| *outcome == ItemOutcome::Stored);
        assert!(stored, "a missing right is no item's fault: {outcomes:?}");
    }
    wait(sink.delist(0, &[item(3, 1, 1.0).id], 9))?;
    wait(sink.read_back(&job(None), &mut |_| ()))?;
    let near = Near::new(Location::new(51.5, 0.0).unwrap(), 3);
    assert_eq!(wait(RedisReader::from_url(&url)?.nearest(&near))?.len(), 1);
    let cache = RedisCache::from_url(&url)?;
    wait(cache.set_many(&[("angel", vec![1], Duration::from_secs(9))]))?;
    assert_eq!(wait(cache.get_many(&["angel"]))?, [Some(vec![1])]);
    Ok(())
}

#[test]
fn an_account_needs_exactly_the_rights_that_the_error_lists() {
    let server = Service::builder(Kind::Redis).start().unwrap();
    let admin = |command: &str| {
        let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
        let mut words = command.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.exec(&mut connection).unwrap();
    };
    admin("ACL SETUSER weir on >x");
    let error = everything(server.port()).unwrap_err();
    assert_eq!(error.class, ErrorClass::Configuration, "{error}");
    let (_, command) = error.todo.split_once("ACL SETUSER USER ~PREFIX* ").unwrap();
    let rights: Vec<&str> = command.split(' ').take_while(|word| word.starts_with('+')).collect();
    admin(&format!("ACL SETUSER weir ~homes:* {}", rights.join(" ")));
    everything(server.port()).unwrap();
    for right in &rights {
        admin(&format!("ACL SETUSER weir -{}", &right[1..]));
        admin("FLUSHALL");
        let url = format!("redis://weir:x@127.0.0.1:{}/1?prefix=homes:", server.port());
        let reads = ["+scan", "+hget", "+hgetall", "+smembers", "+geosearch"].contains(right);
        assert_eq!(RedisSink::from_url(&url).unwrap().open(&job(None)).is_ok(), reads, "{right} before the crawl");
        let error = everything(server.port()).expect_err(right);
        assert!(error.class == ErrorClass::Configuration && error.todo.contains("ACL SETUSER"), "{right}: {error}");
        admin(&format!("ACL SETUSER weir {right}"));
    }
    everything(server.port()).unwrap();
}

#[test]
fn an_item_of_20_mb_is_stored_beside_the_others() {
    let keys = Keys::fresh("");
    let mut sink = keys.open();
    let large = with_value(2, 1, 0, Value::Str("é".repeat(10 << 20).into()));
    assert_eq!(write(&mut sink, &[large, item(3, 1, 3.0)]).0, [ItemOutcome::Stored, ItemOutcome::Stored]);
    assert_eq!(keys.ask::<i64>(&format!("HSTRLEN {SECOND} url")), 20 << 20);
}

#[test]
fn a_certificate_is_checked_and_its_authority_can_be_named() {
    let certificate = weir_services::Certificate::new().unwrap();
    let file = certificate.file().display().to_string();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = [
        "--tls-port".to_owned(),
        port.to_string(),
        "--tls-cert-file".to_owned(),
        file.clone(),
        "--tls-key-file".to_owned(),
        certificate.key().display().to_string(),
        "--tls-auth-clients".to_owned(),
        "no".to_owned(),
    ];
    let server = options.into_iter().fold(Service::builder(Kind::Redis), weir_services::Builder::option);
    let server = server.start().unwrap();
    let open = |at: u16, options: &str| {
        let mut sink = RedisSink::from_url(&format!("rediss://127.0.0.1:{at}/0{options}")).unwrap();
        sink.open(&job(None)).map(|_| sink)
    };
    let error = open(port, "").unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.todo.contains("tls_ca="), "{error}");
    let mut sink = open(port, &format!("?tls_ca={file}")).unwrap();
    assert_eq!(write(&mut sink, &batch(0..2)).0, [ItemOutcome::Stored, ItemOutcome::Stored]);
    let error = open(port, "?tls_ca=/nowhere.pem").unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.to_string().contains("/nowhere.pem"), "{error}");
    let error = open(server.port(), &format!("?tls_ca={file}&timeout=2s&connect_timeout=2s")).unwrap_err();
    assert!(!error.to_string().is_empty(), "the port without TLS: {error}");
}
