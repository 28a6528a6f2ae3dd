//! Release: which requests may leave now.
//!
//! Domains that may have something stand in a ring and give one request a turn; domains that must wait stand in a calendar, at a
//! cost logarithmic in their number; domains that wait for an event stand nowhere. So a denied domain never holds up another.

use super::origin::{Permission, host_of, origin_key};
use super::settle::bury;
use super::state::{Domain, DomainIndex, Head, Lease, Line, State};
use super::{Frontier, forget_body};
use crate::address::Addr;
use crate::config::FrontierConfig;
use crate::hot::Hot;
use crate::out::{Budget, Out, RobotsOutcome};
use crate::record::{self, Entry};
use std::cmp::Reverse;
use weir_model::{Reason, Release, Request, RequestKind, Tick, Verdict};

/// URLs of a domain that are decided without a request before the others have their turn.
const DECISIONS_A_TURN: usize = 32;
/// Domains forgotten in one call, at most.
const FORGOTTEN_A_CALL: usize = 64;
/// Buffers kept for later leases.
const SPARE_MAX: usize = 4096;

/// What a turn of a domain came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Released,
    /// Not finished: at the end of the ring.
    Again,
    Wait(Tick),
    Blocked,
    Idle,
}

/// What a domain could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Now,
    At(Tick),
    Nothing,
}

impl Frontier {
    /// Releases what may leave at `now`, within the budget; returns how many. Also ends leases that ran out.
    pub fn release_due(&mut self, now: Tick, budget: Budget, out: &mut Out) -> usize {
        if now >= self.lease_check {
            self.expire_leases(now, out);
        }
        while let Some((_, index)) = self.calendar.first().copied().filter(|due| due.0 <= now) {
            self.wake(index);
        }
        self.forget_idle(now);
        let mut released = 0;
        while released < budget.requests {
            let Some(index) = self.ring.pop_front() else { break };
            let mut domain = self.domains[index as usize].take().expect("a domain in the ring exists");
            let turn = self.turn(&mut domain, index, now, out);
            domain.state = match turn {
                Turn::Released | Turn::Again => {
                    self.ring.push_back(index);
                    State::Ready
                }
                Turn::Wait(at) => {
                    self.calendar.insert((at, index));
                    State::Waiting(at)
                }
                Turn::Blocked => State::Blocked,
                Turn::Idle => {
                    let at = domain.forgettable_at();
                    self.idle.insert((at, index));
                    State::Idle(at)
                }
            };
            self.domains[index as usize] = Some(domain);
            released += usize::from(turn == Turn::Released);
        }
        released
    }

    /// When `release_due` should be called again although nothing happened. What is ready and over the budget is not told here, but
    /// by `ready_hint`.
    #[must_use]
    pub fn next_wake(&self) -> Tick {
        self.calendar.first().map_or(Tick::NEVER, |due| due.0).min(self.lease_check)
    }

    /// How many domains may have something to release at once.
    #[must_use]
    pub fn ready_hint(&self) -> usize {
        self.ring.len()
    }

    /// A body came back: its record without the length prefix.
    pub fn loaded(&mut self, addr: Addr, record: &[u8]) {
        if self.compaction.wants(addr) {
            self.compaction.take(addr, record);
        }
        let Some(index) = self.loading.remove(&addr) else { return };
        let mut heads = self.domain_mut(index).lines.iter_mut().flat_map(|line| line.heads.iter_mut());
        let head = heads.find(|head| head.addr == addr).expect("a body that is awaited has its place");
        head.record = Some(record.to_vec());
        self.wake(index);
    }

    fn forget_idle(&mut self, now: Tick) {
        for _ in 0..FORGOTTEN_A_CALL {
            let Some((at, index)) = self.idle.first().copied().filter(|due| due.0 <= now) else { break };
            self.idle.remove(&(at, index));
            let domain = self.domains[index as usize].take().expect("an idle domain exists");
            self.robots_bytes -= domain.origins.iter().map(super::origin::Origin::bytes).sum::<usize>();
            self.by_key.remove(&domain.key);
            self.free.push(index);
        }
    }

