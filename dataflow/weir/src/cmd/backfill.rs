//! `weir geo backfill`: locations for items that were delivered without one. A job of its own on the same state: the rows of a sink instead
//! of start URLs, the geocoder's laws and caches, the job's sinks that keep a row an item.

use crate::cmd::crawl::{self, Existing, Plan};
use crate::cmd::export::source;
use crate::cmd::{self, Usage, replay, state_dir};
use clap::Args as ClapArgs;
use std::path::{Path, PathBuf};
use weir_connector::{SinkUrl, split_required};
use weir_driver::{Backfill, CrawlReport, Document, JobEntry};

/// Look up the locations that a job's items lack, without crawling
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  weir geo backfill\n  weir geo backfill 3 --state .weir/properties -s geocode.gazetteer=places.csv --limit 1000\n\nFeeds of the job stay as they are; `weir export` writes new ones.\n\nExit codes: 0 finished, 2 usage or spider, 4 failed, 130 interrupted"
)]
pub struct Args {
    /// The spider file, for its newest job, or a job's number. Default: the newest crawl that has ended
    #[arg(value_name = "SPIDER.toml|JOB")]
    what: Option<String>,
    /// State directory of the crawl. Default: the only one under .weir
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The spider file. Default: the job's
    #[arg(long, value_name = "SPIDER.toml")]
    spider: Option<PathBuf>,
    /// The sinks, as at the crawl; may be repeated. Default: the job's, when no password stood in them
    #[arg(short = 'o', value_name = "SINK", allow_hyphen_values = true)]
    outputs: Vec<String>,
    /// The sink that is read. Default: the SQLite file, else the first other one that keeps a row an item
    #[arg(long, value_name = "SINK")]
    from: Option<String>,
    /// Setting, for example geocode.gazetteer=FILE; may be repeated
    #[arg(short = 's', value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// At most so many items
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// No progress, only the outcome
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    let state = state_dir::choose(args.state)?;
    let document = Document::peek(&state)?;
    let number = args.what.as_deref().and_then(|what| what.parse().ok());
    let file = args.spider.or_else(|| args.what.filter(|_| number.is_none()).map(PathBuf::from));
    let job = job_of(&document, number, file.as_deref(), &state)?;
    let made_by = job.made_by.clone().unwrap_or_default();
    let spider_file = match file {
        Some(path) => path,
        None if made_by.spider_file.is_empty() => {
            return Err(Usage(format!("job {}: its spider file is not known; name it with --spider", job.id)).into());
        }
        None => PathBuf::from(&made_by.spider_file),
    };
    let arguments: Vec<(String, String)> = job.args.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let spider = cmd::load_spider(&spider_file, &arguments)?;
    let settings = cmd::settings(&spider_file, &spider, &args.settings)?;
    if !settings.geocode.is_configured() {
        return Err(Usage(
            "nobody is there to be asked for locations; expected a provider, a gazetteer or a cache: settings geocode.providers.NAME.*, \
             geocode.gazetteer, geocode.cache (docs/geocoding.md)"
                .into(),
        )
        .into());
    }
    let source = match (&args.from, &args.outputs[..]) {
        (None, [_, ..]) => source(&named(job, &args.outputs), None)?,
        (from, _) => source(job, from.as_deref())?,
    };
    let outputs = if args.outputs.is_empty() { replay::outputs_of(job, &made_by)? } else { args.outputs };
    let outputs: Vec<String> = outputs.into_iter().filter(|output| !is_feed(output)).collect();
    let backfill = Backfill { job: job.id, source: crawl::sink_of(&source, &job.args)?, limit: args.limit };
    let plan = Plan {
        spider,
        spider_file,
        settings,
        outputs,
        existing: Existing::default(),
        state: Some(state),
        policy: None,
        workers: 1,
        fresh: false,
        replay: None,
        backfill: Some(backfill),
        events: None,
        allow_commands: false,
    };
    let id = job.id;
    let report = crawl::crawl(plan, args.quiet)?;
    crate::out::text!("{}", crawl::stats_text(&report));
    crate::out::line!("{}", told(id, &report));
    Ok(crawl::code(report.outcome))
}

/// The job whose items are meant: of a backfill, the one that it fills.
fn job_of<'a>(
    document: &'a Document,
    number: Option<u64>,
    file: Option<&Path>,
    state: &Path,
) -> anyhow::Result<&'a JobEntry> {
    let wrong = |what: String| {
        let known: Vec<String> = document.jobs.iter().map(|job| format!("{} ({})", job.id, job.spider)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Usage(format!("{what}: {} has these jobs: {known}", state.display()))
    };
    let job = match number {
        Some(number) => {
            let number = document.job(number).and_then(|job| job.backfills).unwrap_or(number);
            document.job(number).ok_or_else(|| wrong(format!("job {number} is not there")))?
        }
        None => {
            // Its name does not hang on arguments.
            let name = file.map(|file| cmd::load_spider(file, &[])).transpose()?.map(|spider| spider.name().to_owned());
            let meant = |job: &&JobEntry| {
                !job.replays
                    && job.backfills.is_none()
                    && job.outcome.is_some()
                    && name.as_ref().is_none_or(|name| *name == job.spider)
            };
            document.jobs.iter().rev().find(meant).ok_or_else(|| wrong("no crawl of it has ended here".to_owned()))?
        }
    };
    if job.outcome.is_none() {
        return Err(Usage(format!("job {} is unfinished; go on with it first", job.id)).into());
    }
    Ok(job)
}

/// The job as if its sinks had been named so.
fn named(job: &JobEntry, outputs: &[String]) -> JobEntry {
    let mut made_by = job.made_by.clone().unwrap_or_default();
    made_by.outputs = outputs.to_vec();
    made_by.folder = std::env::current_dir().map(|folder| folder.display().to_string()).unwrap_or_default();
    JobEntry { made_by: Some(made_by), ..job.clone() }
}

fn is_feed(output: &str) -> bool {
    let url = split_required(output).and_then(|(url, _)| SinkUrl::parse(&url));
    url.is_ok_and(|url| matches!(url, SinkUrl::Feed(_)))
}

/// The figures in a sentence.
fn told(job: u64, report: &CrawlReport) -> String {
    let count = |name: &str| report.figures.notes.get(name).map_or(0, |(count, _)| *count);
    let (wanted, found) = (count("geocode/wanted"), count("geocode/found"));
    let mut out = format!(
        "job {job}: {} rows looked at, {} without a location, {found} filled, {} still without, {} provider calls",
        count("backfill/rows"),
        count("backfill/lacking"),
        wanted.saturating_sub(found),
        count("geocode/calls")
    );
    for (name, why) in [
        ("backfill/gone", "marked as gone"),
        ("backfill/other_version", "not the newest version"),
        ("backfill/altered", "not as they were written"),
        ("backfill/beyond_limit", "beyond --limit"),
    ] {
        if count(name) > 0 {
            out.push_str(&format!(", {} left as they are: {why}", count(name)));
        }
    }
    out
}
