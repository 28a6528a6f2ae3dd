//! The proof of what went well: a job's URLs and items counted, its sinks read back and compared with what the state knows.
//!
//! Decides what is a difference, by name; changes neither the state's records nor a sink. A crawl that ended holds when every
//! URL has one verdict and every item of it, in its newest version, is in every required sink with the content that the state
//! knows. Explained, and no difference: an item that a sink refused and that is a dead letter. Items that a later job has found
//! again are that job's. What a sink that is not required lacks is told and does not count.

use crate::clock::SystemClock;
use crate::document::JobEntry;
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::letters::{self, Content};
use crate::state::State;
use crate::stored::{self, content_of};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use weir_connector::{JobInfo, Sink, SinkKind, StoredItem, read};
use weir_model::{JobId, Outcome};
use weir_stage::item_of_record;
use weir_store::Replayed;

/// What is audited.
pub struct AuditOptions {
    /// The state directory.
    pub state: PathBuf,
    /// The job's number.
    pub job: u64,
    /// Its sinks, as far as they are at hand.
    pub sinks: Vec<Box<dyn Sink>>,
}

/// What an audit found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Audit {
    /// The job.
    pub job: u64,
    /// Its spider.
    pub spider: String,
    /// How it ended; `None`: it is unfinished.
    pub outcome: Option<Outcome>,
    /// URLs offered.
    pub urls: u64,
    /// URLs with a verdict.
    pub verdicts: u64,
    /// Items that left its pages.
    pub scraped: u64,
    /// Items whose newest version is the job's.
    pub items: u64,
    /// Each sink of the job.
    pub sinks: Vec<SinkAudit>,
    /// Everything holds.
    pub holds: bool,
    /// What does not hold beside the sinks, as sentences.
    pub complaints: Vec<String>,
}

/// What an audit found in one sink.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SinkAudit {
    /// Its name.
    pub name: String,
    /// The crawl waits for it.
    pub required: bool,
    /// Rows there, whoever wrote them.
    pub rows: u64,
    /// Items of the job that are there as they should be.
    pub same: u64,
    /// Of these, items whose values do not tell whether they were altered: compared by the hash that is stored with them.
    pub unsure: u64,
    /// Items of the job that it refused: they are dead letters.
    pub refused: u64,
    /// Why it could not be compared.
    pub failed: Option<String>,
    /// What is different, by name.
    pub differences: Vec<Difference>,
}

/// One item that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// `missing`, `altered` (its values are not those it was written with), `other_version`, `doubled`.
    pub kind: &'static str,
    /// Its key's values, where any sink or the journal knows them.
    pub name: Option<String>,
    /// Its identity, as sinks store it.
    pub id: String,
}

/// Audits a job. Takes the state's lease: not while a crawl runs on it.
pub fn audit(options: AuditOptions) -> Result<Audit, CrawlError> {
    let clock = SystemClock::start();
    let mut state = State::open(&options.state, &clock)?;
    let entry = match stored::job_of(&state.document, options.job, &options.state) {
        Ok(entry) => entry,
        Err(error) => {
            state.close()?;
            return Err(error);
        }
    };
    let mut engine = stored::engine_of(&mut state, &clock)?;
    state.letters.append(&engine.take_letters(), &state.document)?;
    let mut auditor = Auditor::new(&state, &engine, entry);
    for sink in options.sinks {
        auditor.compare(sink, &state)?;
    }
    auditor.complain_of_absent(&state);
    auditor.name_what_is_missing(&mut state)?;
    let audit = auditor.end();
    state.close()?;
    Ok(audit)
}

/// An item of the job: its content.
#[derive(Clone, Copy, Debug)]
struct Expected {
    hash: u64,
    /// A backfill found its location later: the job's feeds have it as it left its page.
    filled: bool,
}

struct Auditor {
    audit: Audit,
    entry: JobEntry,
    info: JobInfo,
    expected: HashMap<u128, Expected>,
    names: BTreeMap<u128, String>,
    /// Numbers of the sinks that were at hand.
    compared: Vec<u8>,
    /// Letters of the job that found no room.
    beyond: u64,
}

