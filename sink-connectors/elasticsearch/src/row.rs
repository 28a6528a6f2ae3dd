//! From an item to a document, serialised straight into the request. Pure.
//!
//! A null is left out: to the index both are the same. Whole numbers go as they are, instants as RFC 3339 in UTC.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use weir_connector::text;
use weir_model::{FieldKind, Item, ItemSchema, Value};

/// Why an item does not fit its index; `None` when it does, or when the server is to judge.
pub(crate) fn misfit(schema: &ItemSchema, item: &Item) -> Option<String> {
    let instant = i64::try_from(item.version).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    if instant.is_none() {
        return Some(format!("the item's version {} is no instant before the year 10000", item.version));
    }
    weir_connector::misfit(schema, item, |kind, value| match (kind, value) {
        (FieldKind::Date, Value::Str(text)) if text.len() != 10 || text.parse::<jiff::civil::Date>().is_err() => {
            Some("it is no day of the calendar, written YYYY-MM-DD")
        }
        (FieldKind::Datetime, Value::Datetime(ms)) if !has_year_of_four_digits(*ms) => {
            Some("the index holds the years 0001 to 9999")
        }
        _ => None,
    })
}

/// As the server's format demands it.
fn has_year_of_four_digits(ms: i64) -> bool {
    jiff::Timestamp::from_millisecond(ms).is_ok_and(|at| at >= jiff::Timestamp::constant(-62_135_596_800, 0))
}

/// A hash as it is stored: as text it sorts as its number.
pub(crate) fn hash_hex(hash: u64) -> String {
    format!("{hash:016x}")
}

/// A document: the item's fields and the housekeeping ones.
pub(crate) struct Doc<'a> {
    pub item: &'a Item,
    pub schema: &'a ItemSchema,
    pub spider: &'a str,
}

impl Serialize for Doc<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Doc { item, schema, spider } = self;
        let mut map = serializer.serialize_map(None)?;
        for (field, value) in schema.fields.iter().zip(&item.values).filter(|(_, value)| !value.is_null()) {
            map.serialize_entry(&field.name, &Cell(value))?;
        }
        // A keyword: job numbers are names, nobody adds them up, and not all fit a long.
        map.serialize_entry("weir_job", &Shown(item.job.0))?;
        map.serialize_entry("weir_spider", spider)?;
        map.serialize_entry("weir_version", &item.version)?;
        map.serialize_entry("weir_hash", &hash_hex(item.hash))?;
        map.serialize_entry("weir_fetched_at", &text::version_as_time(item.version))?;
        map.end()
    }
}

/// A value as the text that it shows.
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Cell<'a>(&'a Value);

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Str(text) => serializer.serialize_str(text),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Datetime(ms) => match jiff::Timestamp::from_millisecond(*ms) {
                Ok(at) if ms % 1000 == 0 => serializer.collect_str(&format_args!("{at:.0}")),
                Ok(at) => serializer.collect_str(&format_args!("{at:.3}")),
                Err(_) => serializer.serialize_i64(*ms),
            },
            Value::Geo { lat, lon } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("lat", lat)?;
                map.serialize_entry("lon", lon)?;
                map.end()
            }
            Value::List(values) => serializer.collect_seq(values.iter().map(Cell)),
            Value::Json(json) => json.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;
    use weir_connector::contract;

    fn doc(item: &Item) -> serde_json::Value {
        serde_json::to_value(Doc { item, schema: &contract::schema(), spider: "contract" }).unwrap()
    }

    #[test]
    fn an_item_becomes_a_document() {
        let item = contract::item(2, 1_420_074_061_000_007, 334.0);
        assert_eq!(
            doc(&item),
            json!({
                "url": "http://site/00002", "price": 334.0, "rooms": 2, "tags": ["a,b", "c\"d\né"],
                "seen": "2015-01-01T01:01:01Z", "location": {"lat": 51.5, "lon": -0.248},
                "extra": {"n": [1, 2.5, null]}, "new": true, "weir_job": "7", "weir_spider": "contract",
                "weir_version": 1_420_074_061_000_007u64, "weir_hash": "4074e00000000000",
                "weir_fetched_at": "2015-01-01T01:01:01.000007Z",
            })
        );
        assert_eq!(doc(&contract::item(1, 1, 1.0)).get("location"), None, "a null is left out");
    }

    #[test]
    fn a_document_is_one_line_whatever_is_in_it() {
        let mut values = contract::item(1, 1, 1.0).values.clone();
        values[0] = Value::Str("a\nb\r\u{2028}\u{0}\"}\n{\"index\":{}}".into());
        let item = Item { values, ..(*contract::item(1, 1, 1.0)).clone() };
        let schema = contract::schema();
        let bytes = serde_json::to_vec(&Doc { item: &item, schema: &schema, spider: "x" }).unwrap();
        assert!(!bytes.contains(&b'\n') && !bytes.contains(&b'\r'));
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_field() {
        let schema = contract::schema();
        let with = |at: usize, value: Value| {
            let mut values = contract::item(1, 1, 1.0).values.clone();
            values[at] = value;
            misfit(&schema, &Item { values, ..(*contract::item(1, 1, 1.0)).clone() })
        };
        assert_eq!(with(1, Value::Float(2.0)), None);
        assert!(with(1, Value::Str("cheap".into())).is_some_and(|why| why.contains("price") && why.contains("cheap")));
        assert!(with(5, Value::Geo { lat: 91.0, lon: 0.0 }).is_some());
        assert!(
            with(4, Value::Datetime(i64::MAX))
                .is_some_and(|why| why.ends_with(": the index holds the years 0001 to 9999"))
        );
        assert!(with(3, Value::List(vec![Value::Int(1)])).is_some());
        let late = Arc::new(Item { version: u64::MAX, ..(*contract::item(1, 1, 1.0)).clone() });
        assert!(misfit(&schema, &late).is_some_and(|why| why.contains("version")));
    }
}
