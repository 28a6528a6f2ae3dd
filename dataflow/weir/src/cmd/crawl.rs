//! `weir crawl`: one job, embedded, resumable with the same `--state`.

use crate::cmd::{self, Usage};
use crate::progress::Display;
use crate::{exit, signals};
use clap::Args as ClapArgs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_connector::{FeedPlace, FeedUrl, ServerKind, Sink, SinkError, SinkUrl, redact, split_required};
use weir_driver::law::{LawOptions, PolicyFile};
use weir_driver::{
    Backfill, ComputeOptions, CrawlOptions, CrawlReport, LogLevel, MadeBy, Observer, Output, Profile, Progress, Replay,
    Settings,
};
use weir_frontier::LogLine;
use weir_frontier::policy::Policy;
use weir_model::{ContentHash, Outcome};
use weir_spider::Spider;

/// Crawl with a spider on this machine; the same command goes on where it stopped
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  weir crawl examples/properties.toml -o items.jsonl -o sqlite:items.db\n  weir crawl shop.toml -a area=leeds -s stop.items=100 -s user_agent='shop-bot (+mailto:me@example.com)'\n\nA feed file has .part behind its name until its job has ended: after Ctrl-C the items are there, and the same command goes on.\n\nExit codes: 0 finished, 2 usage or spider, 3 stopped early, 4 failed, 130 interrupted"
)]
pub struct Args {
    /// The spider file
    #[arg(value_name = "SPIDER.toml", required_unless_present = "help_settings")]
    spider: Option<PathBuf>,
    /// Where items go: a feed file (.jsonl, .json, .csv, .xml, .parquet; .gz or .zst behind it), the same at s3://BUCKET/KEY or ftp://USER@HOST/PATH, sqlite:FILE, elasticsearch://HOST:9200/INDEX, mysql://USER@HOST/DB/TABLE, redis://HOST/0 (servers with ?required=false: best effort); may be repeated. Default: sqlite:NAME.db
    #[arg(short = 'o', value_name = "SINK", allow_hyphen_values = true)]
    outputs: Vec<String>,
    /// Replace feed files that exist
    #[arg(long, conflicts_with = "append")]
    overwrite: bool,
    /// Go on at the end of feed files that exist
    #[arg(long)]
    append: bool,
    /// Spider argument; may be repeated
    #[arg(short = 'a', value_name = "NAME=VALUE")]
    args: Vec<String>,
    /// Setting, ours or Scrapy's name; may be repeated
    #[arg(short = 's', value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// State directory; the same one goes on with the job. Default: .weir/NAME
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Who may be asked how often: a blacklist and laws by domain (TOML, or Scrapy Cluster's .yaml). It is watched: a change holds within a second
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Workers of the stage
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Give up an unfinished job of this spider and arguments, and begin anew
    #[arg(long)]
    fresh: bool,
    /// Write a JSON line for each event (page, item, sink outcome, error) at the end of this file; - is standard output, and the closing stats go to standard error
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Let the spider file start the programs that its computations name
    #[arg(long)]
    allow_commands: bool,
    /// Log level: error, warn, info, debug (a line a page)
    #[arg(short = 'L', value_name = "LEVEL")]
    level: Option<String>,
    /// No progress, only the outcome
    #[arg(short, long)]
    quiet: bool,
    /// Closing stats as one JSON document on standard output
    #[arg(long)]
    json: bool,
    /// List all settings with their types, defaults and Scrapy names
    #[arg(long)]
    help_settings: bool,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    if args.help_settings {
        crate::out::text!("{}", Settings::help());
        return Ok(exit::FINISHED);
    }
    let Some(path) = &args.spider else { return Err(Usage("which spider? weir crawl SPIDER.toml".into()).into()) };
    let spider = cmd::load_spider(path, &cmd::arguments(&args.args)?)?;
    let mut settings = cmd::settings(path, &spider, &args.settings)?;
    if let Some(level) = &args.level {
        settings.set(&format!("log_level={level}")).map_err(|error| Usage(format!("-L {level}: {}", error.message)))?;
    }
    let prints_events = args.events.as_deref().is_some_and(cmd::events::is_standard_output);
    if prints_events && args.json {
        return Err(Usage(
            "--events - and --json: both write to standard output, expected one of them. Write the events into a file, or leave --json away: the last event has the totals"
                .into(),
        )
        .into());
    }
    let outputs = args.outputs.clone();
    let options = Plan {
        spider,
        spider_file: path.clone(),
        settings,
        outputs: args.outputs,
        existing: Existing { overwrite: args.overwrite, append: args.append },
        state: args.state,
        policy: args.policy,
        workers: args.workers,
        fresh: args.fresh,
        replay: None,
        backfill: None,
        events: args.events,
        allow_commands: args.allow_commands,
    };
    let report = crawl(options, args.quiet)?;
    if args.json {
        crate::out::line!("{}", serde_json::to_string(&stats_json(&report))?);
    } else if prints_events {
        crate::out::err!("{}", stats_text(&report).trim_end());
    } else {
        crate::out::text!("{}", stats_text(&report));
        for line in cmd::advice::of_unfinished_feeds(&outputs) {
            crate::out::line!("{line}");
        }
    }
    Ok(code(report.outcome))
}

/// What becomes of feed files that exist.
#[derive(Clone, Copy, Default)]
pub struct Existing {
    pub overwrite: bool,
    pub append: bool,
}

/// A crawl as commands ask for it.
pub struct Plan {
    pub spider: Arc<Spider>,
    /// Where it was read.
    pub spider_file: PathBuf,
    pub settings: Settings,
    pub outputs: Vec<String>,
    pub existing: Existing,
    pub state: Option<PathBuf>,
    pub policy: Option<PathBuf>,
    pub workers: usize,
    pub fresh: bool,
    /// Dead letters instead of start URLs.
    pub replay: Option<Replay>,
    /// Locations to look up instead of start URLs.
    pub backfill: Option<Backfill>,
    /// A line an event.
    pub events: Option<PathBuf>,
    /// Programs that the spider file names may be started.
    pub allow_commands: bool,
}

/// Runs a crawl with progress on standard error.
pub fn crawl(plan: Plan, quiet: bool) -> anyhow::Result<CrawlReport> {
    if !(1..=64).contains(&plan.workers) {
        return Err(Usage(format!("--workers {}: expected 1 to 64", plan.workers)).into());
    }
    start_log(plan.settings.log_level);
    // Progress is information: who asks for warnings alone gets none.
    let quiet = quiet || plan.settings.log_level < LogLevel::Info;
    let name = plan.spider.name().to_owned();
    let outputs = if plan.outputs.is_empty() { vec![format!("sqlite:{name}.db")] } else { plan.outputs };
    let made_by = made_by(&plan.spider_file, &outputs);
    let split = outputs.iter().map(|url| split_required(url)).collect::<Result<Vec<_>, _>>();
    let (outputs, required): (Vec<String>, Vec<bool>) = split.map_err(wrong_sink)?.into_iter().unzip();
    let urls = outputs.iter().map(|url| SinkUrl::parse(url)).collect::<Result<Vec<_>, _>>();
    let urls = urls.map_err(wrong_sink)?;
    let state = plan.state.unwrap_or_else(|| Path::new(".weir").join(&name));
    cmd::places::check(&outputs, &urls, plan.events.as_deref(), &state)?;
    let feeds = cmd::feeds::Feeds::new(&plan.settings, plan.spider.args(), plan.existing, &state);
    feeds.check(&urls)?;
    let opened = urls.into_iter().map(|url| open_sink(url, &feeds)).collect::<Result<Vec<_>, _>>();
    let opened = opened.map_err(wrong_sink)?;
    let sinks = opened.into_iter().zip(required).map(|(sink, required)| Output::new(sink, required)).collect();
    let laws = read_law(plan.policy.as_deref(), plan.settings.profile)?;
    if plan.backfill.is_none() {
        require_agent(&plan.settings, &plan.spider)?;
    }
    let events = plan.events.as_deref().map(cmd::events::open).transpose()?;
    let geocoding = cmd::geocode::options(&plan.settings, &plan.spider)?;
    let options = CrawlOptions {
        geocoding,
        compute: ComputeOptions { allow_commands: plan.allow_commands, ..ComputeOptions::default() },
        spider: plan.spider,
        settings: plan.settings,
        laws,
        state,
        sinks,
        workers: plan.workers,
        fresh: plan.fresh,
        replay: plan.replay,
        backfill: plan.backfill,
        made_by: Some(made_by),
        events,
        stop: signals::stop_flag()?,
    };
    let mut watcher = Watcher { display: Display::new(quiet) };
    let result = weir_driver::crawl(options, &mut watcher);
    watcher.display.end();
    result.map_err(|error| match error {
        weir_driver::CrawlError::Usage(text) => anyhow::Error::new(Usage(text)),
        other if cmd::advice::is_forbidden(&other) => anyhow::Error::new(Usage(other.to_string())),
        other => anyhow::Error::new(other),
    })
}

fn wrong_sink(error: SinkError) -> Usage {
    Usage(error.to_string())
}

/// What is kept with the job, so that a command on its state can do something for it again.
fn made_by(spider_file: &Path, outputs: &[String]) -> MadeBy {
    let folder = std::env::current_dir().unwrap_or_default();
    MadeBy {
        spider_file: folder.join(spider_file).display().to_string(),
        folder: folder.display().to_string(),
        outputs: outputs.iter().map(|output| redact(output)).collect(),
    }
}

/// The name under which a state knows a sink of a job with these arguments.
pub fn name_of(output: &str, args: &BTreeMap<String, String>) -> Result<String, Usage> {
    Ok(sink_of(output, args)?.describe().url)
}

/// A sink as it was named by a job with these arguments, to be asked and read; it is not opened.
pub fn sink_of(output: &str, args: &BTreeMap<String, String>) -> Result<Box<dyn Sink>, Usage> {
    let (url, _) = split_required(output).map_err(wrong_sink)?;
    let feeds = cmd::feeds::Feeds::new(&Settings::default(), args, Existing::default(), Path::new(""));
    SinkUrl::parse(&url).and_then(|url| open_sink(url, &feeds)).map_err(wrong_sink)
}

/// The file of a sink that is one.
pub fn file_of(output: &str) -> Option<PathBuf> {
    match SinkUrl::parse(output).ok()? {
        SinkUrl::Feed(FeedUrl { place: FeedPlace::File(path), .. }) | SinkUrl::Sqlite { path, .. } => Some(path),
        SinkUrl::Feed(_) | SinkUrl::Server { .. } => None,
    }
}

pub fn start_log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
    };
    // A second crawl in one process (the demo) keeps the first one's log.
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    let _ = log.with_ansi(terminal).try_init();
}

