//! The event heap: what happens next, when, to whom. Everything outside the process is here or in the modules beside; the process
//! itself is in `process`.

use crate::dice::Dice;
use crate::function::{Function, UnderWay};
use crate::letters::LetterBox;
use crate::oracle::Oracle;
use crate::plan::{Moment, Plan};
use crate::process::{Process, Stopped};
use crate::queue::ReportQueue;
use crate::sinks::{Rows, SimSink};
use crate::web::{SECOND, Web, item_id};
use crate::{Held, Invariant, Sabotage, Scenario, Told, Violation};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use weir_model::{FetchMessage, JobId, MessageId, ReleaseId, Report, SinkId, Tick};
use weir_store::sim::SimDisk;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The one job of a story.
pub(crate) const JOB: JobId = JobId(1);
/// When stories begin.
const DAWN: Tick = Tick(1_700_000_000_000_000);
/// A crawl of forty pages takes minutes; whatever takes this long will never end.
const SIMULATED_MAX_US: u64 = 24 * 3_600 * SECOND;
/// A story of forty pages has some thousand events, one with an hour of waiting some ten thousand turns of the loop.
const EVENTS_MAX: u64 = 200_000;
/// Pages of a story, and of one in which the outbox is to run full.
const PAGES: std::ops::RangeInclusive<u64> = 5..=40;
const PAGES_OF_LONG_STORIES: std::ops::RangeInclusive<u64> = 100..=300;
/// Events kept for the teller.
const LAST: usize = 60;

#[derive(Debug)]
pub(crate) enum Event {
    /// The process starts.
    Start,
    /// The driver's loop turns.
    Turn { life: u32, at: Tick },
    /// The journal's thread does the next thing.
    Journal { life: u32 },
    /// A sink is done with its batch.
    Sink { life: u32, sink: usize },
    /// A copy of a message reaches a function.
    Deliver(Rc<FetchMessage>),
    /// A request reaches its site.
    Arrive(Box<UnderWay>),
    /// A function has a report.
    Ready(usize, Box<Report>),
    /// A function sends the reports it has.
    Flush(usize),
    /// A function dies.
    Kill(usize),
    /// The queue hands out a message of reports.
    Receive(u64),
}

struct Due(Tick, u64, Event);

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

pub(crate) struct Sim {
    pub seed: u64,
    pub sabotage: Option<Sabotage>,
    pub plan: Plan,
    pub web: Web,
    pub dice: Dice,
    pub now: Tick,
    pub oracle: Oracle,
    pub queue: ReportQueue,
    pub functions: Vec<Function>,
    pub claims: BTreeSet<MessageId>,
    /// How often something of a URL was spoilt.
    pub harm: BTreeMap<String, u32>,
    /// Arrivals by URL.
    pub tries: BTreeMap<String, u32>,
    pub urls: BTreeMap<ReleaseId, String>,
    pub sinks: Vec<SimSink>,
    pub letters: LetterBox,
    pub sink_us: u64,
    pub disk: SimDisk,
    pub process: Option<Box<Process>>,
    pub lives: u32,
    pub events_of_life: u64,
    pub moments: BTreeMap<&'static str, u64>,
    pub stops: VecDeque<u64>,
    /// The job has ended and was looked at.
    pub over: bool,
    pub threaded: bool,
    pub delivered: u64,
    /// Since when the outbox is full, in this life.
    pub full_since: Option<Tick>,
    pub held: Held,
    heap: BinaryHeap<Reverse<Due>>,
    pushed: u64,
    events: u64,
    trace: u64,
    tell: Option<fn(&str)>,
    last: VecDeque<String>,
}

pub(crate) fn run(seed: u64, scenario: Scenario, sabotage: Option<Sabotage>, tell: Option<fn(&str)>) -> Told {
    let mut sim = Sim::new(seed, scenario, sabotage, tell);
    let played = catch_unwind(AssertUnwindSafe(|| sim.play()));
    let violation = match played {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            Some(Violation { invariant: Invariant::Assertions, what: text.to_owned() })
        }
    };
    Told {
        seed,
        scenario,
        held: sim.held,
        trace: sim.trace,
        events: sim.events,
        simulated_us: sim.now.0 - DAWN.0,
        lives: sim.lives,
        delivered: sim.delivered,
        threaded: sim.threaded,
        violation,
        last: std::mem::take(&mut sim.last).into(),
    }
}

