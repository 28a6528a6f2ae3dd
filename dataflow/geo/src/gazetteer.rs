//! A file of places that are known beforehand: CSV with the columns name, lat and lon.
//!
//! Decides what such a file may look like. Invariant: a name that is found has exactly one location; a file with a mistake is
//! refused with its line, never half read.

use crate::address::{NormalisedAddress, normalise};
use crate::entry::{Place, Precision};
use crate::location::Location;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a file, at most: some millions of places.
pub const BYTES_MAX: usize = 256 << 20;

/// Names of the columns that are understood, each with what it is called first.
const COLUMNS: [&[&str]; 3] = [&["name", "address"], &["lat", "latitude"], &["lon", "lng", "longitude"]];

/// A mistake in a gazetteer file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}; expected {expected}")]
pub struct GazetteerError {
    /// The file's name.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub expected: &'static str,
}

/// Known places by their normalised name.
#[derive(Clone, Debug, Default)]
pub struct Gazetteer {
    places: BTreeMap<NormalisedAddress, (Arc<Place>, u64)>,
}

impl Gazetteer {
    /// Reads a file. The first line names the columns; others than `name`, `lat` and `lon` are left alone.
    ///
    /// # Errors
    /// The first mistake, with file and line.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Gazetteer, GazetteerError> {
        let wrong = |line, problem: String, expected| GazetteerError { file: file.to_owned(), line, problem, expected };
        if bytes.len() > BYTES_MAX {
            return Err(wrong(1, format!("{} bytes", bytes.len()), "at most 256 MiB"));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(bytes);
        let head = reader.headers().map_err(|error| wrong(1, csv_problem(&error), "CSV in UTF-8"))?.clone();
        let mut at = [0; 3];
        for (place, names) in at.iter_mut().zip(COLUMNS) {
            let mut found =
                head.iter().enumerate().filter(|(_, head)| names.iter().any(|name| head.eq_ignore_ascii_case(name)));
            *place = match (found.next(), found.next()) {
                (Some((at, _)), None) => at,
                (None, _) => {
                    return Err(wrong(
                        1,
                        format!("there is no column `{}`", names[0]),
                        "a first line such as name,lat,lon",
                    ));
                }
                (Some(_), Some((_, again))) => {
                    return Err(wrong(1, format!("`{again}` is a second column `{}`", names[0]), "one"));
                }
            };
        }
        let source: Arc<str> = "gazetteer".into();
        let mut gazetteer = Gazetteer::default();
        let mut row = csv::StringRecord::new();
        loop {
            let line = reader.position().line();
            match reader.read_record(&mut row) {
                Ok(true) => {}
                Ok(false) => return Ok(gazetteer),
                Err(error) => {
                    let line = error.position().map_or(line, csv::Position::line);
                    return Err(wrong(line, csv_problem(&error), "CSV in UTF-8"));
                }
            }
            let line = row.position().map_or(line, |start| line_of(bytes, start));
            let cell = |at: usize, name: &str| match row.get(at) {
                Some(text) if !text.is_empty() => Ok(text),
                _ => Err(wrong(line, format!("`{name}` is empty"), "a name and two numbers in every line")),
            };
            let name = cell(at[0], "name")?;
            let degrees = |at: usize, column: &str| {
                let text = cell(at, column)?;
                text.parse::<f64>()
                    .map_err(|_| wrong(line, format!("`{column}` is {text:?}"), "degrees, such as 51.5074"))
            };
            let location = Location::new(degrees(at[1], "lat")?, degrees(at[2], "lon")?)
                .map_err(|error| wrong(line, error.to_string(), "WGS 84 degrees: lat north, lon east"))?;
            let address = normalise(name);
            if address.is_empty() {
                return Err(wrong(line, format!("the name {name:?} has neither letter nor digit"), "a name"));
            }
            let place =
                Arc::new(Place { location, precision: Precision::Unknown, source: Arc::clone(&source), expires: None });
            if let Some((before, first)) = gazetteer.places.insert(address, (place, line))
                && before.location != location
            {
                let problem = format!("{name:?} is at {location} here, and at {} in line {first}", before.location);
                return Err(wrong(
                    line,
                    problem,
                    "one place a name (names that differ in case or punctuation are one)",
                ));
            }
        }
    }

    /// The place of a name.
    #[must_use]
    pub fn get(&self, address: &NormalisedAddress) -> Option<&Arc<Place>> {
        self.places.get(address).map(|(place, _)| place)
    }

    /// Number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True when there is no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// The line a record is in. Its position is where the one before ended: blank lines may follow.
fn line_of(bytes: &[u8], start: &csv::Position) -> u64 {
    let from = usize::try_from(start.byte()).unwrap_or(usize::MAX);
    let ends = bytes.get(from..).unwrap_or_default().iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    start.line() + ends.filter(|byte| **byte == b'\n').count() as u64
}

fn csv_problem(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "bytes that are no UTF-8".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &[u8]) -> String {
        Gazetteer::read("towns.csv", text).unwrap_err().to_string()
    }

    #[test]
    fn names_are_found_however_they_are_spelt() {
        let file = "\u{feff}Name,Country,Lon,Lat\n\"Ashford, London\",GB,-0.12,51.5\n\nMÜNCHEN,DE,11.58,48.14\nmünchen,DE,11.58,48.14\n";
        let gazetteer = Gazetteer::read("towns.csv", file.as_bytes()).unwrap();
        assert_eq!(gazetteer.len(), 2);
        let place = gazetteer.get(&normalise("ASHFORD  london")).unwrap();
        assert_eq!((place.location.lat(), place.location.lon(), &*place.source), (51.5, -0.12, "gazetteer"));
        assert!(gazetteer.get(&normalise("München")).is_some());
        assert!(gazetteer.get(&normalise("Munchen")).is_none());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, said) in [
            ("", "towns.csv:1: there is no column `name`; expected a first line such as name,lat,lon"),
            ("name,lat\nA,1\n", "towns.csv:1: there is no column `lon`"),
            ("name,lat,latitude,lon\n", "towns.csv:1: `latitude` is a second column `lat`"),
            ("name,lat,lon\nA,1,2\n\nB,x,2\n", "towns.csv:4: `lat` is \"x\""),
            ("name,lat,lon\nA,1\n", "towns.csv:2: `lon` is empty"),
            ("name,lat,lon\n,1,2\n", "towns.csv:2: `name` is empty"),
            ("name,lat,lon\n\"A\nB\",1,2\nC,-91,2\n", "towns.csv:4: latitude -91 is not within -90 to 90 degrees"),
            ("name,lat,lon\nA,nan,2\n", "towns.csv:2: latitude NaN is not within"),
            ("name,lat,lon\n--,1,2\n", "towns.csv:2: the name \"--\" has neither letter nor digit"),
            ("name,lat,lon\nAb,1,2\nC,1,2\nAB.,1,3\n", "towns.csv:4: \"AB.\" is at 1, 3 here, and at 1, 2 in line 2"),
        ] {
            let found = refused(text.as_bytes());
            assert!(found.starts_with(said), "{found}");
        }
        assert!(refused(b"name,lat,lon\nA,1,2\n\xff,1,2\n").starts_with("towns.csv:3: bytes that are no UTF-8"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn no_file_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[a-c,\"\n0-9.-]{0,60}") {
            let _ = Gazetteer::read("x", &bytes);
            let _ = Gazetteer::read("x", format!("name,lat,lon\n{text}").as_bytes());
        }
    }
}
