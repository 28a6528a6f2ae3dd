//! Computations: programs that fill fields of items, on crawls of the practice site. The programs are a few words of shell.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use weir_e2e::{Stand, printed, run, start, until};

/// Listings of two index pages.
const LISTINGS: usize = 60;

/// A spider whose listings have `fields` beside title and URL, and `computations`.
fn spider(stand: &Stand, fields: &str, computations: &str) {
    let text = format!(
        r#"name = "properties"
allowed_domains = ["localhost"]
start = ["${{base}}/properties/index_00000.html"]
[args]
base = "http://localhost:9312"
[[follow]]
xpath = '//*[contains(@class,"next")]//@href'
[[follow]]
xpath = '//*[@itemprop="url"]/@href'
parse = "property"
[item.property]
key = "url"
[item.property.fields]
title = {{ xpath = '//*[@itemprop="name"][1]/text()', map = ["trim"] }}
url = {{ value = "response.url" }}
{fields}
{computations}
"#
    );
    stand.write("properties.toml", &text);
}

/// A shell as the program: `script` is what it runs.
fn shell(stand: &Stand, name: &str, script: &str, more: &str) -> String {
    stand.write(&format!("{name}.sh"), script);
    format!("[item.property.compute.{name}]\ncommand = [\"sh\", \"{name}.sh\"]\n{more}\n")
}

fn crawl(stand: &Stand) -> Command {
    let mut command = stand.crawl(stand.path("properties.toml"));
    // The programs count bytes.
    command.args(["--allow-commands", "--json", "--overwrite"]).env("LC_ALL", "C");
    command
}

fn stats(output: &std::process::Output) -> anyhow::Result<BTreeMap<String, u64>> {
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let stats = report["stats"].as_object().context("stats")?;
    Ok(stats.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap_or(0))).collect())
}

/// Every listing is in feed and table, each with the length of its title but those that `without` names.
fn check_lengths(stand: &Stand, without: &[&str]) -> anyhow::Result<()> {
    let (feed, rows) = (stand.feed()?, stand.rows()?);
    let listings: Vec<_> = stand.site.portal().iter().collect();
    ensure!(listings.len() == LISTINGS, "{} listings", listings.len());
    for listing in &listings {
        let url = listing.url(&stand.base());
        if without.iter().any(|name| url.contains(name)) {
            ensure!(!feed.contains_key(&url) && !rows.contains_key(&url), "{url} was refused");
            continue;
        }
        let item = feed.get(&url).with_context(|| format!("{url} is missing"))?;
        let meant = item["title"].as_str().context("a title")?.len();
        ensure!(item["length"] == meant, "{url}: {item}");
        ensure!(rows[&url]["length"] == meant, "{url}: {:?}", rows[&url]);
    }
    ensure!(feed.len() + without.len() == LISTINGS, "{} items", feed.len());
    Ok(())
}

const LENGTH: &str = "length = { compute = \"length\", type = \"int\" }";
/// Answers the length of each title, in two writes. What stands around it in a line has 13 bytes.
const COUNT: &str = r#"while IFS= read -r line; do printf '{"length"'; printf ': %d}\n' "$((${#line} - 13))"; done"#;

#[test]
fn programs_fill_fields_and_a_second_run_finds_nothing_changed() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    let fields = [
        "copy = { compute = \"copy\" }",
        "twice = { compute = \"twice\", type = \"json\" }",
        "place = { geocode = \"copy\", type = \"geo_point\" }",
        LENGTH,
    ];
    // `text` is one field alone; `cat` answers many lines at once; the last one sees what the one before has filled.
    let computations = [
        shell(&stand, "copy", "exec cat", "send = \"title\"\nformat = \"text\"\nahead = 50"),
        shell(
            &stand,
            "length",
            r#"while IFS= read -r line; do echo "${#line}"; done"#,
            "send = \"copy\"\nformat = \"text\"\npool = 3",
        ),
        shell(&stand, "twice", "exec cat", "send = [\"length\", \"copy\"]\nahead = 7"),
    ];
    spider(&stand, &fields.join("\n"), &computations.concat());
    // What was computed can be geocoded.
    let titles: BTreeSet<String> = stand.site.portal().iter().map(|listing| listing.title.clone()).collect();
    let places: String = titles.iter().map(|title| format!("\"{title}\",1,2\n")).collect();
    stand.write("places.csv", &format!("name,lat,lon\n{places}"));
    let crawl = |stand: &Stand| {
        let mut command = crawl(stand);
        command.args(["-s", "geocode.gazetteer=places.csv"]);
        command
    };
    let counts = stats(&run(crawl(&stand).args(["--workers", "2"]), 0)?)?;
    let items = LISTINGS as u64;
    for name in ["copy", "length", "twice"] {
        ensure!(counts[&format!("compute/{name}/computed")] == items, "{counts:?}");
    }
    for (url, item) in stand.feed()? {
        let title = item["title"].as_str().context("a title")?;
        ensure!(item["copy"] == title && item["length"] == title.len(), "{url}: {item}");
        ensure!(item["place"] == serde_json::json!({"lat": 1.0, "lon": 2.0}), "{url}: {item}");
        ensure!(item["twice"] == serde_json::json!({"length": title.len(), "copy": title}), "{url}: {item}");
    }
    let second = stats(&run(&mut crawl(&stand), 0)?)?;
    ensure!(second["items/unchanged"] == items, "SQLite holds what was computed: {second:?}");
    run(stand.command(weir_e2e::weir()).args(["audit", "2", "--state", "state"]), 0)?;
    Ok(())
}