impl Auditor {
    fn new(state: &State, engine: &Engine, entry: JobEntry) -> Auditor {
        let job = JobId(entry.id);
        let figures = engine.figures(job);
        let mut expected = HashMap::new();
        stored::each_of_job(engine, &state.document, &entry, &mut |known| {
            expected.insert(known.id.0, Expected { hash: known.hash, filled: known.job != job });
        });
        let audit = Audit {
            job: entry.id,
            spider: entry.spider.clone(),
            outcome: entry.outcome,
            urls: figures.urls.offered,
            verdicts: figures.urls.verdicts(),
            scraped: figures.items.scraped,
            items: expected.len() as u64,
            ..Audit::default()
        };
        let info = stored::info_of(&state.document, &entry);
        let beyond = figures.notes.get(letters::BEYOND).map_or(0, |(count, _)| *count);
        let mut auditor =
            Auditor { audit, entry, info, expected, names: BTreeMap::new(), compared: Vec::new(), beyond };
        auditor.complain_of_urls();
        auditor
    }

    fn complain_of_urls(&mut self) {
        let Audit { urls, verdicts, outcome, .. } = self.audit;
        if outcome.is_none() {
            self.audit.complaints.push(format!(
                "the job is unfinished: {} of its {urls} URLs so far have no verdict; go on with it first",
                urls.saturating_sub(verdicts)
            ));
        } else if urls != verdicts {
            self.audit.complaints.push(format!("{urls} URLs and {verdicts} verdicts: expected one verdict a URL"));
        }
        // A spider may have no item types, and a job no items.
        if self.info.schemas.is_empty() && self.audit.scraped > 0 {
            self.audit
                .complaints
                .push("the state does not say what item types the job had: an older weir made it".into());
        }
    }

    /// Reads a sink back.
    fn compare(&mut self, mut sink: Box<dyn Sink>, state: &State) -> Result<(), CrawlError> {
        let name = sink.describe().url;
        let Some(number) = stored::number_of(&state.document, &self.entry, &name) else { return Ok(()) };
        self.compared.push(number);
        let is_keyed = sink.describe().kind == SinkKind::Keyed;
        let mut found = SinkAudit { name, required: !self.entry.best_effort.contains(&number), ..SinkAudit::default() };
        let refused = refused(state, number, &self.expected);
        let mut seen: HashMap<u128, u32> = HashMap::with_capacity(self.expected.len());
        let (expected, schemas, names) = (&self.expected, &self.info.schemas, &mut self.names);
        let mut unknown = 0u64;
        let mut take = |stored: StoredItem| {
            found.rows += 1;
            let Some(schema) = schemas.get(usize::from(stored.schema)) else { return };
            let content = content_of(schema, &stored);
            let known = || content.ids.iter().copied().find(|id| expected.contains_key(id));
            let Some(id) = stored.id.map(|id| id.0).or_else(known) else {
                // Another job's, or one that cannot be told from it.
                unknown += u64::from(content.ids.is_empty());
                return;
            };
            let Some(meant) = expected.get(&id) else { return };
            let times = seen.entry(id).or_insert(0);
            *times += 1;
            let kind = if *times > 1 && is_keyed {
                Some("doubled")
            } else if stored.hash.is_some_and(|hash| hash != meant.hash) {
                Some("other_version")
            } else if meant.filled && !is_keyed {
                found.unsure += 1;
                found.same += 1;
                *times |= SAME;
                None
            } else if content.hashes.as_ref().is_some_and(|hashes| !hashes.contains(&meant.hash)) {
                // A feed also holds the versions that a newer one of the same job took over from.
                if is_keyed { Some("altered") } else { None }
            } else {
                if content.hashes.is_none() {
                    found.unsure += 1;
                }
                if !is_keyed {
                    *times |= SAME;
                }
                found.same += 1;
                None
            };
            if let Some(kind) = kind {
                let name = stored.name(schema);
                found.differences.push(Difference { kind, name, id: format!("{id:032x}") });
            } else if let Some(name) = stored.name(schema) {
                // Names are for what another sink lacks; a bound keeps a great crawl from being held in memory.
                if names.len() < NAMES_MAX {
                    names.insert(id, name);
                }
            }
        };
        if let Err(error) = stored::read_back(&mut *sink, &self.info, &mut take)? {
            found.failed = Some(error.to_string());
        } else {
            for (id, meant) in &self.expected {
                let kind = match seen.get(id) {
                    Some(times) if is_keyed || times & SAME != 0 => continue,
                    Some(_) => "altered",
                    None if refused.contains(&(*id, meant.hash)) => {
                        found.refused += 1;
                        continue;
                    }
                    None => "missing",
                };
                let name = self.names.get(id).cloned();
                found.differences.push(Difference { kind, name, id: format!("{id:032x}") });
            }
            let missing = |difference: &Difference| difference.kind == "missing";
            let lacking = found.differences.iter().filter(|difference| missing(difference)).count() as u64;
            if lacking > 0 && unknown >= lacking {
                // They may be those: nothing is said of them that is not known.
                found.differences.retain(|difference| !missing(difference));
                found.failed = Some(format!(
                    "not proved: {unknown} rows have no key, and do not say which of {lacking} items they are"
                ));
            }
            if !is_keyed {
                self.count_rows(&mut found, state, number);
            }
        }
        found.differences.sort();
        self.audit.sinks.push(found);
        Ok(())
    }

