//! Locations: crawls of the practice site with its own geocoder as the provider. The site's generator judges the places, its log
//! the number of calls and their rate.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;
use weir_e2e::{Stand, example, printed, run, start, until, weir};
use weir_services::{Kind, Service};
use weir_site::{Site, SiteOptions};

const LISTINGS: usize = 240;
/// Calls that the provider may get in any second.
const PER_SECOND: usize = 60;
const PARALLEL: usize = 4;

fn stand() -> Stand {
    let options = SiteOptions {
        geocode_per_second: Some(PER_SECOND as u32),
        // So that a crawl can be met in the middle.
        latency: Duration::from_millis(5),
        ..SiteOptions::with_listings(LISTINGS)
    };
    let site = Site::spawn(options).expect("the practice site starts");
    Stand { dir: tempfile::tempdir().expect("a temporary folder"), site }
}

/// A crawl with the site's geocoder, as settings of the command line.
fn crawl(stand: &Stand, endpoint: &str, more: &[&str]) -> Command {
    let mut command = stand.crawl(example("properties-next.toml"));
    let provider = "geocode.providers.site";
    command.args(["-s", &format!("{provider}.kind=google"), "-s", &format!("{provider}.url={endpoint}")]);
    command.args(["-s", &format!("{provider}.rate={PER_SECOND}")]);
    command.args(["-s", &format!("{provider}.parallel={PARALLEL}"), "--json", "--overwrite"]);
    for setting in more {
        command.args(["-s", setting]);
    }
    command
}

fn endpoint(stand: &Stand) -> String {
    format!("{}/maps/api/geocode/json", stand.base())
}

fn stats(output: &std::process::Output) -> anyhow::Result<BTreeMap<String, u64>> {
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let stats = report["stats"].as_object().context("stats")?;
    Ok(stats.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap_or(0))).collect())
}

/// Every call to the provider: when, and for what.
fn calls(stand: &Stand) -> Vec<(u64, String)> {
    let mut calls: Vec<_> = stand
        .site
        .log()
        .into_iter()
        .filter(|access| access.path.starts_with("/maps/"))
        .map(|access| (access.arrived.0, access.path))
        .collect();
    calls.sort_unstable();
    calls
}

fn distinct_addresses(stand: &Stand) -> usize {
    let fold = |address: &str| address.to_lowercase().split(|c: char| !c.is_alphanumeric()).collect::<String>();
    stand.site.portal().iter().map(|listing| fold(&listing.address)).collect::<BTreeSet<_>>().len()
}

fn check_rate(calls: &[(u64, String)]) -> anyhow::Result<()> {
    for few in calls.windows(PER_SECOND + 1) {
        let apart = few[PER_SECOND].0 - few[0].0;
        ensure!(apart >= 1_000_000, "{} calls within {apart} us", PER_SECOND + 1);
    }
    Ok(())
}

/// Every listing is in the feed with the generator's location, or with none.
fn check_places(stand: &Stand, are_known: bool) -> anyhow::Result<()> {
    let feed = stand.feed()?;
    let rows = stand.rows()?;
    ensure!(feed.len() == LISTINGS && rows.len() == LISTINGS, "{} and {} items", feed.len(), rows.len());
    for listing in stand.site.portal().iter() {
        let url = listing.url(&stand.base());
        let item = feed.get(&url).with_context(|| format!("{url} is missing"))?;
        let wanted = if are_known { serde_json::json!({"lat": listing.lat, "lon": listing.lon}) } else { Value::Null };
        ensure!(item["location"] == wanted, "{url}: {}, meant was {wanted}", item["location"]);
    }
    Ok(())
}

