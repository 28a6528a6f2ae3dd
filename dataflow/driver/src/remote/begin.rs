//! How a job begins in a stage: its spider file has come, it is compiled, noted in the state, its sinks are opened.
//!
//! Decides what is tried again and what never can run here. Invariant: a job is in the state's document before its first record.

use super::desk::prepare_job;
use super::stage::StageDriver;
use crate::delisting::Delisting;
use crate::document::StageJob;
use crate::error::CrawlError;
use crate::opening::{Opening, open_sinks};
use crate::report::Output;
use crate::sinks::{SinkStart, SinkThread};
use std::sync::Arc;
use std::time::Duration;
use weir_model::{ContentHash, JobId, Outcome, Tick};
use weir_queue::{QueueError, QueueErrorClass};

/// A spider file, or a sink, that cannot be had now is asked for again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Why a job could not be opened.
pub(super) enum OpenError {
    /// Nothing helps but another message.
    Never(String),
    /// Trying again may help.
    Later(String),
}

impl StageDriver {
    pub(super) fn take_spider(&mut self, now: Tick, hash: ContentHash, text: Result<String, QueueError>) {
        let wanted =
            self.waiting.iter().filter(|(_, waiting)| waiting.header.hash == hash && waiting.again_at.is_none());
        for job in wanted.map(|(job, _)| *job).collect::<Vec<_>>() {
            let opened = match &text {
                Ok(text) => self.open_job(now, job, text),
                Err(error) if error.class == QueueErrorClass::NotFound => Err(OpenError::Never(format!(
                    "spider {} is not in {}: enqueue the job again, which uploads it ({error})",
                    hash.spider_key(),
                    self.options.queues.artifacts.name()
                ))),
                Err(error) => Err(OpenError::Later(error.to_string())),
            };
            match opened {
                Ok(()) => {
                    let waiting = self.waiting.remove(&job).expect("listed above");
                    for (receipt, inward) in waiting.messages {
                        self.feed_inward(job, receipt, inward);
                    }
                }
                Err(OpenError::Later(why)) => {
                    tracing::warn!(job = job.0, "job cannot be opened now, trying again: {why}");
                    self.waiting.get_mut(&job).expect("listed above").again_at = Some(now.after(AGAIN_AFTER));
                }
                Err(OpenError::Never(why)) => self.fail_job(job, &why),
            }
        }
    }

    pub(super) fn open_job(&mut self, now: Tick, job: JobId, text: &str) -> Result<(), OpenError> {
        let header = self.waiting[&job].header.clone();
        let prepared = prepare_job(&self.options, header.clone(), text).map_err(OpenError::Never)?;
        let names = prepared.sink_names();
        let opened_at = now.unix_ms();
        let mut open = prepared.into_job(opened_at);
        let ids = self.document.sinks_of(&names).map_err(|error| OpenError::Never(error.to_string()))?;
        open.sink_ids = ids.iter().map(|id| id.0).collect();
        let entry = StageJob {
            id: job,
            header: Some(header),
            spider: text.to_owned(),
            sinks: open.sink_ids.clone(),
            opened_at,
            outcome: None,
            untold: None,
        };
        let listed = open.listed();
        let run = open.run(now);
        self.jobs.insert(job, open);
        if let Err(error) = self.open_sinks(job) {
            self.jobs.remove(&job);
            return Err(match error {
                CrawlError::Usage(why) => OpenError::Never(why),
                other => OpenError::Later(other.to_string()),
            });
        }
        self.document.jobs.push(listed);
        if let Some(stage) = &mut self.document.stage {
            stage.jobs.push(entry);
        }
        self.engine.name_sinks(self.document.sinks.iter().map(|sink| sink.name.clone()).collect());
        let saved = self.journal.save(&self.document);
        let opened = self.computer.open(job, &self.jobs[&job].spider);
        if let Err(error) = saved.and(opened) {
            self.failure.get_or_insert(error);
        }
        self.engine.open_job(run);
        tracing::info!(job = job.0, spider = self.jobs[&job].header.spider, "job opened");
        Ok(())
    }

    pub(super) fn open_sinks(&mut self, job: JobId) -> Result<(), CrawlError> {
        let open = self.jobs.get_mut(&job).expect("the caller has it");
        let ids = open.ids();
        let (spider, started) = (Arc::clone(&open.spider), open.header.opened_at);
        let mut delisting = open.settings.delist.then(|| Delisting::new(&self.document, &open.listed(), &spider));
        let unopened = std::mem::take(&mut open.unopened);
        let mut threads = Vec::with_capacity(unopened.len());
        let (engine, document) = (&mut self.engine, &mut self.document);
        let opened = open_sinks(unopened, &ids, (job, started), &spider, engine, document, Opening::Again)?;
        for ((Output { sink, required }, is_there), id) in opened.into_iter().zip(ids) {
            let sink = match &mut delisting {
                Some(delisting) if is_there => delisting.wrap(id, sink, &self.options.stop),
                _ => sink,
            };
            let start = SinkStart {
                job,
                id,
                name: sink.describe().url,
                schemas: spider.schemas().to_vec(),
                batch: self.options.settings.sink_batch_items.min(sink.describe().batch.items_max),
                sink: is_there.then_some(sink),
                required,
                stop: Arc::clone(&self.options.stop),
                clock: Arc::clone(&self.clock),
            };
            threads.push(SinkThread::start(start, self.driver.clone())?);
        }
        let open = self.jobs.get_mut(&job).expect("it is there");
        (open.sinks, open.delisting) = (threads, delisting);
        Ok(())
    }

    /// A job that can never run here ends at every stage: its messages go to the dead letters, with the reason.
    pub(super) fn fail_job(&mut self, job: JobId, why: &str) {
        let Some(waiting) = self.waiting.get(&job) else { return };
        tracing::error!(job = job.0, spider = waiting.header.spider, "job cannot be opened: {why}");
        self.end_unopened(job, Outcome::Failed, Some(why), self.others());
    }
}
