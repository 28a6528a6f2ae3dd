//! Items: what a crawl is for. An item is a row of typed values in the order of its schema's fields.
//!
//! Invariants: `values.len() == schema.fields.len()`; `hash` covers exactly the fields that are not volatile; housekeeping
//! (`_job, _spider, _version, _hash, _fetched_at`) is no field, sinks add it from the item.

use crate::{ItemId, JobId};
use serde::{Deserialize, Serialize};

/// The type of a field, hence of its column in a table and its mapping in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Text.
    Str,
    /// 64-bit signed integer.
    Int,
    /// 64-bit float.
    Float,
    /// True or false.
    Bool,
    /// An instant, milliseconds since the Unix epoch, shown as RFC 3339 in UTC.
    Datetime,
    /// A calendar date, shown as `YYYY-MM-DD`; kept as text.
    Date,
    /// Latitude and longitude, WGS 84.
    GeoPoint,
    /// Any JSON value, kept as it is.
    Json,
}

/// One field of an item type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Name: a column, a JSON key.
    pub name: String,
    /// Type of one value.
    pub kind: FieldKind,
    /// A list of values of that type.
    #[serde(default)]
    pub many: bool,
    /// Left out of the content hash and of comparisons (`volatile = true`, or its source is `now`).
    #[serde(default)]
    pub volatile: bool,
}

/// Whether the spider's name is part of an item's identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// Identity = spider name + item type + key values.
    #[default]
    Spider,
    /// Identity = item type + key values: several spiders feed one listing.
    Global,
}

/// The schema of one item type of a spider: what sinks make their tables and mappings of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemSchema {
    /// The spider's name.
    pub spider: String,
    /// The item type (`property` of `[item.property]`).
    pub name: String,
    /// Fields in the order of the spider file.
    pub fields: Vec<Field>,
    /// Names of the key fields; empty: the content hash is the key.
    pub key: Vec<String>,
    /// Scope of the key.
    #[serde(default)]
    pub key_scope: KeyScope,
}

impl ItemSchema {
    /// Position of a field.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// One value of a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "v", rename_all = "snake_case")]
pub enum Value {
    /// Nothing found, or nothing that converts.
    #[default]
    Null,
    /// Text.
    Str(Box<str>),
    /// Integer.
    Int(i64),
    /// Float; always finite.
    Float(f64),
    /// Truth value.
    Bool(bool),
    /// Milliseconds since the Unix epoch.
    Datetime(i64),
    /// Latitude, longitude.
    Geo {
        /// Degrees north.
        lat: f64,
        /// Degrees east.
        lon: f64,
    },
    /// A list (`many = true`).
    List(Vec<Value>),
    /// Any JSON.
    Json(Box<serde_json::Value>),
}

impl Value {
    /// True for `Null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Bytes this value holds on the heap, about: what bounds count.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Value::Str(text) => text.len(),
            Value::List(values) => values.iter().map(|v| size_of::<Value>() + v.heap_bytes()).sum(),
            Value::Json(json) => json_bytes(json),
            _ => 0,
        }
    }
}

fn json_bytes(json: &serde_json::Value) -> usize {
    match json {
        serde_json::Value::String(text) => 24 + text.len(),
        serde_json::Value::Array(list) => 24 + list.iter().map(json_bytes).sum::<usize>(),
        serde_json::Value::Object(map) => map.iter().map(|(k, v)| 48 + k.len() + json_bytes(v)).sum(),
        _ => 24,
    }
}

/// One extracted item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The job that produced it.
    pub job: JobId,
    /// Index of its schema in the spider's list of item types.
    pub schema: u16,
    /// Identity across crawls.
    pub id: ItemId,
    /// xxh3 over the fields that are not volatile.
    pub hash: u64,
    /// Start of the fetch that produced it, microseconds since the Unix epoch: newest wins.
    pub version: u64,
    /// Values in the order of the schema's fields.
    pub values: Vec<Value>,
}

impl Item {
    /// Bytes of this item, about: what bounds count.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Item>() + self.values.iter().map(|v| size_of::<Value>() + v.heap_bytes()).sum::<usize>()
    }
}
