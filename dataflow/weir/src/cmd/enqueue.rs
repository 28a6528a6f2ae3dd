//! `weir enqueue`: opens a job in a deployment, cut into shards; with `--wait` follows it to its end.

use crate::cmd::deployment::{Which, runtime};
use crate::cmd::{self, Usage, crawl::require_agent, files, jobs};
use crate::exit;
use crate::progress::Display;
use clap::Args as ClapArgs;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use weir_driver::remote::client::{Client, ClientError, JobView, NewJob, SHARDS_MAX};
use weir_driver::{Progress, SystemClock};
use weir_model::{Clock, JobId, Outcome};
use weir_queue::QueueErrorClass;
use weir_spider::Spider;

/// Between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After so many looks it is told who has not taken the job: thirty seconds.
const UNHEARD_AFTER: u32 = 60;

/// Open a job in a deployment: its start URLs, cut into shards, go to the stages that own their domains
#[derive(ClapArgs)]
#[command(
    after_help = "Examples:\n  weir enqueue examples/properties.toml --shards 20 --wait\n  weir enqueue shop.toml -a area=leeds --urls urls.csv --budget 5.00\n  \
    cut -f2 list.tsv | weir enqueue shop.toml --urls -\n\nExit codes: 0 opened (with --wait: finished), 2 usage or spider, 3 stopped early, 4 failed"
)]
pub struct Args {
    /// The spider file
    #[arg(value_name = "SPIDER.toml")]
    spider: PathBuf,
    /// Parts that its start URLs are cut into
    #[arg(long, value_name = "N", default_value_t = 20)]
    shards: u32,
    /// Spider argument; may be repeated
    #[arg(short = 'a', value_name = "NAME=VALUE")]
    args: Vec<String>,
    /// Setting, ours or Scrapy's name; may be repeated
    #[arg(short = 's', value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Start from these instead: a text file with a URL a line, a CSV file with a column url, or - for standard input
    #[arg(long, value_name = "FILE")]
    urls: Option<PathBuf>,
    /// Stop when the job has cost so many dollars, such as 5.00: what is under way is finished, the outcome is budget
    #[arg(long, value_name = "DOLLARS")]
    budget: Option<String>,
    /// Follow the job to its end
    #[arg(long)]
    wait: bool,
    /// What came of it as one JSON document on standard output
    #[arg(long)]
    json: bool,
    /// No progress, only what came of it
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    which: Which,
}

pub fn run(args: Args) -> anyhow::Result<u8> {
    if args.shards == 0 || args.shards > SHARDS_MAX {
        return Err(Usage(format!("--shards {}: expected 1 to {SHARDS_MAX}", args.shards)).into());
    }
    let pairs = cmd::arguments(&args.args)?;
    let text = files::read(&args.spider, "a spider file")?;
    let spider = cmd::compile_spider(&args.spider, &text, &pairs)?;
    // All of them are checked here, where their file is; those that the spider does not bring itself travel with the job.
    let mut given = args.settings.clone();
    given.extend(args.budget.iter().map(|dollars| format!("budget={dollars}")));
    let settings = cmd::settings(&args.spider, &spider, &given)?;
    let mut travelling = travelling(&args.spider, &spider, &given)?;
    let urls = args.urls.as_deref().map(read_urls).transpose()?;
    if urls.is_some() {
        judges_nothing(&mut travelling, &given);
    }
    if urls.is_none() {
        require_agent(&settings, &spider)?;
    }
    let deployment = args.which.read()?;
    let tariff = jobs::tariff(None, &deployment);
    let runtime = runtime()?;
    let clock = SystemClock::start();
    let job = NewJob {
        spider: &spider,
        text: &text,
        args: pairs.into_iter().collect(),
        settings: travelling,
        urls,
        shards: args.shards,
        opened_at: clock.now().unix_ms(),
    };
    runtime.block_on(async {
        let aws = deployment.aws().await?;
        let client = deployment.client(&aws);
        let opened = client.open(job).await.map_err(told)?;
        if !args.json {
            crate::out::line!(
                "job {} of spider {:?}: {} start URLs in {} shards, enqueued in {}",
                opened.job.0,
                spider.name(),
                opened.start_urls,
                opened.shards,
                deployment.stack
            );
        }
        if !args.wait {
            if args.json {
                let (job, shards, start_urls) = (opened.job.0, opened.shards, opened.start_urls);
                crate::out::line!("{}", serde_json::json!({ "job": job, "shards": shards, "start_urls": start_urls }));
            } else {
                crate::out::line!("next: weir jobs show {}", opened.job.0);
            }
            return Ok(exit::FINISHED);
        }
        let view = wait(&client, opened.job, args.quiet || args.json).await?;
        if args.json {
            crate::out::line!("{}", jobs::view_json(&view, &tariff));
        } else {
            crate::out::text!("{}", jobs::view_text(&view, &tariff));
        }
        Ok(code(view.outcome().unwrap_or(Outcome::Failed)))
    })
}

