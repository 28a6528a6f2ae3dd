//! Jobs as a stage has them open: what their header and spider file come to, their sinks, how far their end is.

use super::StageOptions;
use super::awaiting::Awaited;
use super::census::Roll;
use super::ending::Ending;
use super::status::JobPart;
use crate::delisting::Delisting;
use crate::document::JobEntry;
use crate::exchange::Inward;
use crate::jobs::JobRun;
use crate::opening::new_run;
use crate::report::Output;
use crate::settings::Settings;
use crate::sinks::SinkThread;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_connector::{Sink, SinkKind};
use weir_model::json::{FetchRules, ForwardMessage, JobHeader, JobRef, QueueMessage, ShardMessage, TallyMessage};
use weir_model::{Item, ItemSchema, Outcome, ReceiptId, SinkId, Tick, UnixMs};
use weir_spider::Spider;
use weir_stage::{OutboxId, SinkMasks};

/// A job that runs here.
pub(super) struct OpenJob {
    pub header: JobHeader,
    pub spider: Arc<Spider>,
    pub settings: Settings,
    /// What fetch messages say of it.
    pub reference: JobRef,
    pub sink_ids: Vec<u8>,
    best_effort: Vec<u8>,
    /// The URLs of its sinks.
    pub urls: BTreeMap<SinkId, String>,
    /// Of those that have another name in the state.
    places: BTreeMap<u8, String>,
    /// Sinks that are not open.
    pub awaited: BTreeMap<SinkId, Awaited>,
    /// Sinks that take items.
    pub sinks: Vec<SinkThread>,
    /// Sinks that take nothing any more, and why: what is for them becomes dead letters.
    pub given_up: BTreeMap<SinkId, String>,
    /// What a sink was to write and has not settled.
    pub unanswered: BTreeMap<SinkId, BTreeMap<OutboxId, Arc<Item>>>,
    /// Why it ends as it does.
    pub failure: Option<String>,
    /// Sinks that have completed what they wrote, to be told when the end is durable.
    pub finished: Vec<Box<dyn Sink>>,
    pub masks: SinkMasks,
    pub opened_at: UnixMs,
    pub ending: Ending,
    /// The stop is in the journal and nothing more is released.
    pub is_held: bool,
    /// The end that another stage told, and its messages: settled when it is durable here, too.
    pub told_end: Option<Outcome>,
    pub receipts: Vec<ReceiptId>,
    /// Stages that are still to be told of the end; none: nobody was told yet.
    pub untold: Option<BTreeSet<u32>>,
    pub round: Round,
    /// What it may mark as gone at its end; none: nothing.
    pub delisting: Option<Delisting>,
    /// What all stages have seen of it, while they count.
    pub roll: Option<Roll>,
    /// What was last written of it.
    pub part: Option<JobPart>,
}

/// Asking all stages whether they are at rest.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub number: u64,
    pub begun_at: Tick,
    pub is_open: bool,
    pub answers: BTreeMap<u32, TallyMessage>,
    /// Counts of a round in which all rested: the next one must find the same.
    pub agreed: Option<Vec<(u32, u32, u64)>>,
}

/// A job whose header and spider file were found to be right.
pub(super) struct Prepared {
    header: JobHeader,
    spider: Arc<Spider>,
    settings: Settings,
    pub sinks: Vec<Output>,
    reference: JobRef,
}

/// Compiles what a header names. The error says what is wrong with it for good.
pub(super) fn load_spider(header: &JobHeader, text: &str) -> Result<Arc<Spider>, String> {
    let name = header.hash.spider_key();
    let args: Vec<(String, String)> = header.args.clone().into_iter().collect();
    Spider::load(&name, text, &args).map(Arc::new).map_err(|errors| errors.to_string())
}

/// Makes what a job needs. The error says what is wrong for good.
pub(super) fn prepare_job(options: &StageOptions, header: JobHeader, spider: Arc<Spider>) -> Result<Prepared, String> {
    let settings = job_settings(&spider, &header)?;
    let sinks = (options.sinks)(&spider, &header).map_err(|error| error.to_string())?;
    let default = Settings::default();
    let ms = |duration: std::time::Duration| duration.as_millis() as u64;
    let fetch = FetchRules {
        user_agent: settings.user_agent.clone(),
        total_timeout_ms: Some(ms(settings.fetch_timeout.min(options.pace.timeout))),
        connect_timeout_ms: unless(settings.fetch_connect_timeout, default.fetch_connect_timeout).map(ms),
        headers_timeout_ms: unless(settings.fetch_headers_timeout, default.fetch_headers_timeout).map(ms),
        body_bytes_max: unless(settings.fetch_body_bytes_max, default.fetch_body_bytes_max),
        wire_bytes_max: unless(settings.fetch_wire_bytes_max, default.fetch_wire_bytes_max),
    };
    let reference = JobRef { job: header.job, spider: header.hash, args: header.args.clone(), fetch };
    Ok(Prepared { header, spider, settings, sinks, reference })
}

