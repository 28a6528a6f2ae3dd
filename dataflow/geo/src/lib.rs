//! Geocoding, pure: which spellings are one address, where things lie, what providers are asked and answer, and the state
//! machine that asks each address once.
//!
//! Told the time, never asks for it; what it wants from outside it says in `Out::commands`, what must survive a crash in
//! `Out::records`. No clock, no runtime, no socket, no secret. The way of an address: `Addresses::want` (gazetteer, memory, the
//! cache outside) -> `Desk` (the providers in turn, by their laws) -> `Out::answers`. `Geocoder` is both in one piece.

pub mod address;
pub mod addresses;
mod cache;
pub mod config;
pub mod counts;
pub mod desk;
pub mod distance;
pub mod entry;
pub mod gazetteer;
pub mod geocoder;
pub mod geohash;
mod law;
pub mod location;
pub mod message;
pub mod provider;
pub mod record;

pub use address::{NormalisedAddress, normalise};
pub use addresses::Addresses;
pub use config::GeoConfig;
pub use counts::GeoCounts;
pub use desk::{Desk, Usage};
pub use distance::{BoundingBox, haversine_km};
pub use entry::{Entry, EntryError, Place, Precision};
pub use gazetteer::{Gazetteer, GazetteerError};
pub use geocoder::Geocoder;
pub use geohash::Geohash;
pub use location::{Location, LocationError, hash_with_location};
pub use message::{
    Answer, CacheDown, Call, CallId, CallResult, Command, Event, Notice, Out, ProviderVerdict, ToDesk, Told,
    Unanswered, Waiter,
};
pub use provider::{
    CallRequest, HttpAnswer, Provider, ProviderConfig, ProviderError, ProviderKind, Reading, SecretName, SecretUrl,
};
pub use record::{Record, Returned};
