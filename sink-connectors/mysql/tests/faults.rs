//! What the sink promises when the server, the network or another client fails it.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use common::{Database, connect, runtime};
use mysql_async::prelude::Queryable;
use std::time::Duration;
use weir_connector::contract::{item, job, wait, write};
use weir_connector::{ErrorClass, ItemOutcome, Sink, SinkError};
use weir_mysql::MysqlSink;
use weir_services::{Fault, FaultProxy, Kind, Service, within};

/// Until a server answers again.
const PATIENCE: Duration = Duration::from_secs(60);

fn opened(url: &str) -> MysqlSink {
    let mut sink = MysqlSink::from_url(url).unwrap();
    sink.open(&job(None)).unwrap();
    sink
}

fn batch(ids: std::ops::Range<u32>) -> Vec<std::sync::Arc<weir_model::Item>> {
    ids.map(|id| item(id, 1, f64::from(id))).collect()
}

fn try_write(sink: &mut MysqlSink, items: &[std::sync::Arc<weir_model::Item>]) -> Result<Vec<ItemOutcome>, SinkError> {
    let mut outcomes = Vec::new();
    wait(sink.write(items, &mut outcomes)).map(|_| outcomes)
}

#[test]
fn a_connection_cut_in_mid_batch_is_replaced_and_nothing_is_lost_or_doubled() {
    let database = Database::fresh("");
    let mut proxy = FaultProxy::new(("127.0.0.1", database.parts().port)).unwrap();
    let mut sink = opened(&database.url_at(proxy.port(), "?history=price"));
    write(&mut sink, &batch(0..10));
    // Somewhere within the answers of the next batch.
    for bytes in [0, 1, 20, 60, 100, 150] {
        let first = 10 + bytes as u32 * 20;
        proxy.set(Fault::CutAfter(bytes)).unwrap();
        let error = try_write(&mut sink, &batch(first..first + 20)).unwrap_err();
        assert_eq!(error.class, ErrorClass::Transient, "{error}");
        proxy.set(Fault::None).unwrap();
        let (outcomes, _) = write(&mut sink, &batch(first..first + 20));
        assert!(outcomes.iter().all(|o| matches!(o, ItemOutcome::Stored | ItemOutcome::Unchanged)), "{outcomes:?}");
    }
    assert_eq!(database.query("SELECT COUNT(*), COUNT(DISTINCT url) FROM listing"), ["130|130"]);
    assert_eq!(database.query("SELECT COUNT(*) FROM listing_price_history"), ["130"]);
}

#[test]
fn an_idle_connection_that_died_costs_no_error() {
    let database = Database::fresh("");
    let mut proxy = FaultProxy::new(("127.0.0.1", database.parts().port)).unwrap();
    let mut sink = opened(&database.url_at(proxy.port(), ""));
    write(&mut sink, &batch(0..1));
    proxy.set(Fault::Refuse).unwrap();
    proxy.set(Fault::None).unwrap();
    assert_eq!(write(&mut sink, &batch(0..2)).0, [ItemOutcome::Unchanged, ItemOutcome::Stored]);
}

#[test]
fn a_time_out_after_the_commit_finds_the_items_there() {
    let database = Database::fresh("");
    let mut proxy = FaultProxy::new(("127.0.0.1", database.parts().port)).unwrap();
    let mut sink = opened(&database.url_at(proxy.port(), "?timeout=2s&history=price"));
    write(&mut sink, &batch(0..1)); // what is prepared once is
    proxy.set(Fault::BlackHoleFrom(b"COMMIT".to_vec())).unwrap();
    let items = batch(10..11);
    let error = try_write(&mut sink, &items).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("timeout="), "{error}");
    assert!(proxy.wait(PATIENCE, |seen| seen.swallowed_bytes > 0).is_some(), "the server has answered");
    assert_eq!(database.query("SELECT COUNT(*) FROM listing WHERE rooms = 10"), ["1"], "the commit went through");
    proxy.set(Fault::None).unwrap();
    assert_eq!(write(&mut sink, &items).0, [ItemOutcome::Unchanged]);
    assert_eq!(database.query("SELECT COUNT(*) FROM listing"), ["2"]);
    assert_eq!(database.query("SELECT COUNT(*) FROM listing_price_history"), ["2"], "history is not written twice");
}

