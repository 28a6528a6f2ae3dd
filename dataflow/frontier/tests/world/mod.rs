//! A small world around the frontier: workers that exchange batches, a journal that forgets what was not committed, a web that
//! answers late, and a judge that writes down every arrival. Virtual time; the same seed gives the same run.

#![allow(dead_code, clippy::unwrap_used, reason = "a test, and each file uses its part")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use weir_frontier::{
    Addr, BootInfo, Budget, Counters, Frontier, FrontierConfig, JobSpec, JobTable, LawBook, Limits, Live, Offer, Out,
    Scratch, prepare, record, slot_of_release,
};
use weir_model::wire::Reader;
use weir_model::{FetchOutcome, JobId, LinkBatch, Release, ReleaseId, Report, RequestKind, TargetId, Tick};

pub const JOB: JobId = JobId(7);
pub const SECOND: u64 = 1_000_000;

pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// One law for all, or none.
#[derive(Clone, Debug, Default)]
pub struct Laws {
    pub limits: Option<Limits>,
    pub blacklist: Vec<String>,
}

impl LawBook for Laws {
    fn limits(&self, _domain: &str) -> Option<Limits> {
        self.limits
    }
    fn blacklisted(&self, domain: &str) -> bool {
        self.blacklist.iter().any(|entry| entry == domain)
    }
}

/// What the web says of a request; the world adds times.
pub struct Answer {
    pub outcome: FetchOutcome,
    pub links: Vec<String>,
    pub latency_us: u64,
    /// The function dies: no report ever.
    pub lost: bool,
}

impl Answer {
    pub fn of(outcome: FetchOutcome) -> Answer {
        Answer { outcome, links: Vec::new(), latency_us: 1000, lost: false }
    }

    pub fn status(status: u16) -> Answer {
        Answer::of(FetchOutcome::Response { status })
    }

    pub fn page(links: Vec<String>) -> Answer {
        Answer { links, ..Answer::status(200) }
    }

    pub fn robots(status: u16, body: &str) -> Answer {
        Answer::of(FetchOutcome::Robots { status, body: body.as_bytes().into() })
    }

    pub fn redirect(location: &str) -> Answer {
        Answer::of(FetchOutcome::Redirect { status: 302, location: location.into() })
    }

    pub fn failed(class: weir_model::FailureClass, written: bool) -> Answer {
        Answer::of(FetchOutcome::Failed { class, reason: "as told".into(), written })
    }

    pub fn after(mut self, latency_us: u64) -> Answer {
        self.latency_us = latency_us;
        self
    }
}

/// A request that reached a server.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub at: u64,
    pub url: String,
    pub release: ReleaseId,
    /// When it was released.
    pub released_at: u64,
    pub attempts: u8,
    pub alone: bool,
}

pub type Web = Box<dyn FnMut(&Release, &mut Rng) -> Answer>;

pub struct World {
    pub config: Arc<FrontierConfig>,
    pub spec: Arc<JobSpec>,
    pub workers: Vec<Frontier>,
    pub outs: Vec<Out>,
    jobs: JobTable,
    scratches: Vec<Scratch>,
    /// Committed groups: lane, offset of the first byte, bytes.
    pub groups: Vec<(u16, u64, Vec<u8>)>,
    lanes: BTreeMap<u16, Vec<u8>>,
    /// By slot: how many groups it covers, and its frames.
    snapshots: BTreeMap<u8, (usize, Vec<Vec<u8>>)>,
    more_jobs: Vec<Arc<JobSpec>>,
    pub now: Tick,
    pub rng: Rng,
    web: Web,
    under_way: BinaryHeap<Reverse<(u64, u64)>>,
    reports: BTreeMap<u64, Report>,
    sent: u64,
    pub arrivals: Vec<Arrival>,
    pub totals: Counters,
    epoch: u32,
    next_lane: u16,
    pub budget: usize,
    /// A release is up to this long under way to its function.
    pub travel_us: u64,
    pub steps: u64,
}

