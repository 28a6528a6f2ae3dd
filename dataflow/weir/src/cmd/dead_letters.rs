//! `weir dead-letters`: what went wrong for good. Listing reads a state's file alone, also while a crawl runs; or it asks a deployment.

use crate::cmd::deployment::{Deployment, Which};
use crate::cmd::{Usage, deployed_letters, replay, state_dir};
use crate::exit;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Map, Value as Json, json};
use std::path::{Path, PathBuf};
use weir_connector::text::version_as_time;
use weir_driver::{Content, DeadLetters, KeptLetter};
use weir_model::Value;

#[derive(Subcommand)]
#[command(after_help = "Examples:\n  weir dead-letters list\n  weir dead-letters replay --all")]
pub enum Args {
    /// Items that a sink refused or a computation failed on, and requests that were given up, oldest first; of a deployment also messages
    /// that nobody could use
    #[command(
        after_help = "Examples:\n  weir dead-letters list --state .weir/properties\n  weir dead-letters list --deployment .weir/deployment.toml"
    )]
    List(ListArgs),
    /// One of them with everything that is known, as JSON
    #[command(
        after_help = "Examples:\n  weir dead-letters show 3\n  weir dead-letters show 0/3\n  weir dead-letters show fetch/4f2c9a01"
    )]
    Show(ShowArgs),
    /// Lets them enter again: items to the sinks that refused them, requests with a fresh budget of attempts
    #[command(
        override_usage = "weir dead-letters replay [OPTIONS] <ID>...\n       weir dead-letters replay [OPTIONS] --all",
        after_help = "Examples:\n  weir dead-letters replay --all\n  weir dead-letters replay 3 7 -o mysql://me@db/portal/property\n\nA letter that enters again is gone from the list; what goes wrong again is a new one.\n\nExit codes: 0 finished, 2 usage or spider, 3 stopped early, 4 failed, 130 interrupted"
    )]
    Replay(replay::Args),
}

