//! What the sink promises when a real server, or the network before it, fails.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use common::{Alias, batch, try_write, with_value};
use std::sync::Arc;
use std::time::Duration;
use weir_connector::contract::{item, job, write};
use weir_connector::{ErrorClass, ItemOutcome, Sink};
use weir_elasticsearch::ElasticsearchSink;
use weir_model::{Item, Value};
use weir_services::{Fault, FaultProxy, Kind, Service, within};

/// Until a server answers again.
const PATIENCE: Duration = Duration::from_secs(60);

fn opened(url: &str) -> ElasticsearchSink {
    let mut sink = ElasticsearchSink::from_url(url).unwrap();
    sink.open(&job(None)).unwrap();
    sink
}

#[test]
fn a_connection_cut_in_mid_answer_is_replaced_and_nothing_is_lost_or_doubled() {
    let alias = Alias::fresh("");
    let mut proxy = FaultProxy::new(("127.0.0.1", alias.port())).unwrap();
    let mut sink = opened(&alias.url_at(proxy.port(), ""));
    write(&mut sink, &batch(0..10));
    for (round, bytes) in [0, 1, 30, 100, 200, 400].into_iter().enumerate() {
        let first = 10 + round as u32 * 20;
        proxy.set(Fault::CutAfter(bytes)).unwrap();
        let error = try_write(&mut sink, &batch(first..first + 20)).unwrap_err();
        assert_eq!(error.class, ErrorClass::Transient, "{error}");
        proxy.set(Fault::None).unwrap();
        let (outcomes, _) = write(&mut sink, &batch(first..first + 20));
        assert!(outcomes.iter().all(|o| matches!(o, ItemOutcome::Stored | ItemOutcome::Unchanged)), "{outcomes:?}");
    }
    assert_eq!(alias.docs().len(), 130);
}

#[test]
fn an_idle_connection_that_died_costs_no_error() {
    let alias = Alias::fresh("");
    let mut proxy = FaultProxy::new(("127.0.0.1", alias.port())).unwrap();
    let mut sink = opened(&alias.url_at(proxy.port(), ""));
    write(&mut sink, &batch(0..1));
    proxy.set(Fault::Refuse).unwrap();
    proxy.set(Fault::None).unwrap();
    assert_eq!(write(&mut sink, &batch(0..2)).0, [ItemOutcome::Unchanged, ItemOutcome::Stored]);
}

#[test]
fn a_time_out_after_the_commit_finds_the_items_there() {
    let alias = Alias::fresh("");
    let mut proxy = FaultProxy::new(("127.0.0.1", alias.port())).unwrap();
    let mut sink = opened(&alias.url_at(proxy.port(), "?timeout=2s"));
    write(&mut sink, &batch(0..1));
    proxy.set(Fault::BlackHole).unwrap();
    let error = try_write(&mut sink, &batch(1..6)).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("timeout="), "{error}");
    proxy.wait(PATIENCE, |seen| seen.swallowed_bytes > 0).expect("the server has answered");
    proxy.set(Fault::None).unwrap();
    assert_eq!(write(&mut sink, &batch(1..6)).0, vec![ItemOutcome::Unchanged; 5]);
    assert_eq!(alias.docs().len(), 6);
}

#[test]
fn a_server_that_was_killed_is_used_again_when_it_is_back() {
    let mut server = Service::builder(Kind::Elasticsearch).start().unwrap();
    let alias = Alias::on(server.url(), "?connect_timeout=1s&timeout=5s");
    let mut sink = alias.open();
    write(&mut sink, &batch(0..100));
    let generation = alias.sink().open(&job(None)).unwrap().generation;
    server.kill9().unwrap();
    let error = try_write(&mut sink, &batch(50..200)).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("port"), "{error}");
    server.restart().unwrap();
    let written = within(PATIENCE, || try_write(&mut sink, &batch(50..200)).ok()).unwrap();
    let stored = written.iter().filter(|outcome| **outcome == ItemOutcome::Stored).count();
    assert_eq!((stored, written.len()), (100, 150), "what was stored before the kill was durable");
    assert_eq!(alias.docs().len(), 200);
    assert_eq!(alias.sink().open(&job(None)).unwrap().generation, generation);
}

