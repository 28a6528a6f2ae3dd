//! The database passes the connector's suite, and is what people query: typed columns, stable rowids, an R*Tree without orphans.
#![allow(clippy::unwrap_used)] // helpers of tests

use rusqlite::Connection;
use serde_json::Value as Json;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use weir_connector::contract::{self, Place, item, job, schema, wait, write};
use weir_connector::{ErrorClass, ItemOutcome, JobInfo, Near, Reader, Sink};
use weir_geo::Location;
use weir_model::{Field, FieldKind, Item, ItemSchema, Outcome, Value};
use weir_sqlite::{SqliteReader, SqliteSink};

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("new/items.db")
    }

    fn sqlite(&self) -> SqliteSink {
        SqliteSink::new(self.path())
    }

    fn query(&self, sql: &str) -> Vec<String> {
        let connection = Connection::open(self.path()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let cells: Vec<String> = (0..columns)
                .map(|at| {
                    format!("{:?}", row.get_ref(at).unwrap().data_type()) + " " + &shown(row.get_ref(at).unwrap())
                })
                .collect();
            Ok(cells.join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }
}

fn shown(value: rusqlite::types::ValueRef<'_>) -> String {
    use rusqlite::types::ValueRef as V;
    match value {
        V::Null => String::new(),
        V::Integer(number) => number.to_string(),
        V::Real(number) => format!("{number:?}"),
        V::Text(text) | V::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}

impl Place for Folder {
    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(self.sqlite())
    }

    fn read(&mut self) -> Vec<(String, Json)> {
        let connection = Connection::open(self.path()).unwrap();
        let mut statement = connection.prepare("SELECT url, price FROM listing").unwrap();
        statement
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, f64>(1)?.into())))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }
}

fn finished(sink: &mut dyn Sink) {
    wait(sink.finish(Outcome::Finished, true)).unwrap();
}

fn job_with(change: impl FnOnce(&mut ItemSchema)) -> JobInfo {
    let mut changed = schema();
    change(&mut changed);
    JobInfo { schemas: vec![Arc::new(changed)], ..job(None) }
}

#[test]
fn the_database_passes_the_suite() {
    contract::suite(Folder::new);
}

#[test]
fn columns_are_typed_and_housekeeping_is_beside_them() {
    let folder = Folder::new();
    let mut sink = folder.sqlite();
    sink.open(&job(None)).unwrap();
    write(&mut sink, &[item(2, 1_420_074_061_000_007, 334.39)]);
    finished(&mut sink);
    assert_eq!(
        folder.query("SELECT _id, url, price, rooms, tags, seen, location, extra, new, _job, _spider, _version, _hash, _fetched_at FROM listing"),
        [
            "Text 00000000000000020000000000000005|Text http://site/00002|Real 334.39|Integer 2|Text [\"a,b\", \"c\\\"d\\né\"]|\
          Text 2015-01-01T01:01:01Z|Text 51.5,-0.248|Text {\"n\": [1, 2.5, null]}|Integer 1|Integer 7|Text contract|\
          Integer 1420074061000007|Text 4074e63d70a3d70a|Text 2015-01-01T01:01:01.000007Z"
        ]
    );
    assert_eq!(std::fs::read_dir(folder.path().parent().unwrap()).unwrap().count(), 1, "no log is left beside it");
}

#[test]
fn a_row_keeps_its_rowid_through_updates() {
    let folder = Folder::new();
    let mut sink = folder.sqlite();
    sink.open(&job(None)).unwrap();
    write(&mut sink, &[item(1, 1, 1.0), item(2, 1, 1.0), item(3, 1, 1.0)]);
    let before = folder.query("SELECT _id, rowid FROM listing");
    write(&mut sink, &[item(2, 2, 2.0)]);
    assert_eq!(folder.query("SELECT _id, rowid FROM listing"), before);
}