    fn turn(&mut self, domain: &mut Domain, index: DomainIndex, now: Tick, out: &mut Out) -> Turn {
        let horizon = now.after_us(self.config.lookahead_us);
        for _ in 0..DECISIONS_A_TURN {
            // What is only refused waits for nobody.
            let law = if domain.blacklisted { Tick(0) } else { domain.throttle.next_allowed() };
            match self.want(domain, now) {
                Want::Nothing if domain.lines.iter().all(Line::is_empty) && !domain.is_asking() => {
                    domain.lines.clear();
                    return Turn::Idle;
                }
                Want::Nothing => return Turn::Blocked,
                Want::At(at) => return Turn::Wait(at.max(Tick(law.0.saturating_sub(self.config.lookahead_us)))),
                Want::Now if law > horizon => return Turn::Wait(Tick(law.0 - self.config.lookahead_us)),
                Want::Now => {}
            }
            let slot_opens = law.max(now);
            if let Some(at) = domain.origins.iter_mut().position(|origin| origin.is_due(now)) {
                self.release_robots(domain, index, at, slot_opens, now, out);
                return Turn::Released;
            }
            let lines = domain.lines.len();
            let Some(at) = (0..lines)
                .map(|step| (domain.turn + step) % lines)
                .find(|at| self.line_wants(&domain.lines[*at], now) == Want::Now)
            else {
                return Turn::Again;
            };
            domain.turn = (at + 1) % lines;
            self.ripen(&mut domain.lines[at], now);
            let Some((addr, priority, body)) = self.take(&mut domain.lines[at], index, out) else { continue };
            if self.decide(domain, index, at, (addr, priority, body), slot_opens, now, out) {
                return Turn::Released;
            }
        }
        Turn::Again
    }

    fn want(&self, domain: &mut Domain, now: Tick) -> Want {
        let asking = domain.origins.iter_mut().filter_map(super::origin::Origin::asking);
        let robots = asking.filter(|asking| asking.release.is_none()).map(|asking| asking.due).min();
        let mut want = match robots {
            Some(due) if due <= now => return Want::Now,
            Some(due) => Want::At(due),
            None => Want::Nothing,
        };
        for line in &domain.lines {
            want = match (want, self.line_wants(line, now)) {
                (_, Want::Now) => return Want::Now,
                (Want::At(one), Want::At(other)) => Want::At(one.min(other)),
                (Want::At(at), _) | (_, Want::At(at)) => Want::At(at),
                _ => Want::Nothing,
            };
        }
        want
    }

    fn line_wants(&self, line: &Line, now: Tick) -> Want {
        let job = self.jobs.get(line.job).filter(|job| !job.held);
        let Some(spec) = job.and_then(|job| job.spec.as_ref()) else { return Want::Nothing };
        if line.leased >= spec.concurrency_per_domain || line.parking_full {
            return Want::Nothing;
        }
        let queued = line.queue.top();
        let ready = match line.heads.front() {
            Some(head) => head.record.is_some() || queued.is_some_and(|priority| priority > head.priority),
            None => queued.is_some(),
        };
        match line.delayed.peek() {
            _ if ready => Want::Now,
            Some(Reverse((at, _, _))) if *at <= now => Want::Now,
            Some(Reverse((at, _, _))) => Want::At(*at),
            None => Want::Nothing,
        }
    }

    /// Back-offs that are over: next of their priority.
    pub(super) fn ripen(&mut self, line: &mut Line, now: Tick) {
        while line.delayed.peek().is_some_and(|Reverse((at, _, _))| *at <= now) {
            let Some(Reverse((_, addr, priority))) = line.delayed.pop() else { break };
            let job = self.jobs.known(line.job);
            job.live.delayed -= 1;
            job.live.queued += 1;
            line.queue.put_back(addr, priority, job.order());
        }
    }

