//! Geohashes: cells of a grid that halves the longitudes and the latitudes in turn, written in 32 letters.
//!
//! Invariants: a point lies in the cell of its geohash; a cell's neighbours touch it, across the antimeridian, too; beyond a pole
//! there is none.

use crate::location::{Location, LocationError};
use std::fmt;
use std::str::FromStr;

const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// Characters of the finest geohash: about 4 by 2 cm.
pub const LENGTH_MAX: u8 = 12;

/// A cell of the geohash grid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Geohash {
    length: u8,
    /// Column from the west and row from the south.
    column: u32,
    row: u32,
}

/// Why a text is no geohash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeohashError {
    /// Empty, or longer than 12 characters.
    #[error("a geohash has 1 to 12 characters, found {0}")]
    Length(usize),
    /// Not one of the 32 letters.
    #[error("{0:?} is no letter of a geohash: 0 to 9 and b to z without a, i, l and o")]
    Letter(char),
}

/// Edges of a cell, degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Southern edge.
    pub south: f64,
    /// Western edge.
    pub west: f64,
    /// Northern edge.
    pub north: f64,
    /// Eastern edge.
    pub east: f64,
}

impl Cell {
    /// The middle of the cell.
    ///
    /// # Errors
    /// When the edges are out of range, which those of a geohash are not.
    pub fn centre(&self) -> Result<Location, LocationError> {
        Location::new(self.south.midpoint(self.north), self.west.midpoint(self.east))
    }
}

impl Geohash {
    /// The cell around a point; `length` is held within 1 to 12.
    #[must_use]
    pub fn new(point: Location, length: u8) -> Geohash {
        let length = length.clamp(1, LENGTH_MAX);
        let (columns, rows) = bits(length);
        Geohash { length, column: index(point.lon(), 180.0, columns), row: index(point.lat(), 90.0, rows) }
    }

    /// Number of characters.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// Its edges.
    #[must_use]
    pub fn cell(self) -> Cell {
        let (columns, rows) = bits(self.length);
        let edge = |index: u32, half: f64, bits: u32| f64::from(index) * (2.0 * half / f64::from(1u32 << bits)) - half;
        Cell {
            south: edge(self.row, 90.0, rows),
            west: edge(self.column, 180.0, columns),
            north: edge(self.row + 1, 90.0, rows),
            east: edge(self.column + 1, 180.0, columns),
        }
    }

    /// The cell so many columns to the east and rows to the north; `None` beyond a pole.
    #[must_use]
    pub fn step(self, east: i32, north: i32) -> Option<Geohash> {
        let (columns, rows) = bits(self.length);
        let row = u32::try_from(i64::from(self.row) + i64::from(north)).ok().filter(|row| *row < 1 << rows)?;
        let column = (i64::from(self.column) + i64::from(east)).rem_euclid(1 << columns) as u32;
        Some(Geohash { row, column, ..self })
    }

    /// The cells around this one: eight, at a pole five.
    pub fn neighbours(self) -> impl Iterator<Item = Geohash> {
        const AROUND: [(i32, i32); 8] = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)];
        AROUND.into_iter().filter_map(move |(east, north)| self.step(east, north))
    }
}

/// Bits of longitude and of latitude.
fn bits(length: u8) -> (u32, u32) {
    let bits = 5 * u32::from(length);
    (bits.div_ceil(2), bits / 2)
}

/// The part of `-half..half` in which a value lies, of `2^bits`.
fn index(value: f64, half: f64, bits: u32) -> u32 {
    let parts = f64::from(1u32 << bits);
    // The halving itself is exact in binary, the sum may round: step back or on when the edge says so.
    let guess = (((value + half) / (2.0 * half)) * parts).floor().clamp(0.0, parts - 1.0);
    let edge = |index: f64| index * (2.0 * half / parts) - half;
    let exact = if value < edge(guess) {
        guess - 1.0
    } else if guess + 1.0 < parts && value >= edge(guess + 1.0) {
        guess + 1.0
    } else {
        guess
    };
    exact.max(0.0) as u32
}

