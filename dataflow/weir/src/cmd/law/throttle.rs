//! `weir throttle`: how often domains may be asked, read and changed while a crawl runs.

use super::table::{json, law_of, text};
use super::{Target, say};
use crate::cmd::crawl::read_policy;
use crate::exit;
use clap::{ArgGroup, Args as ClapArgs, Subcommand};
use std::path::PathBuf;
use weir_driver::Profile;
use weir_frontier::policy::parse_duration;
use weir_model::json::Control;

/// How often domains may be asked: read it, change it while a crawl runs
#[derive(Subcommand)]
#[command(
    after_help = "What a command changes is kept in the state and lies over the policy file until it is removed.\n\n\
Examples:\n  weir throttle set shop.example --hits 30 --window 60s\n  weir throttle list shop.example\n  weir throttle push law.toml --dry-run"
)]
pub enum Args {
    /// Show the law that holds for domains, and where it comes from
    #[command(after_help = "Example:\n  weir throttle list shop.example --json")]
    List(List),
    /// Give a domain a law of its own
    #[command(after_help = "Example:\n  weir throttle set shop.example --hits 60 --window 60s --scale 0.5")]
    Set(Set),
    /// Take back the laws that commands gave to domains
    #[command(after_help = "Example:\n  weir throttle remove shop.example")]
    Remove(Remove),
    /// Give another law to all domains that have none of their own
    #[command(after_help = "Example:\n  weir throttle default --hits 10 --window 60s")]
    Default(Default),
    /// Put a whole policy file in the place of the crawl's and of every change before
    #[command(after_help = "Example:\n  weir throttle push law.yaml --dry-run")]
    Push(Push),
    /// Take back everything that commands have changed: the policy file holds again
    #[command(after_help = "Example:\n  weir throttle reset")]
    Reset(Reset),
}

#[derive(ClapArgs)]
pub struct List {
    /// Only these; left out: all that a law or the crawl names
    #[arg(value_name = "DOMAIN")]
    domains: Vec<String>,
    /// As one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// A law.
#[derive(ClapArgs)]
struct Law {
    /// Requests in a window
    #[arg(long, value_name = "N", requires = "window")]
    hits: Option<u32>,
    /// The window, with its unit: 500ms, 60s, 5m, 1h
    #[arg(long, value_name = "TIME", requires = "hits")]
    window: Option<String>,
    /// Only this part of the hits: above 0, at most 1
    #[arg(long, value_name = "PART", requires = "hits")]
    scale: Option<f64>,
    /// Evenly spaced (true), or a burst and then a pause (false). Default: as the default law
    #[arg(long, value_name = "BOOL", requires = "hits")]
    moderated: Option<bool>,
}

#[derive(ClapArgs)]
#[command(group = ArgGroup::new("law").args(["hits"]).required(true))]
pub struct Set {
    /// The registered domain: its hosts share the law
    #[arg(value_name = "DOMAIN")]
    domain: String,
    #[command(flatten)]
    law: Law,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
pub struct Remove {
    /// The domains
    #[arg(value_name = "DOMAIN", required = true)]
    domains: Vec<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
#[command(group = ArgGroup::new("law").args(["hits", "reset"]).required(true))]
pub struct Default {
    #[command(flatten)]
    law: Law,
    /// As the policy file says
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
pub struct Push {
    /// The policy file: TOML, or Scrapy Cluster's .yaml
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only read it and say what it comes to
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
pub struct Reset {
    #[command(flatten)]
    target: Target,
}

impl Law {
    /// As a table of the policy file.
    fn toml(&self) -> String {
        let mut lines = Vec::new();
        if let Some(hits) = self.hits {
            lines.push(format!("hits = {hits}"));
        }
        if let Some(window) = &self.window {
            lines.push(format!("window = {}", toml::Value::String(window.clone())));
        }
        if let Some(moderated) = self.moderated {
            lines.push(format!("moderated = {moderated}"));
        }
        if let Some(scale) = self.scale {
            lines.push(format!("scale = {scale:?}"));
        }
        lines.join("\n")
    }

    fn words(&self) -> String {
        let window = self.window.as_deref().unwrap_or_default();
        let shown = parse_duration(window).map(|window| weir_frontier::policy::WithUnit(window).to_string());
        let scale = self.scale.map(|scale| format!(", scale {scale}")).unwrap_or_default();
        format!("{} hits in {}{scale}", self.hits.unwrap_or_default(), shown.unwrap_or_else(|_| window.to_owned()))
    }
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    match args {
        Args::List(List { domains, json: as_json, target }) => {
            let answer = target.look()?;
            if as_json {
                crate::out::line!("{}", json(&answer, &domains));
            } else {
                crate::out::text!("{}", text(&answer, &domains));
            }
        }
        Args::Set(Set { domain, law, target }) => {
            let (what, law) = (format!("{domain}: {}", law.words()), law.toml());
            say(&target.tell(|at| Control::Throttle { at, domain: Some(domain), law })?, &what);
        }
        Args::Remove(Remove { domains, target }) => {
            for domain in domains {
                // A law that nobody gave cannot be taken back; a stage that has not answered may have one.
                let before = target.look()?;
                let given = !before.silent.is_empty() || before.has_command_for(&domain);
                let command = |at| Control::Throttle { at, domain: Some(domain.clone()), law: String::new() };
                let answer = target.tell(command)?;
                let law = law_of(&answer, &domain);
                if given {
                    say(&answer, &format!("{domain}: {law}"));
                } else {
                    crate::out::line!("{domain}: no command gave it a law, it keeps {law}");
                }
            }
        }
        Args::Default(Default { law, target, .. }) => {
            let (what, law) = match law.hits {
                Some(_) => (format!("default: {}", law.words()), law.toml()),
                None => ("default: the policy file's law".to_owned(), String::new()),
            };
            say(&target.tell(|at| Control::Throttle { at, domain: None, law })?, &what);
        }
        Args::Push(push) => return self::push(&push),
        Args::Reset(Reset { target }) => {
            let command = |at| Control::Policy { at, file: String::new(), toml: None };
            say(&target.tell(command)?, "the policy file");
        }
    }
    Ok(exit::FINISHED)
}

fn push(Push { file, dry_run, target }: &Push) -> anyhow::Result<u8> {
    let policy = read_policy(Some(file), Profile::Default)?;
    let (domains, blacklist) = policy.named();
    let default = if policy.has_default() { "a default law" } else { "no default law of its own" };
    let name = file.display().to_string();
    let what = format!("{name}: {} domains, {} blacklisted names, {default}", domains.count(), blacklist.count());
    if *dry_run {
        crate::out::line!("{what}: right; nothing was changed");
        return Ok(exit::FINISHED);
    }
    let toml = policy.to_toml();
    say(&target.tell(|at| Control::Policy { at, file: name, toml: Some(toml) })?, &what);
    Ok(exit::FINISHED)
}