impl Sim {
    fn new(seed: u64, scenario: Scenario, sabotage: Option<Sabotage>, tell: Option<fn(&str)>) -> Sim {
        let plan = Plan::new(seed, scenario, sabotage);
        let web = Web::new(seed, if scenario == Scenario::SinkAway { PAGES_OF_LONG_STORIES } else { PAGES });
        let mut dice = Dice::of(seed, "fate");
        let mut refused = || (1..=30).filter(|_| dice.percent(plan.weather.sink_refuses)).map(item_id).collect();
        let sinks = vec![
            SimSink::new(SinkId(0), Rows::Append(Vec::new()), refused()),
            SimSink::new(SinkId(1), Rows::Upsert(BTreeMap::new()), refused()),
        ];
        let sink_us = dice.pick(&[1_000, 50_000, SECOND, 10 * SECOND]);
        Sim {
            seed,
            sabotage,
            stops: plan.stops.iter().copied().collect(),
            plan,
            web,
            dice,
            now: DAWN,
            oracle: Oracle::default(),
            queue: ReportQueue::default(),
            functions: Vec::new(),
            claims: BTreeSet::new(),
            harm: BTreeMap::new(),
            tries: BTreeMap::new(),
            urls: BTreeMap::new(),
            sinks,
            letters: LetterBox::default(),
            sink_us,
            disk: SimDisk::new(),
            process: None,
            lives: 0,
            events_of_life: 0,
            moments: BTreeMap::new(),
            over: false,
            threaded: false,
            delivered: 0,
            full_since: None,
            held: Held::default(),
            heap: BinaryHeap::new(),
            pushed: 0,
            events: 0,
            trace: 0,
            tell,
            last: VecDeque::new(),
        }
    }

    pub fn at(&mut self, at: Tick, event: Event) {
        self.pushed += 1;
        self.heap.push(Reverse(Due(at, self.pushed, event)));
    }

    pub fn after(&mut self, us: u64, event: Event) {
        self.at(self.now.after_us(us), event);
    }

    /// One line of the story.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let line = format!("{:>13.6} {}", (self.now.0 - DAWN.0) as f64 / 1e6, line());
        self.trace = xxh3_64_with_seed(line.as_bytes(), self.trace);
        if let Some(tell) = self.tell {
            tell(&line);
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn play(&mut self) -> Result<(), Violation> {
        self.at(DAWN, Event::Start);
        while !self.over {
            let Some(Reverse(Due(at, _, event))) = self.heap.pop() else {
                return self.waits("nothing is left that could happen");
            };
            debug_assert!(at >= self.now, "time does not go back");
            self.now = at;
            self.events += 1;
            if self.events > EVENTS_MAX {
                return self.waits("too many events");
            }
            if at.since(DAWN).as_micros() as u64 > SIMULATED_MAX_US {
                return self.waits("too much time has passed");
            }
            match self.happen(event) {
                Ok(()) => {}
                Err(Stopped::Broken(violation)) => return Err(violation),
                Err(Stopped::PowerCut) => self.die(true),
            }
            if self.process.is_some() {
                self.events_of_life += 1;
                self.stop_when_told();
                let events = self.events_of_life;
                self.die_at(Moment::Event(events));
            }
        }
        Ok(())
    }

    fn waits(&self, why: &str) -> Result<(), Violation> {
        let live = self.process.as_ref().map(|process| process.engine.live(JOB));
        Err(Violation { invariant: Invariant::NothingWaitsForEver, what: format!("{why}, and {live:?} is alive") })
    }

    fn happen(&mut self, event: Event) -> Result<(), Stopped> {
        match event {
            Event::Start => self.start()?,
            Event::Turn { life, at } => {
                if life == self.lives && self.process.as_ref().is_some_and(|process| process.turn_at == Some(at)) {
                    self.turn()?;
                }
            }
            Event::Journal { life } => {
                if life == self.lives && self.process.is_some() {
                    self.journal()?;
                }
            }
            Event::Sink { life, sink } => {
                if life == self.lives && self.process.is_some() {
                    self.sink_done(sink)?;
                }
            }
            Event::Deliver(message) => self.deliver(&message),
            Event::Arrive(request) => self.arrive(*request)?,
            Event::Ready(function, report) => self.ready(function, *report),
            Event::Flush(function) => self.send_reports(function),
            Event::Kill(function) => self.kill(function),
            Event::Receive(message) => self.receive(message),
        }
        Ok(())
    }

    /// Whether a sink takes nothing now.
    pub fn is_away(&self, sink: usize) -> bool {
        let time = self.now.0 - DAWN.0;
        self.plan.outage.is_some_and(|outage| outage.sink == sink && (outage.from_us..outage.to_us).contains(&time))
    }

    /// The queue hands a message to the process, and again when its receipt is not settled in time.
    fn receive(&mut self, message: u64) {
        if !self.queue.is_there(message) {
            return;
        }
        if self.process.is_none() {
            return self.after(SECOND, Event::Receive(message));
        }
        let Some((receipt, waiting)) = self.queue.receive(message) else { return };
        let (reports, receives) = (waiting.reports.clone(), waiting.receives);
        self.note(|| {
            let ids: Vec<String> = reports.iter().map(|report| report.release.0.to_string()).collect();
            format!("receive {message} (time {receives}): reports of {}", ids.join(" "))
        });
        for report in &reports {
            self.oracle.received(self.now, report);
        }
        self.feed(weir_driver::Input::Reports { receipt, reports });
        let visible = self.plan.visibility_us;
        self.after(visible, Event::Receive(message));
        if self.sabotage == Some(Sabotage::SettledAtOnce) {
            self.settle(receipt);
        }
    }
}
