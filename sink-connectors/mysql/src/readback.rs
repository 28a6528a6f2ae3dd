//! Reading back: every row of the job's item types in the order of its key, its columns as values again. Changes nothing.

use crate::error;
use crate::place::MysqlPlace;
use crate::schema::{self, Column, ColumnKind};
use crate::table::name_of;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value as Bound};
use std::collections::HashMap;
use weir_connector::{Read, SinkError, StoredItem, read};
use weir_model::{Field, ItemId, ItemSchema, Value};

/// Rows asked for at once.
const PAGE_ROWS: usize = 1_000;

/// The rows behind `after` (all, at the beginning), at most a page; fewer than a page: there are no more.
pub(crate) async fn page(
    conn: &mut Conn,
    place: &MysqlPlace,
    number: usize,
    schema: &ItemSchema,
    after: Option<ItemId>,
) -> Result<(Vec<StoredItem>, bool), SinkError> {
    let at = |error: mysql_async::Error| error::sink_error("read", &place.shown, &error);
    let table = name_of(place, number, schema);
    let limits: Vec<(String, Option<u64>)> = conn
        .exec(
            "SELECT COLUMN_NAME, CHARACTER_MAXIMUM_LENGTH FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?",
            (&table,),
        )
        .await
        .map_err(at)?;
    if limits.is_empty() {
        // As good as empty: whoever compares names what it lacks.
        return Ok((Vec::new(), true));
    }
    let limits: HashMap<String, u64> = limits.into_iter().filter_map(|(name, max)| Some((name, max?))).collect();
    let columns = schema::columns(schema);
    let names: String = columns.iter().map(|column| format!(", `{}`", column.name)).collect();
    let from = if after.is_some() { "WHERE `_id` > ?" } else { "" };
    let sql =
        format!("SELECT `_id`, `_version`, `_hash`{names} FROM `{table}` {from} ORDER BY `_id` LIMIT {PAGE_ROWS}");
    let bound = after.map(|id| Bound::Bytes(id.0.to_be_bytes().to_vec())).into_iter().collect();
    let rows: Vec<Row> = conn.exec(sql, Params::Positional(bound)).await.map_err(at)?;
    let is_last = rows.len() < PAGE_ROWS;
    Ok((rows.into_iter().map(|row| stored(number as u16, schema, &columns, &limits, row)).collect(), is_last))
}

fn stored(number: u16, schema: &ItemSchema, columns: &[Column], limits: &HashMap<String, u64>, row: Row) -> StoredItem {
    let mut cells = row.unwrap().into_iter();
    let mut next = || cells.next().unwrap_or(Bound::NULL);
    let id = match next() {
        Bound::Bytes(id) => id.try_into().ok().map(|id| ItemId(u128::from_be_bytes(id))),
        _ => None,
    };
    let version = match next() {
        Bound::UInt(version) => Some(version),
        Bound::Int(version) => u64::try_from(version).ok(),
        _ => None,
    };
    let hash = match next() {
        Bound::Bytes(text) => String::from_utf8(text).ok().and_then(|text| u64::from_str_radix(&text, 16).ok()),
        _ => None,
    };
    let mut values = vec![Read::Value(Value::Null); schema.fields.len()];
    let mut lat = None;
    for column in columns {
        let cell = next();
        values[column.field] = match (column.kind, cell) {
            (ColumnKind::Lat, cell) => {
                lat = degrees(&cell);
                continue;
            }
            (ColumnKind::Lon, cell) => match (lat.take(), degrees(&cell)) {
                (Some(lat), Some(lon)) => Read::Value(Value::Geo { lat, lon }),
                (None, None) => Read::Value(Value::Null),
                _ => Read::Foreign,
            },
            (kind, cell) => value(&schema.fields[column.field], kind, cell, limits.get(&column.name).copied()),
        };
    }
    StoredItem { schema: number, id, version, hash, values }
}

fn degrees(cell: &Bound) -> Option<f64> {
    if let Bound::Double(degrees) = cell { Some(*degrees) } else { None }
}

fn value(field: &Field, kind: ColumnKind, cell: Bound, length_max: Option<u64>) -> Read {
    match (kind, cell) {
        (_, Bound::NULL) => Read::Value(Value::Null),
        (ColumnKind::Int, Bound::Int(number)) => Read::Value(Value::Int(number)),
        (ColumnKind::Bool, Bound::Int(number @ (0 | 1))) => Read::Value(Value::Bool(number == 1)),
        (ColumnKind::Float, Bound::Double(number)) => Read::Value(Value::Float(number)),
        // Scaled to the column's places: what was written is not told.
        (ColumnKind::Float, Bound::Bytes(bytes)) => {
            let number = String::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
            number.map_or(Read::Foreign, |number| Read::Unsure(Value::Float(number)))
        }
        (ColumnKind::Datetime, Bound::Date(year, month, day, hour, minute, second, us)) => {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{us:06}Z");
            read::from_text(field, Some(&text))
        }
        (ColumnKind::Date, Bound::Date(year, month, day, ..)) => {
            read::from_text(field, Some(&format!("{year:04}-{month:02}-{day:02}")))
        }
        (ColumnKind::Text, Bound::Bytes(bytes)) => match String::from_utf8(bytes) {
            // As long as its column: it may have been cut. The family of TEXT counts bytes and cuts before a character.
            Ok(text)
                if length_max.is_some_and(|max| text.chars().count() as u64 >= max || text.len() as u64 + 4 > max) =>
            {
                match read::from_text(field, Some(&text)) {
                    Read::Value(value) => Read::Unsure(value),
                    other => other,
                }
            }
            Ok(text) => read::from_text(field, Some(&text)),
            Err(_) => Read::Foreign,
        },
        (ColumnKind::Json, Bound::Bytes(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => read::from_text(field, Some(&text)),
            Err(_) => Read::Foreign,
        },
        _ => Read::Foreign,
    }
}
