//! `weir demo` (what `make demo` runs): the practice site on a free port, a whole crawl of it, five answers.

use crate::cmd::crawl::{self, Existing, Plan};
use crate::{cmd, exit};
use anyhow::Context;
use clap::Args as ClapArgs;
use rusqlite::Connection;
use std::path::PathBuf;
use weir_model::Outcome;
use weir_site::{Site, SiteOptions};

/// Crawl 50,000 listings of the practice site, from nothing to answers
#[derive(ClapArgs)]
#[command(after_help = "Example:\n  weir demo --pages 100 --dir /tmp/demo")]
pub struct Args {
    /// Index pages, 30 listings each; the default gives 50,000 listings
    #[arg(long)]
    pages: Option<usize>,
    /// Where the files go
    #[arg(long, default_value = "target/demo")]
    dir: PathBuf,
    /// The spider file
    #[arg(long, default_value = "examples/properties.toml")]
    spider: PathBuf,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    if args.dir.exists() {
        std::fs::remove_dir_all(&args.dir).with_context(|| format!("cannot empty {}", args.dir.display()))?;
    }
    std::fs::create_dir_all(&args.dir).with_context(|| format!("cannot make {}", args.dir.display()))?;
    let mut options = SiteOptions { port: 0, ..SiteOptions::default() };
    if let Some(pages) = args.pages {
        options.pages = pages;
    }
    let site = Site::spawn(options)?;
    let base = format!("http://localhost:{}", site.port());
    crate::out::line!("practice site: {base}/properties/index_00000.html");
    let spider = cmd::load_spider(&args.spider, &[("base".to_owned(), base)])?;
    let settings = cmd::settings(&args.spider, &spider, &[])?;
    let (feed, database) = (args.dir.join("items.jsonl"), args.dir.join("items.db"));
    let plan = Plan {
        spider,
        spider_file: args.spider.clone(),
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
