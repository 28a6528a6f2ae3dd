//! Snapshots: the state of one slot as a row of frames, each complete in itself, written without a second copy in memory.
//!
//! A slot's state depends on no other slot, so slots may be written at different places of the journal: the replay of a slot begins
//! where its snapshot was taken. Leased, parked and read-back URLs are written as queued ones, in the order in which they would be
//! released next.

use super::Frontier;
use super::origin::OriginState;
use super::state::{Domain, Line};
use crate::address::Addr;
use crate::job::Order;
use crate::record;
use std::cmp::Reverse;
use std::io;
use weir_model::wire::{Reader, WireError, put_bytes, put_fixed, put_i64, put_u64};
use weir_model::{DomainKey, JobId, ReleaseId, Tick};

pub(super) const SEEN: u8 = 32;
pub(super) const DOMAIN: u8 = 33;
pub(super) const HITS: u8 = 34;
pub(super) const QUEUE: u8 = 35;
pub(super) const DELAYED: u8 = 36;
pub(super) const ORIGIN: u8 = 37;
pub(super) const COUNTS: u8 = 38;
pub(super) const ADMITTED: u8 = 39;

/// Numbers in a frame: 64 KiB of eight bytes.
const FRAME: usize = 8192;

type Write<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

impl Frontier {
    /// Writes the state of one slot, one call a frame. To be called between steps.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn snapshot(&self, slot: u8, write: Write<'_>) -> io::Result<()> {
        let mut frame = Vec::new();
        for job in &self.jobs.0 {
            let seen = &job.seen[usize::from(slot)];
            let mut fingerprints = seen.iter().peekable();
            while fingerprints.peek().is_some() {
                begin(&mut frame, SEEN, slot);
                put_u64(&mut frame, job.id.0);
                put_u64(&mut frame, seen.len() as u64);
                fingerprints.by_ref().take(FRAME).for_each(|fingerprint| put_fixed(&mut frame, fingerprint));
                write(&frame)?;
            }
            for (domain, admitted) in job.admitted.iter().filter(|entry| crate::offer::slot_of(*entry.0) == slot) {
                begin(&mut frame, ADMITTED, slot);
                put_u64(&mut frame, job.id.0);
                put_fixed(&mut frame, domain.0);
                put_u64(&mut frame, *admitted);
                write(&frame)?;
            }
        }
        for (index, domain) in self.domains.iter().enumerate() {
            if let Some(domain) = domain.as_deref().filter(|domain| domain.slot == slot) {
                self.snapshot_domain(index as u32, domain, &mut frame, write)?;
            }
        }
        let mut records = Vec::new();
        record::put_counts(&mut records, slot, &self.totals[usize::from(slot)]);
        let mut rest = records.as_slice();
        while let Some((body, after)) = record::split(rest) {
            begin(&mut frame, COUNTS, slot);
            frame.extend_from_slice(&body[2..]);
            write(&frame)?;
            rest = after;
        }
        Ok(())
    }

    fn snapshot_domain(&self, index: u32, domain: &Domain, frame: &mut Vec<u8>, write: Write<'_>) -> io::Result<()> {
        let slot = domain.slot;
        let (instants, hits) = domain.throttle.parts();
        begin(frame, DOMAIN, slot);
        put_fixed(frame, domain.key.0);
        put_bytes(frame, domain.name.as_bytes());
        for number in instants {
            put_u64(frame, number);
        }
        write(frame)?;
        let mut hits = hits.iter().peekable();
        while hits.peek().is_some() {
            begin(frame, HITS, slot);
            put_fixed(frame, domain.key.0);
            for (hit, release) in hits.by_ref().take(FRAME) {
                put_fixed(frame, hit.0);
                put_fixed(frame, release.0);
            }
            write(frame)?;
        }
        for origin in &domain.origins {
            let OriginState::Known { fetched_at, outcome, .. } = &origin.state else { continue };
            let mut record = Vec::new();
            record::put_robots(&mut record, slot, domain.key, &domain.name, &origin.url, outcome, *fetched_at);
            let (body, _) = record::split(&record).expect("written just now");
            begin(frame, ORIGIN, slot);
            frame.extend_from_slice(&body[2..]);
            write(frame)?;
        }
        for line in &domain.lines {
            self.snapshot_line(index, domain, line, frame, write)?;
        }
        Ok(())
    }

    fn snapshot_line(
        &self,
        index: u32,
        domain: &Domain,
        line: &Line,
        frame: &mut Vec<u8>,
        write: Write<'_>,
    ) -> io::Result<()> {
        let order = self.jobs.get(line.job).map_or(Order::Lifo, super::state::Job::order);
        let mut leased: Vec<(Addr, i16)> = self
            .leases
            .values()
            .filter(|lease| lease.domain == index && lease.job == line.job && lease.origin.is_none())
            .map(|lease| {
                let entry = record::Entry::read(&lease.record).expect("written here");
                (lease.addr, entry.priority)
            })
            .collect();
        leased.sort_unstable();
        let parked = line.parked.iter().map(|parked| (parked.addr, parked.priority));
        let heads = line.heads.iter().map(|head| (head.addr, head.priority));
        // In the order in which they would be released.
        let mut next: Vec<(Addr, i16)> = leased.into_iter().chain(parked).chain(heads).collect();
        if order == Order::Fifo {
            put_queue(domain, line.job, next.drain(..), frame, write)?;
        }
        for (priority, chunks) in line.queue.levels() {
            put_queue(domain, line.job, chunks.iter().map(|addr| (Addr(addr), priority)), frame, write)?;
        }
        put_queue(domain, line.job, next.into_iter().rev(), frame, write)?;
        let mut delayed: Vec<_> = line.delayed.iter().map(|entry| entry.0).collect();
        delayed.sort_unstable();
        for chunk in delayed.chunks(FRAME / 2) {
            begin(frame, DELAYED, domain.slot);
            put_fixed(frame, domain.key.0);
            put_u64(frame, line.job.0);
            for (at, addr, priority) in chunk {
                put_fixed(frame, at.0);
                put_fixed(frame, addr.0);
                put_i64(frame, i64::from(*priority));
            }
            write(frame)?;
        }
        Ok(())
    }

    /// Takes a frame that `snapshot` wrote; frames of other slots are ignored. Before any record of that slot, but for those that another
    /// stage has exported: these name no address.
    ///
    /// # Errors
    /// The frame is damaged or of another version.
    pub fn restore(&mut self, frame: &[u8]) -> Result<(), WireError> {
        let slot = record::slot_of_record(frame);
        if !self.owns(slot) {
            return Ok(());
        }
        let mut reader = Reader::new(&frame[2..]);
        let reader = &mut reader;
        match frame[0] {
            SEEN => {
                let seen = &mut self.jobs.enter(JobId(reader.u64()?)).seen[usize::from(slot)];
                seen.reserve(reader.u64()? as usize);
                while !reader.is_empty() {
                    seen.insert(reader.fixed()?);
                }
            }
            ADMITTED => {
                let job = JobId(reader.u64()?);
                let domain = DomainKey(reader.fixed()?);
                self.jobs.enter(job).admitted.insert(domain, reader.u64()?);
            }
            DOMAIN => {
                let key = DomainKey(reader.fixed()?);
                let index = self.enter_domain(key, reader.str()?);
                let mut kept = [0; 9];
                for (at, number) in kept.iter_mut().enumerate() {
                    // Older snapshots end after four.
                    *number = if at >= 4 && reader.is_empty() { 0 } else { reader.u64()? };
                }
                self.domain_mut(index).throttle.restore(kept);
            }
            HITS => {
                let index = self.restored_domain(reader)?;
                while !reader.is_empty() {
                    let hit = Tick(reader.fixed()?);
                    self.domain_mut(index).throttle.restore_hit(hit, ReleaseId(reader.fixed()?));
                }
            }
            ORIGIN => {
                let robots = record::read_robots(reader)?;
                let index = self.enter_domain(robots.domain, robots.name);
                self.restore_origin(index, robots.url, robots.outcome, robots.fetched_at);
            }
            QUEUE => {
                let index = self.restored_domain(reader)?;
                let job = JobId(reader.u64()?);
                let priority = priority_of(reader)?;
                self.jobs.enter(job);
                while !reader.is_empty() {
                    self.edits.queued += 1;
                    self.domain_mut(index).line(job).queue.push(Addr(reader.fixed()?), priority);
                }
            }
            DELAYED => {
                let index = self.restored_domain(reader)?;
                let job = JobId(reader.u64()?);
                self.jobs.enter(job);
                while !reader.is_empty() {
                    self.edits.queued += 1;
                    let (at, addr) = (Tick(reader.fixed()?), Addr(reader.fixed()?));
                    let entry = Reverse((at, addr, priority_of(reader)?));
                    self.domain_mut(index).line(job).delayed.push(entry);
                }
            }
            COUNTS => record::read_counts(reader, &mut self.totals[usize::from(slot)])?,
            _ => return Err(WireError { expected: "a frame of a snapshot" }),
        }
        Ok(())
    }

    fn restored_domain(&self, reader: &mut Reader<'_>) -> Result<u32, WireError> {
        let key = DomainKey(reader.fixed()?);
        self.by_key.get(&key).copied().ok_or(WireError { expected: "a domain that came before" })
    }
}

