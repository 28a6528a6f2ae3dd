//! Dead letters as the engine sees them: what became poison gets a number and a record in the group that settles it.
//!
//! Decides which letters are kept (a bound in bytes; what is beyond it is counted) and when one is gone. Knows no file: what is
//! durable leaves as `Action::Letters`, and a restart has everything since the last snapshot in `take_letters`. Invariants: a letter and the
//! end of what it is about are in one group, so neither is there without the other; a number is never used twice; a letter that is
//! replayed is gone in the group in which its item or request enters again.

use crate::engine::Engine;
use crate::record::{self, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use weir_frontier::{Offer, OfferSource};
use weir_model::{Item, JobId, LinkBatch, Reason, ReleaseId, Request, SinkId, Tick, UnixMs};
use weir_stage::{Again, Event, Poison};

/// Counter of the letters that found no room.
pub(crate) const BEYOND: &str = "dead_letters/beyond";
/// Counter of the letters that were to enter again and are not there any more.
pub(crate) const GONE: &str = "dead_letters/gone";

/// An item or request that went wrong for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Its number in the state.
    pub id: u64,
    /// The job.
    pub job: JobId,
    /// When.
    pub at_ms: UnixMs,
    /// Why, as a person reads it.
    pub reason: String,
    /// What.
    pub content: Content,
}

/// What a letter is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A sink refused it.
    Item {
        /// The sink's number in the state.
        sink: SinkId,
        /// The item, its values with their types.
        item: Item,
    },
    /// A computation failed on it.
    Uncomputed {
        /// The computation's name.
        by: String,
        /// The item as it came to it.
        item: Item,
    },
    /// It was given up.
    Request {
        /// Its verdict.
        verdict: Reason,
        /// The name of its target in the spider: numbers change with the file.
        target: String,
        /// As it was last made.
        request: Request,
    },
}

impl Content {
    /// Its URL, or the item's id.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Content::Item { item, .. } | Content::Uncomputed { item, .. } => item.id.to_hex(),
            Content::Request { request, .. } => request.url.to_string(),
        }
    }
}

/// A change of the dead letters that is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum LetterOp {
    /// A new one.
    Kept(Box<Letter>),
    /// Entered again.
    Gone(u64),
    /// So many found no room, of all jobs.
    Beyond(u64),
}

/// What the engine keeps in memory of the letters that are there.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    last: u64,
    /// Bytes by number.
    live: BTreeMap<u64, u32>,
    bytes: u64,
    beyond: u64,
    /// Pages that replayed items stand for.
    pages: u64,
    /// Of a replay of the journal.
    recovered: Vec<LetterOp>,
}

impl Letters {
    fn enter(&mut self, id: u64, bytes: usize) {
        self.last = self.last.max(id);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if self.live.insert(id, bytes).is_none() {
            self.bytes += u64::from(bytes);
        }
    }

    fn leave(&mut self, id: u64) {
        if let Some(bytes) = self.live.remove(&id) {
            self.bytes -= u64::from(bytes);
        }
    }
}

/// Numbers of releases count up from zero, those of replayed items down from the end: 38 bits, six below for the slot.
const PAGES: u64 = 1 << 38;

impl Engine {
    /// Keeps what a step found to be poison.
    pub(crate) fn bury(&mut self, now: Tick, poison: Vec<Poison>) {
        for poison in poison {
            let (job, reason, content) = match poison {
                Poison::Item { sink, item, reason } => {
                    (item.job, String::from(reason), Content::Item { sink, item: Item::clone(&item) })
                }
                Poison::Uncomputed { by, item, reason } => {
                    let content = Content::Uncomputed { by: by.into(), item: Item::clone(&item) };
                    (item.job, String::from(reason), content)
                }
                Poison::Request(dead) => {
                    let run = self.jobs.get(&dead.job);
                    let target = run.and_then(|run| run.spec.targets.get(usize::from(dead.request.target.0)));
                    let (target, request) = (target.cloned().unwrap_or_default(), dead.request);
                    (dead.job, dead.detail.into(), Content::Request { verdict: dead.reason, target, request })
                }
            };
            let letter = Letter { id: self.letters.last + 1, job, at_ms: now.unix_ms(), reason, content };
            let body = serde_json::to_vec(&letter).expect("a letter is plain data with text keys");
            if self.letters.bytes + body.len() as u64 > self.config.letter_bytes_max {
                let example = letter.content.name();
                self.letters.beyond += 1;
                self.note(job, BEYOND, 1, &example);
                self.write_own(now, &Record::Note { job, counter: BEYOND.to_owned(), count: 1, example });
                let beyond = self.letters.beyond;
                self.write_own(now, &Record::LettersBeyond { job, count: beyond });
                self.group.held.letters.push(LetterOp::Beyond(beyond));
                continue;
            }
            self.letters.enter(letter.id, body.len());
            self.write_own(now, &Record::Letter { job, id: letter.id, body });
            self.group.held.letters.push(LetterOp::Kept(Box::new(letter)));
        }
    }

