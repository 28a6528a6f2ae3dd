//! One owner of all addresses and all providers: a geocoder in one piece.
//!
//! With several workers each has a part: the addresses of its slots and the providers of its indices. What its two halves say to
//! each other is delivered at once, what is for other workers stays in `Out::to_desk` and `Out::told` and is exchanged. Told the time, does no I/O: a function of its inputs.

use crate::address::NormalisedAddress;
use crate::addresses::Addresses;
use crate::config::GeoConfig;
use crate::desk::{Desk, Usage};
use crate::gazetteer::Gazetteer;
use crate::message::{Answer, Event, Out, ToDesk, Told, Waiter};
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
    worker: usize,
    workers: usize,
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

    /// The part of worker `worker` of `workers`: addresses whose slot, and providers whose index, modulo `workers` is `worker`.
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
            worker,
            workers,
        }
    }

    /// An item wants its address looked up. `None`: it waits, and `Out::answers` of a later step will name `waiter`.
    pub fn want(&mut self, now: Tick, job: JobId, address: &str, waiter: Waiter, out: &mut Out) -> Option<Answer> {
        let answer = self.addresses.want(now, job, address, waiter, out);
        self.deliver(now, out);
        answer
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
        let answer = self.addresses.want_normalised(now, job, address, written, waiter, out);
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

    /// What another worker's addresses want of a provider that is owned here.
    pub fn take(&mut self, now: Tick, message: ToDesk, out: &mut Out) {
        self.desk.take(now, message, out);
        self.deliver(now, out);
    }

    /// What another worker's provider says of an address that is owned here.
    pub fn told(&mut self, now: Tick, told: Told, out: &mut Out) {
        self.addresses.told(now, told, out);
        self.deliver(now, out);
    }

    /// Passes on what the two halves say to each other, until what is left is for others.
    fn deliver(&mut self, now: Tick, out: &mut Out) {
        let here = |key: usize, geocoder: &Geocoder| key % geocoder.workers == geocoder.worker;
        loop {
            let asked: Vec<ToDesk> = out.to_desk.extract_if(.., |message| here(message.provider(), self)).collect();
            let told: Vec<Told> =
                out.told.extract_if(.., |told| here(usize::from(told.address.slot()), self)).collect();
            if asked.is_empty() && told.is_empty() {
                return;
            }
            for message in asked {
                self.desk.take(now, message, out);
            }
            for told in told {
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

    /// What is known of addresses, as records for another stage, the oldest first.
    ///
    /// # Errors
    /// Those of `visit`.
    pub fn each_learned(&self, visit: &mut dyn FnMut(Record) -> io::Result<()>) -> io::Result<()> {
        self.addresses.each_learned(visit)
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
