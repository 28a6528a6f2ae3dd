//! From an item to the values that are bound: types checked, instants in UTC, text cut between characters. Pure.

use crate::schema::{Column, ColumnKind};
use mysql_async::Value as Bound;
use weir_connector::text::{self, JsonStyle};
use weir_model::{FieldKind, Item, ItemSchema, Value};

/// How long a text column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// `VARCHAR(n)`, `CHAR(n)`.
    Chars(usize),
    /// The `TEXT` family counts bytes.
    Bytes(usize),
}

/// Cuts text to a limit, never within a character. `None` when it fits.
pub(crate) fn cut(text: &str, limit: Limit) -> Option<&str> {
    let end = match limit {
        Limit::Bytes(max) if text.len() > max => text.floor_char_boundary(max),
        // Characters are at most as many as bytes.
        Limit::Chars(max) if text.len() > max => text.char_indices().nth(max)?.0,
        _ => return None,
    };
    Some(&text[..end])
}

/// Why an item does not fit its table; `None` when it does.
pub(crate) fn misfit(schema: &ItemSchema, item: &Item) -> Option<String> {
    if instant_us(item.version).is_none() {
        return Some(format!("the item's version {} is no instant between the years 1000 and 9999", item.version));
    }
    weir_connector::misfit(schema, item, |kind, value| match (kind, value) {
        (FieldKind::Date, Value::Str(text)) if civil_date(text).is_none() => Some(NO_DATE),
        (FieldKind::Date, Value::Str(text)) if date(text).is_none() => Some(YEARS),
        (FieldKind::Datetime, Value::Datetime(ms)) if instant_ms(*ms).is_none() => Some(YEARS),
        _ => None,
    })
}

/// The range that the manual promises; what lies before it may be stored, and need not compare.
const YEARS: &str = "MySQL holds the years 1000 to 9999";
const NO_DATE: &str = "it is no day of the calendar, written YYYY-MM-DD";

/// Appends a row: `_id`, the fields' columns, the housekeeping ones. `cut_at` hears which columns were cut.
pub(crate) fn put(
    out: &mut Vec<Bound>,
    columns: &[Column],
    limits: &[Option<Limit>],
    spider: &str,
    item: &Item,
    mut cut_at: impl FnMut(usize),
) {
    out.push(Bound::Bytes(item.id.0.to_be_bytes().to_vec()));
    for (at, column) in columns.iter().enumerate() {
        let value = item.values.get(column.field).unwrap_or(&Value::Null);
        let bound = bound(column.kind, value);
        out.push(match (bound, limits.get(at).copied().flatten()) {
            (Bound::Bytes(bytes), Some(limit)) => match String::from_utf8(bytes) {
                Ok(mut text) => {
                    if let Some(end) = cut(&text, limit).map(str::len) {
                        text.truncate(end);
                        cut_at(at);
                    }
                    Bound::Bytes(text.into_bytes())
                }
                Err(error) => Bound::Bytes(error.into_bytes()),
            },
            (bound, _) => bound,
        });
    }
    out.push(Bound::UInt(item.job.0));
    out.push(Bound::Bytes(spider.as_bytes().to_vec()));
    out.push(fetched_at(item.version));
    out.push(Bound::Bytes(hash_hex(item.hash).into_bytes()));
    out.push(Bound::UInt(item.version));
}

/// A hash as it is stored: as text it sorts as its number.
pub(crate) fn hash_hex(hash: u64) -> String {
    format!("{hash:016x}")
}

/// The start of an item's fetch.
pub(crate) fn fetched_at(version: u64) -> Bound {
    instant_us(version).unwrap_or(Bound::NULL)
}

fn bound(kind: ColumnKind, value: &Value) -> Bound {
    match (kind, value) {
        (_, Value::Null) => Bound::NULL,
        (ColumnKind::Lat, Value::Geo { lat, .. }) => Bound::Double(*lat),
        (ColumnKind::Lon, Value::Geo { lon, .. }) => Bound::Double(*lon),
        (ColumnKind::Json, value) => {
            let mut text = Vec::new();
            text::put_value(&mut text, value, JsonStyle::default(), 0);
            Bound::Bytes(text)
        }
        (ColumnKind::Date, Value::Str(text)) => date(text).unwrap_or(Bound::NULL),
        (ColumnKind::Float, Value::Int(number)) => Bound::Double(*number as f64),
        (_, Value::Str(text)) => Bound::Bytes(text.as_bytes().to_vec()),
        (_, Value::Int(number)) => Bound::Int(*number),
        (_, Value::Float(number)) => Bound::Double(*number),
        (_, Value::Bool(truth)) => Bound::Int(i64::from(*truth)),
        (_, Value::Datetime(ms)) => instant_ms(*ms).unwrap_or(Bound::NULL),
        // `misfit` refuses these before.
        (_, Value::Geo { .. } | Value::List(_) | Value::Json(_)) => Bound::NULL,
    }
}

