//! `weir geo`: the nearest listings, the same list from SQLite, Elasticsearch, MySQL (MariaDB) and Redis. The site's generator and
//! a formula of the test's own are the judge.

use anyhow::{Context, ensure};
use serde_json::Value;
use std::process::{Command, Output};
use weir_e2e::{Stand, example, printed, run, weir};
use weir_services::{Kind, Service};

const POINT: (f64, f64) = (51.5, -0.12);

/// A crawl of the site whose places are known from a file.
fn crawl(stand: &Stand, sinks: &[String]) -> Command {
    let mut places = "name,lat,lon\n".to_owned();
    for listing in stand.site.portal().iter() {
        places.push_str(&format!("\"{}\",{},{}\n", listing.address, listing.lat, listing.lon));
    }
    stand.write("places.csv", &places);
    let mut command = stand.command(weir());
    command.arg("crawl").arg(example("properties.toml"));
    command.args(["-q", "-a", &format!("base={}", stand.base()), "-s", "geocode.gazetteer=places.csv"]);
    for sink in sinks {
        command.args(["-o", sink]);
    }
    command
}

fn geo(stand: &Stand, options: &[&str], sink: &str) -> Command {
    let mut command = stand.command(weir());
    command.arg("geo").args(options).arg(sink);
    command
}

fn found(output: &Output) -> anyhow::Result<Vec<Value>> {
    let lines = std::str::from_utf8(&output.stdout)?.lines();
    lines.map(|line| serde_json::from_str(line).context("a line of JSON")).collect()
}

