//! What every sink is: a trait with one outcome an item, error classes, batching, sink URLs, and the suite that all pass.
//!
//! Decides what "stored" means, how a sink may fail, and what a search for the nearest listings gives, whichever sink is asked. Knows no database and no
//! clock; the embedded sinks block the calling thread while they write, so the driver gives each a thread of its own, and sinks on servers have a
//! runtime of their own behind a bridge.
//!
//! Invariants: `write` gives one outcome for each item, in order; what it calls stored is durable; an older version never
//! overwrites a newer one; writing again what was written changes nothing; one bad item never holds up the others.

pub mod batch;
mod bridge;
mod condition;
pub mod contract;
mod error;
pub mod fields;
mod filter;
mod fit;
mod identity;
mod near;
pub mod read;
mod required;
mod secret;
mod shown;
mod sink;
pub mod text;
mod tls;
pub mod units;
mod url;
mod words;

pub use batch::{BatchPolicy, Batcher};
pub use bridge::Bridge;
pub use condition::{Comparison, Condition};
pub use error::{ErrorClass, SinkError};
pub use filter::{Filter, Wanted};
pub use fit::misfit;
pub use futures_util::future::BoxFuture;
pub use identity::{asks_for_more, identity};
pub use near::{Found, LIMIT_MAX, Near, Reader, Search};
pub use read::{Read, StoredItem};
pub use required::split_required;
pub use secret::{Secret, SecretSource};
pub use shown::{is_starred, redact};
pub use sink::{ItemOutcome, JobInfo, Opened, Sink, SinkInfo, SinkKind, SinkMark};
pub use tls::is_of_tls;
pub use url::{Compression, FeedFormat, FeedPlace, FeedUrl, ServerKind, SinkUrl};
