//! One value of a row, and its text in a CSV column: what Python's `str` gives, since Scrapy users compare.

use serde_json::Value as Json;
use weir_connector::text;
use weir_model::Value;

/// A value of a row.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// Of an item.
    Value(&'a Value),
    /// Any JSON.
    Json(&'a Json),
    /// Text (housekeeping).
    Text(&'a str),
    /// A number (housekeeping).
    Number(u64),
}

impl Cell<'_> {
    /// Appends the text of a CSV column. Lists of strings are joined; other lists and objects are Python's `repr`.
    pub(crate) fn put_csv(&self, out: &mut Vec<u8>, join: &str) {
        match self {
            Cell::Value(value) => put_value(out, value, join),
            Cell::Json(json) => put_json(out, json, join),
            Cell::Text(text) => out.extend_from_slice(text.as_bytes()),
            Cell::Number(number) => text::put_display(out, format_args!("{number}")),
        }
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value, join: &str) {
    match value {
        Value::Null => {}
        Value::Str(text) => out.extend_from_slice(text.as_bytes()),
        Value::Datetime(ms) => text::put_datetime(out, *ms),
        Value::Geo { lat, lon } => {
            text::put_float(out, *lat);
            out.push(b',');
            text::put_float(out, *lon);
        }
        Value::List(values) if values.iter().all(|value| matches!(value, Value::Str(_) | Value::Datetime(_))) => {
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(join.as_bytes());
                }
                put_value(out, value, join);
            }
        }
        Value::Json(json) => put_json(out, json, join),
        other => put_value_repr(out, other),
    }
}

fn put_value_repr(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"None"),
        Value::Int(number) => text::put_display(out, format_args!("{number}")),
        Value::Float(number) => text::put_float(out, *number),
        Value::Bool(truth) => out.extend_from_slice(if *truth { b"True" } else { b"False" }),
        Value::Str(text) => put_string_repr(out, text),
        Value::Json(json) => put_json_repr(out, json),
        Value::Datetime(_) | Value::Geo { .. } => {
            let mut plain = Vec::new();
            put_value(&mut plain, value, ",");
            put_string_repr(out, &String::from_utf8_lossy(&plain));
        }
        Value::List(values) => {
            out.push(b'[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                put_value_repr(out, value);
            }
            out.push(b']');
        }
    }
}

fn put_json(out: &mut Vec<u8>, json: &Json, join: &str) {
    match json {
        Json::Null => {}
        Json::String(text) => out.extend_from_slice(text.as_bytes()),
        Json::Array(values) if values.iter().all(Json::is_string) => {
            for (at, text) in values.iter().filter_map(Json::as_str).enumerate() {
                if at > 0 {
                    out.extend_from_slice(join.as_bytes());
                }
                out.extend_from_slice(text.as_bytes());
            }
        }
        other => put_json_repr(out, other),
    }
}

fn put_json_repr(out: &mut Vec<u8>, json: &Json) {
    match json {
        Json::Null => out.extend_from_slice(b"None"),
        Json::Bool(truth) => out.extend_from_slice(if *truth { b"True" } else { b"False" }),
        Json::Number(number) => text::put_number(out, number),
        Json::String(text) => put_string_repr(out, text),
        Json::Array(values) => {
            out.push(b'[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                put_json_repr(out, value);
            }
            out.push(b']');
        }
        Json::Object(map) => {
            out.push(b'{');
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.extend_from_slice(b", ");
                }
                put_string_repr(out, key);
                out.extend_from_slice(b": ");
                put_json_repr(out, value);
            }
            out.push(b'}');
        }
    }
}

/// Python's `repr` of a string: single quotes unless it holds some and no double ones.
fn put_string_repr(out: &mut Vec<u8>, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote as u8);
    for c in text.chars() {
        match c {
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if c == quote => text::put_display(out, format_args!("\\{c}")),
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) || c == '\u{ad}' => {
                text::put_display(out, format_args!("\\x{:02x}", c as u32));
            }
            c => text::put_display(out, format_args!("{c}")),
        }
    }
    out.push(quote as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(json: Json) -> String {
        let mut out = Vec::new();
        Cell::Json(&json).put_csv(&mut out, ",");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn columns_are_what_python_prints() {
        assert_eq!(column(serde_json::json!(["Mary", "Paul"])), "Mary,Paul");
        assert_eq!(column(serde_json::json!([4, 8])), "[4, 8]");
        assert_eq!(column(serde_json::json!(["a", 1, null, true, 2.5])), "['a', 1, None, True, 2.5]");
        assert_eq!(
            column(serde_json::json!({"a": {"b": "it's"}, "c": "\"'\n"})),
            r#"{'a': {'b': "it's"}, 'c': '"\'\n'}"#
        );
        assert_eq!(column(serde_json::json!([])), "");
        assert_eq!(column(Json::Null), "");
        assert_eq!(column(serde_json::json!(false)), "False");
    }
}
