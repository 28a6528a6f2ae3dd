//! Computations on a crawl of the practice site: items a CPU second through a Rust function and through a program (a line in, a line
//! out), beside the same crawl without either. CPU time is that of this process, which serves the site as well, and of the programs.
//!
//! `cargo run --release -p weir-driver --example compute_speed -- [index pages] [programs]`
//!
//! It is also a program that embeds weir: docs/computation.md shows a part of it (`e2e/tests/docs.rs` compares).

use std::path::Path;
use std::sync::Arc;
use weir_connector::{
    BatchPolicy, BoxFuture, ItemOutcome, JobInfo, Opened, Sink, SinkError, SinkInfo, SinkKind, SinkMark,
};
use weir_driver::{ComputeOptions, CrawlOptions, Given, Observer, Output, Progress, Settings};
use weir_frontier::LogLine;
use weir_frontier::policy::Policy;
use weir_model::{Item, Outcome, Value};
use weir_spider::Spider;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Thirty items from each index page: much to compute on, little to fetch.
const SPIDER: &str = r#"
name = "computed"
start = ["${base}/properties/index_{00000..${last}}.html"]
start_parse = "property"
args = { base = "", last = "00009" }
[item.property]
key = "url"
scope = '//*[@itemtype="http://schema.org/Product"]'
[item.property.fields]
title = { xpath = './/*[@itemprop="name"][1]/text()', map = ["trim"] }
url = { xpath = './/*[@itemprop="url"][1]/@href', map = ["absolute_url"] }
"#;

const FUNCTION: &str = "score = { compute = \"scorer\", type = \"float\" }
[item.property.compute.scorer]
function = \"scorer\"
send = [\"title\"]
pool = POOL
";

/// The program gives back what it gets.
const PROGRAM: &str = "score = { compute = \"scorer\" }
[item.property.compute.scorer]
command = [\"cat\"]
format = \"text\"
send = [\"title\"]
pool = POOL
ahead = AHEAD
";

/// Stands for what takes its time.
fn slow_model(title: &str) -> f64 {
    title.split(' ').count() as f64
}

fn registered() -> ComputeOptions {
    let mut compute = ComputeOptions::default();
    let scorer = |given: &Given<'_>| -> Result<Vec<Value>, String> {
        let title = given.text("title").ok_or("it has no title")?;
        Ok(vec![Value::Float(slow_model(title))]) // the values of `given.fills()`, in this order
    };
    compute.functions.insert("scorer".into(), Arc::new(scorer));
    compute
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn describe(&self) -> SinkInfo {
        SinkInfo { name: "nowhere", url: "nowhere".into(), kind: SinkKind::Keyed, batch: BatchPolicy::default() }
    }

    fn open(&mut self, _job: &JobInfo) -> Result<Opened, SinkError> {
        Ok(Opened { generation: 1 })
    }

    fn write<'a>(
        &'a mut self,
        items: &'a [Arc<Item>],
        outcomes: &'a mut Vec<ItemOutcome>,
    ) -> BoxFuture<'a, Result<SinkMark, SinkError>> {
        outcomes.clear();
        outcomes.resize(items.len(), ItemOutcome::Stored);
        Box::pin(std::future::ready(Ok(SinkMark::default())))
    }

    fn finish<'a>(&'a mut self, _outcome: Outcome, _complete: bool) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Silent;

impl Observer for Silent {
    fn progress(&mut self, _progress: &Progress) {}

    fn log(&mut self, _line: &LogLine) {}

    fn say(&mut self, text: &str) {
        eprintln!("{text}");
    }
}

/// User and system time of this process and of its children that have ended, in seconds (clock ticks of Linux are hundredths).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = behind_name.split(' ').skip(11).take(4).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// One crawl: its items and its CPU seconds.
fn crawl(state: &Path, computation: &str, base: &str, pages: usize) -> (u64, f64) {
    let arguments = [("base".to_owned(), base.to_owned()), ("last".to_owned(), format!("{:05}", pages - 1))];
    let spider = Spider::load("computed.toml", &format!("{SPIDER}{computation}"), &arguments);
    let spider = spider.unwrap_or_else(|errors| panic!("{errors}"));
    let mut compute = registered();
    compute.allow_commands = true;
    let options = CrawlOptions {
        spider: Arc::new(spider),
        settings: Settings::default(),
        laws: Policy::default().into(),
        state: state.to_owned(),
        sinks: vec![Output::new(Box::new(Nowhere), true)],
        geocoding: None,
        compute,
        workers: 1,
        fresh: false,
        replay: None,
        backfill: None,
        made_by: None,
        events: None,
        stop: Arc::default(),
    };
    let before = cpu();
    let report = weir_driver::crawl(options, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.outcome, Outcome::Finished, "{:?}", report.failure);
    let computed = report.figures.notes.get("compute/scorer/computed").map_or(0, |(count, _)| *count);
    assert_eq!(computed, if computation.is_empty() { 0 } else { report.figures.items.scraped });
    (report.figures.items.stored, cpu() - before)
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let pages = arguments.next().unwrap_or(1_000).clamp(1, 99_999);
    let pool = arguments.next().unwrap_or(2).clamp(1, 64).to_string();
    let site = weir_site::SiteOptions { pages, port: 0, log_entries_max: 1, ..weir_site::SiteOptions::default() };
    let site = weir_site::Site::spawn(site).expect("the practice site starts");
    let base = format!("http://localhost:{}", site.port());
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("| crawl | items | CPU s | of these for the computation | items a CPU second of the computation |");
    println!("|---|---|---|---|---|");
    // What is paid once is paid before.
    crawl(&folder.path().join("warm"), "", &base, pages.min(50));
    let program = |ahead: &str| PROGRAM.replace("POOL", &pool).replace("AHEAD", ahead);
    let mut plain = 0.0;
    for (name, computation) in [
        ("without", String::new()),
        ("function", FUNCTION.replace("POOL", &pool)),
        ("program, 100 lines ahead", program("100")),
        ("program, a line at a time", program("1")),
    ] {
        let (items, seconds) = crawl(&folder.path().join(name), &computation, &base, pages);
        if computation.is_empty() {
            plain = seconds;
            println!("| {name} | {items} | {seconds:.2} | | |");
        } else {
            let own = (seconds - plain).max(0.01);
            println!("| {name} | {items} | {seconds:.2} | {own:.2} | {:.0} |", items as f64 / own);
        }
    }
}
