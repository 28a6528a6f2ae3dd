//! One owner of all addresses and all providers: a geocoder in one piece.
//!
//! With several workers `Addresses` and `Desk` are owned apart and `Out::to_desk` and `Out::told` are exchanged; here they are
//! delivered at once. Told the time, does no I/O: a function of its inputs.

use crate::addresses::Addresses;
use crate::config::GeoConfig;
use crate::desk::{Desk, Usage};
use crate::gazetteer::Gazetteer;
use crate::message::{Answer, Event, Out, Waiter};
use crate::provider::Provider;
use crate::record::Record;
use std::io;
use std::sync::Arc;
use weir_model::wire::{Reader, WireError};
use weir_model::{JobId, Tick};

/// Tags of the parts of a snapshot.
const DESK: u8 = 1;
const ADDRESSES: u8 = 2;

/// See the module.
#[derive(Debug)]
pub struct Geocoder {
    addresses: Addresses,
    desk: Desk,
}

impl Geocoder {
    /// A geocoder that knows nothing yet. Providers are asked in their order. `boot` differs for every start on one state.
    #[must_use]
    pub fn new(
        config: &Arc<GeoConfig>,
        gazetteer: &Arc<Gazetteer>,
        providers: &[Arc<Provider>],
        boot: u32,
    ) -> Geocoder {
        Geocoder::of_worker(config, gazetteer, providers, boot, 0, 1)
    }

    /// The part of worker `worker` of `workers`: its addresses and its providers. `Out::to_desk` and `Out::told` then hold what is
    /// for others; `deliver` brings them in.
    #[must_use]
    pub fn of_worker(
        config: &Arc<GeoConfig>,
        gazetteer: &Arc<Gazetteer>,
        providers: &[Arc<Provider>],
        boot: u32,
        worker: usize,
        workers: usize,
    ) -> Geocoder {
        Geocoder {
            addresses: Addresses::new(config, gazetteer, providers.len(), worker, workers),
            desk: Desk::new(config, providers, worker, workers, boot),
        }
    }

    /// An item wants its address looked up. `None`: it waits, and `Out::answers` of a later step will name `waiter`.
    pub fn want(&mut self, now: Tick, job: JobId, address: &str, waiter: Waiter, out: &mut Out) -> Option<Answer> {
        let answer = self.addresses.want(now, job, address, waiter, out);
        self.deliver(now, out);
        answer
    }

    /// An item whose location was set by its page: nothing to do but to count it.
    pub fn already_set(&self, job: JobId, out: &mut Out) {
        out.count(job).already_set += 1;
    }

    /// Something happened outside.
    pub fn event(&mut self, now: Tick, event: Event, out: &mut Out) {
        match event {
            Event::CacheGot { address, value } => self.addresses.cache_got(now, &address, value, out),
            Event::CachePut { address, stored } => self.addresses.cache_put(&address, stored, out),
            Event::Returned { call, result } => self.desk.returned(now, call, result, out),
        }
        self.deliver(now, out);
    }

    /// At the end of a step: gives up what is late, lets calls leave that are due.
    pub fn release_due(&mut self, now: Tick, out: &mut Out) {
        self.addresses.expire(now, out);
        self.deliver(now, out);
        self.desk.release_due(now, out);
        self.deliver(now, out);
    }

    /// Passes on what owners of addresses and of providers say to each other, until all is said.
    fn deliver(&mut self, now: Tick, out: &mut Out) {
        while !out.to_desk.is_empty() || !out.told.is_empty() {
            for message in std::mem::take(&mut out.to_desk) {
                self.desk.take(now, message, out);
            }
            for told in std::mem::take(&mut out.told) {
                self.addresses.told(now, told, out);
            }
        }
    }

    /// When `release_due` has something to do next if nothing happens.
    #[must_use]
    pub fn next_wake(&self) -> Tick {
        self.addresses.next_wake().min(self.desk.next_wake())
    }

    /// Items that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.addresses.waiting()
    }

    /// Calls under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.desk.in_flight()
    }

    /// Bytes that are remembered.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.addresses.memory_bytes()
    }

    /// What each provider was asked for, over all runs on this state.
    pub fn usage(&self) -> impl Iterator<Item = (&Arc<str>, Usage)> {
        self.desk.usage()
    }

    /// Applies a record of the journal.
    pub fn replay(&mut self, record: &Record) {
        self.addresses.replay(record);
        self.desk.replay(record);
    }

    /// Ends a replay. Whoever waited has to ask again.
    pub fn finish_replay(&mut self, now: Tick, out: &mut Out) {
        self.addresses.finish_replay(now, out);
    }

    /// Streams the state in parts of about 64 KiB. Waiters are the stage's: they are not in it.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn snapshot(&self, write: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut part = vec![DESK];
        self.desk.snapshot(&mut part);
        write(&part)?;
        self.addresses.snapshot(write, ADDRESSES)
    }

    /// Puts back a part of a snapshot; what others own is left out.
    ///
    /// # Errors
    /// When the bytes are no part of a snapshot.
    pub fn restore(&mut self, part: &[u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(part);
        match reader.u8()? {
            DESK => self.desk.restore(&mut reader),
            ADDRESSES => self.addresses.restore(&mut reader),
            _ => Err(WireError { expected: "a part of a geocoder's snapshot" }),
        }
    }
}
