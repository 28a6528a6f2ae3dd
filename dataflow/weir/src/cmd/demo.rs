//! `weir demo` (what `make demo` runs): the practice site on a free port, a whole crawl of it, five answers.

use crate::cmd::Usage;
use crate::cmd::crawl::{self, Existing, Plan};
use crate::{cmd, exit};
use anyhow::Context;
use clap::Args as ClapArgs;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use weir_model::Outcome;
use weir_site::{Site, SiteOptions};

const EXAMPLE: &str = include_str!("../../../../examples/properties.toml");
const SPIDER: &str = "properties.toml";
/// Says that a folder is a demo's.
const MARK: &str = ".weir-demo";

/// Crawl 50,000 listings of the practice site, from nothing to answers
#[derive(ClapArgs)]
#[command(after_help = "Example:\n  weir demo --pages 100 --dir /tmp/demo")]
pub struct Args {
    /// Index pages, 30 listings each; the default gives 50,000 listings
    #[arg(long)]
    pages: Option<usize>,
    /// Where the files go; those of an earlier demo are replaced
    #[arg(long, default_value = "target/demo")]
    dir: PathBuf,
    /// The spider file. Default: that of the examples, a copy of which lies beside the other files
    #[arg(long)]
    spider: Option<PathBuf>,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    clear(&args.dir)?;
    let spider_file = match args.spider {
        Some(file) => file,
        None => {
            let copy = args.dir.join(SPIDER);
            std::fs::write(&copy, EXAMPLE).with_context(|| format!("cannot write {}", copy.display()))?;
            copy
        }
    };
    let mut options = SiteOptions { port: 0, ..SiteOptions::default() };
    if let Some(pages) = args.pages {
        options.pages = pages;
    }
    let site = Site::spawn(options)?;
    let base = format!("http://localhost:{}", site.port());
    crate::out::line!("practice site: {base}/properties/index_00000.html");
    let spider = cmd::load_spider(&spider_file, &[("base".to_owned(), base)])?;
    let settings = cmd::settings(&spider_file, &spider, &[])?;
    let (feed, database) = (args.dir.join("items.jsonl"), args.dir.join("items.db"));
    let plan = Plan {
        spider,
        spider_file,
        settings,
        outputs: vec![feed.display().to_string(), format!("sqlite:{}", database.display())],
        existing: Existing::default(),
        state: Some(args.dir.join("state")),
        policy: None,
        workers: 1,
        fresh: false,
        replay: None,
        backfill: None,
        events: None,
        allow_commands: false,
    };
    let report = crawl::crawl(plan, args.quiet)?;
    crate::out::text!("{}", crawl::stats_text(&report));
    if report.outcome != Outcome::Finished {
        return Ok(exit::FAILED);
    }
    answers(&database)?;
    crate::out::line!(
        "files: {} (JSON Lines), {} (SQLite), {} (state)",
        feed.display(),
        database.display(),
        args.dir.join("state").display()
    );
    Ok(exit::FINISHED)
}

/// An empty folder with the mark of a demo. What is marked so goes; whatever else lies there stays, and is said.
fn clear(dir: &Path) -> anyhow::Result<()> {
    let mark = dir.join(MARK);
    let is_used = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if is_used && !mark.exists() {
        let shown = dir.display();
        return Err(Usage(format!(
            "{shown} holds files that are not known to be of a demo, and a demo begins with an empty folder; name another one with --dir, or remove \
             {shown}"
        ))
        .into());
    }
    if is_used {
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    std::fs::write(&mark, "made by weir demo, which empties this folder when it is run again\n")
        .with_context(|| format!("cannot write {}", mark.display()))
}

/// Five questions to the database.
fn answers(path: &std::path::Path) -> anyhow::Result<()> {
    let database = Connection::open(path)?;
    let town = "trim(substr(address, instr(address, ',') + 1))";
    let questions = [
        ("listings", "SELECT count(*) FROM property".to_owned()),
        ("mean price", "SELECT printf('£%.2f a week', avg(price)) FROM property".to_owned()),
        (
            "dearest town, by mean price",
            format!(
                "SELECT {town} || printf(', £%.2f', avg(price)) FROM property GROUP BY {town} ORDER BY avg(price) DESC LIMIT 1"
            ),
        ),
        (
            "dearest listing",
            "SELECT title || printf(', £%.2f, ', price) || url FROM property ORDER BY price DESC LIMIT 1".to_owned(),
        ),
        ("towns", format!("SELECT count(DISTINCT {town}) FROM property")),
    ];
    crate::out::line!("answers from {}:", path.display());
    for (question, sql) in questions {
        let answer: rusqlite::types::Value = database.query_row(&sql, [], |row| row.get(0))?;
        let answer = match answer {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        crate::out::line!("  {question}: {answer}");
    }
    Ok(())
}