    /// Lets letters enter `job` again, which is open: their items with a new way to the sinks that refused them, their requests by
    /// the door of every URL, with a fresh budget of attempts. The letters are gone in the same group.
    pub fn replay_letters(&mut self, now: Tick, job: JobId, letters: Vec<Letter>) {
        let events = self.letters_again(now, job, letters);
        let count = events.len();
        let step = self.stage.step(now, events, 0);
        self.apply(now, step, count);
    }

    /// What a step needs for that. A letter that is gone meanwhile is gone: it enters once.
    pub(crate) fn letters_again(&mut self, now: Tick, job: JobId, letters: Vec<Letter>) -> Vec<Event> {
        let mut events = Vec::new();
        for letter in letters {
            if !self.letters.live.contains_key(&letter.id) {
                continue;
            }
            self.write_own(now, &Record::LetterGone { job, id: letter.id });
            self.group.held.letters.push(LetterOp::Gone(letter.id));
            self.letters.leave(letter.id);
            events.push(match letter.content {
                Content::Item { sink, item } => {
                    let (page, item) = (self.page_of_none(), Item { job, ..item });
                    Event::Again(Box::new(Again { page, item, sinks: 1 << sink.0, computes: false }))
                }
                Content::Uncomputed { item, .. } => {
                    let (page, item) = (self.page_of_none(), Item { job, ..item });
                    Event::Again(Box::new(Again { page, item, sinks: u32::MAX, computes: true }))
                }
                Content::Request { target, request, .. } => {
                    let run = self.jobs.get(&job);
                    let known = run.and_then(|run| run.spec.targets.iter().position(|name| *name == target));
                    let target =
                        known.and_then(|at| u16::try_from(at).ok()).map_or(request.target, weir_model::TargetId);
                    let mut links = LinkBatch::default();
                    links.push_extra(&request.url, target, request.priority, request.extra);
                    let referer = request.referer.as_deref().map(Into::into);
                    Event::Offer(Offer { job, referer, source: OfferSource::Start, links, ..Offer::default() })
                }
            });
        }
        events
    }

    /// How many there are, and how many found no room.
    #[must_use]
    pub fn letter_counts(&self) -> (u64, u64) {
        (self.letters.live.len() as u64, self.letters.beyond)
    }

    /// A number that no page has: that of the page which an item stands for that enters again.
    pub(crate) fn page_of_none(&mut self) -> ReleaseId {
        self.letters.pages += 1;
        let (number, slot) = (PAGES - self.letters.pages, self.letters.pages % u64::from(weir_frontier::SLOTS));
        ReleaseId((u64::from(self.config.boot) << 44) | (number << 6) | slot)
    }

    pub(crate) fn recover_letter(&mut self, record: Record) {
        match record {
            Record::Letter { id, body, .. } => {
                self.letters.enter(id, body.len());
                // Written here and checksummed by the journal; what an older format had is not told again.
                if let Ok(letter) = serde_json::from_slice(&body) {
                    self.letters.recovered.push(LetterOp::Kept(Box::new(letter)));
                }
            }
            Record::LetterGone { id, .. } => {
                self.letters.leave(id);
                self.letters.recovered.push(LetterOp::Gone(id));
            }
            Record::LettersBeyond { count, .. } => {
                self.letters.beyond = count;
                self.letters.recovered.push(LetterOp::Beyond(count));
            }
            Record::LetterKept { id, bytes, .. } => self.letters.enter(id, bytes as usize),
            Record::LetterLast { id, .. } => self.letters.last = self.letters.last.max(id),
            _ => {}
        }
    }

    /// After recovery: everything that the journal says since the last snapshot. A crash may have come between it and the file.
    pub fn take_letters(&mut self) -> Vec<LetterOp> {
        std::mem::take(&mut self.letters.recovered)
    }

    /// What a snapshot says of the letters: the file has their bytes.
    pub(crate) fn snapshot_letters(&self, out: &mut Vec<u8>) {
        let job = JobId(0);
        if self.letters.last == 0 && self.letters.beyond == 0 {
            return;
        }
        record::nested(out, &Record::LetterLast { job, id: self.letters.last });
        record::nested(out, &Record::LettersBeyond { job, count: self.letters.beyond });
        for (id, bytes) in &self.letters.live {
            record::nested(out, &Record::LetterKept { job, id: *id, bytes: u64::from(*bytes) });
        }
    }
}
