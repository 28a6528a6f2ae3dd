//! Back from what sinks write (`text`) to values: for what is read back. Pure.
//!
//! Invariant: what comes back is the value that was written, or `Unsure` with the likeliest where the text does not tell (a plain value in
//! a JSON field may have been text or JSON); what nobody wrote is an error.

use std::sync::Arc;
use weir_model::{Field, FieldKind, Item, ItemId, ItemSchema, Value};

/// What is read back of an item.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredItem {
    /// Index of its type in the job's list.
    pub schema: u16,
    /// Its identity, where the sink keeps it.
    pub id: Option<ItemId>,
    /// Its version, where the sink keeps it.
    pub version: Option<u64>,
    /// The content hash it was written with, where the sink keeps it.
    pub hash: Option<u64>,
    /// Its values now, field by field.
    pub values: Vec<Read>,
}

/// A value as it was read back.
#[derive(Clone, Debug, PartialEq)]
pub enum Read {
    /// This.
    Value(Value),
    /// What is there does not say which value was written (cut text, a plain value in a JSON field): as it is there, or null.
    Unsure(Value),
    /// Not what a sink writes for this field: somebody else did.
    Foreign,
}

impl StoredItem {
    /// What people call it: its key's values, or its id.
    #[must_use]
    pub fn name(&self, schema: &ItemSchema) -> Option<String> {
        let shown = |name: &String| match self.values.get(schema.position(name)?)? {
            Read::Value(Value::Str(text)) => Some(text.to_string()),
            Read::Value(Value::Null) | Read::Unsure(_) | Read::Foreign => None,
            Read::Value(value) => {
                let mut text = Vec::new();
                crate::text::put_value(&mut text, value, crate::text::JsonStyle::default(), 0);
                String::from_utf8(text).ok()
            }
        };
        let names: Option<Vec<String>> = schema.key.iter().map(shown).collect();
        names.filter(|names| !names.is_empty()).map(|names| names.join(" "))
    }
}

/// The name of an item that is at hand, as `StoredItem::name` gives it.
#[must_use]
pub fn name_of(schema: &ItemSchema, item: &Item) -> Option<String> {
    let values = item.values.iter().cloned().map(Read::Value).collect();
    StoredItem { schema: item.schema, id: Some(item.id), version: None, hash: None, values }.name(schema)
}

/// What a person calls an item of a job with these types: its key's values, else its id; no longer than a line of a log bears.
#[must_use]
pub fn called(schemas: &[Arc<ItemSchema>], item: &Item) -> String {
    let name = schemas.get(usize::from(item.schema)).and_then(|schema| name_of(schema, item));
    let name = name.unwrap_or_else(|| item.id.to_hex());
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}

/// A URL is shorter; a key that is a whole description would fill the log.
const NAME_CHARS_MAX: usize = 300;

/// A value of text, as SQLite, Redis and CSV have it; `None`: nothing there.
#[must_use]
pub fn from_text(field: &Field, text: Option<&str>) -> Read {
    let Some(text) = text else { return Read::Value(Value::Null) };
    if field.many || field.kind == FieldKind::Json {
        return serde_json::from_str(text).map_or(Read::Foreign, |json| from_json(field, &json));
    }
    one(field.kind, text)
}