    /// The next URL of a line with the body of its record, or nothing when bodies must be read back first.
    fn take(&mut self, line: &mut Line, index: DomainIndex, out: &mut Out) -> Option<(Addr, i16, Vec<u8>)> {
        let order = self.jobs.known(line.job).order();
        let queued = line.queue.top();
        if let Some(head) = line.heads.front()
            && queued.is_none_or(|priority| priority <= head.priority)
        {
            head.record.as_ref()?;
            let Head { addr, priority, record } = line.heads.pop_front().expect("seen above");
            self.heads -= 1;
            return Some((addr, priority, record.expect("seen above")));
        }
        let (addr, priority) = line.queue.pop(order)?;
        if let Some(body) = body_at(&self.hot, self.lane, &out.journal, addr) {
            let mut buffer = self.spare.pop().unwrap_or_default();
            buffer.clear();
            buffer.extend_from_slice(body);
            return Some((addr, priority, buffer));
        }
        self.load(line, index, addr, priority, out);
        let mut ahead = 1;
        while ahead < self.config.read_ahead && self.heads < self.config.heads_max {
            let Some((addr, priority)) = line.queue.pop(order) else { break };
            if body_at(&self.hot, self.lane, &out.journal, addr).is_some() {
                line.queue.put_back(addr, priority, order);
                break;
            }
            self.load(line, index, addr, priority, out);
            ahead += 1;
        }
        None
    }

    fn load(&mut self, line: &mut Line, index: DomainIndex, addr: Addr, priority: i16, out: &mut Out) {
        let at = line.heads.iter().position(|head| head.priority < priority).unwrap_or(line.heads.len());
        line.heads.insert(at, Head { addr, priority, record: None });
        self.heads += 1;
        self.loading.insert(addr, index);
        out.loads.push(addr);
    }

    /// Releases a URL, parks it, or ends it; true when a request leaves.
    #[allow(clippy::too_many_arguments, reason = "one decision, every part of it")]
    fn decide(
        &mut self,
        domain: &mut Domain,
        index: DomainIndex,
        line_at: usize,
        (addr, priority, body): (Addr, i16, Vec<u8>),
        slot_opens: Tick,
        now: Tick,
        out: &mut Out,
    ) -> bool {
        let entry = Entry::read(&body).expect("the journal is checksummed, and its entries were written here");
        let job = self.jobs.known(entry.job);
        let spec = job.spec.clone().expect("a line without an open job wants nothing");
        let mut ended = None;
        if domain.blacklisted || self.config.laws.blacklisted(host_of(entry.url)) {
            ended = Some(Reason::Blacklisted);
        } else if spec.obey_robots && entry.kind == RequestKind::Page {
            match domain.permission(&spec.agent, entry.url, now) {
                Permission::Allowed => {}
                Permission::Forbidden(reason) => ended = Some(reason),
                permission => {
                    if permission == Permission::Unknown {
                        self.robots_bytes -= domain.ask(entry.url, entry.job, now);
                    }
                    let origin = origin_key(entry.url);
                    self.park(&mut domain.lines[line_at], addr, priority, origin);
                    self.spare(body);
                    return false;
                }
            }
        }
        if let Some(reason) = ended {
            self.jobs.known(entry.job).live.queued -= 1;
            forget_body(&mut self.chunks, addr);
            let verdict = Verdict::Rejected(reason);
            record::put_settle(&mut out.journal, domain.slot, addr, entry.job, Some(verdict));
            out.counters.job(entry.job).verdict(verdict);
            self.log_rejected(reason, entry.url, "", out);
            bury(entry.job, &entry, reason, "its robots.txt could not be asked".into(), out);
            if entry.kind == RequestKind::Robots {
                super::robots::answer_elsewhere(&entry, RobotsOutcome::ServerError, out);
            }
            self.spare(body);
            return false;
        }
        let request = entry.request().expect("the journal is checksummed, and its entries were written here");
        let (job, alone) = (entry.job, entry.lost > 0);
        let live = &mut self.jobs.known(job).live;
        live.queued -= 1;
        live.leased += 1;
        domain.lines[line_at].leased += 1;
        let lease = Lease { addr, job, domain: index, until: Tick::NEVER, hit: None, origin: None, record: body };
        self.lease(domain, lease, request, alone, slot_opens, now, out);
        true
    }

