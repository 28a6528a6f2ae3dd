//! Replay: the state before a crash, from the records that were durable.
//!
//! Each worker is handed every record and takes those of its slots, so the number of workers may differ from before. Leases died
//! with their process: what was leased is queued again, and no attempt is charged. Hits of laws stay.
//!
//! A queue holds addresses only, so a record that ends a URL names its address. Those are gathered and taken out of the queues in
//! one pass, whenever they are many against what is queued: memory and time stay linear.
//!
//! What is queued of a domain that another stage owns is dropped: it was exported before the number of stages changed.

use super::Frontier;
use super::origin::{Origin, OriginState, origin_key};
use super::state::Line;
use crate::address::Addr;
use crate::hash::NumberMap;
use crate::out::RobotsOutcome;
use crate::record::{self, Entry};
use std::cmp::Reverse;
use weir_model::wire::{Reader, WireError};
use weir_model::{DomainKey, JobId, ReleaseId, RequestKind, Tick};

/// Ends are gathered at least up to this many.
const EDITS_MIN: usize = 1 << 16;

/// Types of a snapshot's frames: from here to `OTHERS`.
const FRAMES: u8 = 32;
/// Types of records that are not the frontier's.
const OTHERS: u8 = 64;

/// What became of records whose addresses stand in queues.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// `None`: ended; else where the body is now.
    by_addr: NumberMap<Addr, Option<Addr>>,
    /// Addresses in the queues, those with an edit included.
    pub queued: usize,
}

impl Edits {
    fn apply(&self, mut addr: Addr) -> Option<Addr> {
        while let Some(edit) = self.by_addr.get(&addr) {
            addr = (*edit)?;
        }
        Some(addr)
    }
}

impl Frontier {
    /// Takes a durable record (without its length prefix) that lies at `addr`. Records of other slots are ignored.
    ///
    /// # Errors
    /// The record is damaged or of another version.
    pub fn replay(&mut self, addr: Addr, body: &[u8]) -> Result<(), WireError> {
        if !self.owns(record::slot_of_record(body)) {
            return Ok(());
        }
        let mut reader = Reader::new(&body[2..]);
        let reader = &mut reader;
        match body[0] {
            record::ADMIT | record::REQUEUE | record::MOVED => self.replay_entry(addr, body)?,
            record::SETTLE => self.edit(Addr(reader.fixed()?), None),
            record::REFUSED => {
                let fingerprint = reader.fixed()?;
                self.jobs.enter(JobId(reader.u64()?)).seen[usize::from(body[1])].insert(fingerprint);
            }
            record::COUNT => record::read_counts(reader, &mut self.totals[usize::from(body[1])])?,
            record::RELEASE => {
                let index = self.known_domain(DomainKey(reader.fixed()?))?;
                let release = ReleaseId(reader.fixed()?);
                let (not_before, hit) = (Tick(reader.u64()?), Tick(reader.u64()?));
                let config = self.config.clone();
                self.domain_mut(index).throttle.reserve_hit(not_before, release, hit, &config);
            }
            record::ANSWERED => {
                let index = self.known_domain(DomainKey(reader.fixed()?))?;
                let release = ReleaseId(reader.fixed()?);
                let (before, after) = (Tick(reader.u64()?), Tick(reader.u64()?));
                self.domain_mut(index).throttle.move_hit(release, before, (after > Tick(0)).then_some(after));
            }
            record::ROBOTS => {
                let robots = record::read_robots(reader)?;
                let index = self.enter_domain(robots.domain, robots.name);
                self.restore_origin(index, robots.url, robots.outcome, robots.fetched_at);
            }
            record::CLOSE => {
                let job = JobId(reader.u64()?);
                self.replay_close(job, body[1]);
            }
            record::PAST => {
                let key = DomainKey(reader.fixed()?);
                let index = self.enter_domain(key, reader.str()?);
                let past = record::read_past(reader)?;
                self.domain_mut(index).throttle.assume(&past);
            }
            // What another stage has exported.
            FRAMES..OTHERS => self.restore(body)?,
            _ => return Err(WireError { expected: "a record of the frontier" }),
        }
        Ok(())
    }

    fn replay_entry(&mut self, addr: Addr, body: &[u8]) -> Result<(), WireError> {
        let (head, _, _) = Entry::read_head(body)?;
        let slot = usize::from(body[1]);
        let index = match self.by_key.get(&head.domain) {
            Some(index) => *index,
            None => self.enter_domain(head.domain, Entry::read(body)?.domain_name()),
        };
        match head.replaces {
            Some(old) if body[0] == record::MOVED => {
                self.edit(old, Some(addr));
                return Ok(());
            }
            Some(old) => self.edit(old, None),
            None if head.kind == RequestKind::Page => {
                let job = self.jobs.enter(head.job);
                job.seen[slot].insert(head.fingerprint.0);
                if job.spec.as_ref().is_some_and(|spec| spec.pages_per_domain_max.is_some()) {
                    *job.admitted.entry(head.domain).or_insert(0) += 1;
                }
            }
            None => {}
        }
        self.jobs.enter(head.job);
        self.edits.queued += 1;
        let line = self.domain_mut(index).line(head.job);
        if head.not_before > Tick(0) {
            line.delayed.push(Reverse((head.not_before, addr, head.priority)));
        } else {
            line.queue.push(addr, head.priority);
        }
        Ok(())
    }