#[test]
fn a_spider_file_alone_starts_nothing() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    spider(&stand, LENGTH, &shell(&stand, "length", "touch started; cat", ""));
    let mut alone = stand.crawl(stand.path("properties.toml"));
    let (_, said) = printed(&run(&mut alone, 2)?);
    ensure!(said.contains("[item.property.compute.length] starts a program: sh length.sh"), "{said}");
    ensure!(said.contains("--allow-commands"), "{said}");
    run(stand.command(weir_e2e::weir()).args(["spider", "validate", "properties.toml"]), 0)?;
    // It cannot allow itself, and neither can a file beside it.
    for setting in ["allow_commands", "compute.allow_commands"] {
        let (_, said) =
            printed(&run(stand.crawl(stand.path("properties.toml")).args(["-s", &format!("{setting}=true")]), 2)?);
        ensure!(said.contains("there is no setting"), "{said}");
    }
    ensure!(!stand.path("started").exists() && stand.site.log().is_empty(), "nothing was started, nobody was asked");
    // A function is asked of a program around weir: this one has none.
    spider(&stand, LENGTH, "[item.property.compute.length]\nfunction = \"length\"");
    let (_, said) = printed(&run(&mut crawl(&stand), 2)?);
    ensure!(said.contains("there is no function \"length\""), "{said}");
    Ok(())
}

/// Dies of one listing and stands still over another, until the file `mended` is there.
const ILL: &str = r#"
echo 'score: ready' >&2
while IFS= read -r line; do
  if ! [ -e mended ]; then
    case $line in
      *property_000007*) echo 'score: cannot bear seven' >&2; exit 3;;
      *property_000011*) sleep 1000;;
      *property_000013*) echo '{"error": "unlucky"}'; continue;;
    esac
  fi
  title=${line#*\"title\": \"}; title=${title%%\"*}
  echo "{\"length\": ${#title}}"
done"#;

#[test]
fn what_a_program_dies_of_is_a_dead_letter_by_name_and_enters_again_when_it_is_mended() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    spider(&stand, LENGTH, &shell(&stand, "length", ILL, "pool = 2\ntimeout = \"2s\"\nstartup = \"0s\""));
    let output = run(crawl(&stand).arg("-Linfo"), 0)?;
    let ill = ["property_000007", "property_000011", "property_000013"];
    check_lengths(&stand, &ill)?;
    let (counts, (_, said)) = (stats(&output)?, printed(&output));
    ensure!(said.contains("score: ready"), "standard error is said: {said}");
    let count = |name: &str| counts.get(&format!("compute/length/{name}")).copied();
    ensure!(count("refused") == Some(3) && counts["items/refused"] == 3, "{counts:?}");
    ensure!(count("retried") == Some(2) && count("timeouts") == Some(2), "each was tried once more: {counts:?}");
    ensure!(counts["verdict/delivered"] == 62, "poison holds up nobody: {counts:?}");

    let list = |stand: &Stand| -> anyhow::Result<Vec<Value>> {
        let output =
            run(stand.command(weir_e2e::weir()).args(["dead-letters", "list", "--json", "--state", "state"]), 0)?;
        Ok(serde_json::from_slice::<Value>(&output.stdout)?["letters"].as_array().context("letters")?.clone())
    };
    let letters = list(&stand)?;
    let reason = |name: &str| {
        let letter = letters.iter().find(|letter| letter["item"]["fields"]["url"].to_string().contains(name));
        letter.and_then(|letter| letter["reason"].as_str()).unwrap_or_default().to_owned()
    };
    ensure!(letters.len() == 3 && letters.iter().all(|letter| letter["computation"] == "length"), "{letters:#?}");
    ensure!(
        reason(ill[0]).contains("exit status: 3") && reason(ill[0]).contains("cannot bear seven"),
        "{}",
        reason(ill[0])
    );
    ensure!(reason(ill[1]).contains("no answer within 2s"), "{}", reason(ill[1]));
    ensure!(reason(ill[2]) == "computation length: unlucky", "{}", reason(ill[2]));

    // What was refused came to no feed: that is no difference. People see which listing it was.
    run(stand.command(weir_e2e::weir()).args(["audit", "1", "--state", "state"]), 0)?;
    let refused = said.lines().find(|line| line.contains("item refused")).unwrap_or_default();
    ensure!(refused.contains("/properties/property_0000"), "{said}");

    stand.write("mended", "");
    let mut replay = stand.command(weir_e2e::weir());
    replay.args(["dead-letters", "replay", "--all", "-q", "--state", "state"]);
    let (_, said) = printed(&run(&mut replay, 2)?);
    ensure!(said.contains("--allow-commands"), "{said}");
    ensure!(list(&stand)?.len() == 3, "a refused command changes nothing");
    run(replay.arg("--allow-commands"), 0)?;
    ensure!(list(&stand)?.is_empty());
    check_lengths(&stand, &[])
}

