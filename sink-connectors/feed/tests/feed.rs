//! The feed passes the connector's suite in every format, and its files are what other tools read.
#![allow(clippy::unwrap_used)] // helpers of tests

use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use weir_connector::contract::{self, Place, item, job, poison, wait, write};
use weir_connector::{Compression, ErrorClass, FeedFormat, ItemOutcome, JobInfo, Read, Sink, SinkMark, StoredItem};
use weir_feed::{Charset, Existing, ExportOptions, FeedSink, PartLimits, Template};
use weir_model::{FieldKind, Item, Outcome, Value};

struct Folder {
    dir: TempDir,
    format: FeedFormat,
}

impl Folder {
    fn new(format: FeedFormat) -> Folder {
        Folder { dir: tempfile::tempdir().unwrap(), format }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("out/items.feed")
    }

    fn sink_of(&self, format: FeedFormat) -> FeedSink {
        FeedSink::new(self.path(), format)
    }

    fn text(&self) -> String {
        let whole = std::fs::read_to_string(self.path());
        whole.or_else(|_| std::fs::read_to_string(part(&self.path()))).unwrap()
    }
}

fn part(path: &Path) -> PathBuf {
    path.with_extension("feed.part")
}

impl Place for Folder {
    fn sink(&mut self) -> Box<dyn Sink> {
        Box::new(FeedSink::new(self.path(), self.format))
    }

    /// Only the lock is let go, as the system does it; nothing is written.
    fn killed(&mut self, sink: Box<dyn Sink>) {
        drop(sink);
    }

    fn read(&mut self) -> Vec<(String, Json)> {
        let text = self.text();
        let pair = |row: &Json| (row["url"].as_str().unwrap().to_owned(), row["price"].clone());
        match self.format {
            FeedFormat::JsonLines => text.lines().map(|line| pair(&serde_json::from_str(line).unwrap())).collect(),
            FeedFormat::Json => {
                let closed = if text.ends_with(']') { text } else { format!("{text}\n]") };
                serde_json::from_str::<Json>(&closed).unwrap().as_array().unwrap().iter().map(pair).collect()
            }
            FeedFormat::Xml => {
                let between = |row: &str, tag: &str| {
                    let (_, behind) = row.split_once(&format!("<{tag}>"))?;
                    Some(behind.split_once(&format!("</{tag}>"))?.0.to_owned())
                };
                let rows = text.split("<item>").skip(1);
                rows.map(|row| {
                    (between(row, "url").unwrap(), between(row, "price").unwrap().parse::<f64>().unwrap().into())
                })
                .collect()
            }
            FeedFormat::Parquet => unreachable!("has no text"),
            FeedFormat::Csv => {
                let mut reader = csv::Reader::from_reader(text.as_bytes());
                assert!(text.is_empty() || reader.headers().unwrap().get(0) == Some("url"));
                reader
                    .records()
                    .map(|row| row.unwrap())
                    .map(|row| (row[0].to_owned(), row[1].parse::<f64>().unwrap().into()))
                    .collect()
            }
        }
    }
}

#[test]
fn every_format_passes_the_suite() {
    for format in [FeedFormat::JsonLines, FeedFormat::Json, FeedFormat::Csv, FeedFormat::Xml] {
        contract::suite(|| Folder::new(format));
    }
}

fn finished(sink: &mut dyn Sink) {
    wait(sink.finish(Outcome::Finished, true)).unwrap();
    sink.ended();
}

#[test]
fn an_items_bytes_are_scrapys() {
    let expect = [
        (
            FeedFormat::JsonLines,
            "{\"url\": \"http://site/00002\", \"price\": 334.39, \"rooms\": 2, \"tags\": [\"a,b\", \"c\\\"d\\né\"], \"seen\": \"2015-01-01T01:01:01Z\", \"location\": {\"lat\": 51.5, \"lon\": -0.248}, \"extra\": {\"n\": [1, 2.5, null]}, \"new\": true}\n",
        ),
        (
            FeedFormat::Csv,
            "url,price,rooms,tags,seen,location,extra,new\r\nhttp://site/00002,334.39,2,\"a,b,c\"\"d\né\",2015-01-01T01:01:01Z,\"51.5,-0.248\",\"{'n': [1, 2.5, None]}\",True\r\n",
        ),
    ];
    for (format, bytes) in expect {
        let folder = Folder::new(format);
        let mut sink = FeedSink::new(folder.path(), format);
        sink.open(&job(None)).unwrap();
        write(&mut sink, &[item(2, 1, 334.39)]);
        finished(&mut sink);
        assert_eq!(folder.text(), bytes);
    }
}

