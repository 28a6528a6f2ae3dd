//! Values as text: JSON and numbers exactly as Python's `json` and `repr` write them, dates as RFC 3339.
//!
//! Feeds are read by people who compared them with Scrapy's; so the bytes are the same.

use serde_json::Value as Json;
use weir_model::Value;

/// How JSON text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonStyle {
    /// Everything beyond ASCII as `\uXXXX`.
    pub ascii: bool,
    /// Objects with sorted keys.
    pub sort_keys: bool,
    /// Spaces a level; 0: one line.
    pub indent: usize,
}

impl JsonStyle {
    /// Goes to the next line, or writes what stands there in a single line.
    pub fn line(self, out: &mut Vec<u8>, depth: usize, otherwise: &[u8]) {
        if self.indent == 0 {
            out.extend_from_slice(otherwise);
        } else {
            out.push(b'\n');
            out.resize(out.len() + self.indent * depth, b' ');
        }
    }

    /// Between two members.
    pub fn comma(self, out: &mut Vec<u8>, depth: usize) {
        out.push(b',');
        self.line(out, depth, b" ");
    }
}

/// Appends a string in quotes.
pub fn put_string(out: &mut Vec<u8>, text: &str, ascii: bool) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let unit = |out: &mut Vec<u8>, unit: u16| {
        let digit = |shift: u16| HEX[usize::from(unit >> shift & 15)];
        out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
    };
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut clean = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' && !(ascii && byte >= 0x7f) {
            continue;
        }
        if byte >= 0x80 && (byte & 0xc0) == 0x80 {
            continue; // a later byte of a character that was written
        }
        if clean < at {
            out.extend_from_slice(&bytes[clean..at]);
        }
        clean = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..=0x7f => unit(out, u16::from(byte)),
            _ => {
                let character = text[at..].chars().next().unwrap_or_default();
                for &code in &*character.encode_utf16(&mut [0; 2]) {
                    unit(out, code);
                }
                clean = at + character.len_utf8();
            }
        }
    }
    out.extend_from_slice(&bytes[clean..]);
    out.push(b'"');
}

/// Appends a float as Python's `repr`: shortest digits that read back, exponent from 1e16 and below 1e-4.
pub fn put_float(out: &mut Vec<u8>, number: f64) {
    if !number.is_finite() {
        let word = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        out.extend_from_slice(word.as_bytes());
        return;
    }
    let magnitude = number.abs();
    let start = out.len();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        put_display(out, format_args!("{number:e}"));
        // Rust writes 1e16 and 1e-5, Python 1e+16 and 1e-05.
        let Some(e) = out[start..].iter().position(|&b| b == b'e') else { return };
        let exponent = out.split_off(start + e + 1);
        let (sign, digits) = if exponent[0] == b'-' { (b'-', &exponent[1..]) } else { (b'+', &exponent[..]) };
        out.push(sign);
        if digits.len() < 2 {
            out.push(b'0');
        }
        out.extend_from_slice(digits);
    } else {
        put_display(out, format_args!("{number:?}"));
    }
}

/// Appends what `Display` gives.
pub fn put_display(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    std::io::Write::write_fmt(out, what).expect("a Vec takes everything");
}

/// Appends an instant as RFC 3339 in UTC, with milliseconds when there are any.
pub fn put_datetime(out: &mut Vec<u8>, unix_ms: i64) {
    match jiff::Timestamp::from_millisecond(unix_ms) {
        Ok(at) if unix_ms % 1000 == 0 => put_display(out, format_args!("{at:.0}")),
        Ok(at) => put_display(out, format_args!("{at:.3}")),
        Err(_) => put_display(out, format_args!("{unix_ms}")),
    }
}

/// An instant in microseconds since the Unix epoch (an item's version) as RFC 3339 in UTC with microseconds.
#[must_use]
pub fn version_as_time(version_us: u64) -> String {
    let at = i64::try_from(version_us).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    at.map_or_else(|| version_us.to_string(), |at| format!("{at:.6}"))
}