#[test]
fn a_server_without_room_pushes_back_and_gets_everything_in_the_end() {
    let server = Service::builder(Kind::Elasticsearch)
        .variable("ES_HEAP", "128m")
        .variable("ES_SETTINGS", "thread_pool.write.queue_size: 1\nindexing_pressure.memory.limit: 300kb")
        .start()
        .unwrap();
    let alias = Alias::on(server.url(), "?bulk_bytes=1MB");
    alias.open();
    let text = "lorem ipsum ".repeat(20);
    let items = |writer: u32| -> Vec<Arc<Item>> {
        (0..2_000)
            .map(|id| {
                let mut values = item(writer * 10_000 + id, 1, f64::from(id)).values.clone();
                values[3] = Value::List(vec![Value::Str(text.clone().into())]);
                Arc::new(Item { values, ..(*item(writer * 10_000 + id, 1, f64::from(id))).clone() })
            })
            .collect()
    };
    let pushed_back: usize = std::thread::scope(|scope| {
        let writer = |number: u32| {
            let alias = &alias;
            scope.spawn(move || {
                let mut sink = alias.open();
                let mut left = items(number);
                let mut pushed_back = 0;
                within(PATIENCE, || {
                    match try_write(&mut sink, &left) {
                        Err(error) => {
                            assert_eq!(error.class, ErrorClass::Transient, "{error}");
                            pushed_back += 1;
                        }
                        Ok(outcomes) => {
                            let refused = |o: &ItemOutcome| matches!(o, ItemOutcome::Refused { .. });
                            assert!(!outcomes.iter().any(refused), "{outcomes:?}");
                            let again = left.iter().zip(&outcomes).filter(|(_, outcome)| !outcome.is_settled());
                            let again: Vec<Arc<Item>> = again.map(|(item, _)| Arc::clone(item)).collect();
                            pushed_back += usize::from(!again.is_empty());
                            left = again;
                        }
                    }
                    left.is_empty().then_some(())
                })
                .expect("all is written in the end");
                pushed_back
            })
        };
        let writers: Vec<_> = (0..3).map(writer).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert!(pushed_back > 0, "the server had room for everything at once: the test shows nothing");
    alias.refresh();
    assert_eq!(alias.ask("GET", &format!("{}/_count", alias.name), &serde_json::Value::Null)["count"], 6_000);

    // An item that is larger than the server's room for all: its neighbours are stored, it is refused by the server's own numbers.
    let huge = with_value(40_002, 0, Value::Str("x".repeat(400_000).into()));
    let mut sink = alias.open();
    let mut left = vec![item(40_001, 1, 1.0), huge, item(40_003, 1, 3.0)];
    let mut settled = Vec::new();
    within(PATIENCE, || {
        let outcomes = try_write(&mut sink, &left).ok()?;
        let again = left.iter().zip(&outcomes).filter(|(_, outcome)| !outcome.is_settled());
        let again = again.map(|(item, _)| Arc::clone(item)).collect();
        let ids = std::mem::replace(&mut left, again);
        settled
            .extend(ids.iter().map(|item| item.id.0 >> 64).zip(outcomes).filter(|(_, outcome)| outcome.is_settled()));
        left.is_empty().then_some(())
    })
    .expect("none is held up");
    settled.sort_by_key(|(id, _)| *id);
    let [(_, ItemOutcome::Stored), (40_002, ItemOutcome::Refused { reason }), (_, ItemOutcome::Stored)] = &settled[..]
    else {
        panic!("{settled:?}")
    };
    assert!(reason.contains("indexing_pressure.memory.limit") && reason.contains("_operation_bytes="), "{reason}");
}
