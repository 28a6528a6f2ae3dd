//! The feed passes the connector's suite in every format, and its files are what other tools read.
#![allow(clippy::unwrap_used)] // helpers of tests

use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use weir_connector::contract::{self, Place, item, job, poison, wait, write};
use weir_connector::{ErrorClass, FeedFormat, ItemOutcome, Read, Sink, SinkMark, StoredItem};
use weir_feed::{Charset, Existing, ExportOptions, FeedSink};
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

#[test]
fn appending_to_csv_writes_no_second_header_and_to_json_is_refused() {
    let folder = Folder::new(FeedFormat::Csv);
    std::fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
    std::fs::write(folder.path(), "url,price\r\nx,1").unwrap();
    let mut sink = FeedSink::new(folder.path(), FeedFormat::Csv).with_existing(Existing::Append);
    sink.open(&job(None)).unwrap();
    write(&mut sink, &[item(1, 1, 1.0)]);
    finished(&mut sink);
    assert!(folder.text().starts_with("url,price\r\nx,1\nhttp://site/00001,1.0,"), "{}", folder.text());
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
