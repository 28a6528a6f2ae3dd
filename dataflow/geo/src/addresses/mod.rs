//! The owner of addresses: what is known of them, who waits for them, and where they are looked up next.
//!
//! Decides the order of the tiers: gazetteer, memory, the cache outside, then the providers in turn. Knows no rate and no call.
//! Invariants:
//! - an address is looked up once at a time, whoever asks for it meanwhile waits for the same answer;
//! - every waiter is answered exactly once, at the latest `give_up_us` after it asked, while the owner is told the time;
//! - waiters and remembered bytes are bounded.

mod state;

use crate::address::{NormalisedAddress, as_asked, normalise};
use crate::cache::{AddressMap, Kept, Memo, Memory, address_map};
use crate::config::GeoConfig;
use crate::counts::GeoCounts;
use crate::entry::{Entry, EntryError};
use crate::gazetteer::Gazetteer;
use crate::message::{Answer, CacheDown, Command, Out, ProviderVerdict, ToDesk, Told, Unanswered, Waiter};
use crate::record::Record;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use weir_model::{JobId, Tick, UnixMs};

#[derive(Debug)]
struct Waiting {
    deadline: Tick,
    job: JobId,
    waiter: Waiter,
}

/// Where an address is looked up.
#[derive(Clone, Copy, Debug)]
enum Tier {
    /// In the cache outside, until then.
    Outer(Tick),
    /// At a provider.
    Provider(usize),
}

#[derive(Debug)]
struct Pending {
    text: Arc<str>,
    job: JobId,
    /// Earliest deadline first.
    waiting: VecDeque<Waiting>,
    tier: Tier,
    /// A provider before this one failed, so "not found" is not believed.
    has_failed: bool,
    timer: Tick,
}

/// See the module.
#[derive(Debug)]
pub struct Addresses {
    config: Arc<GeoConfig>,
    gazetteer: Arc<Gazetteer>,
    providers: usize,
    worker: usize,
    workers: usize,
    memory: Memory,
    pending: AddressMap<Pending>,
    timers: BTreeSet<(Tick, NormalisedAddress)>,
    waiting: usize,
}

impl Addresses {
    /// The owner of the addresses whose slot modulo `workers` is `worker`, for so many providers.
    #[must_use]
    pub fn new(
        config: &Arc<GeoConfig>,
        gazetteer: &Arc<Gazetteer>,
        providers: usize,
        worker: usize,
        workers: usize,
    ) -> Addresses {
        Addresses {
            config: Arc::clone(config),
            gazetteer: Arc::clone(gazetteer),
            providers,
            worker,
            workers,
            memory: Memory::new(config.memory_bytes_max / workers, config.hash_seed),
            pending: address_map(config.hash_seed),
            timers: BTreeSet::new(),
            waiting: 0,
        }
    }

    fn owns(&self, address: &NormalisedAddress) -> bool {
        usize::from(address.slot()) % self.workers == self.worker
    }

    /// Items that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Bytes that are remembered.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Addresses that are remembered, and how many had to be forgotten before their time.
    #[must_use]
    pub fn remembered(&self) -> (usize, u64) {
        (self.memory.len(), self.memory.evicted())
    }

    /// An item wants its address looked up. `None`: it waits, and `Out::answers` will name `waiter`.
    pub fn want(&mut self, now: Tick, job: JobId, address: &str, waiter: Waiter, out: &mut Out) -> Option<Answer> {
        self.want_normalised(now, job, normalise(address), address, waiter, out)
    }

    /// As `want`, for an address that was normalised before (to be exchanged by its slot); `written` is what it was made of.
    pub fn want_normalised(
        &mut self,
        now: Tick,
        job: JobId,
        address: NormalisedAddress,
        written: &str,
        waiter: Waiter,
        out: &mut Out,
    ) -> Option<Answer> {
        if let Some(answer) = self.known(now, job, &address, out) {
            count_answer(out.count(job), &answer);
            return Some(answer);
        }
        let waiting = Waiting { deadline: now.after_us(self.config.give_up_us), job, waiter };
        self.waiting += 1;
        if let Some(pending) = self.pending.get_mut(&address) {
            pending.waiting.push_back(waiting);
            self.set_timer(&address);
            return None;
        }
        let tier = if self.config.outer_cache {
            out.commands.push(Command::CacheGet { address: address.clone() });
            Tier::Outer(now.after_us(self.config.cache_timeout_us))
        } else {
            self.count_miss(job, out);
            Tier::Provider(0)
        };
        let pending = Pending {
            text: as_asked(written).into(),
            job,
            waiting: VecDeque::from([waiting]),
            tier,
            has_failed: false,
            timer: Tick::NEVER,
        };
        if let Tier::Provider(provider) = tier {
            ask(provider, &address, &pending, out);
        }
        self.pending.insert(address.clone(), pending);
        self.set_timer(&address);
        None
    }

