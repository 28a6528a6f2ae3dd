//! The fingerprint of a request: 64 bits over job, method, canonical URL, body and target.
//!
//! Two steps keep the common case cheap. Job, target, method and body, each with its length, are hashed to a seed; the seed hashes
//! the canonical URL. The seed of plain GETs is computed once a job and target. Nothing is allocated.

use weir_model::{Fingerprint, JobId};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64_with_seed};

/// What the fingerprints of one job and target have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FingerprintSeed {
    job_and_target: u64,
    get: u64,
}

impl FingerprintSeed {
    /// The seed of a job's requests for `target` (the name of what the page is for; empty for start pages).
    #[must_use]
    pub fn new(job: JobId, target: &str) -> FingerprintSeed {
        let job_and_target = xxh3_64_with_seed(target.as_bytes(), job.0);
        FingerprintSeed { job_and_target, get: seed(job_and_target, b"GET", b"") }
    }

    /// The fingerprint of a GET without a body.
    #[inline]
    #[must_use]
    pub fn of_get(&self, canonical: &[u8]) -> Fingerprint {
        Fingerprint(xxh3_64_with_seed(canonical, self.get))
    }

    /// The fingerprint of any request; an empty method is GET.
    #[must_use]
    pub fn of(&self, method: &str, canonical: &[u8], body: &[u8]) -> Fingerprint {
        if body.is_empty() && matches!(method, "" | "GET") {
            return self.of_get(canonical);
        }
        let method = if method.is_empty() { "GET" } else { method };
        Fingerprint(xxh3_64_with_seed(canonical, seed(self.job_and_target, method.as_bytes(), body)))
    }
}

fn seed(job_and_target: u64, method: &[u8], body: &[u8]) -> u64 {
    let mut hasher = Xxh3Default::new();
    hasher.update(&job_and_target.to_le_bytes());
    for part in [method, body] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.digest()
}

/// The fingerprint of one request. For many of one job and target keep a `FingerprintSeed`.
#[must_use]
pub fn fingerprint(job: JobId, method: &str, canonical: &[u8], body: &[u8], target: &str) -> Fingerprint {
    FingerprintSeed::new(job, target).of(method, canonical, body)
}
