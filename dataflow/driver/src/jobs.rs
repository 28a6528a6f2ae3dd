//! A job as the engine runs it.

use std::sync::Arc;
use weir_frontier::JobSpec;
use weir_model::{LinkBatch, Outcome, Tick};
use weir_stage::SinkMasks;

/// Start URLs, by number: so that a resumed job goes on where it stopped and shards can be cut.
pub trait StartSource: Send {
    /// Appends `count` URLs from number `from` on.
    fn fill(&self, from: u64, count: usize, out: &mut LinkBatch);
}

/// When a job stops before it is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRule {
    /// After this many items.
    Items(u64),
    /// After this many answers.
    Pages(u64),
    /// After this many errors.
    Errors(u64),
    /// After this many microseconds of this run.
    Us(u64),
}

/// A running job.
pub struct JobRun {
    /// What the frontier knows of it.
    pub spec: Arc<JobSpec>,
    /// Its sinks.
    pub masks: SinkMasks,
    /// Its start URLs.
    pub start: Box<dyn StartSource>,
    /// How many there are.
    pub start_count: u64,
    /// How many were offered.
    pub start_next: u64,
    /// When to stop early.
    pub stops: Vec<StopRule>,
    /// When this run began.
    pub started_at: Tick,
    /// It is being stopped, with this outcome.
    pub stopping: Option<Outcome>,
    /// It has ended.
    pub ended: Option<Outcome>,
}
