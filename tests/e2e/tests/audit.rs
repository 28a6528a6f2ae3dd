//! `weir audit`: a job that went well is proved, and what was taken away or changed by hand is told by name.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::process::Command;
use weir_e2e::elastic::ask;
use weir_e2e::{Stand, example, printed, run, weir};
use weir_services::{Kind, Service};

/// A crawl of four index pages with a list of sinks; the state is `state`.
fn crawl(stand: &Stand, sinks: &[&str]) -> anyhow::Result<()> {
    let mut command = stand.command(weir());
    command.arg("crawl").arg(example("properties.toml")).args(["-q", "--state", "state"]);
    command.args(["-a", &format!("base={}", stand.base())]);
    sinks.iter().for_each(|sink| {
        command.args(["-o", sink]);
    });
    run(&mut command, 0)?;
    Ok(())
}

fn audit(stand: &Stand, job: &str, more: &[&str], code: i32) -> anyhow::Result<Value> {
    let mut command = stand.command(weir());
    command.args(["audit", job, "--json", "--state", "state"]).args(more);
    Ok(serde_json::from_slice(&run(&mut command, code)?.stdout)?)
}

fn differences(audit: &Value, sink: &str) -> anyhow::Result<Vec<(String, String)>> {
    let sinks = audit["sinks"].as_array().context("sinks")?;
    let found = sinks.iter().find(|found| found["name"].as_str().is_some_and(|name| name.contains(sink)));
    let differences =
        found.with_context(|| format!("no {sink} in {audit:#}"))?["differences"].as_array().context("a list")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(differences.iter().map(|one| (text(&one["kind"]), text(&one["name"]))).collect())
}

#[test]
fn rows_that_were_taken_away_or_changed_by_hand_are_told_by_name() -> anyhow::Result<()> {
    let stand = Stand::new(4);
    crawl(&stand, &["items.jsonl", "sqlite:items.db"])?;
    let held = audit(&stand, "1", &[], 0)?;
    ensure!(held["holds"] == true && held["items"] == 120 && held["urls"] == held["verdicts"], "{held:#}");
    for sink in held["sinks"].as_array().context("sinks")? {
        ensure!(sink["same"] == 120 && sink["rows"] == 120 && sink["unsure"] == 0, "{sink:#}");
    }
    let url = |at: u32| format!("{}/properties/property_{at:06}.html", stand.base());
    let database = rusqlite::Connection::open(stand.path("items.db"))?;
    database.execute("DELETE FROM property WHERE url = ?1", [url(7)])?;
    database.execute("UPDATE property SET price = price + 1 WHERE url = ?1", [url(8)])?;
    database.execute("UPDATE property SET price = 'cheap' WHERE url = ?1", [url(9)])?;
    // The date is `now`: volatile, no content.
    database.execute("UPDATE property SET date = NULL WHERE url = ?1", [url(10)])?;
    drop(database);
    let feed = std::fs::read_to_string(stand.path("items.jsonl"))?;
    let changed: Vec<String> =
        feed.lines()
            .filter(|line| !line.contains(&url(20)))
            .map(|line| {
                if line.contains(&url(21)) {
                    line.replace("\"title\": \"", "\"title\": \"Not ")
                } else {
                    line.to_owned()
                }
            })
            .collect();
    std::fs::write(stand.path("items.jsonl"), changed.join("\n") + "\n")?;
    let found = audit(&stand, "1", &[], 5)?;
    let kind = |kind: &str, at: u32| (kind.to_owned(), url(at));
    ensure!(
        differences(&found, "items.db")? == [kind("altered", 8), kind("altered", 9), kind("missing", 7)],
        "{found:#}"
    );
    ensure!(differences(&found, "items.jsonl")? == [kind("altered", 21), kind("missing", 20)], "{found:#}");
    let mut plain = stand.command(weir());
    let (said, _) = printed(&run(plain.args(["audit", "1", "--state", "state"]), 5)?);
    ensure!(said.contains(&format!("missing: {}", url(7))) && said.contains("does not hold"), "{said}");
    Ok(())
}