pub fn open_sink(url: SinkUrl, feeds: &cmd::feeds::Feeds) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match url {
        SinkUrl::Server { kind: ServerKind::Mysql, url } => Box::new(weir_mysql::MysqlSink::from_url(&url)?),
        SinkUrl::Server { kind: ServerKind::Elasticsearch, url } => {
            Box::new(weir_elasticsearch::ElasticsearchSink::from_url(&url)?)
        }
        SinkUrl::Server { kind: ServerKind::Redis, url } => Box::new(weir_redis::RedisSink::from_url(&url)?),
        SinkUrl::Sqlite { path, add_columns: true } => Box::new(weir_sqlite::SqliteSink::new(path).with_new_columns()),
        SinkUrl::Sqlite { path, add_columns: false } => Box::new(weir_sqlite::SqliteSink::new(path)),
        SinkUrl::Feed(feed) => feeds.sink(&feed)?,
    })
}

/// The policy file; without one, the default law that `profile` names.
pub fn read_policy(path: Option<&Path>, profile: Profile) -> anyhow::Result<Policy> {
    Ok(read_law(path, profile)?.policy)
}

/// As `read_policy`, to be watched.
pub fn read_law(path: Option<&Path>, profile: Profile) -> anyhow::Result<LawOptions> {
    let (text, name) = match path {
        Some(path) => (cmd::files::read(path, "a policy file")?, path.display().to_string()),
        None if profile == Profile::Broad => ("profile = \"broad\"".to_owned(), "profile".to_owned()),
        None => return Ok(LawOptions::default()),
    };
    let policy = Policy::parse_file(&text, &name).map_err(|error| Usage(error.to_string()))?;
    let hash = ContentHash::of(text.as_bytes());
    Ok(LawOptions { policy, file: path.map(|path| PolicyFile { path: path.to_owned(), hash }) })
}

