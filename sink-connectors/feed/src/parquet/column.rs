//! One column: its type in Parquet, what of an item's value goes into it, and the levels that say what is missing.
//!
//! A field is optional. A list is Parquet's three-level list of optional elements; a place is a group of `lat` and `lon`.

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedColumnWriter;
use parquet::schema::types::{Type, TypePtr};
use std::sync::Arc;
use weir_connector::text::{self, JsonStyle};
use weir_model::{FieldKind, Item, Value};

/// Where a column's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A field of the item.
    Field,
    /// Housekeeping.
    Id,
    Job,
    Spider,
    Version,
    Hash,
    Fetched,
}

/// The value of a housekeeping column.
pub fn housekeeping(source: Source, item: &Item, spider: &str) -> Value {
    match source {
        Source::Field => Value::Null,
        Source::Id => Value::Str(item.id.to_hex().into()),
        Source::Job => Value::Int(item.job.0 as i64),
        Source::Spider => Value::Str(spider.into()),
        Source::Version => Value::Int(item.version as i64),
        Source::Hash => Value::Str(format!("{:016x}", item.hash).into()),
        Source::Fetched => Value::Datetime((item.version / 1000) as i64),
    }
}

/// The type of a field's column.
pub fn type_of(name: &str, kind: FieldKind, many: bool) -> Result<TypePtr, ParquetError> {
    if !many {
        return element(name, kind);
    }
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![element("element", kind)?])
        .build()?;
    let outer = Type::group_type_builder(name)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(list)]);
    Ok(Arc::new(outer.build()?))
}

fn element(name: &str, kind: FieldKind) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match kind {
        FieldKind::Str => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        FieldKind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        FieldKind::Int => (Physical::INT64, None),
        FieldKind::Float => (Physical::DOUBLE, None),
        FieldKind::Bool => (Physical::BOOLEAN, None),
        FieldKind::Datetime => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
        FieldKind::Date => (Physical::INT32, Some(LogicalType::Date)),
        FieldKind::GeoPoint => {
            let degree = |name: &str| {
                let builder = Type::primitive_type_builder(name, Physical::DOUBLE);
                Ok::<_, ParquetError>(Arc::new(builder.with_repetition(Repetition::REQUIRED).build()?))
            };
            let group = Type::group_type_builder(name)
                .with_repetition(Repetition::OPTIONAL)
                .with_fields(vec![degree("lat")?, degree("lon")?]);
            return Ok(Arc::new(group.build()?));
        }
    };
    let builder = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
    Ok(Arc::new(builder.with_logical_type(logical).build()?))
}

/// One leaf of the schema while a row group fills.
#[derive(Debug)]
pub struct Leaf {
    values: Values,
    /// How much of the path to a value is there.
    def: Vec<i16>,
    /// 1: a further element of the same list.
    rep: Vec<i16>,
    many: bool,
}

#[derive(Debug)]
enum Values {
    I64(Vec<i64>),
    I32(Vec<i32>),
    F64(Vec<f64>),
    Bool(Vec<bool>),
    Bytes(Vec<ByteArray>),
}

impl Values {
    fn clear(&mut self) {
        match self {
            Values::I64(values) => values.clear(),
            Values::I32(values) => values.clear(),
            Values::F64(values) => values.clear(),
            Values::Bool(values) => values.clear(),
            Values::Bytes(values) => values.clear(),
        }
    }
}

/// A value as it is stored.
enum Stored {
    Null,
    I64(i64),
    I32(i32),
    F64(f64),
    Bool(bool),
    Bytes(Vec<u8>),
    Place(f64, f64),
}

impl Leaf {
    /// Leaves of a field.
    pub fn count(kind: FieldKind) -> usize {
        if kind == FieldKind::GeoPoint { 2 } else { 1 }
    }

    /// The leaves of a field, empty.
    pub fn of(kind: FieldKind, many: bool) -> Vec<Leaf> {
        let leaf = || {
            let values = match kind {
                FieldKind::Str | FieldKind::Json => Values::Bytes(Vec::new()),
                FieldKind::Int | FieldKind::Datetime => Values::I64(Vec::new()),
                FieldKind::Float | FieldKind::GeoPoint => Values::F64(Vec::new()),
                FieldKind::Bool => Values::Bool(Vec::new()),
                FieldKind::Date => Values::I32(Vec::new()),
            };
            Leaf { values, def: Vec::new(), rep: Vec::new(), many }
        };
        (0..Leaf::count(kind)).map(|_| leaf()).collect()
    }

    /// Writes what it holds as one column chunk and empties it.
    pub fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let def = Some(self.def.as_slice());
        let rep = self.many.then_some(self.rep.as_slice());
        match &self.values {
            Values::I64(values) => column.typed::<Int64Type>().write_batch(values, def, rep)?,
            Values::I32(values) => column.typed::<Int32Type>().write_batch(values, def, rep)?,
            Values::F64(values) => column.typed::<DoubleType>().write_batch(values, def, rep)?,
            Values::Bool(values) => column.typed::<BoolType>().write_batch(values, def, rep)?,
            Values::Bytes(values) => column.typed::<ByteArrayType>().write_batch(values, def, rep)?,
        };
        self.values.clear();
        self.def.clear();
        self.rep.clear();
        Ok(())
    }

    fn level(&mut self, def: i16, rep: i16) {
        self.def.push(def);
        if self.many {
            self.rep.push(rep);
        }
    }
}

