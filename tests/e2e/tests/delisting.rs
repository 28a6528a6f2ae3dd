//! Listings that come and go, by the site's date knob: what a complete crawl does not find is marked as gone, and comes back. Into
//! SQLite and, as fresh servers or those that environment variables name, Elasticsearch, MySQL (MariaDB) and Redis.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use weir_e2e::{Stand, elastic, printed, run, weir, weir_with_crash_points};
use weir_services::{Kind, Service};

const FIRST: &str = "2026-03-01";
const LATER: &str = "2026-03-15";

/// A crawl of the portal as it is on a day. The day is in the file, not in an argument: so it is the same crawl every day.
fn spider(stand: &Stand, day: &str) -> PathBuf {
    let text = format!(
        r#"name = "portal"
allowed_domains = ["localhost"]
start = ["${{base}}/date:{day}/properties/index_00000.html"]
[args]
base = "http://localhost:9312"
area = "all"
[[follow]]
xpath = '//*[contains(@class,"next")]//@href'
[[follow]]
xpath = '//*[@itemprop="url"]/@href'
parse = "home"
[item.home]
key = "number"
[item.home.fields]
number = {{ url = 'property_(\d+)' }}
price = {{ xpath = '//*[@itemprop="price"][1]/text()', regex = '[,.0-9]+', map = [{{ remove = "," }}], type = "float" }}
url = {{ value = "response.url", volatile = true }}
"#
    );
    stand.write("portal.toml", &text)
}

fn crawl(stand: &Stand, binary: &Path, spider: &Path, feed: &str) -> Command {
    let mut command = stand.command(binary);
    command.arg("crawl").arg(spider).args(["-q", "--json", "-a", &format!("base={}", stand.base())]);
    command.args(["-o", feed, "-o", "sqlite:items.db", "--state", "state"]);
    command
}

fn marked(output: &Output) -> anyhow::Result<u64> {
    let report: Value = serde_json::from_slice(&output.stdout)?;
    Ok(report["stats"]["items/delisted"].as_u64().unwrap_or_default())
}

/// Numbers of the listings of a feed.
fn seen(stand: &Stand, feed: &str) -> anyhow::Result<BTreeSet<String>> {
    numbers(&stand.path(feed))
}

fn numbers(feed: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(feed)?;
    let number = |line: &str| {
        let item: Value = serde_json::from_str(line)?;
        Ok(item["number"].as_str().context("a number")?.to_owned())
    };
    text.lines().map(number).collect()
}

/// Listings, and whether they are marked as gone.
type Marks = BTreeMap<String, bool>;

