//! The line of one provider: who is asked next and what is under way. The desk's invariants are kept here.

mod failing;

use super::Usage;
use super::away::Away;
use crate::address::NormalisedAddress;
use crate::cache::{AddressMap, address_map};
use crate::config::GeoConfig;
use crate::entry::Place;
use crate::law::Law;
use crate::message::{Call, CallId, CallResult, Command, Out, ProviderVerdict, Told};
use crate::provider::{Provider, Reading};
use crate::record::{Record, Returned};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_frontier::throttle::Arrival;
use weir_model::{JobId, Tick};
use xxhash_rust::xxh3::xxh3_64;

#[derive(Debug)]
struct Queued {
    address: NormalisedAddress,
    text: Arc<str>,
    job: JobId,
    attempts: u32,
    unsent: u32,
}

#[derive(Debug)]
struct Flight {
    queued: Queued,
    number: u64,
    left: Tick,
    lost_at: Tick,
    /// Nobody waits for it any more: it is not tried again, and is counted as an error.
    dropped: bool,
    /// It is among the calls that were sent.
    counted: bool,
}

impl Flight {
    /// It was sent, or may have been: its provider may charge for it.
    fn count_sent(&mut self, out: &mut Out) {
        if !std::mem::replace(&mut self.counted, true) {
            out.count(self.queued.job).calls += 1;
        }
    }
}

/// How a call ended.
enum Ended {
    /// Its slot was missed.
    Unsent,
    /// There was no connection, for this reason.
    Unreached(String),
    /// It was sent.
    Sent(Reading),
}

/// Where an address is in its line.
#[derive(Clone, Copy, Debug)]
enum Spot {
    Ready(u64),
    Later(Tick, u64),
    Flying(CallId),
}

#[derive(Debug)]
pub(super) struct Line {
    index: usize,
    /// There is no other provider to go on to.
    is_last: bool,
    pub key: u64,
    pub provider: Arc<Provider>,
    config: Arc<GeoConfig>,
    pub law: Law,
    spots: AddressMap<Spot>,
    ready: BTreeMap<u64, Queued>,
    later: BTreeMap<(Tick, u64), Queued>,
    flying: BTreeMap<CallId, Flight>,
    losing: BTreeSet<(Tick, CallId)>,
    next_number: u64,
    next_call: u64,
    pub held_until: Tick,
    failures: u32,
    denials: u32,
    denied_until: Tick,
    away: Away,
    quiet_until: Tick,
    /// Failures since one was said.
    unsaid: u64,
    pub usage: Usage,
}

impl Line {
    /// The line of provider `index` of `providers`.
    pub fn new(index: usize, providers: &[Arc<Provider>], config: &Arc<GeoConfig>, boot: u32) -> Line {
        let provider = &providers[index];
        Line {
            index,
            is_last: index + 1 == providers.len(),
            // Its records are found by its name, whatever its place in the configuration.
            key: xxh3_64(provider.name().as_bytes()),
            provider: Arc::clone(provider),
            config: Arc::clone(config),
            law: Law::new(provider.law(), config),
            spots: address_map(config.hash_seed),
            ready: BTreeMap::new(),
            later: BTreeMap::new(),
            flying: BTreeMap::new(),
            losing: BTreeSet::new(),
            next_number: 0,
            next_call: u64::from(boot) << 26,
            held_until: Tick(0),
            failures: 0,
            denials: 0,
            denied_until: Tick(0),
            away: Away::default(),
            quiet_until: Tick(0),
            unsaid: 0,
            usage: Usage::default(),
        }
    }

    fn tell(&mut self, address: NormalisedAddress, verdict: ProviderVerdict, out: &mut Out) {
        self.spots.remove(&address);
        out.told.push(Told { provider: self.index, address, verdict });
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.flying.len()
    }

