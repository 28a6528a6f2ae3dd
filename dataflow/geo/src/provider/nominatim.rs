//! Nominatim's search interface (OpenStreetMap), `format=jsonv2`.

use super::Precision;
use super::reading::{HttpAnswer, Reading, body, by_status, shown};
use crate::location::Location;
use serde::Deserialize;
use url::Url;

pub(super) const URL: &str = "https://nominatim.openstreetmap.org/search";

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Places(Vec<Place>),
    Error { error: serde_json::Value },
}

#[derive(Deserialize)]
struct Place {
    lat: Number,
    lon: Number,
    #[serde(default)]
    place_rank: Option<u8>,
    #[serde(default)]
    addresstype: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default, alias = "class")]
    category: Option<String>,
}

/// Nominatim writes degrees as text; others of its kind write numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Text(String),
    Number(f64),
}

impl Number {
    fn degrees(&self) -> f64 {
        match self {
            Number::Text(text) => text.trim().parse().unwrap_or(f64::NAN),
            Number::Number(number) => *number,
        }
    }
}

/// Writes the query; gives the name of the parameter for the key (hosted services have one).
pub(super) fn write(url: &mut Url, address: &str, language: Option<&str>, region: Option<&str>) -> &'static str {
    let mut query = url.query_pairs_mut();
    query.append_pair("q", address).append_pair("format", "jsonv2").append_pair("limit", "1");
    if let Some(language) = language {
        query.append_pair("accept-language", language);
    }
    if let Some(region) = region {
        query.append_pair("countrycodes", region);
    }
    "key"
}

pub(super) fn read(answer: &HttpAnswer) -> Reading {
    let bytes = match body(answer) {
        Ok(bytes) => bytes,
        Err(reading) => return reading,
    };
    let parsed = serde_json::from_slice::<Body>(bytes);
    let words = match &parsed {
        Ok(Body::Error { error }) => match error.get("message").unwrap_or(error) {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        _ => String::new(),
    };
    if let Some(reading) = by_status(answer, &words) {
        return reading;
    }
    match parsed {
        Ok(Body::Places(places)) => places.first().map_or(Reading::NotFound, found),
        Ok(Body::Error { .. }) if words.eq_ignore_ascii_case("unable to geocode") => Reading::NotFound,
        Ok(Body::Error { .. }) => Reading::Failed(format!("the provider says: {}", shown(&words))),
        Err(error) => Reading::Failed(format!("no JSON as expected: {error}")),
    }
}

fn found(place: &Place) -> Reading {
    match Location::new(place.lat.degrees(), place.lon.degrees()) {
        Ok(location) => Reading::Found { location, precision: precision(place) },
        Err(error) => Reading::Failed(format!("an impossible place: {error}")),
    }
}

/// From what kind of thing was found: a building, a street, a place. `place_rank` is Nominatim's own scale, 30 a house number,
/// 26 and 27 streets, below settlements and larger.
fn precision(place: &Place) -> Precision {
    let is = |field: &Option<String>, value: &str| field.as_deref() == Some(value);
    if is(&place.category, "place") && (is(&place.kind, "houses") || is(&place.addresstype, "houses")) {
        return Precision::Interpolated;
    }
    let fine = ["building", "house", "place_of_worship", "amenity", "shop", "office", "tourism"];
    let kinds = [&place.addresstype, &place.kind, &place.category];
    match place.place_rank {
        Some(30..) => Precision::Rooftop,
        Some(26..) => Precision::Centre,
        Some(_) => Precision::Approximate,
        None if kinds.iter().any(|kind| fine.iter().any(|fine| is(kind, fine))) => Precision::Rooftop,
        None if is(&place.addresstype, "road") || is(&place.category, "highway") => Precision::Centre,
        None if kinds.iter().any(|kind| kind.is_some()) => Precision::Approximate,
        None => Precision::Unknown,
    }
}
