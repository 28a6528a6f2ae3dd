//! A world for geocoders in virtual time: a journal that syncs, a cache outside, providers that answer as they are told to, and a
//! server's log as the judge. Every invariant that holds for any run is asserted here.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_geo::{
    Answer, CacheDown, Call, CallId, CallResult, Command, Event, Gazetteer, GeoConfig, GeoCounts, Geocoder, HttpAnswer,
    NormalisedAddress, Out, Provider, Record, Waiter, normalise,
};
use weir_model::{JobId, Tick};

pub const SECOND: u64 = 1_000_000;
/// Some instant of the year 2023: expiries are wall time.
pub const START: u64 = 1_700_000_000 * SECOND;

/// Splitmix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How a provider behaves to one call.
pub enum Reply {
    /// Answers so.
    Http(u16, String, Option<u64>),
    /// Arrives, never answers: the caller gives up.
    Hang,
    /// Arrives and is answered, and the caller dies without a word.
    Lost,
    /// Never sent.
    Unsent,
    /// Nobody is there to connect to.
    Away,
}

pub fn ok(lat: f64, lon: f64) -> Reply {
    let body = format!(
        r#"{{"results": [{{"geometry": {{"location": {{"lat": {lat}, "lng": {lon}}}, "location_type": "ROOFTOP"}}}}], "status": "OK"}}"#
    );
    Reply::Http(200, body, None)
}