/// An error of the client: what the person can mend at once is usage.
pub fn told(error: ClientError) -> anyhow::Error {
    match error {
        ClientError::Nothing(text) => Usage(text).into(),
        other => other.into(),
    }
}

/// Exit code of a job's outcome.
pub fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Finished => exit::FINISHED,
        Outcome::Failed => exit::FAILED,
        _ => exit::STOPPED,
    }
}

/// Follows a job to its end. A store that does not answer for a while does not end it.
async fn wait(client: &Client, job: JobId, quiet: bool) -> anyhow::Result<JobView> {
    let mut display = Display::new(quiet);
    let (mut looks, mut trouble) = (0u32, false);
    loop {
        match client.job(job).await {
            Ok(view) if view.outcome().is_some() => {
                display.end();
                return Ok(view);
            }
            Ok(view) => {
                trouble = false;
                display.show(&progress(&view));
                looks += 1;
                if looks.is_multiple_of(UNHEARD_AFTER)
                    && let Some(told) = unheard(client, &view).await
                {
                    crate::out::err!("{told}");
                }
            }
            Err(ClientError::Queue(error)) if error.class == QueueErrorClass::Transient => {
                if !std::mem::replace(&mut trouble, true) {
                    crate::out::err!(
                        "job {} goes on; how it goes cannot be seen for now, and is looked for again: {error}",
                        job.0
                    );
                }
            }
            Err(error) => return Err(told(error)),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Stages that have said nothing of a job, with what is known of them.
async fn unheard(client: &Client, view: &JobView) -> Option<String> {
    let stages = view.document.stages.min(view.stages);
    let silent = |stage: &u32| view.parts.iter().all(|part| part.stage != *stage);
    let silent: Vec<u32> = (0..stages).filter(silent).collect();
    let statuses = client.statuses().await.ok()?;
    let now = SystemClock::start().now().unix_ms();
    let told = |stage: &u32| match statuses.get(*stage as usize) {
        Some(Some(status)) => {
            format!("stage {stage} was heard of {} s ago", now.0.saturating_sub(status.at.0) / 1000)
        }
        _ => format!("stage {stage} was never heard of"),
    };
    let told: Vec<String> = silent.iter().map(told).collect();
    let job = view.document.header.job.0;
    (!told.is_empty()).then(|| {
        let whose = if silent.len() == stages as usize { "no stage has" } else { "not all stages have" };
        format!(
            "job {job} waits: {whose} taken it; {}. Is it running? weir stage does it here, its log says what keeps it (docs/deploy.md)",
            told.join(", ")
        )
    })
}

fn progress(view: &JobView) -> Progress {
    let stats = view.stats();
    let of = |name: &str| stats.get(name).copied().unwrap_or_default();
    let dead = stats.iter().filter(|(name, _)| name.starts_with("verdict/dead_lettered/")).map(|(_, count)| count);
    Progress {
        elapsed: Duration::from_secs_f64(view.seconds()),
        pages: view.pages(),
        items: of("items/scraped"),
        errors: dead.sum::<u64>() + of("items/refused"),
        queued: view.parts.iter().map(|part| part.queued).sum(),
        in_flight: view.parts.iter().map(|part| part.in_flight).sum(),
        pending: view.parts.iter().map(|part| part.pending).sum(),
    }
}

/// Settings that a stage cannot read from the spider file: those of `weir.toml`, under the spider's own, and those given here.
fn travelling(path: &Path, spider: &Spider, given: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut travelling = BTreeMap::new();
    let file = path.parent().unwrap_or(Path::new("")).join("weir.toml");
    if file.exists() {
        let table: toml::Table = files::read(&file, "a file of settings")?.parse()?;
        let own: BTreeSet<String> = flat(spider.settings(), "").into_keys().collect();
        travelling.extend(flat(&table, "").into_iter().filter(|(name, _)| !own.contains(name)));
    }
    for assignment in given {
        if let Some((name, value)) = assignment.split_once('=') {
            travelling.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    Ok(travelling)
}

/// A list of URLs is seldom everything there is: what is not on it is gone only if that is said here.
fn judges_nothing(travelling: &mut BTreeMap<String, String>, given: &[String]) {
    if given.iter().all(|assignment| assignment.split_once('=').is_none_or(|(name, _)| name.trim() != "delist")) {
        travelling.insert("delist".into(), "false".into());
    }
}

fn flat(table: &toml::Table, prefix: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => names.extend(flat(inner, &name)),
            toml::Value::String(text) => {
                names.insert(name, text.clone());
            }
            other => {
                names.insert(name, other.to_string());
            }
        }
    }
    names
}

/// URLs of a file: a CSV file with a column `url`, or a URL a line; empty lines and those that begin with `#` are nothing.
fn read_urls(path: &Path) -> anyhow::Result<Vec<String>> {
    let (text, name) = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| Usage(format!("standard input: {error}")))?;
        (text, "standard input".to_owned())
    } else {
        (files::read(path, "a file of URLs")?, path.display().to_string())
    };
    let lines = text.trim_start_matches('\u{feff}');
    let header = lines.lines().next().unwrap_or_default();
    // Spreadsheets of many countries separate by semicolons, databases by tabs.
    let column = [',', ';', '\t'].into_iter().find_map(|separator| {
        let is_url = |cell: &str| cell.trim().trim_matches('"').eq_ignore_ascii_case("url");
        header.split(separator).position(is_url).map(|column| (separator as u8, column))
    });
    let urls: Vec<(usize, String)> = match column {
        Some((separator, column)) => {
            let mut reader =
                csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(lines.as_bytes());
            let mut urls = Vec::new();
            for record in reader.records() {
                let record = record
                    .map_err(|error| Usage(format!("{name}: {error}; a CSV file with a column url is expected")))?;
                let line = line_of(lines, record.position().map_or(0, csv::Position::byte) as usize);
                urls.push((line, record.get(column).unwrap_or_default().trim().to_owned()));
            }
            urls
        }
        None => lines.lines().enumerate().map(|(at, line)| (at + 1, line.trim().to_owned())).collect(),
    };
    let mut found = Vec::with_capacity(urls.len());
    for (line, url) in urls {
        if url.is_empty() || url.starts_with('#') {
            continue;
        }
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            return Err(Usage(format!("{name}:{line}: {url:?} is no http or https URL; a URL a line, or a CSV file with a column url, is expected")).into());
        }
        found.push(url);
    }
    if found.is_empty() {
        return Err(
            Usage(format!("{name}: no URL in it; a URL a line, or a CSV file with a column url, is expected")).into()
        );
    }
    Ok(found)
}

