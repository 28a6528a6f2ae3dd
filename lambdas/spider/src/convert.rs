//! From texts and JSON values to typed values.
//!
//! Decides what converts. Invariant: a float is finite, a point is on the globe; what does not convert is an `Err` with the
//! name of its counter, never a guess.

use jiff::civil;
use std::borrow::Cow;
use weir_model::{FieldKind, Value};

/// The counter's name and the example.
pub(crate) type Misfit = &'static str;

/// Converts a text.
pub(crate) fn from_text(text: Cow<'_, str>, kind: FieldKind, format: Option<&str>) -> Result<Value, Misfit> {
    match kind {
        FieldKind::Str => Ok(Value::Str(text.into())),
        FieldKind::Int => int(text.trim()).map(Value::Int).ok_or("not_an_int"),
        FieldKind::Float => float(text.trim()).map(Value::Float).ok_or("not_a_float"),
        FieldKind::Bool => boolean(text.trim()).map(Value::Bool).ok_or("not_a_bool"),
        FieldKind::Datetime => datetime(text.trim(), format).map(Value::Datetime).ok_or("not_a_datetime"),
        FieldKind::Date => date(text.trim(), format).map(|d| Value::Str(d.into())).ok_or("not_a_date"),
        FieldKind::GeoPoint => point_text(text.trim()).ok_or("not_a_point"),
        FieldKind::Json => serde_json::from_str(&text).map(|json| Value::Json(Box::new(json))).map_err(|_| "not_json"),
    }
}

/// Converts a JSON value that is not null.
pub(crate) fn from_json(json: &serde_json::Value, kind: FieldKind, format: Option<&str>) -> Result<Value, Misfit> {
    use serde_json::Value as Json;
    match (kind, json) {
        (FieldKind::Json, _) => Ok(Value::Json(Box::new(json.clone()))),
        (FieldKind::Int, Json::Number(number)) => {
            number.as_i64().or_else(|| number.as_f64().and_then(whole)).map(Value::Int).ok_or("not_an_int")
        }
        (FieldKind::Float, Json::Number(number)) => {
            number.as_f64().filter(|f| f.is_finite()).map(Value::Float).ok_or("not_a_float")
        }
        (FieldKind::Bool, Json::Bool(value)) => Ok(Value::Bool(*value)),
        (FieldKind::Datetime, Json::Number(number)) if format.is_none() => {
            number.as_f64().and_then(unix_ms).map(Value::Datetime).ok_or("not_a_datetime")
        }
        (FieldKind::GeoPoint, Json::Object(_) | Json::Array(_)) => point_json(json).ok_or("not_a_point"),
        (_, Json::String(text)) => from_text(Cow::Borrowed(text), kind, format),
        (FieldKind::Str, Json::Object(_)) => Err("is_an_object"),
        (_, other) => from_text(Cow::Owned(other.to_string()), kind, format),
    }
}

fn int(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn whole(number: f64) -> Option<i64> {
    // 2^53: beyond it a float does not hold every integer.
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64)
}

fn float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|f: &f64| f.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    const WORDS: [(&str, bool); 12] = [
        ("true", true),
        ("false", false),
        ("yes", true),
        ("no", false),
        ("1", true),
        ("0", false),
        ("on", true),
        ("off", false),
        ("y", true),
        ("n", false),
        ("t", true),
        ("f", false),
    ];
    WORDS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, value)| *value)
}

/// Seconds since the epoch; milliseconds when they would lie beyond the year 5138.
fn unix_ms(number: f64) -> Option<i64> {
    let ms = if number.abs() < 1e11 { number * 1000.0 } else { number };
    (ms.abs() < 2.5e14).then_some(ms.round() as i64)
}

/// RFC 3339, a date with a time (UTC when it does not say), a date (its midnight), RFC 2822; or as `format` says.
fn datetime(text: &str, format: Option<&str>) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    if let Some(format) = format {
        let parts = jiff::fmt::strtime::parse(format, text).ok()?;
        if let Ok(stamp) = parts.to_timestamp() {
            return Some(stamp.as_millisecond());
        }
        let date = parts.to_date().ok()?;
        let time = parts.to_time().unwrap_or(civil::Time::midnight());
        return utc_ms(date.to_datetime(time));
    }
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(stamp.as_millisecond());
    }
    if let Ok(local) = text.parse::<civil::DateTime>() {
        return utc_ms(local);
    }
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

fn utc_ms(local: civil::DateTime) -> Option<i64> {
    local.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

fn date(text: &str, format: Option<&str>) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let date = match format {
        Some(format) => jiff::fmt::strtime::parse(format, text).ok()?.to_date().ok()?,
        None => match text.parse::<civil::Date>() {
            Ok(date) => date,
            // An instant has the date of the place that it was written for.
            Err(_) if text.parse::<jiff::Timestamp>().is_ok() => text.get(..10)?.parse().ok()?,
            Err(_) => jiff::fmt::rfc2822::parse(text).ok()?.date(),
        },
    };
    Some(date.to_string())
}

/// An instant as RFC 3339 in UTC.
pub(crate) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |stamp| stamp.to_string())
}

/// `lat,lon`.
fn point_text(text: &str) -> Option<Value> {
    let (lat, lon) = text.split_once([',', ';', ' '])?;
    point(float(lat.trim())?, float(lon.trim_start_matches([',', ';', ' ']).trim())?)
}

