//! `weir jobs` and `weir cancel`: how the jobs of a deployment go, and their end.

use crate::cmd::deployment::{Deployment, Which, runtime};
use crate::cmd::enqueue::{code, told};
use crate::cmd::prices::{Tariff, bill_json, bill_text, dollars};
use crate::cmd::{Usage, numbers};
use crate::exit;
use clap::{Args as ClapArgs, Subcommand};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use weir_cost::{Architecture, Bill, Fleet, Rates};
use weir_driver::SystemClock;
use weir_driver::remote::client::JobView;
use weir_driver::remote::measured;
use weir_model::{Clock, JobId, UnixMs};

/// List the jobs of a deployment, or show one
#[derive(ClapArgs)]
#[command(after_help = "Examples:\n  weir jobs\n  weir jobs show 3 --json", args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// As one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

#[derive(Subcommand)]
enum Command {
    /// Show a job with its counters
    #[command(after_help = "Example:\n  weir jobs show 3")]
    Show {
        /// Its number
        #[arg(value_parser = numbers::job)]
        job: u64,
        /// As one JSON document
        #[arg(long)]
        json: bool,
        /// One's own prices, in the form of infra/prices.toml
        #[arg(long, value_name = "FILE")]
        prices: Option<PathBuf>,
        #[command(flatten)]
        which: Which,
    },
}

/// End a job of a deployment: what is queued is abandoned, what is stored stays
#[derive(ClapArgs)]
#[command(after_help = "Example:\n  weir cancel 3")]
pub struct CancelArgs {
    /// Its number
    #[arg(value_parser = numbers::job)]
    job: u64,
    #[command(flatten)]
    which: Which,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    let runtime = runtime()?;
    match args.command {
        None => {
            let deployment = args.which.read()?;
            let jobs = runtime.block_on(async {
                let aws = deployment.aws().await?;
                deployment.client(&aws).jobs(args.limit).await.map_err(told)
            })?;
            if args.json {
                let tariff = tariff(None, &deployment);
                let shown = |(job, view): &(JobId, Result<JobView, String>)| match view {
                    Ok(view) => view_json(view, &tariff),
                    Err(error) => serde_json::json!({ "job": job, "error": error }),
                };
                let jobs: Vec<_> = jobs.iter().map(shown).collect();
                crate::out::line!("{}", serde_json::Value::Array(jobs));
            } else {
                crate::out::text!("{}", list_text(&jobs, &deployment.stack, &tariff(None, &deployment)));
            }
            Ok(exit::FINISHED)
        }
        Some(Command::Show { job, json, prices, which }) => {
            let deployment = which.read()?;
            let tariff = match &prices {
                Some(path) => Ok(Tariff::find(Some(path.as_path()), Some(deployment.region.clone()))?),
                None => tariff(None, &deployment),
            };
            let view = runtime.block_on(async {
                let aws = deployment.aws().await?;
                deployment.client(&aws).job(JobId(job)).await.map_err(told)
            })?;
            if json {
                crate::out::line!("{}", view_json(&view, &tariff));
            } else {
                crate::out::text!("{}", view_text(&view, &tariff));
            }
            Ok(view.outcome().map_or(exit::FINISHED, code))
        }
    }
}

pub fn cancel(args: CancelArgs) -> anyhow::Result<u8> {
    let deployment = args.which.read()?;
    // The moment and the process: no two commands have both.
    let id = format!("cancel-{}-{}", SystemClock::start().now().0, std::process::id());
    let job = args.job;
    let before = runtime()?.block_on(async {
        let aws = deployment.aws().await?;
        let client = deployment.client(&aws);
        // How it goes may be unreadable; it is cancelled all the same.
        let before = client.job(JobId(job)).await.ok();
        if before.as_ref().is_none_or(|view| view.outcome().is_none()) {
            client.cancel(JobId(job), &id).await.map_err(told)?;
        }
        anyhow::Ok(before)
    })?;
    let (state, outcome) = before.map_or(("in an unknown state", None), |view| (view.state(), view.outcome()));
    match outcome {
        Some(outcome) => crate::out::line!("job {job} had ended before: {}; nothing changes", outcome.as_str()),
        None => {
            crate::out::line!(
                "job {job} was {state}: the stages are told; weir jobs show {job} says when it has ended"
            );
        }
    }
    Ok(exit::FINISHED)
}

fn list_text(jobs: &[(JobId, Result<JobView, String>)], stack: &str, tariff: &Found) -> String {
    if jobs.is_empty() {
        return format!("no jobs in {stack}; weir enqueue SPIDER.toml opens one\n");
    }
    let mut out = format!(
        "{:>6}  {:<20} {:<22} {:>10} {:>10} {:>10}  {}\n",
        "job", "spider", "state", "pages", "items", "cost", "enqueued"
    );
    for (job, view) in jobs {
        let view = match view {
            Ok(view) => view,
            Err(error) => {
                let _ = writeln!(out, "{:>6}  ? {error}", job.0);
                continue;
            }
        };
        let header = &view.document.header;
        let items = view.stats().get("items/scraped").copied().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:>6}  {:<20} {:<22} {:>10} {:>10} {:>10}  {}",
            header.job.0,
            header.spider,
            view.state(),
            view.pages(),
            items,
            tariff.as_ref().map_or_else(|_| "?".to_owned(), |tariff| dollars(bill(view, tariff).total())),
            date(header.opened_at)
        );
    }
    out
}

