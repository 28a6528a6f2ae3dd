//! How a job ends in a stage: at rest or stopped, told to the others, its sinks completed, its end durable, then forgotten.
//!
//! With several stages the first one asks all of them, in rounds, for what they count (Mattern's four counters): a job is over when
//! all rest, every shard was admitted, what was handed on was taken in, and a second round finds the same.

use super::stage::StageDriver;
use super::status::part_key;
use crate::document::Untold;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use weir_model::json::{QueueMessage, TallyMessage};
use weir_model::{JobId, Outcome, ReceiptId, Tick};

/// Between two rounds that found work.
const ROUND_PAUSE: Duration = Duration::from_millis(500);
/// A round whose answers have not come by then is begun anew.
const ROUND_MAX: Duration = Duration::from_secs(30);

/// How far a job's end is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    /// It runs.
    #[default]
    Running,
    /// What its sinks confirmed becomes durable, and the other stages are told.
    Settling { outcome: Outcome, barrier: u64 },
    /// All stages find out together what is gone.
    Counting { outcome: Outcome },
    /// Its sinks complete what they wrote.
    Finishing { outcome: Outcome },
    /// Its end becomes durable.
    Closing { outcome: Outcome, barrier: u64 },
}

impl StageDriver {
    /// Brings every job's end one step further where it can.
    pub(super) fn end_jobs(&mut self, now: Tick) {
        for job in self.jobs.keys().copied().collect::<Vec<_>>() {
            let before = self.jobs[&job].ending;
            match before {
                Ending::Running if self.lacks_sinks(job) => {}
                Ending::Running => self.look_for_end(now, job),
                Ending::Settling { outcome, barrier } => {
                    let open = self.jobs.get_mut(&job).expect("listed above");
                    let told = open.untold.as_ref().is_none_or(BTreeSet::is_empty);
                    if told && self.engine.is_durable(barrier) {
                        self.begin_count(job, outcome);
                    }
                }
                Ending::Counting { .. } => {}
                Ending::Finishing { outcome } => self.finish(now, job, outcome),
                Ending::Closing { outcome, barrier } if self.engine.is_durable(barrier) => self.close(job, outcome),
                Ending::Closing { .. } => {}
            }
        }
    }

    fn look_for_end(&mut self, now: Tick, job: JobId) {
        if let Some(outcome) = self.engine.ended(job) {
            // Its end was in the journal already, not yet in the document: the process died in between, its sinks were complete.
            return self.close(job, outcome);
        }
        self.stop_at_budget(now, job);
        let stopping = self.engine.stopping(job).filter(|outcome| *outcome != Outcome::Shutdown);
        let open = self.jobs.get_mut(&job).expect("the caller has it");
        if let Some(outcome) = stopping {
            if !open.is_held {
                open.is_held = true;
                self.engine.stop_for_good(now, job, outcome);
            }
            if self.tells_others(job) {
                self.tell_others(job, outcome);
            }
            if self.engine.is_held(job) {
                self.settle_end(job, outcome);
            }
            return;
        }
        let over = match open.told_end {
            Some(_) => self.engine.rests(job),
            None if self.slice.of == 1 => {
                self.engine.rests(job) && self.is_complete(job, &[self.engine.tally(job, 0)]).is_some()
            }
            None if self.slice.index == 0 => self.ask_round(now, job),
            None => false,
        };
        if over {
            if self.tells_others(job) {
                self.tell_others(job, Outcome::Finished);
            }
            self.settle_end(job, Outcome::Finished);
        }
    }

    fn settle_end(&mut self, job: JobId, outcome: Outcome) {
        let barrier = self.engine.barrier();
        self.jobs.get_mut(&job).expect("the caller has it").ending = Ending::Settling { outcome, barrier };
    }

    /// Who was told of the end leaves telling to others; the first stage does not: who told it may have told it alone, or died before the rest.
    fn tells_others(&self, job: JobId) -> bool {
        self.slice.index == 0 || self.jobs[&job].told_end.is_none()
    }

