//! The owner of providers: which address is asked next, when, and how often.
//!
//! Decides by the providers' laws, one line a provider: first come, first served, retries after their pause. Knows no item and no
//! cache. Invariants:
//! - an address is in a line at most once, waiting or under way;
//! - whatever is asked ends with exactly one `Told`, within a bounded number of calls, while the desk is told the time;
//! - one address that always fails pauses itself, not the line; a line pauses when different calls fail in a row, when the provider
//!   says how long to wait, or when it denies us;
//! - a provider that answers nobody is away: it is tried by one call at a time, with growing pauses; meanwhile the next provider is
//!   asked, and where there is none, addresses wait.

mod away;
mod line;

use crate::config::GeoConfig;
use crate::message::{CallId, CallResult, Out, ToDesk};
use crate::provider::{PROVIDERS_MAX, Provider};
use crate::record::{Record, Returned};
use line::Line;
use std::sync::Arc;
use weir_model::wire::{Reader, WireError, put_fixed, put_u64};
use weir_model::{JobId, Tick};

/// What a provider was asked for, over all runs on this state: its cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls that were allowed to leave.
    pub calls: u64,
    /// Of these, never sent.
    pub unsent: u64,
    /// Answered with a place.
    pub found: u64,
    /// Answered with no place.
    pub not_found: u64,
    /// Refused for the rate.
    pub over_limit: u64,
    /// Failed, refused or denied.
    pub failed: u64,
}

impl Usage {
    fn add(&mut self, what: Returned) {
        match what {
            Returned::Unsent => self.unsent += 1,
            Returned::Found => self.found += 1,
            Returned::NotFound => self.not_found += 1,
            Returned::OverLimit => self.over_limit += 1,
            Returned::Failed => self.failed += 1,
        }
    }

    fn fields(&mut self) -> [&mut u64; 6] {
        [
            &mut self.calls,
            &mut self.unsent,
            &mut self.found,
            &mut self.not_found,
            &mut self.over_limit,
            &mut self.failed,
        ]
    }
}

/// See the module.
#[derive(Debug)]
pub struct Desk {
    /// By index of the provider; `None`: another worker's.
    lines: Vec<Option<Line>>,
}

impl Desk {
    /// The desk of worker `worker` of `workers`: it owns the providers whose index modulo `workers` is its own. `boot` differs for
    /// every start on one state, so ids never repeat.
    ///
    /// # Panics
    /// With more than 16 providers.
    #[must_use]
    pub fn new(config: &Arc<GeoConfig>, providers: &[Arc<Provider>], worker: usize, workers: usize, boot: u32) -> Desk {
        assert!(providers.len() <= PROVIDERS_MAX, "at most {PROVIDERS_MAX} providers");
        let line = |index: usize| (index % workers == worker).then(|| Line::new(index, providers, config, boot));
        Desk { lines: (0..providers.len()).map(line).collect() }
    }

    fn line(&mut self, index: usize) -> Option<&mut Line> {
        self.lines.get_mut(index).and_then(Option::as_mut)
    }

    fn owned(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().flatten()
    }

    /// An owner of addresses wants something.
    pub fn take(&mut self, now: Tick, message: ToDesk, out: &mut Out) {
        let Some(line) = self.line(message.provider()) else {
            debug_assert!(false, "exchanged by provider");
            return;
        };
        match message {
            ToDesk::Ask { address, text, job, .. } => line.ask(now, address, text, job, out),
            ToDesk::Drop { address, .. } => line.drop_address(&address, out),
        }
    }

    /// A call has ended.
    pub fn returned(&mut self, now: Tick, call: CallId, result: CallResult, out: &mut Out) {
        match self.line(call.provider()) {
            Some(line) => line.returned(now, call, result, out),
            None => out.count(JobId::default()).late += 1,
        }
    }

    /// Lets calls leave that are due; gives up those that are lost.
    pub fn release_due(&mut self, now: Tick, out: &mut Out) {
        for line in self.lines.iter_mut().flatten() {
            line.release_due(now, out);
        }
    }

    /// When something is due next if nothing happens.
    #[must_use]
    pub fn next_wake(&self) -> Tick {
        self.owned().map(Line::next_wake).min().unwrap_or(Tick::NEVER)
    }

    /// Calls under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.owned().map(Line::in_flight).sum()
    }

    /// What each provider was asked for, over all runs on this state.
    pub fn usage(&self) -> impl Iterator<Item = (&Arc<str>, Usage)> {
        self.owned().map(|line| (line.provider.name(), line.usage))
    }

    /// Applies a record; those of other owners, and of providers that are no longer configured, change nothing.
    pub fn replay(&mut self, record: &Record) {
        match record {
            Record::Learned { .. } => {}
            Record::Called { provider, call, not_before, hit } => {
                if let Some(line) = self.lines.iter_mut().flatten().find(|line| line.key == *provider) {
                    line.law.reserve_hit(*not_before, *call, *hit);
                    line.usage.calls += 1;
                }
            }
            Record::Returned { provider, call, hit, what, held_until } => {
                if let Some(line) = self.lines.iter_mut().flatten().find(|line| line.key == *provider) {
                    line.law.move_hit(*call, *hit);
                    line.usage.add(*what);
                    line.held_until = line.held_until.max(*held_until);
                }
            }
        }
    }

    /// What a snapshot keeps: laws and use.
    pub(crate) fn snapshot(&self, out: &mut Vec<u8>) {
        put_u64(out, self.owned().count() as u64);
        for line in self.owned() {
            put_fixed(out, line.key);
            put_u64(out, line.held_until.0);
            let mut usage = line.usage;
            usage.fields().into_iter().for_each(|field| put_u64(out, *field));
            put_u64(out, line.law.past().len() as u64);
            for (call, past) in line.law.past() {
                put_fixed(out, call.0);
                put_u64(out, past.not_before.0);
                put_u64(out, past.hit.0);
            }
        }
    }

    /// Puts back what `snapshot` kept, of the providers that are owned here.
    pub(crate) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), WireError> {
        for _ in 0..reader.u64()? {
            let key = reader.fixed()?;
            let mut line = self.lines.iter_mut().flatten().find(|line| line.key == key);
            let held_until = Tick(reader.u64()?);
            let mut usage = Usage::default();
            for field in usage.fields() {
                *field = reader.u64()?;
            }
            if let Some(line) = &mut line {
                line.held_until = held_until;
                line.usage = usage;
            }
            for _ in 0..reader.u64()? {
                let (call, not_before, hit) = (CallId(reader.fixed()?), Tick(reader.u64()?), Tick(reader.u64()?));
                if let Some(line) = &mut line {
                    line.law.reserve_hit(not_before, call, hit);
                }
            }
        }
        Ok(())
    }
}
