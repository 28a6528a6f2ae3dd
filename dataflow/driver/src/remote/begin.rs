//! How a job begins in a stage: its spider file has come, it is compiled, its sinks are opened, it is noted in the state.
//!
//! Decides what is tried again and what never can run here. Invariant: a job is in the state's document before its first record.

use super::awaiting::AGAIN_AFTER;
use super::desk::{load_spider, prepare_job};
use super::intake::{Ready, Waiting};
use super::stage::StageDriver;
use crate::delisting::Delisting;
use crate::document::StageJob;
use crate::report::Output;
use std::sync::Arc;
use weir_model::{ContentHash, JobId, Outcome, Tick};
use weir_queue::{QueueError, QueueErrorClass};

/// Why a job could not be opened.
pub(super) enum OpenError {
    /// Nothing helps but another message.
    Never(String),
    /// Trying again may help.
    Later(String),
}

impl StageDriver {
    pub(super) fn take_spider(&mut self, now: Tick, hash: ContentHash, text: Result<String, QueueError>) {
        let is_wanted =
            |waiting: &Waiting| waiting.header.hash == hash && waiting.again_at.is_none() && waiting.ready.is_none();
        let wanted = self.waiting.iter().filter(|(_, waiting)| is_wanted(waiting)).map(|(job, _)| *job);
        for job in wanted.collect::<Vec<_>>() {
            let ready = match &text {
                Ok(text) => self.make_ready(now, job, text),
                Err(error) if error.class == QueueErrorClass::NotFound => Err(OpenError::Never(format!(
                    "spider {} is not in {}: enqueue the job again, which uploads it ({error})",
                    hash.spider_key(),
                    self.options.queues.artifacts.name()
                ))),
                Err(error) => Err(OpenError::Later(error.to_string())),
            };
            match ready {
                Ok(ready) if ready.job.awaited.is_empty() => {
                    self.waiting.get_mut(&job).expect("listed above").ready = Some(Box::new(ready));
                    self.admit(now, job);
                }
                Ok(ready) => {
                    self.waiting.get_mut(&job).expect("listed above").ready = Some(Box::new(ready));
                    self.open_sinks(now, job);
                }
                Err(OpenError::Later(why)) => {
                    tracing::warn!(job = job.0, "job cannot be opened now, trying again: {why}");
                    self.waiting.get_mut(&job).expect("listed above").again_at = Some(now.after(AGAIN_AFTER));
                }
                Err(OpenError::Never(why)) => self.fail_job(job, &why),
            }
        }
    }

    fn make_ready(&mut self, now: Tick, job: JobId, text: &str) -> Result<Ready, OpenError> {
        let header = self.waiting[&job].header.clone();
        let spider = load_spider(&header, text).map_err(OpenError::Never)?;
        crate::compute::check(&self.options.compute, &spider).map_err(OpenError::Never)?;
        let mut prepared = prepare_job(&self.options, header, spider).map_err(OpenError::Never)?;
        let outputs = std::mem::take(&mut prepared.sinks);
        let names: Vec<String> = outputs.iter().map(Output::name).collect();
        let ids = self.document.sinks_of(&names).map_err(|error| OpenError::Never(error.to_string()))?;
        let sinks = ids.into_iter().zip(outputs).collect();
        let mut open = prepared.into_job(now.unix_ms(), sinks);
        let (spider, listed) = (Arc::clone(&open.spider), open.listed());
        open.delisting = open.settings.delist.then(|| Delisting::new(&self.document, &listed, &spider));
        Ok(Ready { job: open, text: text.to_owned() })
    }

    /// The sinks of a new job are open: it begins, and takes what has come for it.
    pub(super) fn admit(&mut self, now: Tick, job: JobId) {
        let Some(Waiting { header, messages, ready: Some(ready), .. }) = self.waiting.remove(&job) else { return };
        if let Some(outcome) = self.outcome_of(job) {
            // Another stage has told its end meanwhile.
            return messages.into_iter().for_each(|message| self.take_late(&header, outcome, None, message));
        }
        let Ready { job: open, text } = *ready;
        let entry = StageJob {
            id: job,
            header: Some(header),
            spider: text,
            sinks: open.sink_ids.clone(),
            opened_at: open.opened_at,
            outcome: None,
            untold: None,
        };
        self.document.jobs.push(open.listed());
        if let Some(stage) = &mut self.document.stage {
            stage.jobs.push(entry);
        }
        let run = open.run(now);
        self.jobs.insert(job, open);
        self.engine.name_sinks(self.document.sinks.iter().map(|sink| sink.name.clone()).collect());
        let saved = self.journal.save(&self.document);
        let opened = self.computer.open(job, &self.jobs[&job].spider);
        if let Err(error) = saved.and(opened) {
            self.failure.get_or_insert(error);
        }
        self.engine.open_job(run);
        tracing::info!(job = job.0, spider = self.jobs[&job].header.spider, "job opened");
        for (receipt, inward) in messages {
            self.feed_inward(job, receipt, inward);
        }
    }

    /// A job that can never run here ends at every stage: its messages go to the dead letters, with the reason.
    pub(super) fn fail_job(&mut self, job: JobId, why: &str) {
        let Some(waiting) = self.waiting.get(&job) else { return };
        tracing::error!(job = job.0, spider = waiting.header.spider, "job cannot be opened: {why}");
        self.end_unopened(job, Outcome::Failed, Some(why), self.others());
    }
}
