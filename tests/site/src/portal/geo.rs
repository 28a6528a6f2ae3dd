//! Where an address lies: a function of its text, so that the geocoder of the site and the generator cannot differ.

use super::words::TOWNS;
use super::{Dice, mix};

/// A geocoded place.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The address as the geocoder writes it.
    pub address: String,
    /// Latitude in degrees.
    pub lat: f64,
    /// Longitude in degrees.
    pub lon: f64,
    /// Whether the quarter was given, not the town alone.
    pub exact: bool,
}

/// Finds an address by its last part, the town; what stands before it moves the point by at most 0.05 degrees. Case and
/// spaces do not matter.
pub(crate) fn locate(address: &str) -> Option<Place> {
    let (quarter, town) = match address.rsplit_once(',') {
        Some((quarter, town)) => (normal(quarter), normal(town)),
        None => (String::new(), normal(address)),
    };
    let town = TOWNS.iter().find(|known| known.name.to_lowercase() == town)?;
    if quarter.is_empty() {
        return Some(Place { address: town.name.to_owned(), lat: town.lat, lon: town.lon, exact: false });
    }
    let dice = Dice::new(mix(xxhash_rust::xxh3::xxh3_64(quarter.as_bytes())), 0);
    // In whole 1e-5 degrees, so that the figures print short and equal everywhere.
    let shift = |question: u64| dice.below(question, 10_001) as i64 - 5_000;
    let moved = |degrees: f64, question: u64| ((degrees * 1e5).round() as i64 + shift(question)) as f64 / 1e5;
    let written = address.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Place { address: written, lat: moved(town.lat, 1), lon: moved(town.lon, 2), exact: true })
}

fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_move_a_place() {
        let place = locate("Ashford, London").unwrap();
        let same = locate("  ashford ,  LONDON ").unwrap();
        assert_eq!((place.lat, place.lon), (same.lat, same.lon));
        assert!((place.lat - 51.5074).abs() <= 0.0501 && (place.lon + 0.1278).abs() <= 0.0501);
        assert_ne!(locate("Oakford, London").unwrap().lat, place.lat);
        assert!(!locate("london").unwrap().exact);
        assert_eq!(locate("Ashford, Atlantis"), None);
    }
}
