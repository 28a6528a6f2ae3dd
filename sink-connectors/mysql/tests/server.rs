//! The suite and the behaviour of the sink on a real server: the one that `WEIR_TEST_MYSQL` names, else a fresh MariaDB.
#![allow(clippy::unwrap_used)] // helpers of tests

mod common;

use common::{Database, hex, job_with, with_value};
use std::sync::Arc;
use weir_connector::contract::{self, item, job, schema, wait, write};
use weir_connector::{ErrorClass, ItemOutcome, Near, Reader, Sink};
use weir_geo::Location;
use weir_model::{Field, FieldKind, Item, Outcome, Value};
use weir_mysql::{MysqlReader, MysqlSink};

fn finished(sink: &mut dyn Sink) {
    wait(sink.finish(Outcome::Finished, true)).unwrap();
}

#[test]
fn the_replacing_sink_passes_the_suite() {
    contract::suite(|| Database::fresh(""));
}

#[test]
fn the_updating_sink_passes_the_suite() {
    contract::suite(|| Database::fresh("?write=update&history=price"));
}

#[test]
fn columns_are_typed_and_housekeeping_is_beside_them() {
    let database = Database::fresh("");
    let mut sink = database.open();
    write(&mut sink, &[item(2, 1_420_074_061_000_007, 334.39)]);
    finished(&mut sink);
    assert_eq!(
        database.query(
            "SELECT LOWER(HEX(_id)), url, price, rooms, tags, seen, location_lat, location_lon, extra, new, _job, _spider, \
             _version, _hash, _fetched_at, _delisted_at FROM listing"
        ),
        [
            "00000000000000020000000000000005|http://site/00002|334.39|2|[\"a,b\", \"c\\\"d\\né\"]|2015-01-01 01:01:01.000|51.5|\
             -0.248|{\"n\": [1, 2.5, null]}|1|7|contract|1420074061000007|4074e63d70a3d70a|2015-01-01 01:01:01.000007|NULL"
        ]
    );
}

#[test]
fn every_character_comes_back() {
    let database = Database::fresh("");
    let mut sink = database.open();
    write(&mut sink, &[with_value(1, 0, Value::Str("http://site/😀/größe/\u{2028}'\"\\".into()))]);
    assert_eq!(database.query("SELECT HEX(url) FROM listing")[0], hex("http://site/😀/größe/\u{2028}'\"\\"));
}

#[test]
fn one_bad_row_of_five_hundred_is_refused_alone_with_the_servers_reason() {
    for options in ["", "?write=update"] {
        let database = Database::fresh(options);
        database.open();
        database.execute("ALTER TABLE listing ADD CONSTRAINT dear CHECK (price < 1000)");
        let mut sink = database.open();
        let items: Vec<_> = (0..500).map(|id| item(id, 1, if id == 333 { 5000.0 } else { 1.0 })).collect();
        let (outcomes, _) = write(&mut sink, &items);
        for (id, outcome) in outcomes.iter().enumerate() {
            match outcome {
                ItemOutcome::Refused { reason } if id == 333 => assert!(reason.contains("dear"), "{reason}"),
                outcome => assert_eq!((outcome, id == 333), (&ItemOutcome::Stored, false), "item {id}"),
            }
        }
        assert_eq!(database.query("SELECT COUNT(*) FROM listing"), ["499"]);
    }
}

#[test]
fn a_refused_version_leaves_the_one_before_it_in_the_same_batch() {
    let database = Database::fresh("");
    database.open();
    database.execute("ALTER TABLE listing ADD CONSTRAINT dear CHECK (price < 1000)");
    let mut sink = database.open();
    let (outcomes, _) = write(&mut sink, &[item(1, 1, 1.0), item(1, 2, 5000.0), item(1, 3, 3.0), item(2, 1, 2.0)]);
    assert!(matches!(outcomes[1], ItemOutcome::Refused { .. }), "{outcomes:?}");
    assert_eq!(database.query("SELECT price FROM listing ORDER BY _id"), ["3", "2"]);
}