    /// What can be said at once.
    fn known(&mut self, now: Tick, job: JobId, address: &NormalisedAddress, out: &mut Out) -> Option<Answer> {
        debug_assert!(self.owns(address), "exchanged by address");
        if address.is_empty() {
            return Some(Answer::NoAddress);
        }
        let count = out.count(job);
        count.wanted += 1;
        if let Some(place) = self.gazetteer.get(address) {
            count.gazetteer += 1;
            return Some(Answer::Found(Arc::clone(place)));
        }
        if address.as_str().len() > self.config.address_bytes_max {
            return Some(Answer::Unanswered(Unanswered::TooLong));
        }
        if let Some(memo) = self.memory.get(now, address) {
            count.memory += 1;
            return Some(match &memo.kept {
                Kept::Found(place) => {
                    count.already_set += u64::from(memo.earlier);
                    Answer::Found(Arc::clone(place))
                }
                Kept::NotFound => Answer::NotFound,
                Kept::Failed => Answer::Unanswered(Unanswered::Failed),
            });
        }
        if self.providers == 0 && !self.config.outer_cache {
            return Some(self.nobody_to_ask());
        }
        (self.waiting >= self.config.waiters_max / self.workers)
            .then_some(Answer::Unanswered(Unanswered::TooManyWaiting))
    }

    /// Without providers a gazetteer or a cache is all there is to know.
    fn nobody_to_ask(&self) -> Answer {
        if self.gazetteer.is_empty() && !self.config.outer_cache {
            Answer::Unanswered(Unanswered::NotConfigured)
        } else {
            Answer::NotFound
        }
    }

    fn count_miss(&self, job: JobId, out: &mut Out) {
        out.count(job).misses += u64::from(self.providers > 0);
    }

    /// The cache outside has answered.
    pub fn cache_got(
        &mut self,
        now: Tick,
        address: &NormalisedAddress,
        value: Result<Option<Vec<u8>>, CacheDown>,
        out: &mut Out,
    ) {
        let Some(Pending { tier: Tier::Outer(_), job, .. }) = self.pending.get(address) else { return };
        let job = *job;
        let entry = match value {
            Ok(Some(bytes)) => match Entry::decode(address, &bytes) {
                Ok(entry) if entry.is_expired(now) => None,
                Ok(entry) => Some(entry),
                Err(EntryError::Version(_)) => None,
                Err(EntryError::Damaged) => {
                    out.count(job).cache_errors += 1;
                    None
                }
            },
            Ok(None) => None,
            Err(CacheDown) => {
                out.count(job).cache_errors += 1;
                None
            }
        };
        match entry {
            Some(entry) => {
                out.count(job).outer += 1;
                let kept = Kept::of(&entry);
                let expires = tick_of(entry.expires());
                self.memory.put(address.clone(), Memo { kept: kept.clone(), expires, earlier: true, unsaved: false });
                // So that neither a restart nor the loss of that cache costs a call.
                out.records.push(Record::Learned { address: address.clone(), entry });
                self.answer_all(address, &answer_of(&kept), true, out);
            }
            None => self.ask_next(address, 0, out),
        }
    }

    /// The cache outside has stored an entry, or not; then it is offered again after the next start.
    pub fn cache_put(&mut self, address: &NormalisedAddress, stored: bool, out: &mut Out) {
        if stored {
            self.memory.saved(address);
        } else {
            out.count(JobId::default()).cache_errors += 1;
        }
    }

    /// Asks provider `next`, or ends when there is none.
    fn ask_next(&mut self, address: &NormalisedAddress, next: usize, out: &mut Out) {
        let Some(pending) = self.pending.get_mut(address) else { return };
        if next < self.providers {
            let first = matches!(pending.tier, Tier::Outer(_));
            pending.tier = Tier::Provider(next);
            let job = pending.job;
            ask(next, address, pending, out);
            if first {
                self.count_miss(job, out);
            }
            self.set_timer(address);
            return;
        }
        let answer = self.nobody_to_ask();
        self.answer_all(address, &answer, false, out);
    }

    /// A provider has said something.
    pub fn told(&mut self, now: Tick, told: Told, out: &mut Out) {
        let Told { provider, address, verdict } = told;
        let Some(pending) = self.pending.get_mut(&address) else { return };
        if !matches!(pending.tier, Tier::Provider(asked) if asked == provider) {
            return;
        }
        let is_last = provider + 1 == self.providers;
        let nobody = pending.waiting.is_empty();
        match verdict {
            ProviderVerdict::Found(place) => self.learned(now, &address, Entry::Found(place), out),
            ProviderVerdict::NotFound if is_last && !pending.has_failed => {
                let expires = now.after_us(self.config.negative_keep_us).unix_ms();
                self.learned(now, &address, Entry::NotFound { expires }, out);
            }
            ProviderVerdict::NotFound | ProviderVerdict::Failed if is_last => {
                let expires = now.after_us(self.config.failed_keep_us);
                let memo = Memo { kept: Kept::Failed, expires, earlier: false, unsaved: false };
                self.memory.put(address.clone(), memo);
                self.answer_all(&address, &Answer::Unanswered(Unanswered::Failed), false, out);
            }
            _ if nobody => {
                self.forget_pending(&address);
            }
            ProviderVerdict::NotFound => self.ask_next(&address, provider + 1, out),
            ProviderVerdict::Failed => {
                pending.has_failed = true;
                self.ask_next(&address, provider + 1, out);
            }
            // Somebody came after the drop was on its way.
            ProviderVerdict::Dropped => self.ask_next(&address, provider, out),
        }
    }

