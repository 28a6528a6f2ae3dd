//! Compact binary for the journal: varints, strings, items. One writer and one reader, used by every record.
//!
//! Invariants: `read(write(x)) == x`; a reader never panics and never allocates more than the input is long.

use crate::{Item, ItemId, JobId, Value};

/// Bytes that are not what was expected: a damaged or foreign journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes end or differ where {expected} was expected")]
pub struct WireError {
    /// What the reader wanted.
    pub expected: &'static str,
}

/// Appends an unsigned integer, 7 bits a byte.
pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer, zigzag.
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends eight bytes, little-endian (hashes do not shrink as varints).
pub fn put_fixed(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Reads what `put_*` wrote.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// True at the end.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        let (&first, rest) = self.rest.split_first().ok_or(WireError { expected: "a byte" })?;
        self.rest = rest;
        Ok(first)
    }

    /// An unsigned varint.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError { expected: "an integer of at most 64 bits" })
    }

    /// A signed varint.
    pub fn i64(&mut self) -> Result<i64, WireError> {
        let raw = self.u64()?;
        Ok(((raw >> 1) as i64) ^ -((raw & 1) as i64))
    }

    /// Eight bytes, little-endian.
    pub fn fixed(&mut self) -> Result<u64, WireError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("take gives exactly eight")))
    }

    /// `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        if count > self.rest.len() {
            return Err(WireError { expected: "more bytes" });
        }
        let (head, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(head)
    }

    /// A length and that many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let len = usize::try_from(self.u64()?).map_err(|_| WireError { expected: "a length" })?;
        self.take(len)
    }

    /// A length and that many bytes of UTF-8.
    pub fn str(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError { expected: "UTF-8" })
    }
}

/// Appends a value.
pub fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Str(text) => {
            out.push(1);
            put_bytes(out, text.as_bytes());
        }
        Value::Int(number) => {
            out.push(2);
            put_i64(out, *number);
        }
        Value::Float(number) => {
            out.push(3);
            put_fixed(out, number.to_bits());
        }
        Value::Bool(truth) => out.push(4 + u8::from(*truth)),
        Value::Datetime(ms) => {
            out.push(6);
            put_i64(out, *ms);
        }
        Value::Geo { lat, lon } => {
            out.push(7);
            put_fixed(out, lat.to_bits());
            put_fixed(out, lon.to_bits());
        }
        Value::List(values) => {
            out.push(8);
            put_u64(out, values.len() as u64);
            for value in values {
                put_value(out, value);
            }
        }
        Value::Json(json) => {
            out.push(9);
            put_bytes(out, json.to_string().as_bytes());
        }
    }
}

/// Reads a value; lists nest at most 8 deep.
pub fn read_value(reader: &mut Reader<'_>) -> Result<Value, WireError> {
    read_value_at(reader, 0)
}

fn read_value_at(reader: &mut Reader<'_>, depth: u8) -> Result<Value, WireError> {
    Ok(match reader.u8()? {
        0 => Value::Null,
        1 => Value::Str(reader.str()?.into()),
        2 => Value::Int(reader.i64()?),
        3 => Value::Float(f64::from_bits(reader.fixed()?)),
        4 => Value::Bool(false),
        5 => Value::Bool(true),
        6 => Value::Datetime(reader.i64()?),
        7 => Value::Geo { lat: f64::from_bits(reader.fixed()?), lon: f64::from_bits(reader.fixed()?) },
        8 if depth < 8 => {
            let count = reader.u64()? as usize;
            if count > reader.rest().len() {
                return Err(WireError { expected: "a list" });
            }
            (0..count).map(|_| read_value_at(reader, depth + 1)).collect::<Result<_, _>>().map(Value::List)?
        }
        9 => Value::Json(
            serde_json::from_slice::<serde_json::Value>(reader.bytes()?)
                .map(Box::new)
                .map_err(|_| WireError { expected: "JSON" })?,
        ),
        _ => return Err(WireError { expected: "a value" }),
    })
}

/// Appends an item.
pub fn put_item(out: &mut Vec<u8>, item: &Item) {
    put_u64(out, item.job.0);
    put_u64(out, u64::from(item.schema));
    out.extend_from_slice(&item.id.0.to_le_bytes());
    put_fixed(out, item.hash);
    put_u64(out, item.version);
    put_u64(out, item.values.len() as u64);
    for value in &item.values {
        put_value(out, value);
    }
}

/// Reads an item.
pub fn read_item(reader: &mut Reader<'_>) -> Result<Item, WireError> {
    let job = JobId(reader.u64()?);
    let schema = u16::try_from(reader.u64()?).map_err(|_| WireError { expected: "a schema index" })?;
    let id = ItemId(u128::from_le_bytes(reader.take(16)?.try_into().expect("take gives exactly sixteen")));
    let hash = reader.fixed()?;
    let version = reader.u64()?;
    let count = reader.u64()? as usize;
    if count > reader.rest().len() {
        return Err(WireError { expected: "the values of an item" });
    }
    let values = (0..count).map(|_| read_value(reader)).collect::<Result<_, _>>()?;
    Ok(Item { job, schema, id, hash, version, values })
}
