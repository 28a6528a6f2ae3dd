//! How a job ends: stop rules, a stop from outside, nothing left to do, given up. A job is over only when everything that
//! was stepped of it is durable.

use crate::engine::Engine;
use crate::record;
use std::collections::{BTreeMap, BTreeSet};
use weir_model::{ExtractionNote, ItemId, JobId, Outcome, SinkId, Tick};
use weir_stage::{Census, Counted, Delisted, Event, SeenElsewhere, item_slot};

/// Counter of listings that were marked as gone.
const DELISTED: &str = "items/delisted";

impl Engine {
    pub(crate) fn apply_stop_rules(&mut self, now: Tick) {
        for (job, run) in &mut self.jobs {
            if run.stopping.is_some() || run.ended.is_some() {
                continue;
            }
            let figures = self.figures.entry(*job).or_default();
            run.stopping = run.stops.iter().find_map(|rule| rule.applies(figures, run.started_at, now));
        }
    }

    /// Stops a job: nothing more is released, what is under way is finished.
    pub fn stop(&mut self, job: JobId, outcome: Outcome) {
        if let Some(run) = self.jobs.get_mut(&job)
            && run.ended.is_none()
        {
            run.stopping.get_or_insert(outcome);
        }
    }

    /// Whether what still waits for sinks may be left to the next run when the crawl stops: no sink that takes items has any of it.
    pub fn leave_items(&mut self, leaves: bool) {
        self.leaves_items = leaves;
    }

    /// The outcome of a job that has nothing left to do, once: all URLs have a verdict, or it was stopped and what was under
    /// way is finished. The caller then calls `end_job`.
    #[must_use]
    pub fn is_over(&self, job: JobId) -> Option<Outcome> {
        let run = self.jobs.get(&job)?;
        if run.ended.is_some() || !self.inputs.is_empty() {
            return None;
        }
        let live = self.live.get(&job).copied().unwrap_or_default();
        if let Some(outcome) = run.stopping {
            // What waits for a computation or a location is in the journal: a shutdown leaves it to the next run, since it may
            // take an hour.
            let waits = outcome == Outcome::Shutdown && self.outbox_bytes <= self.waiting_bytes;
            let is_left = self.leaves_items || waits;
            let busy = self.in_flight > 0
                || (live.pages > 0 && !is_left)
                || self.under_way.is_some()
                || !self.group.is_empty();
            // A stop from outside while sinks do not answer, whatever the job was stopping for: its items are not given up.
            let outcome = if self.leaves_items { Outcome::Shutdown } else { outcome };
            return (!busy).then_some(outcome);
        }
        let done = run.start_next >= run.start_count && live.total() == 0 && self.in_flight == 0 && self.recovered;
        (done && self.next_wake > Tick(0)).then_some(Outcome::Finished)
    }

    /// Ends a job in the journal. A `Shutdown` leaves it unfinished: the same command goes on with it.
    pub fn end_job(&mut self, now: Tick, job: JobId, outcome: Outcome) {
        if outcome != Outcome::Shutdown {
            self.stage.close_job(job, outcome != Outcome::Finished);
            self.write_own(now, &record::Record::JobEnd { job, outcome });
            let step = self.stage.step(now, Vec::new(), 0);
            self.apply(now, step, 0);
        }
        if let Some(run) = self.jobs.get_mut(&job) {
            run.ended = Some(outcome);
        }
    }

    /// Stops a job and keeps it in the journal: also after a restart nothing more of it is released.
    pub fn stop_for_good(&mut self, now: Tick, job: JobId, outcome: Outcome) {
        let Some(run) = self.jobs.get_mut(&job).filter(|run| run.ended.is_none()) else { return };
        // A shutdown may be under way: the stop is what the next run finds.
        run.stopping = Some(outcome);
        self.stage.hold_job(job);
        self.write_own(now, &record::Record::JobStop { job, outcome });
    }