fn instant_ms(ms: i64) -> Option<Bound> {
    civil(jiff::Timestamp::from_millisecond(ms).ok()?)
}

fn instant_us(version: u64) -> Option<Bound> {
    civil(jiff::Timestamp::from_microsecond(i64::try_from(version).ok()?).ok()?)
}

fn civil(at: jiff::Timestamp) -> Option<Bound> {
    let civil = at.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let part = |number: i8| u8::try_from(number).ok();
    let year = u16::try_from(civil.year()).ok().filter(|year| (1000..=9999).contains(year))?;
    let us = u32::try_from(civil.subsec_nanosecond() / 1000).ok()?;
    Some(Bound::Date(
        year,
        part(civil.month())?,
        part(civil.day())?,
        part(civil.hour())?,
        part(civil.minute())?,
        part(civil.second())?,
        us,
    ))
}

fn civil_date(text: &str) -> Option<jiff::civil::Date> {
    text.parse().ok().filter(|_| text.len() == 10)
}

/// `YYYY-MM-DD`.
fn date(text: &str) -> Option<Bound> {
    let date = civil_date(text)?;
    let year = u16::try_from(date.year()).ok().filter(|year| (1000..=9999).contains(year))?;
    Some(Bound::Date(year, u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?, 0, 0, 0, 0))
}

/// Bytes of a row in a statement, about, never less.
pub(crate) fn bytes(row: &[Bound]) -> usize {
    row.iter()
        .map(|value| match value {
            // Length prefix, type.
            Bound::Bytes(bytes) => bytes.len() + 11,
            _ => 15,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_connector::contract;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("añ☺😀x", Limit::Chars(4)), Some("añ☺😀"));
        assert_eq!(cut("añ☺😀x", Limit::Chars(5)), None, "five characters, eleven bytes");
        assert_eq!(cut("añ☺😀x", Limit::Bytes(9)), Some("añ☺"), "the fourth would end at ten");
        assert_eq!(cut("añ☺😀x", Limit::Bytes(11)), None);
        assert_eq!(cut("abc", Limit::Chars(0)), Some(""));
    }

    #[test]
    fn instants_are_bound_in_utc() {
        assert_eq!(instant_ms(1_420_074_061_250), Some(Bound::Date(2015, 1, 1, 1, 1, 1, 250_000)));
        assert_eq!(fetched_at(1_420_074_061_000_007), Bound::Date(2015, 1, 1, 1, 1, 1, 7));
        assert_eq!(instant_ms(i64::MAX), None);
        assert_eq!(date("2015-02-28"), Some(Bound::Date(2015, 2, 28, 0, 0, 0, 0)));
        assert_eq!((date("2015-02-29"), date("28.2.2015"), date("0001-01-01")), (None, None, None));
    }

    #[test]
    fn a_cut_column_is_named_and_json_never_is_cut() {
        let schema = contract::schema();
        let columns = crate::schema::columns(&schema);
        let limits: Vec<_> =
            columns.iter().map(|column| (column.kind == ColumnKind::Text).then_some(Limit::Chars(11))).collect();
        let (mut row, mut cuts) = (Vec::new(), Vec::new());
        put(&mut row, &columns, &limits, "spider", &contract::item(2, 7, 1.5), |at| cuts.push(at));
        assert_eq!(cuts, [0]);
        assert_eq!(row.len(), 1 + columns.len() + 5);
        assert_eq!(row[1], Bound::Bytes(b"http://site".to_vec()));
        assert_eq!(row[4], Bound::Bytes("[\"a,b\", \"c\\\"d\\né\"]".as_bytes().to_vec()));
        assert_eq!((&row[6], &row[7]), (&Bound::Double(51.5), &Bound::Double(-0.248)));
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
        assert!(with(4, Value::Datetime(i64::MAX)).is_some());
        assert!(with(3, Value::List(vec![Value::Int(1)])).is_some());
        let early = Value::Datetime(-40_000_000_000_000);
        assert!(with(4, early).is_some_and(|why| why.ends_with(": MySQL holds the years 1000 to 9999")));
        let day = |text: &str| {
            let mut schema = contract::schema();
            schema.fields[0].kind = FieldKind::Date;
            let mut values = contract::item(1, 1, 1.0).values.clone();
            values[0] = Value::Str(text.into());
            misfit(&schema, &Item { values, ..(*contract::item(1, 1, 1.0)).clone() }).unwrap_or_default()
        };
        assert!(day("0900-01-01").ends_with("not Str(\"0900-01-01\"): MySQL holds the years 1000 to 9999"));
        assert!(day("2015-02-29").contains("no day of the calendar"));
        assert_eq!(day("1000-01-01"), "");
    }
}
