//! A small world around the stage: pages that bring items, a journal of whole groups, and sinks that keep what they are told to write.
//! Every step is durable when it returns; a restart is a new stage that sees the journal, or a snapshot and the journal after it.

#![allow(dead_code, clippy::unwrap_used, reason = "a test, and each file uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_frontier::{Addr, ComputeStep, FrontierConfig, GeocodeField, JobSpec, Offer, record};
use weir_geo::{Call, CallResult, Command, GeoCounts, HttpAnswer};
use weir_model::{
    FetchOutcome, Item, ItemId, JobId, LinkBatch, Release, ReleaseId, Report, SinkId, TargetId, Tick, Value,
};
use weir_stage::{
    Computing, Event, Geocoding, ItemCounts, LaneBytes, OutboxId, OutboxItem, SinkMasks, SinkVerdict, Stage,
    StageConfig, Step,
};

pub const JOB: JobId = JobId(1);

/// An item of a key; its content is its hash.
pub fn item(key: u64, version: u64, hash: u64) -> Item {
    // Spread over all slots, as a hash would be.
    let id = ItemId(u128::from(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 6 | u128::from(key % 64));
    Item { job: JOB, schema: 0, id, hash, version, values: vec![Value::Str(format!("content {hash}").into())] }
}

/// A sink for a bit of a mask.
pub fn sinks(of: &[u8]) -> u32 {
    of.iter().fold(0, |mask, sink| mask | 1 << sink)
}

pub fn masks(append: &[u8], upsert: &[u8]) -> SinkMasks {
    SinkMasks { append: sinks(append), upsert: sinks(upsert) }
}

/// One write that a sink has not answered yet.
#[derive(Clone, Debug)]
pub struct Due {
    pub sink: u8,
    pub id: OutboxId,
    pub item: Arc<Item>,
}

pub struct World {
    pub stage: Stage,
    boot: u32,
    lanes: u16,
    now: u64,
    pages: u64,
    jobs: Vec<(JobId, SinkMasks)>,
    /// Sections of the last snapshot.
    snapshot: Vec<(String, Vec<u8>)>,
    /// Groups since then.
    journal: Vec<LaneBytes>,
    /// Writes that were told to sinks and not answered.
    pub due: Vec<Due>,
    pub delivered: u64,
    pub last: Step,
    geocoding: Option<Arc<Geocoding>>,
    /// What the geocoder wanted and nobody has answered.
    pub wanted: Vec<Command>,
    /// What was to be computed since the start.
    pub computes: Vec<Computing>,
    pub geo_counts: GeoCounts,
    /// Every write that sinks were told, in order.
    pub told: Vec<OutboxItem>,
    reports: BTreeMap<u64, Report>,
}

impl World {
    pub fn new(workers: usize, masks: SinkMasks) -> World {
        World::with(workers, masks, None)
    }

    /// A world whose items have the location of field 0 in field 1, and that of field 2 in field 3.
    pub fn with(workers: usize, masks: SinkMasks, geocoding: Option<Geocoding>) -> World {
        let geocoding = geocoding.map(Arc::new);
        let mut world = World {
            stage: stage(0, 1, workers, &geocoding),
            boot: 1,
            lanes: workers as u16,
            now: 1_700_000_000_000_000,
            pages: 0,
            jobs: Vec::new(),
            snapshot: Vec::new(),
            journal: Vec::new(),
            due: Vec::new(),
            delivered: 0,
            last: Step::default(),
            geocoding,
            wanted: Vec::new(),
            computes: Vec::new(),
            geo_counts: GeoCounts::default(),
            told: Vec::new(),
            reports: BTreeMap::new(),
        };
        world.open(JOB, masks);
        world
    }

    pub fn open(&mut self, job: JobId, masks: SinkMasks) {
        self.jobs.push((job, masks));
        self.stage.open_job(&spec(job), masks);
    }

    pub fn step(&mut self, events: Vec<Event>) -> &Step {
        self.now += 1000;
        let step = self.stage.step(Tick(self.now), events, 1_000);
        self.journal.extend(step.journal.iter().cloned());
        self.delivered += step.counters.iter().map(|(_, counts)| counts.delivered).sum::<u64>();
        self.wanted.extend(step.geo.iter().cloned());
        self.computes.extend(step.computes.iter().cloned());
        step.geo_counts.values().for_each(|counts| self.geo_counts.add(counts));
        self.told.extend(step.writes.iter().cloned());
        for write in &step.writes {
            self.due.extend(dues(write));
        }
        self.last = step;
        &self.last
    }

    /// Fetches new pages, of one job, in one step; gives what it wrote.
    pub fn fetch(&mut self, job: JobId, pages: Vec<Vec<Item>>) -> Vec<OutboxItem> {
        let mut links = LinkBatch::default();
        for at in 0..pages.len() as u64 {
            let page = self.pages + at;
            // Many domains, so that all workers have some.
            links.push(&format!("http://site{}.example/{page}", page % 17), TargetId::START, 0);
        }
        self.pages += pages.len() as u64;
        let step = self.step(vec![Event::Offer(Offer { job, links, ..Offer::default() })]);
        assert!(step.loads.is_empty(), "recent bodies are in memory");
        let mut releases: Vec<Release> = step.free.iter().chain(&step.releases).cloned().collect();
        releases.sort_by(|a, b| a.request.url.cmp(&b.request.url));
        assert_eq!(releases.len(), pages.len());
        let mut reports = Vec::new();
        for (release, mut items) in releases.iter().zip(pages) {
            items.iter_mut().for_each(|item| item.job = job);
            reports.push(report(release.id, items, Tick(self.now)));
        }
        for report in &reports {
            self.reports.insert(report.release.0, report.clone());
        }
        self.step(reports.into_iter().map(|report| Event::Report(Box::new(report))).collect()).writes.clone()
    }

    /// Fetches one page of the first job.
    pub fn page(&mut self, items: Vec<Item>) -> Vec<OutboxItem> {
        self.fetch(JOB, vec![items])
    }

    /// All reports so far come again, as a queue may do it.
    pub fn redeliver(&mut self) -> &Step {
        let events = self.reports.values().map(|report| Event::Report(Box::new(report.clone()))).collect();
        self.step(events)
    }

    pub fn written(&mut self, sink: u8, id: OutboxId, verdict: SinkVerdict) -> &Step {
        self.due.retain(|due| due.sink != sink || due.id != id);
        self.step(vec![Event::Written { sink: SinkId(sink), id, verdict }])
    }

    /// Every sink stores everything, until nothing is due.
    pub fn settle_all(&mut self) {
        while !self.due.is_empty() {
            let events = std::mem::take(&mut self.due);
            let stored = |due: Due| Event::Written { sink: SinkId(due.sink), id: due.id, verdict: SinkVerdict::Stored };
            self.step(events.into_iter().map(stored).collect());
        }
    }

    /// Pages of a job whose items are on their way.
    pub fn waiting_pages(&mut self, job: JobId) -> u64 {
        self.step(Vec::new()).live[&job].pages
    }

    pub fn outbox_bytes(&mut self) -> usize {
        self.step(Vec::new()).outbox_bytes
    }

    /// Steps until the stage has nothing left over.
    pub fn rest(&mut self) {
        for _ in 0..20 {
            self.step(Vec::new());
            if self.last.next_wake > Tick(self.now) {
                return;
            }
        }
        panic!("the stage does not come to rest");
    }

    pub fn wait(&mut self, us: u64) {
        self.now += us;
    }

    /// The calls that nobody has answered.
    pub fn calls(&self) -> Vec<Call> {
        let call = |command: &Command| if let Command::Call(call) = command { Some(call.clone()) } else { None };
        self.wanted.iter().filter_map(call).collect()
    }

    /// A provider answers a call: Google's shape.
    pub fn answer(&mut self, call: &Call, body: String) {
        self.wanted.retain(|command| !matches!(command, Command::Call(other) if other.id == call.id));
        let answer = HttpAnswer { status: 200, retry_after_us: None, body: body.into_bytes() };
        let result = CallResult::Answered { at: Tick(self.now), answer };
        self.step(vec![Event::Geo(weir_geo::Event::Returned { call: call.id, result })]);
        self.rest();
    }

    /// Every call finds a place that is a function of its address, until nobody asks any more. Gives the URLs that were asked.
    pub fn answer_all(&mut self) -> Vec<String> {
        let mut asked = Vec::new();
        for _ in 0..1_000 {
            self.rest();
            let calls = self.calls();
            if calls.is_empty() && self.last.next_wake == Tick::NEVER {
                return asked;
            }
            if calls.is_empty() {
                self.wait(100_000);
            }
            for call in calls {
                asked.push(call.request.url.clone());
                let (lat, lon) = place_of(&call.request.url);
                self.answer(&call, found(lat, lon));
            }
        }
        panic!("there is no end to asking");
    }

    pub fn counts(&mut self, job: JobId) -> ItemCounts {
        self.stage.counts().1.get(&job).copied().unwrap_or_default()
    }

    pub fn take_snapshot(&mut self) {
        let mut sections: Vec<(String, Vec<u8>)> = Vec::new();
        self.stage
            .snapshot(&mut |name, bytes| {
                match sections.iter_mut().find(|section| section.0 == name) {
                    Some(section) => section.1.extend_from_slice(bytes),
                    None => sections.push((name.to_owned(), bytes.to_vec())),
                }
                Ok(())
            })
            .unwrap();
        self.snapshot = sections;
        self.journal.clear();
    }

    /// The process dies and comes back with so many workers and these jobs; what sinks had not answered is forgotten.
    pub fn restart_with(&mut self, workers: usize, jobs: Vec<(JobId, SinkMasks)>) {
        self.boot += 1;
        self.stage = stage(self.lanes, self.boot, workers, &self.geocoding);
        self.wanted.clear();
        self.computes.clear();
        self.lanes += workers as u16;
        self.jobs = jobs;
        for (job, masks) in &self.jobs {
            self.stage.open_job(&spec(*job), *masks);
        }
        for (name, bytes) in &self.snapshot {
            self.stage.restore(name, bytes).unwrap();
        }
        for group in &self.journal {
            let mut rest = group.bytes.as_slice();
            let mut records = Vec::new();
            while let Some((body, after)) = record::split(rest) {
                let at = group.offset + (group.bytes.len() - rest.len()) as u64;
                records.push((Addr::new(group.lane, at), body));
                rest = after;
            }
            self.stage.replay(&records).unwrap();
        }
        self.stage.finish_replay(Tick(self.now));
        self.due.clear();
        self.reports.clear();
        self.step(Vec::new());
    }

    /// From the next start on there is no geocoder.
    pub fn forget_geocoding(&mut self) {
        self.geocoding = None;
    }

    pub fn restart(&mut self, workers: usize) {
        self.restart_with(workers, self.jobs.clone());
    }
}

fn dues(write: &OutboxItem) -> impl Iterator<Item = Due> {
    let due = |sink| Due { sink, id: write.id, item: Arc::clone(&write.item) };
    (0..32).filter(|sink| write.sinks & (1 << sink) != 0).map(due)
}

/// The writes as what they say: key, version, hash, sinks.
pub fn said(writes: &[OutboxItem]) -> BTreeSet<(ItemId, u64, u64, u32)> {
    let said: BTreeSet<_> = writes.iter().map(|w| (w.item.id, w.item.version, w.item.hash, w.sinks)).collect();
    assert_eq!(said.len(), writes.len(), "nothing is written twice");
    said
}

/// Where the test's provider finds what a URL asks for.
pub fn place_of(url: &str) -> (f64, f64) {
    let number: f64 = url.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))).into();
    (number % 90.0, -(number % 179.0))
}