fn unless<T: PartialEq>(value: T, default: T) -> Option<T> {
    (value != default).then_some(value)
}

/// Settings of a job: default, the spider's own, those that came with it.
pub(super) fn job_settings(spider: &Spider, header: &JobHeader) -> Result<Settings, String> {
    let mut settings = Settings::default();
    settings.order = match spider.order() {
        weir_spider::Order::Lifo => settings.order,
        weir_spider::Order::Fifo => crate::settings::Order::Fifo,
    };
    settings.depth_max = spider.depth_max().or(settings.depth_max);
    settings.apply_table(spider.settings(), "").map_err(|error| error.to_string())?;
    for (name, value) in &header.settings {
        settings.set(&format!("{name}={value}")).map_err(|error| error.to_string())?;
    }
    Ok(settings)
}

impl Prepared {
    /// The job with these of its sinks, by their numbers; none is open.
    pub fn into_job(self, opened_at: UnixMs, sinks: Vec<(SinkId, Output)>) -> OpenJob {
        let mut job = OpenJob {
            header: self.header,
            spider: self.spider,
            settings: self.settings,
            reference: self.reference,
            sink_ids: Vec::new(),
            best_effort: Vec::new(),
            urls: BTreeMap::new(),
            places: BTreeMap::new(),
            awaited: BTreeMap::new(),
            sinks: Vec::new(),
            given_up: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            failure: None,
            finished: Vec::new(),
            masks: SinkMasks::default(),
            opened_at,
            ending: Ending::Running,
            is_held: false,
            told_end: None,
            receipts: Vec::new(),
            untold: None,
            round: Round::default(),
            delisting: None,
            roll: None,
            part: None,
        };
        sinks.into_iter().for_each(|(id, output)| job.add_sink(id, output));
        job
    }
}

impl OpenJob {
    fn add_sink(&mut self, id: SinkId, output: Output) {
        let info = output.sink.describe();
        // In a place of its own the job finds nothing of others: it writes every item there, as it does to a feed.
        let is_whole = info.kind == SinkKind::Appending || output.known_as.is_some();
        let mask = if is_whole { &mut self.masks.append } else { &mut self.masks.upsert };
        *mask |= 1 << id.0;
        if output.known_as.is_some() {
            self.places.insert(id.0, info.url.clone());
        }
        if !output.required {
            self.best_effort.push(id.0);
        }
        self.sink_ids.push(id.0);
        self.urls.insert(id, info.url);
        self.awaited.insert(id, Awaited::new(output));
    }

    /// As the engine runs it.
    pub fn run(&self, now: Tick) -> JobRun {
        JobRun {
            masks: self.masks,
            header: Some(self.header.clone()),
            ..new_run(&self.settings, &self.spider, self.header.job, now)
        }
    }

    /// As the state's list of jobs has it, for the commands that read a state.
    pub fn listed(&self) -> JobEntry {
        JobEntry {
            id: self.header.job.0,
            spider: self.header.spider.clone(),
            args: self.header.args.clone(),
            spider_hash: format!("{:016x}", self.spider.content_hash()),
            sinks: self.sink_ids.clone(),
            started: self.header.opened_at,
            outcome: None,
            replays: false,
            backfills: None,
            best_effort: self.best_effort.clone(),
            places: self.places.clone(),
            made_by: None,
            schemas: self.spider.schemas().iter().map(|schema| ItemSchema::clone(schema)).collect(),
            // Before every version that it could give.
            began_us: self.header.opened_at.0 * 1_000,
            unopened: false,
        }
    }

    pub fn ids(&self) -> Vec<SinkId> {
        self.sink_ids.iter().map(|id| SinkId(*id)).collect()
    }
}

/// A message as it came, for the dead letters.
pub(super) fn message_of(header: &JobHeader, to: u32, inward: Inward) -> String {
    let header = header.clone();
    match inward {
        Inward::Shard { shard, shards, start } => ShardMessage { header, shard, shards, start }.to_json(),
        Inward::Parcel { from, id, offers } => ForwardMessage { header, from, to, id, offers }.to_json(),
        Inward::Letters { .. } => unreachable!("made for jobs that are open, which bury nothing"),
        Inward::Stop(outcome) => format!("stop job {}: {}", header.job.0, outcome.as_str()),
    }
}
