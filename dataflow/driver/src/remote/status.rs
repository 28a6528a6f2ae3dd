//! What a stage writes for others to read: its own status, and its part of each job. Only shapes and names.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weir_model::json::JobHeader;
use weir_model::{JobId, Outcome, UnixMs};

/// Where a job lies.
#[must_use]
pub fn job_key(job: JobId) -> String {
    format!("jobs/{:08}.json", job.0)
}

/// Where a stage's part of a job lies.
#[must_use]
pub fn part_key(job: JobId, stage: u32) -> String {
    format!("progress/{:08}/stage-{stage}.json", job.0)
}

/// Where a stage's status lies.
#[must_use]
pub fn status_key(stage: u32) -> String {
    format!("status/stage-{stage}.json")
}

/// A job as it was enqueued. Never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobDocument {
    /// What its messages carry.
    pub header: JobHeader,
    /// Its shards.
    pub shards: u32,
    /// Start URLs.
    pub start_urls: u64,
    /// Stages that have a part in it.
    pub stages: u32,
}

/// What a stage says of its part of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobPart {
    /// The job.
    pub job: JobId,
    /// Which stage.
    pub stage: u32,
    /// The spider's name.
    pub spider: String,
    /// When it was opened here.
    pub opened_at: UnixMs,
    /// When this was written.
    pub at: UnixMs,
    /// How it ended; none while it runs.
    pub outcome: Option<Outcome>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Shards that came.
    pub shards_taken: u32,
    /// URLs in queues.
    pub queued: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Pages whose items are on their way to the sinks.
    pub pending: u64,
    /// Counters, by the names of `weir crawl --json`.
    pub stats: BTreeMap<String, u64>,
    /// What functions and stages were built for: their prices differ.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// Remarks with their first example.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

/// How a stage is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    /// The deployment.
    pub stack: String,
    /// Which stage.
    pub stage: u32,
    /// Of how many.
    pub of: u32,
    /// Its state's id.
    pub state: String,
    /// weir's version.
    pub version: String,
    /// When this was written.
    pub at: UnixMs,
    /// When the process began.
    pub started_at: UnixMs,
    /// Figures by name.
    pub figures: BTreeMap<String, u64>,
    /// Jobs that run here.
    pub jobs: Vec<JobId>,
    /// The last commands that were obeyed.
    pub obeyed: Vec<String>,
    /// The law in force; with its domains when `weir throttle list` has asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub law: Option<crate::law::LawStatus>,
}
