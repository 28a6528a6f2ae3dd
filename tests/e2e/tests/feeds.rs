//! Whole crawls into feeds of every kind: XML, Parquet, compressed, in parts; killed with `kill -9` on the way, and with FTP and S3
//! servers that go away in the middle.

use anyhow::{Context, ensure};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use weir_e2e::{Stand, compare, example, expected, printed, run, start, until, weir};
use weir_services::{Kind, Service};

/// The text of a file, whatever it is compressed with.
fn text(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    decoded(&path.to_string_lossy(), &bytes)
}

fn decoded(name: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let mut out = String::new();
    if name.ends_with(".gz") {
        flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut out)?;
    } else if name.ends_with(".zst") {
        zstd::stream::read::Decoder::new(bytes)?.read_to_string(&mut out)?;
    } else {
        out = String::from_utf8(bytes.to_vec())?;
    }
    Ok(out)
}

/// Adds the items of JSON Lines by URL; none may be there twice.
fn collect(items: &mut BTreeMap<String, Value>, lines: &str) -> anyhow::Result<usize> {
    for line in lines.lines() {
        let item: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        let url = item["url"].as_str().context("a url")?.to_owned();
        ensure!(items.insert(url.clone(), item).is_none(), "{url} is there twice");
    }
    Ok(lines.lines().count())
}

/// The columns that the generator knows, by URL.
fn parquet_items(path: &Path) -> anyhow::Result<BTreeMap<String, Value>> {
    let reader = SerializedFileReader::new(std::fs::File::open(path)?)?;
    let mut items = BTreeMap::new();
    for row in reader.get_row_iter(None)? {
        let row = row?;
        let item: serde_json::Map<String, Value> = row
            .get_column_iter()
            .map(|(name, field)| {
                let value = match field {
                    Field::Str(text) => text.as_str().into(),
                    Field::Double(number) => (*number).into(),
                    Field::ListInternal(list) => list
                        .elements()
                        .iter()
                        .map(|field| if let Field::Str(text) = field { text.as_str().into() } else { Value::Null })
                        .collect(),
                    _ => Value::Null,
                };
                (name.clone(), value)
            })
            .collect();
        let url = item["url"].as_str().context("a url")?.to_owned();
        ensure!(items.insert(url.clone(), Value::Object(item)).is_none(), "{url} is there twice");
    }
    Ok(items)
}

fn crawl(stand: &Stand, outputs: &[&str], options: &[&str]) -> Command {
    let mut command = stand.command(weir());
    command.arg("crawl").arg(example("properties-next.toml"));
    command.args(["-q", "-a", &format!("base={}", stand.base()), "--state", "state", "-s", "concurrency=4"]);
    for output in outputs {
        command.args(["-o", output]);
    }
    command.args(options);
    command
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort();
    found
}

#[test]
fn every_format_and_compression_of_one_run_holds_the_same_items() -> anyhow::Result<()> {
    let stand = Stand::new(5);
    let outputs =
        ["plain.jsonl", "%(name)s.jsonl.gz", "items.csv.zst", "items.xml", "items.parquet", "%(time)s/items.jl.zst"];
    run(&mut crawl(&stand, &outputs, &[]), 0)?;
    let meant = expected(&stand.site, &stand.base());
    let lines = text(&stand.path("plain.jsonl"))?;
    let mut items = BTreeMap::new();
    collect(&mut items, &lines)?;
    compare(&items, &meant)?;
    compare(&parquet_items(&stand.path("items.parquet"))?, &meant).context("Parquet")?;
    ensure!(text(&stand.path("properties-next.jsonl.gz"))? == lines, "the gzip feed, named like the spider");
    let dated = files(stand.dir.path()).into_iter().find(|path| path.to_string_lossy().ends_with("+00-00"));
    let dated = dated.context("a folder named like the time")?;
    ensure!(text(&dated.join("items.jl.zst"))? == lines, "the zstd feed");
    ensure!(text(&stand.path("items.csv.zst"))?.matches("\r\n").count() == meant.len() + 1);
    let xml = text(&stand.path("items.xml"))?;
    ensure!(xml.starts_with("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<items>\n<item><title>"), "{}", &xml[..90]);
    ensure!(xml.matches("<item>").count() == meant.len() && xml.ends_with("</item>\n</items>"));
    Ok(())
}

