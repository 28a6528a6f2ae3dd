//! What the sink makes of every answer that a server, a proxy or a broken network may give. The server is a small one of our own.
#![allow(clippy::unwrap_used)] // helpers of tests

mod fake;

use base64::Engine;
use fake::{Fake, Script};
use serde_json::json;
use std::net::TcpListener;
use std::sync::Arc;
use weir_connector::contract::{item, job, wait, write};
use weir_connector::{ErrorClass, ItemOutcome, Sink, SinkError};
use weir_elasticsearch::ElasticsearchSink;
use weir_model::{Item, Value};

fn opened(fake: &Fake, options: &str) -> ElasticsearchSink {
    let mut sink = ElasticsearchSink::from_url(&fake.url(options)).unwrap();
    sink.open(&job(None)).unwrap();
    fake.state().asked.clear();
    sink
}

fn try_write(sink: &mut ElasticsearchSink, items: &[Arc<Item>]) -> Result<Vec<ItemOutcome>, SinkError> {
    let mut outcomes = Vec::new();
    wait(sink.write(items, &mut outcomes)).map(|_| outcomes)
}

fn batch(ids: std::ops::Range<u32>) -> Vec<Arc<Item>> {
    ids.map(|id| item(id, 1, f64::from(id))).collect()
}

/// An item with so many bytes of text.
fn large(id: u32, bytes: usize) -> Arc<Item> {
    let mut values = item(id, 1, 1.0).values.clone();
    values[0] = Value::Str("x".repeat(bytes).into());
    Arc::new(Item { values, ..(*item(id, 1, 1.0)).clone() })
}

fn stored(outcomes: &[ItemOutcome]) -> usize {
    outcomes.iter().filter(|outcome| **outcome == ItemOutcome::Stored).count()
}

#[test]
fn every_item_has_the_outcome_that_the_server_gave_it() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "");
    fake.script([Script::Items(vec![
        (1, 400, "document_parsing_exception"),
        (2, 429, "es_rejected_execution_exception"),
        (3, 503, "unavailable_shards_exception"),
        (4, 403, "cluster_block_exception"),
    ])]);
    let (outcomes, _) = write(&mut sink, &batch(0..6));
    assert_eq!((&outcomes[0], &outcomes[5]), (&ItemOutcome::Stored, &ItemOutcome::Stored));
    let refused = |outcome: &ItemOutcome| matches!(outcome, ItemOutcome::Refused { reason } if reason.contains("document_parsing_exception: scripted"));
    assert!(refused(&outcomes[1]), "{outcomes:?}");
    for outcome in &outcomes[2..5] {
        assert!(matches!(outcome, ItemOutcome::Retry { reason } if reason.contains("status")), "{outcome:?}");
    }
}

#[test]
fn a_busy_server_gets_smaller_requests_and_nothing_is_refused() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "?bulk_bytes=64KB");
    let items = batch(0..600);
    let whole = || Script::Answer(429, json!({"error": {"type": "es_rejected_execution_exception"}}).to_string());
    fake.script([whole(), whole()]);
    for _ in 0..2 {
        let error = try_write(&mut sink, &items).unwrap_err();
        assert!(error.class == ErrorClass::Transient && error.what.contains("busy"), "{error}");
    }
    let bytes = fake.bulks();
    assert!(
        bytes.len() == 2 && bytes[0] > 60_000 && bytes[1] < 36_000,
        "one a try, the second half as large: {bytes:?}"
    );
    assert_eq!(stored(&try_write(&mut sink, &items).unwrap()), 600);
    let bytes = fake.bulks();
    assert!(bytes[0] < 20_000 && bytes.iter().any(|bytes| *bytes > 60_000), "small, then larger again: {bytes:?}");
}

#[test]
fn a_server_that_is_busy_at_the_start_keeps_no_crawl_from_beginning() {
    let fake = Fake::start();
    let mut sink = ElasticsearchSink::from_url(&fake.url("")).unwrap();
    for whole in [true, false] {
        fake.state().may_write = Some((whole, 429, "es_rejected_execution_exception"));
        sink.open(&job(None)).unwrap();
        fake.state().may_write = Some((whole, 403, "security_exception"));
        assert!(sink.open(&job(None)).unwrap_err().todo.contains("rights"));
    }
    fake.state().may_write = None;
    sink.open(&job(None)).unwrap();
    assert_eq!(stored(&try_write(&mut sink, &batch(0..3)).unwrap()), 3);
}