#[derive(ClapArgs)]
pub struct ListArgs {
    /// State directory of the crawl. Default: the deployment of .weir/deployment.toml, or the only state under .weir
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

#[derive(ClapArgs)]
pub struct ShowArgs {
    /// Its number, as `list` shows it
    id: String,
    /// State directory of the crawl. Default: the deployment of .weir/deployment.toml, or the only state under .weir
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// The deployment that is meant, unless a state is.
pub fn deployment(state: Option<&Path>, which: &Which) -> Result<Option<Deployment>, Usage> {
    match state {
        Some(_) if which.deployment.is_some() || which.stack.is_some() => {
            Err(Usage("--state and --deployment: expected one of them".into()))
        }
        Some(_) => Ok(None),
        None => which.find(),
    }
}

/// Numbers of letters in a state.
pub fn numbers(ids: &[String]) -> Result<Vec<u64>, Usage> {
    let number = |id: &String| {
        id.parse().map_err(|_| {
            Usage(format!("{id:?}: expected the number of a dead letter, as `weir dead-letters list` shows it"))
        })
    };
    ids.iter().map(number).collect()
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    match args {
        Args::List(args) => list(args),
        Args::Show(args) => show(args),
        Args::Replay(args) => replay::run(args),
    }
}

/// The letters of a state; damaged lines are said.
pub fn read(state: &std::path::Path) -> anyhow::Result<DeadLetters> {
    let found = DeadLetters::read(state)?;
    for damaged in &found.damaged {
        crate::out::err!("weir: a dead letter is lost: {damaged}");
    }
    Ok(found)
}

fn list(args: ListArgs) -> anyhow::Result<u8> {
    if let Some(deployment) = deployment(args.state.as_deref(), &args.which)? {
        return deployed_letters::list(&deployment, args.json);
    }
    let found = read(&state_dir::choose(args.state)?)?;
    if args.json {
        let letters: Vec<Json> = found.letters.values().map(shown).collect();
        crate::out::line!("{}", json!({"letters": letters, "beyond": found.beyond}));
        return Ok(exit::FINISHED);
    }
    for kept in found.letters.values() {
        crate::out::line!("{}", line(&kept.letter.id.to_string(), kept));
    }
    let count = found.letters.len();
    crate::out::line!("{count} dead letter{}", if count == 1 { "" } else { "s" });
    if found.beyond > 0 {
        crate::out::line!("{} more found no room (setting dead_letters.bytes_max)", found.beyond);
    }
    Ok(exit::FINISHED)
}

fn show(args: ShowArgs) -> anyhow::Result<u8> {
    if let Some(deployment) = deployment(args.state.as_deref(), &args.which)? {
        return deployed_letters::show(&deployment, &args.id);
    }
    let number = numbers(std::slice::from_ref(&args.id))?[0];
    let found = read(&state_dir::choose(args.state)?)?;
    let Some(kept) = found.letters.get(&number) else {
        return Err(Usage(format!(
            "there is no dead letter {}; `weir dead-letters list` shows those that are there",
            args.id
        ))
        .into());
    };
    crate::out::line!("{}", serde_json::to_string_pretty(&shown(kept))?);
    Ok(exit::FINISHED)
}

/// A letter in a list.
pub fn line(id: &str, kept: &KeptLetter) -> String {
    let job = kept.letter.job.0;
    format!("{id:>5}  job {job:<4} {}  {}  {}\n       {}", time(kept), place(kept), name(kept), kept.letter.reason)
}

fn time(kept: &KeptLetter) -> String {
    version_as_time(kept.letter.at_ms.0.saturating_mul(1000))
}

/// Where it went wrong: the sink, or the verdict.
fn place(kept: &KeptLetter) -> String {
    match &kept.letter.content {
        Content::Item { .. } => kept.sink.clone().unwrap_or_else(|| "a sink".to_owned()),
        Content::Uncomputed { by, .. } => format!("computation {by}"),
        Content::Request { verdict, .. } => verdict.as_str().to_owned(),
    }
}

/// What people call it: the URL, or the item's type and key.
fn name(kept: &KeptLetter) -> String {
    match &kept.letter.content {
        Content::Request { request, .. } => request.url.to_string(),
        Content::Item { item, .. } | Content::Uncomputed { item, .. } => {
            let kind = kept.item_type.as_deref().unwrap_or("item");
            // A letter of an older weir does not say its key.
            let url = kept.fields.iter().zip(&item.values).find_map(|(field, value)| match value {
                Value::Str(text) if field == "url" => Some(text.to_string()),
                _ => None,
            });
            format!("{kind} {}", kept.key.clone().or(url).unwrap_or_else(|| item.id.to_hex()))
        }
    }
}

/// A letter as JSON for people and scripts: values as feeds write them.
pub fn shown(kept: &KeptLetter) -> Json {
    let mut out = json!({
        "id": kept.letter.id,
        "job": kept.letter.job.0,
        "at": time(kept),
        "spider": kept.spider,
        "reason": kept.letter.reason,
    });
    match &kept.letter.content {
        Content::Item { item, .. } | Content::Uncomputed { item, .. } => {
            match &kept.letter.content {
                Content::Uncomputed { by, .. } => out["computation"] = by.clone().into(),
                _ => out["sink"] = kept.sink.clone().into(),
            }
            let mut fields = Map::new();
            for (at, value) in item.values.iter().enumerate() {
                let name = kept.fields.get(at).cloned().unwrap_or_else(|| format!("value {at}"));
                let mut text = Vec::new();
                weir_connector::text::put_value(&mut text, value, weir_connector::text::JsonStyle::default(), 0);
                fields.insert(name, serde_json::from_slice(&text).unwrap_or(Json::Null));
            }
            out["item"] = json!({
                "type": kept.item_type,
                "key": kept.key,
                "id": item.id.to_hex(),
                "version": item.version,
                "hash": format!("{:016x}", item.hash),
                "fields": fields,
            });
        }
        Content::Request { verdict, target, request } => {
            out["verdict"] = verdict.as_str().into();
            out["request"] = serde_json::to_value(request).unwrap_or(Json::Null);
            out["request"]["target"] = target.clone().into();
        }
    }
    out
}
