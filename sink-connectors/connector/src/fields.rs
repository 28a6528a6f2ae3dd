//! What a sink remembers of an item type's fields, and the way back from what it stores to the item's JSON. Pure.
//!
//! Invariant: from whichever sink a value is read, it is the JSON that a feed would have.

use serde_json::{Map, Value as Json};
use weir_model::{Field, FieldKind, ItemSchema};

/// `float`, `list of str`.
#[must_use]
pub fn described(field: &Field) -> String {
    let kind =
        serde_json::to_value(field.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    if field.many { format!("list of {kind}") } else { kind }
}

/// What is kept of a schema, to compare the next one with and to read items back: `name kind` a line.
#[must_use]
pub fn remembered(schema: &ItemSchema) -> String {
    schema.fields.iter().map(|field| format!("{} {}\n", field.name, described(field))).collect()
}

/// The fields of `remembered`; lines of kinds that this version does not know are left out.
#[must_use]
pub fn recalled(remembered: &str) -> Vec<Field> {
    let field = |line: &str| {
        let (name, kind) = line.split_once(' ')?;
        let (kind, many) = kind.strip_prefix("list of ").map_or((kind, false), |kind| (kind, true));
        let kind: FieldKind = serde_json::from_value(Json::String(kind.to_owned())).ok()?;
        Some(Field { name: name.to_owned(), kind, many, volatile: false })
    };
    remembered.lines().filter_map(field).collect()
}

/// A value from the text of a column or a hash.
#[must_use]
pub fn from_text(field: &Field, text: &str) -> Json {
    let plain = || Json::String(text.to_owned());
    if field.many || field.kind == FieldKind::Json {
        return normal(field, serde_json::from_str(text).unwrap_or_else(|_| plain()));
    }
    let read = match field.kind {
        FieldKind::Int => text.parse::<i64>().ok().map(Json::from),
        FieldKind::Float => text.parse::<f64>().ok().map(Json::from),
        FieldKind::Bool => match text {
            "true" | "1" => Some(Json::Bool(true)),
            "false" | "0" => Some(Json::Bool(false)),
            _ => None,
        },
        FieldKind::GeoPoint => text.split_once(',').and_then(|(lat, lon)| place(lat.parse().ok()?, lon.parse().ok()?)),
        FieldKind::Str | FieldKind::Date | FieldKind::Datetime | FieldKind::Json => None,
    };
    read.unwrap_or_else(plain)
}

/// A place as JSON; `None` for numbers that JSON does not have.
#[must_use]
pub fn place(lat: f64, lon: f64) -> Option<Json> {
    let number = |number: f64| serde_json::Number::from_f64(number).map(Json::Number);
    Some(Json::Object(Map::from_iter([("lat".to_owned(), number(lat)?), ("lon".to_owned(), number(lon)?)])))
}

/// A value from JSON that may have changed its spelling on the way: whole numbers in fields of floats.
#[must_use]
pub fn normal(field: &Field, value: Json) -> Json {
    match value {
        Json::Array(values) if field.many => {
            Json::Array(values.into_iter().map(|value| normal_one(field.kind, value)).collect())
        }
        value => normal_one(field.kind, value),
    }
}

fn normal_one(kind: FieldKind, value: Json) -> Json {
    match (kind, value.as_f64()) {
        (FieldKind::Float, Some(number)) => number.into(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(kind: FieldKind, many: bool) -> Field {
        Field { name: "f".to_owned(), kind, many, volatile: false }
    }

    #[test]
    fn what_is_remembered_is_recalled() {
        let schema = crate::contract::schema();
        let kept = remembered(&schema);
        assert!(kept.starts_with("url str\nprice float\nrooms int\ntags list of str\nseen datetime\n"), "{kept}");
        assert_eq!(recalled(&kept), schema.fields);
        assert_eq!(recalled("a hologram\nno-kind\nb int\n").len(), 1, "what a later version knows");
    }

    #[test]
    fn text_becomes_the_json_that_a_feed_has() {
        for (kind, many, text, expected) in [
            (FieldKind::Str, false, "12", json!("12")),
            (FieldKind::Int, false, "12", json!(12)),
            (FieldKind::Float, false, "12", json!(12.0)),
            (FieldKind::Bool, false, "1", json!(true)),
            (FieldKind::Bool, false, "false", json!(false)),
            (FieldKind::Datetime, false, "2015-01-01T01:01:01Z", json!("2015-01-01T01:01:01Z")),
            (FieldKind::GeoPoint, false, "51.5,-0.25", json!({"lat": 51.5, "lon": -0.25})),
            (FieldKind::Json, false, "{\"n\": [1, 2.5, null]}", json!({"n": [1, 2.5, null]})),
            (FieldKind::Str, true, "[\"a,b\"]", json!(["a,b"])),
            (FieldKind::Float, true, "[1, 2.5]", json!([1.0, 2.5])),
            (FieldKind::Int, false, "a dozen", json!("a dozen")),
        ] {
            assert_eq!(from_text(&field(kind, many), text), expected, "{text}");
        }
    }
}
