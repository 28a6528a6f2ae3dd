//! `weir stage`: one stage against SQS. What the container runs; told by variables, each with an option beside it.

use crate::cmd::crawl::{Existing, open_sink, read_law, start_log};
use crate::cmd::deployment::{Deployment, Which, runtime, ticketed, variable};
use crate::cmd::feeds::Feeds;
use crate::cmd::prices::{REGION, Tariff};
use crate::cmd::sink_secrets::Secrets;
use crate::cmd::stage_move::{self, Move};
use crate::cmd::{Usage, sink_secrets};
use crate::{exit, signals};
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use weir_aws::Aws;
use weir_connector::{ErrorClass, FeedPlace, FeedUrl, SinkError, SinkUrl, identity, redact, split_required};
use weir_cost::Architecture;
use weir_driver::remote::{Pace, SinkMaker, StageOptions, StageQueues, StageTariff, run_stage};
use weir_driver::{ComputeOptions, Output, Settings, SystemClock};
use weir_frontier::Slice;
use weir_model::Clock;
use weir_model::json::JobHeader;
use weir_queue::{ArtifactStore, Claims, MessageQueue, Ticketed, Tickets};
use weir_spider::Spider;

/// Requests under way at once, all functions together, unless a setting says otherwise.
const CONCURRENCY: usize = 4_000;

/// Run a stage of a deployment: its slice of the domains, from its queues to the sinks
#[derive(ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Example:\n  WEIR_SINKS=sqlite:items.db weir stage --state .weir/stage-0\n\n\
Variables, which options win over: WEIR_STACK, WEIR_STAGE, WEIR_STAGES, WEIR_STATE, WEIR_BUCKET, WEIR_FETCH_QUEUE, WEIR_SINKS (by spaces;\n\
%(name)s, %(job)s, %(time)s and %(stage)s stand for the spider, the job's number, when it was enqueued, and the stage's number),\n\
WEIR_SINK_SECRETS (JSON: passwords by kind of sink, geocoders' keys by name), WEIR_SETTINGS (by spaces, as -s), WEIR_HEALTH_PORT. What is missing is taken from .weir/deployment.toml.\n\n\
Exit codes: 0 stopped in order, 2 usage, 4 could not go on; what was received is not lost")]
pub struct Args {
    #[command(subcommand)]
    moving: Option<Move>,
    #[command(flatten)]
    which: Which,
    /// Which stage, from 0
    #[arg(long, value_name = "N")]
    stage: Option<u32>,
    /// Of how many
    #[arg(long, value_name = "K")]
    stages: Option<u32>,
    /// State directory of this stage
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where items go, as for weir crawl; may be repeated
    #[arg(short = 'o', value_name = "SINK", allow_hyphen_values = true)]
    outputs: Vec<String>,
    /// Who may be asked how often: a blacklist and laws by domain (TOML, or Scrapy Cluster's .yaml). It is watched: a change holds within a second
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Setting of the process (journal, outbox, concurrency, fetch.timeout as the upper bound of every job's); may be repeated
    #[arg(short = 's', value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Workers of the dataflow
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// How long beyond its time-out a request may stay unreported before its function is taken for dead, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    grace: u64,
    /// How long a received message is hidden from the next process, in seconds; extended while this one works on it
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=43_200))]
    visibility: u64,
    /// How long a function may take up a request after its time has come, in seconds: for the queue and a function's start. A function
    /// that dies is noticed so much sooner when it is less; with too few functions, requests come back unsent
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10))]
    slot: u64,
    /// Begin with an empty state although the deployment had another number of stages, and import nothing
    #[arg(long)]
    begin_anew: bool,
    /// Port of loopback for /healthz and /metrics
    #[arg(long, value_name = "PORT")]
    health_port: Option<u16>,
    /// Let the spider files of jobs start the programs that their computations name
    #[arg(long)]
    allow_commands: bool,
    /// One's own prices, in the form of infra/prices.toml, for budgets
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Log level: error, warn, info, debug (a line a page)
    #[arg(short = 'L', value_name = "LEVEL")]
    level: Option<String>,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    if let Some(command) = &args.moving {
        return stage_move::run(command);
    }
    let mut settings = Settings { concurrency: CONCURRENCY, ..Settings::default() };
    for assignment in variable("WEIR_SETTINGS").unwrap_or_default().split_whitespace() {
        settings.set(assignment).map_err(|error| Usage(format!("WEIR_SETTINGS: {error}")))?;
    }
    let level = args.level.iter().map(|level| format!("log_level={level}"));
    for assignment in args.settings.iter().cloned().chain(level) {
        settings.set(&assignment).map_err(|error| Usage(error.to_string()))?;
    }
    if !(1..=64).contains(&args.workers) {
        return Err(Usage(format!("--workers {}: expected 1 to 64", args.workers)).into());
    }
    start_log(settings.log_level);
    let place = Place::find(&args)?;
    let secrets = sink_secrets::read(variable("WEIR_SINK_SECRETS").as_deref())?;
    let sinks = sinks(&args, &settings, &place, &secrets)?;
    let laws = read_law(args.policy.as_deref(), settings.profile)?;
    let health_port = args.health_port.map_or_else(|| number("WEIR_HEALTH_PORT", u16::MAX), |port| Ok(Some(port)))?;
    let timeout = settings.fetch_timeout.min(Pace::default().timeout);
    let geocoding = crate::cmd::geocode::for_stage(&settings, place.slice.of, &secrets)?;
    let runtime = runtime()?;
    let visibility = Duration::from_secs(args.visibility);
    let queues = runtime.block_on(place.queues(visibility))?;
    let tariff = tariff(&args, place.deployment.as_ref())?;
    let options = StageOptions {
        tariff,
        stack: place.stack,
        slice: place.slice,
        state: place.state,
        begins_anew: args.begin_anew,
        settings,
        laws,
        sinks,
        geocoding,
        compute: ComputeOptions { allow_commands: args.allow_commands, ..ComputeOptions::default() },
        workers: args.workers,
        pace: Pace {
            timeout,
            visibility,
            slot: Duration::from_secs(args.slot),
            grace: Duration::from_secs(args.grace),
            ..Pace::default()
        },
        queues,
        runtime,
        health_port,
        heartbeat: Box::new(|line| crate::out::line!("{line}")),
        stop: signals::stop_flag()?,
    };
    run_stage(options).map_err(|error| match error {
        weir_driver::CrawlError::Usage(text) => anyhow::Error::new(Usage(text)),
        other => anyhow::Error::new(other),
    })?;
    Ok(exit::FINISHED)
}