#[test]
fn the_feed_appears_only_when_it_is_complete() {
    let folder = Folder::new(FeedFormat::Json);
    let mut sink = FeedSink::new(folder.path(), FeedFormat::Json);
    sink.open(&job(None)).unwrap();
    write(&mut sink, &[item(1, 1, 1.0)]);
    assert!(!folder.path().exists() && part(&folder.path()).exists());
    finished(&mut sink);
    let names: Vec<_> =
        std::fs::read_dir(folder.path().parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["items.feed"], "nothing else is left");
}

#[test]
fn a_feed_of_another_job_is_refused_unless_told_otherwise() {
    let folder = Folder::new(FeedFormat::JsonLines);
    let open = |existing| {
        let mut sink = FeedSink::new(folder.path(), FeedFormat::JsonLines).with_existing(existing);
        let mut another = job(None);
        another.job.0 = 8;
        sink.open(&another).map(|_| sink)
    };
    let mut first = FeedSink::new(folder.path(), FeedFormat::JsonLines);
    first.open(&job(None)).unwrap();
    write(&mut first, &[item(1, 1, 1.0)]);
    let error = open(Existing::Refuse).unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.to_string().contains("items.feed.part"), "{error}");
    finished(&mut first);
    let error = open(Existing::Refuse).unwrap_err();
    assert!(error.to_string().contains("items.feed") && error.to_string().contains("--overwrite"), "{error}");
    let before = folder.text();
    let mut append = open(Existing::Append).unwrap();
    write(&mut append, &[item(2, 1, 2.0)]);
    assert_eq!(
        std::fs::read_to_string(folder.path()).unwrap(),
        before,
        "the old one stays until the new one is complete"
    );
    finished(&mut append);
    assert!(folder.text().starts_with(&before) && folder.text().lines().count() == 2);
    let mut overwrite = open(Existing::Overwrite).unwrap();
    finished(&mut overwrite);
    assert_eq!(folder.text(), "");
}

/// The suite's job as another state would have it.
fn other_job() -> JobInfo {
    JobInfo { state: 0xdef, ..job(None) }
}

#[test]
fn a_feed_that_a_crawl_has_begun_is_refused_before_its_first_item_too() {
    for existing in [Existing::Refuse, Existing::Append, Existing::Overwrite] {
        let folder = Folder::new(FeedFormat::JsonLines);
        let feed = || FeedSink::new(folder.path(), FeedFormat::JsonLines);
        let mut first = feed();
        first.open(&job(None)).unwrap();
        let error = feed().with_existing(existing).open(&other_job()).unwrap_err();
        assert!(error.class == ErrorClass::Configuration, "{error}");
        assert!(error.to_string().contains("another crawl is writing this feed"), "{existing:?}: {error}");
        assert!(error.to_string().contains("items.feed.part"), "{error}");
        // Killed, and nothing written: it is still the place of its job, and only the operator gives it to another.
        drop(first);
        if existing != Existing::Overwrite {
            let error = feed().with_existing(existing).open(&other_job()).unwrap_err().to_string();
            assert!(error.contains("belongs to an unfinished job"), "{existing:?}: {error}");
        }
        let mut again = feed();
        again.open(&job(None)).unwrap();
        let (_, mark) = write(&mut again, &[item(1, 1, 1.0)]);
        drop(again);
        let mut again = feed();
        again.open(&job(Some(mark))).unwrap();
        let error = feed().with_existing(existing).open(&other_job()).unwrap_err().to_string();
        assert!(error.contains("another crawl"), "{existing:?}, gone on with: {error}");
        wait(again.finish(Outcome::Finished, true)).unwrap();
        // Complete, but its state does not know that yet: what is needed to take it back stays.
        let error = feed().with_existing(existing).open(&other_job()).unwrap_err().to_string();
        assert!(error.contains("another crawl"), "{existing:?}, at its end: {error}");
        again.ended();
        assert_eq!(folder.text().lines().count(), 1);
        let opened = feed().with_existing(existing).open(&other_job());
        assert_eq!(opened.is_ok(), existing != Existing::Refuse, "nobody has it now: {opened:?}");
    }
}

