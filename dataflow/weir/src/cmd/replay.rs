//! `weir dead-letters replay`: a job of its own on the same state, with letters instead of start URLs.
//!
//! Letters of jobs with the same spider, arguments and sinks go together. What an interrupted replay has not finished is finished
//! first.

use crate::cmd::crawl::{self, Existing, Plan};
use crate::cmd::deployment::Which;
use crate::cmd::{self, Usage, dead_letters, deployed_letters, state_dir};
use crate::exit;
use clap::Args as ClapArgs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use weir_connector::{FeedPlace, FeedUrl, SinkUrl, identity, is_starred, split_required};
use weir_driver::{Content, Document, JobEntry, KeptLetter, Replay};

#[derive(ClapArgs)]
pub struct Args {
    /// Numbers of the letters, as `list` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// State directory of the crawl. Default: the deployment of .weir/deployment.toml, or the only state under .weir
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// The spider file. Default: the job's
    #[arg(long, value_name = "SPIDER.toml")]
    spider: Option<PathBuf>,
    /// The sinks, as at the crawl; may be repeated. Default: the job's, when no password stood in them
    #[arg(short = 'o', value_name = "SINK", allow_hyphen_values = true)]
    outputs: Vec<String>,
    /// Setting, as at the crawl; may be repeated
    #[arg(short = 's', value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Who may be asked how often, as at the crawl
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Let the spider file start the programs that its computations name
    #[arg(long)]
    allow_commands: bool,
    /// Follow links on pages that are fetched again
    #[arg(long)]
    follow: bool,
    /// No progress, only the outcome
    #[arg(short, long)]
    quiet: bool,
}

/// Letters that one job can carry.
struct Group {
    job: JobEntry,
    ids: Vec<u64>,
    /// Sinks that are needed; `None`: all of the job.
    sinks: Option<Vec<String>>,
}

impl Args {
    /// Those that are named; `None`: all.
    pub fn ids(&self) -> Option<&[String]> {
        (!self.all).then_some(&self.ids[..])
    }

    pub fn follow(&self) -> bool {
        self.follow
    }

    /// Settings for the job of a deployment, which has the spider of the job before and the sinks of its stage.
    pub fn settings(&self) -> Result<BTreeMap<String, String>, Usage> {
        let others = [
            ("--spider", self.spider.is_some()),
            ("-o", !self.outputs.is_empty()),
            ("--policy", self.policy.is_some()),
            ("--allow-commands", self.allow_commands),
        ];
        match others.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Usage(format!(
                "{name}: a deployment's letters enter with the spider of their job, by the sinks and the law of their stage; leave it out, \
                 or name a state with --state"
            ))),
            None => deployed_letters::settings(&self.settings),
        }
    }
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    if let Some(deployment) = dead_letters::deployment(args.state.as_deref(), &args.which)? {
        return deployed_letters::replay(&deployment, &args);
    }
    let ids = dead_letters::numbers(&args.ids)?;
    let state = state_dir::choose(args.state.clone())?;
    let document = Document::peek(&state)?;
    let found = dead_letters::read(&state)?;
    let chosen: Vec<&KeptLetter> = if args.all {
        found.letters.values().collect()
    } else {
        ids.iter()
            .map(|id| {
                found.letters.get(id).ok_or_else(|| {
                    Usage(format!("there is no dead letter {id}; `weir dead-letters list` shows those that are there"))
                })
            })
            .collect::<Result<_, _>>()?
    };
    let mut groups: Vec<Group> = document
        .jobs
        .iter()
        .filter(|job| job.replays && job.outcome.is_none())
        .map(|job| Group { job: job.clone(), ids: Vec::new(), sinks: None })
        .collect();
    if chosen.is_empty() && groups.is_empty() {
        crate::out::line!("no dead letters");
        return Ok(exit::FINISHED);
    }
    groups.extend(grouped(&document, &chosen)?);
    let mut worst = exit::FINISHED;
    for group in groups {
        let code = replay(&args, &state, &document, group)?;
        worst = worst.max(code);
        if code == exit::INTERRUPTED {
            break;
        }
    }
    let left = dead_letters::read(&state)?;
    let again = left.letters.keys().filter(|id| !found.letters.contains_key(id)).count();
    crate::out::line!(
        "dead letters: {} before, {} entered again, {again} of them went wrong again, {} now",
        found.letters.len(),
        found.letters.keys().filter(|id| !left.letters.contains_key(id)).count(),
        left.letters.len()
    );
    Ok(worst)
}

