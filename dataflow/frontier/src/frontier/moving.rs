//! What leaves a slot when the number of stages changes: records for the journals of those who own its domains from then on.
//!
//! Decides what goes with a domain (its law with the hits of its window, its robots.txt, its budget, its queue in order) and what goes to
//! everybody: dedup entries, because a fingerprint does not say its domain; one that is asked for by nobody changes nothing.
//! Knows no other stage. Invariant: what `replay` makes of these records is what was here; nothing is taken away here, that is done by the
//! next recovery under the new slice.

use super::Frontier;
use super::snapshot::{ADMITTED, COUNTS, DELAYED, DOMAIN, HITS, ORIGIN, QUEUE, SEEN};
use crate::address::Addr;
use crate::hash::NumberMap;
use crate::record::{self, ADMIT, Entry};
use std::io;
use weir_model::wire::{Reader, WireError};
use weir_model::{DomainKey, RequestKind, Tick};

/// Gives the bodies of records, in any order.
pub type LoadBodies<'a> = &'a mut dyn FnMut(&[Addr], &mut dyn FnMut(Addr, &[u8])) -> io::Result<()>;

/// Takes one record's body, and the domain that it goes with; none: to everybody.
pub type TakeRecord<'a> = &'a mut dyn FnMut(Option<DomainKey>, &[u8]) -> io::Result<()>;

impl Frontier {
    /// Writes the state of one slot as records. Right after `finish_replay`, when nothing is under way.
    ///
    /// # Errors
    /// Those of `load` and `write`, and a body that is not what the journal should hold.
    pub fn export(&self, slot: u8, load: LoadBodies<'_>, write: TakeRecord<'_>) -> io::Result<()> {
        // Behind the queues: what replay counts of a budget is replaced by what it is.
        let mut budgets = Vec::new();
        self.snapshot(slot, &mut |frame| {
            let mut reader = Reader::new(&frame[2..]);
            match frame[0] {
                SEEN => write(None, frame),
                COUNTS => Ok(()),
                DOMAIN | HITS | ORIGIN => write(Some(DomainKey(reader.fixed().map_err(damaged)?)), frame),
                ADMITTED => {
                    reader.u64().map_err(damaged)?;
                    budgets.push((DomainKey(reader.fixed().map_err(damaged)?), frame.to_vec()));
                    Ok(())
                }
                QUEUE | DELAYED => {
                    let (domain, places) = places(frame).map_err(damaged)?;
                    requests(slot, &places, &mut *load, &mut |record| write(Some(domain), record))
                }
                _ => unreachable!("a frame that a snapshot does not write"),
            }
        })?;
        budgets.into_iter().try_for_each(|(domain, frame)| write(Some(domain), &frame))
    }
}

/// A queued URL: where its body is, its priority, when it may go.
type Place = (Addr, i16, Tick);

fn places(frame: &[u8]) -> Result<(DomainKey, Vec<Place>), WireError> {
    let mut reader = Reader::new(&frame[2..]);
    let domain = DomainKey(reader.fixed()?);
    reader.u64()?;
    let priority = |value: i64| i16::try_from(value).map_err(|_| WireError { expected: "a priority" });
    let mut places = Vec::new();
    if frame[0] == QUEUE {
        let priority = priority(reader.i64()?)?;
        while !reader.is_empty() {
            places.push((Addr(reader.fixed()?), priority, Tick(0)));
        }
    }
    while !reader.is_empty() {
        let (at, addr) = (Tick(reader.fixed()?), Addr(reader.fixed()?));
        places.push((addr, priority(reader.i64()?)?, at));
    }
    Ok((domain, places))
}

/// Writes an admission for each, in order.
fn requests(
    slot: u8,
    places: &[Place],
    load: LoadBodies<'_>,
    write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut bodies: NumberMap<Addr, Vec<u8>> = NumberMap::default();
    let addrs: Vec<Addr> = places.iter().map(|place| place.0).collect();
    load(&addrs, &mut |addr, body| {
        bodies.insert(addr, body.to_vec());
    })?;
    let mut framed = Vec::new();
    for (addr, priority, not_before) in places {
        let body = bodies.get(addr).ok_or_else(|| io::Error::other(format!("no record at {addr:?}")))?;
        let entry = Entry::read(body).map_err(damaged)?;
        if entry.kind != RequestKind::Page {
            // A robots.txt to which another domain redirects: asked anew by whoever needs it.
            continue;
        }
        framed.clear();
        Entry { replaces: None, priority: *priority, not_before: *not_before, ..entry }.put(&mut framed, ADMIT, slot);
        let (record, _) = record::split(&framed).expect("written just now");
        write(record)?;
    }
    Ok(())
}

fn damaged(error: WireError) -> io::Error {
    io::Error::other(format!("a record that cannot be read: {error}"))
}
