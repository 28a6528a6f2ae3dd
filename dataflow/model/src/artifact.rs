//! Names of what lies in the artifact store: by the hash of the bytes, so that a name means the same bytes for ever.

use serde::{Deserialize, Serialize};

/// 128 bits (xxh3) over an artifact's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub u128);

impl ContentHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> ContentHash {
        ContentHash(xxhash_rust::xxh3::xxh3_128(bytes))
    }

    /// Where a spider file with this hash lies.
    #[must_use]
    pub fn spider_key(self) -> String {
        format!("spiders/{self}.toml")
    }
}

impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        let hash = u128::from_str_radix(&text, 16).ok().filter(|_| text.len() == 32);
        hash.map(ContentHash)
            .ok_or_else(|| serde::de::Error::custom(format!("a content hash is 32 hexadecimal digits, found {text:?}")))
    }
}