#[test]
fn when_every_item_is_rejected_in_a_good_answer_the_batch_comes_again() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "");
    let busy = (0..5).map(|at| (at, 429, "es_rejected_execution_exception")).collect();
    fake.script([Script::Items(busy)]);
    let error = try_write(&mut sink, &batch(0..5)).unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient, "{error}");
    assert_eq!(stored(&try_write(&mut sink, &batch(0..5)).unwrap()), 5);
}

#[test]
fn a_request_that_is_too_large_is_halved_and_an_item_that_is_too_large_is_refused_alone() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "?bulk_bytes=1MB");
    fake.script([Script::Limit(40_000)]);
    let mut items = batch(0..400);
    items[100] = large(100, 50_000);
    let outcomes = try_write(&mut sink, &items).unwrap();
    assert_eq!(stored(&outcomes), 399);
    let ItemOutcome::Refused { reason } = &outcomes[100] else { panic!("{:?}", outcomes[100]) };
    assert!(reason.contains("http.max_content_length"), "{reason}");
    fake.bulks();
    assert_eq!(stored(&try_write(&mut sink, &batch(1000..1400)).unwrap()), 400);
    let bytes = fake.bulks();
    assert!(bytes.iter().all(|bytes| *bytes <= 40_000), "it has learned: {bytes:?}");
}

#[test]
fn an_item_larger_than_the_limit_that_the_server_names_is_refused_alone_and_at_once() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "?bulk_bytes=64KB");
    fake.script([Script::Room { bytes: 300_000, named: true }]);
    let outcomes = try_write(&mut sink, &[item(1, 1, 1.0), large(2, 400_000), item(3, 1, 3.0)]).unwrap();
    assert_eq!((&outcomes[0], &outcomes[2]), (&ItemOutcome::Stored, &ItemOutcome::Stored));
    let ItemOutcome::Refused { reason } = &outcomes[1] else { panic!("{outcomes:?}") };
    let words = ["indexing_pressure.memory.limit", "this item alone", "max_coordinating_and_primary_bytes=300000"];
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    let bytes = fake.bulks();
    assert!(bytes.len() == 3 && bytes[0] < 1_000 && bytes[1] > 400_000 && bytes[2] < 1_000, "each alone: {bytes:?}");
}

#[test]
fn an_item_for_which_there_is_never_room_holds_up_nobody_and_is_refused_in_the_end() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "");
    // Full, and says nothing of sizes: no item is to blame.
    let items = [item(1, 1, 1.0), large(2, 5 << 20), item(3, 1, 3.0)];
    fake.script([Script::Room { bytes: 0, named: false }]);
    fake.state().may_write = Some((true, 429, "es_rejected_execution_exception"));
    for _ in 0..30 {
        assert_eq!(try_write(&mut sink, &items).unwrap_err().class, ErrorClass::Transient);
    }
    fake.state().may_write = None;
    fake.script([Script::Room { bytes: 1 << 20, named: false }]);
    let outcomes = try_write(&mut sink, &items).unwrap();
    assert!(matches!(&outcomes[1], ItemOutcome::Retry { .. }), "it may fit later: {outcomes:?}");
    assert_eq!((&outcomes[0], &outcomes[2]), (&ItemOutcome::Stored, &ItemOutcome::Stored));
    // As the driver does: what was put off comes again, alone.
    let mut tries = 1;
    let outcomes = loop {
        tries += 1;
        match try_write(&mut sink, &items[1..2]) {
            Ok(outcomes) => break outcomes,
            Err(error) => assert_eq!(error.class, ErrorClass::Transient, "{error}"),
        }
    };
    let ItemOutcome::Refused { reason } = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(tries == 12 && reason.contains("12 times, while it took others"), "{tries}: {reason}");
}