/// Appends a value as JSON.
pub fn put_value(out: &mut Vec<u8>, value: &Value, style: JsonStyle, depth: usize) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Str(text) => put_string(out, text, style.ascii),
        Value::Int(number) => put_display(out, format_args!("{number}")),
        Value::Float(number) => put_float(out, *number),
        Value::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Value::Datetime(ms) => {
            out.push(b'"');
            put_datetime(out, *ms);
            out.push(b'"');
        }
        Value::Geo { lat, lon } => {
            out.push(b'{');
            style.line(out, depth + 1, b"");
            out.extend_from_slice(b"\"lat\": ");
            put_float(out, *lat);
            style.comma(out, depth + 1);
            out.extend_from_slice(b"\"lon\": ");
            put_float(out, *lon);
            style.line(out, depth, b"");
            out.push(b'}');
        }
        Value::List(values) => {
            put_list(out, values, style, depth, |out, value| put_value(out, value, style, depth + 1))
        }
        Value::Json(json) => put_json(out, json, style, depth),
    }
}

fn put_list<T>(
    out: &mut Vec<u8>,
    values: &[T],
    style: JsonStyle,
    depth: usize,
    mut each: impl FnMut(&mut Vec<u8>, &T),
) {
    if values.is_empty() {
        out.extend_from_slice(b"[]");
        return;
    }
    out.push(b'[');
    style.line(out, depth + 1, b"");
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            style.comma(out, depth + 1);
        }
        each(out, value);
    }
    style.line(out, depth, b"");
    out.push(b']');
}

/// Appends any JSON.
pub fn put_json(out: &mut Vec<u8>, json: &Json, style: JsonStyle, depth: usize) {
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Json::Number(number) => put_number(out, number),
        Json::String(text) => put_string(out, text, style.ascii),
        Json::Array(values) => put_list(out, values, style, depth, |out, value| put_json(out, value, style, depth + 1)),
        Json::Object(map) if map.is_empty() => out.extend_from_slice(b"{}"),
        Json::Object(map) => {
            let mut members: Vec<(&String, &Json)> = map.iter().collect();
            if style.sort_keys {
                members.sort_by_key(|(key, _)| *key);
            }
            out.push(b'{');
            style.line(out, depth + 1, b"");
            for (at, (key, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    style.comma(out, depth + 1);
                }
                put_string(out, key, style.ascii);
                out.extend_from_slice(b": ");
                put_json(out, value, style, depth + 1);
            }
            style.line(out, depth, b"");
            out.push(b'}');
        }
    }
}

/// Appends a JSON number.
pub fn put_number(out: &mut Vec<u8>, number: &serde_json::Number) {
    match number.as_f64() {
        Some(float) if number.is_f64() => put_float(out, float),
        _ => put_display(out, format_args!("{number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(number: f64) -> String {
        let mut out = Vec::new();
        put_float(&mut out, number);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn floats_are_what_python_prints() {
        let python = [
            (334.39, "334.39"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (9999999999999998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (1.2345e22, "1.2345e+22"),
            (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-123456.789, "-123456.789"),
        ];
        for (number, expected) in python {
            assert_eq!(float(number), expected);
        }
    }

    #[test]
    fn strings_are_what_python_prints() {
        let text = "a\"b\\c\n\r\t\u{8}\u{c}\u{1}\u{7f}£☺😀/</script>\u{2028}";
        let mut plain = Vec::new();
        put_string(&mut plain, text, false);
        assert_eq!(
            String::from_utf8(plain).expect("UTF-8"),
            "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\u{7f}£☺😀/</script>\u{2028}\""
        );
        let mut ascii = Vec::new();
        put_string(&mut ascii, text, true);
        assert_eq!(
            String::from_utf8(ascii).expect("ASCII"),
            "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\\u007f\\u00a3\\u263a\\ud83d\\ude00/</script>\\u2028\""
        );
    }

    #[test]
    fn instants_are_rfc_3339_in_utc() {
        let mut out = Vec::new();
        put_datetime(&mut out, 1_420_074_061_000);
        out.push(b' ');
        put_datetime(&mut out, 1_420_074_061_250);
        assert_eq!(String::from_utf8(out).expect("ASCII"), "2015-01-01T01:01:01Z 2015-01-01T01:01:01.250Z");
        assert_eq!(version_as_time(1_420_074_061_000_007), "2015-01-01T01:01:01.000007Z");
    }
}