    /// A feed holds every item that the job scraped, no more and no less, but for those that it or a computation refused; unless other
    /// jobs write to the same file.
    fn count_rows(&self, found: &mut SinkAudit, state: &State, number: u8) {
        let shared = state.document.jobs.iter().any(|job| job.id != self.entry.id && job.sinks.contains(&number));
        let refused = state.letters.known().letters.values().filter(|kept| {
            let here = match kept.letter.content {
                Content::Item { sink, .. } => sink.0 == number,
                // It came to no sink.
                Content::Uncomputed { .. } => true,
                Content::Request { .. } => false,
            };
            here && kept.letter.job.0 == self.entry.id
        });
        let meant = self.audit.scraped.saturating_sub(refused.count() as u64);
        // Of a letter that found no room nobody knows any more what it was about.
        let least = meant.saturating_sub(self.beyond);
        if !shared && !(least..=meant).contains(&found.rows) && self.entry.outcome.is_some() {
            found.failed = Some(format!(
                "{} rows, expected {meant}: one for each item that left a page and was not refused",
                found.rows
            ));
        }
    }

    /// A required sink that is not at hand is not proved.
    fn complain_of_absent(&mut self, state: &State) {
        for number in &self.entry.sinks {
            let Some(name) = state.document.place(&self.entry, *number) else { continue };
            if !self.compared.contains(number) {
                self.audit.sinks.push(SinkAudit {
                    name: name.to_owned(),
                    required: !self.entry.best_effort.contains(number),
                    failed: Some("it was not named: add it with -o".to_owned()),
                    ..SinkAudit::default()
                });
            }
        }
    }

    /// What one sink lacks another may name, or the journal as far as it reaches back.
    fn name_what_is_missing(&mut self, state: &mut State) -> Result<(), CrawlError> {
        let unnamed = |found: &SinkAudit| -> Vec<u128> {
            let ids = found.differences.iter().filter(|difference| difference.name.is_none());
            ids.filter_map(|difference| u128::from_str_radix(&difference.id, 16).ok()).collect()
        };
        let mut wanted: BTreeSet<u128> = self.audit.sinks.iter().flat_map(unnamed).collect();
        wanted.retain(|id| !self.names.contains_key(id));
        if !wanted.is_empty() {
            let (schemas, names, job) = (&self.info.schemas, &mut self.names, self.info.job);
            state.recovery.for_each(&mut |event| {
                if let Replayed::Record { bytes, .. } = event
                    && let Some(item) = item_of_record(bytes)
                    && item.job == job
                    && wanted.contains(&item.id.0)
                    && let Some(name) =
                        schemas.get(usize::from(item.schema)).and_then(|schema| read::name_of(schema, &item))
                {
                    names.insert(item.id.0, name);
                }
                Ok(())
            })?;
        }
        for difference in self.audit.sinks.iter_mut().flat_map(|found| &mut found.differences) {
            if difference.name.is_none() {
                difference.name =
                    u128::from_str_radix(&difference.id, 16).ok().and_then(|id| self.names.get(&id)).cloned();
            }
        }
        Ok(())
    }

    fn end(mut self) -> Audit {
        let sinks = self.audit.sinks.iter().filter(|found| found.required);
        self.audit.holds = self.audit.complaints.is_empty()
            && sinks.into_iter().all(|found| found.failed.is_none() && found.differences.is_empty());
        self.audit
    }
}

/// Marks, among the times that an item was met in a feed, that one of them was as it should be.
const SAME: u32 = 1 << 31;

/// Names kept, at most: about 100 MB.
const NAMES_MAX: usize = 1_000_000;

/// Items that the sink refused, in the version that is the newest.
fn refused(state: &State, sink: u8, expected: &HashMap<u128, Expected>) -> BTreeSet<(u128, u64)> {
    let letters = state.letters.known().letters.values();
    let refused = letters.filter_map(|kept| match &kept.letter.content {
        Content::Item { sink: of, item } if of.0 == sink => Some((item.id.0, item.hash)),
        _ => None,
    });
    refused.filter(|(id, _)| expected.contains_key(id)).collect()
}