/// Which stage, where its state and its queues are.
struct Place {
    stack: String,
    slice: Slice,
    state: PathBuf,
    bucket: String,
    fetch_queue: String,
    claim_table: String,
    deployment: Option<Deployment>,
}

/// What budgets are reckoned by. In a region without prices those of the first one are better than none, as long as it is said.
fn tariff(args: &Args, deployment: Option<&Deployment>) -> Result<StageTariff, Usage> {
    let region = deployment.map(|deployment| deployment.region.clone());
    let found = match Tariff::find(args.prices.as_deref(), region) {
        Err(error) if args.prices.is_none() => {
            tracing::warn!("{error}; until then budgets are reckoned with the prices of {REGION}");
            Tariff::find(None, Some(REGION.into()))?
        }
        found => found?,
    };
    let architecture = Architecture::parse(std::env::consts::ARCH).unwrap_or_default();
    Ok(StageTariff { prices: found.prices, architecture })
}

/// A whole number of the environment.
fn number<T: TryFrom<u64>>(name: &str, max: T) -> Result<Option<T>, Usage>
where
    u64: From<T>,
{
    let Some(text) = variable(name) else { return Ok(None) };
    let max = u64::from(max);
    let number =
        text.trim().parse::<u64>().ok().filter(|number| *number <= max).and_then(|number| T::try_from(number).ok());
    number.map(Some).ok_or_else(|| Usage(format!("{name}={text:?}: a whole number up to {max} is expected")))
}

impl Place {
    fn find(args: &Args) -> Result<Place, Usage> {
        let env_stack = args.which.stack.clone().or_else(|| variable("WEIR_STACK"));
        // Variables say everything in the container; the file is for processes beside it.
        let whole = variable("WEIR_BUCKET").is_some() && variable("WEIR_FETCH_QUEUE").is_some();
        let which = Which { stack: env_stack.clone(), deployment: args.which.deployment.clone() };
        let deployment = if whole { None } else { which.find()? };
        let need = |name: &str, found: Option<String>| {
            found.ok_or_else(|| {
                Usage(format!(
                    "{name} is not set, and there is no .weir/deployment.toml: make deploy or make local write it"
                ))
            })
        };
        let file = deployment.as_ref();
        let stack = need("WEIR_STACK", env_stack.or_else(|| file.map(|file| file.stack.clone())))?;
        let of = match args.stages {
            Some(stages) => Some(stages),
            None => number("WEIR_STAGES", 64)?,
        };
        let of = of.or_else(|| file.map(|file| file.stages.len() as u32)).unwrap_or(1);
        let index = match args.stage {
            Some(stage) => stage,
            None => number("WEIR_STAGE", 63)?.unwrap_or(0),
        };
        if !(1..=64).contains(&of) || index >= of {
            return Err(Usage(format!(
                "stage {index} of {of}: numbers begin at 0, and there are 1 to 64 stages (WEIR_STAGE, WEIR_STAGES)"
            )));
        }
        let state = args.state.clone().or_else(|| variable("WEIR_STATE").map(PathBuf::from));
        let state = state.unwrap_or_else(|| format!(".weir/{stack}-stage-{index}").into());
        let bucket = need("WEIR_BUCKET", variable("WEIR_BUCKET").or_else(|| file.map(|file| file.bucket.clone())))?;
        let fetch_queue = variable("WEIR_FETCH_QUEUE").or_else(|| file.map(|file| file.fetch_queue.clone()));
        let fetch_queue = need("WEIR_FETCH_QUEUE", fetch_queue)?;
        let claim_table = variable("WEIR_CLAIM_TABLE").or_else(|| file.and_then(|file| file.claim_table.clone()));
        let claim_table = need("WEIR_CLAIM_TABLE", claim_table)?;
        Ok(Place { stack, slice: Slice { index, of }, state, bucket, fetch_queue, claim_table, deployment })
    }

