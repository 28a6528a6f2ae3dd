//! Whole crawls into real servers: Elasticsearch, MySQL (MariaDB) and Redis beside a feed, as fresh servers or those that
//! `WEIR_TEST_ELASTICSEARCH`, `WEIR_TEST_MYSQL` and `WEIR_TEST_REDIS` name.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::process::Command;
use weir_e2e::elastic;
use weir_e2e::{Stand, compare, example, expected, read_feed, run, start, until, weir};
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
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// Who may do everything there, from the server's URL.
fn account(service: &Service) -> (String, String) {
    let authority = service.url().split("://").nth(1).unwrap_or_default();
    let account = authority.split_once('@').map_or("", |(account, _)| account);
    let (user, password) = account.split_once(':').unwrap_or((account, ""));
    (user.to_owned(), password.to_owned())
}

/// One command by the server's own client: lines of its answer.
fn redis(service: &Service, command: &[&str]) -> anyhow::Result<Vec<String>> {
    let port = service.port().to_string();
    let output = Command::new("redis-cli").args(["-p", &port]).args(command).output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

struct Servers {
    elastic: Service,
    mysql: Service,
    redis: Service,
}

impl Servers {
    fn start() -> anyhow::Result<Servers> {
        let (elastic, mysql, redis) = std::thread::scope(|scope| {
            let start = |kind| scope.spawn(move || Service::start(kind));
            let (elastic, mysql) = (start(Kind::Elasticsearch), start(Kind::MariaDb));
            let joined = |thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<Service>>| thread.join();
            (joined(elastic), joined(mysql), Service::start(Kind::Redis))
        });
        let started = |service: std::thread::Result<anyhow::Result<Service>>| service.expect("starting does not panic");
        let servers = Servers { elastic: started(elastic)?, mysql: started(mysql)?, redis: redis? };
        sql(&servers.mysql, "CREATE DATABASE portal CHARACTER SET utf8mb4")?;
        Ok(servers)
    }

    fn crawl(&self, stand: &Stand, feed: &str) -> Command {
        let mut command = stand.command(weir());
        command.arg("crawl").arg(example("properties.toml"));
        command.args(["-q", "--json", "-a", &format!("base={}", stand.base()), "-o", feed]);
        command.args(["--state", "state"]);
        self.sinks(&mut command);
        command
    }

    /// The three servers as `-o`.
    fn sinks(&self, command: &mut Command) {
        let (user, password) = account(&self.mysql);
        command.env("WEIR_MYSQL_PASSWORD", password);
        command.args(["-o", &format!("mysql://{user}@127.0.0.1:{}/portal/property", self.mysql.port())]);
        command.args(["-o", &format!("redis://127.0.0.1:{}/0", self.redis.port())]);
        command.args(["-o", &format!("elasticsearch://127.0.0.1:{}/portal", self.elastic.port())]);
    }

    /// Ids of the items in Redis, as keys.
    fn hashes(&self) -> anyhow::Result<Vec<String>> {
        let mut keys = redis(&self.redis, &["--scan", "--pattern", "*"])?;
        keys.retain(|key| key.rsplit(':').next().is_some_and(|id| id.len() == 32));
        Ok(keys)
    }

    /// Scripts that Redis has run since it started: one for each item that is written to it, and one for each opening.
    fn scripts(&self) -> anyhow::Result<u64> {
        let told = redis(&self.redis, &["INFO", "commandstats"])?;
        // `cmdstat_evalsha:calls=4,usec=9,...`
        let calls = told.iter().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        Ok(calls.and_then(|line| line.split(',').next()).map_or(Ok(0), str::parse)?)
    }

    /// What the table holds, as the feed's items are.
    fn rows(&self) -> anyhow::Result<std::collections::BTreeMap<String, Value>> {
        let statement = "SELECT JSON_OBJECT('title', title, 'price', price, 'description', description, 'address', address, \
                         'image_urls', JSON_EXTRACT(image_urls, '$'), 'url', url) FROM portal.property";
        let mut rows = std::collections::BTreeMap::new();
        for row in sql(&self.mysql, statement)? {
            // The client escapes backslashes in its own way.
            let mut item: Value = serde_json::from_str(&row[0].replace("\\\\", "\\"))?;
            // The server writes 1915 for 1915.0.
            item["price"] = item["price"].as_f64().into();
            let url = item["url"].as_str().context("a url")?.to_owned();
            ensure!(rows.insert(url.clone(), item).is_none(), "{url} is in the table twice");
        }
        Ok(rows)
    }
}

fn stats(output: &std::process::Output) -> anyhow::Result<Value> {
    let report: Value = serde_json::from_slice(&output.stdout)?;
    Ok(report["stats"].clone())
}

#[test]
fn listings_arrive_in_mysql_redis_and_a_feed_and_a_second_run_writes_nothing() -> anyhow::Result<()> {
    let (stand, servers) = (Stand::new(20), Servers::start()?);
    let earlier = servers.scripts()?;
    run(&mut servers.crawl(&stand, "first.jsonl"), 0)?;
    let meant = expected(&stand.site, &stand.base());
    compare(&read_feed(&stand.path("first.jsonl"))?, &meant)?;
    compare(&servers.rows()?, &meant)?;
    let port = servers.elastic.port();
    compare(&elastic::documents(port, "portal")?, &meant)?;
    let items = servers.hashes()?;
    ensure!(items.len() == meant.len(), "{} hashes, meant were {}", items.len(), meant.len());
    for key in items.iter().step_by(97) {
        let url = redis(&servers.redis, &["HGET", key, "url"])?.concat();
        let price: f64 = redis(&servers.redis, &["HGET", key, "price"])?.concat().parse()?;
        ensure!(meant[&url]["price"] == price, "{url}: {price} in Redis");
    }
    // Again: a new job, a whole feed, and not one write to a server.
    let written = elastic::writes(port, "portal")?;
    ensure!(written == meant.len() as u64, "{written} documents were written for {} listings", meant.len());
    let before = sql(&servers.mysql, "SELECT COUNT(*), MIN(_job), MAX(_job) FROM portal.property")?;
    let scripts = servers.scripts()? - earlier;
    ensure!(scripts == meant.len() as u64 + 1, "Redis ran {scripts} scripts for {} listings", meant.len());
    let again = stats(&run(&mut servers.crawl(&stand, "second.jsonl"), 0)?)?;
    compare(&read_feed(&stand.path("second.jsonl"))?, &meant)?;
    let after = sql(&servers.mysql, "SELECT COUNT(*), MIN(_job), MAX(_job) FROM portal.property")?;
    ensure!(before == after, "rows were written again: {before:?}, then {after:?}");
    ensure!(elastic::writes(port, "portal")? == written, "documents were written again");
    ensure!(servers.scripts()? - earlier == scripts + 1, "hashes were written again");
    // Three servers hold every item; the feed gets them all.
    ensure!(again["items/unchanged"] == 3 * meant.len() as u64, "{again}");
    ensure!(again["items/stored"] == meant.len() as u64, "{again}");
    // Sinks that were emptied are filled again; the other one is left alone.
    redis(&servers.redis, &["FLUSHALL"])?;
    elastic::ask(port, "DELETE", "portal-000001", &Value::Null)?;
    run(&mut servers.crawl(&stand, "third.jsonl"), 0)?;
    ensure!(sql(&servers.mysql, "SELECT COUNT(*), MIN(_job), MAX(_job) FROM portal.property")? == before);
    let filled = servers.hashes()?.len();
    ensure!(filled == meant.len(), "{filled} hashes after the flush, meant were {}", meant.len());
    compare(&elastic::documents(port, "portal")?, &meant)?;
    // What a column is too short for is cut, and every cut is in the stats.
    sql(&servers.mysql, "TRUNCATE portal.property")?;
    sql(&servers.mysql, "ALTER TABLE portal.property MODIFY title VARCHAR(12) CHARACTER SET utf8mb4")?;
    let short = stats(&run(&mut servers.crawl(&stand, "fourth.jsonl"), 0)?)?;
    let long = |item: &&Value| item["title"].as_str().is_some_and(|title| title.chars().count() > 12);
    let long = meant.values().filter(long).count();
    ensure!(long > 0 && short["items/truncated/property.title"] == long as u64, "{long} titles are too long: {short}");
    Ok(())
}

#[test]
fn servers_killed_in_the_middle_lose_nothing_and_double_nothing() -> anyhow::Result<()> {
    let (stand, mut servers) = (Stand::slow(40), Servers::start()?);
    let mut crawl = servers.crawl(&stand, "items.jsonl");
    // Whoever has to ask the servers first meets it in the middle.
    let mut child = start(crawl.args(["-s", "concurrency=2"]));
    let begun = |servers: &Servers| {
        let rows = sql(&servers.mysql, "SELECT COUNT(*) FROM portal.property").ok()?;
        rows.first()?.first()?.parse::<u64>().ok().filter(|rows| *rows > 50)
    };
    until("rows to arrive", || begun(&servers).is_some());
    ensure!(child.0.try_wait()?.is_none(), "the crawl ended early");
    servers.elastic.kill9()?;
    servers.mysql.kill9()?;
    servers.redis.kill9()?;
    servers.redis.restart()?;
    servers.mysql.restart()?;
    servers.elastic.restart()?;
    let status = child.0.wait()?;
    ensure!(status.code() == Some(0), "exit {status}");
    let meant = expected(&stand.site, &stand.base());
    compare(&read_feed(&stand.path("items.jsonl"))?, &meant)?;
    compare(&servers.rows()?, &meant)?;
    compare(&elastic::documents(servers.elastic.port(), "portal")?, &meant)?;
    let hashes = servers.hashes()?.len();
    ensure!(hashes == meant.len(), "{hashes} hashes in Redis, meant were {}", meant.len());
    // The product's own proof, by reading back.
    let mut audit = stand.command(weir());
    audit.args(["audit", "--json", "--state", "state", "-o", "items.jsonl"]);
    servers.sinks(&mut audit);
    let held: Value = serde_json::from_slice(&run(&mut audit, 0)?.stdout)?;
    ensure!(held["holds"] == true && held["sinks"].as_array().is_some_and(|sinks| sinks.len() == 4), "{held:#}");
    Ok(())
}
