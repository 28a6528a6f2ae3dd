//! Settlement: what a report makes of its URL. One of: a verdict, another attempt, or back into the queue uncharged.

use super::fate::{Again, Fate, after_loss, fate_of};
use super::origin::origin_of;
use super::robots::RobotsElsewhere;
use super::state::{Domain, Lease};
use super::{Frontier, forget_body, keep_body};
use crate::address::Addr;
use crate::offer::{Offer, OfferSource, slot_of_release};
use crate::out::{DeadRequest, LogLine, Out, SettledPage};
use crate::record::{self, Entry, REQUEUE, class_code};
use crate::throttle::Arrival;
use std::cmp::Reverse;
use std::sync::Arc;
use weir_model::{
    FetchOutcome, JobId, LinkBatch, LinkExtra, Method, Reason, ReleaseId, Report, RequestKind, Tick, Verdict,
};

impl Frontier {
    /// Takes a report. One for an unknown or settled release is counted apart and changes nothing.
    pub fn settle(&mut self, now: Tick, mut report: Report, out: &mut Out) {
        let slot = slot_of_release(report.release);
        assert!(self.owns(slot), "the report of slot {slot} belongs to another worker");
        let Some(lease) = self.leases.remove(&report.release) else {
            out.counters.redelivered += 1;
            return;
        };
        if self.leases.is_empty() {
            self.lease_check = Tick::NEVER;
        }
        let index = lease.domain;
        let mut domain = self.domains[index as usize].take().expect("a leased domain is not forgotten");
        if let Some(hit) = lease.hit {
            let after = domain.throttle.answered(report.release, hit, arrival_of(&report, now), now, &self.config);
            record::put_answered(&mut out.journal, slot, domain.key, report.release, hit, after);
        } else {
            domain.throttle.note_free(now);
        }
        self.count_report(&lease, &report, out);
        match lease.origin {
            Some(origin) => self.settle_robots(&mut domain, origin, &mut report, now, out),
            None => self.settle_entry(&mut domain, &lease, report, now, out),
        }
        self.spare(lease.record);
        self.domains[index as usize] = Some(domain);
        self.wake(index);
    }

    fn count_report(&self, lease: &Lease, report: &Report, out: &mut Out) {
        let counts = out.counters.job(lease.job);
        match &report.outcome {
            FetchOutcome::Response { status }
            | FetchOutcome::Redirect { status, .. }
            | FetchOutcome::Robots { status, .. }
            | FetchOutcome::Unreadable { status, .. } => counts.response(*status, 1),
            FetchOutcome::Failed { class, .. } => counts.failures[usize::from(class_code(*class))] += 1,
            FetchOutcome::Unfetched { .. } => counts.unfetched += 1,
        }
        counts.wire_bytes += u64::from(report.wire_bytes);
        counts.body_bytes += u64::from(report.body_bytes);
    }

    fn settle_entry(&mut self, domain: &mut Domain, lease: &Lease, mut report: Report, now: Tick, out: &mut Out) {
        let entry = Entry::read(&lease.record).expect("the journal is checksummed, and its entries were written here");
        domain.line(lease.job).leased -= 1;
        if entry.kind == RequestKind::Robots {
            match self.settle_robots_elsewhere(&entry, &mut report, out) {
                RobotsElsewhere::Done => self.end(domain, lease, Some(Verdict::Redirected), out),
                RobotsElsewhere::Unsent => self.give_back(domain, lease, &entry),
                RobotsElsewhere::Retry => {
                    let attempts = entry.attempts + 1;
                    let not_before = now.after_us(super::robots::BACKOFF_US << attempts);
                    let again = Again { attempts, lost: entry.lost, priority: entry.priority, not_before };
                    self.requeue(domain, lease, &entry, again, now, out);
                }
            }
            return;
        }
        let spec = self.jobs.known(lease.job).spec.clone().expect("only URLs of open jobs are released");
        match fate_of(&report.outcome, &entry, &spec, now) {
            Fate::Page { status } => self.settle_page(domain, lease, &entry, status, report, out),
            Fate::Redirect => self.settle_redirect(domain, lease, &entry, report, out),
            Fate::Unsent => self.give_back(domain, lease, &entry),
            Fate::Retry(again) => {
                if self.config.log {
                    let reason = describe(&report.outcome);
                    out.log.push(LogLine::Retrying { url: entry.url.into(), attempts: again.attempts, reason });
                }
                self.requeue(domain, lease, &entry, again, now, out);
            }
            Fate::End(reason) => {
                if self.config.log
                    && let FetchOutcome::Response { status } | FetchOutcome::Redirect { status, .. } = report.outcome
                {
                    let referer = entry.referer.map(Into::into);
                    out.log.push(LogLine::Crawled { status, url: entry.url.into(), referer });
                }
                let detail = describe(&report.outcome);
                self.log_rejected(reason, entry.url, &detail, out);
                bury(lease.job, &entry, reason, detail, out);
                self.end(domain, lease, Some(Verdict::Rejected(reason)), out);
            }
        }
    }

