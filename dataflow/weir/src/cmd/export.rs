//! `weir export`: a job's items as one file, read back from a sink that holds them.
//!
//! Decides which sink is read and which types and fields are written; the bytes are a feed's. Invariant: a file is complete or not there,
//! and what it lacks is told.

mod choice;
mod target;

pub use choice::source;

use crate::cmd::{Usage, crawl, numbers, state_dir};
use crate::exit;
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use weir_connector::JobInfo;
use weir_driver::{CrawlError, Document, ExportOptions, Exported, JobEntry};
use weir_model::{Item, JobId};

/// Write a job's items as a file, from a sink that holds them
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  weir export --format csv > items.csv\n  weir export 3 --state .weir/properties -o items.parquet --fields title,price,location\n  weir export 1 --from redis://localhost/0 -o items.jsonl.gz\n\nExit codes: 0 written, 2 usage, 4 failed, 5 written, but something is missing"
)]
pub struct Args {
    /// The job's number; the newest crawl when it is left out
    #[arg(value_parser = numbers::job)]
    job: Option<u64>,
    /// The format: csv, json, jsonl, xml or parquet. Default: by the file's name
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// The file, .gz or .zst behind it compresses; `-`: standard output
    #[arg(short = 'o', value_name = "FILE", default_value = "-")]
    output: String,
    /// Replace the file if it exists
    #[arg(long)]
    overwrite: bool,
    /// State directory of the crawl. Default: the only one under .weir
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Items of this type alone
    #[arg(long, value_name = "TYPE")]
    item: Option<String>,
    /// These fields alone, in this order
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    fields: Vec<String>,
    /// The job's sink that is read. Default: its SQLite file, else the first other one that keeps a row an item
    #[arg(long, value_name = "SINK")]
    from: Option<String>,
}

/// Items handed to the writer at once, and so many lots may wait for it.
const LOT_ITEMS: usize = 1_000;
const LOT_BYTES: usize = 1 << 20;
const LOTS: usize = 4;

pub fn run(args: Args) -> anyhow::Result<u8> {
    let state = state_dir::choose(args.state)?;
    let document = Document::peek(&state)?;
    let entry = job_of(&document, args.job, &state)?;
    let target = target::Target::parse(&args.output, args.format.as_deref(), args.overwrite)?;
    let chosen = choice::Choice::new(&entry.schemas, args.item.as_deref(), &args.fields)
        .map_err(|what| Usage(format!("job {}: {what}", entry.id)))?;
    let source = source(entry, args.from.as_deref())?;
    let sink = crawl::sink_of(&source, &entry.args)?;
    let info = JobInfo {
        // Not the job's own: its feeds may be unfinished beside this file.
        state: !document.state_id(),
        job: JobId(entry.id),
        spider: entry.spider.clone(),
        started: entry.started,
        schemas: chosen.schemas.clone(),
        resume: None,
    };
    let mut writer = target.open(&info)?;
    let (lots, inbox) = sync_channel::<Vec<Arc<Item>>>(LOTS);
    let writing = std::thread::Builder::new().name("export".to_owned()).spawn(move || {
        for lot in inbox {
            if let Err(error) = writer.write(&lot) {
                return (writer, Err(error));
            }
        }
        (writer, Ok(()))
    })?;
    let mut lot = Lot { items: Vec::new(), bytes: 0, lots };
    let options = ExportOptions { state, job: entry.id, sink, item: chosen.item };
    let read = weir_driver::export(options, &mut |item| {
        if let Some(item) = chosen.project(item) {
            lot.push(item);
        }
    });
    lot.send();
    drop(lot);
    let (writer, written) = writing.join().map_err(|_| anyhow::anyhow!("the writer's thread has panicked"))?;
    let result = read.map_err(usage).and_then(|found| written.map(|()| found));
    match result {
        Ok(found) => {
            let refused = writer.finish()?;
            Ok(told(&found, entry, &source, &refused))
        }
        Err(error) => {
            writer.discard();
            Err(error)
        }
    }
}

/// Items on their way to the writer.
struct Lot {
    items: Vec<Arc<Item>>,
    bytes: usize,
    lots: std::sync::mpsc::SyncSender<Vec<Arc<Item>>>,
}

impl Lot {
    fn push(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.items.push(Arc::new(item));
        if self.items.len() >= LOT_ITEMS || self.bytes >= LOT_BYTES {
            self.send();
        }
    }

    fn send(&mut self) {
        self.bytes = 0;
        // A writer that is gone has said why.
        let _ = self.lots.send(std::mem::take(&mut self.items));
    }
}

fn usage(error: CrawlError) -> anyhow::Error {
    match error {
        CrawlError::Usage(text) => Usage(text).into(),
        other => other.into(),
    }
}

/// The job that is meant: a replay or a backfill only by its number.
fn job_of<'a>(document: &'a Document, job: Option<u64>, state: &std::path::Path) -> Result<&'a JobEntry, Usage> {
    let known = || {
        let jobs = document.jobs.iter().map(|job| format!("{} ({})", job.id, job.spider));
        let jobs: Vec<String> = jobs.collect();
        if jobs.is_empty() { "none".to_owned() } else { jobs.join(", ") }
    };
    match job {
        Some(job) => document.job(job).ok_or_else(|| {
            Usage(format!("job {job}: {} has no such job, expected one of: {}", state.display(), known()))
        }),
        None => {
            let mut crawls = document.begun().filter(|job| !job.replays && job.backfills.is_none());
            crawls.next_back().ok_or_else(|| Usage(format!("{} has no job yet", state.display())))
        }
    }
}

/// Says on standard error what the file has and what it lacks.
fn told(found: &Exported, entry: &JobEntry, source: &str, refused: &target::Refused) -> u8 {
    let source = weir_connector::redact(source);
    crate::out::err!(
        "weir: {} items of job {} ({}) from {source}",
        found.items - refused.count,
        entry.id,
        entry.spider
    );
    let mut code = exit::FINISHED;
    if found.lacking > 0 {
        code = exit::DIFFERS;
        crate::out::err!(
            "weir: {} items of the job are not in {source}: `weir audit {}` names them",
            found.lacking,
            entry.id
        );
    } else if found.items == 0 {
        crate::out::err!("weir: an item that a later job has found again is that job's: name the newest");
    }
    for (field, (count, first)) in &found.foreign {
        code = exit::DIFFERS;
        crate::out::err!(
            "weir: {field}: {count} values are not what a crawl writes there and are left empty, first: {first}"
        );
    }
    if refused.count > 0 {
        code = exit::DIFFERS;
        crate::out::err!("weir: {} items cannot be written in this format, first: {}", refused.count, refused.first);
    }
    code
}