/// Outside loopback a crawler says who it is and how it can be reached.
pub fn require_agent(settings: &Settings, spider: &Spider) -> anyhow::Result<()> {
    let outside = weir_driver::fetching::start_hosts(spider).into_iter().find(|host| !is_loopback(host));
    let Some(host) = outside else { return Ok(()) };
    match settings.user_agent.as_deref() {
        Some(agent) if agent.contains('@') || agent.contains("://") => Ok(()),
        given => Err(Usage(format!(
            "{host} is not on this machine: set user_agent with a contact, for example -s user_agent=\"{}-bot (+mailto:you@example.com)\"{}",
            spider.name(),
            given.map_or(String::new(), |agent| format!("; it is {agent:?}, without an address or URL"))
        ))
        .into()),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

struct Watcher {
    display: Display,
}

impl Observer for Watcher {
    fn progress(&mut self, progress: &Progress) {
        self.display.show(progress);
    }

    fn log(&mut self, line: &LogLine) {
        self.display.line(&log_line(line));
    }

    fn say(&mut self, text: &str) {
        self.display.line(&format!("weir: {text}"));
    }
}

/// The crawl log as Scrapy's users know it.
fn log_line(line: &LogLine) -> String {
    match line {
        LogLine::Crawled { status, url, referer } => {
            format!("Crawled ({status}) <GET {url}> (referer: {})", referer.as_deref().unwrap_or("None"))
        }
        LogLine::Redirecting { status, url, target } => {
            format!("Redirecting ({status}) to <GET {target}> from <GET {url}>")
        }
        LogLine::Retrying { url, attempts, reason } => {
            format!("Retrying <GET {url}> (failed {attempts} times): {reason}")
        }
        LogLine::Rejected { reason, url, detail } => {
            // A detail often begins with its reason: `status` and `status 404`.
            let reason = if detail.starts_with(reason.as_str()) { "" } else { reason.as_str() };
            format!("Rejected <GET {url}>: {}", format!("{reason} {detail}").trim())
        }
    }
}

/// The exit code of an outcome.
pub fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Finished => exit::FINISHED,
        Outcome::Shutdown => exit::INTERRUPTED,
        Outcome::Failed => exit::FAILED,
        _ => exit::STOPPED,
    }
}

