//! A point on the Earth. Invariant: a `Location` is finite and within its range, so nothing behind it checks again.

use std::fmt;
use weir_model::Value;

/// Latitude and longitude in degrees, WGS 84.
#[derive(Clone, Copy, PartialEq)]
pub struct Location {
    lat: f64,
    lon: f64,
}

/// Why two numbers are no location.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum LocationError {
    /// Not within -90 to 90.
    #[error("latitude {0} is not within -90 to 90 degrees")]
    Latitude(f64),
    /// Not within -180 to 180.
    #[error("longitude {0} is not within -180 to 180 degrees")]
    Longitude(f64),
}

impl Location {
    /// A location `lat` degrees north and `lon` degrees east.
    ///
    /// # Errors
    /// When one of them is out of range or no number.
    pub fn new(lat: f64, lon: f64) -> Result<Location, LocationError> {
        if !(-90.0..=90.0).contains(&lat) {
            return Err(LocationError::Latitude(lat));
        }
        if !(-180.0..=180.0).contains(&lon) {
            return Err(LocationError::Longitude(lon));
        }
        // -0.0 and 0.0 are one place.
        Ok(Location { lat: lat + 0.0, lon: lon + 0.0 })
    }

    /// Degrees north, -90 to 90.
    #[must_use]
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// Degrees east, -180 to 180.
    #[must_use]
    pub fn lon(self) -> f64 {
        self.lon
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.lat, self.lon)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl From<Location> for Value {
    fn from(location: Location) -> Value {
        Value::Geo { lat: location.lat, lon: location.lon }
    }
}

/// The content hash of an item once its field at position `field` was geocoded. A spider hashes an item with that field empty, so
/// without this an item whose location changed would count as unchanged. No location: the hash stays.
#[must_use]
pub fn hash_with_location(hash: u64, field: usize, location: Option<Location>) -> u64 {
    let Some(location) = location else { return hash };
    let mut bytes = [0u8; 32];
    bytes[..8].copy_from_slice(&hash.to_le_bytes());
    bytes[8..16].copy_from_slice(&(field as u64).to_le_bytes());
    bytes[16..24].copy_from_slice(&location.lat.to_bits().to_le_bytes());
    bytes[24..].copy_from_slice(&location.lon.to_bits().to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_place_is_refused_with_its_value() {
        assert_eq!(Location::new(90.5, 0.0).unwrap_err().to_string(), "latitude 90.5 is not within -90 to 90 degrees");
        assert_eq!(Location::new(0.0, -180.1), Err(LocationError::Longitude(-180.1)));
        assert!(Location::new(f64::NAN, 0.0).is_err());
        assert!(Location::new(0.0, f64::INFINITY).is_err());
        assert!(Location::new(-90.0, 180.0).is_ok());
    }

    #[test]
    fn an_item_that_moved_has_another_hash() {
        let here = Location::new(51.5, -0.12).unwrap();
        let there = Location::new(51.5, 0.12).unwrap();
        assert_eq!(hash_with_location(7, 5, None), 7);
        assert_ne!(hash_with_location(7, 5, Some(here)), hash_with_location(7, 5, Some(there)));
        assert_ne!(hash_with_location(7, 5, Some(here)), hash_with_location(7, 6, Some(here)));
        let zero = Location::new(-0.0, 0.0).unwrap();
        assert_eq!(hash_with_location(7, 5, Some(zero)), hash_with_location(7, 5, Location::new(0.0, -0.0).ok()));
    }
}
