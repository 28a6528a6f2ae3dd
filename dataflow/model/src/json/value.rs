//! Values of items as natural JSON: `null`, text, numbers (a float always has a point or an exponent), truth values, lists;
//! `{"ms":..}` is an instant, `{"lat":..,"lon":..}` a place, `{"json":..}` any JSON.
//!
//! Invariant: what is written can be read. JSON that nests deeply is written as text (`{"json_text":".."}`), since it would
//! otherwise reach a reader's limit of depth only inside a message.

use crate::Value;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// JSON up to this depth is written as it is: serde_json reads 128 levels, and the message around it needs some.
const DEPTH_MAX: usize = 64;

/// Whether a value nests at most `left` levels deep.
pub(super) fn is_shallow(json: &serde_json::Value, left: usize) -> bool {
    match json {
        serde_json::Value::Array(list) => left > 0 && list.iter().all(|value| is_shallow(value, left - 1)),
        serde_json::Value::Object(map) => left > 0 && map.values().all(|value| is_shallow(value, left - 1)),
        _ => true,
    }
}

/// A map of carried values, shallow enough to be written as it is.
pub(super) fn is_shallow_map(map: &crate::Carry) -> bool {
    map.values().all(|value| is_shallow(value, DEPTH_MAX))
}

/// A value, to be written.
pub(super) struct Writes<'a>(pub &'a Value);

impl Serialize for Writes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Str(text) => serializer.serialize_str(text),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Bool(truth) => serializer.serialize_bool(*truth),
            Value::Datetime(ms) => one(serializer, "ms", ms),
            Value::Geo { lat, lon } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("lat", lat)?;
                map.serialize_entry("lon", lon)?;
                map.end()
            }
            Value::List(values) => serializer.collect_seq(values.iter().map(Writes)),
            Value::Json(json) if is_shallow(json, DEPTH_MAX) => one(serializer, "json", json),
            Value::Json(json) => one(serializer, "json_text", &json.to_string()),
        }
    }
}

fn one<S: Serializer>(serializer: S, key: &str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

/// A value that was read.
pub(super) struct Reads(pub Value);

impl<'de> Deserialize<'de> for Reads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Reads)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "a value: null, text, a number, true, false, a list, or an object with ms, lat and lon, json or json_text",
        )
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        let fits = i64::try_from(number);
        fits.map(Value::Int).map_err(|_| E::custom(format!("{number} is no integer of 64 bits with a sign")))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Str(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Str(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Reads(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let first: Option<String> = map.next_key()?;
        let value = match first.as_deref() {
            Some("ms") => Value::Datetime(map.next_value()?),
            Some("json") => Value::Json(map.next_value()?),
            Some("json_text") => {
                let text: String = map.next_value()?;
                Value::Json(
                    serde_json::from_str(&text).map_err(|error| de::Error::custom(format!("json_text: {error}")))?,
                )
            }
            Some("lat") => {
                let lat = map.next_value()?;
                let second: Option<String> = map.next_key()?;
                if second.as_deref() != Some("lon") {
                    return Err(de::Error::custom("a place is {\"lat\":..,\"lon\":..}"));
                }
                Value::Geo { lat, lon: map.next_value()? }
            }
            other => {
                return Err(de::Error::custom(format!("{other:?} is no kind of value (ms, lat, json, json_text)")));
            }
        };
        match map.next_key::<String>()? {
            None => Ok(value),
            Some(more) => Err(de::Error::custom(format!("{more:?} does not belong to this value"))),
        }
    }
}