    fn park(&mut self, line: &mut Line, addr: Addr, priority: i16, origin: u64) {
        let job = self.jobs.known(line.job);
        job.live.queued -= 1;
        job.live.parked += 1;
        line.parked.push(super::state::Parked { addr, priority, origin });
        line.parking_full = line.parked.len() >= self.config.parked_max.max(1);
    }

    pub(super) fn release_robots(
        &mut self,
        domain: &mut Domain,
        index: DomainIndex,
        origin_at: usize,
        slot_opens: Tick,
        now: Tick,
        out: &mut Out,
    ) {
        let key = domain.origins[origin_at].key;
        let asking = domain.origins[origin_at].asking().expect("only an origin that is asked is due");
        let request = Request {
            url: asking.url.clone(),
            kind: RequestKind::Robots,
            attempts: asking.attempts,
            redirects: asking.redirects,
            ..Request::default()
        };
        let (job, alone) = (asking.job, asking.lost);
        out.counters.job(job).robots_requests += 1;
        let record = self.spare.pop().map_or_else(Vec::new, |mut buffer| {
            buffer.clear();
            buffer
        });
        let lease =
            Lease { addr: Addr::NONE, job, domain: index, until: Tick::NEVER, hit: None, origin: Some(key), record };
        let id = self.lease(domain, lease, request, alone, slot_opens, now, out);
        domain.origins[origin_at].asking().expect("seen above").release = Some(id);
    }

    #[allow(clippy::too_many_arguments, reason = "one release, every part of it")]
    fn lease(
        &mut self,
        domain: &mut Domain,
        mut lease: Lease,
        request: Request,
        alone: bool,
        slot_opens: Tick,
        now: Tick,
        out: &mut Out,
    ) -> weir_model::ReleaseId {
        let config = &self.config;
        let not_before = slot_opens;
        // Without a law, too, a request that nobody waits for any more is not sent: a copy that was under way for long must not
        // meet a law that has become known meanwhile.
        let mut not_after = not_before.max(now).after_us(config.margin_us + config.lease_grace_us);
        self.released += 1;
        let id = super::release_id(self.boot, self.released, domain.slot);
        if domain.throttle.is_limited() {
            not_after = not_before.after_us(config.slot_us);
            let hit = domain.throttle.reserve(not_before, id, config);
            record::put_release(&mut out.journal, domain.slot, domain.key, id, not_before, hit);
            lease.hit = Some(hit);
        } else {
            domain.throttle.note_free(not_before.max(now));
        }
        let limited = lease.hit.is_some();
        lease.until = lease_until(not_before.max(now), limited, config);
        self.lease_check = self.lease_check.min(lease.until);
        out.counters.job(lease.job).requests += 1;
        let release = Release { id, job: lease.job, not_before, not_after, request };
        self.leases.insert(id, lease);
        match (alone, limited) {
            (true, _) => out.alone.push(release),
            (false, true) => out.releases.push(release),
            (false, false) => out.free.push(release),
        }
        id
    }

    pub(super) fn spare(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && buffer.capacity() <= 4096 {
            self.spare.push(buffer);
        }
    }
}

/// After this, silence means that the function died: its slot, the request's time-out, and grace.
fn lease_until(from: Tick, limited: bool, config: &FrontierConfig) -> Tick {
    let slot = if limited { config.slot_us } else { 0 };
    from.after_us(slot + config.margin_us + config.request_timeout_us + config.lease_grace_us)
}

/// The body of a record that is still in memory.
pub(super) fn body_at<'a>(hot: &'a Hot, lane: u16, journal: &'a [u8], addr: Addr) -> Option<&'a [u8]> {
    if addr.lane() != lane {
        return None;
    }
    let bytes = match addr.offset().checked_sub(hot.written()) {
        Some(at) => journal.get(usize::try_from(at).ok()?..)?,
        None => hot.get(addr.offset())?,
    };
    record::split(bytes).map(|(body, _)| body)
}