#[test]
fn a_part_that_waits_for_the_state_is_still_its_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let feed = |existing| {
        let name = folder.path().join("p%(batch_id)d.jsonl").display().to_string();
        FeedSink::named(Template::parse(&name, &BTreeMap::new()).unwrap(), FeedFormat::JsonLines)
            .with_parts(PartLimits { rows: Some(1), ..PartLimits::default() })
            .with_existing(existing)
    };
    let mut first = feed(Existing::Refuse);
    first.open(&job(None)).unwrap();
    let (_, mark) = write(&mut first, &[item(1, 1, 1.0), item(2, 1, 2.0)]);
    let error = feed(Existing::Overwrite).open(&other_job()).unwrap_err().to_string();
    assert!(error.contains("another crawl"), "{error}");
    wait(first.committed(&mark)).unwrap();
    assert!(folder.path().join("p2.jsonl").exists() && !folder.path().join("p1.jsonl.part.job").exists());
    finished(&mut first);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "nothing else is left: {names:?}");
}

#[test]
fn of_crawls_that_begin_a_feed_at_the_same_moment_one_has_it() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.jsonl");
        let start = std::sync::Barrier::new(4);
        let begun: Vec<FeedSink> = std::thread::scope(|scope| {
            let begin = |state| {
                let (path, start) = (&path, &start);
                scope.spawn(move || {
                    let mut sink = FeedSink::new(path, FeedFormat::JsonLines);
                    start.wait();
                    sink.open(&JobInfo { state, ..job(None) }).is_ok().then_some(sink)
                })
            };
            let threads: Vec<_> = (0..4).map(begin).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(begun.len(), 1);
        for mut sink in begun {
            write(&mut sink, &[item(1, 1, 1.0)]);
            finished(&mut sink);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }
}

#[test]
fn what_is_no_file_is_refused_and_stays_what_it_was() {
    use std::os::unix::fs::FileTypeExt;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let places = [pipe.as_path(), Path::new("/dev/stdout"), Path::new("/dev/null"), Path::new("/proc/self/fd/1")];
    for (place, existing) in
        places.into_iter().flat_map(|place| [(place, Existing::Refuse), (place, Existing::Overwrite)])
    {
        let mut sink = FeedSink::new(place, FeedFormat::JsonLines).with_existing(existing);
        let error = sink.open(&job(None)).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("after a crash") && told.contains("-o items.jsonl"), "{told}");
        assert!(told.contains(&place.display().to_string()) && error.class == ErrorClass::Configuration, "{told}");
    }
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made beside it");
}

#[test]
fn a_csv_of_other_columns_is_not_appended_to() {
    let meant = "url,price,rooms,tags,seen,location,extra,new";
    let reordered = "price,url,rooms,tags,seen,location,extra,new";
    let quoted = "\"url\",\"price\",rooms,tags,seen,location,extra,new";
    let cases = [
        ("q,w\r\n1,2\r\n".to_owned(), false),
        ("url,price\nx,1\n".to_owned(), false),
        (format!("{reordered}\n"), false),
        (format!("{meant},more\n"), false),
        ("\n".to_owned(), false),
        ("\"url\nprice".to_owned(), false),
        (format!("{meant}\r\n"), true),
        (format!("\u{feff}{meant}\n"), true),
        (quoted.to_owned(), true),
        (String::new(), true),
    ];
    for (number, (text, fits)) in cases.into_iter().enumerate() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let folder = Folder::new(FeedFormat::Csv);
            std::fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
            let bytes = match compression {
                Compression::None => text.clone().into_bytes(),
                Compression::Gzip => {
                    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                    std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
                    gzip.finish().unwrap()
                }
                Compression::Zstd => zstd::encode_all(text.as_bytes(), 1).unwrap(),
            };
            std::fs::write(folder.path(), &bytes).unwrap();
            let mut sink = FeedSink::new(folder.path(), FeedFormat::Csv)
                .with_compression(compression)
                .with_existing(Existing::Append);
            let opened = sink.open(&job(None));
            assert_eq!(opened.is_ok(), fits, "case {number}, {compression:?}: {opened:?}");
            if let Err(error) = opened {
                let told = error.to_string();
                assert!(
                    told.contains("other columns") && told.contains(meant) && told.contains("--overwrite"),
                    "{told}"
                );
                let folder = folder.path().parent().unwrap().to_owned();
                assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "nothing was made beside it");
            }
            assert_eq!(std::fs::read(folder.path()).unwrap(), bytes, "the file is as it was");
        }
    }
}