/// The lines of a feed whatever their order; for Parquet its rows.
fn sorted_rows(path: &Path) -> anyhow::Result<Vec<String>> {
    let name = path.to_string_lossy();
    let mut rows: Vec<String> = if name.ends_with(".parquet") {
        let reader = SerializedFileReader::new(std::fs::File::open(path)?)?;
        reader.get_row_iter(None)?.map(|row| Ok(row?.to_string())).collect::<anyhow::Result<_>>()?
    } else {
        text(path)?.lines().map(|line| line.trim_end_matches(',').to_owned()).collect()
    };
    rows.sort();
    Ok(rows)
}

/// Two item types with fields of every type.
const EVERY_TYPE: &str = r#"
name = "every-type"
allowed_domains = ["localhost"]
start = ["${base}/properties/index_{00000..00002}.html"]
start_parse = "page"
args = { base = "http://localhost:9312" }
[[follow]]
xpath = '//*[@itemprop="url"]/@href'
parse = "property"
[item.page]
key = "url"
fields = { url = { value = "response.url" }, links = { xpath = '//*[@itemprop="url"]/@href', many = true }, rank = { const = 7, type = "int" } }
[item.property]
key = "url"
[item.property.fields]
title = { xpath = '//*[@itemprop="name"][1]/text()', map = ["trim"] }
price = { xpath = '//*[@itemprop="price"][1]/text()', regex = '[,.0-9]+', map = [{ remove = "," }], type = "float" }
cents = { xpath = '//*[@itemprop="price"][1]/text()', regex = '[0-9]+', type = "int" }
digits = { xpath = '//*[@itemprop="price"][1]/text()', regex = '[0-9]', type = "int", many = true }
free = { const = false, type = "bool" }
since = { const = "2015-05-05T10:00:00.25Z", type = "datetime" }
day = { const = "2015-05-06", type = "date" }
more = { const = { a = [1, 2.5, "\"x\",y"], b = { c = true } }, type = "json" }
plain = { const = '"text or JSON"', type = "json" }
none = { css = ".no-such-thing::text" }
address = { xpath = '//*[@itemtype="http://schema.org/Place"][1]/text()', map = ["trim"] }
location = { geocode = "address", type = "geo_point" }
url = { value = "response.url" }
date = { value = "now" }
"#;