impl World {
    pub fn new(seed: u64, workers: usize, config: FrontierConfig, spec: JobSpec, web: Web) -> World {
        let mut world = World {
            config: Arc::new(config),
            spec: Arc::new(JobSpec { id: JOB, ..spec }),
            workers: Vec::new(),
            outs: Vec::new(),
            jobs: JobTable::default(),
            scratches: Vec::new(),
            groups: Vec::new(),
            lanes: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            more_jobs: Vec::new(),
            now: Tick(1_700_000_000 * SECOND),
            rng: Rng(seed),
            web,
            under_way: BinaryHeap::new(),
            reports: BTreeMap::new(),
            sent: 0,
            arrivals: Vec::new(),
            totals: Counters::default(),
            epoch: 0,
            next_lane: 0,
            budget: 64,
            travel_us: 0,
            steps: 0,
        };
        world.jobs.open(world.spec.clone());
        world.boot(workers);
        world
    }

    fn boot(&mut self, workers: usize) {
        self.epoch += 1;
        self.workers.clear();
        self.outs = (0..workers).map(|_| Out::default()).collect();
        self.scratches = (0..workers).map(|_| Scratch::new(false)).collect();
        for worker in 0..workers {
            let boot = BootInfo { epoch: self.epoch };
            let mut frontier = Frontier::new(self.config.clone(), self.next_lane, worker, workers, boot);
            self.next_lane += 1;
            frontier.open_job(self.spec.clone());
            self.more_jobs.iter().for_each(|spec| frontier.open_job(spec.clone()));
            self.workers.push(frontier);
        }
    }

    /// Another law from now on.
    pub fn set_laws(&mut self, laws: Laws) {
        let laws: Arc<dyn LawBook> = Arc::new(laws);
        Arc::make_mut(&mut self.config).laws = Arc::clone(&laws);
        for (frontier, out) in self.workers.iter_mut().zip(&mut self.outs) {
            frontier.set_laws(Arc::clone(&laws), self.now, out);
        }
    }

    /// Opens a further job.
    pub fn open(&mut self, spec: JobSpec) {
        let spec = Arc::new(spec);
        self.jobs.open(spec.clone());
        self.workers.iter_mut().for_each(|frontier| frontier.open_job(spec.clone()));
        self.more_jobs.push(spec);
    }

    /// Writes down the state of a slot; a later crash starts from it.
    pub fn take_snapshot(&mut self, slot: u8) {
        let mut frames = Vec::new();
        let mut keep = |frame: &[u8]| {
            frames.push(frame.to_vec());
            Ok(())
        };
        let owner = usize::from(slot) % self.workers.len();
        self.workers[owner].snapshot(slot, &mut keep).expect("memory takes everything");
        self.snapshots.insert(slot, (self.groups.len(), frames));
    }

    /// The process dies; what was under way still reaches its servers, and its reports come to nobody who knows them.
    pub fn crash(&mut self, workers: usize) {
        self.boot(workers);
        for frame in self.snapshots.values().flat_map(|snapshot| &snapshot.1) {
            self.workers.iter_mut().for_each(|frontier| frontier.restore(frame).expect("a sound snapshot"));
        }
        for (number, (lane, start, bytes)) in self.groups.iter().enumerate() {
            let mut rest = bytes.as_slice();
            while let Some((body, after)) = record::split(rest) {
                let at = start + (bytes.len() - rest.len()) as u64;
                let covered = self.snapshots.get(&record::slot_of_record(body)).map_or(0, |snapshot| snapshot.0);
                for frontier in self.workers.iter_mut().filter(|_| number >= covered) {
                    frontier.replay(Addr::new(*lane, at), body).expect("a sound journal");
                }
                rest = after;
            }
        }
        self.finish_restart();
    }