/// Prices, or why there are none: a job is shown without them, too.
pub type Found = Result<Tariff, Usage>;

/// The prices of a deployment's region.
pub fn tariff(prices: Option<&Path>, deployment: &Deployment) -> Found {
    Tariff::find(prices, Some(deployment.region.clone()))
}

/// What a job has cost so far. The deployment is taken to be as `infra/` makes it.
fn bill(view: &JobView, tariff: &Tariff) -> Bill {
    let named = view.parts.iter().find_map(|part| Architecture::parse(&part.architecture));
    let fleet = Fleet { stages: f64::from(view.document.stages.max(1)), ..Fleet::default() };
    let usage = measured(&view.parts).usage(&fleet, &Rates::default());
    Bill::of(&usage, &tariff.prices, named.unwrap_or_default())
}

/// A job for a person: what it is, how it stands, its counters.
pub fn view_text(view: &JobView, tariff: &Found) -> String {
    let header = &view.document.header;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "job {} of spider {:?}: {}", header.job.0, header.spider, view.state());
    let taken: u32 = view.parts.iter().map(|part| part.shards_taken).sum();
    let _ = writeln!(
        out,
        "  enqueued {}, {} start URLs, {taken} of {} shards taken",
        date(header.opened_at),
        view.document.start_urls,
        view.document.shards
    );
    let args: Vec<String> =
        header.args.iter().map(|(name, value)| format!("-a {name}={}", shown(name, value))).collect();
    let settings = header.settings.iter().map(|(name, value)| format!("-s {name}={value}"));
    let given: Vec<String> = args.into_iter().chain(settings).collect();
    if !given.is_empty() {
        let _ = writeln!(out, "  {}", given.join(" "));
    }
    for part in view.parts.iter().filter(|_| view.document.stages > 1) {
        let state = part.outcome.map_or("running", weir_model::Outcome::as_str);
        let _ = writeln!(out, "  stage {}: {state}, {} queued, {} under way", part.stage, part.queued, part.in_flight);
    }
    for (name, count) in view.stats() {
        let _ = writeln!(out, "  {name:<40} {count:>12}");
    }
    match tariff {
        Ok(tariff) => {
            let (region, date) = (&tariff.region, &tariff.date);
            let _ = writeln!(out, "cost so far, by list prices of {region} as of {date}:");
            out.push_str(&bill_text(&bill(view, tariff)));
        }
        Err(error) => {
            let _ = writeln!(out, "cost so far: {error}");
        }
    }
    if let Some(budget) = header.settings.get("budget") {
        let _ = writeln!(out, "  {:<38} {budget:>12}", "budget, in dollars");
    }
    for (part, failure) in view.parts.iter().filter_map(|part| Some((part, part.failure.as_ref()?))) {
        let what = if part.outcome.is_some() { "failed" } else { "waits" };
        let _ = writeln!(out, "{what}: {failure}");
    }
    if let Some(outcome) = view.outcome() {
        let _ = writeln!(out, "outcome: {} after {:.1} s", outcome.as_str(), view.seconds());
    }
    out
}

/// A value as it may be shown: that of an argument whose name sounds secret is starred.
fn shown(name: &str, value: &str) -> String {
    let pair = weir_connector::redact(&format!("?{name}=x"));
    if pair.ends_with("=x") { value.to_owned() } else { "***".to_owned() }
}

/// A job for a script.
pub fn view_json(view: &JobView, tariff: &Found) -> serde_json::Value {
    let document = &view.document;
    let dollars = match tariff {
        Ok(tariff) => {
            let mut dollars = bill_json(&bill(view, tariff));
            dollars["region"] = tariff.region.clone().into();
            dollars["prices_date"] = tariff.date.clone().into();
            dollars
        }
        Err(error) => serde_json::json!({ "error": error.to_string() }),
    };
    let args: std::collections::BTreeMap<&String, String> =
        document.header.args.iter().map(|(name, value)| (name, shown(name, value))).collect();
    serde_json::json!({
        "dollars": dollars,
        "budget": document.header.settings.get("budget"),
        "job": document.header.job,
        "spider": document.header.spider,
        "args": args,
        "settings": document.header.settings,
        "opened_at_ms": document.header.opened_at,
        "shards": document.shards,
        "start_urls": document.start_urls,
        "state": view.state(),
        "outcome": view.outcome(),
        "seconds": view.seconds(),
        "stats": view.stats(),
        "stages": view.parts,
    })
}

/// `2026-11-21 12:00:00Z` (civil calendar from days, after Hinnant's algorithm).
fn date(at: UnixMs) -> String {
    let seconds = at.0 / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sounds_secret_is_not_shown() {
        assert_eq!((shown("area", "leeds").as_str(), shown("shop_Password", "hunter2").as_str()), ("leeds", "***"));
        assert_eq!(shown("q", "a=b&c?token=1"), "a=b&c?token=1");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_400_000, "2000-02-29 00:00:00Z"),
            (1_795_262_399_000, "2026-11-21 11:59:59Z"),
        ] {
            assert_eq!(date(UnixMs(ms)), text);
        }
    }
}
