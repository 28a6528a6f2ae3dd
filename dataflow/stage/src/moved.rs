//! Values that timely moves between workers of one process as they are.
//!
//! Timely asks every exchanged type how it would cross a process boundary. Ours never do: K stage processes are
//! independent (DESIGN.md section 2), and workers of one process use timely's typed allocator. So the answer is an error.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is moved, never serialised.
#[derive(Clone, Debug)]
pub(crate) struct Moved<T>(pub T);

impl<T> Serialize for Moved<T> {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("stage records are moved between workers, never serialised"))
    }
}

impl<'de, T> Deserialize<'de> for Moved<T> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("stage records are moved between workers, never serialised"))
    }
}
