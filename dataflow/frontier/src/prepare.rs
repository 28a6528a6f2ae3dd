//! From URLs as found to candidates for their owners: canonical form, fingerprint, scope, depth, encoded record.
//!
//! Decides what needs no state, on whichever worker found the URLs. Nothing is allocated a URL once the buffers have grown.
//!
//! Invariant: each offered URL is in one batch, counted with a verdict, or handed to the stage that owns its domain.

use crate::SLOTS;
use crate::counters::{Counters, JobCounts};
use crate::job::{JobTable, Prepared};
use crate::offer::{Candidate, CandidateBatch, Offer, OfferSource, slot_of};
use crate::out::LogLine;
use crate::record::{ADMIT, Entry};
use crate::scope::ScopeVerdict;
use crate::slice::Slice;
use crate::url::{self, admit_form};
use weir_model::{Fingerprint, Link, LinkBatch, Reason, RequestKind, Tick, Verdict};

/// A batch is closed at this many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// Stages there may be.
const MAX_STAGES: usize = 64;

/// Raw URLs remembered: half a MiB.
const RECENT: usize = 1 << 16;

/// Memory of one worker's `prepare`.
#[derive(Debug)]
pub struct Scratch {
    url: url::Scratch,
    first_url: url::Scratch,
    /// Hashes of raw URLs that went into a batch lately: links that every page of a site repeats are known here by one look.
    recent: Vec<u64>,
    /// Where in the list of batches each slot's open one is.
    open: [usize; SLOTS as usize],
    spare: Vec<CandidateBatch>,
    /// Lines of the crawl log, when it is on.
    pub log: Vec<LogLine>,
    log_on: bool,
    slice: Slice,
    /// URLs of other stages, by stage, as they were offered here.
    pub elsewhere: Vec<Elsewhere>,
}

/// URLs that another stage owns.
#[derive(Clone, Debug, PartialEq)]
pub struct Elsewhere {
    /// Which.
    pub to: u32,
    /// What it is to be offered.
    pub offer: Offer,
}

impl Scratch {
    /// Fresh memory of the only stage; `log`: fill `log`.
    #[must_use]
    pub fn new(log: bool) -> Scratch {
        Scratch::of_slice(log, Slice::ALL)
    }

    /// Fresh memory of one stage of several.
    #[must_use]
    pub fn of_slice(log: bool, slice: Slice) -> Scratch {
        Scratch {
            url: url::Scratch::new(),
            first_url: url::Scratch::new(),
            recent: vec![0; RECENT],
            open: [usize::MAX; SLOTS as usize],
            spare: Vec::new(),
            log: Vec::new(),
            log_on: log,
            slice,
            elsewhere: Vec::new(),
        }
    }

    /// Takes an admitted batch's memory back.
    pub fn recycle(&mut self, mut batch: CandidateBatch) {
        if self.spare.len() < usize::from(SLOTS) {
            batch.bytes.clear();
            batch.entries.clear();
            self.spare.push(batch);
        }
    }

    fn log(&mut self, reason: Reason, url: &str) {
        if self.log_on {
            let detail = match reason {
                Reason::OffsiteRedirect => "(a redirect out of allowed_domains)",
                Reason::BadRedirect => "(a redirect to no http or https URL)",
                _ => "",
            };
            self.log.push(LogLine::Rejected { reason, url: url.into(), detail: detail.into() });
        }
    }
}

/// Prepares the URLs of an offer: appended to the open batches of their slots in `out`, counted with a verdict, or left in
/// `Scratch::elsewhere` for the stage that owns their domain.
pub fn prepare(
    offer: &Offer,
    jobs: &JobTable,
    scratch: &mut Scratch,
    out: &mut Vec<CandidateBatch>,
    counters: &mut Counters,
) {
    let counts = counters.job(offer.job);
    if offer.kind == RequestKind::Page {
        counts.offered += offer.links.len() as u64;
    }
    let Some(job) = jobs.prepared(offer.job) else {
        counts.abandoned += offer.links.len() as u64;
        return;
    };
    let too_deep = job.spec.depth_max.is_some_and(|max| offer.depth > max);
    for (raw, link) in offer.links.iter() {
        if too_deep {
            reject(Reason::TooDeep, raw, scratch, counts);
            continue;
        }
        // Redirects are judged by where they come from as well, so they are never known by their URL alone.
        let plain = link.extra.is_none() && offer.source != OfferSource::Redirect && offer.kind == RequestKind::Page;
        let raw_hash = if plain { job.seed(link.target).of_get(raw.as_bytes()).0 } else { 0 };
        let place = raw_hash as usize % RECENT;
        if plain && scratch.recent[place] == raw_hash {
            counts.verdict(Verdict::Duplicate);
            continue;
        }
        match encode(offer, job, raw, link, scratch, out) {
            Ok(owner) => {
                if plain {
                    scratch.recent[place] = raw_hash;
                }
                if let Some(owner) = owner {
                    // Its owner counts it.
                    counts.offered -= 1;
                    hand_on(offer, owner, raw, link, &mut scratch.elsewhere);
                }
            }
            Err(reason) => reject(reason, raw, scratch, counts),
        }
    }
}