#[test]
fn feeds_of_every_format_are_read_back() -> anyhow::Result<()> {
    let stand = Stand::new(4);
    crawl(&stand, &["items.xml", "items.parquet", "items.xml.gz", "p%(batch_id)d.parquet"])?;
    let held = audit(&stand, "1", &[], 0)?;
    for sink in held["sinks"].as_array().context("sinks")? {
        ensure!(sink["same"] == 120 && sink["rows"] == 120 && sink["unsure"] == 0, "{sink:#}");
    }
    let url = |at: u32| format!("{}/properties/property_{at:06}.html", stand.base());
    let feed = std::fs::read_to_string(stand.path("items.xml"))?;
    let changed = feed.lines().filter(|line| !line.contains(&url(20))).map(|line| match line.contains(&url(21)) {
        true => line.replace("<title>", "<title>Not "),
        false => line.to_owned(),
    });
    std::fs::write(stand.path("items.xml"), changed.collect::<Vec<_>>().join("\n"))?;
    std::fs::write(stand.path("items.parquet"), "no Parquet")?;
    let found = audit(&stand, "1", &[], 5)?;
    let kind = |kind: &str, at: u32| (kind.to_owned(), url(at));
    ensure!(differences(&found, "items.xml")? == [kind("altered", 21), kind("missing", 20)], "{found:#}");
    let failed = found["sinks"][1]["failed"].as_str().context("why")?;
    ensure!(failed.contains("items.parquet") && failed.contains("as weir wrote it"), "{failed}");
    Ok(())
}

#[test]
fn what_the_only_sink_lacks_is_named_from_the_journal() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    crawl(&stand, &["sqlite:items.db"])?;
    let url = format!("{}/properties/property_000003.html", stand.base());
    rusqlite::Connection::open(stand.path("items.db"))?.execute("DELETE FROM property WHERE url = ?1", [&url])?;
    let found = audit(&stand, "1", &[], 5)?;
    ensure!(differences(&found, "items.db")? == [("missing".to_owned(), url)], "{found:#}");
    // An emptied table and a database that is gone.
    rusqlite::Connection::open(stand.path("items.db"))?.execute("DELETE FROM property", [])?;
    ensure!(differences(&audit(&stand, "1", &[], 5)?, "items.db")?.len() == 60);
    std::fs::remove_file(stand.path("items.db"))?;
    let found = audit(&stand, "1", &[], 5)?;
    ensure!(found["sinks"][0]["failed"].as_str().is_some_and(|why| why.contains("gone")), "{found:#}");
    Ok(())
}

#[test]
fn a_second_job_has_the_items_that_it_found_again_and_an_unknown_job_is_named() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    crawl(&stand, &["first.jsonl", "sqlite:items.db"])?;
    crawl(&stand, &["second.csv", "sqlite:items.db"])?;
    let second = audit(&stand, "2", &[], 0)?;
    ensure!(second["items"] == 60 && second["holds"] == true, "{second:#}");
    let first = audit(&stand, "1", &[], 0)?;
    ensure!(first["items"] == 0 && first["scraped"] == 60, "{first:#}");
    let mut command = stand.command(weir());
    let (_, said) = printed(&run(command.args(["audit", "9", "--state", "state"]), 2)?);
    ensure!(said.contains("job 9") && said.contains("properties"), "{said}");
    // A sink that is not named is not proved.
    ensure!(audit(&stand, "2", &["-o", "second.csv"], 5)?["holds"] == false);
    Ok(())
}

#[test]
fn an_index_is_read_back_and_compared() -> anyhow::Result<()> {
    let server = Service::start(Kind::Elasticsearch)?;
    let stand = Stand::new(4);
    let index = format!("elasticsearch://127.0.0.1:{}/homes", server.port());
    crawl(&stand, &[&*index])?;
    let held = audit(&stand, "1", &["-o", &*index], 0)?;
    let sink = &held["sinks"][0];
    ensure!(sink["same"] == 120 && sink["unsure"] == 0, "{held:#}");
    let url = |at: u32| format!("{}/properties/property_{at:06}.html", stand.base());
    let id = |at: u32| -> anyhow::Result<String> {
        let hits = ask(server.port(), "POST", "homes/_search", &json!({"query": {"term": {"url": url(at)}}}))?;
        Ok(hits["hits"]["hits"][0]["_id"].as_str().context("an id")?.to_owned())
    };
    ask(server.port(), "DELETE", &format!("homes/_doc/{}", id(5)?), &Value::Null)?;
    let change = json!({"doc": {"title": "Mine"}});
    ask(server.port(), "POST", &format!("homes/_update/{}", id(6)?), &change)?;
    let found = audit(&stand, "1", &["-o", &*index], 5)?;
    let kind = |kind: &str, at: u32| (kind.to_owned(), url(at));
    ensure!(differences(&found, "elasticsearch")? == [kind("altered", 6), kind("missing", 5)], "{found:#}");
    Ok(())
}

