//! Reading back: every row of the job's item types, its columns as values again. Changes nothing.

use crate::error::At;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use std::path::Path;
use weir_connector::{ErrorClass, JobInfo, Read, SinkError, StoredItem, read};
use weir_model::{Field, FieldKind, ItemId, ItemSchema, Value};

pub(crate) fn read_back(path: &Path, job: &JobInfo, each: &mut dyn FnMut(StoredItem)) -> Result<(), SinkError> {
    if !path.is_file() {
        return Err(SinkError::new(
            ErrorClass::Configuration,
            "the database is gone",
            path.display().to_string(),
            "the file that the job wrote",
            "Put it back, or name it as the job did with -o sqlite:PATH",
        ));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).at("open", path)?;
    connection.busy_timeout(crate::sink::BUSY_WAIT).at("open", path)?;
    for (number, schema) in job.schemas.iter().enumerate() {
        let there: Option<i64> = connection
            .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", [&schema.name], |row| {
                row.get(0)
            })
            .optional()
            .at("read", path)?;
        if there.is_none() {
            // As good as empty: whoever compares names what it lacks.
            continue;
        }
        let columns: String = schema.fields.iter().map(|field| format!(", \"{}\"", field.name)).collect();
        let sql = format!("SELECT \"_id\", \"_version\", \"_hash\"{columns} FROM \"{}\"", schema.name);
        let mut statement = connection.prepare(&sql).at("read", path)?;
        let mut rows = statement.query([]).at("read", path)?;
        while let Some(row) = rows.next().at("read", path)? {
            each(stored(number as u16, schema, row).at("read", path)?);
        }
    }
    Ok(())
}

fn stored(number: u16, schema: &ItemSchema, row: &Row<'_>) -> rusqlite::Result<StoredItem> {
    let number_of = |text: ValueRef<'_>| text.as_str().ok().and_then(|text| u128::from_str_radix(text, 16).ok());
    let mut values = Vec::with_capacity(schema.fields.len());
    for (at, field) in schema.fields.iter().enumerate() {
        values.push(value(field, row.get_ref(at + 3)?));
    }
    Ok(StoredItem {
        schema: number,
        id: number_of(row.get_ref(0)?).map(ItemId),
        version: row.get_ref(1)?.as_i64().ok().map(i64::cast_unsigned),
        hash: number_of(row.get_ref(2)?).and_then(|hash| u64::try_from(hash).ok()),
        values,
    })
}

fn value(field: &Field, cell: ValueRef<'_>) -> Read {
    match (cell, field.kind) {
        (ValueRef::Null, _) => Read::Value(Value::Null),
        (ValueRef::Text(text), _) => match std::str::from_utf8(text) {
            Ok(text) => read::from_text(field, Some(text)),
            Err(_) => Read::Foreign,
        },
        (ValueRef::Integer(number), FieldKind::Int) if !field.many => Read::Value(Value::Int(number)),
        (ValueRef::Integer(0 | 1), FieldKind::Bool) if !field.many => {
            Read::Value(Value::Bool(matches!(cell, ValueRef::Integer(1))))
        }
        (ValueRef::Real(number), FieldKind::Float) if !field.many => Read::Value(Value::Float(number)),
        (ValueRef::Integer(number), FieldKind::Json) => Read::Unsure(Value::Int(number)),
        (ValueRef::Real(number), FieldKind::Json) => Read::Unsure(Value::Float(number)),
        _ => Read::Foreign,
    }
}
