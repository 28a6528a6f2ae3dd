//! Which jobs and sinks a state knows: one document, and how a job is chosen or begun.
//!
//! Decides whether a command goes on with a job or begins one. No I/O. Invariants: numbers of jobs and sinks are never used again; a job keeps
//! the sinks that were opened for it.

use crate::error::CrawlError;
use crate::remote::JobPart;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use weir_connector::identity;
use weir_model::json::JobHeader;
use weir_model::{ItemSchema, JobId, Outcome, SinkId, Tick, UnixMs};

/// Sinks of one state: a bit each.
const SINKS_MAX: usize = 32;

/// What a state directory holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Format of this document.
    pub version: u32,
    /// Id of the state, 32 hexadecimal digits: with a job's number unique everywhere.
    pub state: String,
    /// How often the state was opened.
    pub boot: u32,
    /// Number of the last job.
    pub last_job: u64,
    /// Sinks, by number.
    pub sinks: Vec<SinkEntry>,
    /// Jobs, oldest first.
    pub jobs: Vec<JobEntry>,
    /// What makes it the state of a stage with queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageDocument>,
}

/// The part of a stage's state that says which stage it is and which jobs it knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageDocument {
    /// The deployment.
    pub stack: String,
    /// Which stage.
    pub index: u32,
    /// Of how many.
    pub of: u32,
    /// Jobs, in the order in which they came.
    pub jobs: Vec<StageJob>,
    /// Of how many it was before the number of stages changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<u32>,
    /// Stages of that number whose exports are still to be imported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaits: Vec<u32>,
    /// Exports that were imported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imported: Vec<String>,
    /// What was exported still lies in the journal: the next start takes a snapshot without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unswept: bool,
}

/// A job of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageJob {
    /// Its number.
    pub id: JobId,
    /// What its messages carry. `None`: it ended before one came.
    pub header: Option<JobHeader>,
    /// Its spider file, while it runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub spider: String,
    /// Numbers of its sinks.
    pub sinks: Vec<u8>,
    /// When it was opened here.
    pub opened_at: UnixMs,
    /// How it ended; `None` while it is unfinished.
    pub outcome: Option<Outcome>,
    /// Of its end; `None` when everybody has heard of it, and while it is unfinished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untold: Option<Box<Untold>>,
}

/// What of a job's end is not known to be told yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Untold {
    /// The last part, for the artifact store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<JobPart>,
    /// Stages that go on with the job until they hear of its end.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub stages: BTreeSet<u32>,
}

/// A sink that this state has written to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinkEntry {
    /// Its name: the redacted URL with which it was opened last, before names of jobs were filled in.
    pub name: String,
    /// Its generation mark when it was last opened.
    pub generation: u64,
}

/// A job of this state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobEntry {
    /// Its number.
    pub id: u64,
    /// The spider's name.
    pub spider: String,
    /// Its arguments.
    pub args: BTreeMap<String, String>,
    /// Hash of the spider file and arguments, hexadecimal.
    pub spider_hash: String,
    /// Sinks, by number, in the order of the command line.
    pub sinks: Vec<u8>,
    /// When it began, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub started: UnixMs,
    /// How it ended; `None` while it is unfinished.
    pub outcome: Option<Outcome>,
    /// It lets dead letters enter again, and has no start URLs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replays: bool,
    /// It looks up what items of this job lack, and has no start URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfills: Option<u64>,
    /// Those of its sinks that are not required.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub best_effort: Vec<u8>,
    /// URLs of those of its sinks that have another name in the state: each job has a place of its own there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<u8, String>,
    /// The spider file, and the folder that the command was given in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<MadeBy>,
    /// Its item types, in the order of `Item::schema`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<ItemSchema>,
    /// When it began, in microseconds since 1970; 0: not known.
    #[serde(default)]
    pub began_us: u64,
    /// Not all of its sinks were ever opened: nothing is written yet, and it may still be given others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unopened: bool,
}

/// How a job was begun: what a command needs to do something for it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MadeBy {
    /// The spider file, absolute.
    pub spider_file: String,
    /// The folder in which relative names of sinks are meant.
    pub folder: String,
    /// Sinks as they were named, without secrets.
    pub outputs: Vec<String>,
}

/// What a job is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The spider's name.
    pub spider: String,
    /// Its arguments.
    pub args: BTreeMap<String, String>,
    /// Hash of file and arguments.
    pub spider_hash: u64,
    /// Names of the sinks.
    pub sinks: Vec<String>,
    /// Those of them that are not required.
    pub best_effort: Vec<String>,
    /// It lets dead letters enter again.
    pub replays: bool,
    /// It looks up what items of this job lack.
    pub backfills: Option<u64>,
    /// How it is begun.
    pub made_by: Option<MadeBy>,
    /// Its item types.
    pub schemas: Vec<ItemSchema>,
    /// The time.
    pub now: UnixMs,
}