#[test]
fn an_index_of_another_item_type_is_refused_by_name_whatever_may_be_added() {
    let fake = Fake::start();
    opened(&fake, "");
    let mut schema = weir_connector::contract::schema();
    "thing".clone_into(&mut schema.name);
    schema.fields[0].name = "other".to_owned();
    let other = weir_connector::JobInfo { schemas: vec![Arc::new(schema)], ..job(None) };
    for options in ["", "?new_fields=add", "?migrate=true"] {
        let error = ElasticsearchSink::from_url(&fake.url(options)).unwrap().open(&other).unwrap_err();
        assert_eq!(error.class, ErrorClass::Configuration);
        assert!(error.what.contains("holds items of type \"listing\", not \"thing\""), "{options}: {error}");
        assert!(error.todo.contains("another index") && !error.todo.contains("new_fields"), "{error}");
    }
}

#[test]
fn requests_have_the_bytes_that_the_url_allows() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "?bulk_bytes=32KB");
    let mut items = batch(0..500);
    items[77] = large(77, 100_000);
    assert_eq!(stored(&try_write(&mut sink, &items).unwrap()), 500);
    let bytes = fake.bulks();
    assert!(bytes.len() > 5 && bytes.iter().filter(|bytes| **bytes > 34_000).count() == 1, "{bytes:?}");
}

#[test]
fn an_item_for_which_a_whole_request_is_refused_is_refused_alone() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "");
    fake.script([Script::Dislike("http://site/00037")]);
    let outcomes = try_write(&mut sink, &batch(0..100)).unwrap();
    assert_eq!(stored(&outcomes), 99);
    let ItemOutcome::Refused { reason } = &outcomes[37] else { panic!("{:?}", outcomes[37]) };
    assert!(reason.contains("illegal_argument_exception: scripted"), "{reason}");
}

#[test]
fn a_server_that_understands_nothing_refuses_no_item() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "");
    fake.script([Script::Dislike("index")]);
    let error = try_write(&mut sink, &batch(0..10)).unwrap_err();
    assert!(error.class == ErrorClass::Permanent && error.what.contains("scripted"), "{error}");
}

#[test]
fn a_failing_server_and_an_answer_without_sense_are_transient() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "");
    for (status, body) in [
        (500, "{}".to_owned()),
        (502, "<html>bad gateway</html>".to_owned()),
        (503, json!({"error": {"type": "cluster_block_exception", "reason": "state not recovered"}}).to_string()),
        (200, "<html>log in</html>".to_owned()),
        (200, "{\"items\":[{\"index\":".to_owned()),
        (200, json!({"items": [{"index": {"status": 201}}]}).to_string()),
        (200, json!({"items": [{"what": {"status": 201}}, {"index": {"status": 201}}]}).to_string()),
        (200, String::new()),
    ] {
        fake.script([Script::Answer(status, body.clone())]);
        let error = try_write(&mut sink, &batch(0..2)).unwrap_err();
        assert_eq!(error.class, ErrorClass::Transient, "{status} {body}: {error}");
    }
    assert_eq!(stored(&try_write(&mut sink, &batch(0..2)).unwrap()), 2, "and nothing of it stays");
}

#[test]
fn an_answer_cut_in_the_middle_loses_and_doubles_nothing() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "");
    for (round, bytes) in [0, 10, 60, 90, 120].into_iter().enumerate() {
        let first = round as u32 * 10;
        // Once: the connection was idle, so the request is made again on a new one.
        fake.script([Script::CutAfter(bytes)]);
        let outcomes = try_write(&mut sink, &batch(first..first + 5)).unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == ItemOutcome::Unchanged), "{bytes}: {outcomes:?}");
        // Twice: the driver is to pause.
        fake.script([Script::CutAfter(bytes), Script::CutAfter(bytes)]);
        let error = try_write(&mut sink, &batch(first + 5..first + 10)).unwrap_err();
        assert!(error.class == ErrorClass::Transient && error.todo.contains("port"), "{error}");
        let outcomes = try_write(&mut sink, &batch(first + 5..first + 10)).unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == ItemOutcome::Unchanged), "{bytes}: {outcomes:?}");
    }
    assert_eq!(fake.state().docs.len(), 50);
}

#[test]
fn a_time_out_after_the_commit_finds_the_items_there() {
    let fake = Fake::start();
    let mut sink = opened(&fake, "?timeout=300ms");
    fake.script([Script::Silence]);
    let error = try_write(&mut sink, &batch(0..5)).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("timeout="), "{error}");
    assert_eq!(try_write(&mut sink, &batch(0..5)).unwrap(), vec![ItemOutcome::Unchanged; 5]);
}

