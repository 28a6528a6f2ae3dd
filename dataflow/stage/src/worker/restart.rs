//! A worker's state as records and snapshot sections, in and out.
//!
//! Decides which part of the state each record and section belongs to. Invariants: every worker may be given everything, and keeps
//! what it owns; what a restart leaves to be done is an event of the next step.

use super::Shell;
use crate::event::Event;
use crate::record;
use weir_frontier::Addr;
use weir_model::Tick;
use weir_model::wire::{Reader, WireError, put_bytes};

impl Shell {
    pub fn replay(&mut self, addr: Addr, record: &[u8]) -> Result<(), WireError> {
        let state = &mut *self.state.borrow_mut();
        let mut fields = Reader::new(record);
        let kind = fields.u8()?;
        if kind < record::OUTBOX {
            return state.frontier.replay(addr, record);
        }
        let slot = fields.u8()?;
        let (mut again, mut once_more, mut and_more) = (fields, fields, fields);
        state.items.replay(kind, slot, &mut fields)?;
        state.compute.replay(kind, slot, &mut and_more)?;
        state.geocode.replay(kind, slot, &mut once_more)?;
        state.ledger.replay(kind, &mut again)
    }

    pub fn restore(&mut self, name: &str, bytes: &[u8]) -> Result<(), WireError> {
        let state = &mut *self.state.borrow_mut();
        let wrong = WireError { expected: "a section of a snapshot" };
        let (kind, slot) = name.split_once('/').ok_or(wrong)?;
        match kind {
            "frontier" => {
                let mut frames = Reader::new(bytes);
                while !frames.is_empty() {
                    state.frontier.restore(frames.bytes()?)?;
                }
                Ok(())
            }
            "items" => state.items.restore(slot.parse().map_err(|_| wrong)?, bytes),
            "ledger" => state.ledger.restore(bytes),
            "computing" => state.compute.restore(bytes),
            "waiting" => state.geocode.restore_waiting(bytes),
            "geo" => state.geocode.restore(bytes),
            // Sums: one worker takes them all.
            "counts" if self.worker.index() == 0 => state.items.restore_counts(bytes),
            "counts" => Ok(()),
            _ => Err(wrong),
        }
    }

    pub fn finish_replay(&mut self, now: Tick) {
        let state = &mut *self.state.borrow_mut();
        state.now = now;
        state.frontier.finish_replay(now);
        state.items.rewrite_outbox(&mut state.items_out);
        state.ledger.finish_replay();
        let passed = state.compute.finish_replay();
        self.left.extend(passed.into_iter().map(|computed| Event::Computed(Box::new(computed))));
        state.geocode.finish_replay(now);
        // What replay counted is in the durable counts; deltas start at zero.
        state.out.counters.clear();
    }

    /// Streams the state of this worker: sections named `kind/number`.
    pub fn snapshot(
        &self,
        index: usize,
        peers: usize,
        write: &mut dyn FnMut(&str, &[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let state = self.state.borrow();
        let mut bytes = Vec::new();
        for slot in (0..weir_frontier::SLOTS).filter(|slot| usize::from(*slot) % peers == index) {
            let name = format!("frontier/{slot}");
            state.frontier.snapshot(slot, &mut |frame| {
                bytes.clear();
                put_bytes(&mut bytes, frame);
                write(&name, &bytes)
            })?;
            bytes.clear();
            state.items.snapshot(slot, &mut bytes);
            write(&format!("items/{slot}"), &bytes)?;
        }
        bytes.clear();
        state.ledger.snapshot(&mut bytes);
        write(&format!("ledger/{index}"), &bytes)?;
        bytes.clear();
        state.compute.snapshot(&mut bytes);
        if !bytes.is_empty() {
            write(&format!("computing/{index}"), &bytes)?;
            bytes.clear();
        }
        state.geocode.snapshot_waiting(&mut bytes);
        if !bytes.is_empty() {
            write(&format!("waiting/{index}"), &bytes)?;
            bytes.clear();
        }
        let name = format!("geo/{index}");
        state.geocode.snapshot(&mut |part| write(&name, part))?;
        state.items.snapshot_counts(&mut bytes);
        write(&format!("counts/{index}"), &bytes)
    }
}
