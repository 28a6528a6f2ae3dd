//! The process: engine, store, journal thread, sink threads and the driver's loop, as `weir_driver::crawl` has them, without
//! threads; how it starts, how it ends, and how it dies.

use crate::judge::FULL_BLUR_US;
use crate::plan::Moment;
use crate::sim::{Event, JOB, Sim};
use crate::web::{Laws, REDIRECTS_MAX, domain_of};
use crate::{Invariant, Sabotage, Violation};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use weir_driver::{Action, Engine, EngineConfig, Input, JobRun, StartSource};
use weir_frontier::retry::RetryPolicy;
use weir_frontier::{Addr, FrontierConfig, JobSpec, record};
use weir_model::{LinkBatch, Outcome, ReceiptId, TargetId, Tick};
use weir_stage::{LaneBytes, OutboxItem, SinkMasks, Stage, StageConfig};
use weir_store::{LanePart, Options, Replayed, Store, StoreError};

const DOCUMENT: &str = "sim.txt";
/// The driver's loop looks around this often while it ends.
const LOOK_US: u64 = 100_000;

/// Why an event was not finished.
#[derive(Debug)]
pub(crate) enum Stopped {
    Broken(Violation),
    PowerCut,
}

impl From<Violation> for Stopped {
    fn from(violation: Violation) -> Stopped {
        Stopped::Broken(violation)
    }
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Stopped {
        let what = error.to_string();
        if what.contains("the power is off") {
            return Stopped::PowerCut;
        }
        Stopped::Broken(Violation { invariant: Invariant::Recovery, what })
    }
}

fn broken(invariant: Invariant, what: String) -> Stopped {
    Stopped::Broken(Violation { invariant, what })
}

/// What the journal's thread has to do.
#[derive(Debug)]
enum Order {
    Append { group: u64, parts: Vec<LaneBytes>, written: bool },
    Load(Vec<(usize, Addr)>),
}

/// What the driver's loop is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Waits until everything is durable, to take a snapshot.
    Snapshot,
    /// Everything becomes durable before the end is written, then the end does.
    Ending(Outcome),
    Ended(Outcome),
}

pub(crate) struct Process {
    pub engine: Engine,
    store: Store,
    boot: u32,
    phase: Phase,
    orders: VecDeque<Order>,
    pub turn_at: Option<Tick>,
    turns: u64,
    snapshot_at: Option<u64>,
}

struct Starts(Vec<String>);

impl StartSource for Starts {
    fn fill(&self, from: u64, count: usize, out: &mut LinkBatch) {
        for url in self.0.iter().skip(from as usize).take(count) {
            out.push(url, TargetId::START, 0);
        }
    }
}

impl Sim {
    // ---- life and death -------------------------------------------------------------------------------------------