    pub fn ask(&mut self, now: Tick, address: NormalisedAddress, text: Arc<str>, job: JobId, out: &mut Out) {
        if let Some(spot) = self.spots.get(&address) {
            // Asked again before the answer to a drop was there.
            if let Spot::Flying(call) = *spot
                && let Some(flight) = self.flying.get_mut(&call)
            {
                flight.dropped = false;
            }
            return;
        }
        // While one address finds out whether a provider that is away is back, the others go on to the next.
        let is_tried = now >= self.away.until().max(self.held_until) && self.spots.is_empty();
        if now < self.denied_until || (self.is_passed_over() && !is_tried) {
            out.count(job).errors += 1;
            self.tell(address, ProviderVerdict::Failed, out);
            return;
        }
        self.spots.insert(address.clone(), Spot::Ready(self.next_number));
        self.ready.insert(self.next_number, Queued { address, text, job, attempts: 0, unsent: 0 });
        self.next_number += 1;
    }

    pub fn drop_address(&mut self, address: &NormalisedAddress, out: &mut Out) {
        let queued = match self.spots.get(address) {
            Some(Spot::Ready(number)) => self.ready.remove(number),
            Some(Spot::Later(due, number)) => self.later.remove(&(*due, *number)),
            Some(Spot::Flying(call)) => {
                if let Some(flight) = self.flying.get_mut(call).filter(|flight| !flight.dropped) {
                    // The run may end before it comes back.
                    flight.dropped = true;
                    flight.count_sent(out);
                    out.count(flight.queued.job).errors += 1;
                }
                return;
            }
            None => return,
        };
        if let Some(queued) = queued {
            let has_failed = queued.attempts > 0 || self.away.is_away();
            out.count(queued.job).errors += u64::from(has_failed);
            self.tell(queued.address, ProviderVerdict::Dropped, out);
        }
    }

    pub fn returned(&mut self, now: Tick, call: CallId, result: CallResult, out: &mut Out) {
        let Some(mut flight) = self.flying.remove(&call) else {
            out.count(JobId::default()).late += 1;
            return;
        };
        self.losing.remove(&(flight.lost_at, call));
        let (arrival, ended, retry_after_us) = match result {
            CallResult::Unsent => (Arrival::Unsent, Ended::Unsent, None),
            CallResult::Unreached { reason } => (Arrival::Unsent, Ended::Unreached(reason), None),
            CallResult::GaveUp { at, reason } => (Arrival::GivenUp(at), Ended::Sent(Reading::Failed(reason)), None),
            CallResult::Answered { at, answer } => {
                (Arrival::Answered(at), Ended::Sent(self.provider.read(&answer)), answer.retry_after_us)
            }
        };
        let hit = self.law.returned(call, arrival, now);
        let what = match &ended {
            Ended::Unsent | Ended::Unreached(_) => Returned::Unsent,
            Ended::Sent(Reading::Found { .. }) => Returned::Found,
            Ended::Sent(Reading::NotFound) => Returned::NotFound,
            Ended::Sent(Reading::OverLimit) => Returned::OverLimit,
            Ended::Sent(Reading::Refused | Reading::Failed(_) | Reading::Denied(_)) => Returned::Failed,
        };
        self.usage.add(what);
        match ended {
            Ended::Unsent => self.unsent(now, flight, out),
            Ended::Unreached(why) => {
                self.complain(now, &format!("cannot be reached: {why}; check its url and this machine's network"), out);
                self.missed(now, flight, out);
            }
            Ended::Sent(reading) => {
                flight.count_sent(out);
                self.settle(now, flight, reading, retry_after_us, out);
            }
        }
        // Neither a denial nor being away is kept: a restart with the right key is not to wait for its end.
        out.records.push(Record::Returned { provider: self.key, call, hit, what, held_until: self.held_until });
    }

