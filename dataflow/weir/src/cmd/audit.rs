//! `weir audit`: counts and compares. What differs is told by name.

use crate::cmd::{Usage, crawl, numbers, replay, state_dir};
use crate::exit;
use clap::Args as ClapArgs;
use std::path::PathBuf;
use weir_driver::{Audit, AuditOptions, CrawlError, Document};

/// Prove a job: every URL has one verdict, every item is in every required sink with its content
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  weir audit 1\n  weir audit 3 --state .weir/properties -o items.jsonl -o mysql://me@db/portal/property\n\nExit codes: 0 it holds, 2 usage, 4 failed, 5 something differs"
)]
pub struct Args {
    /// The job's number; the newest when it is left out
    #[arg(value_parser = numbers::job)]
    job: Option<u64>,
    /// State directory of the crawl. Default: the only one under .weir
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The job's sinks, as at the crawl; may be repeated. Default: the job's, when no password stood in them
    #[arg(short = 'o', value_name = "SINK", allow_hyphen_values = true)]
    outputs: Vec<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Differences that are told to a person; `--json` has all.
const SHOWN_MAX: usize = 50;

pub fn run(args: Args) -> anyhow::Result<u8> {
    let state = state_dir::choose(args.state)?;
    let document = Document::peek(&state)?;
    let job = match args.job.or(document.begun().next_back().map(|job| job.id)) {
        Some(job) => job,
        None => return Err(Usage(format!("{} has no job yet", state.display())).into()),
    };
    let outputs = match document.job(job) {
        Some(entry) if args.outputs.is_empty() => {
            replay::outputs_of(entry, &entry.made_by.clone().unwrap_or_default())?
        }
        _ => args.outputs,
    };
    let arguments = document.job(job).map(|entry| entry.args.clone()).unwrap_or_default();
    let sinks = outputs.iter().map(|output| crawl::sink_of(output, &arguments)).collect::<Result<Vec<_>, _>>()?;
    let audit = weir_driver::audit(AuditOptions { state, job, sinks }).map_err(|error| match error {
        CrawlError::Usage(text) => anyhow::Error::new(Usage(text)),
        other => anyhow::Error::new(other),
    })?;
    if args.json {
        crate::out::line!("{}", serde_json::to_string(&audit)?);
    } else {
        crate::out::text!("{}", told(&audit));
    }
    Ok(if audit.holds { exit::FINISHED } else { exit::DIFFERS })
}

fn told(audit: &Audit) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let outcome = audit.outcome.map_or("unfinished", |outcome| outcome.as_str());
    let _ = writeln!(out, "job {} ({}), {outcome}", audit.job, audit.spider);
    let _ = writeln!(out, "  URLs: {}, verdicts: {}", audit.urls, audit.verdicts);
    let _ = writeln!(out, "  items scraped: {}, newest version from this job: {}", audit.scraped, audit.items);
    for sink in &audit.sinks {
        let role = if sink.required { "" } else { " (not required)" };
        let _ = writeln!(
            out,
            "  {}{role}: {} rows, {} as they should be, {} refused, {} differ",
            sink.name,
            sink.rows,
            sink.same,
            sink.refused,
            sink.differences.len()
        );
        if sink.unsure > 0 {
            let _ = writeln!(out, "    {} rows do not tell all their values: compared as far as they do", sink.unsure);
        }
        if let Some(failed) = &sink.failed {
            let _ = writeln!(out, "    not proved: {failed}");
        }
        for difference in sink.differences.iter().take(SHOWN_MAX) {
            let name = difference.name.as_deref().unwrap_or("an item that nothing names any more");
            let _ = writeln!(out, "    {}: {name} ({})", difference.kind, difference.id);
        }
        if sink.differences.len() > SHOWN_MAX {
            let _ = writeln!(out, "    and {} more: --json names all", sink.differences.len() - SHOWN_MAX);
        }
    }
    for complaint in &audit.complaints {
        let _ = writeln!(out, "  {complaint}");
    }
    let _ = writeln!(out, "{}", if audit.holds { "the audit holds" } else { "the audit does not hold" });
    out
}
