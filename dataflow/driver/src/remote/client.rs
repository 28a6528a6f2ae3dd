//! The other end of a stage's queues: jobs are opened, looked at and cancelled here. Sees queues and artifacts by their traits.
//!
//! Invariants: a spider file lies in the store before the first message that names it; a job's number is given once in a stack; every
//! stage gets at least one shard of every job, so that each knows of it.

use super::status::{JobDocument, JobPart, job_key, part_key};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use weir_frontier::Slice;
use weir_model::json::{Control, ControlMessage, JobHeader, QueueMessage, ShardMessage, ShardStart, shard_range};
use weir_model::{ContentHash, JobId, LinkBatch, Outcome, TargetId, UnixMs};
use weir_queue::{ArtifactStore, Backoff, MessageQueue, QueueError, QueueErrorClass, send_all};
use weir_spider::Spider;

/// URLs in a shard that carries them: some 100 kB.
const SHARD_URLS: usize = 1_000;
/// Shards of one job.
pub const SHARDS_MAX: u32 = 1_000_000;
/// Numbers tried when others enqueue at the same time.
const ATTEMPTS: u32 = 100;
/// Jobs in a stack that are counted.
const JOBS_MAX: usize = 1_000_000;

/// Where jobs are opened.
pub struct Client {
    /// Requests queues of all stages, by number.
    pub requests: Vec<Arc<dyn MessageQueue>>,
    /// Control queues of all stages, by number.
    pub control: Vec<Arc<dyn MessageQueue>>,
    /// Spiders and status objects.
    pub artifacts: Arc<dyn ArtifactStore>,
}

/// A job to be opened.
pub struct NewJob<'a> {
    /// Compiled, to count its start URLs.
    pub spider: &'a Spider,
    /// Its file.
    pub text: &'a str,
    /// Arguments given with it.
    pub args: BTreeMap<String, String>,
    /// Settings given with it.
    pub settings: BTreeMap<String, String>,
    /// Instead of the spider's start URLs.
    pub urls: Option<Vec<String>>,
    /// How many shards its start URLs are cut into.
    pub shards: u32,
    /// Now.
    pub opened_at: UnixMs,
}

/// What came of opening a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub job: JobId,
    /// Messages that were sent.
    pub shards: u32,
    /// Start URLs in them.
    pub start_urls: u64,
}

/// Why a job could not be opened, or looked at.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The deployment does not answer, or not to us.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Nothing to do.
    #[error("{0}")]
    Nothing(String),
    /// Some shards are on their queues and some are not.
    #[error(
        "job {}: {lost} of {shards} shards could not be sent: {error}; the others are crawled, but the job cannot end: weir cancel {}, then \
         enqueue it again",
        job.0, job.0
    )]
    Half {
        /// The job.
        job: JobId,
        /// Shards that were not sent.
        lost: usize,
        /// All of them.
        shards: u32,
        /// The last error.
        error: QueueError,
    },
}

impl Client {
    pub(super) fn stages(&self) -> u32 {
        u32::try_from(self.requests.len()).expect("a deployment has at most 64 stages")
    }

    /// Uploads the spider, opens the job and sends its shards.
    ///
    /// # Errors
    /// Which of these failed; before the first shard is sent nothing was begun.
    pub async fn open(&self, new: NewJob<'_>) -> Result<Opened, ClientError> {
        let hash = ContentHash::of(new.text.as_bytes());
        self.put_new(&hash.spider_key(), new.text.as_bytes().to_vec()).await?;
        let shards = self.cut(&new)?;
        let start_urls = shards.iter().map(|(_, start)| count_of(start)).sum();
        let count = u32::try_from(shards.len()).expect("checked against SHARDS_MAX");
        let mut header = JobHeader {
            job: JobId(0),
            spider: new.spider.name().to_owned(),
            hash,
            args: new.args,
            settings: new.settings,
            opened_at: new.opened_at,
        };
        header.job = self.number(&header, count, start_urls).await?;
        self.send(header, shards, start_urls).await
    }