#[test]
fn a_server_that_was_killed_is_used_again_when_it_is_back() {
    let mut server = Service::builder(Kind::MariaDb).start().unwrap();
    let database = Database::on(server.url(), "?connect_timeout=1s&timeout=2s");
    let mut sink = database.open();
    write(&mut sink, &batch(0..100));
    let generation = database.sink().open(&job(None)).unwrap().generation;
    server.kill9().unwrap();
    let error = try_write(&mut sink, &batch(50..200)).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("port"), "{error}");
    server.restart().unwrap();
    let written = within(PATIENCE, || try_write(&mut sink, &batch(50..200)).ok()).unwrap();
    let stored = written.iter().filter(|outcome| **outcome == ItemOutcome::Stored).count();
    assert_eq!((stored, written.len()), (100, 150), "what was stored before the kill was durable");
    assert_eq!(database.query("SELECT COUNT(*) FROM listing"), ["200"]);
    assert_eq!(database.sink().open(&job(None)).unwrap().generation, generation);
}

#[test]
fn a_deadlock_that_another_client_provokes_is_tried_again_by_itself() {
    for options in ["", "?write=update"] {
        let database = Database::fresh(options);
        let mut sink = database.open();
        write(&mut sink, &batch(0..100));
        let newer: Vec<_> = (0..100).map(|id| item(id, 2, 2.0)).collect();
        let url = database.url("").replace("/listing", "");
        database.execute("CREATE TABLE heavy (a INT PRIMARY KEY) ENGINE=InnoDB");
        let runtime = runtime();
        let mut other = runtime.block_on(connect(&url));
        let id = |number: u64| format!("_id = UNHEX(CONCAT(LPAD(HEX({number}), 16, '0'), '0000000000000005'))");
        runtime.block_on(async {
            // Heavier than the sink's transaction, so that the sink's is the victim.
            other.query_drop("START TRANSACTION").await.unwrap();
            other.query_drop(format!("UPDATE listing SET rooms = 1000 WHERE {}", id(90))).await.unwrap();
            let rows: Vec<String> = (0..1000).map(|row| format!("({row})")).collect();
            other.query_drop(format!("INSERT INTO heavy VALUES {}", rows.join(","))).await.unwrap();
        });
        let (result, victim) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| try_write(&mut sink, &newer));
            // The sink has the first rows and waits for the ninetieth.
            let waits = || {
                // The server takes this table anew only when nobody has looked at it for a tenth of a second.
                std::thread::park_timeout(Duration::from_millis(150));
                let sql = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'";
                (database.query(sql) != ["0"]).then_some(())
            };
            within(PATIENCE, waits).unwrap();
            let other = runtime.block_on(async {
                let first = other.query_drop(format!("UPDATE listing SET rooms = 1000 WHERE {}", id(1))).await;
                if first.is_ok() {
                    other.query_drop("COMMIT").await
                } else {
                    other.query_drop("ROLLBACK").await.and(first)
                }
            });
            (writer.join().unwrap(), other)
        });
        let outcomes = result.unwrap();
        assert!(outcomes.iter().all(|outcome| *outcome == ItemOutcome::Stored), "{outcomes:?}");
        assert_eq!(database.query("SELECT COUNT(*), MIN(price), MIN(_version) FROM listing"), ["100|2|2"]);
        victim.expect("the other has changed more, so the sink was the victim");
        assert_eq!(database.query("SELECT COUNT(*) FROM heavy"), ["1000"]);
    }
}

#[test]
fn a_row_that_another_client_keeps_locked_is_given_back_as_transient() {
    let database = Database::fresh("?timeout=2s");
    let mut sink = database.open();
    write(&mut sink, &batch(0..10));
    let runtime = runtime();
    let mut other = runtime.block_on(connect(&database.url("").replace("/listing", "")));
    runtime.block_on(async {
        other.query_drop("START TRANSACTION").await.unwrap();
        other.query_drop("UPDATE listing SET rooms = 7").await.unwrap();
    });
    let newer: Vec<_> = (0..10).map(|id| item(id, 2, 2.0)).collect();
    let error = try_write(&mut sink, &newer).unwrap_err();
    assert!(error.class == ErrorClass::Transient && error.todo.contains("transaction"), "{error}");
    runtime.block_on(other.query_drop("ROLLBACK")).unwrap();
    assert!(write(&mut sink, &newer).0.iter().all(|outcome| *outcome == ItemOutcome::Stored));
}