#[test]
fn a_slow_program_pauses_the_fetching_and_kill_and_ctrl_c_lose_and_double_nothing() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    // It has begun, and answers when it may; Ctrl-C is none of its business.
    let script = format!(
        "trap 'touch hurt' INT; touch begun; until [ -e go ] || ! [ -e properties.toml ]; do sleep 0.01; done\n{COUNT}"
    );
    spider(&stand, LENGTH, &shell(&stand, "length", &script, "send = \"title\"\ntimeout = \"60s\""));
    let slow = |stand: &Stand| {
        let mut command = crawl(stand);
        command.args(["-s", "compute.waiting_max=10", "-s", "concurrency=4"]);
        command
    };
    let is_still = |stand: &Stand| {
        let (mut before, mut looks) = (usize::MAX, 0);
        until("the fetching to pause", || {
            let asked = stand.site.log().len();
            looks = if asked == before { looks + 1 } else { 0 };
            before = asked;
            stand.path("begun").exists() && looks > 300
        });
        before
    };
    let mut killed = start(&mut slow(&stand));
    let asked = is_still(&stand);
    // Robots, index pages, 10 that wait, 4 under way, and a step's worth of what was released before that was known.
    ensure!((10..30).contains(&asked), "{asked} requests while nothing is computed");
    killed.signal("-9")?;
    killed.0.wait()?;
    std::fs::remove_file(stand.path("begun"))?;

    let mut stopped = start(slow(&stand).process_group(0));
    is_still(&stand);
    let group = format!("-{}", stopped.0.id());
    ensure!(Command::new("kill").args(["-INT", "--", &group]).status()?.success());
    let status = stopped.0.wait()?;
    ensure!(status.code() == Some(130), "a shutdown does not wait for computations: {status}");
    ensure!(!stand.path("hurt").exists(), "the program heard the Ctrl-C");
    stand.write("go", "");
    let counts = stats(&run(&mut slow(&stand), 0)?)?;
    check_lengths(&stand, &[])?;
    ensure!(counts["items/scraped"] == LISTINGS as u64, "{counts:?}");
    Ok(())
}

#[test]
fn a_program_that_does_not_work_fails_the_run_by_name_and_nothing_is_lost() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    let failed = |stand: &Stand, words: &[&str]| -> anyhow::Result<()> {
        let output = run(&mut crawl(stand), 4)?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let failure = report["failure"].as_str().context("a failure")?;
        for word in words {
            ensure!(failure.contains(word), "{word:?} in {failure}");
        }
        Ok(())
    };
    spider(&stand, LENGTH, "[item.property.compute.length]\ncommand = [\"no-such-program\"]");
    failed(&stand, &["[item.property.compute.length] cannot start no-such-program", "No such file"])?;
    spider(&stand, LENGTH, &shell(&stand, "length", "echo 'no model here' >&2; exit 7", ""));
    failed(&stand, &["exit status: 7", "no model here", "without an answer"])?;
    let script = r#"while IFS= read -r line; do echo "${#line}"; done"#;
    spider(&stand, LENGTH, &shell(&stand, "length", script, "send = \"title\"\nformat = \"text\""));
    let counts = stats(&run(&mut crawl(&stand), 0)?)?;
    check_lengths(&stand, &[])?;
    ensure!(!counts.contains_key("items/refused"), "{counts:?}");
    Ok(())
}

#[test]
fn a_program_that_says_more_than_it_was_asked_is_not_believed() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    // A greeting would put every answer out of step.
    let script = format!("if ! [ -e greeted ]; then touch greeted; echo hello; fi\n{COUNT}");
    spider(&stand, LENGTH, &shell(&stand, "length", &script, "send = \"title\""));
    let output = run(crawl(&stand).arg("-Lwarn"), 0)?;
    let (counts, (_, said)) = (stats(&output)?, printed(&output));
    ensure!(counts["compute/length/restarts"] == 1, "{counts:?}");
    ensure!(said.contains("hello"), "{said}");
    for (url, item) in stand.feed()? {
        ensure!(item["length"] == item["title"].as_str().context("a title")?.len(), "{url}: {item}");
    }
    ensure!(Path::new(&stand.path("greeted")).exists());
    Ok(())
}