#[test]
fn what_answers_but_is_no_elasticsearch_is_named_before_the_crawl() {
    let fake = Fake::start();
    for (status, body, class, word) in [
        (200, "<html>hello</html>", ErrorClass::Configuration, "host, port and path"),
        (404, "not found", ErrorClass::Configuration, "elasticsearch://HOST"),
        (301, "", ErrorClass::Configuration, "elasticsearch+https"),
        (
            401,
            "{\"error\":{\"type\":\"security_exception\",\"reason\":\"missing authentication\"}}",
            ErrorClass::Configuration,
            "WEIR_ELASTICSEARCH_PASSWORD",
        ),
        (403, "{\"error\":{\"type\":\"security_exception\"}}", ErrorClass::Configuration, "rights"),
        (503, "", ErrorClass::Transient, "again"),
    ] {
        fake.state().always = Some((status, body));
        let url = format!("elasticsearch://me:hunter2@127.0.0.1:{}/t", fake.port);
        let error = ElasticsearchSink::from_url(&url).unwrap().open(&job(None)).unwrap_err();
        assert!(error.class == class && error.todo.contains(word), "{status}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let asked = fake.state().asked.clone();
    assert_eq!(asked.len(), 6, "nothing is tried again at open, no redirect is followed");
    assert!(asked.iter().all(|asked| asked.authorization.as_deref() == Some("Basic bWU6aHVudGVyMg==")));
}

#[test]
fn nobody_listening_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("elasticsearch://127.0.0.1:{}/t", listener.local_addr().unwrap().port());
    drop(listener);
    let error = ElasticsearchSink::from_url(&url).unwrap().open(&job(None)).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("host and port"), "{error}");
}

#[test]
fn a_server_that_accepts_and_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("elasticsearch://127.0.0.1:{}/t?timeout=300ms", listener.local_addr().unwrap().port());
    let error = ElasticsearchSink::from_url(&url).unwrap().open(&job(None)).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("timeout="), "{error}");
}

#[test]
fn a_server_without_points_in_time_is_migrated_by_a_scroll() {
    let fake = Fake::start();
    {
        let mut state = fake.state();
        state.opensearch = true;
        state.make("t", &json!({"price": {"type": "keyword"}}));
        for id in ["a", "b"] {
            state.docs.insert(id.to_owned(), (3, json!({"price": "0.30000000000000004"})));
        }
    }
    let mut sink = ElasticsearchSink::from_url(&fake.url("?migrate=true")).unwrap();
    sink.open(&job(None)).unwrap();
    let asked = fake.state().asked.clone();
    let paths: Vec<&str> = asked.iter().map(|asked| asked.path.split('?').next().unwrap()).collect();
    let at = |path: &str| paths.iter().position(|asked| *asked == path).unwrap_or_else(|| panic!("{path}: {paths:?}"));
    assert!(at("/t/_settings") < at("/t/_search") && at("/t/_search") < at("/_aliases"), "{paths:?}");
    assert!(paths.contains(&"/_search/scroll") && !paths.contains(&"/_search"), "{paths:?}");
    let copies: Vec<&str> =
        asked.iter().filter(|asked| asked.body.contains("external_gte")).map(|asked| &*asked.body).collect();
    assert!(copies.len() == 1 && copies[0].contains("t-000001") && copies[0].contains("\"version\":3"), "{copies:?}");
}

#[test]
fn a_certificate_is_checked_and_its_authority_can_be_named() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let fake = Fake::with_tls(Some(Arc::new(config)));
    let file = tempfile::NamedTempFile::new().unwrap();
    let der = base64::engine::general_purpose::STANDARD.encode(made.cert.der());
    std::fs::write(file.path(), format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n")).unwrap();
    let open = |options: &str| {
        let url = format!("elasticsearch+https://127.0.0.1:{}/t{options}", fake.port);
        let mut sink = ElasticsearchSink::from_url(&url)?;
        sink.open(&job(None)).map(|_| sink)
    };
    let error = open("").unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.todo.contains("tls_ca="), "{error}");
    let mut sink = open(&format!("?tls_ca={}", file.path().display())).unwrap();
    assert_eq!(stored(&try_write(&mut sink, &batch(0..3)).unwrap()), 3);
    let error = open("?tls_ca=/nowhere.pem").unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.to_string().contains("/nowhere.pem"), "{error}");
}