#[test]
fn every_place_is_found_with_one_call_an_address_within_the_rate_and_never_asked_again() -> anyhow::Result<()> {
    let stand = stand();
    let distinct = distinct_addresses(&stand);
    assert!(distinct > PER_SECOND, "{distinct} addresses take more than a second");
    let first = stats(&run(crawl(&stand, &endpoint(&stand), &[]).args(["--workers", "2"]), 0)?)?;
    check_places(&stand, true)?;
    let asked = calls(&stand);
    assert_eq!(asked.iter().map(|(_, path)| path).collect::<BTreeSet<_>>().len(), asked.len(), "one call an address");
    assert_eq!(asked.len(), distinct);
    check_rate(&asked)?;
    let distinct = distinct as u64;
    let items = LISTINGS as u64;
    assert_eq!((first["geo_pipeline/misses"], first["geocode/calls"]), (distinct, distinct));
    assert_eq!((first["geocode/wanted"], first["geocode/found"]), (items, items));
    assert!(!first.contains_key("geocode/not_configured"), "{first:?}");

    let second = stats(&run(&mut crawl(&stand, &endpoint(&stand), &[]), 0)?)?;
    check_places(&stand, true)?;
    assert_eq!(calls(&stand).len() as u64, distinct, "a second run asks nobody");
    assert_eq!(second["geo_pipeline/already_set"], items);
    assert!(!second.contains_key("geo_pipeline/misses"), "{second:?}");
    Ok(())
}

#[test]
fn killed_in_the_middle_it_repeats_at_most_the_calls_that_were_under_way() -> anyhow::Result<()> {
    for workers in ["1", "2"] {
        let stand = stand();
        let distinct = distinct_addresses(&stand);
        let mut kills = 0;
        for share in [4, 2] {
            let mut killed = start(crawl(&stand, &endpoint(&stand), &[]).args(["--workers", workers]));
            until("calls", || calls(&stand).len() >= distinct / share || !matches!(killed.0.try_wait(), Ok(None)));
            ensure!(killed.0.try_wait()?.is_none(), "it was to be met in the middle");
            killed.signal("-9")?;
            killed.0.wait()?;
            kills += 1;
        }
        let before = calls(&stand).len();
        assert!(before < distinct, "{before} of {distinct}");
        run(crawl(&stand, &endpoint(&stand), &[]).args(["--workers", workers]), 0)?;
        check_places(&stand, true)?;
        let asked = calls(&stand);
        check_rate(&asked)?;
        let repeated = asked.len() - asked.iter().map(|(_, path)| path).collect::<BTreeSet<_>>().len();
        assert!(repeated <= kills * PARALLEL, "{repeated} calls were made again after {kills} kills");
        assert_eq!(asked.len() - repeated, distinct);
    }
    Ok(())
}

#[test]
fn with_a_provider_that_is_down_items_come_without_a_location_and_it_is_said() -> anyhow::Result<()> {
    let stand = stand();
    // A port that was free a moment ago and has nobody behind it.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let nobody = format!("http://localhost:{port}/json");
    let output = run(crawl(&stand, &nobody, &["geocode.wait_max=1s"]).args(["-L", "warn"]), 0)?;
    check_places(&stand, false)?;
    let counts = stats(&output)?;
    assert_eq!(counts["geocode/unanswered"], LISTINGS as u64, "{counts:?}");
    assert!(counts["geo_pipeline/errors"] >= 3 && !counts.contains_key("geocode/calls"), "{counts:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("geocode provider `site` cannot be reached").count(), 1, "once a minute: {said}");
    assert!(said.contains("refused") && said.contains("geocode.providers.site"), "{said}");
    // Later it is up, and the same state fills the gaps: the sink is told of a change.
    let output = run(&mut crawl(&stand, &endpoint(&stand), &["geocode.failed_keep=1ms"]), 0)?;
    check_places(&stand, true)?;
    let counts = stats(&output)?;
    assert_eq!((counts["geocode/found"], counts.get("items/unchanged")), (LISTINGS as u64, None), "{counts:?}");
    Ok(())
}

/// Nobody but the first address waits for a provider that is away when there is another one.
#[test]
fn a_provider_that_is_down_does_not_keep_addresses_from_the_next_one() -> anyhow::Result<()> {
    let stand = stand();
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut command = stand.crawl(example("properties-next.toml"));
    command.args(["-s", "geocode.providers.down.kind=google", "--json", "-L", "warn"]);
    command.args(["-s", &format!("geocode.providers.down.url=http://localhost:{port}/json")]);
    command.args(["-s", "geocode.providers.up.kind=google", "-s", &format!("geocode.providers.up.rate={PER_SECOND}")]);
    command.args(["-s", &format!("geocode.providers.up.url={}", endpoint(&stand)), "-s", "geocode.wait_max=30s"]);
    let output = run(&mut command, 0)?;
    check_places(&stand, true)?;
    let (counts, distinct) = (stats(&output)?, distinct_addresses(&stand));
    assert_eq!(calls(&stand).len(), distinct);
    assert_eq!((counts["geocode/calls"], counts["geo_pipeline/errors"]), (distinct as u64, distinct as u64));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("`down` cannot be reached").count(), 1, "once a minute: {said}");
    Ok(())
}