fn begin(frame: &mut Vec<u8>, kind: u8, slot: u8) {
    frame.clear();
    frame.extend_from_slice(&[kind, slot]);
}

fn priority_of(reader: &mut Reader<'_>) -> Result<i16, WireError> {
    i16::try_from(reader.i64()?).map_err(|_| WireError { expected: "a priority" })
}

/// Writes addresses in the order in which they are to be pushed; neighbours of equal priority share a frame.
fn put_queue(
    domain: &Domain,
    job: JobId,
    entries: impl Iterator<Item = (Addr, i16)>,
    frame: &mut Vec<u8>,
    write: Write<'_>,
) -> io::Result<()> {
    let mut open: Option<(i16, usize)> = None;
    for (addr, priority) in entries {
        if let Some((of, count)) = open
            && (of != priority || count == FRAME)
        {
            write(frame)?;
            open = None;
        }
        let (_, count) = *open.get_or_insert_with(|| {
            begin(frame, QUEUE, domain.slot);
            put_fixed(frame, domain.key.0);
            put_u64(frame, job.0);
            put_i64(frame, i64::from(priority));
            (priority, 0)
        });
        put_fixed(frame, addr.0);
        open = Some((priority, count + 1));
    }
    if open.is_some() { write(frame) } else { Ok(()) }
}
