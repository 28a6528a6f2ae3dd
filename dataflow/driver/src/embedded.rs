//! The loop of an embedded crawl: feeds the engine with what came, performs what it decided, and its end.
//!
//! Decides when to look at the outside and when to take a snapshot; what things mean is decided in `engine`. Invariant: everything that sinks have
//! confirmed is durable before they finish, and they have finished before the end is written.

use crate::backfill::Rows;
use crate::compute::Computer;
use crate::crawl::ToDriver;
use crate::delisting::Delisting;
use crate::document::Document;
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::events::Events;
use crate::fetchers::Fetchers;
use crate::geocoder::GeocodeThread;
use crate::io::{Action, Input};
use crate::journal::JournalThread;
use crate::law::{ControlSocket, Law, LawNews, PolicyWatch};
use crate::report::{CrawlReport, Observer, Progress};
use crate::sinks::{SinkThread, Written};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use weir_model::{Clock, JobId, Outcome, ReceiptId, SinkId, Tick, crash};
use weir_stage::OutboxItem;

/// The loop looks at the stop flag and shows progress this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct Driver {
    pub engine: Engine,
    pub law: Law,
    pub _watch: Option<PolicyWatch>,
    pub _socket: Option<ControlSocket>,
    /// Who asked to be told of everything.
    pub events: Option<Events>,
    pub clock: Arc<dyn Clock>,
    pub inbox: Receiver<ToDriver>,
    pub journal: JournalThread,
    pub fetchers: Fetchers,
    pub geocoder: GeocodeThread,
    /// Until the end.
    pub computer: Option<Computer>,
    /// What a backfill looks up, until all of it has entered.
    pub rows: Option<Rows>,
    pub sinks: Vec<SinkThread>,
    /// Items that a sink has and has not answered for.
    pub unanswered: BTreeMap<SinkId, usize>,
    /// Sinks that leave what they have to the next run.
    pub leaving: BTreeSet<SinkId>,
    pub delisting: Delisting,
    pub job: weir_model::JobId,
    pub started_at: Tick,
    pub receipts: u64,
    pub journal_bytes: u64,
    pub snapshot_at: u64,
    pub snapshot_bytes: u64,
    pub failure: Option<CrawlError>,
}