impl fmt::Display for Geohash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut columns, mut rows) = bits(self.length);
        let mut take_column = true;
        for _ in 0..self.length {
            let mut letter = 0;
            for _ in 0..5 {
                let (left, source) = if take_column { (&mut columns, self.column) } else { (&mut rows, self.row) };
                *left -= 1;
                letter = letter << 1 | (source >> *left & 1) as usize;
                take_column = !take_column;
            }
            f.write_str(char::from(LETTERS[letter]).encode_utf8(&mut [0; 4]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Geohash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Geohash {
    type Err = GeohashError;

    fn from_str(text: &str) -> Result<Geohash, GeohashError> {
        let count = text.chars().count();
        let length = u8::try_from(count).ok().filter(|length| (1..=LENGTH_MAX).contains(length));
        let length = length.ok_or(GeohashError::Length(count))?;
        let (mut column, mut row, mut take_column) = (0, 0, true);
        for c in text.chars() {
            let lower = c.to_ascii_lowercase();
            let letter = LETTERS.iter().position(|known| char::from(*known) == lower).ok_or(GeohashError::Letter(c))?;
            for at in (0..5).rev() {
                let target = if take_column { &mut column } else { &mut row };
                *target = *target << 1 | (letter as u32 >> at & 1);
                take_column = !take_column;
            }
        }
        Ok(Geohash { length, column, row })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // From tests/oracle.py: bisection with exact fractions.
    include!("../tests/oracle/geohashes.rs");

    fn hash(text: &str) -> Geohash {
        text.parse().unwrap()
    }

    #[test]
    fn geohashes_agree_with_the_oracle() {
        for (lat, lon, text) in GEOHASHES {
            let found = Geohash::new(Location::new(lat, lon).unwrap(), text.len() as u8);
            assert_eq!(found.to_string(), text, "{lat}, {lon}");
        }
    }

    #[test]
    fn well_known_geohashes() {
        let denmark = Location::new(57.64911, 10.40744).unwrap();
        assert_eq!(Geohash::new(denmark, 11).to_string(), "u4pruydqqvj");
        let middle = hash("ezs42").cell().centre().unwrap();
        assert!((middle.lat() - 42.605).abs() < 1e-3 && (middle.lon() + 5.603).abs() < 1e-3, "{middle}");
    }

    #[test]
    fn neighbours_wrap_at_the_antimeridian_and_end_at_the_poles() {
        let around: Vec<String> = hash("gcpvj").neighbours().map(|cell| cell.to_string()).collect();
        assert_eq!(around, ["gcpvm", "gcpvq", "gcpvn", "gcpuy", "gcpuv", "gcpuu", "gcpvh", "gcpvk"]);
        assert_eq!(hash("8").step(-1, 0), Some(hash("x")), "west of the western edge lies the east");
        assert_eq!(hash("u").neighbours().count(), 5);
        assert_eq!(hash("u").step(0, 1), None);
    }

    #[test]
    fn what_is_no_geohash_is_named() {
        assert_eq!("".parse::<Geohash>(), Err(GeohashError::Length(0)));
        assert_eq!("gcpvja".parse::<Geohash>(), Err(GeohashError::Letter('a')));
        assert_eq!("0123456789bcd".parse::<Geohash>(), Err(GeohashError::Length(13)));
        assert_eq!(hash("GCPVJ"), hash("gcpvj"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

        #[test]
        fn a_point_lies_in_its_cell(lat in -90.0..=90.0f64, lon in -180.0..=180.0f64, length in 1..=12u8) {
            let point = Location::new(lat, lon).unwrap();
            let found = Geohash::new(point, length);
            let cell = found.cell();
            prop_assert!((cell.south..=cell.north).contains(&lat) && (cell.west..=cell.east).contains(&lon));
            prop_assert_eq!(hash(&found.to_string()), found);
            prop_assert_eq!(Geohash::new(cell.centre().unwrap(), length), found);
            for other in found.neighbours() {
                prop_assert!(length == 1 || other.neighbours().any(|back| back == found));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,14}") {
            let _ = text.parse::<Geohash>();
        }
    }
}
