//! What the parts of weir say to each other: ids, requests, reports, items, verdicts, units.
//!
//! Decides shapes and units, nothing else. No I/O, no clock, no randomness. Messages that cross a queue are versioned JSON
//! and have a golden file under `golden/`; inside a process the same types travel as they are, without serialisation.

pub mod artifact;
pub mod crash;
pub mod id;
pub mod item;
pub mod json;
pub mod message;
pub mod request;
pub mod time;
pub mod verdict;
pub mod wire;

pub use artifact::ContentHash;
pub use id::{DomainKey, Fingerprint, ItemId, JobId, MessageId, ReceiptId, ReleaseId, SinkId, TargetId};
pub use item::{Field, FieldKind, Item, ItemSchema, KeyScope, Value};
pub use message::{ExtractionNote, FailureClass, FetchMessage, FetchOutcome, Release, Report};
pub use request::{Carry, Link, LinkBatch, LinkExtra, Method, Request, RequestKind};
pub use time::{Clock, Tick, UnixMs};
pub use verdict::{Outcome, Reason, Verdict};