#[test]
fn an_export_is_the_feed_that_the_crawl_would_have_written() -> anyhow::Result<()> {
    let stand = Stand::new(3);
    let mut table = "name,lat,lon\n".to_owned();
    for listing in stand.site.portal().iter().step_by(2) {
        table.push_str(&format!("\"{}\",{},{}\n", listing.address, listing.lat, listing.lon));
    }
    stand.write("places.csv", &table);
    stand.write("every.toml", EVERY_TYPE);
    let mut command = stand.command(weir());
    command.args(["crawl", "every.toml", "-q", "--state", "state", "-a", &format!("base={}", stand.base())]);
    command.args(["-s", "geocode.gazetteer=places.csv", "-o", "sqlite:items.db"]);
    let formats = ["jsonl", "json", "csv", "xml", "parquet", "csv.gz"];
    for format in formats {
        command.args(["-o", &format!("feed.{format}")]);
    }
    run(&mut command, 0)?;
    let export = |more: &[&str], code| {
        let mut command = stand.command(weir());
        run(command.args(["export", "--state", "state"]).args(more), code)
    };
    for format in formats {
        let file = format!("export.{format}");
        let (_, said) = printed(&export(&["1", "-o", &file], 0)?);
        ensure!(said.contains("93 items of job 1"), "{said}");
        let (feed, exported) = (sorted_rows(&stand.path(&format!("feed.{format}")))?, sorted_rows(&stand.path(&file))?);
        ensure!(feed == exported, "{format}: {:?}", feed.iter().zip(&exported).find(|(feed, own)| feed != own));
        ensure!(feed.len() >= 93 && !stand.path(&format!("{file}.part")).exists());
        // The same bytes on standard output.
        if format != "csv.gz" {
            let output = export(&["--format", format], 0)?;
            ensure!(output.stdout == std::fs::read(stand.path(&file))?, "{format} on standard output");
        }
    }
    ensure!(text(&stand.path("export.csv"))?.starts_with("url,links,rank,title,price"), "columns in the feed's order");
    // One type, chosen fields in their order.
    let output = export(&["--format", "csv", "--item", "property", "--fields", "price,url"], 0)?;
    ensure!(output.stdout.starts_with(b"price,url\r\n") && printed(&output).0.lines().count() == 91);
    for (arguments, why) in [
        (vec!["-o", "export.json"], "--overwrite"),
        (vec!["-o", "export.txt"], "says no format"),
        (vec!["--format", "yaml"], "expected csv, json"),
        (vec!["9", "--format", "csv"], "1 (every-type)"),
        (vec!["--format", "csv", "--item", "house"], "page, property"),
        (vec!["--format", "csv", "--fields", "prize"], "title, price"),
        (vec!["--format", "csv", "--from", "sqlite:other.db"], "is none of its sinks"),
        (vec!["--format", "csv", "--from", "feed.jsonl"], "a feed is an export already"),
    ] {
        let (_, said) = printed(&export(&arguments, 2)?);
        ensure!(said.contains(why), "{arguments:?}: {said}");
    }
    // What the sink lacks, and what somebody else wrote there, is told.
    let database = rusqlite::Connection::open(stand.path("items.db"))?;
    database.execute("DELETE FROM property WHERE rowid IN (SELECT rowid FROM property LIMIT 2)", [])?;
    database.execute("UPDATE page SET rank = 'first'", [])?;
    let (_, said) = printed(&export(&["-o", "export.jsonl", "--overwrite"], 5)?);
    ensure!(said.contains("2 items of the job are not in") && said.contains("rank: 3 values"), "{said}");
    ensure!(text(&stand.path("export.jsonl"))?.lines().count() == 91);
    // A sink that is away leaves no file, and the old one as it was.
    std::fs::rename(stand.path("items.db"), stand.path("away.db"))?;
    let (_, said) = printed(&export(&["-o", "export.jsonl", "--overwrite"], 4)?);
    ensure!(said.contains("the database is gone"), "{said}");
    ensure!(text(&stand.path("export.jsonl"))?.lines().count() == 91 && !stand.path("export.jsonl.part").exists());
    Ok(())
}

#[test]
fn a_job_with_feeds_alone_has_nothing_to_export_from() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    run(&mut crawl(&stand, &["items.jsonl"], &[]), 0)?;
    let mut command = stand.command(weir());
    let (_, said) = printed(&run(command.args(["export", "--state", "state", "--format", "csv"]), 2)?);
    ensure!(said.contains("its sinks are feeds (items.jsonl)") && said.contains("nothing to read from"), "{said}");
    Ok(())
}

#[test]
fn killed_several_times_parts_are_whole_and_what_was_seen_never_changes() -> anyhow::Result<()> {
    let stand = Stand::slow(60);
    let outputs = ["parts/p%(batch_id)03d.jsonl.gz", "tables/t%(batch_id)d.parquet", "items.jsonl.zst"];
    let options = ["-s", "feed.part_rows=130"];
    let mut seen: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut look = || -> anyhow::Result<()> {
        for path in files(&stand.path("parts")).into_iter().chain(files(&stand.path("tables"))) {
            if path.to_string_lossy().contains(".part") {
                continue;
            }
            let bytes = std::fs::read(&path)?;
            ensure!(
                *seen.entry(path.clone()).or_insert_with(|| bytes.clone()) == bytes,
                "{} has changed",
                path.display()
            );
        }
        Ok(())
    };
    for requests in [1, 150, 400, 800, 1200, 1500] {
        let mut child = start(&mut crawl(&stand, &outputs, &options));
        until("the site to be asked", || {
            stand.site.log().len() >= requests || child.0.try_wait().is_ok_and(|status| status.is_some())
        });
        child.signal("-KILL")?;
        child.0.wait()?;
        look()?;
    }
    run(&mut crawl(&stand, &outputs, &options), 0)?;
    look()?;
    let meant = expected(&stand.site, &stand.base());
    for (folder, last) in [("parts", "p014.jsonl.gz"), ("tables", "t14.parquet")] {
        let found = files(&stand.path(folder));
        ensure!(found.len() == meant.len().div_ceil(130), "{found:?}");
        ensure!(found.iter().any(|path| path.ends_with(last)), "{found:?}");
        let mut items = BTreeMap::new();
        for path in &found {
            let before = items.len();
            if folder == "parts" {
                collect(&mut items, &text(path)?)?;
            } else {
                items.extend(parquet_items(path)?);
            }
            let whole = items.len() - before == 130 || path.ends_with(last);
            ensure!(whole, "{} adds {} items", path.display(), items.len() - before);
        }
        compare(&items, &meant).context(folder)?;
    }
    let mut items = BTreeMap::new();
    collect(&mut items, &text(&stand.path("items.jsonl.zst"))?)?;
    compare(&items, &meant)
}

