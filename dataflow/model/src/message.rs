//! What goes to a fetch-parse function and what comes back.
//!
//! Invariants: one report a release; a report says what happened to exactly one HTTP request, redirects included (they are
//! reported, never followed); a report without `Response` carries no items and no links.

use crate::{Item, JobId, LinkBatch, MessageId, ReleaseId, Request, Tick};
use serde::{Deserialize, Serialize};

/// One permitted HTTP request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// What its report answers to.
    pub id: ReleaseId,
    /// The job whose spider processes the answer.
    pub job: JobId,
    /// Not to be sent before.
    pub not_before: Tick,
    /// Not a byte to be written after; `Tick::NEVER` when the domain has no law.
    pub not_after: Tick,
    /// The request.
    pub request: Request,
}

/// Released requests of many domains, for one invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchMessage {
    /// Claimed once.
    pub id: MessageId,
    /// The requests.
    pub releases: Vec<Release>,
}

/// How bad a failure is: what retry looks at (never at its text).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// No address for the name.
    Dns,
    /// Refused, unreachable or reset before anything was written.
    Connect,
    /// TLS: certificate or protocol.
    Tls,
    /// Reset, closed, or bytes that are no HTTP, after the request was written.
    Protocol,
    /// No headers in time, or the whole took too long, or too slow.
    Timeout,
    /// Body over a limit (wire bytes, decoded bytes, ratio).
    TooLarge,
    /// Body that its Content-Encoding does not decode.
    Decode,
    /// Address guard: not allowed to connect there.
    ForbiddenAddress,
    /// The URL cannot be fetched at all (scheme, host, header).
    BadRequest,
}

impl FailureClass {
    /// Name in counters and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FailureClass::Dns => "dns",
            FailureClass::Connect => "connect",
            FailureClass::Tls => "tls",
            FailureClass::Protocol => "protocol",
            FailureClass::Timeout => "timeout",
            FailureClass::TooLarge => "too_large",
            FailureClass::Decode => "decode",
            FailureClass::ForbiddenAddress => "forbidden_address",
            FailureClass::BadRequest => "bad_request",
        }
    }
}

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FetchOutcome {
    /// An answer with a body that was processed (any status but a redirect).
    Response {
        /// HTTP status.
        status: u16,
    },
    /// A redirect: the target re-enters as a request of its own.
    Redirect {
        /// HTTP status (301, 302, 303, 307, 308).
        status: u16,
        /// Absolute target, resolved against the request's URL.
        location: Box<str>,
    },
    /// The answer to a robots.txt request.
    Robots {
        /// HTTP status.
        status: u16,
        /// At most 500 KiB, when the status is 2xx.
        body: Box<[u8]>,
    },
    /// No usable answer.
    Failed {
        /// What retry looks at.
        class: FailureClass,
        /// What a person reads: lowercase, no secrets.
        reason: Box<str>,
        /// False when no byte of the request was written: no hit was used.
        written: bool,
    },
    /// Answered, but the page could not be processed (no text, over a parse limit, no JSON where JSON was expected).
    Unreadable {
        /// HTTP status.
        status: u16,
        /// Why.
        reason: Box<str>,
    },
    /// Not sent: too late for its slot, or the deadline was near. Costs no attempt.
    Unfetched {
        /// Why.
        reason: Box<str>,
    },
}

/// A counted remark of the extraction: a value that did not convert, an item without a required field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractionNote {
    /// Counter, for example `property/price/not_a_float` or `property/required/title`.
    pub counter: Box<str>,
    /// How often on this page.
    pub count: u32,
    /// The first example, shortened.
    pub example: Box<str>,
}

/// What a function says of one release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which.
    pub release: ReleaseId,
    /// What happened.
    pub outcome: FetchOutcome,
    /// When the first byte of the request was about to be written; zero when it was not.
    pub started_at: Tick,
    /// When the first byte of the answer arrived; zero when none did.
    pub answered_at: Tick,
    /// When all was done.
    pub ended_at: Tick,
    /// Bytes of the body on the wire.
    pub wire_bytes: u32,
    /// Bytes of the body decoded.
    pub body_bytes: u32,
    /// Extracted items.
    pub items: Vec<Item>,
    /// Found links, absolute, in order, before scope and dedup.
    pub links: LinkBatch,
    /// Counted remarks.
    pub notes: Vec<ExtractionNote>,
}

impl Report {
    /// Bytes of this report in memory, about: what bounds count.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let body = if let FetchOutcome::Robots { body, .. } = &self.outcome { body.len() } else { 0 };
        size_of::<Report>() + self.links.bytes() + self.items.iter().map(Item::bytes).sum::<usize>() + body
    }
}