    /// As `crash`, from a snapshot of the present state instead of the whole journal.
    pub fn restart_from_snapshot(&mut self, workers: usize) {
        (0..64).for_each(|slot| self.take_snapshot(slot));
        self.crash(workers);
    }

    fn finish_restart(&mut self) {
        for frontier in &mut self.workers {
            frontier.finish_replay(self.now);
        }
        self.totals = Counters::default();
        for frontier in &self.workers {
            self.totals.add(&frontier.totals());
        }
    }

    pub fn frames(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for frontier in &self.workers {
            for slot in frontier.owned_slots() {
                let mut keep = |frame: &[u8]| {
                    frames.push(frame.to_vec());
                    Ok(())
                };
                frontier.snapshot(slot, &mut keep).expect("memory takes everything");
            }
        }
        frames
    }

    pub fn start(&mut self, urls: impl IntoIterator<Item = String>) {
        let mut links = LinkBatch::default();
        urls.into_iter().for_each(|url| links.push(&url, TargetId::START, 0));
        self.offer(0, Offer { job: JOB, links, ..Offer::default() });
    }

    pub fn start_job(&mut self, job: JobId, urls: impl IntoIterator<Item = String>) {
        let mut links = LinkBatch::default();
        urls.into_iter().for_each(|url| links.push(&url, TargetId::START, 0));
        self.offer(0, Offer { job, links, ..Offer::default() });
    }

    pub fn offer(&mut self, worker: usize, offer: Offer) {
        let mut batches = Vec::new();
        prepare(&offer, &self.jobs, &mut self.scratches[worker], &mut batches, &mut self.outs[worker].counters);
        for batch in batches {
            let owner = usize::from(batch.slot) % self.workers.len();
            self.workers[owner].admit(self.now, &batch, &mut self.outs[owner]);
            self.scratches[worker].recycle(batch);
        }
    }

    /// One step: reports that are due, their links, releases, commit. Returns the number of releases.
    pub fn step(&mut self) -> usize {
        self.steps += 1;
        while let Some(Reverse((_, number))) = self.under_way.peek().copied().filter(|due| due.0.0 <= self.now.0) {
            self.under_way.pop();
            if let Some(report) = self.reports.remove(&number) {
                let owner = usize::from(slot_of_release(report.release)) % self.workers.len();
                self.workers[owner].settle(self.now, report, &mut self.outs[owner]);
            }
        }
        self.exchange();
        let mut released = 0;
        for worker in 0..self.workers.len() {
            let out = &mut self.outs[worker];
            released += self.workers[worker].release_due(self.now, Budget { requests: self.budget }, out);
        }
        self.exchange();
        self.commit();
        // Bodies come back before the next step.
        for worker in 0..self.workers.len() {
            for addr in std::mem::take(&mut self.outs[worker].loads) {
                let lane = &self.lanes[&addr.lane()];
                let (body, _) = record::split(&lane[addr.offset() as usize..]).expect("a body where it was asked for");
                self.workers[worker].loaded(addr, body);
            }
        }
        self.send();
        released
    }

