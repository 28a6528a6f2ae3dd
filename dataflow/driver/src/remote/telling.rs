//! How a stage tells the world: its status and its parts of jobs as objects, metrics for Prometheus, a heartbeat for CloudWatch.

use super::JobPart;
use super::desk::OpenJob;
use super::spending::without_spending;
use super::stage::StageDriver;
use super::status::{StageStatus, status_key};
use crate::law::LawStatus;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use weir_model::{JobId, Outcome, Tick, UnixMs};

/// Parts of jobs and the status while jobs run: what `--wait` sees. A write costs.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// At most so far apart while a job runs.
const TELL_AT_LAST_EVERY: Duration = Duration::from_secs(30);
/// The status while nothing runs.
const TELL_IDLE_EVERY: Duration = Duration::from_secs(60);
/// Figure of the dead letters that found no room.
pub(super) const WITHOUT_ROOM: &str = "dead_letters_without_room";
/// A beat a minute, which is the alarm's period.
const BEAT_EVERY: Duration = Duration::from_secs(60);

/// When what was told last.
#[derive(Debug, Default)]
pub(super) struct Told {
    status_at: Tick,
    metrics_at: Tick,
    beat_at: Tick,
    jobs: usize,
    /// Somebody asks: the next status shows domains, too.
    in_detail: bool,
}

impl Told {
    /// Everything is to be told now, with domains.
    pub fn in_detail() -> Told {
        Told { in_detail: true, ..Told::default() }
    }
}

/// Domains that a status shows of each worker.
const DOMAINS_MAX: usize = 1_000;
/// The longest law that a status shows whole.
const IN_FORCE_BYTES_MAX: usize = 1 << 20;

/// A hundredth of a job's age: of a crawl of days a write each two seconds would be a quarter of the bill, and nobody looks.
fn tell_every(age_ms: u64) -> Duration {
    Duration::from_millis(age_ms / 100).clamp(TELL_EVERY, TELL_AT_LAST_EVERY)
}

impl StageDriver {
    pub(super) fn tell(&mut self, now: Tick) {
        if now.since(self.told.metrics_at) >= Duration::from_secs(1) {
            self.told.metrics_at = now;
            self.health.tell(self.metrics(now));
        }
        if now.since(self.told.beat_at) >= BEAT_EVERY {
            self.told.beat_at = now;
            let beat = self.beat(now);
            (self.options.heartbeat)(&beat);
        }
        let youngest = self.jobs.values().map(|open| open.opened_at).max();
        let every =
            youngest.map_or(TELL_IDLE_EVERY, |opened_at| tell_every(now.unix_ms().0.saturating_sub(opened_at.0)));
        if now.since(self.told.status_at) < every && self.told.jobs == self.jobs.len() {
            return;
        }
        (self.told.status_at, self.told.jobs) = (now, self.jobs.len());
        for job in self.jobs.keys().copied().collect::<Vec<_>>() {
            let part = self.part(job, None, None);
            let news = |old: &JobPart| JobPart { at: part.at, ..old.clone() } != part;
            if self.jobs[&job].part.as_ref().is_none_or(news) {
                self.write_part(&part);
                self.jobs.get_mut(&job).expect("listed above").part = Some(part);
            }
        }
        let law = match std::mem::take(&mut self.told.in_detail) {
            true => self.law.status(self.engine.domain_laws(DOMAINS_MAX), IN_FORCE_BYTES_MAX),
            false => self.law.status((Vec::new(), 0), 0),
        };
        let status = self.status(now, law);
        let bytes = serde_json::to_vec_pretty(&status).expect("numbers and texts are JSON");
        self.outside.put(status_key(self.slice.index), bytes);
    }

    /// What this stage says of a job.
    pub(super) fn part(&self, job: JobId, outcome: Option<Outcome>, failure: Option<String>) -> JobPart {
        let (figures, live) = (self.engine.figures(job), self.engine.live(job));
        let open = self.jobs.get(&job);
        let now = self.clock.now().unix_ms();
        let tally = self.engine.tally(job, 0);
        JobPart {
            job,
            stage: self.slice.index,
            spider: open.map(|open| open.header.spider.clone()).unwrap_or_default(),
            opened_at: open.map_or(now, |open| open.opened_at),
            at: now,
            outcome,
            failure: failure.or_else(|| open.and_then(OpenJob::waits_for)),
            shards_taken: tally.shards.len() as u32,
            queued: live.urls.queued + live.urls.delayed + live.urls.parked,
            in_flight: live.urls.leased,
            pending: live.pages,
            stats: figures.named(0).into_iter().collect(),
            architecture: self.options.tariff.architecture.as_str().to_owned(),
            notes: without_spending(figures.notes.into_iter().map(|(name, (_, example))| (name, example)).collect()),
        }
    }

