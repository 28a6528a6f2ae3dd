//! What the engine decided, done: handed to the journal, to queues, to sinks.
//!
//! Decides nothing but which job's sinks and spider an action means. Invariant: actions are performed in their order.

use super::awaiting::refusals;
use super::stage::StageDriver;
use crate::io::{Action, Input};
use crate::sinks::Written;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_model::json::FetchEnvelope;
use weir_model::{FetchMessage, JobId, SinkId, crash};
use weir_stage::OutboxItem;

impl StageDriver {
    pub(super) fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Append { group, parts } => self.journal.append(group, parts),
                Action::Dispatch(message) => self.dispatch(message),
                Action::Load(wanted) => self.journal.load(wanted),
                Action::Write(items) => self.write(&items),
                Action::Geocode(commands) => self.geocoder.send(commands),
                Action::Compute(wanted) => self.computer.send(wanted),
                Action::Letters(letters) => {
                    self.shown.changed = true;
                    self.journal.letters(letters);
                }
                Action::Committed(marks) => self.committed(marks),
                Action::HandOn(parcel) => self.outside.hand_on(parcel),
                Action::Settle(receipts) => {
                    crash::point("delete a receipt");
                    self.outside.settle(receipts);
                }
            }
        }
    }

    pub(super) fn dispatch(&mut self, message: FetchMessage) {
        let mut jobs: Vec<weir_model::json::JobRef> = Vec::new();
        for release in &message.releases {
            if jobs.iter().all(|job| job.job != release.job)
                && let Some(open) = self.jobs.get(&release.job)
            {
                jobs.push(open.reference.clone());
            }
        }
        // Releases of a job that has been closed meanwhile are nobody's any more.
        let FetchMessage { id, mut releases } = message;
        releases.retain(|release| jobs.iter().any(|job| job.job == release.job));
        if releases.is_empty() {
            return;
        }
        self.counts.dispatched += 1;
        let message = FetchMessage { id, releases };
        self.unbegun.sent(self.clock.now(), &message, self.options.pace.timeout);
        self.outside.fetch(FetchEnvelope {
            stage: self.name.clone(),
            reports_queue: self.options.queues.reports.name().to_owned(),
            jobs,
            message,
        });
    }

    pub(super) fn write(&mut self, items: &[OutboxItem]) {
        let mut by_job: BTreeMap<JobId, Vec<&OutboxItem>> = BTreeMap::new();
        for item in items {
            by_job.entry(item.item.job).or_default().push(item);
        }
        for (job, items) in by_job {
            let Some(open) = self.jobs.get_mut(&job) else { continue };
            let mut refused = Vec::new();
            for id in open.ids() {
                let bit = 1u32 << id.0;
                let wanted = items.iter().filter(|item| item.sinks & bit != 0);
                let wanted: Vec<_> = wanted.map(|item| (item.id, Arc::clone(&item.item))).collect();
                if wanted.is_empty() {
                    continue;
                }
                if let Some(why) = open.given_up.get(&id) {
                    refused.push(refusals(job, id, wanted.into_iter().map(|(item, _)| item).collect(), why));
                    continue;
                }
                // For a sink that is not open yet, or that is to be opened again, they wait here.
                open.unanswered.entry(id).or_default().extend(wanted.iter().cloned());
                if let Some(sink) = open.sinks.iter().find(|sink| sink.id() == id) {
                    sink.write(wanted);
                }
            }
            refused.into_iter().for_each(|refused| self.engine.feed(refused));
        }
    }

    pub(super) fn written(&mut self, job: JobId, sink: SinkId, written: Written) {
        let Written { outcomes, reasons, mark, notes, .. } = written;
        if let Some(items) = self.jobs.get_mut(&job).and_then(|open| open.unanswered.get_mut(&sink)) {
            outcomes.iter().for_each(|(item, _)| _ = items.remove(item));
        }
        self.engine.feed(Input::Written { job, sink, outcomes, reasons, mark, notes });
    }

    pub(super) fn committed(&self, marks: Vec<((JobId, SinkId), Vec<u8>)>) {
        for ((job, id), mark) in marks {
            let Some(open) = self.jobs.get(&job) else { continue };
            if let Some(sink) = open.sinks.iter().find(|sink| sink.id() == id) {
                sink.committed(mark);
            }
        }
    }
}