#[test]
fn two_writers_of_one_table_end_with_the_newest_version_of_each_key() {
    for options in ["", "?write=update&history=price"] {
        let database = Database::fresh(options);
        database.open();
        std::thread::scope(|scope| {
            for writer in 0..2u64 {
                let database = &database;
                scope.spawn(move || {
                    let mut sink = database.open();
                    for round in 0..10u64 {
                        // Each writes versions that are older and newer than the other's, by turns.
                        let version = 1 + round * 2 + (writer + round) % 2;
                        let items: Vec<_> = (0..60).map(|id| item(id, version, version as f64)).collect();
                        within(PATIENCE, || try_write(&mut sink, &items).ok()).unwrap();
                    }
                });
            }
        });
        assert_eq!(database.query("SELECT COUNT(*), MIN(_version), MIN(price) FROM listing"), ["60|20|20"]);
    }
}

#[test]
fn a_disk_that_is_full_is_told_and_waited_for_and_with_room_every_item_is_there() {
    // A tablespace of fixed size, beside the 12 MB that every server is made with.
    let options = |files| ["--innodb-file-per-table=0".to_owned(), format!("--innodb-data-file-path={files}")];
    let [one, two] = options("ibdata1:12M;ibdata2:16M");
    let mut server = Service::builder(Kind::MariaDb).option(one).option(two).start().unwrap();
    let database = Database::on(server.url(), "");
    let mut sink = database.open();
    write(&mut sink, &batch(0..10));
    database.execute("CREATE TABLE filler (a LONGBLOB) ENGINE=InnoDB");
    let fills = |bytes: u32| database.try_execute(&format!("INSERT INTO filler VALUES (REPEAT('x', {bytes}))"));
    for bytes in [1 << 20, 100_000, 10_000] {
        while fills(bytes) {}
    }
    let many = batch(10..1_000);
    let error = try_write(&mut sink, &many).unwrap_err();
    assert_eq!(error.class, ErrorClass::Transient, "{error}");
    assert!(error.what.contains("1114") && error.todo.contains("Make room on the server's disk"), "{error}");
    assert_eq!(database.query("SELECT COUNT(*) FROM listing"), ["10"], "a batch is there whole, or not at all");
    let [one, two] = options("ibdata1:12M;ibdata2:16M;ibdata3:16M");
    server.set_options(&[&one, &two]);
    server.restart().unwrap();
    let outcomes = within(PATIENCE, || try_write(&mut sink, &many).ok()).unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == ItemOutcome::Stored));
    assert_eq!(database.query("SELECT COUNT(*) FROM listing"), ["1000"]);
}

#[test]
fn a_certificate_is_checked_and_its_authority_can_be_named() {
    let certificate = weir_services::Certificate::new().unwrap();
    let file = certificate.file().display().to_string();
    let builder = Service::builder(Kind::MariaDb).option(format!("--ssl-cert={file}"));
    let server = builder.option(format!("--ssl-key={}", certificate.key().display())).start().unwrap();
    let database = Database::on(server.url(), "");
    database.execute("ALTER USER weir@'%' REQUIRE SSL");
    let open = |options: &str| {
        let mut sink = MysqlSink::from_url(&database.url(options)).unwrap();
        sink.open(&job(None)).map(|_| sink)
    };
    let error = open("").unwrap_err();
    assert_eq!(error.class, ErrorClass::Configuration, "the account asks for TLS: {error}");
    let error = open("?tls=on").unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.todo.contains("tls_ca="), "{error}");
    let mut sink = open(&format!("?tls_ca={file}")).unwrap();
    assert_eq!(write(&mut sink, &batch(0..3)).0, [ItemOutcome::Stored, ItemOutcome::Stored, ItemOutcome::Stored]);
    let error = open("?tls_ca=/nowhere.pem").unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.to_string().contains("/nowhere.pem"), "{error}");
    // A server that has no certificate at all.
    let plain = Database::fresh("");
    let error = MysqlSink::from_url(&plain.url("?tls=on")).unwrap().open(&job(None)).unwrap_err();
    assert!(error.class == ErrorClass::Configuration, "{error}");
}