#[test]
fn long_text_is_cut_between_characters_and_counted() {
    let database = Database::fresh("");
    database.open();
    database.execute("ALTER TABLE listing MODIFY url VARCHAR(5)");
    let mut sink = database.open();
    let (outcomes, _) = write(
        &mut sink,
        &[with_value(1, 0, Value::Str("añ☺😀xyz".into())), with_value(2, 0, Value::Str("añ☺😀x".into()))],
    );
    assert_eq!(outcomes, [ItemOutcome::Stored, ItemOutcome::Stored]);
    assert_eq!(database.query("SELECT url FROM listing ORDER BY _id"), ["añ☺😀x", "añ☺😀x"]);
    let told = |sink: &mut MysqlSink| -> Vec<(String, u32)> {
        sink.notes().into_iter().map(|note| (note.counter.into(), note.count)).collect()
    };
    assert_eq!(told(&mut sink), [("items/truncated/listing.url".to_owned(), 1)]);
    assert_eq!(told(&mut sink), [], "each cut is told once");
    write(&mut sink, &(3..9).map(|id| with_value(id, 0, Value::Str("abcdef".into()))).collect::<Vec<_>>());
    assert_eq!(told(&mut sink), [("items/truncated/listing.url".to_owned(), 6)]);
}

#[test]
fn prices_of_the_past_are_kept_one_row_a_change_and_outlive_the_listing() {
    for options in ["?history=price", "?history=price&write=update"] {
        let database = Database::fresh(options);
        let mut sink = database.open();
        write(&mut sink, &[item(1, 10, 5.0), item(2, 10, 7.0)]);
        write(&mut sink, &[item(1, 20, 5.0), item(1, 30, 6.0), item(1, 15, 9.0)]);
        write(&mut sink, &[item(1, 30, 6.0), with_value_at(1, 40, 1, Value::Null)]);
        finished(&mut sink);
        let history =
            "SELECT CONV(SUBSTRING(HEX(_id), 1, 16), 16, 10), _version, price FROM listing_price_history ORDER BY 1, 2";
        let changes = ["1|10|5", "1|30|6", "1|40|NULL", "2|10|7"];
        assert_eq!(database.query(history), changes);
        database.execute("DELETE FROM listing");
        let mut sink = database.open();
        write(&mut sink, &[with_value_at(1, 40, 1, Value::Null), item(2, 50, 7.0)]);
        assert_eq!(database.query(history), changes, "what came back unchanged is no change");
    }
}

fn with_value_at(id: u32, version: u64, at: usize, value: Value) -> Arc<Item> {
    Arc::new(Item { version, ..(*with_value(id, at, value)).clone() })
}

#[test]
fn a_changed_schema_is_refused_by_name_and_new_columns_come_on_request() {
    let database = Database::fresh("");
    let mut sink = database.open();
    write(&mut sink, &[item(1, 1, 1.0)]);
    finished(&mut sink);
    let refused = |job| database.sink().open(&job).unwrap_err().to_string();
    let other = refused(job_with(|schema| schema.fields[1].kind = FieldKind::Str));
    assert!(other.contains("\"price\" was float and is str") && other.contains("another table"), "{other}");
    let lost = refused(job_with(|schema| drop(schema.fields.remove(2))));
    assert!(lost.contains("rooms") && lost.contains("add_columns=true"), "{lost}");
    let wider = || {
        job_with(|schema| {
            let place = Field { name: "office".to_owned(), kind: FieldKind::GeoPoint, many: false, volatile: false };
            schema.fields.insert(0, place);
            schema.fields.remove(3);
        })
    };
    assert!(refused(job_with(|schema| schema.fields[2].name = "beds".to_owned())).contains("rooms"));
    let mut sink = MysqlSink::from_url(&database.url("?add_columns=true")).unwrap();
    sink.open(&wider()).unwrap();
    let mut values = item(2, 1, 2.0).values.clone();
    values.insert(0, Value::Geo { lat: 1.0, lon: 2.0 });
    values.remove(3);
    write(&mut sink, &[Arc::new(Item { values, ..(*item(2, 1, 2.0)).clone() })]);
    assert_eq!(
        database.query("SELECT office_lat, office_lon, location_lat, rooms FROM listing ORDER BY _id"),
        ["NULL|NULL|NULL|1", "1|2|51.5|NULL"],
        "a column whose field is gone stays"
    );
    assert_eq!(
        database.query("SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = 'office_lat'"),
        ["2"]
    );
}