    /// Releases nothing of a job until it is resumed; this run's own, not in the journal.
    pub fn pause(&mut self, job: JobId) {
        self.stage.hold_job(job);
    }

    /// Goes on with a job that was paused, unless it was stopped for good.
    pub fn resume(&mut self, job: JobId) {
        if self.stopping(job).is_none_or(|outcome| outcome == Outcome::Shutdown) {
            self.stage.resume_job(job);
            self.next_wake = Tick(0);
        }
    }

    /// Why a job is being stopped.
    #[must_use]
    pub fn stopping(&self, job: JobId) -> Option<Outcome> {
        self.jobs.get(&job).and_then(|run| run.stopping)
    }

    /// A job that is being stopped has nothing under way any more.
    #[must_use]
    pub fn is_held(&self, job: JobId) -> bool {
        let live = self.live.get(&job).copied().unwrap_or_default();
        self.inputs.is_empty() && live.urls.leased == 0 && live.pages == 0
    }

    /// How many requests may be under way from now on.
    pub fn set_concurrency(&mut self, requests: usize) {
        self.config.concurrency = requests;
    }

    /// Names of sinks by number, for remarks: more may come with every job.
    pub fn name_sinks(&mut self, names: Vec<String>) {
        self.config.sink_names = names;
    }

    /// Forgets a job that has ended and is known elsewhere to have.
    pub fn forget(&mut self, job: JobId) {
        self.jobs.remove(&job);
        self.live.remove(&job);
        self.figures.remove(&job);
        self.exchanges.remove(&job);
        self.marks.retain(|(of, _), _| *of != job);
    }

    /// What a complete crawl saw, and what it did not see.
    pub(crate) fn count_absent(&mut self, census: &Census) -> Counted {
        self.stage.count_absent(census)
    }

    /// Another stage has seen these listings: what is known of them is its to keep.
    pub(crate) fn seen_elsewhere(&mut self, now: Tick, ids: impl Iterator<Item = ItemId>) {
        let mut slots: BTreeMap<u8, Vec<ItemId>> = BTreeMap::new();
        ids.for_each(|id| slots.entry(item_slot(id)).or_default().push(id));
        let events: Vec<Event> =
            slots.into_iter().map(|(slot, ids)| Event::SeenElsewhere(Box::new(SeenElsewhere { slot, ids }))).collect();
        if !events.is_empty() {
            let step = self.stage.step(now, events, 0);
            self.apply(now, step, 0);
        }
    }

    /// Sinks have marked listings as gone; counted by listing, but for those of `elsewhere`.
    pub(crate) fn delisted(
        &mut self,
        now: Tick,
        job: JobId,
        marked: Vec<(SinkId, Vec<ItemId>)>,
        elsewhere: &BTreeSet<ItemId>,
    ) {
        let mut events: BTreeMap<(u8, SinkId), Vec<ItemId>> = BTreeMap::new();
        let mut listings = BTreeSet::new();
        for (sink, ids) in marked {
            for id in ids {
                events.entry((item_slot(id), sink)).or_default().push(id);
                listings.insert(id);
            }
        }
        if listings.is_empty() {
            return;
        }
        let events = events.into_iter();
        let events: Vec<Event> =
            events.map(|((slot, sink), ids)| Event::Delisted(Box::new(Delisted { slot, sink, ids }))).collect();
        let step = self.stage.step(now, events, 0);
        self.apply(now, step, 0);
        let count = u32::try_from(listings.difference(elsewhere).count()).unwrap_or(u32::MAX);
        if count > 0 {
            let note = ExtractionNote { counter: DELISTED.into(), count, example: "".into() };
            self.keep_notes(now, &[(job, note)]);
        }
    }

    /// Gives a job of an earlier run up: its queue is abandoned.
    pub fn give_up(&mut self, now: Tick, job: JobId) {
        self.stage.close_job(job, true);
        self.write_own(now, &record::Record::JobEnd { job, outcome: Outcome::Cancelled });
    }
}
