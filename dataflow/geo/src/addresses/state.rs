//! What of an owner of addresses survives a restart: what is remembered, not who waits.

use super::{Addresses, put_command, tick_of};
use crate::address::NormalisedAddress;
use crate::cache::{Kept, Memo};
use crate::entry::Entry;
use crate::message::Out;
use crate::record::Record;
use std::io;
use std::sync::Arc;
use weir_model::Tick;
use weir_model::wire::{Reader, WireError, put_bytes};

/// Bytes of a part of a snapshot, about.
const PART_BYTES: usize = 64 << 10;

impl Addresses {
    /// Applies a record; those of other owners change nothing.
    pub fn replay(&mut self, record: &Record) {
        if let Record::Learned { address, entry } = record {
            self.remember(address, entry, true);
        }
    }

    fn remember(&mut self, address: &NormalisedAddress, entry: &Entry, unsaved: bool) {
        if self.owns(address) {
            let unsaved = unsaved && self.config.outer_cache;
            let expires = tick_of(entry.expires());
            self.memory.put(address.clone(), Memo { kept: Kept::of(entry), expires, earlier: true, unsaved });
        }
    }

    /// Ends a replay: what the outer cache may lack is offered to it.
    pub fn finish_replay(&mut self, now: Tick, out: &mut Out) {
        self.memory.expire(now);
        for (address, memo) in self.memory.oldest_first().filter(|(_, memo)| memo.unsaved) {
            if let Some(entry) = entry_of(memo) {
                out.commands.push(put_command(now, address, &entry));
            }
        }
    }

    /// Streams what is remembered, in parts.
    pub(crate) fn snapshot(&self, write: &mut dyn FnMut(&[u8]) -> io::Result<()>, tag: u8) -> io::Result<()> {
        let mut part = vec![tag];
        for (address, memo) in self.memory.oldest_first() {
            let Some(entry) = entry_of(memo) else { continue };
            part.push(u8::from(memo.unsaved));
            put_bytes(&mut part, address.as_str().as_bytes());
            put_bytes(&mut part, &entry.encode(address));
            if part.len() >= PART_BYTES {
                write(&part)?;
                part.truncate(1);
            }
        }
        if part.len() > 1 { write(&part) } else { Ok(()) }
    }

    /// What is remembered, as records for another stage.
    pub(crate) fn each_learned(&self, visit: &mut dyn FnMut(Record) -> io::Result<()>) -> io::Result<()> {
        for (address, memo) in self.memory.oldest_first() {
            if let Some(entry) = entry_of(memo) {
                visit(Record::Learned { address: address.clone(), entry })?;
            }
        }
        Ok(())
    }

    /// Puts back a part of what `snapshot` streamed, of the addresses that are owned here.
    pub(crate) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), WireError> {
        while !reader.is_empty() {
            let unsaved = reader.u8()? != 0;
            let address = NormalisedAddress::known(reader.str()?);
            let entry = Entry::decode(&address, reader.bytes()?);
            self.remember(&address, &entry.map_err(|_| WireError { expected: "a geocode entry" })?, unsaved);
        }
        Ok(())
    }
}

fn entry_of(memo: &Memo) -> Option<Entry> {
    match &memo.kept {
        Kept::Found(place) => Some(Entry::Found(Arc::clone(place))),
        Kept::NotFound => Some(Entry::NotFound { expires: memo.expires.unix_ms() }),
        Kept::Failed => None,
    }
}
