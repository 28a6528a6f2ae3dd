//! What comes from outside: reports, messages of jobs, commands.
//!
//! Decides what a message means for the stage: whose it is, whether its job is open, ended or not known yet. What it means for URLs is decided in
//! the engine. Invariant: a receipt is settled at once only when its message changes nothing, or its effect is durable.

use super::desk::OpenJob;
use super::outside::FromOutside;
use super::stage::StageDriver;
use super::unbegun::Silence;
use crate::exchange::Inward;
use crate::io::Input;
use crate::law::Refused;
use std::collections::BTreeSet;
use std::time::Duration;
use weir_model::json::{Control, ControlMessage, FetchEnvelope, JobHeader, QueueMessage, StageMessage};
use weir_model::{FetchOutcome, JobId, MessageId, Outcome, ReceiptId, Report, Tick};
use weir_queue::CLAIM_TTL;

/// Commands that are remembered, so that a repeated one is obeyed once.
const OBEYED_MAX: usize = 100;
/// Between two warnings of functions that do not begin.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Messages of a job that is not open yet.
pub(super) struct Waiting {
    pub header: JobHeader,
    pub messages: Vec<(ReceiptId, Inward)>,
    /// Not before: something failed for now.
    pub again_at: Option<Tick>,
    /// Its spider file has come: as it will run when its sinks are open.
    pub ready: Option<Box<Ready>>,
}

/// A job that lacks nothing but its sinks.
pub(super) struct Ready {
    pub job: OpenJob,
    /// Its spider file.
    pub text: String,
}

impl StageDriver {
    pub(super) fn take_outside(&mut self, event: FromOutside) {
        let now = self.clock.now();
        match event {
            FromOutside::Reports { receipt, stage, reports, spent, bytes } => {
                if stage == self.name {
                    self.unbegun.reported(now, &reports);
                    self.adapt(now, &reports);
                    self.engine.feed(Input::Spent { spent, report_bytes: bytes });
                    self.engine.feed(Input::Reports { receipt, reports });
                } else {
                    // Of a state that lay here before: its releases are nobody's any more.
                    self.counts.strange += reports.len() as u64;
                    self.outside.settle(vec![receipt]);
                }
            }
            FromOutside::Claimed { receipt, message, won } => self.take_claimed(now, receipt, message, won),
            FromOutside::Message { receipt, message } => match *message {
                StageMessage::Shard(shard) => {
                    let inward = Inward::Shard { shard: shard.shard, shards: shard.shards, start: shard.start };
                    self.take_inward(shard.header, receipt, inward);
                }
                StageMessage::Forward(parcel) if parcel.to != self.slice.index => {
                    let why = format!("a parcel for stage {} came to stage {}", parcel.to, self.slice.index);
                    tracing::error!("{why}: is a requests queue shared?");
                    self.outside.bury(receipt, "requests", QueueMessage::to_json(&parcel), why);
                }
                StageMessage::Forward(parcel) => {
                    let inward = Inward::Parcel { from: parcel.from, id: parcel.id, offers: parcel.offers };
                    self.take_inward(parcel.header, receipt, inward);
                }
                StageMessage::Tally(tally) => self.take_tally(now, receipt, tally),
            },
            FromOutside::Control { receipt, message } => self.obey(receipt, message),
            FromOutside::Spider { hash, text } => self.take_spider(now, hash, text),
            FromOutside::ParcelSent { job, to, id } => {
                self.counts.parcels += 1;
                self.engine.feed(Input::ParcelSent { job, to, id });
            }
            FromOutside::Announced { job, stage } => match self.jobs.get_mut(&job) {
                Some(open) => open.untold.iter_mut().for_each(|untold| _ = untold.remove(&stage)),
                None => self.heard(job, |untold| _ = untold.stages.remove(&stage)),
            },
            FromOutside::PartWritten { job } => self.heard(job, |untold| untold.part = None),
            FromOutside::Object { job, key, bytes } => self.take_object(now, job, &key, bytes),
            FromOutside::Buried { queue, why } => {
                self.counts.buried += 1;
                tracing::error!(queue, "a message could not be used and lies among the dead letters: {why}");
            }
            FromOutside::Trouble(what) => tracing::warn!("{what}; trying again"),
        }
    }