#[test]
fn a_column_changed_by_hand_is_named_with_what_to_do() {
    let database = Database::fresh("");
    database.open();
    let refused = |change: &str, undo: &str| {
        database.execute(change);
        let error = database.sink().open(&job(None)).unwrap_err();
        assert_eq!(error.class, ErrorClass::Configuration);
        database.execute(undo);
        error.to_string()
    };
    let text = refused("ALTER TABLE listing MODIFY price TEXT", "ALTER TABLE listing MODIFY price DOUBLE");
    assert!(text.contains("\"price\" is text") && text.contains("DOUBLE") && text.contains("MODIFY"), "{text}");
    let text = refused(
        "ALTER TABLE listing MODIFY url TEXT CHARACTER SET latin1",
        "ALTER TABLE listing MODIFY url TEXT CHARACTER SET utf8mb4",
    );
    assert!(text.contains("latin1") && text.contains("utf8mb4"), "{text}");
    let text = refused("ALTER TABLE listing ADD note INT NOT NULL", "ALTER TABLE listing DROP note");
    assert!(text.contains("note") && text.contains("default"), "{text}");
    database.execute("ALTER TABLE listing MODIFY price DECIMAL(12,2), ADD note INT NOT NULL DEFAULT 3");
    database.open();
}

#[test]
fn columns_of_your_own_survive_an_update() {
    let database = Database::fresh("?write=update");
    let mut sink = database.open();
    write(&mut sink, &[item(1, 1, 1.0)]);
    database.execute("ALTER TABLE listing ADD note TEXT");
    database.execute("UPDATE listing SET note = 'mine'");
    write(&mut sink, &[item(1, 2, 2.0)]);
    assert_eq!(database.query("SELECT price, note FROM listing"), ["2|mine"]);
}

#[test]
fn a_foreign_table_is_refused_and_left_alone() {
    let database = Database::fresh("");
    database.execute("CREATE TABLE listing (a INT)");
    let error = database.sink().open(&job(None)).unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.to_string().contains("not weir's"), "{error}");
    assert_eq!(database.query("SELECT COUNT(*) FROM listing"), ["0"]);
}

#[test]
fn a_table_made_anew_or_emptied_has_another_generation() {
    let database = Database::fresh("");
    let generation = || database.sink().open(&job(None)).unwrap().generation;
    let fill = || drop(write(&mut database.open(), &[item(1, 1, 1.0)]));
    fill();
    let first = generation();
    assert_eq!(generation(), first);
    database.execute("TRUNCATE listing");
    let emptied = generation();
    fill();
    let filled = generation();
    database.execute("DROP TABLE listing");
    let anew = generation();
    let all = std::collections::BTreeSet::from([first, emptied, filled, anew]);
    assert_eq!(all.len(), 4, "each differs from those before: {first} {emptied} {filled} {anew}");
}

