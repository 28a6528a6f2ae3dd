//! Queues, artifacts and claims: the traits, their in-process implementations, and the contract suite that every
//! implementation passes.
//!
//! Decides how messages are received, kept, settled and sent on whatever stands behind [`MessageQueue`]. Knows nothing of
//! what a body means (but claim tickets) and of no cloud: `weir-aws` implements the traits on SQS, S3 and DynamoDB.
//!
//! Invariants: nothing is settled but by its receipt; one outcome an entry, in order; everything that is retried is retried
//! a bounded number of times; what waits in memory is bounded.

mod artifacts;
mod claims;
pub mod contract;
mod error;
mod inbox;
mod memory;
mod queue;
mod send;
mod tickets;

pub use artifacts::{ArtifactStore, MemoryArtifacts};
pub use claims::{CLAIM_TTL, Claim, Claims, MemoryClaims};
pub use error::{QueueError, QueueErrorClass};
pub use inbox::{Arrival, Inbox, InboxConfig, InboxEvent, InboxFigures};
pub use memory::MemoryQueue;
pub use queue::{BoxFuture, MessageQueue, Receipt, Received};
pub use send::{Backoff, send_all, settle_all};
pub use tickets::{TICKET_BYTES_MAX, Ticketed, Tickets};