/// The line, from 1, in which a record stands that begins at this byte, or behind the ends of lines there: the reader takes a record to
/// begin between CR and LF, and counts no line without a record.
fn line_of(text: &str, byte: usize) -> usize {
    let rest = text.get(byte..).unwrap_or_default();
    let begins = text.len() - rest.trim_start_matches(['\r', '\n']).len();
    text[..begins].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_from_lines_or_from_a_column() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |text: &str| {
            let path = folder.path().join("urls");
            std::fs::write(&path, text).expect("written");
            read_urls(&path).map_err(|error| error.to_string())
        };
        let both = vec!["http://a.example/1".to_owned(), "https://b.example/?q=1,2".to_owned()];
        assert_eq!(read("# two\nhttp://a.example/1\n\n  https://b.example/?q=1,2\n"), Ok(both.clone()));
        assert_eq!(read("name,URL\nx,http://a.example/1\ny,\"https://b.example/?q=1,2\"\n"), Ok(both.clone()));
        assert_eq!(read("\u{feff}\"url\";name\nhttp://a.example/1;x\nhttps://b.example/?q=1,2;y\n"), Ok(both.clone()));
        assert_eq!(read("name\turl\nx\thttp://a.example/1\ny\thttps://b.example/?q=1,2\n"), Ok(both));
        assert_eq!(read("HTTP://A.example/\n"), Ok(vec!["HTTP://A.example/".to_owned()]));
        let error = read("http://a.example/1\nftp://b.example\n").expect_err("no http");
        assert!(error.contains("urls:2:") && error.contains("ftp://b.example"), "{error}");
        for (text, line) in [
            ("name,url\nx,http://a.example/1\ny,ftp://b.example\n", 3),
            ("url,name\n\nhttp://a.example/1,\"x\ny\"\nftp://b.example,z\n", 5),
        ] {
            for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
                let error = read(&text).expect_err("no http");
                assert!(error.contains(&format!("urls:{line}:")), "{text:?}: {error}");
            }
        }
        assert!(read("\n#\n").is_err_and(|error| error.contains("no URL in it")));
    }

    #[test]
    fn a_list_of_urls_judges_nobody_to_be_gone_unless_it_is_said_to_be_all() {
        let delist = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
            let mut travelling = BTreeMap::from([("delist".to_owned(), "true".to_owned())]);
            judges_nothing(&mut travelling, &given);
            travelling.remove("delist")
        };
        assert_eq!(delist(&["budget=5.00"]).as_deref(), Some("false"), "whatever weir.toml says");
        assert_eq!(delist(&["delist = true"]).as_deref(), Some("true"));
    }

    #[test]
    fn settings_of_the_file_travel_unless_the_spider_has_its_own() {
        let table: toml::Table = "a = 1\n[b]\nc = \"x\"\nd = true".parse().expect("toml");
        let names = flat(&table, "");
        assert_eq!(
            names.into_iter().collect::<Vec<_>>(),
            [
                ("a".to_owned(), "1".to_owned()),
                ("b.c".to_owned(), "x".to_owned()),
                ("b.d".to_owned(), "true".to_owned())
            ]
        );
    }
}