    /// Sends the shards of a job that has its number.
    pub(super) async fn send(
        &self,
        header: JobHeader,
        shards: Vec<(u32, ShardStart)>,
        start_urls: u64,
    ) -> Result<Opened, ClientError> {
        let job = header.job;
        let count = u32::try_from(shards.len()).expect("checked against SHARDS_MAX");
        let mut by_stage: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for (number, (stage, start)) in shards.into_iter().enumerate() {
            let message = ShardMessage { header: header.clone(), shard: number as u32, shards: count, start };
            by_stage.entry(stage).or_default().push(message.to_json());
        }
        let (mut lost, mut last) = (0, None);
        for (stage, bodies) in by_stage {
            for outcome in send_all(&*self.requests[stage as usize], bodies, Backoff::default()).await {
                if let Err(error) = outcome {
                    lost += 1;
                    last = Some(error);
                }
            }
        }
        match last {
            Some(error) => Err(ClientError::Half { job, lost, shards: count, error }),
            None => Ok(Opened { job, shards: count, start_urls }),
        }
    }

    /// Shards with the stages they go to. A stage that gets none gets an empty one.
    fn cut(&self, new: &NewJob<'_>) -> Result<Vec<(u32, ShardStart)>, ClientError> {
        let slice = Slice { index: 0, of: self.stages() };
        let mut shards = match &new.urls {
            Some(urls) => cut_urls(urls, slice, new.shards),
            None => {
                let starts = new.spider.start_urls();
                let shards = u64::from(new.shards).min(starts.len()) as u32;
                let ranges = (0..shards).map(|shard| shard_range(starts.len(), shard, new.shards.min(shards)));
                let owner = |range: &Range<u64>| {
                    let first = starts.get(range.start);
                    first.and_then(|first| slice.owner_of_url(&first.url)).unwrap_or_default()
                };
                ranges.map(|range| (owner(&range), ShardStart::Range(range))).collect()
            }
        };
        if shards.is_empty() {
            return Err(ClientError::Nothing("there is no URL to start from".into()));
        }
        for stage in 0..slice.of {
            if shards.iter().all(|(to, _)| *to != stage) {
                shards.push((stage, ShardStart::Range(0..0)));
            }
        }
        Ok(shards)
    }

    /// Takes the next number that nobody has.
    pub(super) async fn number(&self, header: &JobHeader, shards: u32, start_urls: u64) -> Result<JobId, ClientError> {
        let keys = self.artifacts.list("jobs/", JOBS_MAX).await?;
        let mut job = JobId(keys.iter().filter_map(|key| number_of(key)).max().unwrap_or(0) + 1);
        for _ in 0..ATTEMPTS {
            let document =
                JobDocument { header: JobHeader { job, ..header.clone() }, shards, start_urls, stages: self.stages() };
            let bytes = serde_json::to_vec_pretty(&document).expect("numbers and texts are JSON");
            match self.artifacts.put_new(&job_key(job), bytes).await {
                Ok(()) => return Ok(job),
                Err(error) if error.class == QueueErrorClass::Exists => job.0 += 1,
                Err(error) => return Err(error.into()),
            }
        }
        let what = format!("{ATTEMPTS} job numbers from {} on were taken by others meanwhile; try again", job.0);
        Err(ClientError::Nothing(what))
    }

    /// By content: what is there already is the same.
    async fn put_new(&self, key: &str, bytes: Vec<u8>) -> Result<(), QueueError> {
        match self.artifacts.put_new(key, bytes).await {
            Err(error) if error.class == QueueErrorClass::Exists => Ok(()),
            outcome => outcome,
        }
    }

    /// Tells every stage to end a job; `id` is a name that no other command has.
    ///
    /// # Errors
    /// When there is no such job, or a stage cannot be told.
    pub async fn cancel(&self, job: JobId, id: &str) -> Result<(), ClientError> {
        self.document(job).await?;
        let message = ControlMessage { id: id.to_owned(), command: Control::Cancel { job } }.to_json();
        for queue in &self.control {
            for outcome in send_all(&**queue, vec![message.clone()], Backoff::default()).await {
                outcome?;
            }
        }
        Ok(())
    }

