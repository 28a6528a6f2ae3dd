//! Bounded, guarded HTTP: one request, limits, decompression, charset, address guard.
//!
//! Decides how a request is made and when it is given up. Knows nothing of spiders and queues. Invariants: exactly one
//! HTTP request a call, no redirect, no retry; not a byte after `not_after`; every resolved address asked of the guard;
//! everything that grows has a limit.

mod answer;
mod body;
mod budget;
mod charset;
mod declared;
mod decode;
mod fetcher;
mod guard;
mod http1;
mod http2;
mod lifetime;
mod pool;
mod request;
mod resolve;
mod settings;
mod target;
mod tls;
mod wire;

pub use answer::{Answer, Deadline, Fetched, Response};
pub use budget::{ByteBudget, Room};
pub use charset::{decode_page, decode_text};
pub use decode::{DecodeError, DecodeLimits, decode, split_encodings};
pub use fetcher::Fetcher;
pub use guard::{Guard, is_global};
pub use resolve::Resolver;
pub use settings::FetchSettings;