    /// The queues, which are there: their names follow from the deployment's.
    async fn queues(&self, visibility: Duration) -> anyhow::Result<StageQueues> {
        let aws = match &self.deployment {
            Some(deployment) => deployment.aws().await?,
            None => Aws::load().await?,
        };
        let store: Arc<dyn ArtifactStore> = Arc::new(aws.bucket(&self.bucket));
        let Some((base, _)) = self.fetch_queue.rsplit_once('/') else {
            let found = &self.fetch_queue;
            return Err(
                Usage(format!("WEIR_FETCH_QUEUE={found:?}: the address of a queue is expected, http...")).into()
            );
        };
        let (stack, index) = (&self.stack, self.slice.index);
        // Credentials, region and stack are right, or this says what is not.
        let own = ["requests", "reports", "control"].map(|kind| format!("{stack}-{kind}-{index}"));
        let fetch = self.fetch_queue.rsplit('/').next().unwrap_or_default().to_owned();
        // Not those of other stages: the first one is deployed, and has to run, before the last one's are there.
        for name in own.into_iter().chain([fetch, format!("{stack}-stage-{index}-dead")]) {
            aws.queue_by_name(&name).await?;
        }
        let claims = aws.claims(&self.claim_table);
        let now = SystemClock::start().now().unix_ms();
        // Nobody else has this name: it is the table, and the right to write to it, that is tried.
        claims.claim(&format!("start/{stack}-{index}-{}", now.0), "its stage", now).await?;
        let queue = |name: String| ticketed(&aws, &format!("{base}/{name}"), &store);
        let peer = |stage: u32| -> Arc<dyn MessageQueue> { queue(format!("{stack}-requests-{stage}")) };
        // What this stage takes is hidden for its own time, not the queue's.
        let mine = |kind: &str| -> Arc<dyn MessageQueue> {
            let own = aws.queue(&format!("{base}/{stack}-{kind}-{index}")).hiding(visibility);
            Arc::new(Ticketed::new(own, Tickets::new(Arc::clone(&store))))
        };
        Ok(StageQueues {
            requests: mine("requests"),
            reports: mine("reports"),
            control: mine("control"),
            fetch: ticketed(&aws, &self.fetch_queue, &store),
            dead_letters: queue(format!("{stack}-stage-{index}-dead")),
            peers: (0..self.slice.of).map(peer).collect(),
            artifacts: store,
            claims: Arc::new(claims),
        })
    }
}

/// The sinks of every job, by their URLs.
fn sinks(args: &Args, settings: &Settings, place: &Place, secrets: &Secrets) -> Result<SinkMaker, Usage> {
    let slice = place.slice;
    let mut outputs = args.outputs.clone();
    if outputs.is_empty() {
        outputs = variable("WEIR_SINKS").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    }
    let outputs: Vec<String> = outputs.iter().map(|url| secrets.fill(url)).collect::<Result<_, _>>()?;
    if outputs.is_empty() {
        tracing::warn!("no sinks (WEIR_SINKS, -o): items are counted and go nowhere");
    }
    for url in &outputs {
        // Mistakes are told before anything is received.
        let checked = split_required(&sink_secrets::expand(url, "name", 1, 0, slice.index));
        let sink = checked.and_then(|(url, _)| SinkUrl::parse(&url)).map_err(|error| Usage(error.to_string()))?;
        told_apart(url, &sink, slice)?;
    }
    for (at, url) in outputs.iter().enumerate() {
        if let Some(other) = outputs[..at].iter().find(|other| identity(other) == identity(url)) {
            return Err(Usage(format!(
                "{} and {} are one place, expected a sink for each place. Leave one out",
                redact(other),
                redact(url)
            )));
        }
    }
    let (process, state, stage) = (settings.clone(), place.state.clone(), slice.index);
    Ok(Box::new(move |spider, header| {
        let settings = feed_settings(&process, spider, header)?;
        let feeds = Feeds::new(&settings, &header.args, Existing::default(), &state);
        outputs.iter().map(|url| output(url, header, stage, &feeds)).collect()
    }))
}