/// A job to run: new, or one that goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// Its number.
    pub job: JobId,
    /// It goes on where it stopped.
    pub continued: bool,
    /// It goes on, but the spider file has changed.
    pub file_changed: bool,
    /// Jobs that are given up (`--fresh`).
    pub given_up: Vec<JobId>,
    /// Numbers of its sinks, in order.
    pub sinks: Vec<SinkId>,
    /// When it began.
    pub started: UnixMs,
}

impl Document {
    /// A job by its number.
    #[must_use]
    pub fn job(&self, id: u64) -> Option<&JobEntry> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// Finds the unfinished job of the same spider, arguments and sinks, or makes a new one.
    pub fn choose(&mut self, wanted: &Wanted, fresh: bool) -> Result<Chosen, CrawlError> {
        if let Some(stage) = &self.stage {
            return Err(CrawlError::Usage(format!(
                "this is the state of stage {} of {} of {}; use another --state, or weir enqueue --stack {}",
                stage.index, stage.of, stage.stack, stage.stack
            )));
        }
        let sinks = self.sinks_of(&wanted.sinks)?;
        let hash = format!("{:016x}", wanted.spider_hash);
        let mut given_up = Vec::new();
        let best_effort = wanted.best_effort.iter().map(|name| self.sink(name)).collect::<Result<Vec<_>, _>>()?;
        let best_effort: Vec<u8> = best_effort.iter().map(|sink| sink.0).collect();
        let same = |entry: &JobEntry| {
            entry.outcome.is_none()
                && entry.spider == wanted.spider
                && entry.args == wanted.args
                && (entry.replays, entry.backfills) == (wanted.replays, wanted.backfills)
        };
        if fresh {
            for entry in self.jobs.iter_mut().filter(|entry| same(entry)) {
                entry.outcome = Some(Outcome::Cancelled);
                given_up.push(JobId(entry.id));
            }
        }
        if let Some(entry) = self.jobs.iter_mut().rev().find(|entry| same(entry)) {
            let numbers: Vec<u8> = sinks.iter().map(|sink| sink.0).collect();
            if entry.sinks != numbers && entry.unopened {
                entry.sinks = numbers;
            } else if entry.sinks != numbers {
                let before: Vec<&str> =
                    entry.sinks.iter().map(|&at| self.sinks[usize::from(at)].name.as_str()).collect();
                return Err(CrawlError::Usage(format!(
                    "the unfinished job {} writes to {}; go on with the same -o, or give it up with --fresh",
                    entry.id,
                    before.join(", ")
                )));
            }
            entry.best_effort = best_effort;
            entry.schemas.clone_from(&wanted.schemas);
            entry.made_by.clone_from(&wanted.made_by);
            let file_changed = std::mem::replace(&mut entry.spider_hash, hash.clone()) != hash;
            let (job, started) = (JobId(entry.id), entry.started);
            return Ok(Chosen { job, continued: true, file_changed, given_up, sinks, started });
        }
        self.last_job += 1;
        self.jobs.push(JobEntry {
            id: self.last_job,
            spider: wanted.spider.clone(),
            args: wanted.args.clone(),
            spider_hash: hash,
            sinks: sinks.iter().map(|sink| sink.0).collect(),
            started: wanted.now,
            outcome: None,
            replays: wanted.replays,
            backfills: wanted.backfills,
            best_effort,
            places: BTreeMap::new(),
            made_by: wanted.made_by.clone(),
            schemas: wanted.schemas.clone(),
            began_us: 0,
            unopened: true,
        });
        let (job, started) = (JobId(self.last_job), wanted.now);
        Ok(Chosen { job, continued: false, file_changed: false, given_up, sinks, started })
    }

    /// The URL of a job's sink by its number.
    #[must_use]
    pub fn place<'a>(&'a self, entry: &'a JobEntry, sink: u8) -> Option<&'a str> {
        let name = || self.sinks.get(usize::from(sink)).map(|sink| sink.name.as_str());
        entry.places.get(&sink).map(String::as_str).or_else(name)
    }

    /// Id of the state.
    #[must_use]
    pub fn state_id(&self) -> u128 {
        u128::from_str_radix(&self.state, 16).unwrap_or_default()
    }

    /// The numbers of a job's sinks: each its own.
    pub fn sinks_of(&mut self, names: &[String]) -> Result<Vec<SinkId>, CrawlError> {
        let numbers = names.iter().map(|name| self.sink(name)).collect::<Result<Vec<_>, _>>()?;
        for (at, number) in numbers.iter().enumerate() {
            if let Some(first) = numbers[..at].iter().position(|other| other == number) {
                return Err(CrawlError::Usage(format!(
                    "-o {} and -o {} are one place, expected a sink for each place. Leave one out",
                    names[first], names[at]
                )));
            }
        }
        Ok(numbers)
    }

