//! Before a job's sinks finish: what is gone, found out alone or with the other stages.
//!
//! Decides when a census begins and what its end means for the job. Invariant: a job ends also when another stage does not tell what it
//! saw; then nothing is marked, which the next complete crawl makes up for.

use super::census::{Next, Roll};
use super::desk::OpenJob;
use super::ending::Ending;
use super::stage::StageDriver;
use crate::delisting::may_mark;
use weir_model::{JobId, Outcome, Tick};
use weir_queue::QueueError;

impl StageDriver {
    /// Everything of a job has settled here, and the others know that it is over.
    pub(super) fn begin_count(&mut self, job: JobId, outcome: Outcome) {
        let open = self.jobs.get_mut(&job).expect("the caller has it");
        let (Outcome::Finished, Some(delisting)) = (outcome, &mut open.delisting) else {
            return self.begin_finish(job, outcome);
        };
        if self.slice.of == 1 {
            delisting.plan(&mut self.engine, outcome);
            return self.begin_finish(job, outcome);
        }
        let incomplete = self.engine.figures(job).incomplete();
        if let Some(why) = &incomplete {
            tracing::info!(job = job.0, "no stage marks anything as gone: {why}");
        }
        let counted = delisting.count(&mut self.engine, Default::default());
        let (roll, wanted) = Roll::begin(job, (self.slice.index, self.slice.of), incomplete.is_none(), counted);
        (open.roll, open.ending) = (Some(roll), Ending::Counting { outcome });
        wanted.into_iter().for_each(|wanted| self.outside.object(job, wanted));
    }

    /// An object of a census has come, or does not come.
    pub(super) fn take_object(&mut self, now: Tick, job: JobId, key: &str, bytes: Result<Vec<u8>, QueueError>) {
        let Some(OpenJob { roll: Some(roll), ending: Ending::Counting { outcome }, .. }) = self.jobs.get_mut(&job)
        else {
            return;
        };
        let outcome = *outcome;
        let taken = bytes.map_err(|error| error.to_string()).and_then(|bytes| roll.take(key, &bytes));
        if let Err(why) = taken {
            tracing::error!(
                job = job.0,
                "nothing is marked as gone: what another stage has seen of this job is not known: {why}; expected an object of each \
                 stage. Look whether all stages run, with one version of weir: the next complete crawl marks what this one could not"
            );
            return self.begin_finish(job, outcome);
        }
        let open = self.jobs.get_mut(&job).expect("looked up above");
        let (Some(roll), Some(delisting)) = (&mut open.roll, &mut open.delisting) else { return };
        match roll.next() {
            Next::Wait => {}
            Next::Ask(asked) => {
                let found = delisting.count(&mut self.engine, asked).found;
                roll.found(found).into_iter().for_each(|wanted| self.outside.object(job, wanted));
            }
            Next::Done(judged) => {
                let incomplete = (!judged.is_complete).then_some("the logs of the stages say why");
                if may_mark(judged.absent, judged.seen, incomplete) {
                    delisting.counted_elsewhere(judged.counted_elsewhere.into_iter());
                    delisting.mark(&judged.gone);
                }
                self.engine.seen_elsewhere(now, judged.seen_elsewhere.into_iter());
                self.begin_finish(job, outcome);
            }
        }
    }
}