#[test]
fn servers_are_read_back_and_compared() -> anyhow::Result<()> {
    let (mysql, redis) = (Service::start(Kind::MariaDb)?, Service::start(Kind::Redis)?);
    let authority = mysql.url().split("://").nth(1).unwrap_or_default();
    let account = authority.split_once('@').map_or("", |(account, _)| account).to_owned();
    let (user, password) = account.split_once(':').unwrap_or((&account, ""));
    let sql = |statement: &str| -> anyhow::Result<()> {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-h", "127.0.0.1", &format!("-u{user}"), &format!("-p{password}")]);
        run(client.args(["-P", &mysql.port().to_string(), "-e", statement]), 0).map(|_| ())
    };
    sql("CREATE DATABASE portal CHARACTER SET utf8mb4")?;
    let stand = Stand::new(4);
    let table = format!("mysql://{account}@127.0.0.1:{}/portal/property", mysql.port());
    let hashes = format!("redis://127.0.0.1:{}/0", redis.port());
    let sinks = [&*table, &*hashes, "items.json"];
    crawl(&stand, &sinks)?;
    let named = ["-o", &*table, "-o", &*hashes, "-o", "items.json"];
    let held = audit(&stand, "1", &named, 0)?;
    for sink in held["sinks"].as_array().context("sinks")? {
        ensure!(sink["same"] == 120 && sink["unsure"] == 0, "{sink:#}");
    }
    let url = |at: u32| format!("{}/properties/property_{at:06}.html", stand.base());
    sql(&format!("DELETE FROM portal.property WHERE url = '{}'", url(5)))?;
    sql(&format!("UPDATE portal.property SET title = 'Mine' WHERE url = '{}'", url(6)))?;
    let found = audit(&stand, "1", &named, 5)?;
    let kind = |kind: &str, at: u32| (kind.to_owned(), url(at));
    ensure!(differences(&found, "mysql")? == [kind("altered", 6), kind("missing", 5)], "{found:#}");
    ensure!(differences(&found, "redis")?.is_empty() && differences(&found, "items.json")?.is_empty(), "{found:#}");
    let id = found["sinks"][0]["differences"][1]["id"].as_str().context("an id")?.to_owned();
    let mut client = Command::new("redis-cli");
    run(client.args(["-p", &redis.port().to_string(), "DEL", &format!("weir:property:{id}")]), 0)?;
    ensure!(differences(&audit(&stand, "1", &named, 5)?, "redis")? == [kind("missing", 5)]);
    Ok(())
}

#[test]
fn items_without_a_key_and_spiders_without_items_are_proved() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    let text = |items: &str| {
        format!(
            "name = \"plain\"\nstart = \"{}/properties/index_00000.html\"\n[[follow]]\nxpath = '//*[@itemprop=\"url\"]/@href'\n{items}",
            stand.base()
        )
    };
    let items = "parse = \"home\"\n[item.home.fields]\nurl = { value = \"response.url\" }\nnote = { css = \"nothing::text\" }\n\
                 price = { css = \"nothing::text\", type = \"float\" }\n";
    for (name, text, sinks) in [
        ("items", text(items), &["items.csv", "items.xml", "items.jsonl", "sqlite:items.db"][..]),
        ("none", text(""), &["none.jsonl"]),
    ] {
        stand.write("plain.toml", &text);
        let mut command = stand.command(weir());
        command.args(["crawl", "plain.toml", "-q", "--state", name]);
        sinks.iter().for_each(|sink| _ = command.args(["-o", sink]));
        run(&mut command, 0)?;
        let mut command = stand.command(weir());
        let output = run(command.args(["audit", "--json", "--state", name]), 0)?;
        let audit: Value = serde_json::from_slice(&output.stdout)?;
        let rows = if name == "items" { 30 } else { 0 };
        for sink in audit["sinks"].as_array().context("sinks")? {
            assert_eq!((&sink["same"], &sink["rows"]), (&rows.into(), &rows.into()), "{sink:#}");
        }
    }
    Ok(())
}