/// Kilometres by the angle between unit vectors: another way than the program's.
fn km(a: (f64, f64), b: (f64, f64)) -> f64 {
    let vector = |(lat, lon): (f64, f64)| {
        let (lat, lon) = (lat.to_radians(), lon.to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    };
    let (a, b) = (vector(a), vector(b));
    let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let length = |v: [f64; 3]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    6371.0088 * length(cross).atan2(dot)
}

/// Kilometres and URL, nearest first.
type Meant = Vec<(f64, String)>;

/// What the generator says: kilometres and URL of the listings for which `wanted` holds, nearest first.
fn meant(stand: &Stand, wanted: impl Fn(&weir_site::Listing) -> bool) -> Meant {
    let portal = stand.site.portal();
    let listings = portal.iter().filter(|listing| wanted(listing));
    let mut all: Meant =
        listings.map(|listing| (km(POINT, (listing.lat, listing.lon)), listing.url(&stand.base()))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

fn check(found: &[Value], meant: &[(f64, String)], limit: usize) -> anyhow::Result<()> {
    ensure!(found.len() == meant.len().min(limit), "{} found, meant were {}", found.len(), meant.len().min(limit));
    for (found, (km, _)) in found.iter().zip(meant) {
        let (url, said) = (found["item"]["url"].as_str().context("a url")?, found["km"].as_f64().context("km")?);
        ensure!((said - km).abs() < 1e-6, "{url}: {said} km, the next one is at {km} km");
        let own = meant.iter().find(|(_, meant)| meant == url).with_context(|| format!("{url} was not asked for"))?;
        ensure!((own.0 - said).abs() < 1e-6, "{url} is at {} km, not {said}", own.0);
    }
    Ok(())
}

#[test]
fn every_sink_gives_the_same_nearest_listings() -> anyhow::Result<()> {
    let stand = Stand::new(20);
    let (elastic, mysql) = std::thread::scope(|scope| {
        let elastic = scope.spawn(|| Service::start(Kind::Elasticsearch));
        let mysql = Service::start(Kind::MariaDb);
        (elastic.join().expect("starting does not panic"), mysql)
    });
    let (elastic, mysql, redis) = (elastic?, mysql?, Service::start(Kind::Redis)?);
    let server = mysql.url().rsplit_once('/').context("a database in the URL")?.0;
    let database = mysql.url().rsplit_once('/').context("a database in the URL")?.1;
    let sinks = [
        "sqlite:items.db".to_owned(),
        format!("elasticsearch://127.0.0.1:{}/near", elastic.port()),
        format!("{server}/{database}/near"),
        format!("redis://127.0.0.1:{}/0", redis.port()),
    ];
    run(&mut crawl(&stand, &sinks), 0)?;
    let all = |_: &weir_site::Listing| true;
    let garden = |listing: &weir_site::Listing| listing.title.to_lowercase().split(' ').any(|word| word == "garden");
    let cheap = |listing: &weir_site::Listing| listing.price <= 200.0;
    let cases: [(&[&str], usize, Meant); 5] = [
        (&["--limit", "25"], 25, meant(&stand, all)),
        (&["--within", "40", "--limit", "10000"], 10_000, {
            let mut near = meant(&stand, all);
            near.retain(|(km, _)| *km <= 40.0);
            near
        }),
        (&["--where", "price<=200", "--limit", "7"], 7, meant(&stand, cheap)),
        (&["--where", "title~GARDEN", "--where", "price<=200"], 10, meant(&stand, |l| garden(l) && cheap(l))),
        (&["--limit", "10000"], 10_000, meant(&stand, all)),
    ];
    for (options, limit, meant) in &cases {
        assert!(!meant.is_empty(), "{options:?} would show nothing");
        let mut first: Option<Vec<Value>> = None;
        for sink in &sinks {
            let point = format!("{},{}", POINT.0, POINT.1);
            let options: Vec<&str> = ["--near", &point, "--json"].into_iter().chain(options.iter().copied()).collect();
            let found = found(&run(&mut geo(&stand, &options, sink), 0)?)?;
            check(&found, meant, *limit).with_context(|| format!("{options:?} of {sink}"))?;
            match &first {
                None => first = Some(found),
                Some(first) => {
                    let differs = first.iter().zip(&found).find(|(a, b)| a != b);
                    ensure!(differs.is_none() && first.len() == found.len(), "{options:?} of {sink}: {differs:?}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_person_gets_a_table_and_mistakes_are_told_with_what_to_write() -> anyhow::Result<()> {
    let stand = Stand::new(2);
    run(&mut crawl(&stand, &["sqlite:items.db".to_owned(), "items.jsonl".to_owned()]), 0)?;
    let (table, _) =
        printed(&run(&mut geo(&stand, &["--near", "-33.87,151.21", "--limit", "3"], "sqlite:items.db"), 0)?);
    let lines: Vec<&str> = table.lines().collect();
    ensure!(lines.len() == 4 && lines[0].trim_start().starts_with("km") && lines[0].contains("price"), "{table}");
    ensure!(lines[1..].iter().all(|line| line.contains("property_")), "{table}");
    let near = |more: &[&'static str]| -> Vec<&'static str> { [&["--near", "51.5,-0.12"], more].concat() };
    let (out, err) = printed(&run(&mut geo(&stand, &near(&["--where", "price<0"]), "sqlite:items.db"), 0)?);
    ensure!(out.is_empty() && err.contains("nothing found"), "{out} {err}");
    for (options, sink, said) in [
        (vec!["--near", "here"], "sqlite:items.db", "for example --near 51.5,-0.12"),
        (vec!["--near", "95,0"], "sqlite:items.db", "latitude 95 is not within"),
        (near(&["--limit", "0"]), "sqlite:items.db", "expected 1 to 10000"),
        (near(&["--within", "0"]), "sqlite:items.db", "kilometres above 0"),
        (near(&["--where", "price is low"]), "sqlite:items.db", "price<=300"),
        (near(&["--where", "prise<3"]), "sqlite:items.db", "title, price"),
        (near(&["--field", "office"]), "sqlite:items.db", "\"office\""),
        (near(&[]), "sqlite:nothing.db", "sqlite:nothing.db: expected the database file of a crawl"),
        (near(&[]), "items.jsonl", "a feed cannot be asked"),
        (near(&[]), "mongodb://me:hunter2@h/x", "elasticsearch://HOST:9200/INDEX"),
        (near(&[]), "redis://127.0.0.1:1/0", "host and port"),
    ] {
        let mut command = geo(&stand, &options, sink);
        let output = command.output()?;
        let (out, err) = printed(&output);
        let code = if sink.starts_with("redis") { 4 } else { 2 };
        ensure!(output.status.code() == Some(code) && out.is_empty(), "{options:?} {sink}: {:?} {err}", output.status);
        ensure!(!err.contains("tried again"), "nobody does: {err}");
        ensure!(err.contains(said) && !err.contains("hunter2"), "{options:?} {sink}: {err}");
    }
    Ok(())
}