pub fn status(status: &str) -> Reply {
    Reply::Http(200, format!(r#"{{"results": [], "status": "{status}"}}"#), None)
}

pub struct Item {
    pub job: JobId,
    pub address: String,
    pub asked_at: u64,
    /// This boot's answer.
    pub answer: Option<Answer>,
    pub answered_at: u64,
    /// The answer is in a synced group.
    pub is_done: bool,
}

enum Ev {
    Synced { records: Vec<Record>, calls: Vec<Call>, answers: Vec<u64> },
    Arrive(Call, NormalisedAddress),
    In(Event),
}

type Behave = Box<dyn FnMut(&mut Dice, usize, &str, u64) -> Reply>;

pub struct World {
    pub now: u64,
    pub dice: Dice,
    pub config: Arc<GeoConfig>,
    pub gazetteer: Arc<Gazetteer>,
    pub providers: Vec<Arc<Provider>>,
    pub workers: Vec<Geocoder>,
    pub boot: u32,
    pub sync_us: u64,
    pub latency_us: u64,
    pub behave: Behave,
    /// `None`: the cache does not answer at all; otherwise percent of failures.
    pub cache_fails: Option<u64>,
    pub outer: BTreeMap<String, Vec<u8>>,
    pub arrivals: Vec<Vec<u64>>,
    pub calls_of: BTreeMap<String, u64>,
    pub items: BTreeMap<u64, Item>,
    pub counts: GeoCounts,
    pub notices: Vec<String>,
    /// What was answered and synced, with the end of its life.
    known: BTreeMap<String, u64>,
    /// Calls of this boot that are neither answered nor lost.
    flying: BTreeMap<CallId, (String, u64)>,
    queue: BTreeMap<(u64, u64), (u32, Ev)>,
    number: u64,
    journal: Vec<Vec<u8>>,
    snapshot: Vec<Vec<u8>>,
    out: Out,
    check_known: bool,
}

impl World {
    pub fn new(seed: u64, workers: usize, config: GeoConfig, providers: Vec<Provider>, behave: Behave) -> World {
        let mut world = World {
            now: START,
            dice: Dice(seed),
            config: Arc::new(config),
            gazetteer: Arc::new(Gazetteer::default()),
            arrivals: vec![Vec::new(); providers.len()],
            providers: providers.into_iter().map(Arc::new).collect(),
            workers: Vec::new(),
            boot: 0,
            sync_us: 20_000,
            latency_us: 100_000,
            behave,
            cache_fails: Some(0),
            outer: BTreeMap::new(),
            calls_of: BTreeMap::new(),
            items: BTreeMap::new(),
            counts: GeoCounts::default(),
            notices: Vec::new(),
            known: BTreeMap::new(),
            flying: BTreeMap::new(),
            queue: BTreeMap::new(),
            number: 0,
            journal: Vec::new(),
            snapshot: Vec::new(),
            out: Out::default(),
            check_known: true,
        };
        world.start(workers);
        world
    }

    fn start(&mut self, workers: usize) {
        self.boot += 1;
        self.workers = (0..workers)
            .map(|worker| {
                Geocoder::of_worker(&self.config, &self.gazetteer, &self.providers, self.boot, worker, workers)
            })
            .collect();
    }

    fn post(&mut self, at: u64, ev: Ev) {
        self.number += 1;
        self.queue.insert((at.max(self.now), self.number), (self.boot, ev));
    }

    /// A new item.
    pub fn want(&mut self, address: &str) -> u64 {
        self.number += 1;
        let waiter = self.number;
        let item = Item {
            job: JobId(1),
            address: address.to_owned(),
            asked_at: 0,
            answer: None,
            answered_at: 0,
            is_done: false,
        };
        self.items.insert(waiter, item);
        self.ask(waiter);
        self.end_step();
        waiter
    }

    fn ask(&mut self, waiter: u64) {
        let item = self.items.get_mut(&waiter).expect("a known item");
        (item.asked_at, item.answer) = (self.now, None);
        let (job, written) = (item.job, item.address.clone());
        let address = normalise(&written);
        let owner = usize::from(address.slot()) % self.workers.len();
        let owner = &mut self.workers[owner];
        let answer = owner.want_normalised(Tick(self.now), job, address, &written, Waiter(waiter), &mut self.out);
        if let Some(answer) = answer {
            self.out.answers.push((Waiter(waiter), answer));
        }
    }

    /// Exchanges until nothing is left, as the dataflow does within a step.
    fn exchange(&mut self) {
        let now = Tick(self.now);
        let count = self.workers.len();
        while !self.out.to_desk.is_empty() || !self.out.told.is_empty() {
            for message in std::mem::take(&mut self.out.to_desk) {
                self.workers[message.provider() % count].take(now, message, &mut self.out);
            }
            for told in std::mem::take(&mut self.out.told) {
                self.workers[usize::from(told.address.slot()) % count].told(now, told, &mut self.out);
            }
        }
    }

    pub fn end_step(&mut self) {
        self.exchange();
        for at in 0..self.workers.len() {
            self.workers[at].release_due(Tick(self.now), &mut self.out);
            self.exchange();
        }
        let out = std::mem::take(&mut self.out);
        for counts in out.counts.values() {
            self.counts.add(counts);
        }
        self.notices.extend(out.notices.into_iter().map(|notice| notice.text));
        let mut answers = Vec::new();
        for (waiter, answer) in out.answers {
            let item = self.items.get_mut(&waiter.0).expect("a known item");
            assert!(item.answer.is_none(), "an item is answered once");
            assert!(self.now <= item.asked_at + self.config.give_up_us, "nobody waits longer than the bound");
            item.answer = Some(answer);
            item.answered_at = self.now;
            answers.push(waiter.0);
        }
        let mut calls = Vec::new();
        for command in out.commands {
            self.perform(command, &mut calls);
        }
        if !answers.is_empty() || !calls.is_empty() || !out.records.is_empty() {
            self.post(self.now + self.sync_us, Ev::Synced { records: out.records, calls, answers });
        }
    }

    fn perform(&mut self, command: Command, calls: &mut Vec<Call>) {
        match command {
            Command::CacheGet { address } => {
                let Some(fails) = self.cache_fails else { return };
                let value = if self.dice.chance(fails) {
                    Err(CacheDown)
                } else {
                    Ok(self.outer.get(address.as_str()).cloned())
                };
                let at = self.now + self.dice.below(3_000);
                self.post(at, Ev::In(Event::CacheGot { address, value }));
            }
            Command::CachePut { address, value, .. } => {
                let Some(fails) = self.cache_fails else { return };
                let stored = !self.dice.chance(fails);
                if stored {
                    self.outer.insert(address.as_str().to_owned(), value);
                }
                self.post(self.now + 1_000, Ev::In(Event::CachePut { address, stored }));
            }
            Command::Call(call) => {
                let address = address_of(&call);
                self.flying.retain(|_, (_, lost_at)| *lost_at > self.now);
                assert!(
                    self.flying.values().all(|(other, _)| other != address.as_str()),
                    "{address}: one call in flight an address"
                );
                let alive = self.known.get(address.as_str()).is_some_and(|expires| *expires > self.now);
                assert!(!(self.check_known && alive), "{address}: called although it is known");
                let provider = call.id.provider();
                let same = |id: &&CallId| id.provider() == provider;
                let flying = self.flying.keys().filter(same).count();
                assert!(flying < self.providers[provider].parallel_max(), "no more calls than may be in parallel");
                let config = &self.config;
                let lost_at = call.not_after.0 + config.margin_us + config.call_timeout_us + config.lease_grace_us;
                self.flying.insert(call.id, (address.as_str().to_owned(), lost_at));
                calls.push(call);
            }
        }
    }

    fn happen(&mut self, boot: u32, ev: Ev) {
        if let Ev::Arrive(call, address) = ev {
            return self.arrive(boot, call, address);
        }
        if boot != self.boot {
            return;
        }
        match ev {
            Ev::Synced { records, calls, answers } => {
                for record in records {
                    if let Record::Learned { address, entry } = &record {
                        let expires = entry.expires().map_or(u64::MAX, |expires| expires.0 * 1_000);
                        self.known.insert(address.as_str().to_owned(), expires);
                    }
                    let mut bytes = Vec::new();
                    record.encode(&mut bytes);
                    self.journal.push(bytes);
                }
                for waiter in answers {
                    let item = self.items.get_mut(&waiter).expect("a known item");
                    item.is_done = true;
                    // Whoever was told, durably, that it is there or not need not ask again, crash or not.
                    let expires = match &item.answer {
                        Some(Answer::Found(place)) => place.expires.map_or(u64::MAX, |expires| expires.0 * 1_000),
                        _ => continue,
                    };
                    self.known.insert(normalise(&item.address).as_str().to_owned(), expires);
                }
                for call in calls {
                    // The driver may be late; within the slot it sends, after it it does not.
                    let at = call.not_before.0.max(self.now) + self.dice.below(200_000);
                    let address = address_of(&call);
                    if at > call.not_after.0 {
                        self.post(at, Ev::In(Event::Returned { call: call.id, result: CallResult::Unsent }));
                    } else {
                        self.post(at, Ev::Arrive(call, address));
                    }
                }
            }
            Ev::In(event) => {
                if let Event::Returned { call, .. } = &event {
                    self.flying.remove(call);
                }
                let owner = event.slot() % self.workers.len();
                self.workers[owner].event(Tick(self.now), event, &mut self.out);
            }
            Ev::Arrive(..) => unreachable!("handled above"),
        }
    }

    /// A call is at the server, whatever has become of the caller.
    fn arrive(&mut self, boot: u32, call: Call, address: NormalisedAddress) {
        let provider = call.id.provider();
        let reply = (self.behave)(&mut self.dice, provider, address.as_str(), self.now);
        let back = self.now + self.dice.below(2 * self.latency_us);
        let result = match reply {
            Reply::Unsent => (back, CallResult::Unsent),
            Reply::Away => (back, CallResult::Unreached { reason: "connection refused".to_owned() }),
            other => {
                self.arrivals[provider].push(self.now);
                *self.calls_of.entry(address.as_str().to_owned()).or_default() += 1;
                match other {
                    Reply::Http(status, body, retry_after_us) => {
                        let answer = HttpAnswer { status, body: body.into_bytes(), retry_after_us };
                        (back, CallResult::Answered { at: Tick(back), answer })
                    }
                    Reply::Hang => {
                        let at = self.now + call.timeout_us;
                        (at, CallResult::GaveUp { at: Tick(at), reason: "no headers in time".to_owned() })
                    }
                    Reply::Lost | Reply::Unsent | Reply::Away => return,
                }
            }
        };
        if boot == self.boot {
            self.post(result.0, Ev::In(Event::Returned { call: call.id, result: result.1 }));
        }
    }

    /// Runs until `end`, from one event to the next.
    pub fn run_until(&mut self, end: u64) {
        let mut still = 0;
        loop {
            let due = self.queue.first_key_value().map_or(u64::MAX, |((at, _), _)| *at);
            let wake = self.workers.iter().map(|worker| worker.next_wake().0).min().unwrap_or(u64::MAX);
            let next = due.min(wake).max(self.now);
            if next > end {
                self.now = self.now.max(end);
                return;
            }
            still = if next == self.now { still + 1 } else { 0 };
            assert!(still < 10_000, "wakes again and again without progress at {next}");
            self.now = next;
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= next) {
                let (boot, ev) = entry.remove();
                self.happen(boot, ev);
            }
            self.end_step();
        }
    }

    pub fn run_for(&mut self, us: u64) {
        self.run_until(self.now + us);
    }

    /// Runs until nothing is under way any more.
    pub fn settle(&mut self) {
        for _ in 0..1_000_000 {
            let due = self.queue.first_key_value().map_or(u64::MAX, |((at, _), _)| *at);
            let wake = self.workers.iter().map(|worker| worker.next_wake().0).min().unwrap_or(u64::MAX);
            let next = due.min(wake);
            if next == u64::MAX {
                assert_eq!(self.workers.iter().map(Geocoder::waiting).sum::<usize>(), 0);
                assert_eq!(self.workers.iter().map(Geocoder::in_flight).sum::<usize>(), 0);
                assert!(self.items.values().all(|item| item.is_done), "everybody has an answer");
                return;
            }
            self.run_until(next.max(self.now));
        }
        panic!("never comes to rest");
    }

    /// Takes a snapshot of what is durable: the journal before it is not needed any more.
    pub fn take_snapshot(&mut self) {
        let mut parts = Vec::new();
        for worker in &self.workers {
            let write = &mut |part: &[u8]| {
                parts.push(part.to_vec());
                Ok(())
            };
            worker.snapshot(write).expect("vectors take all");
        }
        // What is not synced yet is in the snapshot and comes again in the journal; so does the outbox of a real stage.
        self.snapshot = parts;
        self.journal.clear();
    }

    /// `kill -9` and a start with so many workers, after a pause.
    pub fn crash(&mut self, workers: usize, pause_us: u64) {
        self.now += pause_us;
        self.flying.clear();
        self.out = Out::default();
        self.start(workers);
        for worker in &mut self.workers {
            for part in &self.snapshot {
                worker.restore(part).expect("a part it wrote");
            }
            for record in &self.journal {
                worker.replay(&Record::decode(record).expect("a record it wrote"));
            }
            worker.finish_replay(Tick(self.now), &mut self.out);
        }
        let open: Vec<u64> = self.items.iter().filter(|(_, item)| !item.is_done).map(|(waiter, _)| *waiter).collect();
        for waiter in open {
            self.ask(waiter);
        }
        self.end_step();
    }

    /// The law, by the server's log: never more than `hits` arrivals in any window.
    pub fn judge(&self) {
        for (provider, arrivals) in self.providers.iter().zip(&self.arrivals) {
            let mut sorted = arrivals.clone();
            sorted.sort_unstable();
            let law = provider.law();
            for pair in sorted.windows(law.hits as usize + 1) {
                let apart = pair[law.hits as usize] - pair[0];
                assert!(apart >= law.window_us, "{}: {} calls within {apart} us", provider.name(), law.hits + 1);
            }
        }
    }

    pub fn answer(&self, waiter: u64) -> &Answer {
        self.items[&waiter].answer.as_ref().expect("answered")
    }

    pub fn total_calls(&self) -> usize {
        self.arrivals.iter().map(Vec::len).sum()
    }

    pub fn distinct(&self) -> usize {
        self.items.values().map(|item| normalise(&item.address)).collect::<BTreeSet<_>>().len()
    }
}

fn address_of(call: &Call) -> NormalisedAddress {
    let url = url::Url::parse(&call.request.url).expect("a URL");
    let asked = url.query_pairs().find(|(name, _)| name == "address").expect("an address").1.into_owned();
    normalise(&asked)
}