/// An object with lat and lon under one of their usual names, a GeoJSON point, or `[lon, lat]` as GeoJSON has it.
fn point_json(json: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    let number = |value: &Json| match value {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => float(text.trim()),
        _ => None,
    };
    match json {
        Json::Array(list) => point(number(list.get(1)?)?, number(list.first()?)?),
        Json::Object(map) => {
            if let Some(coordinates @ Json::Array(_)) = map.get("coordinates") {
                return point_json(coordinates);
            }
            let find = |names: [&str; 4]| names.iter().find_map(|name| map.get(*name)).and_then(number);
            point(
                find(["lat", "latitude", "Latitude", "y"])?,
                find(["lon", "lng", "longitude", "Longitude"]).or_else(|| map.get("x").and_then(number))?,
            )
        }
        _ => None,
    }
}

fn point(lat: f64, lon: f64) -> Option<Value> {
    ((-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon)).then_some(Value::Geo { lat, lon })
}

/// A typed value as JSON: what `carry` takes along.
pub(crate) fn to_json(value: Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null => Json::Null,
        Value::Str(text) => Json::String(text.into()),
        Value::Int(n) => n.into(),
        Value::Float(f) => f.into(),
        Value::Bool(b) => b.into(),
        Value::Datetime(ms) => Json::String(rfc3339(ms)),
        Value::Geo { lat, lon } => serde_json::json!({ "lat": lat, "lon": lon }),
        Value::List(list) => Json::Array(list.into_iter().map(to_json).collect()),
        Value::Json(json) => *json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(text: &str, kind: FieldKind, format: Option<&str>) -> Result<Value, Misfit> {
        from_text(text.into(), kind, format)
    }

    #[test]
    fn numbers_convert_or_say_so() {
        assert_eq!(text(" 1400.23 ", FieldKind::Float, None), Ok(Value::Float(1400.23)));
        assert_eq!(text("1,400", FieldKind::Float, None), Err("not_a_float"));
        assert_eq!(text("inf", FieldKind::Float, None), Err("not_a_float"));
        assert_eq!(text("NaN", FieldKind::Float, None), Err("not_a_float"));
        assert_eq!(text("+12", FieldKind::Int, None), Ok(Value::Int(12)));
        assert_eq!(text("12.0", FieldKind::Int, None), Err("not_an_int"));
        assert_eq!(from_json(&json!(12.0), FieldKind::Int, None), Ok(Value::Int(12)));
        assert_eq!(from_json(&json!(12.5), FieldKind::Int, None), Err("not_an_int"));
        assert_eq!(from_json(&json!("12.5"), FieldKind::Float, None), Ok(Value::Float(12.5)));
        assert_eq!(from_json(&json!({"a": 1}), FieldKind::Str, None), Err("is_an_object"));
    }

    #[test]
    fn times_are_read_in_their_usual_forms() {
        let day = 1_763_683_200_000;
        for (form, expected) in [
            ("2025-11-21T00:00:00Z", day),
            ("2025-11-21T01:00:00+01:00", day),
            ("2025-11-21", day),
            ("2025-11-21 00:00:01", day + 1000),
            ("Fri, 21 Nov 2025 00:00:00 +0000", day),
        ] {
            assert_eq!(text(form, FieldKind::Datetime, None), Ok(Value::Datetime(expected)), "{form}");
        }
        assert_eq!(
            text("21/11/2025 06:30", FieldKind::Datetime, Some("%d/%m/%Y %H:%M")),
            Ok(Value::Datetime(day + 23_400_000))
        );
        assert_eq!(text("soon", FieldKind::Datetime, None), Err("not_a_datetime"));
        assert_eq!(from_json(&json!(1_763_683_200), FieldKind::Datetime, None), Ok(Value::Datetime(day)));
        assert_eq!(from_json(&json!(day), FieldKind::Datetime, None), Ok(Value::Datetime(day)));
    }

    #[test]
    fn dates_become_iso_dates() {
        for (form, format) in [
            ("2025-11-21", None),
            ("2025-11-21T23:00:00-05:00", None),
            ("2025-11-21T23:00:00Z", None),
            ("21 Nov 2025", Some("%d %b %Y")),
        ] {
            assert_eq!(text(form, FieldKind::Date, format), Ok(Value::Str("2025-11-21".into())), "{form}");
        }
        assert_eq!(text("2025-13-21", FieldKind::Date, None), Err("not_a_date"));
    }

    #[test]
    fn points_are_read_in_their_usual_forms_and_stay_on_the_globe() {
        let london = Value::Geo { lat: 51.5, lon: -0.12 };
        assert_eq!(text("51.5, -0.12", FieldKind::GeoPoint, None), Ok(london.clone()));
        for json in [
            json!({"lat": 51.5, "lng": -0.12}),
            json!({"latitude": "51.5", "longitude": "-0.12"}),
            json!([-0.12, 51.5]),
            json!({"type": "Point", "coordinates": [-0.12, 51.5]}),
        ] {
            assert_eq!(from_json(&json, FieldKind::GeoPoint, None), Ok(london.clone()), "{json}");
        }
        assert_eq!(text("151.5,0", FieldKind::GeoPoint, None), Err("not_a_point"));
    }

    #[test]
    fn truth_is_spelt_in_several_ways() {
        for (word, truth) in [("Yes", true), ("0", false), ("TRUE", true), ("off", false)] {
            assert_eq!(text(word, FieldKind::Bool, None), Ok(Value::Bool(truth)));
        }
        assert_eq!(text("maybe", FieldKind::Bool, None), Err("not_a_bool"));
    }
}