    fn status(&self, now: Tick, law: LawStatus) -> StageStatus {
        StageStatus {
            stack: self.options.stack.clone(),
            stage: self.slice.index,
            of: self.slice.of,
            state: self.document.state.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: now.unix_ms(),
            started_at: self.started_at.unix_ms(),
            figures: self.figures_by_name().into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            jobs: self.jobs.keys().copied().collect(),
            obeyed: self.obeyed.iter().cloned().collect(),
            law: Some(law),
        }
    }

    fn figures_by_name(&self) -> BTreeMap<&'static str, u64> {
        let (mut queued, mut pages, mut items) = (0, 0, 0);
        for job in self.jobs.keys() {
            let (live, figures) = (self.engine.live(*job), self.engine.figures(*job));
            queued += live.urls.queued + live.urls.delayed + live.urls.parked;
            pages += figures.urls.responses.iter().map(|(_, count)| count).sum::<u64>();
            items += figures.items.scraped;
        }
        let (letters, beyond) = self.engine.letter_counts();
        let mut figures = BTreeMap::from([
            ("jobs", self.jobs.len() as u64),
            ("urls_queued", queued),
            ("requests_in_flight", self.engine.in_flight() as u64),
            ("outbox_bytes", self.engine.outbox_bytes() as u64),
            ("requests_window", self.window.size() as u64),
            ("pages", pages),
            ("items", items),
            ("reports_redelivered", self.engine.redelivered()),
            ("reports_strange", self.counts.strange),
            ("messages_late", self.counts.late),
            ("messages_buried", self.counts.buried),
            ("messages_dispatched", self.counts.dispatched),
            ("requests_unbegun", self.counts.unbegun),
            ("parcels_handed_on", self.counts.parcels),
            ("dead_letters", letters),
            (WITHOUT_ROOM, beyond),
        ]);
        for (kind, inbox) in self.outside.figures() {
            let (received, unsettled) = match kind {
                "requests" => ("requests_received", "requests_unsettled"),
                "reports" => ("reports_received", "reports_unsettled"),
                _ => ("control_received", "control_unsettled"),
            };
            figures.insert(received, inbox.received);
            figures.insert(unsettled, inbox.unsettled as u64);
        }
        figures
    }

    fn metrics(&self, now: Tick) -> String {
        let label = format!("{{stack=\"{}\",stage=\"{}\"}}", self.options.stack, self.slice.index);
        let mut text = String::new();
        let uptime = now.since(self.started_at).as_secs();
        for (name, value) in self.figures_by_name().into_iter().chain([("uptime_seconds", uptime)]) {
            let kind = if is_counter(name) { "counter" } else { "gauge" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# TYPE weir_{name} {kind}\nweir_{name}{label} {value}");
        }
        text
    }

    /// One document in CloudWatch's embedded format: namespace `weir`, dimensions `Stack` and `Stage`.
    fn beat(&self, now: Tick) -> String {
        let figures = self.figures_by_name();
        let shown = [
            ("Heartbeat", 1),
            ("QueuedUrls", figures["urls_queued"]),
            ("RequestsInFlight", figures["requests_in_flight"]),
            ("OutboxBytes", figures["outbox_bytes"]),
        ];
        let metrics: Vec<_> = shown.iter().map(|(name, _)| serde_json::json!({ "Name": name })).collect();
        let UnixMs(at) = now.unix_ms();
        let mut document = serde_json::json!({
            "_aws": { "Timestamp": at, "CloudWatchMetrics": [
                { "Namespace": "weir", "Dimensions": [["Stack", "Stage"]], "Metrics": metrics }
            ] },
            "Stack": self.options.stack,
            "Stage": self.slice.index.to_string(),
        });
        for (name, value) in shown {
            document[name] = value.into();
        }
        document.to_string()
    }
}

fn is_counter(name: &str) -> bool {
    ["_received", "_redelivered", "_strange", "_late", "_buried", "_dispatched", "_handed_on", "_unbegun"]
        .iter()
        .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_grows_is_a_counter() {
        for name in ["requests_unbegun", "messages_late", "messages_buried", "reports_received", "parcels_handed_on"] {
            assert!(is_counter(name), "{name}");
        }
        for name in ["urls_queued", "requests_in_flight", "requests_unsettled", "requests_window", "dead_letters"] {
            assert!(!is_counter(name), "{name}");
        }
    }
}
