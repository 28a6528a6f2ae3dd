//! Where items go is known again however it is named, and a sink that cannot be opened leaves nothing behind.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::process::{Command, Output};
use weir_e2e::{Stand, example, printed, run, weir};
use weir_services::{Kind, Service};

/// Listings of two index pages.
const LISTINGS: u64 = 60;

fn crawl(stand: &Stand, sinks: &[&str]) -> Command {
    let mut command = stand.command(weir());
    command.arg("crawl").arg(example("properties.toml")).args(["-q", "--json", "--state", "state"]);
    command.args(["-a", &format!("base={}", stand.base())]);
    sinks.iter().for_each(|sink| {
        command.args(["-o", sink]);
    });
    command
}

/// How many items were written, and how many were there.
fn stored(output: &Output) -> anyhow::Result<(u64, u64)> {
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let count = |name: &str| report["stats"][name].as_u64().unwrap_or(0);
    Ok((count("items/stored"), count("items/unchanged")))
}

#[test]
fn a_sink_whose_url_changes_in_its_options_is_written_nothing_again_and_needs_no_name_where_no_password_stood()
-> anyhow::Result<()> {
    let (mysql, redis) = (Service::start(Kind::MariaDb)?, Service::start(Kind::Redis)?);
    let authority = mysql.url().split("://").nth(1).unwrap_or_default();
    let account = authority.split_once('@').map_or("", |(account, _)| account).to_owned();
    let (user, password) = account.split_once(':').unwrap_or((&account, ""));
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "-h", "127.0.0.1", &format!("-u{user}"), &format!("-p{password}")]);
    run(client.args(["-P", &mysql.port().to_string(), "-e", "CREATE DATABASE portal CHARACTER SET utf8mb4"]), 0)?;
    let stand = Stand::new(2);
    let with = |mut command: Command| {
        command.env("WEIR_MYSQL_PASSWORD", password);
        command
    };
    let table = format!("mysql://{user}@127.0.0.1:{}/portal/property", mysql.port());
    let hashes = format!("redis://127.0.0.1:{}/0", redis.port());
    let first = run(&mut with(crawl(&stand, &[&table, &hashes, "sqlite:items.db"])), 0)?;
    ensure!(stored(&first)? == (3 * LISTINGS, 0), "{:?}", stored(&first)?);
    let weir = |arguments: &[&str]| {
        let mut command = stand.command(weir());
        command.args(arguments).args(["--state", "state"]);
        with(command)
    };
    let (said, _) = printed(&run(&mut weir(&["audit", "1"]), 0)?);
    ensure!(said.contains(&table) && said.contains("the audit holds"), "{said}");
    run(&mut weir(&["dead-letters", "replay", "--all"]), 0)?;
    // Another account by name, options, other spellings.
    let (slow_table, slow_hashes) = (format!("{table}?timeout=59s&add_columns=true"), format!("{hashes}?timeout=29s"));
    let again = run(&mut with(crawl(&stand, &[&slow_table, &slow_hashes, "sqlite:./items.db"])), 0)?;
    ensure!(stored(&again)? == (0, 3 * LISTINGS), "{:?}", stored(&again)?);
    // What the option asks for in rows that are there already needs every row once.
    let history = format!("{table}?history=price");
    let filled = run(&mut with(crawl(&stand, &[&history, &hashes, "sqlite:items.db"])), 0)?;
    ensure!(stored(&filled)? == (LISTINGS, 2 * LISTINGS), "{:?}", stored(&filled)?);
    let again = run(&mut with(crawl(&stand, &[&history, &hashes, "sqlite:items.db"])), 0)?;
    ensure!(stored(&again)? == (0, 3 * LISTINGS), "{:?}", stored(&again)?);
    run(&mut weir(&["audit", "-o", &table, "-o", &slow_hashes, "-o", "sqlite:./items.db"]), 0)?;
    run(&mut weir(&["export", "--from", &table, "-o", "items.csv"]), 0)?;
    let lines = std::fs::read_to_string(stand.path("items.csv"))?.lines().count();
    ensure!(lines as u64 > LISTINGS, "{lines} lines");
    // One place is no two sinks.
    let (_, said) = printed(&run(&mut with(crawl(&stand, &[&table, &history])), 2)?);
    ensure!(said.contains("one place"), "{said}");
    Ok(())
}

#[test]
fn a_server_that_is_not_there_at_the_start_ends_the_command_which_says_so_and_leaves_nothing() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    for server in [
        "mysql://me@127.0.0.1:1/db/t",
        "redis://127.0.0.1:1/0",
        "elasticsearch://127.0.0.1:1/homes",
        "ftp://me@127.0.0.1:1/items.jsonl",
    ] {
        let (_, said) = printed(&run(&mut crawl(&stand, &["items.jsonl", server]), 4)?);
        ensure!(said.contains("nothing is lost: run the same command again"), "{server}: {said}");
        ensure!(!said.contains("tried again"), "{server}: {said}");
        ensure!(!stand.path("items.jsonl.part").exists() && !stand.path("items.jsonl.part.job").exists(), "{server}");
    }
    ensure!(stand.site.log().is_empty(), "nothing was asked for");
    // As if they had never been asked for.
    let report: Value = serde_json::from_slice(&run(&mut crawl(&stand, &["items.jsonl"]), 0)?.stdout)?;
    ensure!(report["job"] == 1 && report["continued"] == false, "{report:#}");
    let file = std::fs::read_to_string(stand.path("items.jsonl")).context("the feed")?;
    ensure!(file.lines().count() as u64 == LISTINGS);
    Ok(())
}