/// The counters of a crawl, by the names that the docs list.
fn stats(report: &CrawlReport) -> Vec<(String, u64)> {
    report.figures.named(report.redelivered)
}

fn stats_json(report: &CrawlReport) -> serde_json::Value {
    let counters: serde_json::Map<_, _> = stats(report).into_iter().map(|(name, count)| (name, count.into())).collect();
    serde_json::json!({
        "job": report.job,
        "continued": report.continued,
        "outcome": report.outcome.as_str(),
        "failure": report.failure,
        "seconds": report.elapsed.as_secs_f64(),
        "stats": counters,
    })
}

/// The closing stats and the outcome, for a person.
pub fn stats_text(report: &CrawlReport) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "stats of job {}{}:", report.job, if report.continued { " (continued)" } else { "" });
    for (name, count) in stats(report) {
        let _ = writeln!(out, "  {name:<40} {count:>12}");
    }
    for (counter, (count, example)) in weir_driver::notes(&report.figures) {
        if counter == "geocode/unanswered" {
            let _ = writeln!(
                out,
                "note: {count} items have no location since nobody answered for their addresses: geo_pipeline/errors and the log say more"
            );
        } else if counter == "items/missed" {
            let _ = writeln!(
                out,
                "note: {count} items did not reach {example} while it was away; it is not required, and the next crawl brings them"
            );
        } else if counter == "dead_letters/beyond" {
            let _ =
                writeln!(out, "note: {count} dead letters found no room (dead_letters.bytes_max), first: {example}");
        } else if counter == "items/delisted"
            || counter.starts_with("backfill/")
            || counter.starts_with("geo_pipeline/")
            || (counter.starts_with("compute/") && example.is_empty())
            || (counter.starts_with("geocode/") && example.is_empty())
        {
            // Counters, not remarks.
        } else if counter == "geocode/not_configured" {
            let _ = writeln!(
                out,
                "note: {count} pages have items with a geocode field and no provider is configured (settings geocode.*): location is null"
            );
        } else {
            let _ = writeln!(out, "note: {counter}: {count}, first: {example}");
        }
    }
    for note in cmd::advice::of_stats(&stats(report)) {
        let _ = writeln!(out, "note: {note}");
    }
    if let Some(failure) = &report.failure {
        let _ = writeln!(out, "failed: {failure}");
    }
    let _ = writeln!(out, "outcome: {} after {:.1} s", report.outcome.as_str(), report.elapsed.as_secs_f64());
    if report.outcome == Outcome::Shutdown || report.outcome == Outcome::Failed {
        let _ = writeln!(out, "the same command goes on where this run stopped");
    }
    out
}