#[test]
fn appending_to_csv_writes_no_second_header_and_to_json_is_refused() {
    let folder = Folder::new(FeedFormat::Csv);
    std::fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
    let header = "url,price,rooms,tags,seen,location,extra,new\r\n";
    std::fs::write(folder.path(), format!("{header}x,1,,,,,,")).unwrap();
    let mut sink = FeedSink::new(folder.path(), FeedFormat::Csv).with_existing(Existing::Append);
    sink.open(&job(None)).unwrap();
    write(&mut sink, &[item(1, 1, 1.0)]);
    finished(&mut sink);
    assert!(folder.text().starts_with(&format!("{header}x,1,,,,,,\nhttp://site/00001,1.0,")), "{}", folder.text());
    let mut json = FeedSink::new(folder.path(), FeedFormat::Json).with_existing(Existing::Append);
    let mut other = job(None);
    other.job.0 += 1;
    assert!(json.open(&other).unwrap_err().to_string().contains("jsonl"));
    // A file that is not there yet needs no appending.
    std::fs::remove_file(folder.path()).unwrap();
    json.open(&other).unwrap();
    write(&mut json, &[item(1, 1, 1.0)]);
    finished(&mut json);
    assert!(folder.text().starts_with('['));
}

#[test]
fn a_part_that_is_not_what_the_job_wrote_is_refused() {
    let folder = Folder::new(FeedFormat::JsonLines);
    let mut sink = FeedSink::new(folder.path(), FeedFormat::JsonLines);
    sink.open(&job(None)).unwrap();
    let (_, mark) = write(&mut sink, &[item(1, 1, 1.0)]);
    drop(sink);
    let resume = |mark: &SinkMark| FeedSink::new(folder.path(), FeedFormat::JsonLines).open(&job(Some(mark.clone())));
    let written = std::fs::read(part(&folder.path())).unwrap();
    std::fs::write(part(&folder.path()), &written[..written.len() - 3]).unwrap();
    assert!(resume(&mark).unwrap_err().to_string().contains("shorter"));
    let mut changed = written.clone();
    changed[5] ^= 1;
    std::fs::write(part(&folder.path()), &changed).unwrap();
    assert!(resume(&mark).unwrap_err().to_string().contains("differs"));
    std::fs::remove_file(part(&folder.path())).unwrap();
    assert!(resume(&mark).unwrap_err().to_string().contains("gone"));
    std::fs::write(part(&folder.path()), &written).unwrap();
    resume(&mark).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_and_a_full_disk_are_said_clearly() {
    let error = FeedSink::new("/proc/nowhere/items.jsonl", FeedFormat::JsonLines).open(&job(None)).unwrap_err();
    assert!(error.to_string().contains("/proc/nowhere") && error.class == ErrorClass::Configuration, "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = FeedSink::new(folder.path(), FeedFormat::JsonLines).open(&job(None)).unwrap_err();
    assert!(error.to_string().contains("expected a file"), "{error}");
    // A part on /dev/full takes nothing: the link is what a full disk looks like.
    let target = folder.path().join("items.jsonl");
    std::os::unix::fs::symlink("/dev/full", folder.path().join("items.jsonl.part")).unwrap();
    let mut sink = FeedSink::new(&target, FeedFormat::JsonLines).with_existing(Existing::Overwrite);
    let opened = sink.open(&job(None)).map(|_| ());
    let failed = opened.and_then(|()| wait(sink.write(&[item(1, 1, 1.0)], &mut Vec::new())).map(drop)).unwrap_err();
    assert!(failed.to_string().contains("items.jsonl.part"), "{failed}");
}

#[test]
fn housekeeping_and_charset_are_options() {
    let folder = Folder::new(FeedFormat::Csv);
    let options = ExportOptions { charset: Charset::from_name("latin-1"), ..ExportOptions::default() };
    let mut sink = FeedSink::new(folder.path(), FeedFormat::Csv).with_options(options).with_housekeeping();
    sink.open(&job(None)).unwrap();
    let (outcomes, _) = write(&mut sink, &[item(1, 1_420_074_061_000_007, 1.0), poison(2)]);
    assert!(matches!(outcomes[..], [ItemOutcome::Stored, ItemOutcome::Refused { .. }]));
    finished(&mut sink);
    let bytes = std::fs::read(folder.path()).unwrap();
    assert!(bytes.windows(2).any(|pair| pair == b"\n\xe9"), "é is one byte");
    let text: String = bytes.iter().map(|&byte| byte as char).collect();
    assert!(text.lines().next().unwrap().ends_with("new,_id,_job,_spider,_version,_hash,_fetched_at"));
    assert!(text.contains(",7,contract,1420074061000007,3ff0000000000000,2015-01-01T01:01:01.000007Z\r\n"), "{text}");
}

/// What a feed with the suite's items, and texts that formats find hard, reads back as.
fn read_back(sink: &mut dyn Sink) -> Vec<StoredItem> {
    let mut rows = Vec::new();
    wait(sink.read_back(&job(None), &mut |row| rows.push(row))).unwrap();
    rows
}

#[test]
fn xml_and_parquet_read_back_as_what_was_written() {
    for format in [FeedFormat::Xml, FeedFormat::Parquet] {
        let folder = Folder::new(format);
        let mut hard = Item::clone(&item(3, 1, 2.5));
        let text = contract::schema().position("url").unwrap();
        hard.values[text] = Value::Str("a\r\nb\rc <&> ]]> \u{85}é\t".into());
        let items = [item(1, 1, 334.1), item(2, 1, 1.0), Arc::new(hard)];
        let mut sink = folder.sink_of(format);
        sink.open(&job(None)).unwrap();
        write(&mut sink, &items);
        finished(&mut sink);
        let rows = read_back(&mut folder.sink_of(format));
        assert_eq!(rows.len(), 3, "{format:?}");
        let schema = contract::schema();
        let mut sure = 0;
        for (row, item) in rows.iter().zip(&items) {
            for ((field, read), value) in schema.fields.iter().zip(&row.values).zip(&item.values) {
                match read {
                    Read::Value(read) => {
                        assert_eq!(read, value, "{format:?}: {}", field.name);
                        sure += 1;
                    }
                    // Empty elements, and JSON in XML.
                    Read::Unsure(_) => assert!(
                        field.kind == FieldKind::Json || (format == FeedFormat::Xml && empty(value)),
                        "{format:?}: {} {value:?}",
                        field.name
                    ),
                    Read::Foreign => panic!("{format:?}: {} {value:?} is foreign", field.name),
                }
            }
        }
        assert!(sure > items.len() * 4, "{sure}");
    }
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Str(text) => text.is_empty(),
        Value::List(values) => values.is_empty(),
        _ => false,
    }
}

#[test]
fn xml_that_was_cut_or_changed_is_said() {
    let folder = Folder::new(FeedFormat::Xml);
    let mut sink = folder.sink_of(FeedFormat::Xml);
    sink.open(&job(None)).unwrap();
    write(&mut sink, &[item(1, 1, 1.0), item(2, 1, 1.0)]);
    finished(&mut sink);
    let text = folder.text();
    for (changed, said) in [
        (text[..text.find("</price>").unwrap()].to_owned(), "middle of an item"),
        (text.replace("<item>", "<item x=\"1\">"), "does not write"),
        (text.replacen("</item>", "</thing>", 1), "closes nothing"),
    ] {
        std::fs::write(folder.path(), changed).unwrap();
        let mut sink = folder.sink_of(FeedFormat::Xml);
        let error = wait(sink.read_back(&job(None), &mut |_| {})).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_job_that_does_not_begin_after_all_leaves_nothing_beside_the_feed() {
    let mut folder = Folder::new(FeedFormat::JsonLines);
    let mut sink = folder.sink();
    sink.open(&job(None)).unwrap();
    assert!(part(&folder.path()).exists());
    sink.unopened();
    let left = || std::fs::read_dir(folder.path().parent().unwrap()).unwrap().count();
    assert_eq!(left(), 0);
    // What another job is writing stays, and so does what this one wrote before.
    let mut first = folder.sink();
    first.open(&job(None)).unwrap();
    let (_, mark) = write(&mut *first, &[item(1, 1, 1.0)]);
    let mut other = job(None);
    other.job.0 += 1;
    let mut second = folder.sink();
    second.open(&other).unwrap_err();
    second.unopened();
    drop(first);
    let mut again = folder.sink();
    again.open(&job(Some(mark))).unwrap();
    again.unopened();
    assert_eq!(folder.text().lines().count(), 1);
}
