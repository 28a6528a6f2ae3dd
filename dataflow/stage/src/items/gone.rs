//! Which listings a crawl has not seen, and which sinks have marked them as gone.
//!
//! Decides nothing: whether a crawl may delist at all is the driver's to know. Invariants: a sink's bit is set only after it has said that
//! the listing is marked, or not there; it goes when the sink is emptied or stores the listing again. What another stage has seen
//! since is that stage's to know, and forgotten here.

use std::collections::BTreeSet;
use std::sync::Arc;
use weir_model::{ItemId, JobId, SinkId};

/// A crawl that has seen everything, asking what is gone.
#[derive(Clone, Debug)]
pub struct Census {
    /// The crawl.
    pub job: JobId,
    /// Earlier jobs of the same spider and arguments. What a job of others saw last is not this crawl's to judge.
    pub earlier: Vec<JobId>,
    /// The sinks that can mark.
    pub sinks: u32,
    /// What other stages have not seen: which of these were seen here by this crawl, or after it?
    pub asked: Arc<BTreeSet<ItemId>>,
}

/// A listing that the crawl has not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Its identity.
    pub id: ItemId,
    /// The job that saw it last.
    pub job: JobId,
    /// Its type, as that job numbers types.
    pub schema: u16,
    /// Sinks that have not marked it yet.
    pub sinks: u32,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Listings that the crawl saw.
    pub seen: u64,
    /// Listings that it did not see, with sinks to be told.
    pub absent: Vec<Absent>,
    /// Those of the asked ones that were seen.
    pub found: Vec<ItemId>,
}

impl Counted {
    /// Adds another worker's part.
    pub fn add(&mut self, mut other: Counted) {
        self.seen += other.seen;
        self.absent.append(&mut other.absent);
        self.found.append(&mut other.found);
    }
}

/// A sink has marked listings of one slot as gone, or does not hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delisted {
    /// The slot of all of them.
    pub slot: u8,
    /// The sink.
    pub sink: SinkId,
    /// The listings.
    pub ids: Vec<ItemId>,
}

/// Another stage has seen these listings of one slot since: their versions are its to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenElsewhere {
    /// The slot of all of them.
    pub slot: u8,
    /// The listings.
    pub ids: Vec<ItemId>,
}