    fn settle_page(
        &mut self,
        domain: &mut Domain,
        lease: &Lease,
        entry: &Entry<'_>,
        status: u16,
        report: Report,
        out: &mut Out,
    ) {
        if self.config.log {
            let referer = entry.referer.map(Into::into);
            out.log.push(LogLine::Crawled { status, url: entry.url.into(), referer });
        }
        let pending = !report.items.is_empty();
        self.end(domain, lease, (!pending).then_some(Verdict::Delivered), out);
        if !pending {
            out.notes.extend(report.notes.iter().map(|note| (lease.job, note.clone())));
        }
        if report.links.is_empty() && !pending {
            return;
        }
        let url: Arc<str> = entry.url.into();
        if !report.links.is_empty() {
            out.offers.push(Offer {
                job: lease.job,
                depth: entry.depth.saturating_add(1),
                referer: Some(url.clone()),
                source: OfferSource::Page,
                links: report.links,
                ..Offer::default()
            });
        }
        if pending {
            out.pages.push(SettledPage {
                job: lease.job,
                release: report.release,
                url,
                status,
                started_at: report.started_at,
                items: report.items,
                notes: report.notes,
            });
        }
    }

    fn settle_redirect(
        &mut self,
        domain: &mut Domain,
        lease: &Lease,
        entry: &Entry<'_>,
        report: Report,
        out: &mut Out,
    ) {
        let FetchOutcome::Redirect { status, location } = report.outcome else {
            unreachable!("only a redirect has this fate")
        };
        if self.config.log {
            out.log.push(LogLine::Redirecting { status, url: entry.url.into(), target: location.clone() });
        }
        if *location == *entry.url && entry.extra.is_none() {
            let reason = Reason::TooManyRedirects;
            self.log_rejected(reason, entry.url, "redirects to itself", out);
            return self.end(domain, lease, Some(Verdict::Rejected(reason)), out);
        }
        let extra = entry.link_extra().expect("the journal is checksummed, and its entries were written here");
        let mut links = LinkBatch::default();
        links.push_extra(&location, entry.target, entry.priority, redirected(extra, status, entry.url, &location));
        out.offers.push(Offer {
            job: lease.job,
            depth: entry.depth,
            referer: entry.referer.map(Into::into),
            redirects: entry.redirects.saturating_add(1),
            first_url: Some(entry.first_url.unwrap_or(entry.url).into()),
            kind: RequestKind::Page,
            source: OfferSource::Redirect,
            links,
        });
        self.end(domain, lease, Some(Verdict::Redirected), out);
    }

    /// The URL leaves; `None`: its verdict comes with its items.
    fn end(&mut self, domain: &Domain, lease: &Lease, verdict: Option<Verdict>, out: &mut Out) {
        record::put_settle(&mut out.journal, domain.slot, lease.addr, lease.job, verdict);
        forget_body(&mut self.chunks, lease.addr);
        self.jobs.known(lease.job).live.leased -= 1;
        let counts = out.counters.job(lease.job);
        match verdict {
            Some(verdict) => counts.verdict(verdict),
            None => counts.pending += 1,
        }
    }

    /// Not sent: the next of its priority, and no attempt is charged. The journal still has it queued.
    fn give_back(&mut self, domain: &mut Domain, lease: &Lease, entry: &Entry<'_>) {
        let job = self.jobs.known(lease.job);
        job.live.leased -= 1;
        job.live.queued += 1;
        domain.line(lease.job).queue.put_back(lease.addr, entry.priority, job.order());
    }

    /// A failed attempt: a new record with one attempt more takes the old one's place.
    fn requeue(
        &mut self,
        domain: &mut Domain,
        lease: &Lease,
        entry: &Entry<'_>,
        again: Again,
        now: Tick,
        out: &mut Out,
    ) {
        let addr = Addr::new(self.lane, self.hot.written() + out.journal.len() as u64);
        let Again { attempts, lost, priority, not_before } = again;
        let replaces = Some(lease.addr);
        let changed = Entry { replaces, attempts, lost, priority, not_before, ..*entry };
        changed.put(&mut out.journal, REQUEUE, domain.slot);
        forget_body(&mut self.chunks, lease.addr);
        keep_body(&mut self.chunks, addr);
        out.counters.job(lease.job).retries += 1;
        let live = &mut self.jobs.known(lease.job).live;
        live.leased -= 1;
        let line = domain.line(lease.job);
        if not_before > now {
            live.delayed += 1;
            line.delayed.push(Reverse((not_before, addr, priority)));
        } else {
            live.queued += 1;
            line.queue.push(addr, priority);
        }
    }