#[test]
fn a_cache_with_a_wrong_account_is_refused_at_the_start_and_one_that_is_away_is_said_once() -> anyhow::Result<()> {
    let stand = stand();
    let server = Service::start(Kind::Redis)?;
    let mut client = Command::new("redis-cli");
    run(client.args(["-p", &server.port().to_string(), "CONFIG", "SET", "requirepass", "hunter2"]), 0)?;
    for (account, number) in [(":wrong-password@", 0), (":hunter2@", 99)] {
        let cache = format!("geocode.cache=redis://{account}127.0.0.1:{}/{number}", server.port());
        let (_, said) = printed(&run(&mut crawl(&stand, &endpoint(&stand), &[&cache]), 2)?);
        ensure!(said.contains("geocode.cache: cannot") && !said.contains("wrong-password"), "{said}");
    }
    ensure!(stand.site.log().is_empty(), "nobody was asked for anything");
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let cache = format!("geocode.cache=redis://127.0.0.1:{port}/0");
    let output = run(crawl(&stand, &endpoint(&stand), &[&cache]).args(["-L", "warn"]), 0)?;
    check_places(&stand, true)?;
    let said = printed(&output).1;
    ensure!(said.matches("the cache of geocodes").count() == 1, "once a minute: {said}");
    ensure!(stats(&output)?["geocode/cache_errors"] > 1);
    Ok(())
}

#[test]
fn a_provider_that_denies_its_service_is_named_and_holds_nobody_up() -> anyhow::Result<()> {
    let stand = stand();
    let mut command = crawl(&stand, &format!("{}/no/geocoder/here", stand.base()), &[]);
    command.args(["-L", "warn"]);
    let output = run(&mut command, 0)?;
    check_places(&stand, false)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("geocode provider `site` denies its service: HTTP 404"), "{said}");
    Ok(())
}

#[test]
fn a_gazetteer_needs_no_provider() -> anyhow::Result<()> {
    let stand = stand();
    let mut table = "name,lat,lon\n".to_owned();
    for listing in stand.site.portal().iter() {
        table.push_str(&format!("\"{}\",{},{}\n", listing.address.to_uppercase(), listing.lat, listing.lon));
    }
    stand.write("places.csv", &table);
    let mut command = stand.crawl(example("properties-next.toml"));
    let output = run(command.args(["-s", "geocode.gazetteer=places.csv", "--json"]), 0)?;
    check_places(&stand, true)?;
    let counts = stats(&output)?;
    assert_eq!(counts["geocode/from_gazetteer"], LISTINGS as u64, "{counts:?}");
    assert!(calls(&stand).is_empty());
    Ok(())
}

/// A crawl that asks nobody for locations, into SQLite, Redis and a feed.
fn crawl_without(stand: &Stand, redis: &str) -> Command {
    let mut command = stand.crawl(example("properties-next.toml"));
    command.args(["-o", redis, "--json"]);
    command
}

/// `weir geo backfill` with the site's geocoder.
fn backfill(stand: &Stand, more: &[&str]) -> Command {
    let mut command = stand.command(weir());
    let provider = "geocode.providers.site";
    command.args(["geo", "backfill", "-q", "--state", "state", "-s", &format!("{provider}.kind=google")]);
    command.args([
        "-s",
        &format!("{provider}.url={}", endpoint(stand)),
        "-s",
        &format!("{provider}.rate={PER_SECOND}"),
    ]);
    command.args(["-s", &format!("{provider}.parallel={PARALLEL}")]).args(more);
    command
}

fn audit_holds(stand: &Stand, job: &str) -> anyhow::Result<()> {
    let mut command = stand.command(weir());
    run(command.args(["audit", job, "--state", "state"]), 0).map(|_| ())
}