    /// The process starts: as `opening::open_engine` does it.
    pub(crate) fn start(&mut self) -> Result<(), Stopped> {
        self.lives += 1;
        self.events_of_life = 0;
        self.moments.clear();
        if let Some(Moment::DiskChange(at)) = self.death().map(|death| death.moment) {
            self.disk.cut_power_at(self.disk.operations() + at);
        }
        let options = Options { segment_bytes: self.plan.segment_bytes, ..Options::new(u128::from(self.seed) + 1) };
        let (mut store, mut recovery) = Store::open(Arc::new(self.disk.clone()), options)?;
        let document = store.get_document(DOCUMENT)?.unwrap_or_default();
        let mut fields = document.split(|byte| *byte == b' ').map(|field| String::from_utf8_lossy(field).into_owned());
        let boot = fields.next().and_then(|boot| boot.parse::<u32>().ok()).unwrap_or(0) + 1;
        store.put_document(DOCUMENT, boot.to_string().as_bytes())?;
        let workers = self.dice.within(1..=self.plan.workers_max) as usize;
        self.threaded |= workers > 1;
        let torn = recovery.report.torn.is_some();
        let (last, snapshot) = (recovery.report.last, recovery.report.snapshot);
        self.note(|| {
            format!("start {boot}: {workers} workers, snapshot {snapshot:?}, last group {last:?}, torn {torn}")
        });
        let lanes = store.allocate_lanes(workers + 1);
        let stage = Stage::new(&StageConfig {
            frontier: self.frontier_config(),
            boot,
            lanes: lanes[..workers].to_vec(),
            geocoding: None,
        });
        let mut engine = Engine::new(stage, self.engine_config(lanes[workers], boot));
        engine.open_job(self.job_run());
        let forget = self.sabotage == Some(Sabotage::ForgottenHits);
        let mut section = Vec::new();
        recovery.for_each(&mut |event| match event {
            Replayed::SectionBegin { .. } => {
                section.clear();
                Ok(())
            }
            Replayed::SectionChunk { bytes, .. } => {
                section.extend_from_slice(bytes);
                Ok(())
            }
            Replayed::SectionEnd { name } => engine.restore(name, &section).map_err(|error| format!("{name}: {error}")),
            Replayed::Record { bytes, .. } if forget && matches!(bytes[0], record::RELEASE | record::ANSWERED) => {
                Ok(())
            }
            Replayed::Record { addr, bytes } => {
                engine.replay(&[(Addr(addr.0), bytes)]).map_err(|error| format!("record at {addr:?}: {error}"))
            }
            Replayed::GroupEnd { .. } => Ok(()),
        })?;
        engine.finish_replay(self.now);
        self.letters.append(&engine.take_letters());
        if let Some(outcome) = engine.ended(JOB) {
            self.note(|| format!("the journal says that the job has ended: {}", outcome.as_str()));
            return self.judge(&engine).map_err(Stopped::Broken);
        }
        let cut = self.sabotage != Some(Sabotage::UncutFeed);
        for sink in &mut self.sinks {
            let opened = sink.open(engine.mark(JOB, sink.id), cut);
            opened.map_err(|what| broken(Invariant::SinksAreAFunctionOfTheItems, what))?;
        }
        let snapshot_at = self.plan.snapshot_every;
        let phase = Phase::Running;
        let process =
            Process { engine, store, boot, phase, orders: VecDeque::new(), turn_at: None, turns: 0, snapshot_at };
        self.process = Some(Box::new(process));
        self.turn_within(0);
        Ok(())
    }

    fn frontier_config(&self) -> Arc<FrontierConfig> {
        let plan = &self.plan;
        let laws = self.web.sites.iter().map(|(host, site)| (domain_of(host).to_owned(), site.law)).collect();
        Arc::new(FrontierConfig {
            laws: Arc::new(Laws(laws)),
            margin_us: plan.margin_us,
            slot_us: plan.slot_us,
            lookahead_us: plan.lookahead_us,
            request_timeout_us: plan.timeout_us,
            lease_grace_us: plan.lease_grace_us,
            hot_bytes: plan.hot_bytes,
            read_ahead: plan.read_ahead,
            parked_max: plan.parked_max,
            robots_ttl_us: plan.robots_ttl_us,
            robots_failure_ttl_us: plan.robots_failure_ttl_us,
            ..FrontierConfig::default()
        })
    }

    fn engine_config(&self, lane: u16, boot: u32) -> EngineConfig {
        let plan = &self.plan;
        EngineConfig {
            concurrency: plan.concurrency,
            message_releases_max: plan.message_releases_max,
            message_lead_us: plan.lookahead_us / 2,
            group_us: plan.group_us,
            group_events_max: plan.group_events_max,
            outbox_bytes_max: match self.sabotage {
                Some(Sabotage::NoBackpressure) => usize::MAX,
                _ => plan.outbox_bytes_max,
            },
            start_low_water: plan.start_low_water,
            start_batch: plan.start_batch,
            step_events_max: plan.step_events_max,
            ..EngineConfig::new(lane, boot)
        }
    }