    fn settle(&mut self, now: Tick, flight: Flight, reading: Reading, retry_after_us: Option<u64>, out: &mut Out) {
        if let (Reading::OverLimit | Reading::Failed(_), Some(wait_us)) = (&reading, retry_after_us) {
            self.hold(now.after_us(wait_us.min(self.config.backoff_max_us)));
        }
        if !matches!(reading, Reading::Failed(_)) {
            self.away.answered();
        }
        match reading {
            Reading::Found { location, precision } => {
                self.failures = 0;
                self.denials = 0;
                let expires = Some(now.after_us(self.provider.keep_us()).unix_ms());
                let source = Arc::clone(self.provider.name());
                let place = Arc::new(Place { location, precision, source, expires });
                self.tell(flight.queued.address, ProviderVerdict::Found(place), out);
            }
            Reading::NotFound => {
                self.failures = 0;
                self.denials = 0;
                self.tell(flight.queued.address, ProviderVerdict::NotFound, out);
            }
            Reading::Refused => {
                out.count(flight.queued.job).errors += u64::from(!flight.dropped);
                self.tell(flight.queued.address, ProviderVerdict::NotFound, out);
            }
            Reading::OverLimit => {
                self.complain(now, "is asked too often, it says; lower its rate", out);
                self.pause(now);
                self.failed(now, flight, out);
            }
            Reading::Failed(why) => self.no_answer(now, flight, &why, out),
            Reading::Denied(why) => self.denied(now, flight, &why, out),
        }
    }

    fn hold(&mut self, until: Tick) {
        self.held_until = self.held_until.max(until);
    }

    fn queue_later(&mut self, due: Tick, number: u64, queued: Queued) {
        self.spots.insert(queued.address.clone(), Spot::Later(due, number));
        self.later.insert((due, number), queued);
    }

    pub fn release_due(&mut self, now: Tick, out: &mut Out) {
        while let Some((lost_at, call)) = self.losing.first().copied().filter(|(lost_at, _)| *lost_at <= now) {
            self.losing.remove(&(lost_at, call));
            // Its hit stays where it can have arrived at the latest.
            if let Some(mut flight) = self.flying.remove(&call) {
                self.usage.add(Returned::Failed);
                flight.count_sent(out);
                self.no_answer(now, flight, "nothing came of a call", out);
            }
        }
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, number), queued) = entry.remove_entry();
            self.spots.insert(queued.address.clone(), Spot::Ready(number));
            self.ready.insert(number, queued);
        }
        while self.has_room()
            && now >= self.held_until.max(self.away.until())
            && !self.ready.is_empty()
            && self.law.next_allowed() <= now
        {
            self.call(now, out);
        }
    }

    /// Whether another call may be under way; a single one finds out whether a provider that is away is back.
    fn has_room(&self) -> bool {
        self.flying.len() < if self.away.is_away() { 1 } else { self.provider.parallel_max() }
    }

    fn call(&mut self, now: Tick, out: &mut Out) {
        let Some((number, queued)) = self.ready.pop_first() else { return };
        self.next_call += 1;
        let id = CallId((self.next_call << 6) | self.index as u64);
        let hit = self.law.reserve(now, id);
        out.records.push(Record::Called { provider: self.key, call: id, not_before: now, hit });
        let not_after = now.after_us(self.config.slot_us);
        out.commands.push(Command::Call(Call {
            id,
            provider: Arc::clone(self.provider.name()),
            request: self.provider.request(&queued.text),
            not_before: now,
            not_after,
            timeout_us: self.config.call_timeout_us,
        }));
        self.usage.calls += 1;
        let lost_at =
            not_after.after_us(self.config.margin_us + self.config.call_timeout_us + self.config.lease_grace_us);
        self.spots.insert(queued.address.clone(), Spot::Flying(id));
        self.losing.insert((lost_at, id));
        self.flying.insert(id, Flight { queued, number, left: now, lost_at, dropped: false, counted: false });
    }

    pub fn next_wake(&self) -> Tick {
        let lost = self.losing.first().map_or(Tick::NEVER, |(at, _)| *at);
        let later = self.later.first_key_value().map_or(Tick::NEVER, |((due, _), _)| *due);
        let call = if self.has_room() && !self.ready.is_empty() {
            self.law.next_allowed().max(self.held_until).max(self.away.until())
        } else {
            Tick::NEVER
        };
        lost.min(later).min(call)
    }
}