#[test]
fn of_two_crawls_into_one_feed_the_second_is_refused_and_the_first_loses_nothing() -> anyhow::Result<()> {
    let stand = Stand::slow(20);
    let into = |state: &str, more: &[&str]| {
        let mut command = stand.command(weir());
        command.arg("crawl").arg(example("properties-next.toml"));
        command.args(["-q", "-a", &format!("base={}", stand.base()), "--state", state, "-o", "items.jsonl"]).args(more);
        command
    };
    let mut first = start(&mut into("first", &[]));
    until("the first crawl to have its feed", || !stand.site.log().is_empty());
    for more in [&[][..], &["--overwrite"], &["--append"]] {
        let (_, said) = printed(&run(&mut into("second", more), 2)?);
        ensure!(said.contains("another crawl is writing this feed: items.jsonl.part"), "{said}");
    }
    ensure!(first.0.try_wait()?.is_none(), "the first crawl ended before the second was told");
    let status = first.0.wait()?;
    ensure!(status.code() == Some(0), "exit {status}");
    let mut items = BTreeMap::new();
    collect(&mut items, &text(&stand.path("items.jsonl"))?)?;
    compare(&items, &expected(&stand.site, &stand.base()))?;
    let left: Vec<_> =
        files(stand.dir.path()).into_iter().filter(|path| path.to_string_lossy().contains(".part")).collect();
    ensure!(left.is_empty(), "{left:?}");
    // What is no file is no feed, for the commands that take the job's sinks again as well.
    let mut command = stand.command(weir());
    let (_, said) = printed(&run(command.args(["audit", "--state", "first", "-o", "-:jsonlines"]), 2)?);
    ensure!(said.contains("-o -:jsonlines: expected a file"), "{said}");
    Ok(())
}

#[test]
fn a_mistake_in_a_name_or_a_limit_is_said_before_the_crawl() -> anyhow::Result<()> {
    let stand = Stand::new(1);
    for (output, option, said) in [
        ("%(nmae)s.jsonl", "concurrency=1", "%(name)s"),
        ("items.jsonl", "feed.part_rows=5", "%(batch_id)05d"),
        ("items.parquet.gz", "concurrency=1", "items.parquet"),
        ("s3://bucket", "concurrency=1", "s3://BUCKET/PATH"),
        ("ftp://127.0.0.1/a/items.csv?password_env=WEIR_NOT_SET", "concurrency=1", "WEIR_NOT_SET"),
    ] {
        let output = run(&mut crawl(&stand, &[output], &["-s", option]), 2)?;
        let (_, said_there) = printed(&output);
        ensure!(said_there.contains(said), "{said_there}");
    }
    ensure!(stand.site.log().is_empty(), "nothing was asked for");
    Ok(())
}

