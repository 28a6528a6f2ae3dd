//! The frontier's records in the journal: what survives a crash.
//!
//! Decides bytes only. A record is a varint length and a body; `body[0]` is its type, `body[1]` its slot, so that a worker
//! skips what it does not own at the cost of two bytes. Types 1..=31 are the frontier's, 32..=63 its snapshot frames, 64 and up
//! belong to others.
//!
//! Invariants: `decode(encode(x)) == x`; decoding never panics, whatever the bytes; an `Admit` body holds everything to make the
//! request and to process its answer, so that a queued URL is its address and nothing else.

mod counts;
mod robots;

pub use counts::{put_counts, read_counts};
pub use robots::{RobotsRecord, class_code, put_robots, read_robots};

use crate::address::Addr;
use crate::throttle::Past;
use weir_model::wire::{Reader, WireError, put_bytes, put_fixed, put_i64, put_u64};
use weir_model::{DomainKey, Fingerprint, JobId, LinkExtra, ReleaseId, Request, RequestKind, TargetId, Tick, Verdict};

/// A URL enters: its dedup entry and its place in the queue.
pub const ADMIT: u8 = 1;
/// A URL goes back into its queue changed (a failed attempt): ends the record before it, is not deduplicated.
pub const REQUEUE: u8 = 2;
/// A body was copied to the end of a lane, so that an old chunk may die.
pub const MOVED: u8 = 3;
/// A URL leaves with its verdict.
pub const SETTLE: u8 = 4;
/// A URL was new and refused at once (blacklist, budget): its dedup entry alone.
pub const REFUSED: u8 = 5;
/// What was counted in a step.
pub const COUNT: u8 = 6;
/// A slot of a domain with a law was given away.
pub const RELEASE: u8 = 7;
/// A hit of a law is known better.
pub const ANSWERED: u8 = 8;
/// A robots.txt was fetched.
pub const ROBOTS: u8 = 9;
/// A job's state was dropped.
pub const CLOSE: u8 = 10;

/// A law has come that looks further back than anybody remembers: what is taken for granted.
pub const PAST: u8 = 11;

const HAS_REFERER: u8 = 1;
const HAS_FIRST_URL: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NOT_BEFORE: u8 = 8;
const HAS_TRIES: u8 = 16;
const IS_ROBOTS: u8 = 32;

/// Cuts the first record off a journal: its body, and what follows.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader::new(bytes);
    let body = reader.bytes().ok()?;
    (body.len() >= 2).then_some((body, reader.rest()))
}

/// The slot of a record's body.
#[must_use]
pub fn slot_of_record(body: &[u8]) -> u8 {
    body.get(1).copied().unwrap_or(u8::MAX)
}

/// Appends a record: `fill` writes the body, its length is put before it.
pub fn put_record(out: &mut Vec<u8>, kind: u8, slot: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    // Nearly every body is under 16 KiB and over 127 bytes: two bytes are kept for its length, and moved only when that was wrong.
    const GUESS: usize = 2;
    let start = out.len();
    out.extend_from_slice(&[0, 0, kind, slot]);
    fill(out);
    let len = out.len() - start - GUESS;
    if (0x80..0x4000).contains(&len) {
        out[start] = (len as u8 & 0x7f) | 0x80;
        out[start + 1] = (len >> 7) as u8;
        return;
    }
    if len < 0x80 {
        out[start] = len as u8;
        out.copy_within(start + GUESS.., start + 1);
        out.truncate(start + 1 + len);
        return;
    }
    let mut prefix = Vec::with_capacity(10);
    put_u64(&mut prefix, len as u64);
    out.splice(start..start + GUESS, prefix);
}