    /// Leases that ran out unreported: a failed attempt, then alone, then a dead letter. Their hits stay.
    pub(super) fn expire_leases(&mut self, now: Tick, out: &mut Out) {
        let mut lost: Vec<ReleaseId> =
            self.leases.iter().filter(|lease| lease.1.until <= now).map(|lease| *lease.0).collect();
        lost.sort_unstable();
        for id in lost {
            let lease = self.leases.remove(&id).expect("listed above");
            let index = lease.domain;
            let mut domain = self.domains[index as usize].take().expect("a leased domain is not forgotten");
            out.counters.job(lease.job).leases_lost += 1;
            match lease.origin {
                Some(origin) => self.lose_robots(&mut domain, origin, now, out),
                None => self.lose_entry(&mut domain, &lease, now, out),
            }
            self.domains[index as usize] = Some(domain);
            self.wake(index);
        }
        self.lease_check = self.leases.values().map(|lease| lease.until).min().unwrap_or(Tick::NEVER);
    }

    fn lose_entry(&mut self, domain: &mut Domain, lease: &Lease, now: Tick, out: &mut Out) {
        let entry = Entry::read(&lease.record).expect("the journal is checksummed, and its entries were written here");
        domain.line(lease.job).leased -= 1;
        let spec = self.jobs.known(lease.job).spec.clone().expect("only URLs of open jobs are released");
        if let Some(again) = after_loss(&entry, &spec) {
            return self.requeue(domain, lease, &entry, again, now, out);
        }
        let reason = Reason::KilledTheFunction;
        let detail = "its lease ran out again and again";
        self.log_rejected(reason, entry.url, detail, out);
        bury(lease.job, &entry, reason, detail.into(), out);
        self.end(domain, lease, Some(Verdict::Rejected(reason)), out);
        if entry.kind == RequestKind::Robots {
            super::robots::answer_elsewhere(&entry, crate::out::RobotsOutcome::ServerError, out);
        }
    }
}

/// A page that went wrong for good is a dead letter.
pub(super) fn bury(job: JobId, entry: &Entry<'_>, reason: Reason, detail: Box<str>, out: &mut Out) {
    if reason.is_dead_letter() && entry.kind == RequestKind::Page {
        let request = entry.request().expect("the journal is checksummed, and its entries were written here");
        out.dead.push(DeadRequest { job, request, reason, detail });
    }
}

/// When the request can have arrived, as far as its report tells.
fn arrival_of(report: &Report, now: Tick) -> Arrival {
    match &report.outcome {
        FetchOutcome::Unfetched { .. } | FetchOutcome::Failed { written: false, .. } => Arrival::Unsent,
        // Never before the request itself was begun, whatever a report says.
        _ if report.answered_at > Tick(0) => Arrival::Answered(report.answered_at.max(report.started_at)),
        FetchOutcome::Failed { .. } => Arrival::GivenUp(report.ended_at.max(report.started_at)),
        _ => Arrival::Answered(now),
    }
}

fn describe(outcome: &FetchOutcome) -> Box<str> {
    match outcome {
        FetchOutcome::Response { status } | FetchOutcome::Robots { status, .. } => format!("status {status}").into(),
        FetchOutcome::Redirect { status, location } => format!("status {status} to {location}").into(),
        FetchOutcome::Failed { class, reason, .. } => format!("{}: {reason}", class.as_str()).into(),
        FetchOutcome::Unreadable { reason, .. } | FetchOutcome::Unfetched { reason } => reason.clone(),
    }
}

/// What of a link's rare rest goes on to the target of its redirect: RFC 9110, 15.4; secrets stay with their origin.
fn redirected(extra: Option<Box<LinkExtra>>, status: u16, from: &str, to: &str) -> Option<Box<LinkExtra>> {
    let mut extra = extra?;
    let becomes_get = match status {
        303 => !matches!(extra.method, Method::Get | Method::Head),
        301 | 302 => extra.method == Method::Post,
        _ => false,
    };
    if becomes_get {
        extra.method = Method::Get;
        extra.body = None;
        extra.headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
    }
    if origin_of(from) != origin_of(to) {
        const SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
        extra.headers.retain(|(name, _)| !SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret)));
    }
    (*extra != LinkExtra::default()).then_some(extra)
}