#[test]
fn two_item_types_have_two_tables() {
    let database = Database::fresh("");
    let mut second = schema();
    second.name = "agent".to_owned();
    let mut two = job(None);
    two.schemas.push(Arc::new(second));
    let mut sink = database.sink();
    sink.open(&two).unwrap();
    let agent = Arc::new(Item { schema: 1, ..(*item(1, 1, 2.0)).clone() });
    assert_eq!(write(&mut sink, &[item(1, 1, 1.0), agent]).0, [ItemOutcome::Stored, ItemOutcome::Stored]);
    assert_eq!(database.query("SELECT a.price, b.price FROM listing a, listing_agent b"), ["1|2"]);
}

#[test]
fn the_nearest_listings_come_first_and_the_antimeridian_is_no_wall() {
    let database = Database::fresh("");
    let mut sink = database.open();
    let at = |id: u32, lat: f64, lon: f64| with_value(id, 5, Value::Geo { lat, lon });
    write(
        &mut sink,
        &[at(1, 0.0, 179.99), at(2, 0.0, -179.99), at(3, 0.0, 179.0), at(4, 51.5, 0.0), with_value(5, 5, Value::Null)],
    );
    let reader = MysqlReader::from_url(&database.url("")).unwrap();
    let near = Near::new(Location::new(0.0, 179.995).unwrap(), 3);
    let found = wait(reader.nearest(&near)).unwrap();
    let shown: Vec<_> = found.iter().map(|found| ((found.id.0 >> 64) as u32, (found.km * 1000.0).round())).collect();
    assert_eq!(shown, [(1, 556.0), (2, 1668.0), (3, 110_639.0)]);
    assert_eq!(found[0].item["url"], "http://site/00001");
    let within = wait(reader.nearest(&Near { within_km: Some(1.0), ..near.clone() })).unwrap();
    assert_eq!(within.len(), 1);
    let error = wait(reader.nearest(&Near { field: Some("office".to_owned()), ..near })).unwrap_err();
    assert!(error.what.contains("office"), "{error}");
}

#[test]
fn the_nearest_listings_are_those_of_every_sink() {
    let database = Database::fresh("");
    let reader = MysqlReader::from_url(&database.url("")).unwrap();
    contract::nearest(Box::new(database.sink()), &reader);
}

#[test]
fn a_listing_that_is_gone_is_marked_keeps_its_prices_and_comes_back_with_a_newer_version() {
    for options in ["?history=price", "?history=price&write=update"] {
        let database = Database::fresh(options);
        let mut sink = database.open();
        write(&mut sink, &[item(1, 10, 1.0), item(2, 30, 2.0), item(3, 10, 3.0)]);
        let ids = [3, 2, 9, 1].map(|id| item(id, 1, 1.0).id);
        let marked = wait(sink.delist(0, &ids, 20)).unwrap();
        let [stored, stale, unchanged] = [ItemOutcome::Stored, ItemOutcome::Stale, ItemOutcome::Unchanged];
        assert_eq!(marked, [stored.clone(), stale.clone(), unchanged.clone(), stored]);
        assert_eq!(wait(sink.delist(0, &ids, 20)).unwrap(), [unchanged.clone(), stale, unchanged.clone(), unchanged]);
        let gone = "SELECT rooms, _delisted_at FROM listing ORDER BY _id";
        let since = "1970-01-01 00:00:00.000020";
        assert_eq!(database.query(gone), [format!("1|{since}"), "2|NULL".to_owned(), format!("3|{since}")]);
        write(&mut sink, &[item(1, 40, 1.0)]);
        assert_eq!(database.query(gone), ["1|NULL".to_owned(), "2|NULL".to_owned(), format!("3|{since}")]);
        assert_eq!(database.query("SELECT COUNT(*) FROM listing_price_history"), ["3"]);
    }
}

