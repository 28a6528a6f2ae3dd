//! `weir blacklist`: names that are never asked, read and changed while a crawl runs.

use super::table::blacklist;
use super::{Target, say};
use crate::exit;
use clap::{Args as ClapArgs, Subcommand};
use weir_model::json::Control;

/// Names that are never asked: read them, change them while a crawl runs
#[derive(Subcommand)]
#[command(
    after_help = "A name covers every name under it, and wins over every law. What waits for it is counted as rejected: blacklisted.\n\n\
Examples:\n  weir blacklist add shop.example ads.other.example\n  weir blacklist list --json"
)]
pub enum Args {
    /// Show the blacklist, and where each name comes from
    #[command(after_help = "Example:\n  weir blacklist list")]
    List(List),
    /// Never ask these names from now on
    #[command(after_help = "Example:\n  weir blacklist add shop.example")]
    Add(Names),
    /// Ask these names again, also when the policy file lists them: URLs that are found from now on are taken
    #[command(after_help = "Example:\n  weir blacklist remove shop.example")]
    Remove(Names),
    /// Take back what commands said of these names: as the policy file says
    #[command(after_help = "Example:\n  weir blacklist reset shop.example")]
    Reset(Names),
}

#[derive(ClapArgs)]
pub struct List {
    /// As one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
pub struct Names {
    /// Domains or hosts
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    target: Target,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    let change = |Names { names, target }: Names, what: &str, fill: fn(Vec<String>, u64) -> Control| {
        let said = format!("{what} {}", names.join(", "));
        target.tell(|at| fill(names, at)).map(|answer| say(&answer, &said))
    };
    match args {
        Args::List(List { json, target }) => {
            let answer = target.look()?;
            let rows = blacklist(&answer);
            if json {
                crate::out::line!("{}", serde_json::json!({ "blacklist": rows }));
            } else if rows.is_empty() {
                crate::out::line!("nothing is blacklisted");
            }
            for row in rows.iter().filter(|_| !json) {
                crate::out::line!("{:<40} {}", row.name, row.from);
            }
        }
        Args::Add(names) => change(names, "blacklisted:", |add, at| Control::Blacklist {
            at,
            add,
            remove: Vec::new(),
            reset: Vec::new(),
        })?,
        Args::Remove(names) => change(names, "not blacklisted:", |remove, at| Control::Blacklist {
            at,
            add: Vec::new(),
            remove,
            reset: Vec::new(),
        })?,
        Args::Reset(names) => change(names, "as the policy file says:", |reset, at| Control::Blacklist {
            at,
            add: Vec::new(),
            remove: Vec::new(),
            reset,
        })?,
    }
    Ok(exit::FINISHED)
}
