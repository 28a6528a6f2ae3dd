//! What the frontier must know of a job.

use crate::retry::RetryPolicy;
use crate::scope::Scope;
use crate::url::FingerprintSeed;
use std::sync::Arc;
use weir_model::{JobId, TargetId};

/// Which queued URL of equal priority goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest (depth first): queues stay short.
    #[default]
    Lifo,
    /// The oldest (breadth first).
    Fifo,
}

/// A job as the frontier sees it: data only, fixed while the job lives.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// Which.
    pub id: JobId,
    /// `allowed_domains`: these and their subdomains; empty: any.
    pub allowed_domains: Vec<String>,
    /// Order among equal priorities.
    pub order: Order,
    /// Links followed from a start page, at most.
    pub depth_max: Option<u16>,
    /// Redirects followed in a chain, at most.
    pub redirects_max: u8,
    /// How failed attempts are repeated.
    pub retry: RetryPolicy,
    /// Whether robots.txt is asked.
    pub obey_robots: bool,
    /// Product token for robots.txt.
    pub agent: String,
    /// Names of the targets by `TargetId` (the first, `START`, is the empty one), part of a fingerprint (so that they survive a change of order).
    pub targets: Vec<String>,
    /// Requests under way at a domain, at most.
    pub concurrency_per_domain: u32,
    /// URLs admitted of a domain, at most.
    pub pages_per_domain_max: Option<u64>,
    /// Fields that a geocoder fills (the frontier itself does not look at them).
    pub geocodes: Vec<GeocodeField>,
    /// What is computed of items, in this order (nor does it look at these).
    pub computes: Vec<ComputeStep>,
}

/// Fields of an item that a computation fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeStep {
    /// Index of the item type.
    pub schema: u16,
    /// Indices of the fields.
    pub fields: Vec<usize>,
}

/// A field of an item that a geocoder fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeocodeField {
    /// Index of the item type.
    pub schema: u16,
    /// Index of the field.
    pub field: usize,
    /// Index of the field with the address.
    pub address: usize,
}

impl Default for JobSpec {
    fn default() -> Self {
        JobSpec {
            id: JobId(0),
            allowed_domains: Vec::new(),
            order: Order::Lifo,
            depth_max: None,
            redirects_max: 5,
            retry: RetryPolicy::default(),
            obey_robots: true,
            agent: "weir".to_owned(),
            targets: Vec::new(),
            concurrency_per_domain: 16,
            pages_per_domain_max: None,
            geocodes: Vec::new(),
            computes: Vec::new(),
        }
    }
}

/// A job with what is computed of it once.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub spec: Arc<JobSpec>,
    pub scope: Scope,
    seeds: Vec<FingerprintSeed>,
    unnamed: FingerprintSeed,
}

impl Prepared {
    pub fn seed(&self, target: TargetId) -> &FingerprintSeed {
        self.seeds.get(usize::from(target.0)).unwrap_or(&self.unnamed)
    }
}

/// The open jobs, as `prepare` needs them. Cheap to clone: one a worker.
#[derive(Clone, Debug, Default)]
pub struct JobTable {
    jobs: Vec<Arc<Prepared>>,
}

impl JobTable {
    /// Adds or replaces a job.
    pub fn open(&mut self, spec: Arc<JobSpec>) {
        self.close(spec.id);
        self.jobs.push(Arc::new(Prepared {
            scope: Scope::compile(&spec.allowed_domains).0,
            seeds: spec.targets.iter().map(|name| FingerprintSeed::new(spec.id, name)).collect(),
            unnamed: FingerprintSeed::new(spec.id, ""),
            spec,
        }));
    }

    /// Forgets a job.
    pub fn close(&mut self, job: JobId) {
        self.jobs.retain(|entry| entry.spec.id != job);
    }

    /// A job.
    #[must_use]
    pub fn get(&self, job: JobId) -> Option<&Arc<JobSpec>> {
        self.prepared(job).map(|entry| &entry.spec)
    }

    pub(crate) fn prepared(&self, job: JobId) -> Option<&Arc<Prepared>> {
        self.jobs.iter().find(|entry| entry.spec.id == job)
    }
}