    fn job_run(&self) -> JobRun {
        let plan = &self.plan;
        let spec = JobSpec {
            id: JOB,
            allowed_domains: self.web.sites.keys().cloned().collect(),
            order: if plan.fifo { weir_frontier::Order::Fifo } else { weir_frontier::Order::Lifo },
            redirects_max: REDIRECTS_MAX,
            retry: RetryPolicy {
                max_retry_times: 8,
                backoff_base: Duration::from_millis(200),
                backoff_max: Duration::from_secs(5),
                ..RetryPolicy::default()
            },
            obey_robots: self.web.obey_robots,
            targets: vec![String::new()],
            concurrency_per_domain: plan.concurrency_per_domain,
            ..JobSpec::default()
        };
        JobRun {
            spec: Arc::new(spec),
            masks: SinkMasks { append: 1, upsert: 2 },
            start_count: self.web.start.len() as u64,
            start: Box::new(Starts(self.web.start.clone())),
            start_next: 0,
            stops: Vec::new(),
            started_at: self.now,
            stopping: None,
            ended: None,
            pieces: Vec::new(),
            header: None,
        }
    }

    fn death(&self) -> Option<crate::plan::Death> {
        self.plan.deaths.get(self.lives as usize - 1).copied()
    }

    /// Dies when this is the moment.
    pub(crate) fn die_at(&mut self, moment: Moment) {
        if let Some(death) = self.death().filter(|death| death.moment == moment) {
            self.die(death.power);
        }
    }

    /// Counts a kind of moment of this life, and dies when it is the chosen one; true when it did.
    fn passes(&mut self, kind: &'static str, moment: fn(u64) -> Moment) -> bool {
        let count = self.moments.entry(kind).or_insert(0);
        *count += 1;
        let moment = moment(*count);
        self.die_at(moment);
        self.process.is_none()
    }

    pub(crate) fn die(&mut self, power: bool) {
        self.note(|| if power { "POWER CUT".to_owned() } else { "KILLED".to_owned() });
        self.process = None;
        self.full_since = None;
        if power {
            let seed = self.dice.next();
            self.disk.restart(seed);
        } else {
            self.disk.kill();
        }
        self.oracle.died();
        for at in 0..self.sinks.len() {
            let count = self.dice.below(self.sinks[at].batch_len() + 1);
            let count = if self.is_away(at) { 0 } else { count };
            self.sinks[at].die(count);
        }
        // Not by the dice: what seeds meant before stays what they mean.
        let lost = (self.lives as usize).wrapping_mul(7919) % (self.letters.loose() + 1);
        self.letters.lose(lost);
        let down = self.dice.skewed(30 * crate::web::SECOND);
        self.after(down, Event::Start);
    }

    pub(crate) fn stop_when_told(&mut self) {
        let Some(process) = &mut self.process else { return };
        if self.stops.front().is_some_and(|at| *at <= self.events_of_life) && process.phase == Phase::Running {
            self.stops.pop_front();
            process.engine.stop(JOB, Outcome::Shutdown);
            self.note(|| "asked to shut down".to_owned());
            self.turn_within(0);
        }
    }

    // ---- the loop -------------------------------------------------------------------------------------------------

    pub(crate) fn feed(&mut self, input: Input) {
        let Some(process) = &mut self.process else { return };
        process.engine.feed(input);
        self.turn_within(2_000);
    }

    /// The driver's loop turns soon: it may be busy for up to `us`.
    fn turn_within(&mut self, us: u64) {
        let at = self.now.after_us(self.dice.skewed(us));
        self.turn_at(at);
    }

    fn turn_at(&mut self, at: Tick) {
        let life = self.lives;
        let Some(process) = &mut self.process else { return };
        if at < Tick::NEVER && process.turn_at.is_none_or(|planned| at < planned) {
            process.turn_at = Some(at);
            self.at(at.max(self.now), Event::Turn { life, at });
        }
    }

