//! Google's geocoding interface, and those who speak it.

use super::Precision;
use super::reading::{HttpAnswer, Reading, body, by_status, shown};
use crate::location::Location;
use serde::Deserialize;
use url::Url;

pub(super) const URL: &str = "https://maps.googleapis.com/maps/api/geocode/json";

#[derive(Deserialize)]
struct Body {
    status: Option<String>,
    #[serde(default)]
    results: Vec<Found>,
    #[serde(default)]
    error_message: String,
}

#[derive(Deserialize)]
struct Found {
    geometry: Geometry,
}

#[derive(Deserialize)]
struct Geometry {
    location: Point,
    #[serde(default)]
    location_type: String,
}

#[derive(Deserialize)]
struct Point {
    lat: f64,
    lng: f64,
}

/// Writes the query; gives the name of the parameter for the key.
pub(super) fn write(url: &mut Url, address: &str, language: Option<&str>, region: Option<&str>) -> &'static str {
    let mut query = url.query_pairs_mut();
    query.append_pair("address", address);
    if let Some(language) = language {
        query.append_pair("language", language);
    }
    if let Some(region) = region {
        query.append_pair("region", region);
    }
    "key"
}

/// The body's `status` decides, whatever the HTTP status is; without one the HTTP status does.
pub(super) fn read(answer: &HttpAnswer) -> Reading {
    let bytes = match body(answer) {
        Ok(bytes) => bytes,
        Err(reading) => return reading,
    };
    let said = match serde_json::from_slice::<Body>(bytes) {
        Ok(Body { status: Some(status), results, error_message }) => (status, results, error_message),
        Ok(_) => {
            return by_status(answer, "").unwrap_or_else(|| Reading::Failed("an answer without a status".to_owned()));
        }
        Err(error) => {
            return by_status(answer, "").unwrap_or_else(|| Reading::Failed(format!("no JSON as expected: {error}")));
        }
    };
    let (status, results, words) = said;
    let denied = || Reading::Denied(format!("{status}: {}", shown(&words)));
    match status.as_str() {
        "OK" => match results.first() {
            Some(first) => found(first),
            None => Reading::NotFound,
        },
        "ZERO_RESULTS" => Reading::NotFound,
        "OVER_QUERY_LIMIT" => Reading::OverLimit,
        "INVALID_REQUEST" => Reading::Refused,
        "UNKNOWN_ERROR" => Reading::Failed(format!("UNKNOWN_ERROR: {}", shown(&words))),
        "REQUEST_DENIED" | "OVER_DAILY_LIMIT" => denied(),
        other => {
            by_status(answer, &words).unwrap_or_else(|| Reading::Failed(format!("unknown status {:?}", shown(other))))
        }
    }
}

fn found(first: &Found) -> Reading {
    let Point { lat, lng } = first.geometry.location;
    let precision = match first.geometry.location_type.as_str() {
        "ROOFTOP" => Precision::Rooftop,
        "RANGE_INTERPOLATED" => Precision::Interpolated,
        "GEOMETRIC_CENTER" => Precision::Centre,
        "APPROXIMATE" => Precision::Approximate,
        _ => Precision::Unknown,
    };
    match Location::new(lat, lng) {
        Ok(location) => Reading::Found { location, precision },
        Err(error) => Reading::Failed(format!("an impossible place: {error}")),
    }
}