    pub(super) fn others(&self) -> BTreeSet<u32> {
        (0..self.slice.of).filter(|stage| *stage != self.slice.index).collect()
    }

    /// Tells the other stages that the job has ended, once.
    fn tell_others(&mut self, job: JobId, outcome: Outcome) {
        let others = self.others();
        let open = self.jobs.get_mut(&job).expect("the caller has it");
        if open.untold.is_some() {
            return;
        }
        let body = TallyMessage { ended: Some(outcome), ..self.engine.tally(job, 0) }.to_json();
        for stage in &others {
            self.outside.announce(*stage, body.clone(), job);
        }
        open.untold = Some(others);
    }

    /// What is gone is known: the sinks mark it, and complete what they wrote.
    pub(super) fn begin_finish(&mut self, job: JobId, outcome: Outcome) {
        let open = self.jobs.get_mut(&job).expect("the caller has it");
        // Nobody resumes a job of a stage: what its sinks have is completed, whatever it failed on.
        let told = if outcome == Outcome::Failed { Outcome::Cancelled } else { outcome };
        open.sinks.iter_mut().for_each(|sink| sink.begin_finish(told, true));
        (open.ending, open.roll) = (Ending::Finishing { outcome }, None);
    }

    /// The sinks have completed what they wrote: the end goes into the journal.
    fn finish(&mut self, now: Tick, job: JobId, outcome: Outcome) {
        let open = self.jobs.get_mut(&job).expect("the caller has it");
        if !open.sinks.iter().all(crate::sinks::SinkThread::has_ended) {
            return;
        }
        let mut failed = Vec::new();
        for sink in std::mem::take(&mut open.sinks) {
            let id = sink.id();
            match sink.finish(outcome, true) {
                Ok(sink) => open.finished.extend(sink),
                Err(error) => failed.push((id, error)),
            }
        }
        if !failed.is_empty() {
            return failed.into_iter().for_each(|(id, error)| self.reopen_sink(now, job, id, &error));
        }
        if let Some(delisting) = &mut open.delisting {
            delisting.settle(&mut self.engine, now);
        }
        self.engine.end_job(now, job, outcome);
        let barrier = self.engine.barrier();
        self.jobs.get_mut(&job).expect("it is there").ending = Ending::Closing { outcome, barrier };
    }

    /// The end is durable: it goes into the document, is told to the world, and the job is forgotten.
    fn close(&mut self, job: JobId, outcome: Outcome) {
        // The others were told before.
        let failure = self.jobs.get(&job).and_then(|open| open.failure.clone());
        let untold = Untold { part: Some(self.part(job, Some(outcome), failure)), ..Untold::default() };
        self.note_end(job, outcome, untold);
        if let Err(error) = self.journal.save(&self.document) {
            self.failure.get_or_insert(error);
            return;
        }
        self.tell_end(job);
        let spider = self.jobs.get(&job).map_or("", |open| &open.header.spider);
        tracing::info!(job = job.0, spider, outcome = outcome.as_str(), "job ended");
        self.engine.forget(job);
        self.unbegun.forget(job);
        self.computer.close(job);
        if let Some(mut open) = self.jobs.remove(&job) {
            open.finished.iter_mut().for_each(|sink| sink.ended());
            self.outside.settle(open.receipts);
        }
    }

    // ---- several stages -------------------------------------------------------------------------------------------

    /// Counts that agree: every shard came somewhere, all rest, and what was handed on was taken in. Gives the counts.
    fn is_complete(&self, job: JobId, tallies: &[TallyMessage]) -> Option<Vec<(u32, u32, u64)>> {
        let shards = self.engine.shards(job)?;
        let taken: BTreeSet<u32> = tallies.iter().flat_map(|tally| tally.shards.iter().copied()).collect();
        if taken.len() as u64 != u64::from(shards) || !tallies.iter().all(|tally| tally.idle) {
            return None;
        }
        let by_stage: BTreeMap<u32, &TallyMessage> = tallies.iter().map(|tally| (tally.from, tally)).collect();
        let mut counts = Vec::new();
        for (from, tally) in &by_stage {
            for (to, other) in &by_stage {
                let sent = tally.sent.get(to).copied().unwrap_or_default();
                if sent != other.received.get(from).copied().unwrap_or_default() {
                    return None;
                }
                counts.push((*from, *to, sent));
            }
        }
        Some(counts)
    }

