//! A job as the engine runs it.

use std::ops::Range;
use std::sync::Arc;
use weir_frontier::JobSpec;
use weir_model::json::JobHeader;
use weir_model::{LinkBatch, Outcome, Tick};
use weir_stage::SinkMasks;

/// Start URLs, by number: so that a resumed job goes on where it stopped and shards can be cut.
pub trait StartSource: Send {
    /// Appends `count` URLs from number `from` on, without those that the spider drops.
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
    /// What of them is this job's: numbers, in the order in which their shards came. Empty: all of them.
    pub pieces: Vec<Range<u64>>,
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
    /// What its messages carry, where there are messages.
    pub header: Option<JobHeader>,
}

impl JobRun {
    /// Start URLs of a shard that came.
    pub(crate) fn add_piece(&mut self, piece: Range<u64>) {
        if !piece.is_empty() {
            self.start_count += piece.end - piece.start;
            self.pieces.push(piece);
        }
    }

    /// Appends the next `count` start URLs.
    pub(crate) fn fill(&self, count: usize, out: &mut LinkBatch) {
        if self.pieces.is_empty() {
            return self.start.fill(self.start_next, count, out);
        }
        let (mut skip, mut left) = (self.start_next, count as u64);
        for piece in &self.pieces {
            let length = piece.end - piece.start;
            if skip >= length {
                skip -= length;
                continue;
            }
            let take = left.min(length - skip);
            self.start.fill(piece.start + skip, take as usize, out);
            (skip, left) = (0, left - take);
            if left == 0 {
                break;
            }
        }
    }
}