/// An answer in Google's shape.
pub fn found(lat: f64, lon: f64) -> String {
    format!(r#"{{"status":"OK","results":[{{"geometry":{{"location":{{"lat":{lat},"lng":{lon}}}}}}}]}}"#)
}

fn spec(job: JobId) -> Arc<JobSpec> {
    // Items of type 7 pass two computations, others none.
    let computes = [vec![1], vec![2, 0]].map(|fields| ComputeStep { schema: 7, fields }).to_vec();
    let geocodes = [(1, 0), (3, 2)].map(|(field, address)| GeocodeField { schema: 0, field, address }).to_vec();
    Arc::new(JobSpec {
        id: job,
        obey_robots: false,
        concurrency_per_domain: 1_000,
        geocodes,
        computes,
        ..JobSpec::default()
    })
}

fn stage(first_lane: u16, boot: u32, workers: usize, geocoding: &Option<Arc<Geocoding>>) -> Stage {
    let lanes = (first_lane..first_lane + workers as u16).collect();
    Stage::new(&StageConfig {
        frontier: Arc::new(FrontierConfig::default()),
        boot,
        lanes,
        geocoding: geocoding.clone(),
    })
}

fn report(release: ReleaseId, items: Vec<Item>, at: Tick) -> Report {
    Report {
        release,
        outcome: FetchOutcome::Response { status: 200 },
        started_at: at,
        answered_at: at,
        ended_at: at,
        wire_bytes: 10,
        body_bytes: 10,
        items,
        links: LinkBatch::default(),
        notes: Vec::new(),
    }
}