    /// Asks, and looks at the answers; true when two rounds agreed.
    fn ask_round(&mut self, now: Tick, job: JobId) -> bool {
        if !self.engine.rests(job) {
            self.jobs.get_mut(&job).expect("the caller has it").round.agreed = None;
            return false;
        }
        let round = &self.jobs[&job].round;
        let all = round.answers.len() + 1 == self.slice.of as usize;
        if round.is_open && all {
            let tallies: Vec<TallyMessage> =
                round.answers.values().cloned().chain([self.engine.tally(job, round.number)]).collect();
            let counts = self.is_complete(job, &tallies);
            let round = &mut self.jobs.get_mut(&job).expect("the caller has it").round;
            round.is_open = false;
            if counts.is_some() && counts == round.agreed {
                return true;
            }
            round.agreed = counts;
            if round.agreed.is_none() {
                return false;
            }
        }
        let round = &self.jobs[&job].round;
        let pause = if round.is_open { ROUND_MAX } else { ROUND_PAUSE };
        if (round.is_open || round.agreed.is_none()) && now.since(round.begun_at) < pause {
            return false;
        }
        // Never a number of an earlier process: its answers may still come.
        let number = (round.number + 1).max(now.unix_ms().0);
        let body = self.engine.tally(job, number).to_json();
        for stage in 1..self.slice.of {
            self.outside.tell(stage, body.clone(), None);
        }
        let round = &mut self.jobs.get_mut(&job).expect("the caller has it").round;
        (round.number, round.begun_at, round.is_open) = (number, now, true);
        round.answers.clear();
        false
    }

    /// A tally came: a question, an answer, or the news of an end.
    pub(super) fn take_tally(&mut self, now: Tick, receipt: ReceiptId, tally: TallyMessage) {
        let job = tally.job;
        if let Some(outcome) = tally.ended {
            return self.take_end(now, receipt, job, outcome);
        }
        if tally.from == 0 && self.slice.index != 0 {
            let ended = self.outcome_of(job);
            let answer = TallyMessage { ended, ..self.engine.tally(job, tally.round) };
            return self.outside.tell(0, answer.to_json(), Some(receipt));
        }
        if let Some(open) = self.jobs.get_mut(&job)
            && open.round.is_open
            && open.round.number == tally.round
        {
            open.round.answers.insert(tally.from, tally);
        }
        self.outside.settle(vec![receipt]);
    }

    fn take_end(&mut self, now: Tick, receipt: ReceiptId, job: JobId, outcome: Outcome) {
        let Some(open) = self.jobs.get_mut(&job) else {
            let others = if self.slice.index == 0 { self.others() } else { BTreeSet::new() };
            if self.outcome_of(job).is_some() || self.end_unopened(job, outcome, None, others) {
                self.outside.settle(vec![receipt]);
            }
            return;
        };
        open.receipts.push(receipt);
        if open.told_end.is_none() {
            open.told_end = Some(outcome);
            if outcome != Outcome::Finished {
                open.is_held = true;
                self.engine.stop_for_good(now, job, outcome);
            }
        }
    }

    /// How a job ended here, as far as the document knows.
    pub(super) fn outcome_of(&self, job: JobId) -> Option<Outcome> {
        let stage = self.document.stage.as_ref()?;
        stage.jobs.iter().rev().find(|entry| entry.id == job)?.outcome
    }

    pub(super) fn write_part(&self, part: &super::JobPart) {
        let bytes = serde_json::to_vec_pretty(part).expect("numbers and texts are JSON");
        self.outside.put(part_key(part.job, part.stage), bytes);
    }
}
