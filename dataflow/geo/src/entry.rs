//! What is known of an address, and its form in a cache outside.
//!
//! Layout of an encoded entry: version byte, kind byte, expiry in milliseconds (varint, 0: never), for a place its precision byte,
//! latitude and longitude (eight bytes each, little-endian) and source (length and UTF-8), then four bytes of xxh3 over the
//! address and all of that. Invariants: `decode(encode(x)) == x` under the same address; under another address, with a byte
//! changed or cut, it is an error; decoding never panics.

use crate::address::NormalisedAddress;
use crate::location::Location;
use std::sync::Arc;
use weir_model::wire::{Reader, WireError, put_bytes, put_fixed, put_u64};
use weir_model::{Tick, UnixMs};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Version of the layout. A cache may hold others: they are misses.
const VERSION: u8 = 1;
const PLACE: u8 = 1;
const NOWHERE: u8 = 2;

/// How exactly a location is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// The building itself.
    Rooftop,
    /// Between two known house numbers.
    Interpolated,
    /// The middle of a street or a quarter.
    Centre,
    /// The town, or something larger.
    Approximate,
    /// Not said.
    Unknown,
}

impl Precision {
    /// Name, as counters and sinks write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Precision::Rooftop => "rooftop",
            Precision::Interpolated => "interpolated",
            Precision::Centre => "centre",
            Precision::Approximate => "approximate",
            Precision::Unknown => "unknown",
        }
    }

    fn code(self) -> u8 {
        match self {
            Precision::Rooftop => 0,
            Precision::Interpolated => 1,
            Precision::Centre => 2,
            Precision::Approximate => 3,
            Precision::Unknown => 4,
        }
    }

    fn of(code: u8) -> Option<Precision> {
        use Precision::{Approximate, Centre, Interpolated, Rooftop, Unknown};
        [Rooftop, Interpolated, Centre, Approximate, Unknown].get(usize::from(code)).copied()
    }
}

/// A location and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Where it is.
    pub location: Location,
    /// How exactly.
    pub precision: Precision,
    /// Name of the provider, or `gazetteer`.
    pub source: Arc<str>,
    /// Until when it may be kept; `None`: for ever.
    pub expires: Option<UnixMs>,
}

/// What is known of an address.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Its place.
    Found(Arc<Place>),
    /// No provider knows it; to be believed until then.
    NotFound {
        /// End of its life.
        expires: UnixMs,
    },
}

/// Bytes that are no entry of this address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Written by another version.
    #[error("a cache entry of version {0}, expected {VERSION}: it is asked for again")]
    Version(u8),
    /// Damaged, cut, or of another address.
    #[error("a cache entry that is damaged or belongs to another address: it is asked for again")]
    Damaged,
}

impl From<WireError> for EntryError {
    fn from(_: WireError) -> EntryError {
        EntryError::Damaged
    }
}

impl Entry {
    /// Whether it may not be used any more.
    #[must_use]
    pub fn is_expired(&self, now: Tick) -> bool {
        self.expires().is_some_and(|expires| expires <= now.unix_ms())
    }

    /// End of its life.
    #[must_use]
    pub fn expires(&self) -> Option<UnixMs> {
        match self {
            Entry::Found(place) => place.expires,
            Entry::NotFound { expires } => Some(*expires),
        }
    }