/// Rows of the database with the generator's location; all others have none.
fn located(stand: &Stand) -> anyhow::Result<usize> {
    let rows = stand.rows()?;
    let mut found = 0;
    for listing in stand.site.portal().iter() {
        let row = rows.get(&listing.url(&stand.base())).context("a row")?;
        match row["location"].as_str() {
            Some(place) => {
                ensure!(place == format!("{:?},{:?}", listing.lat, listing.lon), "{place}");
                found += 1;
            }
            None => ensure!(row["location"].is_null()),
        }
    }
    Ok(found)
}

#[test]
fn what_was_delivered_without_a_location_is_looked_up_later_and_a_crawl_then_changes_nothing() -> anyhow::Result<()> {
    let server = Service::start(Kind::Redis)?;
    let redis = format!("redis://127.0.0.1:{}/0", server.port());
    let stand = stand();
    run(&mut crawl_without(&stand, &redis), 0)?;
    ensure!(located(&stand)? == 0);
    let feed = std::fs::read(stand.path("items.jsonl"))?;
    // A part of it, then the rest.
    let (said, _) = printed(&run(&mut backfill(&stand, &["--limit", "10"]), 0)?);
    ensure!(said.contains("240 rows looked at, 240 without a location, 10 filled"), "{said}");
    ensure!(said.contains("230 left as they are: beyond --limit") && located(&stand)? == 10, "{said}");
    let (said, _) = printed(&run(&mut backfill(&stand, &[]), 0)?);
    ensure!(said.contains("240 rows looked at, 230 without a location, 230 filled, 0 still without"), "{said}");
    ensure!(located(&stand)? == LISTINGS, "{said}");
    let asked = calls(&stand);
    ensure!(asked.len() == distinct_addresses(&stand), "{} calls", asked.len());
    check_rate(&asked)?;
    let mut client = Command::new("redis-cli");
    let places = run(client.args(["-p", &server.port().to_string(), "ZCARD", "weir:property:geo:location"]), 0)?;
    ensure!(printed(&places).0.trim() == LISTINGS.to_string(), "all places are in Redis: {places:?}");
    ensure!(std::fs::read(stand.path("items.jsonl"))? == feed, "a finished feed is not touched");
    for job in ["1", "2", "3"] {
        audit_holds(&stand, job)?;
    }
    // What was filled is still the crawl's.
    let mut command = stand.command(weir());
    command.args([
        "export",
        "1",
        "--state",
        "state",
        "--from",
        &redis,
        "--format",
        "jsonl",
        "--fields",
        "url,location",
    ]);
    let (exported, _) = printed(&run(&mut command, 0)?);
    ensure!(exported.lines().filter(|line| line.contains("\"lat\"")).count() == LISTINGS, "{exported}");
    // Again: nothing to ask, nothing to write.
    let (said, _) = printed(&run(&mut backfill(&stand, &["1"]), 0)?);
    ensure!(
        said.contains("240 rows looked at, 0 without a location, 0 filled, 0 still without, 0 provider calls"),
        "{said}"
    );
    ensure!(!said.contains("items/stored"), "{said}");
    // A crawl with the same places finds everything as it is.
    let mut command = crawl(&stand, &endpoint(&stand), &[]);
    let counts = stats(&run(command.args(["-o", &redis]), 0)?)?;
    ensure!(counts["items/unchanged"] == 2 * LISTINGS as u64, "{counts:?}");
    ensure!(counts["items/stored"] == LISTINGS as u64, "the feed alone: {counts:?}");
    ensure!(calls(&stand).len() == asked.len());
    audit_holds(&stand, "5")
}