    fn known_domain(&self, key: DomainKey) -> Result<u32, WireError> {
        self.by_key.get(&key).copied().ok_or(WireError { expected: "a domain that was admitted before" })
    }

    pub(super) fn restore_origin(&mut self, index: u32, url: &str, outcome: RobotsOutcome, fetched_at: Tick) {
        let mut domain = self.domains[index as usize].take().expect("an index is given up with its domain");
        let key = origin_key(url);
        if domain.origin(key).is_none() {
            let (outcome, rules) = (RobotsOutcome::Missing, Vec::new());
            let state = OriginState::Known { fetched_at, fresh_until: Tick(0), outcome, rules };
            domain.origins.push(Origin { key, url: url.into(), state });
            self.robots_bytes += domain.origins.last().map_or(0, Origin::bytes);
        }
        self.believe(&mut domain, key, outcome, fetched_at);
        self.domains[index as usize] = Some(domain);
    }

    fn edit(&mut self, addr: Addr, now: Option<Addr>) {
        self.edits.by_addr.insert(addr, now);
        if self.edits.by_addr.len() >= EDITS_MIN.max(self.edits.queued / 2) {
            self.apply_edits();
        }
    }

    fn apply_edits(&mut self) {
        let edits = std::mem::take(&mut self.edits);
        for line in self.domains.iter_mut().flatten().flat_map(|domain| domain.lines.iter_mut()) {
            rewrite(line, |addr| edits.apply(addr));
            self.edits.queued += line.queue.len() + line.delayed.len();
        }
    }

    fn replay_close(&mut self, job: JobId, slot: u8) {
        let Some(entry) = self.jobs.get_mut(job) else { return };
        entry.seen[usize::from(slot)] = crate::seen::Seen::default();
        entry.admitted.retain(|domain, _| crate::offer::slot_of(*domain) != slot);
        for domain in self.domains.iter_mut().flatten().filter(|domain| domain.slot == slot) {
            domain.lines.retain(|line| line.job != job);
        }
    }

    /// After the last record: everything that is queued may be released from `now` on.
    pub fn finish_replay(&mut self, now: Tick) {
        self.apply_edits();
        self.edits = Edits::default();
        self.chunks.clear();
        for job in &mut self.jobs.0 {
            job.live = crate::out::Live::default();
        }
        for index in 0..self.domains.len() as u32 {
            let Some(mut domain) = self.domains[index as usize].take() else { continue };
            if self.config.slice.owner(domain.key) != self.config.slice.index {
                // The number of stages has changed, and this domain's queue was exported to its new owner.
                domain.lines.clear();
            }
            domain.lines.retain(|line| !line.is_empty());
            if !domain.throttle.is_limited() {
                // What the run before asked without a law is not in the journal, and some of it may still be under way.
                domain.throttle.note_free(self.config.latest_arrival(now));
            }
            for line in &mut domain.lines {
                self.count_line(line, now);
            }
            self.domains[index as usize] = Some(domain);
            self.wake(index);
        }
        // A job without a name, a queue or a dedup entry is one that was closed.
        self.jobs.0.retain(|job| job.spec.is_some() || job.seen.iter().any(|seen| !seen.is_empty()));
    }

    fn count_line(&mut self, line: &mut Line, now: Tick) {
        for addr in line.queue.levels().flat_map(|level| level.1.iter()).map(Addr) {
            super::keep_body(&mut self.chunks, addr);
        }
        for Reverse((_, addr, _)) in &line.delayed {
            super::keep_body(&mut self.chunks, *addr);
        }
        let live = &mut self.jobs.known(line.job).live;
        live.queued += line.queue.len() as u64;
        live.delayed += line.delayed.len() as u64;
        self.ripen(line, now);
    }
}

/// Replaces or removes the addresses of a line; only queued and delayed ones, as nothing else exists during a replay.
pub(super) fn rewrite(line: &mut Line, mut change: impl FnMut(Addr) -> Option<Addr>) {
    line.queue.rewrite(&mut change);
    let delayed = std::mem::take(&mut line.delayed).into_vec();
    line.delayed = delayed
        .into_iter()
        .filter_map(|Reverse((at, addr, priority))| Some(Reverse((at, change(addr)?, priority))))
        .collect();
}
