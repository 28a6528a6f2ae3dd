//! The end of a job as it is noted and told: to the outside as its last part, to stages that would not hear of it otherwise; and what becomes
//! of a job that ends without having been opened here.
//!
//! Decides what is told again at a start, and what a message means that comes after the end. Invariants: an end that is in the document is
//! told until it is known to be told, also by the next process; a job that is told keeps no more than its outcome; no message of a failed
//! job is deleted before it lies among the dead letters.

use super::desk::message_of;
use super::stage::StageDriver;
use super::status::part_key;
use crate::document::{StageJob, Untold};
use crate::exchange::Inward;
use std::collections::BTreeSet;
use weir_model::json::{JobHeader, QueueMessage, TallyMessage};
use weir_model::{JobId, Outcome, ReceiptId};

/// Late messages are told from those of new jobs by a list of ended ones; they live for 14 days.
const JOBS_MAX: usize = 10_000;

impl StageDriver {
    /// Notes an end with what is to be told of it, in the document that the caller saves.
    pub(super) fn note_end(&mut self, job: JobId, outcome: Outcome, untold: Untold) {
        self.document.ended(job, outcome);
        let Some(stage) = &mut self.document.stage else { return };
        let at = stage.jobs.iter().position(|entry| entry.id == job).unwrap_or_else(|| {
            stage.jobs.push(StageJob {
                id: job,
                header: None,
                spider: String::new(),
                sinks: Vec::new(),
                opened_at: self.clock.now().unix_ms(),
                outcome: None,
                untold: None,
            });
            stage.jobs.len() - 1
        });
        let entry = &mut stage.jobs[at];
        (entry.outcome, entry.untold) = (Some(outcome), Some(Box::new(untold)));
        entry.spider.clear();
        drop_oldest(&mut stage.jobs, |entry| entry.outcome.is_some());
        drop_oldest(&mut self.document.jobs, |entry| entry.outcome.is_some());
    }

    /// Tells what is untold of an end that is durable; answered by `PartWritten` and `Announced`.
    pub(super) fn tell_end(&self, job: JobId) {
        let entry = self.document.stage.iter().flat_map(|stage| &stage.jobs).find(|entry| entry.id == job);
        let Some((Some(untold), ended)) = entry.map(|entry| (&entry.untold, entry.outcome)) else { return };
        if let Some(part) = &untold.part {
            let bytes = serde_json::to_vec_pretty(part).expect("numbers and texts are JSON");
            self.outside.put_last(job, part_key(job, part.stage), bytes);
        }
        let body = TallyMessage { ended, ..self.engine.tally(job, 0) }.to_json();
        for stage in &untold.stages {
            self.outside.announce(*stage, body.clone(), job);
        }
    }

    /// At a start: what the process before may not have told.
    pub(super) fn tell_ends(&mut self) {
        let others = self.others();
        let mut untold = Vec::new();
        for entry in self.document.stage.iter_mut().flat_map(|stage| &mut stage.jobs) {
            let Some(end) = &mut entry.untold else { continue };
            if !end.stages.is_empty() {
                // Their number may have changed since.
                end.stages.clone_from(&others);
            }
            untold.push(entry.id);
        }
        for job in untold {
            self.tell_end(job);
        }
    }

    /// Something of an end was heard by whom it is for. Of one that everybody has heard of nothing more is kept.
    pub(super) fn heard(&mut self, job: JobId, what: impl FnOnce(&mut Untold)) {
        let mut jobs = self.document.stage.iter_mut().flat_map(|stage| &mut stage.jobs);
        let Some(entry) = jobs.find(|entry| entry.id == job) else { return };
        let Some(untold) = &mut entry.untold else { return };
        what(untold);
        if **untold != Untold::default() {
            return;
        }
        entry.untold = None;
        if let Err(error) = self.journal.save(&self.document) {
            self.failure.get_or_insert(error);
        }
    }

    /// Ends a job that is not open here and has not ended; `stages` are to hear of it. False when its end could not be made durable.
    pub(super) fn end_unopened(
        &mut self,
        job: JobId,
        outcome: Outcome,
        why: Option<&str>,
        stages: BTreeSet<u32>,
    ) -> bool {
        let waiting = self.waiting.remove(&job);
        let mut part = self.part(job, Some(outcome), why.map(str::to_owned));
        if let Some(waiting) = &waiting {
            part.spider.clone_from(&waiting.header.spider);
        }
        self.note_end(job, outcome, Untold { part: Some(part), stages });
        if let Err(error) = self.journal.save(&self.document) {
            self.failure.get_or_insert(error);
            return false;
        }
        self.tell_end(job);
        if let Some(waiting) = waiting {
            for message in waiting.messages {
                self.take_late(&waiting.header, outcome, why, message);
            }
        }
        true
    }

    /// A message of a job that has ended. Of a failed one it is kept, whether this process ended the job or one before that was killed.
    pub(super) fn take_late(
        &mut self,
        header: &JobHeader,
        outcome: Outcome,
        why: Option<&str>,
        (receipt, inward): (ReceiptId, Inward),
    ) {
        if outcome != Outcome::Failed {
            self.counts.late += 1;
            return self.outside.settle(vec![receipt]);
        }
        let job = header.job.0;
        let why = why.map_or_else(
            || format!("job {job} has failed: weir jobs show {job} says why; put that right and enqueue it again"),
            str::to_owned,
        );
        self.outside.bury(receipt, "requests", message_of(header, self.slice.index, inward), why);
    }
}

/// Of those that have ended only the newest are kept.
fn drop_oldest<T>(jobs: &mut Vec<T>, has_ended: impl Fn(&T) -> bool) {
    let mut surplus = jobs.iter().filter(|job| has_ended(job)).count().saturating_sub(JOBS_MAX);
    jobs.retain(|job| {
        let drop = surplus > 0 && has_ended(job);
        surplus -= usize::from(drop);
        !drop
    });
}