#[test]
fn wrong_settings_are_named() {
    let database = Database::fresh("");
    let refused = |url: String| {
        let error = MysqlSink::from_url(&url).unwrap().open(&job(None)).unwrap_err();
        assert!(!error.to_string().contains("wrongpassword"), "{error}");
        error
    };
    let part = database.parts();
    let password =
        refused(format!("mysql://{}:wrongpassword@{}:{}/{}/listing", part.user, part.host, part.port, part.database));
    assert!(password.class == ErrorClass::Configuration && password.todo.contains("WEIR_MYSQL_PASSWORD"), "{password}");
    let name = refused(format!("{}/nothere/listing", part.server));
    assert!(name.class == ErrorClass::Configuration && name.todo.contains("CREATE DATABASE"), "{name}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = refused(format!("mysql://u@127.0.0.1:{free}/db/t"));
    assert!(port.class == ErrorClass::Transient && port.todo.contains("port"), "{port}");
}

#[test]
fn an_account_that_may_only_read_is_refused_before_the_crawl() {
    let database = Database::fresh("");
    database.open();
    let part = database.parts();
    let user = format!("r{}", part.database);
    database.execute(&format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'x'"));
    // The test's own account may not GRANT, but may write down what a GRANT would.
    let sql =
        format!("INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('%', '{}', '{user}', 'Y')", part.database);
    database.execute(&sql);
    database.execute("FLUSH PRIVILEGES");
    let url = format!("mysql://{user}:x@{}:{}/{}/listing", part.host, part.port, part.database);
    let error = MysqlSink::from_url(&url).unwrap().open(&job(None)).unwrap_err();
    database.execute(&format!("DROP USER '{user}'@'%'"));
    assert!(error.class == ErrorClass::Configuration && error.todo.contains("GRANT"), "{error}");
}

#[test]
fn an_item_beyond_the_servers_packet_is_refused_alone() {
    let database = Database::fresh("");
    let mut sink = database.open();
    let max: usize = database.query("SELECT @@max_allowed_packet")[0].parse().unwrap();
    // A column that takes it, so that the packet alone is in the way.
    let huge = with_value(1, 0, Value::Str("x".repeat(max).into()));
    database.execute("ALTER TABLE listing MODIFY url LONGTEXT");
    sink.open(&job(None)).unwrap();
    let (outcomes, _) = write(&mut sink, &[huge, item(2, 1, 2.0)]);
    assert!(
        matches!(&outcomes[0], ItemOutcome::Refused { reason } if reason.contains("max_allowed_packet")),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1], ItemOutcome::Stored);
    let large = with_value(3, 0, Value::Str("é".repeat(10 << 20).into()));
    assert_eq!(write(&mut sink, &[large]).0, [ItemOutcome::Stored], "20 MB go through when the server takes them");
    assert_eq!(database.query("SELECT CHAR_LENGTH(url) FROM listing WHERE rooms = 3"), ["10485760"]);
}

#[test]
fn two_urls_with_the_same_first_hundreds_of_characters_are_two_rows() {
    let database = Database::fresh("");
    let mut sink = database.open();
    let beginning = format!("http://site/{}", "long/".repeat(80));
    let urls = [format!("{beginning}one"), format!("{beginning}two")];
    let items = [with_value(1, 0, Value::Str((&*urls[0]).into())), with_value(2, 0, Value::Str((&*urls[1]).into()))];
    assert_eq!(write(&mut sink, &items).0, [ItemOutcome::Stored, ItemOutcome::Stored]);
    assert_eq!(database.query("SELECT url FROM listing ORDER BY _id"), urls);
}

#[test]
fn a_place_beyond_the_poles_is_refused_alone() {
    let database = Database::fresh("");
    let mut sink = database.open();
    let nowhere = with_value(1, 5, Value::Geo { lat: 91.0, lon: 0.0 });
    let (outcomes, _) = write(&mut sink, &[nowhere, item(2, 1, 2.0)]);
    let ItemOutcome::Refused { reason } = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(reason.contains("location") && reason.contains("91"), "{reason}");
    assert_eq!(
        (&outcomes[1], database.query("SELECT COUNT(*) FROM listing")),
        (&ItemOutcome::Stored, vec!["1".into()])
    );
}