    fn exchange(&mut self) {
        loop {
            let mut quiet = true;
            for worker in 0..self.workers.len() {
                for offer in std::mem::take(&mut self.outs[worker].offers) {
                    quiet = false;
                    self.offer(worker, offer);
                }
                for answer in std::mem::take(&mut self.outs[worker].robots) {
                    quiet = false;
                    let owner = usize::from(answer.slot) % self.workers.len();
                    self.workers[owner].robots_answer(self.now, answer, &mut self.outs[owner]);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn commit(&mut self) {
        for (worker, out) in self.outs.iter_mut().enumerate() {
            self.workers[worker].end_step(out);
            let bytes = std::mem::take(&mut out.journal);
            if !bytes.is_empty() {
                let lane_id = self.next_lane - self.workers.len() as u16 + worker as u16;
                let lane = self.lanes.entry(lane_id).or_default();
                self.groups.push((lane_id, lane.len() as u64, bytes.clone()));
                lane.extend_from_slice(&bytes);
            }
            self.totals.add(&out.counters);
            out.counters.clear();
            out.pages.clear();
        }
    }

    /// Releases reach the web: each starts within its slot and arrives anywhere between its start and its answer.
    fn send(&mut self) {
        let mut releases = Vec::new();
        for out in &mut self.outs {
            releases.extend(out.releases.drain(..).chain(out.free.drain(..)).map(|release| (release, false)));
            releases.extend(out.alone.drain(..).map(|release| (release, true)));
        }
        for (release, alone) in releases {
            let mut answer = (self.web)(&release, &mut self.rng);
            let latency = answer.latency_us;
            // The function's clock differs from ours by up to the margin, either way.
            let margin = self.config.margin_us as i64;
            let skew = self.rng.below(2 * margin as u64 + 1) as i64 - margin;
            let got_at = self.now.0 + self.rng.below(self.travel_us + 1);
            let start = got_at.max((release.not_before.0 as i64 + margin - skew) as u64);
            let theirs = |ours: u64| Tick((ours as i64 + skew) as u64);
            if theirs(start) > release.not_after {
                answer = Answer::of(FetchOutcome::Unfetched { reason: "too late".into() });
            }
            let sent =
                !matches!(answer.outcome, FetchOutcome::Unfetched { .. } | FetchOutcome::Failed { written: false, .. });
            if sent {
                let at = start + self.rng.below(latency + 1);
                let url = release.request.url.to_string();
                let (released_at, attempts) = (self.now.0, release.request.attempts);
                self.arrivals.push(Arrival { at, url, release: release.id, released_at, attempts, alone });
            }
            if answer.lost {
                continue;
            }
            let mut links = LinkBatch::default();
            answer.links.iter().for_each(|url| links.push(url, TargetId(1), 0));
            let failed = matches!(answer.outcome, FetchOutcome::Failed { .. });
            let report = Report {
                release: release.id,
                outcome: answer.outcome,
                started_at: if sent { theirs(start) } else { Tick(0) },
                answered_at: if sent && !failed { theirs(start + latency) } else { Tick(0) },
                ended_at: theirs(start + latency),
                wire_bytes: 10,
                body_bytes: 20,
                items: Vec::new(),
                links,
                notes: Vec::new(),
            };
            self.sent += 1;
            let late = self.rng.below(2000);
            self.under_way.push(Reverse((start + latency + late, self.sent)));
            self.reports.insert(self.sent, report);
        }
    }

    /// Whether anything lives.
    pub fn live(&self) -> Live {
        let mut sum = Live::default();
        for live in self.workers.iter().map(|frontier| frontier.live(JOB)) {
            sum.queued += live.queued;
            sum.leased += live.leased;
            sum.delayed += live.delayed;
            sum.parked += live.parked;
        }
        sum
    }

    /// The next instant at which anything happens.
    pub fn next_instant(&self) -> Tick {
        let report = self.under_way.peek().map_or(Tick::NEVER, |due| Tick(due.0.0));
        self.workers.iter().map(Frontier::next_wake).fold(report, Tick::min)
    }

    /// One step, then on to the next instant; false when nothing lives or nothing will ever happen.
    pub fn advance(&mut self) -> bool {
        let released = self.step();
        let busy = released > 0 || self.workers.iter().any(|frontier| frontier.ready_hint() > 0);
        if !busy {
            let next = self.next_instant();
            if next == Tick::NEVER {
                return false;
            }
            self.now = self.now.max(next);
        }
        self.live().total() > 0
    }

    /// Runs until all URLs have a verdict.
    pub fn run(&mut self) {
        let steps = self.steps;
        while self.advance() {
            assert!(self.steps < steps + 1_000_000, "the world does not end: {:?}", self.live());
        }
        self.step();
        assert_eq!(self.live(), Live::default(), "URLs wait for ever");
        self.check_conservation();
    }

    pub fn check_conservation(&self) {
        let counts = self.counts();
        assert_eq!(
            counts.offered,
            counts.verdicts() + counts.pending as u64 + self.live().total(),
            "every URL has one verdict or lives: {counts:?} {:?}",
            self.live()
        );
    }

    pub fn counts(&self) -> weir_frontier::JobCounts {
        self.totals.get(JOB).cloned().unwrap_or_default()
    }

    pub fn arrived(&self, part: &str) -> Vec<&Arrival> {
        self.arrivals.iter().filter(|arrival| arrival.url.contains(part)).collect()
    }

    /// What a restart must bring back, in an order of its own.
    pub fn contents(&self) -> Contents {
        let mut contents = Contents::default();
        for frame in self.frames() {
            contents.take(&frame, self.now);
        }
        for (job, counts) in self.totals.iter() {
            contents.counts.insert(job.0, format!("{counts:?}"));
        }
        contents
    }
}

/// The state in plain sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub seen: BTreeSet<(u64, u64)>,
    /// Domain, job, priority, address; back-offs that are over included.
    pub queued: BTreeSet<(u64, u64, i64, u64)>,
    pub delayed: BTreeSet<(u64, u64, u64, u64, i64)>,
    pub hits: BTreeSet<(u64, u64, u64)>,
    pub spaced: BTreeSet<(u64, u64, u64, u64)>,
    pub robots: BTreeSet<(String, String)>,
    pub counts: BTreeMap<u64, String>,
}

impl Contents {
    fn take(&mut self, frame: &[u8], now: Tick) {
        let mut reader = Reader::new(&frame[2..]);
        let r = &mut reader;
        match frame[0] {
            32 => {
                let job = r.u64().unwrap();
                r.u64().unwrap();
                while !r.is_empty() {
                    assert!(self.seen.insert((job, r.fixed().unwrap())), "a fingerprint is in one place");
                }
            }
            33 => {
                let key = r.fixed().unwrap();
                r.str().unwrap();
                let [delay, even, spaced, _held] = [0; 4].map(|_| r.u64().unwrap());
                // What is past makes no difference.
                if spaced > now.0 || delay > 0 {
                    self.spaced.insert((key, delay, even, spaced));
                }
            }
            34 => {
                let key = r.fixed().unwrap();
                while !r.is_empty() {
                    self.hits.insert((key, r.fixed().unwrap(), r.fixed().unwrap()));
                }
            }
            35 => {
                let (key, job, priority) = (r.fixed().unwrap(), r.u64().unwrap(), r.i64().unwrap());
                while !r.is_empty() {
                    assert!(self.queued.insert((key, job, priority, r.fixed().unwrap())), "an address is in one place");
                }
            }
            36 => {
                let (key, job) = (r.fixed().unwrap(), r.u64().unwrap());
                while !r.is_empty() {
                    let (at, addr, priority) = (r.fixed().unwrap(), r.fixed().unwrap(), r.i64().unwrap());
                    if at <= now.0 {
                        assert!(self.queued.insert((key, job, priority, addr)), "an address is in one place");
                    } else {
                        self.delayed.insert((key, job, at, addr, priority));
                    }
                }
            }
            37 => {
                let robots = record::read_robots(r).unwrap();
                self.robots.insert((robots.url.to_owned(), format!("{:?}", robots.outcome)));
            }
            _ => {}
        }
    }
}

pub fn is_robots(release: &Release) -> bool {
    release.request.kind == RequestKind::Robots
}

/// The most arrivals in any window, and the smallest gap.
pub fn densest(arrivals: &mut [u64], window_us: u64) -> (usize, u64) {
    arrivals.sort_unstable();
    let mut start = 0;
    let mut most = 0;
    for end in 0..arrivals.len() {
        while arrivals[end] - arrivals[start] >= window_us {
            start += 1;
        }
        most = most.max(end + 1 - start);
    }
    let gap = arrivals.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(u64::MAX);
    (most, gap)
}
