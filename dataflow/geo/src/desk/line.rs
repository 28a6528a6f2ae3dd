//! The line of one provider: who is asked next, what is under way, what a failure leads to. The desk's invariants are kept here.

use super::Usage;
use crate::address::NormalisedAddress;
use crate::cache::{AddressMap, address_map};
use crate::config::GeoConfig;
use crate::entry::Place;
use crate::law::Law;
use crate::message::{Call, CallId, CallResult, Command, Notice, Out, ProviderVerdict, Told};
use crate::provider::{Provider, Reading};
use crate::record::{Record, Returned};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_frontier::throttle::Arrival;
use weir_model::{JobId, Tick};
use xxhash_rust::xxh3::xxh3_64;

/// A slot that was missed costs no attempt, but so often in a row it means that the driver cannot send at all.
const UNSENT_MAX: u32 = 100;

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
    lost_at: Tick,
    /// Nobody waits for it any more: it is not tried again.
    dropped: bool,
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
    pub usage: Usage,
}

impl Line {
    pub fn new(index: usize, provider: &Arc<Provider>, config: &Arc<GeoConfig>, boot: u32) -> Line {
        Line {
            index,
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
        if now < self.denied_until {
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
                if let Some(flight) = self.flying.get_mut(call) {
                    flight.dropped = true;
                }
                return;
            }
            None => return,
        };
        if let Some(queued) = queued {
            self.tell(queued.address, ProviderVerdict::Dropped, out);
        }
    }

    pub fn returned(&mut self, now: Tick, call: CallId, result: CallResult, out: &mut Out) {
        let Some(flight) = self.flying.remove(&call) else {
            out.count(JobId::default()).late += 1;
            return;
        };
        self.losing.remove(&(flight.lost_at, call));
        let (arrival, reading, retry_after_us) = match result {
            CallResult::Unsent => (Arrival::Unsent, None, None),
            CallResult::GaveUp { at } => {
                (Arrival::GivenUp(at), Some(Reading::Failed("no answer in time".to_owned())), None)
            }
            CallResult::Answered { at, answer } => {
                (Arrival::Answered(at), Some(self.provider.read(&answer)), answer.retry_after_us)
            }
        };
        let hit = self.law.returned(call, arrival, now);
        let what = match &reading {
            None => Returned::Unsent,
            Some(Reading::Found { .. }) => Returned::Found,
            Some(Reading::NotFound) => Returned::NotFound,
            Some(Reading::OverLimit) => Returned::OverLimit,
            Some(Reading::Refused | Reading::Failed(_) | Reading::Denied(_)) => Returned::Failed,
        };
        self.usage.add(what);
        self.settle(now, flight, reading, retry_after_us, out);
        // A denial is not kept: a restart with the right key is not to wait for its end.
        out.records.push(Record::Returned { provider: self.key, call, hit, what, held_until: self.held_until });
    }

