//! `--events FILE` tells everything that happened, once, and the file never holds up the crawl.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use weir_e2e::server::{Answer, Heard, Server};
use weir_e2e::{printed, run, weir};

/// A list of pages: good ones, one that moved, one that always fails, one that is gone, one without a title, one of another site.
struct Town {
    dir: tempfile::TempDir,
    server: Server,
}

impl Town {
    fn new() -> anyhow::Result<Town> {
        let server = Server::start(answer);
        let dir = tempfile::tempdir()?;
        let spider = format!(
            "name = \"town\"\nstart = [\"{}/list\"]\n[[follow]]\ncss = \"a\"\nparse = \"page\"\n[item.page]\nkey = \"url\"\n\
             [item.page.fields]\nurl = {{ value = \"response.url\" }}\ntitle = {{ css = \"h1::text\", required = true }}\n",
            server.base()
        );
        std::fs::write(dir.path().join("town.toml"), spider)?;
        Ok(Town { dir, server })
    }

    fn weir(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(weir());
        command.current_dir(self.dir.path()).args(["crawl", "town.toml", "-q", "--json", "--state", "state"]);
        command.args(["-s", "retry.times=1"]).args(arguments);
        command
    }

    fn events(&self) -> anyhow::Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.dir.path().join("events.jsonl"))?;
        ensure!(text.ends_with('\n'), "the last line is whole");
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }
}

fn answer(heard: &Heard) -> Answer {
    match heard.path.as_str() {
        "/list" => {
            let pages = ["1", "2", "3", "moved", "ill", "gone", "untitled"];
            let links: String = pages.iter().map(|page| format!("<a href=\"/page/{page}\">x</a>")).collect();
            Answer::page(links + "<a href=\"http://elsewhere.test/\">x</a>")
        }
        "/page/moved" => {
            let headers = "Location: /page/new\r\n".to_owned();
            Answer { status: "302 Found", headers, ..Answer::page("") }
        }
        "/page/ill" => Answer { status: "503 Service Unavailable", ..Answer::missing() },
        "/page/untitled" => Answer::page("<p>nothing</p>"),
        path if path.starts_with("/page/") && path != "/page/gone" => Answer::page(format!("<h1>{path}</h1>")),
        _ => Answer::missing(),
    }
}

/// The values of a key of all events of a name.
fn told<'a>(events: &'a [Value], event: &str, key: &str) -> Vec<&'a str> {
    let found = events.iter().filter(|line| line["event"] == event);
    found.map(|line| line[key].as_str().unwrap_or("")).collect()
}

fn sorted(mut list: Vec<&str>) -> Vec<&str> {
    list.sort_unstable();
    list
}

#[test]
fn on_standard_output_are_events_alone_and_the_stats_on_standard_error() -> anyhow::Result<()> {
    let town = Town::new()?;
    let mut command = Command::new(weir());
    command.current_dir(town.dir.path()).args(["crawl", "town.toml", "-q", "--state", "state", "-s", "retry.times=0"]);
    let (events, said) = printed(&run(command.args(["--events", "-"]), 0)?);
    let lines: Vec<Value> = events.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let ends = [&lines[0]["event"], &lines[lines.len() - 1]["event"]];
    ensure!(ends == ["job_opened", "job_closed"], "{events}");
    ensure!(said.contains("stats of job 1:") && said.contains("outcome: finished"), "{said}");
    ensure!(!town.dir.path().join("-").exists(), "a file of that name");
    Ok(())
}