    fn learned(&mut self, now: Tick, address: &NormalisedAddress, entry: Entry, out: &mut Out) {
        let kept = Kept::of(&entry);
        let expires = tick_of(entry.expires());
        let unsaved = self.config.outer_cache;
        self.memory.put(address.clone(), Memo { kept: kept.clone(), expires, earlier: false, unsaved });
        if unsaved {
            out.commands.push(put_command(now, address, &entry));
        }
        out.records.push(Record::Learned { address: address.clone(), entry });
        self.answer_all(address, &answer_of(&kept), false, out);
    }

    fn forget_pending(&mut self, address: &NormalisedAddress) -> Option<Pending> {
        let pending = self.pending.remove(address)?;
        self.timers.remove(&(pending.timer, address.clone()));
        self.waiting -= pending.waiting.len();
        Some(pending)
    }

    fn answer_all(&mut self, address: &NormalisedAddress, answer: &Answer, earlier: bool, out: &mut Out) {
        for waiting in self.forget_pending(address).into_iter().flat_map(|pending| pending.waiting) {
            let count = out.count(waiting.job);
            count_answer(count, answer);
            count.already_set += u64::from(earlier && matches!(answer, Answer::Found(_)));
            out.answers.push((waiting.waiter, answer.clone()));
        }
    }

    fn set_timer(&mut self, address: &NormalisedAddress) {
        let Some(pending) = self.pending.get_mut(address) else { return };
        let outer = if let Tier::Outer(until) = pending.tier { until } else { Tick::NEVER };
        let timer = pending.waiting.front().map_or(Tick::NEVER, |first| first.deadline).min(outer);
        if timer != pending.timer {
            self.timers.remove(&(pending.timer, address.clone()));
            pending.timer = timer;
            if timer < Tick::NEVER {
                self.timers.insert((timer, address.clone()));
            }
        }
    }

    /// Gives up what has waited too long; forgets what has expired.
    pub fn expire(&mut self, now: Tick, out: &mut Out) {
        self.memory.expire(now);
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, address)) = self.timers.pop_first() else { return };
            let Some(pending) = self.pending.get_mut(&address) else { continue };
            pending.timer = Tick::NEVER;
            while let Some(late) = pending.waiting.pop_front_if(|first| first.deadline <= now) {
                self.waiting -= 1;
                let answer = Answer::Unanswered(Unanswered::TooLate);
                count_answer(out.count(late.job), &answer);
                out.answers.push((late.waiter, answer));
            }
            match pending.tier {
                Tier::Outer(_) if pending.waiting.is_empty() => {
                    self.forget_pending(&address);
                }
                Tier::Outer(until) if until <= now => {
                    out.count(pending.job).cache_errors += 1;
                    self.ask_next(&address, 0, out);
                }
                Tier::Provider(provider) if pending.waiting.is_empty() => {
                    out.to_desk.push(ToDesk::Drop { provider, address });
                }
                _ => self.set_timer(&address),
            }
        }
    }

    /// When something is due next if nothing happens.
    #[must_use]
    pub fn next_wake(&self) -> Tick {
        self.timers.first().map_or(Tick::NEVER, |(at, _)| *at)
    }
}

fn ask(provider: usize, address: &NormalisedAddress, pending: &Pending, out: &mut Out) {
    let (address, text, job) = (address.clone(), Arc::clone(&pending.text), pending.job);
    out.to_desk.push(ToDesk::Ask { provider, address, text, job });
}

fn put_command(now: Tick, address: &NormalisedAddress, entry: &Entry) -> Command {
    let keep_us = entry.expires().map(|expires| tick_of(Some(expires)).0.saturating_sub(now.0));
    Command::CachePut { address: address.clone(), value: entry.encode(address), keep_us }
}

fn tick_of(expires: Option<UnixMs>) -> Tick {
    expires.map_or(Tick::NEVER, |expires| Tick(expires.0.saturating_mul(1_000)))
}

fn answer_of(kept: &Kept) -> Answer {
    match kept {
        Kept::Found(place) => Answer::Found(Arc::clone(place)),
        Kept::NotFound => Answer::NotFound,
        Kept::Failed => Answer::Unanswered(Unanswered::Failed),
    }
}

fn count_answer(count: &mut GeoCounts, answer: &Answer) {
    match answer {
        Answer::Found(_) => count.found += 1,
        Answer::NotFound => count.not_found += 1,
        Answer::NoAddress => count.no_address += 1,
        Answer::Unanswered(why) => {
            count.unanswered += 1;
            match why {
                Unanswered::NotConfigured => count.not_configured += 1,
                Unanswered::TooLong => count.too_long += 1,
                Unanswered::TooManyWaiting => count.full += 1,
                Unanswered::TooLate | Unanswered::Failed => {}
            }
        }
    }
}