/// A sink of a job. A state has 32 names for sinks and knows what is in a sink by its name, so names of jobs are no part of it: a feed
/// fills them in itself, and of another sink it is said that each job has a place of its own. A spider's name is: its items are its own.
fn output(url: &str, header: &JobHeader, stage: u32, feeds: &Feeds) -> Result<Output, SinkError> {
    let (url, required) = split_required(&sink_secrets::of_stage(url, stage))?;
    let sink = SinkUrl::parse(&url)?;
    if matches!(sink, SinkUrl::Feed(_)) {
        return Ok(Output::new(open_sink(sink, feeds)?, required));
    }
    let filled = sink_secrets::expand(&url, &header.spider, header.job.0, header.opened_at.0, stage);
    let known_as = sink_secrets::differs_by_job(&url).then(|| redact(&url));
    Ok(Output { known_as, ..Output::new(open_sink(SinkUrl::parse(&filled)?, feeds)?, required) })
}

/// Several stages may not write one file: the last would take the place of the others'. Each has a disk of its own.
fn told_apart(url: &str, sink: &SinkUrl, slice: Slice) -> Result<(), Usage> {
    let shared = matches!(sink, SinkUrl::Feed(FeedUrl { place: FeedPlace::S3 { .. } | FeedPlace::Ftp { .. }, .. }));
    if !shared || slice.of == 1 || url.contains("%(stage)s") {
        return Ok(());
    }
    Err(Usage(format!(
        "{}: {} stages would write the same file, expected a name with the stage's number. Put %(stage)s into it",
        redact(url),
        slice.of
    )))
}

/// When parts of a job's feeds end: as the process says, or the spider file, or what came with the job.
fn feed_settings(process: &Settings, spider: &Spider, header: &JobHeader) -> Result<Settings, SinkError> {
    let wrong = |error: String| {
        SinkError::new(
            ErrorClass::Configuration,
            error,
            format!("spider {}", header.spider),
            "settings as weir crawl takes them",
            "Correct the setting and enqueue the job again",
        )
    };
    let mut settings = process.clone();
    settings.apply_table(spider.settings(), "").map_err(|errors| wrong(errors.to_string()))?;
    for (name, value) in &header.settings {
        settings.set(&format!("{name}={value}")).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_with_feeds_or_places_of_their_own_take_no_names_of_the_state() {
        let feeds =
            Feeds::new(&Settings::default(), &Default::default(), Existing::default(), std::path::Path::new(""));
        let of_job = |url: &str, job: u64| {
            let header = JobHeader {
                job: weir_model::JobId(job),
                spider: "shop".into(),
                hash: weir_model::ContentHash(1),
                args: Default::default(),
                settings: Default::default(),
                opened_at: weir_model::UnixMs(1_000 * job),
            };
            let output = output(url, &header, 2, &feeds).expect("a sink");
            (output.name(), output.sink.describe().url, output.known_as.is_some())
        };
        for (url, name, place, is_apart) in [
            ("f/%(name)s-%(job)s-%(stage)s.jsonl", "f/%(name)s-%(job)s-2.jsonl", "f/%(name)s-%(job)s-2.jsonl", false),
            ("sqlite:%(name)s-%(stage)s.db", "sqlite:shop-2.db", "sqlite:shop-2.db", false),
            ("sqlite:%(name)s-%(job)s.db", "sqlite:%(name)s-%(job)s.db", "sqlite:shop-7.db", true),
            ("sqlite:%(time)s.db?required=false", "sqlite:%(time)s.db", "sqlite:7000.db", true),
        ] {
            assert_eq!(of_job(url, 7), (name.to_owned(), place.to_owned(), is_apart));
            assert_eq!(of_job(url, 8).0, name, "one name for all jobs");
        }
    }

    #[test]
    fn stages_that_share_a_bucket_or_server_write_files_of_their_own() {
        let judge = |url: &str, of: u32| {
            let sink = SinkUrl::parse(url).expect("a sink");
            told_apart(url, &sink, Slice { index: 0, of })
        };
        for (url, of) in [
            ("s3://b/%(name)s-%(stage)s.jsonl", 2),
            ("ftp://u:p@h/%(stage)s/items.csv.gz", 3),
            ("s3://b/items.jsonl", 1),
            ("items.jsonl", 2),
            ("redis://h/0", 2),
        ] {
            assert!(judge(url, of).is_ok(), "{url}");
        }
        let said = judge("ftp://u:geheim@h/items.csv", 2).expect_err("the same file").to_string();
        assert!(said.contains("%(stage)s") && !said.contains("geheim"), "{said}");
    }
}
