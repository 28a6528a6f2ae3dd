//! Where items go: every format in one run, closing stats that agree with it, a reader that goes away.

use crate::{spider, stats};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use weir_e2e::server::{Answer, Server};
use weir_e2e::{Killed, Stand, compare, compare_rows, example, expected, printed, run, weir};

/// The items of a JSON array, by URL.
fn read_json(stand: &Stand) -> anyhow::Result<BTreeMap<String, Value>> {
    let items: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(stand.path("items.json"))?)?;
    Ok(items.into_iter().map(|item| (item["url"].as_str().unwrap_or_default().to_owned(), item)).collect())
}

/// The rows of a CSV file, by URL; lists joined with commas, prices as numbers, as the other formats have them.
fn read_csv(stand: &Stand) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut items = BTreeMap::new();
    for row in csv::Reader::from_path(stand.path("items.csv"))?.deserialize() {
        let mut row: BTreeMap<String, Value> = row?;
        let images = row["image_urls"].as_str().unwrap_or_default().split(',').map(Value::from).collect();
        row.insert("image_urls".to_owned(), images);
        let url = row["url"].as_str().unwrap_or_default().to_owned();
        assert!(items.insert(url.clone(), serde_json::to_value(row)?).is_none(), "{url} is in the CSV file twice");
    }
    Ok(items)
}

#[test]
fn all_formats_of_one_run_hold_the_same_items_and_the_stats_agree() -> anyhow::Result<()> {
    let stand = Stand::new(5);
    // 150 items, in a feed of JSON Lines and in SQLite already; two more feeds beside them.
    let mut command = stand.crawl(example("properties-fast.toml"));
    let output = run(command.args(["-o", "items.json", "-o", "items.csv", "--json"]), 0)?;
    let expected = expected(&stand.site, &stand.base());
    assert_eq!(expected.len(), 150);
    compare(&stand.feed()?, &expected).map_err(|error| error.context("JSON Lines"))?;
    compare(&read_json(&stand)?, &expected).map_err(|error| error.context("JSON"))?;
    compare(&read_csv(&stand)?, &expected).map_err(|error| error.context("CSV"))?;
    compare_rows(&stand.rows()?, &expected).map_err(|error| error.context("SQLite"))?;
    let stats = stats(&output)?;
    assert_eq!(stats["stats"]["items/scraped"], 150, "{stats:#}");
    assert_eq!(stats["stats"]["items/stored"], 4 * 150, "once a sink: {stats:#}");
    assert_eq!((&stats["outcome"], &stats["failure"]), (&"finished".into(), &Value::Null));
    assert!(stats["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{stats:#}");
    let header = std::fs::read_to_string(stand.path("items.csv"))?.lines().next().unwrap_or_default().to_owned();
    assert_eq!(header, "title,price,description,address,image_urls,location,url,date", "the order of the spider file");
    Ok(())
}

#[test]
fn closing_stats_for_a_person_say_the_same_as_the_json() -> anyhow::Result<()> {
    let told = |json: bool| {
        let stand = Stand::new(1);
        let mut command = stand.crawl(example("properties-next.toml"));
        Ok::<_, anyhow::Error>(String::from_utf8(
            run(if json { command.arg("--json") } else { &mut command }, 0)?.stdout,
        )?)
    };
    let (text, json) = (told(false)?, serde_json::from_str::<Value>(&told(true)?)?);
    let counters = json["stats"].as_object().expect("counters");
    for (name, count) in counters.iter().filter(|(name, _)| !name.ends_with("_bytes")) {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
        assert_eq!(line.split_whitespace().nth(1), Some(count.to_string().as_str()), "{name} in\n{text}");
    }
    let note = "note: 30 pages have items with a geocode field and no provider is configured";
    assert_eq!(text.matches(note).count(), 1, "said once: {text}");
    assert!(text.lines().last().unwrap_or_default().starts_with("outcome: finished after "), "{text}");
    Ok(())
}

#[test]
fn a_command_whose_feed_was_refused_leaves_nothing_to_be_audited_or_exported() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    run(&mut stand.crawl(example("properties-next.toml")), 0)?;
    let (_, told) = printed(&run(&mut stand.crawl(example("properties-next.toml")), 2)?);
    assert!(told.contains("exists already"), "{told}");
    let about = |arguments: &[&str]| {
        let mut command = stand.command(weir());
        command.args(arguments).args(["--state", "state"]);
        command
    };
    let (told, _) = printed(&run(&mut about(&["audit"]), 0)?);
    assert!(told.contains("job 1"), "{told}");
    let (told, _) = printed(&run(&mut about(&["export", "--format", "jsonl"]), 0)?);
    assert_eq!(told.lines().count(), 30);
    let (_, told) = printed(&run(&mut about(&["audit", "2"]), 2)?);
    assert!(told.contains("no such job"), "{told}");
    // Its number is not lost.
    let output = run(stand.crawl(example("properties-next.toml")).args(["--overwrite", "--json"]), 0)?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(report["job"], 2);
    Ok(())
}