    /// As many requests under way as functions keep up with.
    pub(super) fn adapt(&mut self, now: Tick, reports: &[Report]) {
        let unsent = reports.iter().filter(|report| matches!(report.outcome, FetchOutcome::Unfetched { .. })).count();
        let before = self.window;
        let size = self.window.reported(now, reports.len() - unsent, unsent);
        if self.window.is_below(before) {
            // Beyond what was under way the old bound was none.
            self.window.fit(self.engine.in_flight() / 2);
        }
        self.engine.set_concurrency(size.min(self.window.size()));
    }

    /// Claims messages that are silent although their slots are over.
    pub(super) fn take_back(&mut self, now: Tick) {
        while let Some(message) = self.unbegun.next(now) {
            let until = now.after(CLAIM_TTL).unix_ms();
            self.outside.claim(message, FetchEnvelope::claim_key_of(&self.name, message), until);
        }
    }

    fn take_claimed(&mut self, now: Tick, receipt: ReceiptId, message: MessageId, won: bool) {
        let Silence::Unbegun(reports) = self.unbegun.claimed(now, message, won) else { return };
        if self.counts.unbegun == 0 || now.since(self.unbegun_told_at) >= TELL_EVERY {
            tracing::warn!(
                requests = reports.len(),
                "no function began a fetch message in time; its requests are queued again and cost no attempt. If this lasts, look whether the \
                 function is deployed, its event source enabled, and its concurrency limit reached"
            );
            self.unbegun_told_at = now;
        }
        self.counts.unbegun += reports.len() as u64;
        self.adapt(now, &reports);
        self.engine.feed(Input::Reports { receipt, reports });
    }

    /// A message of a job: to the engine when it is open, or it waits for the spider.
    pub(super) fn take_inward(&mut self, header: JobHeader, receipt: ReceiptId, inward: Inward) {
        let job = header.job;
        if self.jobs.contains_key(&job) {
            return self.feed_inward(job, receipt, inward);
        }
        if let Some(outcome) = self.outcome_of(job) {
            return self.take_late(&header, outcome, None, (receipt, inward));
        }
        if let Some(waiting) = self.waiting.get_mut(&job) {
            return waiting.messages.push((receipt, inward));
        }
        self.outside.load_spider(header.hash);
        self.waiting.insert(job, Waiting { header, messages: vec![(receipt, inward)], again_at: None, ready: None });
    }

    pub(super) fn ask_again(&mut self, now: Tick) {
        for waiting in self.waiting.values_mut() {
            if waiting.again_at.is_some_and(|at| at <= now) {
                waiting.again_at = None;
                self.outside.load_spider(waiting.header.hash);
            }
        }
    }

    pub(super) fn obey(&mut self, receipt: ReceiptId, message: ControlMessage) {
        let ControlMessage { id, command } = message;
        if self.obeyed.contains(&id) {
            return self.outside.settle(vec![receipt]);
        }
        match command {
            Control::Cancel { job } => {
                tracing::info!(job = job.0, "cancelled by command {id}");
                if self.jobs.contains_key(&job) {
                    let inward = Inward::Stop(Outcome::Cancelled);
                    self.engine.feed(Input::Inward { receipt, job, inward });
                } else {
                    self.cancel_unopened(job, receipt);
                }
            }
            Control::Status {} => {
                self.told = super::telling::Told::in_detail();
                self.outside.settle(vec![receipt]);
            }
            command @ (Control::Policy { .. } | Control::Throttle { .. } | Control::Blacklist { .. }) => {
                self.obey_law(receipt, &ControlMessage { id: id.clone(), command });
            }
        }
        self.obeyed.push_back(id);
        if self.obeyed.len() > OBEYED_MAX {
            self.obeyed.pop_front();
        }
    }

    /// A change of the law, which is durable before its message is settled.
    pub(super) fn obey_law(&mut self, receipt: ReceiptId, message: &ControlMessage) {
        match self.law.command(self.clock.now(), message, &mut self.engine, &self.journal) {
            Some(Err(Refused::Journal(error))) => {
                self.failure.get_or_insert(error);
            }
            Some(Err(Refused::Command(why))) => {
                self.outside.bury(receipt, "control", QueueMessage::to_json(message), why);
            }
            Some(Ok(_)) | None => {
                self.told = super::telling::Told::default();
                self.outside.settle(vec![receipt]);
            }
        }
    }

    /// Its messages may still come: they find it ended.
    pub(super) fn cancel_unopened(&mut self, job: JobId, receipt: ReceiptId) {
        // Every stage gets the command itself.
        if self.outcome_of(job).is_some() || self.end_unopened(job, Outcome::Cancelled, None, BTreeSet::new()) {
            self.outside.settle(vec![receipt]);
        }
    }
}
