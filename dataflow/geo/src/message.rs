//! What goes into a geocoder and what comes out of it.
//!
//! Invariant: a step's records and its commands belong together. The records must be durable before a call of that step leaves:
//! so after a crash the law knows of every call that can have been made.

use crate::address::NormalisedAddress;
use crate::counts::GeoCounts;
use crate::entry::Place;
use crate::provider::{CallRequest, HttpAnswer};
use crate::record::Record;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_model::{JobId, Tick};

/// Who waits for a location: the stage's own number for an item's field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(pub u64);

/// One call to a provider. The low six bits are the provider's index. Never reused, not even after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

impl CallId {
    /// Index of the provider.
    #[must_use]
    pub fn provider(self) -> usize {
        (self.0 & 63) as usize
    }
}

/// Why an item goes on without a location although it has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It waited as long as it may.
    TooLate,
    /// The providers failed, or do not serve us.
    Failed,
    /// Too many items wait already.
    TooManyWaiting,
    /// The address is longer than any.
    TooLong,
    /// There is nobody to ask.
    NotConfigured,
}

/// What an item is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Here it is.
    Found(Arc<Place>),
    /// Nobody knows it.
    NotFound,
    /// There is no address to look up.
    NoAddress,
    /// Nobody answered; it can be asked again later.
    Unanswered(Unanswered),
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Ask the outer cache; answered by `Event::CacheGot`.
    CacheGet {
        /// The key.
        address: NormalisedAddress,
    },
    /// Put into the outer cache; answered by `Event::CachePut`.
    CachePut {
        /// The key.
        address: NormalisedAddress,
        /// The value.
        value: Vec<u8>,
        /// How long the cache may keep it, microseconds; `None`: for ever.
        keep_us: Option<u64>,
    },
    /// Ask a provider, once the step's records are durable; answered by `Event::Returned`.
    Call(Call),
}

/// One request to a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What the answer refers to.
    pub id: CallId,
    /// Name of the provider.
    pub provider: Arc<str>,
    /// What to ask, without the key.
    pub request: CallRequest,
    /// Not to be sent before this.
    pub not_before: Tick,
    /// Its first byte is written by then, or it is not sent and comes back as `Unsent`.
    pub not_after: Tick,
    /// The longest it may take from its first byte to its end.
    pub timeout_us: u64,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum CallResult {
    /// Its slot was missed, and no byte was written.
    Unsent,
    /// There was no connection (refused, no such name, TLS), so no byte was written.
    Unreached {
        /// Why, for the operator; without a key.
        reason: String,
    },
    /// An answer came.
    Answered {
        /// When its first byte came.
        at: Tick,
        /// The answer.
        answer: HttpAnswer,
    },
    /// Something was written, and no whole answer came: time-out, connection lost.
    GaveUp {
        /// When it was given up.
        at: Tick,
        /// Why, for the operator; without a key.
        reason: String,
    },
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The outer cache answers: a value, nothing, or a failure (`Err`).
    CacheGot {
        /// The key.
        address: NormalisedAddress,
        /// The value.
        value: Result<Option<Vec<u8>>, CacheDown>,
    },
    /// The outer cache has stored an entry, or not.
    CachePut {
        /// The key.
        address: NormalisedAddress,
        /// Whether it is there now.
        stored: bool,
    },
    /// A call has ended.
    Returned {
        /// Which.
        call: CallId,
        /// How.
        result: CallResult,
    },
}

impl Event {
    /// Whose event it is: the exchange key, modulo the number of workers.
    #[must_use]
    pub fn slot(&self) -> usize {
        match self {
            Event::CacheGot { address, .. } | Event::CachePut { address, .. } => usize::from(address.slot()),
            Event::Returned { call, .. } => call.provider(),
        }
    }
}

/// The outer cache does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheDown;

/// From the owner of an address to the owner of a provider.
#[derive(Clone, Debug, PartialEq)]
pub enum ToDesk {
    /// Look this up.
    Ask {
        /// Index of the provider.
        provider: usize,
        /// The address.
        address: NormalisedAddress,
        /// As it was written.
        text: Arc<str>,
        /// Whose counters it is for.
        job: JobId,
    },
    /// Nobody waits any more.
    Drop {
        /// Index of the provider.
        provider: usize,
        /// The address.
        address: NormalisedAddress,
    },
}

impl ToDesk {
    /// Index of the provider: the exchange key.
    #[must_use]
    pub fn provider(&self) -> usize {
        match self {
            ToDesk::Ask { provider, .. } | ToDesk::Drop { provider, .. } => *provider,
        }
    }
}

/// From the owner of a provider to the owner of an address.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Index of the provider.
    pub provider: usize,
    /// The address; its slot is the exchange key.
    pub address: NormalisedAddress,
    /// What the provider says.
    pub verdict: ProviderVerdict,
}

/// What a provider says of an address in the end.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderVerdict {
    /// It is here.
    Found(Arc<Place>),
    /// Unknown.
    NotFound,
    /// No answer, for one of several reasons that are counted.
    Failed,
    /// Not asked, since nobody waited any more.
    Dropped,
}

/// A line for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Name of the provider.
    pub provider: Arc<str>,
    /// What is wrong and what to do.
    pub text: String,
}

/// What a step leads to.
#[derive(Debug, Default)]
pub struct Out {
    /// To be done.
    pub commands: Vec<Command>,
    /// Items that go on.
    pub answers: Vec<(Waiter, Answer)>,
    /// For the journal.
    pub records: Vec<Record>,
    /// Counters that changed, by job; what concerns none (late answers, entries not stored) under `JobId(0)`.
    pub counts: BTreeMap<JobId, GeoCounts>,
    /// For the operator.
    pub notices: Vec<Notice>,
    /// For owners of providers (a `Geocoder` delivers these itself).
    pub to_desk: Vec<ToDesk>,
    /// For owners of addresses (a `Geocoder` delivers these itself).
    pub told: Vec<Told>,
}

impl Out {
    pub(crate) fn count(&mut self, job: JobId) -> &mut GeoCounts {
        self.counts.entry(job).or_default()
    }
}