#[test]
fn an_ftp_server_killed_in_the_middle_has_every_part_once_and_whole() -> anyhow::Result<()> {
    let (stand, mut server) = (Stand::slow(40), Service::start(Kind::Ftp)?);
    let folder = server.folder().context("a server of our own")?.join("files/feeds/properties-next");
    let output =
        format!("ftp://weir@127.0.0.1:{}/feeds/%(name)s/p%(batch_id)02d.jsonl.gz?password_env=FTP_PW", server.port());
    let mut command = crawl(&stand, &[&output], &["-s", "feed.part_rows=100"]);
    let mut child = start(command.env("FTP_PW", "weir"));
    until("the second part to arrive", || folder.join("p02.jsonl.gz").exists());
    ensure!(child.0.try_wait()?.is_none(), "the crawl ended early");
    server.kill9()?;
    server.restart()?;
    let status = child.0.wait()?;
    ensure!(status.code() == Some(0), "exit {status}");
    let mut items = BTreeMap::new();
    let found = files(&folder);
    ensure!(found.len() == 12, "{found:?}");
    for path in &found {
        ensure!(collect(&mut items, &text(path)?)? == 100, "{}", path.display());
    }
    compare(&items, &expected(&stand.site, &stand.base()))?;
    let mut audit = stand.command(weir());
    run(audit.args(["audit", "--state", "state"]).env("FTP_PW", "weir"), 0)?;
    std::fs::remove_file(folder.join("p12.jsonl.gz"))?;
    run(&mut audit, 5)?;
    // The place is taken now, and a wrong password is told apart from that; both before the crawl.
    let output = format!("ftp://weir@127.0.0.1:{}/feeds/properties-next/p01.jsonl.gz", server.port());
    let (_, said) = printed(&run(crawl(&stand, &[&output], &[]).env("WEIR_FTP_PASSWORD", "weir"), 2)?);
    ensure!(said.contains("exists already") && said.contains("--overwrite"), "{said}");
    let (_, said) = printed(&run(crawl(&stand, &[&output], &[]).env("WEIR_FTP_PASSWORD", "wrong"), 2)?);
    ensure!(said.contains("password") && !said.contains("wrong"), "{said}");
    Ok(())
}

#[test]
fn a_bucket_that_is_away_in_the_middle_has_every_part_once_and_whole() -> anyhow::Result<()> {
    let (stand, mut server) = (Stand::slow(40), Service::start(Kind::Aws)?);
    let settings = server.settings();
    let s3 = |arguments: &[&str]| -> anyhow::Result<std::process::Output> {
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail", "--max-time", "20"]).args(arguments);
        Ok(command.output()?)
    };
    let bucket = format!("{}/feeds", server.url());
    ensure!(s3(&["-X", "PUT", &bucket])?.status.success(), "the bucket is made");
    let name = |number: usize| format!("{bucket}/properties-next/p{number}.jsonl");
    let outputs = ["s3://feeds/%(name)s/p%(batch_id)d.jsonl", "s3://feeds/whole.parquet"];
    let mut command = crawl(&stand, &outputs, &["-s", "feed.part_rows=100"]);
    let mut child = start(command.envs(settings.clone()));
    until("the second part to arrive", || s3(&[&name(2)]).is_ok_and(|output| output.status.success()));
    ensure!(child.0.try_wait()?.is_none(), "the crawl ended early");
    // Its state survives a stop, not a kill.
    server.stop()?;
    server.restart()?;
    let status = child.0.wait()?;
    ensure!(status.code() == Some(0), "exit {status}");
    let mut items = BTreeMap::new();
    for number in 1..=12 {
        let object = s3(&[&name(number)])?;
        ensure!(object.status.success(), "part {number}: {}", String::from_utf8_lossy(&object.stderr));
        ensure!(collect(&mut items, &String::from_utf8(object.stdout)?)? == 100, "part {number}");
    }
    let meant = expected(&stand.site, &stand.base());
    compare(&items, &meant)?;
    let table = stand.path("whole.parquet");
    std::fs::write(&table, s3(&[&format!("{bucket}/whole.parquet")])?.stdout)?;
    compare(&parquet_items(&table)?, &meant)?;
    ensure!(files(&stand.path("state/feeds")).is_empty(), "{:?}", files(&stand.path("state/feeds")));
    run(stand.command(weir()).args(["audit", "--state", "state"]).envs(settings.clone()), 0)?;
    // A bucket that is not there is told before the crawl.
    let asked = stand.site.log().len();
    let (_, said) = printed(&run(crawl(&stand, &["s3://nowhere/x.jsonl"], &[]).envs(settings), 2)?);
    ensure!(said.contains("s3://nowhere") && stand.site.log().len() == asked, "{said}");
    Ok(())
}