    /// The bytes for a cache, about 40.
    #[must_use]
    pub fn encode(&self, address: &NormalisedAddress) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.push(VERSION);
        out.push(if matches!(self, Entry::Found(_)) { PLACE } else { NOWHERE });
        put_u64(&mut out, self.expires().map_or(0, |expires| expires.0));
        if let Entry::Found(place) = self {
            out.push(place.precision.code());
            put_fixed(&mut out, place.location.lat().to_bits());
            put_fixed(&mut out, place.location.lon().to_bits());
            put_bytes(&mut out, place.source.as_bytes());
        }
        let check = check(address, &out);
        out.extend_from_slice(&check);
        out
    }

    /// Reads what `encode` wrote for the same address.
    ///
    /// # Errors
    /// When the bytes are anything else.
    pub fn decode(address: &NormalisedAddress, bytes: &[u8]) -> Result<Entry, EntryError> {
        match bytes.first() {
            Some(&VERSION) => {}
            Some(&version) => return Err(EntryError::Version(version)),
            None => return Err(EntryError::Damaged),
        }
        let (body, found) = bytes.split_last_chunk::<4>().ok_or(EntryError::Damaged)?;
        if *found != check(address, body) {
            return Err(EntryError::Damaged);
        }
        let mut reader = Reader::new(body);
        let _version = reader.u8()?;
        let kind = reader.u8()?;
        let expires = reader.u64()?;
        let entry = match kind {
            PLACE => {
                let precision = Precision::of(reader.u8()?).ok_or(EntryError::Damaged)?;
                let (lat, lon) = (f64::from_bits(reader.fixed()?), f64::from_bits(reader.fixed()?));
                let location = Location::new(lat, lon).map_err(|_| EntryError::Damaged)?;
                let source = reader.str()?.into();
                let expires = (expires != 0).then_some(UnixMs(expires));
                Entry::Found(Arc::new(Place { location, precision, source, expires }))
            }
            NOWHERE => Entry::NotFound { expires: UnixMs(expires) },
            _ => return Err(EntryError::Damaged),
        };
        if reader.is_empty() { Ok(entry) } else { Err(EntryError::Damaged) }
    }
}

fn check(address: &NormalisedAddress, body: &[u8]) -> [u8; 4] {
    let seed = xxh3_64_with_seed(address.as_str().as_bytes(), 0);
    (xxh3_64_with_seed(body, seed) as u32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::normalise;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let place = (-90.0..=90.0f64, -180.0..=180.0f64, 0..5u8, "[a-z]{1,12}", prop::option::of(1..u64::MAX))
            .prop_map(|(lat, lon, precision, source, expires)| {
                Entry::Found(Arc::new(Place {
                    location: Location::new(lat, lon).unwrap(),
                    precision: Precision::of(precision).unwrap(),
                    source: source.into(),
                    expires: expires.map(UnixMs),
                }))
            });
        prop_oneof![place, any::<u64>().prop_map(|expires| Entry::NotFound { expires: UnixMs(expires) })]
    }

    #[test]
    fn an_entry_has_a_fixed_form() {
        let address = normalise("Ashford, London");
        let place = Place {
            location: Location::new(51.5, -0.25).unwrap(),
            precision: Precision::Centre,
            source: "site".into(),
            expires: Some(UnixMs(1_700_000_000_000)),
        };
        let bytes = Entry::Found(Arc::new(place)).encode(&address);
        let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            shown, "010180d095ffbc31020000000000c04940000000000000d0bf0473697465218a5998",
            "a cache outlives this program"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

        #[test]
        fn an_entry_comes_back_under_its_address_alone(entry in entry(), address in "[a-z0-9 ]{1,20}", other in "[a-z0-9 ]{1,20}") {
            let (address, other) = (normalise(&address), normalise(&other));
            let bytes = entry.encode(&address);
            prop_assert_eq!(Entry::decode(&address, &bytes), Ok(entry));
            if other != address {
                prop_assert_eq!(Entry::decode(&other, &bytes), Err(EntryError::Damaged));
            }
        }

        #[test]
        fn a_damaged_entry_is_refused(entry in entry(), at in any::<prop::sample::Index>(), flip in 1..=255u8, cut in any::<prop::sample::Index>()) {
            let address = normalise("1 High Street");
            let bytes = entry.encode(&address);
            let mut changed = bytes.clone();
            changed[at.index(bytes.len())] ^= flip;
            prop_assert!(Entry::decode(&address, &changed).is_err());
            prop_assert!(Entry::decode(&address, &bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Entry::decode(&normalise("x"), &bytes);
        }
    }
}