fn grouped(document: &Document, chosen: &[&KeptLetter]) -> anyhow::Result<Vec<Group>> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for kept in chosen {
        let Some(job) = document.job(kept.letter.job.0) else {
            return Err(Usage(format!(
                "dead letter {}: the state does not know its job {}, expected one of its own",
                kept.letter.id, kept.letter.job.0
            ))
            .into());
        };
        let key = serde_json::to_string(&(&job.spider, &job.args, &job.sinks, &job.made_by))?;
        let group =
            groups.entry(key).or_insert_with(|| Group { job: job.clone(), ids: Vec::new(), sinks: Some(Vec::new()) });
        group.ids.push(kept.letter.id);
        match (&kept.letter.content, &kept.sink, &mut group.sinks) {
            (Content::Item { .. }, Some(sink), Some(sinks)) => {
                if !sinks.contains(sink) {
                    sinks.push(sink.clone());
                }
            }
            // What a page yields goes everywhere.
            _ => group.sinks = None,
        }
    }
    Ok(groups.into_values().collect())
}

fn replay(args: &Args, state: &Path, document: &Document, group: Group) -> anyhow::Result<u8> {
    let job = &group.job;
    let made_by = job.made_by.clone().unwrap_or_default();
    let spider_file = match &args.spider {
        Some(path) => path.clone(),
        None if made_by.spider_file.is_empty() => {
            return Err(Usage(format!("job {}: its spider file is not known; name it with --spider", job.id)).into());
        }
        None => PathBuf::from(&made_by.spider_file),
    };
    let arguments: Vec<(String, String)> = job.args.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let spider = cmd::load_spider(&spider_file, &arguments)?;
    let settings = cmd::settings(&spider_file, &spider, &args.settings)?;
    let outputs = if args.outputs.is_empty() { outputs_of(job, &made_by)? } else { args.outputs.clone() };
    let outputs = match &group.sinks {
        Some(needed) => {
            let mut kept = Vec::new();
            let needed: Vec<String> = needed.iter().map(|name| identity(name)).collect();
            for output in outputs {
                if needed.contains(&identity(&crawl::name_of(&output, &job.args)?)) {
                    kept.push(output);
                }
            }
            kept
        }
        None => outputs,
    };
    if outputs.is_empty() {
        let names: Vec<&str> = job.sinks.iter().filter_map(|at| document.place(job, *at)).collect();
        return Err(
            Usage(format!("job {}: no sink of it is among -o; its sinks are {}", job.id, names.join(", "))).into()
        );
    }
    if args.outputs.is_empty() {
        check_feeds(job, &outputs)?;
    }
    let plan = Plan {
        spider,
        spider_file,
        settings,
        outputs,
        existing: Existing { overwrite: false, append: true },
        state: Some(state.to_owned()),
        policy: args.policy.clone(),
        workers: 1,
        fresh: false,
        replay: Some(Replay { ids: Some(group.ids), follow: args.follow }),
        backfill: None,
        events: None,
        allow_commands: args.allow_commands,
    };
    let report = crawl::crawl(plan, args.quiet)?;
    crate::out::text!("{}", crawl::stats_text(&report));
    Ok(crawl::code(report.outcome))
}

/// Feeds of the job that nothing can be appended to: others are to be named.
fn check_feeds(job: &JobEntry, outputs: &[String]) -> Result<(), Usage> {
    let is_closed = |output: &&String| {
        let url = split_required(output).and_then(|(url, _)| SinkUrl::parse(&url));
        let Ok(SinkUrl::Feed(FeedUrl { place: FeedPlace::File(path), format, .. })) = url else { return false };
        !format.can_append() && path.is_file()
    };
    match outputs.iter().find(is_closed) {
        Some(output) => Err(Usage(format!(
            "job {}: nothing can be appended to its feed {output}, expected JSON Lines, CSV, or parts. Name its sinks with -o, and another \
             file in the place of this one, such as -o replayed.jsonl",
            job.id
        ))),
        None => Ok(()),
    }
}

/// The sinks of a job as its command named them.
pub fn outputs_of(job: &JobEntry, made_by: &weir_driver::MadeBy) -> anyhow::Result<Vec<String>> {
    if made_by.outputs.is_empty() {
        return Err(
            Usage(format!("job {}: its sinks are not known; name them with -o, as at the crawl", job.id)).into()
        );
    }
    if let Some(output) = made_by.outputs.iter().find(|output| is_starred(output)) {
        return Err(Usage(format!(
            "job {}: what is starred in -o {output} is not kept, since it may be a password; name the sinks with -o, as at the crawl",
            job.id
        ))
        .into());
    }
    let here = std::env::current_dir().map(|folder| folder.display().to_string()).unwrap_or_default();
    let is_relative = |output: &&String| crawl::file_of(output).is_some_and(|path| path.is_relative());
    if let Some(output) = made_by.outputs.iter().find(is_relative)
        && here != made_by.folder
    {
        return Err(Usage(format!(
            "job {}: its sink {output} is meant in {}; run the command there, or name the sinks with -o",
            job.id, made_by.folder
        ))
        .into());
    }
    Ok(made_by.outputs.clone())
}
