//! What an engine tells of its jobs: counters and remarks as they add up, and how they are asked for. Nothing here decides anything.

use crate::engine::Engine;
use crate::figures::JobFigures;
use crate::record;
use std::collections::BTreeMap;
use weir_frontier::{Counters, LogLine};
use weir_geo::{GeoCounts, Notice};
use weir_model::{ExtractionNote, JobId, Outcome, SinkId, Tick};
use weir_stage::{ItemCounts, JobLive, KnownItem};

/// Counter of the items that best-effort sinks missed.
const MISSED: &str = "items/missed";

impl Engine {
    pub(crate) fn count(&mut self, urls: &Counters, items: &BTreeMap<JobId, ItemCounts>) {
        self.redelivered += urls.redelivered;
        for (job, counts) in urls.iter() {
            self.figures.entry(job).or_default().urls.add(counts);
        }
        for (job, counts) in items {
            self.figures.entry(*job).or_default().items.add(counts);
        }
    }

    /// Adds up the remarks of a step, so that the journal gets one record a counter and step.
    pub(crate) fn keep_notes(&mut self, now: Tick, notes: &[(JobId, ExtractionNote)]) {
        let mut sums: BTreeMap<(JobId, &str), (u64, &str)> = BTreeMap::new();
        for (job, note) in notes {
            sums.entry((*job, &note.counter)).or_insert((0, &note.example)).0 += u64::from(note.count);
        }
        for ((job, counter), (count, example)) in sums {
            self.note(job, counter, count, example);
            let (counter, example) = (counter.to_owned(), example.to_owned());
            self.write_own(now, &record::Record::Note { job, counter, count, example });
        }
    }

    /// Counts of geocoding are counted remarks too. What concerns no job (a late answer) counts for the job that runs.
    pub(crate) fn keep_geocodes(&mut self, now: Tick, counts: &BTreeMap<JobId, GeoCounts>, notices: Vec<Notice>) {
        let running = self.jobs.iter().find(|(_, run)| run.ended.is_none()).map(|(job, _)| *job);
        for (job, counts) in counts {
            let job = if *job == JobId(0) { running.unwrap_or(*job) } else { *job };
            for (counter, count) in counts.named().filter(|(_, count)| *count > 0) {
                self.note(job, counter, count, "");
                let (counter, example) = (counter.to_owned(), String::new());
                self.write_own(now, &record::Record::Note { job, counter, count, example });
            }
        }
        self.notices.extend(notices.into_iter().map(|notice| notice.text));
    }

    /// Items that a best-effort sink missed, as a counted remark.
    pub(crate) fn keep_missed(&mut self, now: Tick, sink: SinkId, count: u64) {
        let example = self.config.sink_names.get(usize::from(sink.0)).cloned().unwrap_or_default();
        let running: Vec<JobId> =
            self.jobs.iter().filter(|(_, run)| run.ended.is_none()).map(|(job, _)| *job).collect();
        for job in running {
            self.note(job, MISSED, count, &example);
            let (counter, example) = (MISSED.to_owned(), example.clone());
            self.write_own(now, &record::Record::Note { job, counter, count, example });
        }
    }

    pub(crate) fn note(&mut self, job: JobId, counter: &str, count: u64, example: &str) {
        let notes = &mut self.figures.entry(job).or_default().notes;
        match notes.get_mut(counter) {
            Some(entry) => entry.0 += count,
            None => {
                notes.insert(counter.to_owned(), (count, example.to_owned()));
            }
        }
    }

    /// Figures of a job, of all its runs.
    #[must_use]
    pub fn figures(&self, job: JobId) -> JobFigures {
        self.figures.get(&job).cloned().unwrap_or_default()
    }

    /// What is alive of a job.
    #[must_use]
    pub fn live(&self, job: JobId) -> JobLive {
        self.live.get(&job).copied().unwrap_or_default()
    }

    /// The newest version of every item that the state knows. With one worker.
    pub fn each_known(&self, visit: &mut dyn FnMut(KnownItem)) {
        self.stage.each_known(visit);
    }

    /// Requests under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bytes of items that wait for sinks.
    #[must_use]
    pub fn outbox_bytes(&self) -> usize {
        self.outbox_bytes
    }

    /// Reports for a release that was settled before.
    #[must_use]
    pub fn redelivered(&self) -> u64 {
        self.redelivered
    }

    /// How a job was ended in the journal, if it was.
    #[must_use]
    pub fn ended(&self, job: JobId) -> Option<Outcome> {
        self.jobs.get(&job).and_then(|run| run.ended)
    }

    /// What the operator should know, since the last call.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// The crawl log since the last call.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.log)
    }
}
