//! Rows read back by the library's own reader.

use super::*;
use parquet::file::reader::{FileReader, SerializedFileReader};
use weir_connector::contract;
use weir_model::{Field, KeyScope, Value};

fn schema(fields: &[(&str, FieldKind, bool)]) -> Arc<ItemSchema> {
    let field = |(name, kind, many): &(&str, FieldKind, bool)| Field {
        name: (*name).to_owned(),
        kind: *kind,
        many: *many,
        volatile: false,
    };
    Arc::new(ItemSchema {
        spider: "s".to_owned(),
        name: "item".to_owned(),
        fields: fields.iter().map(field).collect(),
        key: Vec::new(),
        key_scope: KeyScope::Spider,
    })
}

fn made(schemas: &[Arc<ItemSchema>], items: &[Item], housekeeping: bool) -> SerializedFileReader<File> {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, out) = (folder.path().join("log"), folder.path().join("out.parquet"));
    let mut bytes = Vec::new();
    for item in items {
        let mut record = Vec::new();
        wire::put_item(&mut record, item);
        wire::put_bytes(&mut bytes, &record);
    }
    std::fs::write(&log, bytes).expect("a log");
    let columns = Columns::new(schemas, "s", housekeeping).expect("columns");
    make(&log, &out, &columns, schemas).expect("a file");
    let again = folder.path().join("again.parquet");
    make(&log, &again, &columns, schemas).expect("a file");
    assert!(std::fs::read(&again).expect("it") == std::fs::read(&out).expect("it"), "the same log is the same file");
    SerializedFileReader::new(File::open(&out).expect("it opens")).expect("a Parquet file")
}

fn rows(reader: &SerializedFileReader<File>) -> Vec<String> {
    reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row").to_string()).collect()
}

fn item(schema: u16, values: Vec<Value>) -> Item {
    Item { schema, values, ..contract::blank_item() }
}

#[test]
fn lists_places_and_nothing_read_back_as_they_were() {
    let schemas = [schema(&[
        ("tags", FieldKind::Str, true),
        ("at", FieldKind::GeoPoint, false),
        ("route", FieldKind::GeoPoint, true),
        ("day", FieldKind::Date, false),
        ("n", FieldKind::Int, true),
    ])];
    let text = |text: &str| Value::Str(text.into());
    let place = |lat, lon| Value::Geo { lat, lon };
    let items = [
        item(
            0,
            vec![
                Value::List(vec![text("a"), Value::Null, text("b")]),
                place(1.5, -2.0),
                Value::Null,
                text("1970-01-02"),
                Value::Int(4),
            ],
        ),
        item(
            0,
            vec![
                Value::List(Vec::new()),
                Value::Null,
                Value::List(vec![place(1.0, 2.0), place(3.0, 4.0)]),
                Value::Null,
                Value::Null,
            ],
        ),
        item(0, vec![Value::Null; 5]),
    ];
    let got = rows(&made(&schemas, &items, false));
    let expected = [
        "{tags: [\"a\", null, \"b\"], at: {lat: 1.5, lon: -2E0}, route: null, day: 1970-01-02, n: [4]}",
        "{tags: [], at: null, route: [{lat: 1.0, lon: 2.0}, {lat: 3.0, lon: 4.0}], day: null, n: null}",
        "{tags: null, at: null, route: null, day: null, n: null}",
    ];
    assert_eq!(got, expected);
}

#[test]
fn several_item_types_share_a_file_and_a_field_of_two_types_is_named() {
    let schemas = [
        schema(&[("url", FieldKind::Str, false)]),
        schema(&[("url", FieldKind::Str, false), ("n", FieldKind::Int, false)]),
    ];
    let items = [item(0, vec![Value::Str("a".into())]), item(1, vec![Value::Str("b".into()), Value::Int(2)])];
    let got = rows(&made(&schemas, &items, true));
    let starts = |row: &str, with: &str| assert!(row.starts_with(with), "{row}");
    starts(&got[0], "{url: \"a\", n: null, _id: \"");
    starts(&got[1], "{url: \"b\", n: 2, _id: \"");
    let clash = [schema(&[("n", FieldKind::Str, false)]), schema(&[("n", FieldKind::Int, false)])];
    assert!(Columns::new(&clash, "s", false).expect_err("two types").contains("\"n\""));
}

#[test]
fn row_groups_are_bounded_and_an_empty_log_is_a_file_without_rows() {
    let schemas = [schema(&[("text", FieldKind::Str, false)])];
    let items: Vec<Item> = (0..40).map(|_| item(0, vec![Value::Str("x".repeat(1 << 20).into())])).collect();
    let reader = made(&schemas, &items, false);
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [16, 16, 8]);
    assert_eq!(rows(&made(&schemas, &[], false)).len(), 0);
}

#[test]
fn a_value_of_another_type_is_refused_by_name() {
    let schemas = [schema(&[("day", FieldKind::Date, false)])];
    let columns = Columns::new(&schemas, "s", false).expect("columns");
    let refused = columns.check(&schemas[0], &item(0, vec![Value::Str("soon".into())])).expect_err("no date");
    assert!(refused.contains("\"day\"") && refused.contains("YYYY-MM-DD"), "{refused}");
}

#[test]
fn a_log_that_ends_early_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let schemas = [schema(&[("n", FieldKind::Int, false)])];
    let columns = Columns::new(&schemas, "s", false).expect("columns");
    let log = folder.path().join("log");
    std::fs::write(&log, [200, 1, 0]).expect("a log");
    let error = make(&log, &folder.path().join("out"), &columns, &schemas).expect_err("torn").to_string();
    assert!(error.contains("middle of an item") && error.contains("log"), "{error}");
}