    /// The number of a sink: of the place that its name means, whoever asks there and however.
    pub fn sink(&mut self, name: &str) -> Result<SinkId, CrawlError> {
        let meant = identity(name);
        let known = self.sinks.iter().position(|entry| entry.name == name);
        // An older weir gave a place a number for each way to write it.
        let known = known.or_else(|| self.sinks.iter().rposition(|entry| identity(&entry.name) == meant));
        let at = match known {
            Some(at) => at,
            None if self.sinks.len() == SINKS_MAX => {
                return Err(CrawlError::Usage(format!(
                    "this state has written to {SINKS_MAX} sinks already; use another --state"
                )));
            }
            None => {
                self.sinks.push(SinkEntry { name: name.to_owned(), generation: 0 });
                self.sinks.len() - 1
            }
        };
        Ok(SinkId(at as u8))
    }

    /// Notes when a job began, the first time.
    pub fn began(&mut self, job: JobId, now: Tick) {
        if let Some(entry) = self.jobs.iter_mut().find(|entry| entry.id == job.0 && entry.began_us == 0) {
            entry.began_us = now.0;
        }
    }

    /// Jobs that were begun, the oldest first: one whose sinks were refused at once has nothing to tell.
    pub fn begun(&self) -> impl DoubleEndedIterator<Item = &JobEntry> {
        self.jobs.iter().filter(|job| !job.unopened)
    }

    /// Notes that all sinks of a job are open: from now on they are its sinks.
    pub fn opened(&mut self, job: JobId) {
        if let Some(entry) = self.jobs.iter_mut().find(|entry| entry.id == job.0) {
            entry.unopened = false;
        }
    }

    /// Notes a job's outcome.
    pub fn ended(&mut self, job: JobId, outcome: Outcome) {
        if let Some(entry) = self.jobs.iter_mut().find(|entry| entry.id == job.0) {
            entry.outcome = Some(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(area: &str) -> Wanted {
        Wanted {
            spider: "properties".into(),
            args: BTreeMap::from([("area".to_owned(), area.to_owned())]),
            spider_hash: 7,
            sinks: vec!["items.jsonl".into()],
            best_effort: Vec::new(),
            replays: false,
            backfills: None,
            made_by: None,
            schemas: Vec::new(),
            now: UnixMs(5),
        }
    }

    #[test]
    fn the_same_command_goes_on_with_the_unfinished_job_and_starts_anew_after_the_end() {
        let mut document = Document::default();
        let first = document.choose(&wanted("a"), false).expect("a job");
        assert!(!first.continued);
        let later = Wanted { now: UnixMs(9), ..wanted("a") };
        let again = document.choose(&later, false).expect("a job");
        assert_eq!((again.job, again.continued, again.started), (first.job, true, UnixMs(5)));
        let other = document.choose(&wanted("b"), false).expect("a job");
        assert_ne!(other.job, first.job, "other arguments: their own job");
        document.ended(first.job, Outcome::Finished);
        let next = document.choose(&wanted("a"), false).expect("a job");
        assert!(!next.continued && next.job != first.job);
    }

    #[test]
    fn other_sinks_are_refused_once_all_sinks_of_the_job_were_opened_and_not_before() {
        let mut document = Document::default();
        let first = document.choose(&wanted("a"), false).expect("a job");
        let other = Wanted { sinks: vec!["items.csv".into()], ..wanted("a") };
        let again = document.choose(&other, false).expect("its first sink was never opened");
        assert_eq!((again.job, again.sinks), (first.job, vec![SinkId(1)]));
        document.opened(first.job);
        let said = document.choose(&wanted("a"), false).expect_err("it writes to the other one").to_string();
        assert!(said.contains("items.csv") && said.contains("--fresh"), "{said}");
    }

    #[test]
    fn a_place_keeps_its_number_however_it_is_named_and_one_job_writes_to_it_once() {
        let mut document = Document::default();
        let sinks = |sinks: &[&str]| Wanted { sinks: sinks.iter().map(|name| (*name).into()).collect(), ..wanted("a") };
        // As an older weir kept it.
        let first = document.choose(&sinks(&["mysql://***@h/db/t?timeout=9s", "items.jsonl"]), false).expect("a job");
        document.opened(first.job);
        let same = sinks(&["mysql://me@h:3306/db/t?add_columns=true", "./items.jsonl"]);
        let again = document.choose(&same, false).expect("the same sinks");
        assert_eq!((again.job, again.sinks), (first.job, first.sinks));
        assert_eq!(document.sinks.len(), 2);
        let twice = sinks(&["redis://h/0", "redis://h?ttl=3d"]);
        let said = document.choose(&twice, false).expect_err("one place").to_string();
        assert!(said.contains("redis://h/0 and -o redis://h?ttl=3d are one place"), "{said}");
    }

    #[test]
    fn fresh_gives_up_the_unfinished_job_and_a_changed_file_is_said() {
        let mut document = Document::default();
        let first = document.choose(&wanted("a"), false).expect("a job");
        let changed = Wanted { spider_hash: 8, ..wanted("a") };
        assert!(document.choose(&changed, false).expect("a job").file_changed);
        let fresh = document.choose(&wanted("a"), true).expect("a job");
        assert_eq!(fresh.given_up, [first.job]);
        assert!(!fresh.continued);
    }
}