#[test]
fn the_rtree_finds_what_is_near_and_never_holds_an_orphan() {
    let folder = Folder::new();
    let mut sink = folder.sqlite();
    sink.open(&job(None)).unwrap();
    let items: Vec<_> = (0..100).map(|id| item(id, 1, 1.0)).collect();
    write(&mut sink, &items);
    let orphans = || {
        folder.query(
            "SELECT count(*) FROM listing_rtree r LEFT JOIN listing l ON l.rowid = r.id WHERE l.location IS NULL",
        )
    };
    let count = || folder.query("SELECT count(*) FROM listing_rtree");
    assert_eq!((count(), orphans()), (vec!["Integer 50".to_owned()], vec!["Integer 0".to_owned()]));
    let near = folder.query("SELECT url FROM listing JOIN listing_rtree ON id = listing.rowid WHERE min_lon <= -0.2479 AND max_lon >= -0.2481");
    assert_eq!(near, ["Text http://site/00002"]);
    let moved = |id: u32, version, place: Value| {
        let mut values = item(id, version, 1.0).values.clone();
        values[5] = place;
        Arc::new(Item { values, ..(*item(id, version, 1.0)).clone() })
    };
    write(
        &mut sink,
        &[
            moved(2, 2, Value::Geo { lat: 1.0, lon: 2.0 }),
            moved(4, 2, Value::Null),
            moved(5, 2, Value::Geo { lat: 3.0, lon: 4.0 }),
        ],
    );
    assert_eq!((count(), orphans()), (vec!["Integer 50".to_owned()], vec!["Integer 0".to_owned()]));
    assert_eq!(
        folder.query("SELECT url FROM listing JOIN listing_rtree ON id = listing.rowid WHERE max_lat < 2"),
        ["Text http://site/00002"]
    );
    Connection::open(folder.path()).unwrap().execute("DELETE FROM listing WHERE rooms < 50", []).unwrap();
    assert_eq!((count(), orphans()), (vec!["Integer 25".to_owned()], vec!["Integer 0".to_owned()]));
}

#[test]
fn a_changed_schema_is_refused_by_name_and_new_columns_come_on_request() {
    let folder = Folder::new();
    let mut sink = folder.sqlite();
    sink.open(&job(None)).unwrap();
    write(&mut sink, &[item(1, 1, 1.0)]);
    finished(&mut sink);
    let refused = |job: &JobInfo| folder.sqlite().open(job).unwrap_err().to_string();
    let other_type = refused(&job_with(|schema| schema.fields[1].kind = FieldKind::Str));
    assert!(
        other_type.contains("\"price\" was float and is str") && other_type.contains("another file"),
        "{other_type}"
    );
    assert!(refused(&job_with(|schema| drop(schema.fields.remove(2)))).contains("rooms"));
    let wider = job_with(|schema| {
        let place = Field { name: "office".to_owned(), kind: FieldKind::GeoPoint, many: false, volatile: false };
        schema.fields.insert(0, place);
    });
    let text = refused(&wider);
    assert!(text.contains("office") && text.contains("new_columns=add"), "{text}");
    let mut sink = folder.sqlite().with_new_columns();
    sink.open(&wider).unwrap();
    let mut values = item(2, 1, 2.0).values.clone();
    values.insert(0, Value::Geo { lat: 1.0, lon: 2.0 });
    write(&mut sink, &[Arc::new(Item { values, ..(*item(2, 1, 2.0)).clone() })]);
    assert_eq!(folder.query("SELECT office, location FROM listing"), ["Null |Null ", "Text 1.0,2.0|Text 51.5,-0.248"]);
    assert_eq!(
        folder.query(
            "SELECT count(*) FROM listing_rtree, listing_office_rtree WHERE listing_rtree.id = listing_office_rtree.id"
        ),
        ["Integer 1"]
    );
}

#[test]
fn names_that_are_no_identifiers_never_reach_the_database() {
    for name in ["price\" TEXT); DROP TABLE x; --", "1st", "", "größe", "Price"] {
        let error =
            Folder::new().sqlite().open(&job_with(|schema| schema.fields[2].name = name.to_owned())).unwrap_err();
        assert!(error.class == ErrorClass::Configuration && error.to_string().contains("field"), "{error}");
    }
    for name in ["sqlite_x", "_weir", "listing_rtree", "a b"] {
        assert!(Folder::new().sqlite().open(&job_with(|schema| schema.name = name.to_owned())).is_err(), "{name}");
    }
    let folder = Folder::new();
    folder.sqlite().open(&job_with(|schema| schema.name = "select".to_owned())).unwrap();
}

