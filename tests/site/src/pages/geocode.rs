//! `/maps/api/geocode/json?address=`: answers in the shape of Google's geocoding API. An address outside the site's towns
//! has `ZERO_RESULTS`; beyond the rate that the site was started with, or for an address that begins with `over quota`,
//! the status is `OVER_QUERY_LIMIT`.

use super::{Visit, json};
use crate::clock::UnixMicros;
use crate::portal::locate;
use crate::reply::{JSON, Reply};
use crate::request::form_value;
use std::sync::{Mutex, PoisonError};

#[derive(Debug)]
pub(super) struct Geocoder {
    per_second: Option<u32>,
    /// The current second and how many calls it had.
    used: Mutex<(u64, u32)>,
}

impl Geocoder {
    pub fn new(per_second: Option<u32>) -> Geocoder {
        Geocoder { per_second, used: Mutex::new((0, 0)) }
    }

    pub fn answer(&self, visit: &Visit<'_>, rest: &str, page: &mut String) -> Reply {
        if rest != "api/geocode/json" {
            return Reply::status(page, 404);
        }
        let address = form_value(visit.query, "address").unwrap_or_default();
        if address.trim().is_empty() {
            page.push_str("{\"error_message\": \"the 'address' parameter is missing\", \"results\": [], \"status\": \"INVALID_REQUEST\"}\n");
            return Reply { status: 400, ..Reply::page(JSON) };
        }
        if self.is_over(visit.arrived) || address.to_lowercase().starts_with("over quota") {
            page.push_str("{\"results\": [], \"status\": \"OVER_QUERY_LIMIT\"}\n");
            return Reply::page(JSON);
        }
        let Some(place) = locate(&address) else {
            page.push_str("{\"results\": [], \"status\": \"ZERO_RESULTS\"}\n");
            return Reply::page(JSON);
        };
        let (lat, lon) = (place.lat, place.lon);
        let (precision, kind) =
            if place.exact { ("GEOMETRIC_CENTER", "neighborhood") } else { ("APPROXIMATE", "locality") };
        page.push_str("{\"results\": [{\"address_components\": [], \"formatted_address\": ");
        json::push_string(page, &place.address);
        page.push_str(&format!(
            ", \"geometry\": {{\"location\": {{\"lat\": {lat}, \"lng\": {lon}}}, \"location_type\": \"{precision}\", \
             \"viewport\": {{\"northeast\": {{\"lat\": {:.5}, \"lng\": {:.5}}}, \"southwest\": {{\"lat\": {:.5}, \"lng\": {:.5}}}}}}}, \
             \"place_id\": \"weir-{:016x}\", \"types\": [\"{kind}\", \"political\"]}}], \"status\": \"OK\"}}\n",
            lat + 0.01,
            lon + 0.01,
            lat - 0.01,
            lon - 0.01,
            xxhash_rust::xxh3::xxh3_64(place.address.to_lowercase().as_bytes()),
        ));
        Reply::page(JSON)
    }

    fn is_over(&self, arrived: UnixMicros) -> bool {
        let Some(max) = self.per_second else { return false };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let second = arrived.0 / 1_000_000;
        if used.0 != second {
            *used = (second, 0);
        }
        used.1 = used.1.saturating_add(1);
        used.1 > max
    }
}