/// Whether a value can go into a column; `Err` is what was expected.
pub fn check(kind: FieldKind, many: bool, value: &Value) -> Result<(), &'static str> {
    match value {
        Value::List(values) if many => values.iter().try_for_each(|value| stored(kind, value).map(drop)),
        value => stored(kind, value).map(drop),
    }
}

/// Adds one row's value to the leaves of its field; `None`: the row's item type has no such field.
pub fn push(leaves: &mut [Leaf], kind: FieldKind, many: bool, value: Option<&Value>) -> Result<(), String> {
    let null = Value::Null;
    let value = value.unwrap_or(&null);
    let mut one = |value: &Value, rep: i16, outer: i16| {
        let stored = stored(kind, value).map_err(|expected| format!("a value that is no {expected}"))?;
        put(leaves, stored, rep, outer);
        Ok::<(), String>(())
    };
    match value {
        Value::List(values) if many => {
            for (at, value) in values.iter().enumerate() {
                one(value, i16::from(at > 0), 2)?;
            }
            if values.is_empty() {
                leaves.iter_mut().for_each(|leaf| leaf.level(1, 0));
            }
            Ok(())
        }
        Value::Null if many => {
            leaves.iter_mut().for_each(|leaf| leaf.level(0, 0));
            Ok(())
        }
        value => one(value, 0, if many { 2 } else { 0 }),
    }
}

/// Adds a value; `outer` is the level at which the element itself is missing.
fn put(leaves: &mut [Leaf], stored: Stored, rep: i16, outer: i16) {
    let there = i16::from(!matches!(stored, Stored::Null));
    leaves.iter_mut().for_each(|leaf| leaf.level(outer + there, rep));
    match (leaves, stored) {
        (_, Stored::Null) => {}
        ([lat, lon], Stored::Place(north, east)) => {
            for (leaf, degrees) in [(lat, north), (lon, east)] {
                let Values::F64(values) = &mut leaf.values else { unreachable!("a place is made of floats") };
                values.push(degrees);
            }
        }
        ([leaf], stored) => match (&mut leaf.values, stored) {
            (Values::I64(values), Stored::I64(value)) => values.push(value),
            (Values::I32(values), Stored::I32(value)) => values.push(value),
            (Values::F64(values), Stored::F64(value)) => values.push(value),
            (Values::Bool(values), Stored::Bool(value)) => values.push(value),
            (Values::Bytes(values), Stored::Bytes(value)) => values.push(value.into()),
            _ => unreachable!("`stored` gives what the kind's leaf holds"),
        },
        _ => unreachable!("a place has two leaves, everything else one"),
    }
}

/// A value by its column's type; `Err` is what was expected.
fn stored(kind: FieldKind, value: &Value) -> Result<Stored, &'static str> {
    Ok(match (kind, value) {
        (_, Value::Null) => Stored::Null,
        (FieldKind::Str, Value::Str(text)) => Stored::Bytes(text.as_bytes().to_vec()),
        (FieldKind::Str, value) => {
            let mut out = Vec::new();
            text::put_value(&mut out, value, JsonStyle::default(), 0);
            Stored::Bytes(out)
        }
        (FieldKind::Json, value) => {
            let mut out = Vec::new();
            text::put_value(&mut out, value, JsonStyle::default(), 0);
            Stored::Bytes(out)
        }
        (FieldKind::Int, Value::Int(number)) => Stored::I64(*number),
        (FieldKind::Int, _) => return Err("whole number"),
        (FieldKind::Float, Value::Float(number)) => Stored::F64(*number),
        (FieldKind::Float, Value::Int(number)) => Stored::F64(*number as f64),
        (FieldKind::Float, _) => return Err("number"),
        (FieldKind::Bool, Value::Bool(truth)) => Stored::Bool(*truth),
        (FieldKind::Bool, _) => return Err("truth value"),
        (FieldKind::Datetime, Value::Datetime(ms)) => Stored::I64(*ms),
        (FieldKind::Datetime, _) => return Err("instant"),
        (FieldKind::Date, Value::Str(text)) => Stored::I32(days(text).ok_or("date (YYYY-MM-DD)")?),
        (FieldKind::Date, _) => return Err("date (YYYY-MM-DD)"),
        (FieldKind::GeoPoint, Value::Geo { lat, lon }) => Stored::Place(*lat, *lon),
        (FieldKind::GeoPoint, _) => return Err("place"),
    })
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` when it is none. Counts years from March, so that the day that a
/// leap year adds is a year's last.
fn days(date: &str) -> Option<i32> {
    let mut fields = date.split('-');
    let (year, month, day) = (fields.next()?, fields.next()?, fields.next()?);
    let good = fields.next().is_none() && year.len() == 4 && month.len() == 2 && day.len() == 2;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i32>().ok()).flatten();
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !good || !(1..=last).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between the first of March of the year 0 and 1970.
    Some(365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_since_1970() {
        let known = [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2026-11-21", 20_778),
            ("0001-01-01", -719_162),
        ];
        for (date, count) in known {
            assert_eq!(days(date), Some(count), "{date}");
        }
        for bad in ["2026-02-29", "2026-13-01", "2026-1-1", "1900-02-29", "soon", "2026-01-01T00:00", "+026-01-01"] {
            assert_eq!(days(bad), None, "{bad}");
        }
    }
}
