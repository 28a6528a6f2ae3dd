//! What the engine decided, done: handed to the journal, to queues, to sinks.
//!
//! Decides nothing but which job's sinks and spider an action means. Invariant: actions are performed in their order.

use super::stage::StageDriver;
use crate::io::Action;
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

    pub(super) fn write(&self, items: &[OutboxItem]) {
        let mut by_job: BTreeMap<JobId, Vec<&OutboxItem>> = BTreeMap::new();
        for item in items {
            by_job.entry(item.item.job).or_default().push(item);
        }
        for (job, items) in by_job {
            let Some(open) = self.jobs.get(&job) else { continue };
            for sink in &open.sinks {
                let bit = 1u32 << sink.id().0;
                let wanted = items.iter().filter(|item| item.sinks & bit != 0);
                let wanted: Vec<_> = wanted.map(|item| (item.id, Arc::clone(&item.item))).collect();
                if !wanted.is_empty() {
                    sink.write(wanted);
                }
            }
        }
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