/// A queued URL, borrowed from its record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<'a> {
    /// The record that this one replaces (`Requeue`, `Moved`).
    pub replaces: Option<Addr>,
    /// Its dedup entry.
    pub fingerprint: Fingerprint,
    /// Its domain.
    pub domain: DomainKey,
    /// Its job.
    pub job: JobId,
    /// Higher goes first.
    pub priority: i16,
    /// Not to be released before (back-off).
    pub not_before: Tick,
    /// What for.
    pub kind: RequestKind,
    /// What to do with the page.
    pub target: TargetId,
    /// Links followed since a start page.
    pub depth: u16,
    /// Failed attempts so far.
    pub attempts: u8,
    /// How many of them were lost leases.
    pub lost: u8,
    /// Redirects followed to get here.
    pub redirects: u8,
    /// Where the domain's name lies in `url`.
    pub domain_range: (u32, u32),
    /// The URL to fetch.
    pub url: &'a str,
    /// The page that led here.
    pub referer: Option<&'a str>,
    /// First URL of the redirect chain.
    pub first_url: Option<&'a str>,
    /// Method, body, headers, carried values, as JSON.
    pub extra: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// The registered domain, as it stands in the URL.
    #[must_use]
    pub fn domain_name(&self) -> &'a str {
        let (start, end) = self.domain_range;
        self.url.get(start as usize..end as usize).unwrap_or_default()
    }

    /// The request that goes to a function.
    pub fn request(&self) -> Result<Request, WireError> {
        Ok(Request {
            url: self.url.into(),
            kind: self.kind,
            target: self.target,
            depth: self.depth,
            redirects: self.redirects,
            attempts: self.attempts,
            priority: self.priority,
            referer: self.referer.map(Into::into),
            first_url: self.first_url.map(Into::into),
            extra: self.link_extra()?,
        })
    }

    /// The rare rest of the link.
    pub fn link_extra(&self) -> Result<Option<Box<LinkExtra>>, WireError> {
        self.extra
            .map(|json| serde_json::from_slice(json).map_err(|_| WireError { expected: "a link's extra as JSON" }))
            .transpose()
    }

    /// Appends this entry as a record of `kind` (`ADMIT`, or with `replaces` `REQUEUE` or `MOVED`).
    pub fn put(&self, out: &mut Vec<u8>, kind: u8, slot: u8) {
        debug_assert_eq!(kind == ADMIT, self.replaces.is_none(), "only an Admit replaces nothing");
        put_record(out, kind, slot, |out| self.fill(out));
    }

    fn fill(&self, out: &mut Vec<u8>) {
        let tries = self.attempts != 0 || self.lost != 0 || self.redirects != 0;
        let flags = [
            (self.referer.is_some(), HAS_REFERER),
            (self.first_url.is_some(), HAS_FIRST_URL),
            (self.extra.is_some(), HAS_EXTRA),
            (self.not_before != Tick(0), HAS_NOT_BEFORE),
            (tries, HAS_TRIES),
            (self.kind == RequestKind::Robots, IS_ROBOTS),
        ];
        out.push(flags.into_iter().filter(|flag| flag.0).map(|flag| flag.1).sum());
        if let Some(addr) = self.replaces {
            put_fixed(out, addr.0);
        }
        put_fixed(out, self.fingerprint.0);
        put_fixed(out, self.domain.0);
        put_u64(out, self.job.0);
        put_i64(out, i64::from(self.priority));
        if self.not_before != Tick(0) {
            put_u64(out, self.not_before.0);
        }
        put_u64(out, u64::from(self.target.0));
        put_u64(out, u64::from(self.depth));
        if tries {
            out.extend_from_slice(&[self.attempts, self.lost, self.redirects]);
        }
        put_u64(out, u64::from(self.domain_range.0));
        put_u64(out, u64::from(self.domain_range.1));
        put_bytes(out, self.url.as_bytes());
        for text in [self.referer, self.first_url].into_iter().flatten() {
            put_bytes(out, text.as_bytes());
        }
        if let Some(extra) = self.extra {
            put_bytes(out, extra);
        }
    }

    /// Reads the body of an `Admit`, `Requeue` or `Moved`.
    pub fn read(body: &'a [u8]) -> Result<Entry<'a>, WireError> {
        let mut entry = Entry::read_head(body)?;
        let reader = &mut entry.1;
        let (flags, mut entry) = (entry.2, entry.0);
        entry.target = TargetId(narrow(reader.u64()?)?);
        entry.depth = narrow(reader.u64()?)?;
        if flags & HAS_TRIES != 0 {
            entry.attempts = reader.u8()?;
            entry.lost = reader.u8()?;
            entry.redirects = reader.u8()?;
        }
        entry.domain_range = (narrow(reader.u64()?)?, narrow(reader.u64()?)?);
        entry.url = reader.str()?;
        if flags & HAS_REFERER != 0 {
            entry.referer = Some(reader.str()?);
        }
        if flags & HAS_FIRST_URL != 0 {
            entry.first_url = Some(reader.str()?);
        }
        if flags & HAS_EXTRA != 0 {
            entry.extra = Some(reader.bytes()?);
        }
        Ok(entry)
    }

    /// Reads what a replay needs: everything before `target`.
    pub(crate) fn read_head(body: &'a [u8]) -> Result<(Entry<'a>, Reader<'a>, u8), WireError> {
        let mut reader = Reader::new(body);
        let kind = reader.u8()?;
        if !(ADMIT..=MOVED).contains(&kind) {
            return Err(WireError { expected: "a record of a queued URL" });
        }
        reader.u8()?;
        let flags = reader.u8()?;
        let replaces = if kind == ADMIT { None } else { Some(Addr(reader.fixed()?)) };
        let entry = Entry {
            replaces,
            fingerprint: Fingerprint(reader.fixed()?),
            domain: DomainKey(reader.fixed()?),
            job: JobId(reader.u64()?),
            priority: i16::try_from(reader.i64()?).map_err(|_| WireError { expected: "a priority" })?,
            not_before: if flags & HAS_NOT_BEFORE != 0 { Tick(reader.u64()?) } else { Tick(0) },
            kind: if flags & IS_ROBOTS != 0 { RequestKind::Robots } else { RequestKind::Page },
            target: TargetId::START,
            depth: 0,
            attempts: 0,
            lost: 0,
            redirects: 0,
            domain_range: (0, 0),
            url: "",
            referer: None,
            first_url: None,
            extra: None,
        };
        Ok((entry, reader, flags))
    }
}

