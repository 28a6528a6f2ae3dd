//! Geocoding, pure: which spellings are one address, where things lie, what providers are asked and answer, and the state
//! machine that asks each address once.

pub mod address;
pub mod distance;
pub mod geohash;
pub mod location;

pub use address::{NormalisedAddress, normalise};
pub use distance::{BoundingBox, haversine_km};
pub use geohash::Geohash;
pub use location::{Location, LocationError, hash_with_location};