#[test]
fn a_reader_that_goes_away_ends_the_printing_and_not_the_crawl() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    // The end of the pipe is closed before anything is printed, then after the first line as `head -1` does it.
    for lines in [0, 1] {
        let mut command = stand.crawl(example("properties-next.toml"));
        command.arg("--overwrite").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Killed(command.spawn()?);
        let mut out = BufReader::new(child.0.stdout.take().expect("it was piped"));
        for _ in 0..lines {
            out.read_line(&mut String::new())?;
        }
        drop(out);
        let mut err = String::new();
        child.0.stderr.take().expect("it was piped").read_to_string(&mut err)?;
        assert_eq!((child.0.wait()?.code(), err.as_str()), (Some(0), ""), "{lines} lines read");
        assert_eq!(stand.feed()?.len(), 30, "{lines} lines read: every item is there");
    }
    // More than a pipe holds.
    for arguments in [["spider", "schema"], ["crawl", "--help"]] {
        let mut child =
            Killed(stand.command(weir()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
        drop(child.0.stdout.take());
        let mut err = String::new();
        child.0.stderr.take().expect("it was piped").read_to_string(&mut err)?;
        assert!(child.0.wait()?.code().is_some() && !err.contains("panicked"), "{arguments:?}: {err}");
    }
    Ok(())
}

#[test]
fn what_a_limit_or_the_scope_kept_away_is_told_with_what_to_do() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let server = Server::start(|heard| match heard.path.as_str() {
        "/away" => {
            let headers = "Location: http://www.elsewhere.invalid/\r\n".to_owned();
            Answer { status: "302 Found", headers, body: std::sync::Arc::default() }
        }
        "/script" => {
            let headers = "Location: javascript:void(0)\r\n".to_owned();
            Answer { status: "302 Found", headers, body: std::sync::Arc::default() }
        }
        "/large" => Answer::page(vec![b' '; 300_000]),
        _ => Answer::missing(),
    });
    spider(&stand, &server.base(), &["/away", "/script", "/large"], "");
    let mut command = stand.command(weir());
    command.args(["crawl", "spider.toml", "-L", "debug", "-o", "items.jsonl", "--state", "state"]);
    let settings = ["-s", "fetch.body_bytes_max=100KiB", "-s", "fetch.wire_bytes_max=100KiB", "-s", "retry.times=0"];
    let (out, log) = printed(&run(command.args(settings), 0)?);
    for told in [
        "verdict/rejected/offsite_redirect",
        "verdict/rejected/bad_redirect",
        "verdict/dead_lettered/too_large",
        "note: 1 redirects led out of allowed_domains",
        "note: 1 answers were larger than fetch.body_bytes_max (DOWNLOAD_MAXSIZE)",
    ] {
        assert!(out.contains(told), "{told} in {out}");
    }
    for told in [
        "Rejected <GET http://www.elsewhere.invalid/>: offsite_redirect (a redirect out of allowed_domains)",
        "bad_redirect (a redirect to no http or https URL)",
        "fetch.wire_bytes_max allows 102400",
    ] {
        assert!(log.contains(told), "{told} in {log}");
    }
    Ok(())
}