#[test]
fn everything_that_happens_is_one_line_of_json_and_the_lines_agree_with_the_stats() -> anyhow::Result<()> {
    let town = Town::new()?;
    let output = run(&mut town.weir(&["-o", "pages.jsonl", "-o", "sqlite:pages.db", "--events", "events.jsonl"]), 0)?;
    let stats: Value = serde_json::from_slice(&output.stdout)?;
    let stats = &stats["stats"];
    let events = town.events()?;
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for event in &events {
        *counts.entry(event["event"].as_str().context("a name")?).or_default() += 1;
        ensure!(event["job"] == 1 && event["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{event}");
    }
    let docs = std::fs::read_to_string(weir_e2e::root().join("docs/events.md"))?;
    let unknown: Vec<_> = counts.keys().filter(|name| !docs.contains(&format!("| `{name}` |"))).collect();
    ensure!(unknown.is_empty(), "docs/events.md does not have {unknown:?}");
    let base = town.server.base();
    let url = |page: &str| format!("{base}/page/{page}");
    let first = events.first().context("a first line")?;
    ensure!(first["event"] == "job_opened" && first["spider"] == "town" && first["continued"] == false, "{first}");
    ensure!(first["sinks"].as_array().is_some_and(|sinks| sinks.len() == 2), "{first}");
    let last = events.last().context("a last line")?;
    ensure!(last["event"] == "job_closed" && last["outcome"] == "finished" && last["items"] == 4, "{last}");

    let crawled = sorted(told(&events, "page_crawled", "url"));
    ensure!(crawled.len() == 8, "the list, four pages, untitled, gone and ill: {crawled:?}");
    ensure!(told(&events, "page_redirected", "target") == [url("new")]);
    ensure!(told(&events, "page_retried", "url") == [url("ill")]);
    let failed = events.iter().find(|line| line["event"] == "page_failed").context("the one that always fails")?;
    ensure!(failed["url"] == url("ill") && failed["reason"] == "status_retries_exhausted", "{failed}");
    let letters = told(&events, "dead_letter", "url");
    ensure!(letters == [url("ill")], "{letters:?}");
    let rejected = told(&events, "url_rejected", "reason");
    ensure!(rejected.contains(&"offsite") && rejected.contains(&"status"), "{rejected:?}");

    let pages: Vec<String> = ["1", "2", "3", "new"].iter().map(|page| url(page)).collect();
    let keys = sorted(told(&events, "item_scraped", "key"));
    ensure!(keys == pages, "{keys:?}");
    ensure!(told(&events, "item_dropped", "counter") == ["page/required/title"], "{counts:?}");
    let items: BTreeSet<&str> = told(&events, "item_scraped", "item").into_iter().collect();
    for sink in first["sinks"].as_array().context("sinks")? {
        let stored = events.iter().filter(|line| line["sink"] == *sink && line["outcome"] == "stored");
        let stored: BTreeSet<&str> = stored.filter_map(|line| line["item"].as_str()).collect();
        ensure!(stored == items, "{sink}: {stored:?}");
    }
    ensure!(stats["items/scraped"] == counts["item_scraped"], "{stats}");
    ensure!(counts["sink_outcome"] == 8 && !counts.contains_key("events_lost"), "{counts:?}");
    Ok(())
}

#[test]
fn the_next_job_is_told_at_the_end_of_the_same_file_also_after_a_line_that_was_cut() -> anyhow::Result<()> {
    let town = Town::new()?;
    let arguments = ["-o", "sqlite:pages.db", "--events", "events.jsonl"];
    run(&mut town.weir(&arguments), 0)?;
    let path = town.dir.path().join("events.jsonl");
    let first = std::fs::read(&path)?;
    std::fs::write(&path, &first[..first.len() - 9])?;
    run(&mut town.weir(&arguments), 0)?;
    let text = std::fs::read_to_string(&path)?;
    let whole: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    ensure!(text.lines().count() == whole.len() + 1, "the cut line alone is no JSON");
    let second: Vec<Value> = whole.into_iter().filter(|line| line["job"] == 2).collect();
    ensure!(second.first().is_some_and(|line| line["event"] == "job_opened"), "{second:#?}");
    ensure!(second.last().is_some_and(|line| line["event"] == "job_closed"), "{second:#?}");
    ensure!(told(&second, "item_scraped", "item").len() == 4, "{second:#?}");
    ensure!(told(&second, "sink_outcome", "item").is_empty(), "nothing changed, nothing is written: {second:#?}");
    Ok(())
}

#[test]
fn a_file_that_takes_nothing_does_not_stop_the_crawl_and_one_that_cannot_be_is_refused_before() -> anyhow::Result<()> {
    let town = Town::new()?;
    let sink = ["-o", "pages.jsonl", "--events"];
    let output = run(town.weir(&sink).arg("no/such/folder/events.jsonl"), 2)?;
    let (_, errors) = printed(&output);
    ensure!(errors.contains("--events no/such/folder/events.jsonl") && errors.contains("folder"), "{errors}");
    let output = run(town.weir(&sink).arg("./pages.jsonl"), 2)?;
    let (_, errors) = printed(&output);
    ensure!(errors.contains("are one file"), "{errors}");
    ensure!(town.server.heard().is_empty(), "nothing was asked before");
    let output = run(town.weir(&sink).arg("/dev/full"), 0)?;
    let (_, errors) = printed(&output);
    ensure!(errors.contains("events cannot be written"), "{errors}");
    ensure!(weir_e2e::read_feed(&town.dir.path().join("pages.jsonl"))?.len() == 4);
    Ok(())
}
