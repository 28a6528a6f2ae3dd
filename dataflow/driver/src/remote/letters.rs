//! A stage's dead letters for those who cannot read its state: pages in the artifact store, and shards that let letters enter again.
//!
//! Decides when pages are written and which letters of a shard can enter. Invariants: pages are a copy of what is durable here, never
//! more, and at the latest the next start makes them whole; a letter that cannot enter stays, and the job says why.

use super::desk::{OpenJob, message_of};
use super::stage::StageDriver;
use crate::exchange::Inward;
use crate::io::Input;
use crate::letter_pages::{page_key, pages_of};
use crate::letters::GONE;
use crate::replay::fit;
use std::collections::BTreeSet;
use std::time::Duration;
use weir_model::json::ShardStart;
use weir_model::{ExtractionNote, JobId, ReceiptId, Tick};

/// Pages are written at most so often: a write costs, and people look.
const SHOW_EVERY: Duration = Duration::from_secs(2);
/// Counter of letters that cannot enter.
const LEFT: &str = "dead_letters/left";

/// What is to be shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub changed: bool,
    at: Tick,
}

impl StageDriver {
    /// At the start: pages of a state that lay here before go, all of this one come.
    pub(super) fn show_all_letters(&mut self) {
        let stage = self.slice.index;
        let pages = self.journal.letter_pages();
        let keys: BTreeSet<String> = pages.iter().map(|(page, _)| page_key(stage, *page)).collect();
        self.outside.keep_only(pages_of(stage), keys);
        for (page, bytes) in pages {
            self.outside.put(page_key(stage, page), bytes);
        }
    }

    /// Writes the pages that changed, when it is time, or `now_or_never`.
    pub(super) fn show_letters(&mut self, now: Tick, now_or_never: bool) {
        if !self.shown.changed || (!now_or_never && now.since(self.shown.at) < SHOW_EVERY) {
            return;
        }
        self.shown = Shown { changed: false, at: now };
        for (page, bytes) in self.journal.letter_pages() {
            let key = page_key(self.slice.index, page);
            match bytes.is_empty() {
                true => self.outside.remove(key),
                false => self.outside.put(key, bytes),
            }
        }
    }

    /// A message for a job that is open, to the engine.
    pub(super) fn feed_inward(&mut self, job: JobId, receipt: ReceiptId, inward: Inward) {
        if let Inward::Shard { shard, start: ShardStart::Range(range), .. } = &inward {
            let OpenJob { header, spider, .. } = &self.jobs[&job];
            let urls = spider.start_urls().len();
            if range.end > urls {
                let why = format!(
                    "shard {shard} of job {}: start URLs {} to {} of {urls} that its spider has here; if no other shard {shard} comes the job \
                     cannot end: weir cancel {}, then enqueue it again with the weir that the stage has",
                    job.0, range.start, range.end, job.0
                );
                tracing::error!("{why}");
                return self.outside.bury(receipt, "requests", message_of(header, self.slice.index, inward), why);
            }
        }
        let inward = match inward {
            Inward::Shard { shard, shards, start: ShardStart::Letters(ids) } => {
                self.letters_of(job, shard, shards, ids)
            }
            other => other,
        };
        self.engine.feed(Input::Inward { receipt, job, inward });
    }

    fn letters_of(&mut self, job: JobId, shard: u32, shards: u32, ids: Vec<u64>) -> Inward {
        let wanted = ids.len();
        let found = self.journal.find_letters(ids).unwrap_or_else(|error| {
            self.failure.get_or_insert(error);
            Vec::new()
        });
        let note = |counter: &str, count: usize, example: String| ExtractionNote {
            counter: counter.into(),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            example: example.into(),
        };
        let mut notes = Vec::new();
        if found.len() < wanted {
            let example = format!("{} of stage {}", wanted - found.len(), self.slice.index);
            notes.push(note(GONE, wanted - found.len(), example));
        }
        let open = &self.jobs[&job];
        let sinks = open.ids();
        let mut letters = Vec::with_capacity(found.len());
        for kept in &found {
            match fit(&open.spider, kept, &sinks) {
                Ok(letter) => letters.push(letter),
                Err(why) => {
                    tracing::warn!(job = job.0, "stays among the dead letters: {why}");
                    notes.push(note(LEFT, 1, why));
                }
            }
        }
        Inward::Letters { shard, shards, letters, notes }
    }
}
