//! Identity and content hash of an item.
//!
//! Decides the bytes that are hashed. Invariants: the encoding is unambiguous (every value has a tag, every variable-length
//! one its length), so two different items never encode alike; the hash covers exactly the fields that are not volatile.

use crate::compiled::{FieldRule, ItemRule};
use weir_model::{ItemId, ItemSchema, KeyScope, Value};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// What the identity of every item of a type begins with.
pub(crate) fn seed(schema: &ItemSchema) -> Vec<u8> {
    let mut out = Vec::new();
    match schema.key_scope {
        KeyScope::Spider => text(&schema.spider, &mut out),
        KeyScope::Global => out.push(b'*'),
    }
    text(&schema.name, &mut out);
    out
}

/// Id and content hash, or the name of the key field that is empty. `scratch` is reused.
pub(crate) fn identify<'r>(
    rule: &'r ItemRule,
    values: &[Value],
    scratch: &mut Vec<u8>,
) -> Result<(ItemId, u64), &'r FieldRule> {
    scratch.clear();
    for (field, value) in rule.fields.iter().zip(values) {
        if !field.volatile {
            scratch.extend_from_slice(&field.name_hash.to_le_bytes());
            encode(value, scratch);
        }
    }
    let hash = xxh3_64(scratch);
    if rule.key.is_empty() {
        scratch.extend_from_slice(&rule.seed);
        return Ok((ItemId(xxh3_128(scratch)), hash));
    }
    scratch.clear();
    scratch.extend_from_slice(&rule.seed);
    for at in &rule.key {
        if is_empty(&values[*at]) {
            return Err(&rule.fields[*at]);
        }
        encode(&values[*at], scratch);
    }
    Ok((ItemId(xxh3_128(scratch)), hash))
}

/// Id and content hash of values that were read back, as `identify` gave them; no id without the key.
#[must_use]
pub fn identity_of(schema: &ItemSchema, values: &[Value]) -> (Option<ItemId>, u64) {
    let mut bytes = Vec::new();
    for (field, value) in schema.fields.iter().zip(values).filter(|(field, _)| !field.volatile) {
        bytes.extend_from_slice(&xxh3_64(field.name.as_bytes()).to_le_bytes());
        encode(value, &mut bytes);
    }
    let hash = xxh3_64(&bytes);
    if schema.key.is_empty() {
        bytes.extend_from_slice(&seed(schema));
        return (Some(ItemId(xxh3_128(&bytes))), hash);
    }
    (id_of(schema, values), hash)
}

/// The id alone: of it nothing but the key need be known. `None` without a key of its own, or when a value of it is missing.
#[must_use]
pub fn id_of(schema: &ItemSchema, values: &[Value]) -> Option<ItemId> {
    let mut bytes = seed(schema);
    for name in &schema.key {
        let value = values.get(schema.position(name)?).filter(|value| !is_empty(value))?;
        encode(value, &mut bytes);
    }
    (!schema.key.is_empty()).then(|| ItemId(xxh3_128(&bytes)))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Str(text) => text.trim().is_empty(),
        Value::List(list) => list.iter().all(is_empty),
        _ => false,
    }
}

fn text(value: &str, out: &mut Vec<u8>) {
    out.push(b's');
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    out.extend_from_slice(value.as_bytes());
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'0'),
        Value::Str(value) => text(value, out),
        Value::Int(n) => {
            out.push(b'i');
            out.extend_from_slice(&n.to_le_bytes());
        }
        Value::Float(f) => {
            out.push(b'f');
            // -0.0 and 0.0 are one value.
            out.extend_from_slice(&(f + 0.0).to_bits().to_le_bytes());
        }
        Value::Bool(b) => out.push(if *b { b'T' } else { b'F' }),
        Value::Datetime(ms) => {
            out.push(b'd');
            out.extend_from_slice(&ms.to_le_bytes());
        }
        Value::Geo { lat, lon } => {
            out.push(b'g');
            out.extend_from_slice(&(lat + 0.0).to_bits().to_le_bytes());
            out.extend_from_slice(&(lon + 0.0).to_bits().to_le_bytes());
        }
        Value::List(list) => {
            out.push(b'l');
            out.extend_from_slice(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|value| encode(value, out));
        }
        Value::Json(json) => {
            out.push(b'j');
            encode_json(json, out);
        }
    }
}

/// Objects by sorted keys: the order of an object's members is no content.
fn encode_json(json: &serde_json::Value, out: &mut Vec<u8>) {
    use serde_json::Value as Json;
    match json {
        Json::Null => out.push(b'0'),
        Json::Bool(b) => out.push(if *b { b'T' } else { b'F' }),
        Json::String(value) => text(value, out),
        Json::Number(number) => {
            let start = out.len();
            text(&number.to_string(), out);
            out[start] = b'n';
        }
        Json::Array(list) => {
            out.push(b'l');
            out.extend_from_slice(&(list.len() as u64).to_le_bytes());
            list.iter().for_each(|value| encode_json(value, out));
        }
        Json::Object(map) => {
            out.push(b'o');
            out.extend_from_slice(&(map.len() as u64).to_le_bytes());
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            for (key, value) in members {
                text(key, out);
                encode_json(value, out);
            }
        }
    }
}