fn narrow<T: TryFrom<u64>>(value: u64) -> Result<T, WireError> {
    T::try_from(value).map_err(|_| WireError { expected: "a smaller number" })
}

/// Appends a `Settle`: the URL of `addr` ended with `verdict`; `None`: fetched, its items are on their way.
pub fn put_settle(out: &mut Vec<u8>, slot: u8, addr: Addr, job: JobId, verdict: Option<Verdict>) {
    put_record(out, SETTLE, slot, |out| {
        put_fixed(out, addr.0);
        put_u64(out, job.0);
        out.push(verdict.map_or(0, verdict_code));
    });
}

fn verdict_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Delivered => 1,
        Verdict::Duplicate => 2,
        Verdict::Redirected => 3,
        Verdict::Abandoned => 4,
        Verdict::Rejected(reason) => 16 + reason as u8,
    }
}

/// Appends a `Refused`.
pub fn put_refused(out: &mut Vec<u8>, slot: u8, fingerprint: Fingerprint, job: JobId) {
    put_record(out, REFUSED, slot, |out| {
        put_fixed(out, fingerprint.0);
        put_u64(out, job.0);
    });
}

/// Appends a `Release`.
pub fn put_release(out: &mut Vec<u8>, slot: u8, domain: DomainKey, release: ReleaseId, not_before: Tick, hit: Tick) {
    put_record(out, RELEASE, slot, |out| {
        put_fixed(out, domain.0);
        put_fixed(out, release.0);
        put_u64(out, not_before.0);
        put_u64(out, hit.0);
    });
}