    /// As `Driver::run`, `snapshot_when_due` and `end`, one turn.
    pub(crate) fn turn(&mut self) -> Result<(), Stopped> {
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        process.turn_at = None;
        process.turns += 1;
        match process.phase {
            Phase::Running => {
                let actions = process.engine.advance(now);
                self.perform(actions)?;
                self.check()?;
                let Some(process) = &mut self.process else { return Ok(()) };
                if let Some(outcome) = process.engine.is_over(JOB) {
                    process.phase = Phase::Ending(outcome);
                    self.note(|| format!("over: {}", outcome.as_str()));
                    self.turn_within(1_000);
                    return Ok(());
                }
                let wake = process.engine.next_wake();
                if wake <= now {
                    return Err(broken(Invariant::Limits, format!("the engine spins: it wants to wake at {wake:?}")));
                }
                if process.snapshot_at.is_some_and(|at| process.turns >= at) {
                    process.phase = Phase::Snapshot;
                    self.turn_within(0);
                    return Ok(());
                }
                // The driver's loop may be late.
                let late = self.dice.skewed(1_000);
                self.turn_at(wake.after_us(late));
            }
            Phase::Snapshot => {
                let actions = process.engine.flush(now);
                self.perform(actions)?;
                let Some(process) = &mut self.process else { return Ok(()) };
                if process.engine.is_settled() {
                    process.phase = Phase::Running;
                    process.snapshot_at = self.plan.snapshot_every.map(|every| process.turns + every);
                    self.snapshot()?;
                    self.turn_within(0);
                }
            }
            Phase::Ending(_) | Phase::Ended(_) => {
                let mut actions = process.engine.advance(now);
                actions.extend(process.engine.flush(now));
                actions.retain(|action| !matches!(action, Action::Dispatch(_) | Action::Write(_)));
                self.perform(actions)?;
                self.end()?;
            }
        }
        Ok(())
    }

    /// What remains to be done at the end, as far as everything before is durable.
    fn end(&mut self) -> Result<(), Stopped> {
        let now = self.now;
        let Some(process) = &mut self.process else { return Ok(()) };
        if !process.engine.is_quiet() {
            self.turn_at(now.after_us(LOOK_US));
            return Ok(());
        }
        match process.phase {
            Phase::Ending(outcome) => {
                process.engine.end_job(now, JOB, outcome);
                process.phase = Phase::Ended(outcome);
                self.turn_within(0);
                Ok(())
            }
            Phase::Ended(outcome) => {
                let Some(mut process) = self.process.take() else { return Ok(()) };
                let document = format!("{} {}", process.boot, outcome.as_str());
                process.store.put_document(DOCUMENT, document.as_bytes())?;
                process.store.close()?;
                self.oracle.died();
                self.note(|| format!("ended: {}", outcome.as_str()));
                if outcome == Outcome::Shutdown {
                    let down = self.dice.skewed(60 * crate::web::SECOND);
                    self.after(down, Event::Start);
                    return Ok(());
                }
                Ok(self.judge(&process.engine)?)
            }
            _ => unreachable!("called while the job ends"),
        }
    }