/// Puts a URL to those of the same offer for the same stage.
fn hand_on(offer: &Offer, to: u32, raw: &str, link: &Link, elsewhere: &mut Vec<Elsewhere>) {
    let same = |other: &Elsewhere| {
        let (one, two) = (&other.offer, offer);
        other.to == to
            && (one.job, one.depth, one.redirects, one.kind, one.source)
                == (two.job, two.depth, two.redirects, two.kind, two.source)
            && one.referer == two.referer
            && one.first_url == two.first_url
    };
    // An offer's own URLs come one after the other, so its parcels are the last ones: one a stage.
    let at = elsewhere.iter().rev().take(MAX_STAGES).position(same).map(|back| elsewhere.len() - 1 - back);
    let at = at.unwrap_or_else(|| {
        elsewhere.push(Elsewhere { to, offer: Offer { links: LinkBatch::default(), ..offer.clone() } });
        elsewhere.len() - 1
    });
    elsewhere[at].offer.links.push_extra(raw, link.target, link.priority, link.extra.clone());
}

fn reject(reason: Reason, raw: &str, scratch: &mut Scratch, counts: &mut JobCounts) {
    counts.verdict(Verdict::Rejected(reason));
    scratch.log(reason, raw);
}

/// Gives the stage that owns the URL when that is another one.
fn encode(
    offer: &Offer,
    job: &Prepared,
    raw: &str,
    link: &Link,
    scratch: &mut Scratch,
    out: &mut Vec<CandidateBatch>,
) -> Result<Option<u32>, Reason> {
    let redirect = offer.source == OfferSource::Redirect;
    let page = offer.kind == RequestKind::Page;
    let Scratch { url, first_url, open, spare, slice, .. } = scratch;
    let admitted = admit_form(raw, url).map_err(|_| if redirect { Reason::BadRedirect } else { Reason::BadUrl })?;
    // What the operator asked for by name is in scope, as in Scrapy.
    let free = offer.source == OfferSource::Start || !page;
    if !free && job.scope.check(admitted.scheme(), admitted.host()) != ScopeVerdict::Inside {
        return Err(if redirect { Reason::OffsiteRedirect } else { Reason::Offsite });
    }
    let seed = job.seed(link.target);
    let fingerprint_of = |canonical: &[u8]| -> Fingerprint {
        match &link.extra {
            None => seed.of_get(canonical),
            Some(extra) => seed.of(extra.method.as_str(), canonical, extra.body.as_deref().unwrap_or_default()),
        }
    };
    let fingerprint = fingerprint_of(admitted.canonical());
    if redirect && page {
        let first = offer.first_url.as_deref().and_then(|first| admit_form(first, first_url).ok());
        let loops = first.is_some_and(|first| fingerprint_of(first.canonical()) == fingerprint);
        if loops || offer.redirects > job.spec.redirects_max {
            return Err(Reason::TooManyRedirects);
        }
    }
    let domain = admitted.domain_key();
    // A robots.txt to which one of our domains redirects is asked by us: its answer belongs here.
    let owner = slice.owner(domain);
    if owner != slice.index && page {
        return Ok(Some(owner));
    }
    let slot = slot_of(domain);
    let extra = link.extra.as_ref().map(|extra| serde_json::to_vec(extra).expect("a link's extra is plain data"));
    let range = admitted.domain_range();
    let entry = Entry {
        replaces: None,
        fingerprint,
        domain,
        job: offer.job,
        priority: if page { link.priority } else { i16::MAX },
        not_before: Tick(0),
        kind: offer.kind,
        target: link.target,
        depth: offer.depth,
        attempts: 0,
        lost: 0,
        redirects: offer.redirects,
        domain_range: (range.start as u32, range.end as u32),
        url: admitted.fetch(),
        referer: offer.referer.as_deref(),
        first_url: offer.first_url.as_deref(),
        extra: extra.as_deref(),
    };
    let batch = batch_of(slot, offer, open, spare, out);
    entry.put(&mut batch.bytes, ADMIT, slot);
    batch.entries.push(Candidate {
        fingerprint,
        domain,
        end: batch.bytes.len() as u32,
        priority: entry.priority,
        always: !page,
    });
    Ok(None)
}

fn batch_of<'a>(
    slot: u8,
    offer: &Offer,
    open: &mut [usize; SLOTS as usize],
    spare: &mut Vec<CandidateBatch>,
    out: &'a mut Vec<CandidateBatch>,
) -> &'a mut CandidateBatch {
    let at = open[usize::from(slot)];
    let fits = out
        .get(at)
        .is_some_and(|batch| batch.slot == slot && batch.job == offer.job && batch.bytes.len() < BATCH_BYTES);
    let at = if fits { at } else { out.len() };
    if !fits {
        let mut batch = spare.pop().unwrap_or_default();
        batch.slot = slot;
        batch.job = offer.job;
        out.push(batch);
        open[usize::from(slot)] = at;
    }
    &mut out[at]
}