/// Appends an `Answered`: the hit of a release moves from `before` to `after`; `None`: it was not used.
pub fn put_answered(
    out: &mut Vec<u8>,
    slot: u8,
    domain: DomainKey,
    release: ReleaseId,
    before: Tick,
    after: Option<Tick>,
) {
    put_record(out, ANSWERED, slot, |out| {
        put_fixed(out, domain.0);
        put_fixed(out, release.0);
        put_u64(out, before.0);
        put_u64(out, after.map_or(0, |tick| tick.0));
    });
}

/// Appends a `Close`.
pub fn put_close(out: &mut Vec<u8>, slot: u8, job: JobId) {
    put_record(out, CLOSE, slot, |out| put_u64(out, job.0));
}

/// Appends a `Past`. Names the domain: that it was asked need not be in the journal.
pub fn put_past(out: &mut Vec<u8>, slot: u8, domain: DomainKey, name: &str, past: &Past) {
    put_record(out, PAST, slot, |out| {
        put_fixed(out, domain.0);
        put_bytes(out, name.as_bytes());
        for number in [past.held_until.0, past.free.0, past.last.0, past.step_us, past.burst, past.count] {
            put_u64(out, number);
        }
    });
}

/// Reads a `Past` behind its domain and name.
pub(crate) fn read_past(reader: &mut Reader<'_>) -> Result<Past, WireError> {
    let [held_until, free, last] = [Tick(reader.u64()?), Tick(reader.u64()?), Tick(reader.u64()?)];
    Ok(Past { held_until, free, last, step_us: reader.u64()?, burst: reader.u64()?, count: reader.u64()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_reads_as_it_was_written(
            url in "[a-z:/]{0,300}",
            referer in prop::option::of("[a-z]{0,9}"),
            first_url in prop::option::of("[a-z]{0,9}"),
            extra in prop::option::of(prop::collection::vec(any::<u8>(), 0..20_000)),
            replaces in prop::option::of(any::<u64>()),
            numbers: (u64, u64, u64, i16, u64, u16, u16, u8, u8, u8),
            robots: bool,
        ) {
            let entry = Entry {
                replaces: replaces.map(Addr),
                fingerprint: Fingerprint(numbers.0),
                domain: DomainKey(numbers.1),
                job: JobId(numbers.2),
                priority: numbers.3,
                not_before: Tick(numbers.4),
                kind: if robots { RequestKind::Robots } else { RequestKind::Page },
                target: TargetId(numbers.5),
                depth: numbers.6,
                attempts: numbers.7,
                lost: numbers.8,
                redirects: numbers.9,
                domain_range: (0, url.len() as u32),
                url: &url,
                referer: referer.as_deref(),
                first_url: first_url.as_deref(),
                extra: extra.as_deref(),
            };
            let mut bytes = vec![1, 2, 3];
            entry.put(&mut bytes, if replaces.is_some() { REQUEUE } else { ADMIT }, 9);
            put_close(&mut bytes, 4, JobId(5));
            let (body, rest) = split(&bytes[3..]).unwrap();
            prop_assert_eq!(slot_of_record(body), 9);
            prop_assert_eq!(Entry::read(body), Ok(entry));
            prop_assert_eq!(entry.domain_name(), &url);
            prop_assert_eq!(split(rest).map(|(body, rest)| (body[0], slot_of_record(body), rest.len())), Some((CLOSE, 4, 0)));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, kind in 0u8..12) {
            let mut body = vec![kind, 0];
            body.extend_from_slice(&bytes);
            let _ = Entry::read(&body).map(|entry| (entry.request(), entry.domain_name().len()));
            let _ = read_robots(&mut Reader::new(&bytes));
            let _ = read_counts(&mut Reader::new(&bytes), &mut Counters::default());
            let _ = split(&bytes);
        }
    }
}
