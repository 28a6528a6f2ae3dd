//! Sinks that are away or refuse rows, on real servers: a required one is waited for and a Ctrl-C ends all the same, a best-effort one
//! stops nobody, and a row that the server refuses is a dead letter until it is let in.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::process::Command;
use weir_e2e::{Stand, compare, example, expected, printed, read_feed, run, start, until, weir};
use weir_services::{Kind, Service};

/// One statement by the server's own client: rows of tab-separated columns.
fn sql(service: &Service, statement: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let (user, password) = account(service);
    let output = Command::new("mariadb")
        .args(["--no-defaults", "-h", "127.0.0.1", "-N", "-B", &format!("-u{user}"), &format!("-p{password}")])
        .args(["-P", &service.port().to_string(), "--default-character-set=utf8mb4", "-e", statement])
        .output()
        .context("the client that came with the server")?;
    ensure!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

fn account(service: &Service) -> (String, String) {
    let authority = service.url().split("://").nth(1).unwrap_or_default();
    let account = authority.split_once('@').map_or("", |(account, _)| account);
    let (user, password) = account.split_once(':').unwrap_or((account, ""));
    (user.to_owned(), password.to_owned())
}

fn crawl(stand: &Stand, state: &str, feed: &str, sinks: &[String]) -> Command {
    let mut command = stand.command(weir());
    command.arg("crawl").arg(example("properties.toml"));
    command.args(["-q", "--json", "-a", &format!("base={}", stand.base()), "-o", feed, "--state", state]);
    sinks.iter().for_each(|sink| {
        command.args(["-o", sink]);
    });
    command
}

/// A crawl that can be met in the middle by whoever has to ask a server first.
const SLOWLY: [&str; 2] = ["-s", "concurrency=2"];

fn mysql(service: &Service) -> String {
    let (user, password) = account(service);
    let account = if password.is_empty() { user } else { format!("{user}:{password}") };
    format!("mysql://{account}@127.0.0.1:{}/portal/property", service.port())
}

fn count(service: &Service) -> anyhow::Result<u64> {
    Ok(sql(service, "SELECT COUNT(*) FROM portal.property")?[0][0].parse()?)
}

fn letters(stand: &Stand) -> anyhow::Result<Vec<Value>> {
    let mut command = stand.command(weir());
    let output = run(command.args(["dead-letters", "list", "--json", "--state", "state"]), 0)?;
    let list: Value = serde_json::from_slice(&output.stdout)?;
    Ok(list["letters"].as_array().cloned().unwrap_or_default())
}

#[test]
fn rows_that_the_server_refuses_are_dead_letters_until_they_are_replayed() -> anyhow::Result<()> {
    let (stand, server) = (Stand::new(4), Service::start(Kind::MariaDb)?);
    sql(&server, "CREATE DATABASE portal CHARACTER SET utf8mb4")?;
    let meant = expected(&stand.site, &stand.base());
    run(&mut crawl(&stand, "first", "first.jsonl", &[mysql(&server)]), 0)?;
    sql(&server, "DELETE FROM portal.property")?;
    sql(&server, "ALTER TABLE portal.property ADD CONSTRAINT cheap CHECK (price < 500)")?;
    let dear = meant.values().filter(|item| item["price"].as_f64().is_some_and(|price| price >= 500.0)).count();
    ensure!(dear > 3 && dear < meant.len(), "{dear} of {} are dear", meant.len());
    let (_, said) = printed(&run(&mut crawl(&stand, "state", "items.jsonl", &[mysql(&server)]), 0)?);
    let refused = said.lines().find(|line| line.contains("item refused")).context("it is said")?;
    ensure!(refused.contains("/properties/property_") && refused.contains("cheap"), "{refused}");
    compare(&read_feed(&stand.path("items.jsonl"))?, &meant)?;
    ensure!(count(&server)? == (meant.len() - dear) as u64, "the others are there");
    let found = letters(&stand)?;
    ensure!(found.len() == dear, "{} letters, {dear} refused rows", found.len());
    for letter in &found {
        let fields = &letter["item"]["fields"];
        let url = fields["url"].as_str().context("a url")?;
        ensure!(fields["price"] == meant[url]["price"] && fields["title"] == meant[url]["title"], "{letter:#}");
        ensure!(letter["reason"].as_str().is_some_and(|reason| reason.contains("cheap")), "{letter:#}");
    }
    let password = account(&server).1;
    ensure!(!std::fs::read_to_string(stand.path("state/dead-letters.jsonl"))?.contains(&format!(":{password}@")));
    // Replayed while the constraint is there: refused again. Without it: stored, and the list is empty.
    let replay = || {
        let mut command = stand.command(weir());
        command.args(["dead-letters", "replay", "--all", "-q", "--state", "state", "-o", &mysql(&server)]);
        command
    };
    run(&mut replay(), 0)?;
    ensure!(letters(&stand)?.len() == dear);
    sql(&server, "ALTER TABLE portal.property DROP CONSTRAINT cheap")?;
    run(&mut replay(), 0)?;
    ensure!(letters(&stand)?.is_empty());
    ensure!(count(&server)? == meant.len() as u64);
    compare(&read_feed(&stand.path("items.jsonl"))?, &meant)
}

#[test]
fn one_ctrl_c_ends_a_crawl_whose_sink_does_not_answer_and_the_same_command_goes_on() -> anyhow::Result<()> {
    let (stand, mut server) = (Stand::slow(40), Service::start(Kind::MariaDb)?);
    sql(&server, "CREATE DATABASE portal CHARACTER SET utf8mb4")?;
    let sinks = [mysql(&server)];
    let mut child = start(crawl(&stand, "state", "items.jsonl", &sinks).args(SLOWLY));
    until("rows to arrive", || count(&server).is_ok_and(|rows| rows > 50));
    server.kill9()?;
    ensure!(child.0.try_wait()?.is_none(), "the crawl ended early");
    child.signal("-INT")?;
    let mut status = None;
    until("the crawl to end", || {
        status = child.0.try_wait().ok().flatten();
        status.is_some()
    });
    ensure!(status.and_then(|status| status.code()) == Some(130), "{status:?}");
    server.restart()?;
    run(&mut crawl(&stand, "state", "items.jsonl", &sinks), 0)?;
    let meant = expected(&stand.site, &stand.base());
    compare(&read_feed(&stand.path("items.jsonl"))?, &meant)?;
    ensure!(count(&server)? == meant.len() as u64);
    ensure!(letters(&stand)?.is_empty(), "a server that is away makes no dead letters");
    Ok(())
}

#[test]
fn a_best_effort_sink_that_is_away_stops_nobody_and_the_next_crawl_fills_it() -> anyhow::Result<()> {
    let (stand, mut server) = (Stand::new(4), Service::start(Kind::Redis)?);
    let meant = expected(&stand.site, &stand.base());
    let required = format!("redis://127.0.0.1:{}/0", server.port());
    let best_effort = format!("{required}?required=false");
    server.kill9()?;
    // Required, it is named at once; best effort, the crawl ends as without it.
    let (_, said) = printed(&run(&mut crawl(&stand, "other", "no.jsonl", &[required]), 4)?);
    ensure!(said.matches("sink redis://").count() == 1, "named, not twice over: {said}");
    let output = run(&mut crawl(&stand, "state", "first.jsonl", std::slice::from_ref(&best_effort)), 0)?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(report["stats"]["items/missed"] == meant.len(), "{report:#}");
    compare(&read_feed(&stand.path("first.jsonl"))?, &meant)?;
    server.restart()?;
    run(&mut crawl(&stand, "state", "second.jsonl", &[best_effort]), 0)?;
    let output = Command::new("redis-cli")
        .args(["-p", &server.port().to_string(), "--scan", "--pattern", "weir:property:*"])
        .output()?;
    let hashes = String::from_utf8(output.stdout)?;
    let items = hashes.lines().filter(|key| key.rsplit(':').next().is_some_and(|id| id.len() == 32)).count();
    ensure!(items == meant.len(), "{items} hashes");
    Ok(())
}

#[test]
fn a_best_effort_sink_that_dies_in_the_middle_is_left_behind() -> anyhow::Result<()> {
    let (stand, mut server) = (Stand::slow(40), Service::start(Kind::Redis)?);
    let sinks = [format!("redis://127.0.0.1:{}/0?required=false", server.port())];
    let mut child = start(crawl(&stand, "state", "items.jsonl", &sinks).args(SLOWLY));
    until("items to arrive", || server_size(&server).is_ok_and(|keys| keys > 50));
    server.kill9()?;
    ensure!(child.0.try_wait()?.is_none(), "the crawl ended early");
    let mut status = None;
    until("the crawl to end", || {
        status = child.0.try_wait().ok().flatten();
        status.is_some()
    });
    ensure!(status.and_then(|status| status.code()) == Some(0), "{status:?}");
    compare(&read_feed(&stand.path("items.jsonl"))?, &expected(&stand.site, &stand.base()))
}

fn server_size(service: &Service) -> anyhow::Result<u64> {
    let output = Command::new("redis-cli").args(["-p", &service.port().to_string(), "DBSIZE"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

#[test]
fn a_sink_that_cannot_go_on_stops_the_crawl_by_its_name_once() -> anyhow::Result<()> {
    let (stand, server) = (Stand::slow(40), Service::start(Kind::Redis)?);
    let sinks = [format!("redis://127.0.0.1:{}/0", server.port())];
    let mut command = crawl(&stand, "state", "items.jsonl", &sinks);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn()?;
    until("items to arrive", || server_size(&server).is_ok_and(|keys| keys > 50));
    run(Command::new("redis-cli").args(["-p", &server.port().to_string(), "FLUSHALL"]), 0)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.code() == Some(4), "{:?}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let failure = report["failure"].as_str().context("a failure")?;
    ensure!(failure.starts_with("sink redis://") && failure.matches("sink redis://").count() == 1, "{failure}");
    run(&mut crawl(&stand, "state", "items.jsonl", &sinks), 0)?;
    compare(&read_feed(&stand.path("items.jsonl"))?, &expected(&stand.site, &stand.base()))
}