#[test]
fn foreign_files_and_tables_are_refused_and_left_alone() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
    std::fs::write(
        folder.path(),
        "not a database, but long enough to be looked at, as a header has one hundred bytes; so some more of it here",
    )
    .unwrap();
    let error = folder.sqlite().open(&job(None)).unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.to_string().contains("SQLite database"), "{error}");
    std::fs::remove_file(folder.path()).unwrap();
    Connection::open(folder.path()).unwrap().execute_batch("CREATE TABLE Listing (a)").unwrap();
    let error = folder.sqlite().open(&job(None)).unwrap_err();
    assert!(error.to_string().contains("not weir's"), "{error}");
    assert_eq!(folder.query("SELECT name FROM sqlite_schema"), ["Text Listing"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_said() {
    for path in ["/proc/nowhere/items.db", "/proc"] {
        let error = SqliteSink::new(path).open(&job(None)).unwrap_err();
        assert!(
            error.class == ErrorClass::Configuration && error.to_string().contains(path.trim_end_matches("/items.db")),
            "{error}"
        );
    }
}

#[test]
fn a_place_that_was_emptied_has_another_generation() {
    let folder = Folder::new();
    let generation = || folder.sqlite().open(&job(None)).unwrap().generation;
    let empty = generation();
    let mut sink = folder.sqlite();
    sink.open(&job(None)).unwrap();
    write(&mut sink, &[item(1, 1, 1.0)]);
    finished(&mut sink);
    let filled = generation();
    assert_eq!(generation(), filled);
    Connection::open(folder.path()).unwrap().execute("DELETE FROM listing", []).unwrap();
    let emptied = generation();
    assert!(emptied != filled && emptied != empty);
    Connection::open(folder.path()).unwrap().execute_batch("DROP TABLE listing").unwrap();
    assert_ne!(generation(), emptied);
}

#[test]
fn a_value_of_another_type_is_refused_and_the_rest_stored() {
    let folder = Folder::new();
    let mut sink = folder.sqlite();
    sink.open(&job(None)).unwrap();
    let with = |at: usize, value: Value| {
        let mut values = item(1, 1, 1.0).values.clone();
        values[at] = value;
        Arc::new(Item { values, ..(*item(1, 1, 1.0)).clone() })
    };
    let items = [
        with(1, Value::Str("cheap".into())),
        with(5, Value::Geo { lat: 91.0, lon: 0.0 }),
        with(3, Value::List(vec![Value::Int(1)])),
        item(2, 1, 2.0),
    ];
    let (outcomes, _) = write(&mut sink, &items);
    let ItemOutcome::Refused { reason } = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(reason.contains("price") && reason.contains("cheap"), "{reason}");
    assert!(matches!(outcomes[1..], [ItemOutcome::Refused { .. }, ItemOutcome::Refused { .. }, ItemOutcome::Stored]));
    assert_eq!(folder.query("SELECT url FROM listing"), ["Text http://site/00002"]);
}

#[test]
fn the_nearest_listings_are_those_of_every_sink() {
    let folder = Folder::new();
    contract::nearest(Box::new(folder.sqlite()), &SqliteReader::new(folder.path()));
}

#[test]
fn a_file_that_is_not_there_or_not_weirs_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let near = Near::new(Location::new(51.5, -0.25).unwrap(), 5);
    let asked = |name: &str| wait(SqliteReader::new(folder.path().join(name)).nearest(&near)).unwrap_err();
    assert!(asked("nothing.db").to_string().contains("nothing.db"));
    std::fs::write(folder.path().join("text.db"), "not a database at all, but text".repeat(100)).unwrap();
    assert!(asked("text.db").expected.contains("SQLite"));
    Connection::open(folder.path().join("other.db")).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    assert!(asked("other.db").what.contains("place"));
}
