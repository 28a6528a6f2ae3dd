//! What comes back of a request: plain data, decided elsewhere.
//!
//! Invariant: a large body holds its room in the common budget as long as it lives.

use crate::budget::Room;
use http::header::{HeaderMap, HeaderName};
use weir_model::{FailureClass, Tick};

/// What came of a release.
#[derive(Debug)]
pub struct Fetched {
    /// What happened.
    pub answer: Answer,
    /// When the first byte of the request was about to be written; zero when it was not.
    pub started_at: Tick,
    /// When the first byte of the answer arrived; zero when none did.
    pub answered_at: Tick,
    /// When all was done.
    pub ended_at: Tick,
    /// Body on the wire.
    pub wire_bytes: u64,
}

/// An answer, or why there is none.
#[derive(Debug)]
pub enum Answer {
    /// Headers and body, decoded. The body is whole when the status is 2xx; of others it may be the beginning.
    Response(Response),
    /// No usable answer.
    Failed {
        /// What retry looks at.
        class: FailureClass,
        /// What a person reads.
        reason: String,
        /// Whether the request may have reached the server.
        written: bool,
    },
    /// Too late for its slot: nothing was sent.
    Unfetched {
        /// Why.
        reason: String,
    },
}

/// An answer. To be dropped when its body was used, before anything else is waited for: other bodies may wait for its room.
#[derive(Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// Body, decoded.
    pub body: Vec<u8>,
    /// What the body holds of the common budget; small ones hold nothing.
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) room: Option<Room>,
}

impl Response {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// When a function must be done: no request is begun after `send_until`, none goes on after `done_until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Not a byte is written after.
    pub send_until: Tick,
    /// What is under way then is given up.
    pub done_until: Tick,
}

impl Deadline {
    /// No deadline.
    pub const NEVER: Deadline = Deadline { send_until: Tick::NEVER, done_until: Tick::NEVER };
}

/// What went wrong with a request that was written.
#[derive(Debug)]
pub(crate) struct Failure {
    pub class: FailureClass,
    pub reason: String,
}

impl Failure {
    pub fn new(class: FailureClass, reason: impl Into<String>) -> Failure {
        Failure { class, reason: reason.into() }
    }
}