impl Driver {
    pub fn run(&mut self, stop: &AtomicBool, observer: &mut dyn Observer) -> Outcome {
        let mut shown = Tick(0);
        loop {
            let now = self.clock.now();
            let actions = self.engine.advance(now);
            self.perform(actions);
            for notice in self.engine.take_notices() {
                // A warning: also for those who asked for no progress.
                tracing::warn!("{notice}");
            }
            for line in self.engine.take_log() {
                match &mut self.events {
                    Some(events) => {
                        events.logged(&line);
                        if events.log_is_shown {
                            observer.log(&line);
                        }
                    }
                    None => observer.log(&line),
                }
            }
            if let Some(events) = &mut self.events {
                events.hand_over(now.unix_ms());
            }
            if now.since(shown) >= LOOK_EVERY {
                shown = now;
                observer.progress(&self.progress(now));
                if stop.load(Ordering::Relaxed) {
                    self.engine.stop(self.job, Outcome::Shutdown);
                }
            }
            if self.failure.is_some() {
                return Outcome::Failed;
            }
            self.engine.leave_items(self.sinks_leave());
            let over = self.engine.is_over(self.job);
            match self.enter_rows(over) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    self.failure = Some(error);
                    return Outcome::Failed;
                }
            }
            if let Some(outcome) = over {
                return outcome;
            }
            self.snapshot_when_due(now);
            let wait = self.engine.next_wake().since(self.clock.now()).min(LOOK_EVERY);
            if !self.receive(wait) {
                return Outcome::Failed;
            }
        }
    }

    /// Lets the next rows of a backfill enter, when there is room; true: some did. `over`: what was under way before is finished.
    fn enter_rows(&mut self, over: Option<Outcome>) -> Result<bool, CrawlError> {
        let Some(rows) = &mut self.rows else { return Ok(false) };
        let stops =
            self.engine.stopping(self.job).is_some() || over.is_some_and(|outcome| outcome != Outcome::Finished);
        if stops || !(rows.is_read() || over.is_some()) || !rows.has_room(self.engine.live(self.job).pages) {
            return Ok(false);
        }
        let notes = if rows.is_read() { Vec::new() } else { rows.read(&self.engine)? };
        let items = rows.next_lot()?;
        if items.is_empty() {
            self.rows = None;
        }
        let enters = !(items.is_empty() && notes.is_empty());
        if enters {
            self.engine.feed(Input::Rows { items, notes });
        }
        Ok(enters)
    }

    /// Whether what still waits for sinks is left to the next run: some do not answer and the crawl is to stop; the others have
    /// finished what they had.
    fn sinks_leave(&self) -> bool {
        let is_done = |sink: &SinkThread| {
            self.leaving.contains(&sink.id()) || self.unanswered.get(&sink.id()).is_none_or(|count| *count == 0)
        };
        !self.leaving.is_empty() && self.sinks.iter().all(is_done)
    }

    /// Waits for the next message and takes everything that has come.
    fn receive(&mut self, wait: Duration) -> bool {
        let mut next = if wait.is_zero() {
            self.inbox.try_recv().ok()
        } else {
            match self.inbox.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        };
        while let Some(message) = next {
            self.take(message);
            next = self.inbox.try_recv().ok();
        }
        true
    }

    fn take(&mut self, message: ToDriver) {
        if let Some(events) = &mut self.events {
            events.heard(&message);
        }
        let input = match message {
            ToDriver::Reports(reports) => {
                self.receipts += 1;
                Input::Reports { receipt: ReceiptId(self.receipts), reports }
            }
            ToDriver::Geocoded(events) => Input::Geocoded(events),
            ToDriver::Computed { answer, notes } => Input::Computed { answer, notes },
            ToDriver::Written { job, sink, written } => {
                let Written { outcomes, reasons, mark, notes, leaves } = written;
                let unanswered = self.unanswered.entry(sink).or_default();
                *unanswered = unanswered.saturating_sub(outcomes.len());
                if leaves {
                    self.leaving.insert(sink);
                }
                Input::Written { job, sink, outcomes, reasons, mark, notes }
            }
            ToDriver::Law(news) => return self.take_law(news),
            // Only a stage with queues has such things.
            ToDriver::Remote(_) | ToDriver::SinkOpened(_) => return,
            ToDriver::Loaded { worker, addr, record } => Input::Loaded { worker, addr, record },
            ToDriver::Synced { group, journal_bytes } => {
                self.journal_bytes = journal_bytes;
                Input::Synced { group }
            }
            ToDriver::JournalFailed(error) | ToDriver::Failed(error) | ToDriver::SinkFailed { error, .. } => {
                self.failure.get_or_insert(error);
                return;
            }
        };
        self.engine.feed(input);
    }

    fn take_law(&mut self, news: LawNews) {
        match self.law.take(self.clock.now(), news, &mut self.engine, &self.journal) {
            Ok(happened) => {
                if let (Some(events), Some(event)) = (&mut self.events, happened) {
                    events.law(event);
                }
            }
            Err(error) => {
                self.failure.get_or_insert(error);
            }
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Append { group, parts } => self.journal.append(group, parts),
                Action::Dispatch(message) => {
                    if let Err(error) = self.fetchers.send(message) {
                        self.failure.get_or_insert(error);
                    }
                }
                Action::Load(wanted) => self.journal.load(wanted),
                Action::Write(items) => self.write(&items),
                Action::Geocode(commands) => self.geocoder.send(commands),
                Action::Compute(wanted) => {
                    if let Some(computer) = &self.computer {
                        computer.send(wanted);
                    }
                }
                Action::HandOn(parcel) => unreachable!("the only stage owns all domains: {parcel:?}"),
                Action::Letters(letters) => {
                    if let Some(events) = &mut self.events {
                        events.buried(&letters);
                    }
                    self.journal.letters(letters);
                }
                Action::Committed(marks) => self.committed(marks),
                // The queue is in this process: deleting from it is forgetting.
                Action::Settle(_receipts) => crash::point("delete a receipt"),
            }
        }
    }

    fn write(&mut self, items: &[OutboxItem]) {
        for sink in &self.sinks {
            let bit = 1u32 << sink.id().0;
            let wanted: Vec<_> = items
                .iter()
                .filter(|item| item.sinks & bit != 0)
                .map(|item| (item.id, Arc::clone(&item.item)))
                .collect();
            if let Some(events) = &mut self.events {
                items.iter().filter(|item| item.sinks & bit != 0).for_each(|item| events.sent(sink.id(), item));
            }
            if !wanted.is_empty() {
                *self.unanswered.entry(sink.id()).or_default() += wanted.len();
                sink.write(wanted);
            }
        }
    }

    fn committed(&self, marks: Vec<((JobId, SinkId), Vec<u8>)>) {
        for ((_, id), mark) in marks {
            if let Some(sink) = self.sinks.iter().find(|sink| sink.id() == id) {
                sink.committed(mark);
            }
        }
    }

    /// Takes a snapshot when much has been written since the last: flush, wait until all is durable, stream.
    fn snapshot_when_due(&mut self, now: Tick) {
        if self.journal_bytes < self.snapshot_at {
            return;
        }
        // Nothing is stepped from here on; what comes in waits.
        while !self.engine.is_settled() {
            let actions = self.engine.flush(now);
            self.perform(actions);
            match self.inbox.recv_timeout(LOOK_EVERY) {
                Ok(ToDriver::Synced { group, .. }) => self.engine.synced(group),
                Ok(message) => self.take(message),
                Err(_) => {}
            }
            if self.failure.is_some() {
                return;
            }
        }
        let actions = self.engine.flush(now);
        self.perform(actions);
        let bytes = self.journal.snapshot_of(&mut self.engine);
        self.snapshot_at = self.snapshot_bytes.max(bytes * 2);
        self.journal_bytes = 0;
    }

    fn progress(&self, now: Tick) -> Progress {
        let figures = self.engine.figures(self.job);
        let live = self.engine.live(self.job);
        Progress {
            elapsed: now.since(self.started_at),
            pages: figures.urls.responses.iter().map(|(_, count)| count).sum(),
            items: figures.items.scraped,
            errors: figures.errors(),
            queued: live.urls.queued + live.urls.delayed + live.urls.parked,
            in_flight: self.engine.in_flight() as u64,
            pending: live.pages,
        }
    }

    /// The end in the journal, then the sinks, then the document, then the lease.
    pub fn end(mut self, outcome: Outcome, mut document: Document, continued: bool) -> Result<CrawlReport, CrawlError> {
        self.fetchers_end();
        // First everything that the sinks confirmed becomes durable, marks included; then what is gone is marked and the feeds are
        // completed, then the end is written. A crash in between completes the feeds again, from their marks.
        self.settle_all();
        let mut finished = Vec::new();
        if self.failure.is_none() {
            let complete = outcome != Outcome::Shutdown;
            self.delisting.plan(&mut self.engine, outcome);
            for sink in std::mem::take(&mut self.sinks) {
                match sink.finish(outcome, complete) {
                    Ok(sink) => finished.extend(sink),
                    Err(error) => {
                        self.failure.get_or_insert(error);
                    }
                }
            }
        }
        if self.failure.is_none() {
            self.delisting.settle(&mut self.engine, self.clock.now());
            self.engine.end_job(self.clock.now(), self.job, outcome);
            self.settle_all();
        }
        if self.failure.is_none() && outcome != Outcome::Shutdown {
            document.ended(self.job, outcome);
            if let Err(error) = self.journal.save(&document) {
                self.failure.get_or_insert(error);
            }
            if self.failure.is_none() {
                finished.iter_mut().for_each(|sink| sink.ended());
            }
        }
        let report = CrawlReport {
            job: self.job.0,
            continued,
            outcome: if self.failure.is_some() { Outcome::Failed } else { outcome },
            failure: self.failure.as_ref().map(ToString::to_string),
            figures: self.engine.figures(self.job),
            redelivered: self.engine.redelivered(),
            elapsed: self.clock.now().since(self.started_at),
        };
        std::mem::replace(&mut self.geocoder, GeocodeThread::none()).end();
        if let Some(computer) = self.computer.take() {
            computer.end();
        }
        self.journal.end();
        if let Some(mut events) = self.events.take() {
            for line in self.engine.take_log() {
                events.logged(&line);
            }
            events.end(self.clock.now().unix_ms(), &report);
        }
        Ok(report)
    }

    fn fetchers_end(&mut self) {
        let empty = Fetchers::none();
        std::mem::replace(&mut self.fetchers, empty).end();
    }

    /// Flushes until everything is durable.
    fn settle_all(&mut self) {
        while self.failure.is_none() && !self.engine.is_quiet() {
            let now = self.clock.now();
            let mut actions = self.engine.advance(now);
            actions.extend(self.engine.flush(now));
            // Nothing new is begun at the end.
            actions.retain(|action| {
                !matches!(action, Action::Dispatch(_) | Action::Write(_) | Action::Geocode(_) | Action::Compute(_))
            });
            self.perform(actions);
            if !self.engine.is_quiet() && !self.receive(LOOK_EVERY) {
                return;
            }
        }
    }
}