    fn perform(&mut self, actions: Vec<Action>) -> Result<(), Stopped> {
        for action in actions {
            match action {
                Action::Append { group, parts } => self.order(Order::Append { group, parts, written: false }),
                Action::Load(wanted) => self.order(Order::Load(wanted)),
                Action::Dispatch(message) => {
                    for release in &message.releases {
                        self.urls.insert(release.id, release.request.url.to_string());
                    }
                    self.dispatch(message)?;
                    if self.passes("dispatch", Moment::Dispatched) {
                        return Ok(());
                    }
                }
                Action::Write(items) => self.write(&items),
                Action::Letters(letters) => self.letters.append(&letters),
                // The simulated feeds have no parts that would wait for it.
                Action::Committed(_) => {}
                Action::Geocode(_) | Action::Compute(_) | Action::HandOn(_) => {
                    unreachable!("stories have no geocoder, no computations and one stage")
                }
                Action::Settle(receipts) => {
                    for receipt in receipts {
                        self.settle(receipt);
                        if self.passes("settle", Moment::Settled) {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn settle(&mut self, receipt: ReceiptId) {
        if let Some(reports) = self.queue.settle(receipt) {
            self.note(|| format!("settle {} ({} reports)", receipt.0, reports.len()));
            self.oracle.settled(&reports);
        }
    }

    // ---- the journal's thread -------------------------------------------------------------------------------------

    fn order(&mut self, order: Order) {
        let life = self.lives;
        let Some(process) = &mut self.process else { return };
        process.orders.push_back(order);
        if process.orders.len() == 1 {
            let busy = self.dice.skewed(1_000);
            self.after(busy, Event::Journal { life });
        }
    }

    pub(crate) fn journal(&mut self) -> Result<(), Stopped> {
        let life = self.lives;
        let pretend = self.sabotage == Some(Sabotage::PretendedSync);
        let Some(process) = &mut self.process else { return Ok(()) };
        match process.orders.front_mut() {
            Some(Order::Append { group, parts, written }) if !*written => {
                *written = true;
                let group = *group;
                if self.full_since.is_some_and(|since| self.now > since.after_us(FULL_BLUR_US)) {
                    self.held.journal_bytes += parts.iter().map(|part| part.bytes.len()).sum::<usize>();
                }
                if !parts.is_empty() {
                    let parts: Vec<LanePart<'_>> = parts
                        .iter()
                        .map(|part| LanePart { lane: part.lane, offset: part.offset, bytes: &part.bytes })
                        .collect();
                    process.store.append_group(&parts)?;
                }
                self.note(|| format!("group {group} is written"));
                if self.passes("append", Moment::Appended) {
                    return Ok(());
                }
                let sync = self.dice.skewed(self.plan.sync_us);
                self.after(sync, Event::Journal { life });
                return Ok(());
            }
            Some(Order::Append { group, .. }) => {
                let group = *group;
                if !pretend {
                    process.store.sync()?;
                }
                process.orders.pop_front();
                self.note(|| format!("group {group} is synced"));
                self.synced(group);
            }
            Some(Order::Load(wanted)) => {
                let wanted = std::mem::take(wanted);
                process.orders.pop_front();
                let addrs: Vec<weir_store::Addr> = wanted.iter().map(|(_, addr)| weir_store::Addr(addr.0)).collect();
                let mut found = Vec::new();
                process.store.read_many(&addrs, &mut |addr, record| found.push((addr.0, record.to_vec())))?;
                self.note(|| format!("{} bodies read back of {}", found.len(), wanted.len()));
                for (addr, record) in found {
                    let worker = wanted.iter().find(|(_, at)| at.0 == addr).map_or(0, |(worker, _)| *worker);
                    self.feed(Input::Loaded { worker, addr: Addr(addr), record });
                }
            }
            None => return Ok(()),
        }
        if self.process.as_ref().is_some_and(|process| !process.orders.is_empty()) {
            let busy = self.dice.skewed(1_000);
            self.after(busy, Event::Journal { life });
        }
        Ok(())
    }

    fn synced(&mut self, group: u64) {
        let Some(process) = &mut self.process else { return };
        if process.phase == Phase::Snapshot {
            process.engine.synced(group);
            self.turn_within(2_000);
        } else {
            self.feed(Input::Synced { group });
        }
    }

    fn snapshot(&mut self) -> Result<(), Stopped> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let chunk = weir_frontier::address::CHUNK_BYTES;
        let live: Vec<_> = process
            .engine
            .live_chunks()
            .into_iter()
            .filter(|part| part.live > 0)
            .map(|part| (part.id.lane, u64::from(part.id.chunk) * chunk..(u64::from(part.id.chunk) + 1) * chunk))
            .collect();
        self.letters.sync();
        let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
        let streamed = process.engine.snapshot(&mut |name, part| {
            parts.push((name.to_owned(), part.to_vec()));
            Ok(())
        });
        streamed.map_err(|error| broken(Invariant::Recovery, error.to_string()))?;
        let mut writer = process.store.begin_snapshot()?;
        let mut section = String::new();
        for (name, bytes) in &parts {
            if *name != section {
                writer.section(name)?;
                section.clone_from(name);
            }
            writer.write(bytes)?;
        }
        let info = process.store.install_snapshot(writer)?;
        let kept = process.store.retain(&mut |lane, range| {
            live.iter().any(|(of, bodies)| *of == lane && bodies.start < range.end && range.start < bodies.end)
        })?;
        self.note(|| format!("snapshot {:?}, {} segments removed", info.seq, kept.segments_removed));
        Ok(())
    }

    // ---- the sinks' threads ---------------------------------------------------------------------------------------

    fn write(&mut self, items: &[OutboxItem]) {
        self.note(|| format!("write {} items", items.len()));
        for sink in &mut self.sinks {
            let bit = 1u32 << sink.id.0;
            let wanted = items.iter().filter(|item| item.sinks & bit != 0);
            sink.take(wanted.map(|item| (item.id, Arc::clone(&item.item))));
        }
        (0..self.sinks.len()).for_each(|at| self.begin_batch(at));
    }

    fn begin_batch(&mut self, at: usize) {
        let (life, batch_max) = (self.lives, self.dice.within(1..=8) as usize);
        if self.sinks[at].begin(batch_max) {
            let busy = self.dice.skewed(self.sink_us);
            self.after(busy, Event::Sink { life, sink: at });
        }
    }

    pub(crate) fn sink_done(&mut self, at: usize) -> Result<(), Stopped> {
        let life = self.lives;
        if self.is_away(at) {
            return self.sink_is_away(at);
        }
        if self.sinks[at].failures < 5 && self.dice.percent(self.plan.weather.sink_fails) {
            let count = self.dice.below(self.sinks[at].batch_len() + 1);
            self.sinks[at].fail(count);
            self.note(|| format!("sink {at} fails behind {count} items"));
            let pause = self.dice.within(100_000..=5_000_000);
            self.after(pause, Event::Sink { life, sink: at });
            return Ok(());
        }
        if self.would_pass("written", Moment::Written) {
            let power = self.death().is_some_and(|death| death.power);
            self.die(power);
            return Ok(());
        }
        let (outcomes, mark) = self.sinks[at].finish();
        self.check_feed()?;
        let sink = self.sinks[at].id;
        self.note(|| {
            let said: Vec<String> = outcomes.iter().map(|(id, verdict)| format!("{:x} {verdict:?}", id.0)).collect();
            format!("sink {at} says {}", said.join(", "))
        });
        self.feed(Input::Written { job: JOB, sink, outcomes, reasons: Vec::new(), mark, notes: Vec::new() });
        self.begin_batch(at);
        Ok(())
    }

    /// A batch meets a server that is away: tried again with growing pauses, as the driver's sink threads do.
    fn sink_is_away(&mut self, at: usize) -> Result<(), Stopped> {
        let life = self.lives;
        let failures = self.sinks[at].failures;
        if self.sabotage == Some(Sabotage::GivesUp) && failures > 10 {
            let outcomes = self.sinks[at].pretend();
            let sink = self.sinks[at].id;
            let (reasons, notes) = (Vec::new(), Vec::new());
            self.feed(Input::Written { job: JOB, sink, outcomes, reasons, mark: None, notes });
            self.begin_batch(at);
            return Ok(());
        }
        // The batch that it went away in may be there in part.
        let count = if failures == 0 { self.dice.below(self.sinks[at].batch_len() + 1) } else { 0 };
        self.sinks[at].fail(count);
        if failures == 0 {
            self.note(|| format!("sink {at} is away behind {count} items"));
        }
        let pause = (100_000 << failures.min(20)).min(30 * crate::web::SECOND);
        self.after(pause, Event::Sink { life, sink: at });
        Ok(())
    }

    /// Counts a kind of moment; true when it is the chosen one.
    fn would_pass(&mut self, kind: &'static str, moment: fn(u64) -> Moment) -> bool {
        let count = self.moments.entry(kind).or_insert(0);
        *count += 1;
        let moment = moment(*count);
        self.death().is_some_and(|death| death.moment == moment)
    }
}
