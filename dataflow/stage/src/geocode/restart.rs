//! Restarts of geocoding: records and snapshots of the items that wait and of what the geocoder knows, in and out.
//!
//! Decides nothing new: what is put back is what was there. Invariants: an item that waits comes back exactly once, at its owner,
//! and asks again; records of one group may come in any order.

use super::{Geocode, Left, Waiting, slot_of};
use crate::items::SLOTS;
use crate::record;
use std::collections::BTreeMap;
use weir_frontier::TakeRecord;
use weir_geo::Waiter;
use weir_model::Tick;
use weir_model::wire::{Reader, WireError, put_bytes};

impl Geocode {
    /// Applies a record of this module.
    pub fn replay(&mut self, kind: u8, slot: u8, fields: &mut Reader<'_>) -> Result<(), WireError> {
        match kind {
            record::GEO => {
                if let Some(geocoder) = &mut self.geocoder {
                    geocoder.replay(&weir_geo::Record::decode(fields.rest())?);
                }
            }
            record::WAITS if self.owns(check(slot)?) => self.keep(fields)?,
            record::WAIT_ENDED if self.owns(check(slot)?) => {
                let waiter = Waiter(fields.fixed()?);
                if self.waiting.remove(&waiter).is_none() {
                    self.gone.insert(waiter);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, fields: &mut Reader<'_>) -> Result<(), WireError> {
        let (waiter, page, item) = record::read_waits(fields)?;
        if self.owns(slot_of(waiter)) && !self.gone.remove(&waiter) {
            self.waiting.insert(waiter, Waiting { page, item, at: 0 });
        }
        Ok(())
    }

    /// Ends a replay: everything that waited of the jobs that go on asks again with the next step.
    pub fn finish_replay(&mut self, now: Tick) {
        self.gone.clear();
        if let Some(geocoder) = &mut self.geocoder {
            geocoder.finish_replay(now, &mut self.out);
        }
        let fields = &self.fields;
        let (waiting, paused): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.waiting.drain().partition(|(_, waiting)| fields.contains_key(&waiting.item.job));
        self.paused = paused;
        self.bytes = waiting.values().map(|waiting: &Waiting| waiting.item.bytes()).sum();
        self.left.extend(waiting.into_iter().map(|(waiter, waiting)| Left::Item(waiter, Box::new(waiting))));
    }

    /// Streams the items that wait.
    pub fn snapshot_waiting(&self, bytes: &mut Vec<u8>) {
        let here = self.waiting.iter().map(|(waiter, waiting)| (*waiter, waiting));
        let between = self.left.iter().filter_map(|left| match left {
            Left::Item(waiter, waiting) => Some((*waiter, &**waiting)),
            _ => None,
        });
        let paused = self.paused.iter().map(|(waiter, waiting)| (*waiter, waiting));
        for (waiter, waiting) in here.chain(between).chain(paused) {
            record::put_waits_fields(bytes, waiter, waiting.page, &waiting.item);
        }
    }

    /// Streams what the geocoder knows, in framed parts.
    pub fn snapshot(&self, write: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        let Some(geocoder) = &self.geocoder else { return Ok(()) };
        let mut framed = Vec::new();
        geocoder.snapshot(&mut |part| {
            framed.clear();
            put_bytes(&mut framed, part);
            write(&framed)
        })
    }

    /// Writes what the geocoder knows of addresses as records for every other stage: an address belongs to none of them.
    pub fn export(&self, write: TakeRecord<'_>) -> std::io::Result<()> {
        let Some(geocoder) = &self.geocoder else { return Ok(()) };
        let mut body = Vec::new();
        geocoder.each_learned(&mut |known| {
            body.clear();
            body.extend_from_slice(&[record::GEO, 0]);
            known.encode(&mut body);
            write(None, &body)
        })
    }

    /// Puts back the items that waited, each to its owner.
    pub fn restore_waiting(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            self.keep(&mut reader)?;
        }
        Ok(())
    }

    /// Puts back what a geocoder knew.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let Some(geocoder) = &mut self.geocoder else { return Ok(()) };
        let mut frames = Reader::new(bytes);
        while !frames.is_empty() {
            geocoder.restore(frames.bytes()?)?;
        }
        Ok(())
    }
}

fn check(slot: u8) -> Result<u8, WireError> {
    if slot < SLOTS { Ok(slot) } else { Err(WireError { expected: "a slot, 0 to 63" }) }
}