    pub(super) async fn document(&self, job: JobId) -> Result<JobDocument, ClientError> {
        let key = job_key(job);
        match self.artifacts.get(&key).await {
            Ok(bytes) => read(&key, &bytes),
            Err(error) if error.class == QueueErrorClass::NotFound => Err(ClientError::Nothing(format!(
                "there is no job {} in {}; weir jobs lists them",
                job.0,
                self.artifacts.name()
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// How a job goes.
    ///
    /// # Errors
    /// When there is no such job, or the store does not answer.
    pub async fn job(&self, job: JobId) -> Result<JobView, ClientError> {
        let document = self.document(job).await?;
        let mut parts = Vec::new();
        // The number of stages may have changed since: what one counted that is gone counts.
        let least = document.stages.max(self.stages());
        for stage in 0.. {
            let key = part_key(job, stage);
            match self.artifacts.get(&key).await {
                Ok(bytes) => parts.push(read(&key, &bytes)?),
                Err(error) if error.class == QueueErrorClass::NotFound && stage >= least => break,
                Err(error) if error.class == QueueErrorClass::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(JobView { document, parts, stages: self.stages() })
    }

    /// The newest jobs, the newest first; of one that cannot be read, why.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn jobs(&self, max: usize) -> Result<Vec<(JobId, Result<JobView, String>)>, ClientError> {
        let keys = self.artifacts.list("jobs/", JOBS_MAX).await?;
        let mut numbers: Vec<u64> = keys.iter().filter_map(|key| number_of(key)).collect();
        numbers.sort_unstable_by(|one, two| two.cmp(one));
        let mut jobs = Vec::new();
        for number in numbers.into_iter().take(max) {
            let job = JobId(number);
            let view = match self.job(job).await {
                Err(ClientError::Nothing(why)) => Err(why),
                view => Ok(view?),
            };
            jobs.push((job, view));
        }
        Ok(jobs)
    }
}

/// A job with what its stages say of it.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    /// As it was enqueued.
    pub document: JobDocument,
    /// By stage, as far as they have said something.
    pub parts: Vec<JobPart>,
    /// How many stages there are now.
    pub stages: u32,
}

impl JobView {
    /// How it ended: when all stages have ended their parts.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        let ended: Vec<Outcome> = self.parts.iter().filter_map(|part| part.outcome).collect();
        if ended.contains(&Outcome::Failed) {
            return Some(Outcome::Failed);
        }
        // A stage that is gone has left its part to others; one that came later has a part only when it got something of the job.
        let there = self.parts.iter().filter(|part| part.stage < self.stages);
        let (mut parts, mut open) = (0, 0);
        for part in there {
            parts += 1;
            open += u32::from(part.outcome.is_none());
        }
        if open > 0 || parts < self.document.stages.min(self.stages) {
            return None;
        }
        ended.iter().find(|outcome| **outcome != Outcome::Finished).or(ended.first()).copied()
    }

    /// `waiting`, `running`, or how it ended.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.outcome() {
            Some(outcome) => outcome.as_str(),
            None if self.parts.is_empty() => "waiting",
            None => "running",
        }
    }

    /// Counters of all stages together.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<String, u64> {
        let mut stats = BTreeMap::new();
        for (name, count) in self.parts.iter().flat_map(|part| &part.stats) {
            *stats.entry(name.clone()).or_default() += count;
        }
        stats
    }

    /// Answers so far.
    #[must_use]
    pub fn pages(&self) -> u64 {
        let stats = self.stats();
        let statuses = stats.iter().filter(|(name, _)| {
            name.strip_prefix("responses/").is_some_and(|status| status.bytes().all(|byte| byte.is_ascii_digit()))
        });
        statuses.map(|(_, count)| count).sum()
    }

    /// From its opening to its end, or to what was heard last.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let last = self.parts.iter().map(|part| part.at.0).max().unwrap_or(self.document.header.opened_at.0);
        last.saturating_sub(self.document.header.opened_at.0) as f64 / 1000.0
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ClientError::Nothing(format!("{key} cannot be read: {error}; was it written by another version of weir?"))
    })
}

fn number_of(key: &str) -> Option<u64> {
    key.strip_prefix("jobs/")?.strip_suffix(".json")?.parse().ok()
}

fn count_of(start: &ShardStart) -> u64 {
    match start {
        ShardStart::Range(range) => range.end - range.start,
        ShardStart::Urls(urls) => urls.len() as u64,
        ShardStart::Letters(ids) => ids.len() as u64,
    }
}

/// URLs by the stages that own them, in shards of equal size.
fn cut_urls(urls: &[String], slice: Slice, shards: u32) -> Vec<(u32, ShardStart)> {
    let size = urls.len().div_ceil(shards.max(1) as usize).clamp(1, SHARD_URLS);
    let mut by_owner: BTreeMap<u32, Vec<&String>> = BTreeMap::new();
    for url in urls {
        // What cannot be crawled is counted by whichever stage gets it.
        by_owner.entry(slice.owner_of_url(url).unwrap_or_default()).or_default().push(url);
    }
    let mut cut = Vec::new();
    for (owner, urls) in by_owner {
        for shard in urls.chunks(size) {
            let mut links = LinkBatch::default();
            shard.iter().for_each(|url| links.push(url, TargetId::START, 0));
            cut.push((owner, ShardStart::Urls(links)));
        }
    }
    cut
}