#[test]
fn a_backfill_killed_or_interrupted_in_the_middle_goes_on_and_loses_nothing() -> anyhow::Result<()> {
    let stand = stand();
    run(&mut stand.crawl(example("properties-next.toml")), 0)?;
    let distinct = distinct_addresses(&stand);
    for (share, signal) in [(4, "-9"), (2, "-INT")] {
        let mut killed = start(&mut backfill(&stand, &["1"]));
        until("calls", || calls(&stand).len() >= distinct / share || !matches!(killed.0.try_wait(), Ok(None)));
        ensure!(killed.0.try_wait()?.is_none(), "it was to be met in the middle");
        killed.signal(signal)?;
        let ended = killed.0.wait()?;
        ensure!(signal == "-9" || ended.code() == Some(130), "{ended:?}");
    }
    let before = located(&stand)?;
    ensure!(before < LISTINGS, "{before}");
    run(&mut backfill(&stand, &[]), 0)?;
    ensure!(located(&stand)? == LISTINGS);
    let asked = calls(&stand);
    check_rate(&asked)?;
    let repeated = asked.len() - asked.iter().map(|(_, path)| path).collect::<BTreeSet<_>>().len();
    // It was stopped twice, each time with so many calls under way at most.
    ensure!(
        repeated <= 2 * PARALLEL && asked.len() - repeated == distinct,
        "{repeated} of {} were repeated",
        asked.len()
    );
    audit_holds(&stand, "1")?;
    let (_, said) = printed(&run(stand.command(weir()).args(["geo", "backfill", "--state", "state"]), 2)?);
    ensure!(said.contains("geocode.gazetteer"), "{said}");
    Ok(())
}

#[test]
fn what_a_backfill_filled_is_marked_as_gone_like_the_rest_and_what_is_gone_is_not_filled() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    let text = std::fs::read_to_string(example("properties.toml"))?.replace("\"next\"", "\"no such link\"");
    let spider = |last: &str| stand.write("portal.toml", &text.replace("01666", last));
    let gazetteer = |step: usize| {
        let places = stand.site.portal().iter().step_by(step);
        let lines = places.map(|listing| format!("\"{}\",{},{}\n", listing.address, listing.lat, listing.lon));
        stand.write("places.csv", &format!("name,lat,lon\n{}", lines.collect::<String>()));
    };
    let crawl = |last: &str, more: &[&str]| run(stand.crawl(spider(last)).arg("--overwrite").args(more), 0);
    let fill = |job: &str| -> anyhow::Result<String> {
        let mut command = stand.command(weir());
        command.args(["geo", "backfill", job, "-q", "--state", "state", "-s", "geocode.gazetteer=places.csv"]);
        Ok(printed(&run(&mut command, 0)?).0)
    };
    let count = |what: &str| -> anyhow::Result<usize> {
        let database = rusqlite::Connection::open(stand.path("items.db"))?;
        let sql = format!("SELECT count(*) FROM property WHERE {what}");
        Ok(database.query_row(&sql, [], |row| row.get::<_, i64>(0))?.try_into()?)
    };
    crawl("00001", &[])?;
    gazetteer(2);
    let said = fill("portal.toml")?;
    let filled = count("location IS NOT NULL")?;
    ensure!((30..60).contains(&filled) && said.contains(&format!("{filled} filled, {} still", 60 - filled)), "{said}");
    // The second index page is not there any more, nor what it listed.
    crawl("00000", &["-s", "geocode.gazetteer=places.csv"])?;
    ensure!(count("_delisted_at IS NOT NULL")? == 30, "those that were filled as well");
    let (gone, bare) = ("_delisted_at IS NOT NULL", count("_delisted_at IS NOT NULL AND location IS NULL")?);
    ensure!(bare > 0 && bare < 30, "{bare}");
    gazetteer(1);
    let said = fill("1")?;
    ensure!(said.contains(&format!("30 rows looked at, {bare} without a location, 0 filled")), "{said}");
    ensure!(said.contains(&format!("{bare} left as they are: marked as gone")) && count(gone)? == 30, "{said}");
    Ok(())
}

#[test]
fn mistakes_in_the_settings_are_told_before_the_crawl() -> anyhow::Result<()> {
    let stand = stand();
    for (setting, said) in [
        ("geocode.providers.site.key=NO_SUCH_VARIABLE", "geocode.providers.site.key: the environment has no variable"),
        ("geocode.providers.other.url=http://localhost:1/x", "geocode.providers.other.kind: it is not set"),
        ("geocode.gazetteer=nowhere.csv", "geocode.gazetteer: nowhere.csv: cannot be read"),
        ("geocode.providers.site.rate=much", "geocode.providers.site.rate is much, expected calls a second"),
    ] {
        let output = run(&mut crawl(&stand, &endpoint(&stand), &[setting]), 2)?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(said), "{error}");
    }
    assert!(stand.site.log().is_empty(), "nobody was asked for anything");
    Ok(())
}