    fn settle(
        &mut self,
        now: Tick,
        flight: Flight,
        reading: Option<Reading>,
        retry_after_us: Option<u64>,
        out: &mut Out,
    ) {
        let Some(reading) = reading else { return self.unsent(now, flight, out) };
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
                out.count(flight.queued.job).errors += 1;
                self.tell(flight.queued.address, ProviderVerdict::NotFound, out);
            }
            Reading::OverLimit | Reading::Failed(_) => {
                if let Some(wait_us) = retry_after_us {
                    self.hold(now.after_us(wait_us.min(self.config.backoff_max_us)));
                }
                self.failed(now, flight, out);
            }
            Reading::Denied(why) => self.denied(now, flight, &why, out),
        }
    }

    fn hold(&mut self, until: Tick) {
        self.held_until = self.held_until.max(until);
    }

    /// Not sent: its turn comes again, soon, and costs nothing.
    fn unsent(&mut self, now: Tick, flight: Flight, out: &mut Out) {
        let Flight { mut queued, number, dropped, .. } = flight;
        queued.unsent += 1;
        if dropped {
            self.tell(queued.address, ProviderVerdict::Dropped, out);
        } else if queued.unsent >= UNSENT_MAX || now < self.denied_until {
            out.count(queued.job).errors += 1;
            self.tell(queued.address, ProviderVerdict::Failed, out);
        } else {
            self.queue_later(now.after_us(self.config.backoff_us / 10), number, queued);
        }
    }

    /// One more failure of an address, and of the line.
    fn failed(&mut self, now: Tick, flight: Flight, out: &mut Out) {
        let Flight { mut queued, number, dropped, .. } = flight;
        self.failures = self.failures.saturating_add(1);
        if self.failures > 1 {
            self.hold(now.after_us(self.config.backoff(self.failures - 1)));
        }
        queued.attempts += 1;
        if dropped {
            self.tell(queued.address, ProviderVerdict::Dropped, out);
        } else if queued.attempts >= self.config.attempts_max || now < self.denied_until {
            out.count(queued.job).errors += 1;
            self.tell(queued.address, ProviderVerdict::Failed, out);
        } else {
            out.count(queued.job).retries += 1;
            self.queue_later(now.after_us(self.config.backoff(queued.attempts)), number, queued);
        }
    }

    fn queue_later(&mut self, due: Tick, number: u64, queued: Queued) {
        self.spots.insert(queued.address.clone(), Spot::Later(due, number));
        self.later.insert((due, number), queued);
    }

    /// The provider does not serve us: nobody in its line will be answered.
    fn denied(&mut self, now: Tick, flight: Flight, why: &str, out: &mut Out) {
        if now >= self.denied_until {
            self.denials = self.denials.saturating_add(1);
            let pause_us = self.config.denied(self.denials);
            self.denied_until = now.after_us(pause_us);
            out.notices.push(Notice {
                provider: Arc::clone(self.provider.name()),
                text: format!(
                    "geocode provider `{}` denies its service: {why}; check its key, url and user_agent. It is asked again in {} s, \
                     until then items go on without its locations",
                    self.provider.name(),
                    pause_us / 1_000_000
                ),
            });
        }
        let waiting = std::mem::take(&mut self.ready).into_values();
        let waiting: Vec<Queued> = waiting.chain(std::mem::take(&mut self.later).into_values()).collect();
        for queued in std::iter::once(flight.queued).chain(waiting) {
            out.count(queued.job).errors += 1;
            self.tell(queued.address, ProviderVerdict::Failed, out);
        }
    }

    pub fn release_due(&mut self, now: Tick, out: &mut Out) {
        while let Some((lost_at, call)) = self.losing.first().copied().filter(|(lost_at, _)| *lost_at <= now) {
            self.losing.remove(&(lost_at, call));
            // Its hit stays where it can have arrived at the latest.
            if let Some(flight) = self.flying.remove(&call) {
                self.usage.add(Returned::Failed);
                self.failed(now, flight, out);
            }
        }
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, number), queued) = entry.remove_entry();
            self.spots.insert(queued.address.clone(), Spot::Ready(number));
            self.ready.insert(number, queued);
        }
        while self.flying.len() < self.provider.parallel_max()
            && now >= self.held_until
            && !self.ready.is_empty()
            && self.law.next_allowed() <= now
        {
            self.call(now, out);
        }
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
        out.count(queued.job).calls += 1;
        let lost_at =
            not_after.after_us(self.config.margin_us + self.config.call_timeout_us + self.config.lease_grace_us);
        self.spots.insert(queued.address.clone(), Spot::Flying(id));
        self.losing.insert((lost_at, id));
        self.flying.insert(id, Flight { queued, number, lost_at, dropped: false });
    }

    pub fn next_wake(&self) -> Tick {
        let lost = self.losing.first().map_or(Tick::NEVER, |(at, _)| *at);
        let later = self.later.first_key_value().map_or(Tick::NEVER, |((due, _), _)| *due);
        let is_free = self.flying.len() < self.provider.parallel_max();
        let call =
            if is_free && !self.ready.is_empty() { self.law.next_allowed().max(self.held_until) } else { Tick::NEVER };
        lost.min(later).min(call)
    }
}