fn one(kind: FieldKind, text: &str) -> Read {
    let value = match kind {
        FieldKind::Str | FieldKind::Date => Some(Value::Str(text.into())),
        FieldKind::Int => text.parse().ok().map(Value::Int),
        FieldKind::Float => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
        FieldKind::Bool => match text {
            "true" | "True" | "1" => Some(Value::Bool(true)),
            "false" | "False" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        FieldKind::Datetime => text.parse::<jiff::Timestamp>().ok().map(|at| Value::Datetime(at.as_millisecond())),
        FieldKind::GeoPoint => text
            .split_once(',')
            .and_then(|(lat, lon)| Some(Value::Geo { lat: lat.parse().ok()?, lon: lon.parse().ok()? })),
        FieldKind::Json => None,
    };
    value.map_or(Read::Foreign, Read::Value)
}

/// A value of JSON, as feeds have it.
#[must_use]
pub fn from_json(field: &Field, json: &serde_json::Value) -> Read {
    use serde_json::Value as Json;
    match (json, field.many) {
        (Json::Null, _) => Read::Value(Value::Null),
        (Json::Array(list), true) => {
            let one = Field { many: false, ..field.clone() };
            let mut values = Vec::with_capacity(list.len());
            for json in list {
                match from_json(&one, json) {
                    Read::Value(value) => values.push(value),
                    other => return other,
                }
            }
            Read::Value(Value::List(values))
        }
        (_, true) => Read::Foreign,
        (json, false) => one_of_json(field.kind, json),
    }
}

fn one_of_json(kind: FieldKind, json: &serde_json::Value) -> Read {
    use serde_json::Value as Json;
    let value = match (kind, json) {
        (FieldKind::Json, Json::Object(_) | Json::Array(_)) => Some(Value::Json(Box::new(json.clone()))),
        (FieldKind::Json, Json::String(text)) => return Read::Unsure(Value::Str(text.as_str().into())),
        (FieldKind::Json, plain) => return Read::Unsure(Value::Json(Box::new(plain.clone()))),
        (FieldKind::Bool, Json::Bool(truth)) => Some(Value::Bool(*truth)),
        (FieldKind::Int, Json::Number(number)) => number.as_i64().map(Value::Int),
        (FieldKind::Float, Json::Number(number)) => number.as_f64().map(Value::Float),
        (FieldKind::GeoPoint, Json::Object(place)) => {
            let degrees = |name: &str| place.get(name).and_then(Json::as_f64);
            degrees("lat").zip(degrees("lon")).map(|(lat, lon)| Value::Geo { lat, lon })
        }
        (FieldKind::Str | FieldKind::Date | FieldKind::Datetime, Json::String(text)) => return one(kind, text),
        _ => None,
    };
    value.map_or(Read::Foreign, Read::Value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;
    use crate::text::{JsonStyle, put_datetime, put_float, put_value};

    #[test]
    fn what_the_suites_items_are_written_as_reads_back_as_what_they_were() {
        let schema = contract::schema();
        for id in [1, 2] {
            let item = contract::item(id, 1, 334.1);
            for (field, value) in schema.fields.iter().zip(&item.values) {
                let mut json = Vec::new();
                put_value(&mut json, value, JsonStyle::default(), 0);
                let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
                assert_eq!(from_json(field, &json), Read::Value(value.clone()), "{}", field.name);
                let mut text = Vec::new();
                match value {
                    Value::Null => {}
                    Value::Str(string) => text.extend_from_slice(string.as_bytes()),
                    Value::Datetime(ms) => put_datetime(&mut text, *ms),
                    Value::Geo { lat, lon } => {
                        put_float(&mut text, *lat);
                        text.push(b',');
                        put_float(&mut text, *lon);
                    }
                    other => put_value(&mut text, other, JsonStyle::default(), 0),
                }
                let text = std::str::from_utf8(&text).expect("UTF-8");
                let text = (!value.is_null()).then_some(text);
                assert_eq!(from_text(field, text), Read::Value(value.clone()), "{}", field.name);
            }
        }
    }

    #[test]
    fn what_nobody_wrote_is_foreign_and_what_cannot_be_told_unsure() {
        let schema = contract::schema();
        let field = |name: &str| &schema.fields[schema.position(name).expect("a field")];
        assert_eq!(from_text(field("price"), Some("cheap")), Read::Foreign);
        assert_eq!(from_text(field("location"), Some("51.5")), Read::Foreign);
        assert_eq!(from_text(field("tags"), Some("{}")), Read::Foreign);
        assert_eq!(
            from_text(field("extra"), Some("\"text or JSON\"")),
            Read::Unsure(Value::Str("text or JSON".into()))
        );
        assert_eq!(from_json(field("new"), &serde_json::json!(1)), Read::Foreign);
    }

    #[test]
    fn an_item_is_called_by_its_key() {
        let schema = contract::schema();
        assert_eq!(name_of(&schema, &contract::item(7, 1, 1.0)).as_deref(), Some("http://site/00007"));
        let item = contract::item(7, 1, 1.0);
        assert_eq!(called(&[Arc::new(schema.clone())], &item), "http://site/00007");
        assert_eq!(called(&[], &item), item.id.to_hex());
        let other = ItemSchema { key: vec!["rooms".into(), "url".into()], ..schema };
        assert_eq!(name_of(&other, &contract::item(7, 1, 1.0)).as_deref(), Some("7 http://site/00007"));
    }
}
