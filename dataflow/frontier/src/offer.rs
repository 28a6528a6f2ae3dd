//! URLs on their way into the frontier: offered as found, prepared as candidates of a slot.
//!
//! Invariant: a candidate's record is complete; the owner of its slot only decides and copies.

use crate::SLOTS;
use std::sync::Arc;
use weir_model::{DomainKey, Fingerprint, JobId, LinkBatch, ReleaseId, RequestKind};

/// Who owns a domain's state: `domain key % 64`; a worker owns every slot with `slot % workers == worker`.
#[must_use]
pub fn slot_of(domain: DomainKey) -> u8 {
    (domain.0 % u64::from(SLOTS)) as u8
}

/// The slot whose owner issued a release and takes its report.
#[must_use]
pub fn slot_of_release(release: ReleaseId) -> u8 {
    (release.0 % u64::from(SLOTS)) as u8
}

/// Where offered URLs come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OfferSource {
    /// A start URL.
    #[default]
    Start,
    /// A link on a page.
    Page,
    /// The target of a redirect.
    Redirect,
}

/// URLs of one page (or shard of start URLs) as they were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offer {
    /// The job.
    pub job: JobId,
    /// Depth of the offered URLs.
    pub depth: u16,
    /// The page that led here, or the redirecting URL.
    pub referer: Option<Arc<str>>,
    /// Redirects followed to get here.
    pub redirects: u8,
    /// First URL of the redirect chain.
    pub first_url: Option<Arc<str>>,
    /// `Robots`: the target of a robots.txt that redirects to another domain (`first_url` is that robots.txt).
    pub kind: RequestKind,
    /// Where they come from.
    pub source: OfferSource,
    /// The URLs.
    pub links: LinkBatch,
}

/// One URL of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Dedup compares this.
    pub fingerprint: Fingerprint,
    /// Its domain.
    pub domain: DomainKey,
    /// End of its record in `CandidateBatch::bytes` (it begins where the one before ends).
    pub end: u32,
    /// Higher goes first.
    pub priority: i16,
    /// Not deduplicated (a robots.txt on another domain).
    pub always: bool,
}

/// Prepared URLs of one job for the owner of one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CandidateBatch {
    /// Whose.
    pub slot: u8,
    /// The job.
    pub job: JobId,
    /// Encoded `Admit` records, length prefixes included, back to back: copied to the journal as they are.
    pub bytes: Vec<u8>,
    /// The URLs.
    pub entries: Vec<Candidate>,
}