fn rows(path: &Path) -> anyhow::Result<Marks> {
    let database = rusqlite::Connection::open(path)?;
    let mut statement = database.prepare("SELECT number, _delisted_at IS NOT NULL FROM home")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// All that were ever seen, those of now without a mark.
fn meant(ever: &BTreeSet<String>, now: &BTreeSet<String>) -> Marks {
    ever.iter().map(|number| (number.clone(), !now.contains(number))).collect()
}

fn ensure_same(place: &str, found: &Marks, meant: &Marks) -> anyhow::Result<()> {
    let differs = meant.iter().find(|(number, gone)| found.get(*number) != Some(gone));
    ensure!(
        differs.is_none(),
        "{place}: {differs:?} was meant (listing, gone), it holds {:?}",
        differs.map(|(n, _)| found.get(n))
    );
    ensure!(found.len() == meant.len(), "{place}: {} listings, meant were {}", found.len(), meant.len());
    Ok(())
}

#[test]
fn what_a_complete_crawl_does_not_find_is_marked_and_comes_back_and_other_crawls_mark_nothing() -> anyhow::Result<()> {
    let stand = Stand::new(10);
    let database = stand.path("items.db");
    let day = |day: &str, feed: &str, options: &[&str], code: i32| {
        run(crawl(&stand, weir(), &spider(&stand, day), feed).args(options), code)
    };
    ensure!(marked(&day(FIRST, "first.jsonl", &[], 0)?)? == 0);
    let first = seen(&stand, "first.jsonl")?;
    ensure_same("first", &rows(&database)?, &meant(&first, &first))?;
    // Stopped early, told not to, and with a rule that finds nothing: no mark.
    day(LATER, "stopped.jsonl", &["-s", "stop.pages=5"], 3)?;
    day(LATER, "off.jsonl", &["-s", "delist=false"], 0)?;
    let later = seen(&stand, "off.jsonl")?;
    let ever: BTreeSet<String> = first.union(&later).cloned().collect();
    ensure_same("told not to", &rows(&database)?, &meant(&ever, &ever))?;
    let broken = std::fs::read_to_string(spider(&stand, LATER))?.replace("@itemprop=\"url\"", "@itemprop=\"link\"");
    let broken = stand.write("portal.toml", &broken);
    let output = run(&mut crawl(&stand, weir(), &broken, "broken.jsonl"), 0)?;
    ensure!(printed(&output).1.contains("found no item at all"), "{:?}", printed(&output));
    // Another argument is another crawl: it has no listing of its own that could be gone.
    run(crawl(&stand, weir(), &spider(&stand, LATER), "other.jsonl").args(["-a", "area=leeds"]), 0)?;
    ensure_same("other crawls", &rows(&database)?, &meant(&ever, &ever))?;
    // A complete one.
    let output = day(LATER, "later.jsonl", &[], 0)?;
    let gone = first.difference(&later).count();
    ensure!(gone > 10 && marked(&output)? == gone as u64, "{gone} are gone, {} were marked", marked(&output)?);
    ensure_same("later", &rows(&database)?, &meant(&ever, &later))?;
    let again = day(LATER, "again.jsonl", &[], 0)?;
    ensure!(marked(&again)? == 0, "what is marked is not marked again");
    // And back: those that were marked, and have not changed, too.
    let back = day(FIRST, "back.jsonl", &["--workers", "2"], 0)?;
    ensure!(marked(&back)? == later.difference(&first).count() as u64);
    ensure_same("back", &rows(&database)?, &meant(&ever, &first))
}

/// Copies the files of a folder, one level of folders deep.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[test]
fn killed_while_marks_are_set_the_same_command_ends_with_the_same_marks() -> anyhow::Result<()> {
    let stand = Stand::new(10);
    let binary = weir_with_crash_points();
    run(&mut crawl(&stand, binary, &spider(&stand, FIRST), "first.jsonl"), 0)?;
    let first = seen(&stand, "first.jsonl")?;
    // Before a mark, before it is committed, when the sink has it and the state does not, when all sinks are done but not the job.
    for death in ["delist", "sqlite: commit delisted", "sqlite: checkpoint", "sqlite: close"] {
        let place = stand.path(death);
        copy(&stand.path("state"), &place.join("state"))?;
        std::fs::copy(stand.path("items.db"), place.join("items.db"))?;
        let go = |day: &str, feed: &str, crash: &str| {
            let mut command = crawl(&stand, binary, &spider(&stand, day), feed);
            command.current_dir(&place).env("WEIR_CRASH_AT", crash).output()
        };
        let died = go(LATER, "later.jsonl", death)?;
        ensure!(died.status.code().is_none(), "{death}: not reached: {:?}", printed(&died));
        let again = go(LATER, "later.jsonl", "never")?;
        ensure!(again.status.success(), "{death}: {:?}", printed(&again));
        let later = numbers(&place.join("later.jsonl"))?;
        let ever: BTreeSet<String> = first.union(&later).cloned().collect();
        let gone = first.difference(&later).count() as u64;
        ensure!(gone > 0 && marked(&again)? == gone, "{death}: {gone} are gone, {} were marked", marked(&again)?);
        ensure_same(death, &rows(&place.join("items.db"))?, &meant(&ever, &later))?;
        let output = go(FIRST, "back.jsonl", "never")?;
        ensure!(output.status.success(), "{death}: {:?}", printed(&output));
        ensure_same(death, &rows(&place.join("items.db"))?, &meant(&ever, &first))?;
    }
    Ok(())
}

struct Servers {
    elastic: Service,
    mysql: Service,
    redis: Service,
}

impl Servers {
    fn start() -> anyhow::Result<Servers> {
        let (elastic, mysql, redis) = std::thread::scope(|scope| {
            let elastic = scope.spawn(|| Service::start(Kind::Elasticsearch));
            let mysql = Service::start(Kind::MariaDb);
            (elastic.join().expect("starting does not panic"), mysql, Service::start(Kind::Redis))
        });
        Ok(Servers { elastic: elastic?, mysql: mysql?, redis: redis? })
    }

    fn outputs(&self) -> [String; 6] {
        let o = || "-o".to_owned();
        [
            o(),
            format!("elasticsearch://127.0.0.1:{}/homes", self.elastic.port()),
            o(),
            format!("{}/homes", self.mysql.url()),
            o(),
            format!("redis://127.0.0.1:{}/0", self.redis.port()),
        ]
    }

    fn rows(&self) -> anyhow::Result<Marks> {
        let url = self.mysql.url();
        let (account, place) = url.split("://").nth(1).and_then(|rest| rest.split_once('@')).context("an account")?;
        let (user, password) = account.split_once(':').unwrap_or((account, ""));
        let database = place.split_once('/').context("a database")?.1;
        let output = Command::new("mariadb")
            .args(["--no-defaults", "-h", "127.0.0.1", "-N", "-B", &format!("-u{user}"), &format!("-p{password}")])
            .args(["-P", &self.mysql.port().to_string(), database])
            .args(["-e", "SELECT number, _delisted_at IS NOT NULL FROM homes"])
            .output()
            .context("the client that came with the server")?;
        ensure!(output.status.success(), "{}", printed(&output).1);
        let text = printed(&output).0;
        let rows = text.lines().filter_map(|line| line.split_once('\t'));
        Ok(rows.map(|(number, gone)| (number.to_owned(), gone == "1")).collect())
    }

    fn documents(&self) -> anyhow::Result<Marks> {
        let documents = elastic::documents(self.elastic.port(), "homes")?;
        let marks = documents.values().map(|document| {
            let number = document["number"].as_str().context("a number")?;
            Ok((number.to_owned(), document.get("weir_delisted_at").is_some_and(|at| !at.is_null())))
        });
        marks.collect()
    }

    fn hashes(&self) -> anyhow::Result<Marks> {
        let script = "local all = {} for _, key in ipairs(redis.call('KEYS', '*')) do \
             if redis.call('TYPE', key).ok == 'hash' then local row = redis.call('HMGET', key, 'number', '_delisted_at') \
             if row[1] then all[#all + 1] = row[1] .. ' ' .. tostring(row[2] and 1 or 0) end end end return all";
        let port = self.redis.port().to_string();
        let output = Command::new("redis-cli").args(["-p", &port, "EVAL", script, "0"]).output()?;
        ensure!(output.status.success(), "{}", printed(&output).1);
        let text = printed(&output).0;
        let rows = text.lines().filter_map(|line| line.split_once(' '));
        Ok(rows.map(|(number, gone)| (number.to_owned(), gone == "1")).collect())
    }
}

#[test]
fn every_server_marks_what_is_gone_and_takes_the_mark_off_again() -> anyhow::Result<()> {
    let (stand, servers) = (Stand::new(10), Servers::start()?);
    let mut ever = BTreeSet::new();
    for (run_number, day) in [FIRST, LATER, FIRST].into_iter().enumerate() {
        let feed = format!("{run_number}.jsonl");
        run(crawl(&stand, weir(), &spider(&stand, day), &feed).args(servers.outputs()), 0)?;
        let now = seen(&stand, &feed)?;
        ever.extend(now.iter().cloned());
        let meant = meant(&ever, &now);
        ensure!(run_number == 0 || meant.values().any(|gone| *gone), "nothing is gone");
        ensure_same("sqlite", &rows(&stand.path("items.db"))?, &meant)?;
        ensure_same("mysql", &servers.rows()?, &meant)?;
        ensure_same("elasticsearch", &servers.documents()?, &meant)?;
        ensure_same("redis", &servers.hashes()?, &meant)?;
    }
    Ok(())
}
