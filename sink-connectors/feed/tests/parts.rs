//! Feeds in parts and compressed feeds: each part whole or not there, also after a kill between any two writes, and nothing visible that
//! the state does not keep.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use weir_connector::contract::{item, job, wait, write};
use weir_connector::{Compression, ErrorClass, FeedFormat, Sink, SinkError, SinkMark};
use weir_feed::{Existing, FeedSink, PartLimits, Remote, Template};
use weir_model::Outcome;

fn feed(folder: &Path, name: &str, format: FeedFormat, limits: PartLimits) -> FeedSink {
    let path = folder.join(name);
    let template = Template::parse(path.to_str().unwrap(), &BTreeMap::new()).unwrap();
    FeedSink::named(template, format).with_compression(Compression::of(name).0).with_parts(limits)
}

fn by_rows(rows: u64) -> PartLimits {
    PartLimits { rows: Some(rows), ..PartLimits::default() }
}

fn numbered(from: u32, count: u32) -> Vec<std::sync::Arc<weir_model::Item>> {
    (from..from + count).map(|id| item(id, 1_000_000 * u64::from(id), f64::from(id))).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let mut out = String::new();
    match Compression::of(path.to_str().unwrap()).0 {
        Compression::None => out = String::from_utf8(bytes).unwrap(),
        Compression::Gzip => {
            flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut out).unwrap();
        }
        Compression::Zstd => {
            zstd::stream::read::Decoder::new(&bytes[..]).unwrap().read_to_string(&mut out).unwrap();
        }
    }
    out
}

fn committed(sink: &mut FeedSink, mark: &SinkMark) {
    wait(sink.committed(mark)).unwrap();
}

fn finish(sink: &mut FeedSink) {
    wait(sink.finish(Outcome::Finished, true)).unwrap();
    sink.ended();
}

#[test]
fn a_part_is_seen_when_the_state_keeps_it_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = feed(dir.path(), "p%(batch_id)02d.jsonl", FeedFormat::JsonLines, by_rows(10));
    sink.open(&job(None)).unwrap();
    let (_, mark) = write(&mut sink, &numbered(0, 25));
    let seen = |name: &str| names(dir.path()).iter().any(|found| found == name);
    assert!(!seen("p01.jsonl") && seen("p01.jsonl.part"));
    committed(&mut sink, &mark);
    assert!(seen("p01.jsonl") && seen("p02.jsonl") && !seen("p03.jsonl"), "{:?}", names(dir.path()));
    let (_, _) = write(&mut sink, &numbered(25, 5));
    finish(&mut sink);
    assert_eq!(names(dir.path()), ["p01.jsonl", "p02.jsonl", "p03.jsonl"], "no empty part, nothing left over");
    for part in names(dir.path()) {
        assert_eq!(text(&dir.path().join(part)).lines().count(), 10);
    }
}

/// Writes batches of uneven size; after each of them a kill, which may have lost the last mark; then goes on from the mark that was kept.
fn killed_everywhere(name: &str, format: FeedFormat, limits: PartLimits) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let mut kept: Option<SinkMark> = None;
    let (mut at, mut round) = (0, 0);
    let mut visible: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    while at < 90 {
        let mut sink = feed(dir.path(), name, format, limits);
        sink.open(&job(kept.clone())).unwrap();
        let count = 1 + (round * 7) % 23;
        let (_, first) = write(&mut sink, &numbered(at, count));
        committed(&mut sink, &first);
        at += count;
        kept = Some(first);
        // More was written, but nobody kept the mark.
        write(&mut sink, &numbered(at, 17));
        drop(sink);
        for file in names(dir.path()).into_iter().filter(|name| !name.contains(".part")) {
            let bytes = std::fs::read(dir.path().join(&file)).unwrap();
            let before = visible.entry(file.clone()).or_insert_with(|| bytes.clone());
            assert!(*before == bytes, "{file} was seen and has changed");
        }
        round += 1;
    }
    let mut sink = feed(dir.path(), name, format, limits);
    sink.open(&job(kept)).unwrap();
    write(&mut sink, &numbered(at, 100 - at));
    finish(&mut sink);
    names(dir.path()).into_iter().map(|name| (name.clone(), std::fs::read(dir.path().join(&name)).unwrap())).collect()
}

fn at_once(name: &str, format: FeedFormat, limits: PartLimits) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = feed(dir.path(), name, format, limits);
    sink.open(&job(None)).unwrap();
    write(&mut sink, &numbered(0, 100));
    finish(&mut sink);
    names(dir.path()).into_iter().map(|name| (name.clone(), std::fs::read(dir.path().join(&name)).unwrap())).collect()
}

#[test]
fn killed_after_every_write_the_parts_are_those_of_an_unbroken_run() {
    let bytes = PartLimits { bytes: Some(3000), ..PartLimits::default() };
    let time = PartLimits { time: Some(Duration::from_secs(13)), ..PartLimits::default() };
    for (format, extension) in [
        (FeedFormat::JsonLines, "jsonl"),
        (FeedFormat::Json, "json"),
        (FeedFormat::Csv, "csv"),
        (FeedFormat::Xml, "xml"),
        (FeedFormat::Parquet, "parquet"),
    ] {
        // What ends a part is the same for all formats; two of them go through every limit.
        let all = matches!(format, FeedFormat::JsonLines | FeedFormat::Parquet);
        for limits in [by_rows(7), by_rows(100), bytes, time].into_iter().take(if all { 4 } else { 1 }) {
            let name = format!("p%(batch_id)d.{extension}");
            let (killed, whole) = (killed_everywhere(&name, format, limits), at_once(&name, format, limits));
            assert_eq!(killed.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>(), "{limits:?}");
            assert!(killed == whole, "{extension}, {limits:?}");
            assert!(limits.rows == Some(100) || killed.len() > 3, "{limits:?}: {:?}", killed.keys());
        }
    }
}

#[test]
fn killed_after_every_write_a_compressed_feed_reads_as_that_of_an_unbroken_run() {
    for name in ["items.jsonl.gz", "items.csv.zst", "items.json.gz", "items.xml.zst"] {
        let (format, limits) = (FeedFormat::from_name(name.split('.').nth(1).unwrap()).unwrap(), PartLimits::default());
        let plain = name.trim_end_matches(".gz").trim_end_matches(".zst");
        let killed = killed_everywhere(name, format, limits);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, &killed[name]).unwrap();
        let whole = at_once(plain, format, limits);
        assert!(text(&path).as_bytes() == whole[plain], "{name}");
        assert!(killed[name].len() * 2 < whole[plain].len(), "{name} is smaller");
    }
}

#[test]
fn programs_of_others_read_what_is_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let killed = killed_everywhere("items.jsonl.gz", FeedFormat::JsonLines, PartLimits::default());
    std::fs::write(dir.path().join("items.jsonl.gz"), &killed["items.jsonl.gz"]).unwrap();
    let output = std::process::Command::new("gzip").arg("-dc").arg(dir.path().join("items.jsonl.gz")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 100);
}

#[test]
fn limits_without_a_number_in_the_name_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = feed(dir.path(), "items.jsonl", FeedFormat::JsonLines, by_rows(1)).open(&job(None)).unwrap_err();
    assert!(error.class == ErrorClass::Configuration && error.to_string().contains("%(batch_id)"), "{error}");
}

#[test]
fn another_job_refuses_appends_behind_or_replaces_all_parts() {
    let dir = tempfile::tempdir().unwrap();
    let run = |existing: Existing, number: u64, count: u32| {
        let mut sink = feed(dir.path(), "p%(batch_id)d.json", FeedFormat::Json, by_rows(2)).with_existing(existing);
        let mut other = job(None);
        other.job.0 = number;
        sink.open(&other)?;
        write(&mut sink, &numbered(0, count));
        finish(&mut sink);
        Ok::<_, weir_connector::SinkError>(())
    };
    run(Existing::Refuse, 1, 5).unwrap();
    assert_eq!(names(dir.path()), ["p1.json", "p2.json", "p3.json"]);
    assert!(run(Existing::Refuse, 2, 5).unwrap_err().to_string().contains("p1.json"));
    let before = text(&dir.path().join("p3.json"));
    run(Existing::Append, 3, 2).unwrap();
    assert_eq!(names(dir.path()), ["p1.json", "p2.json", "p3.json", "p4.json"]);
    assert_eq!(text(&dir.path().join("p3.json")), before);
    run(Existing::Overwrite, 4, 3).unwrap();
    assert_eq!(names(dir.path()), ["p1.json", "p2.json"], "parts of the longer feed are gone");
}

#[test]
fn a_full_disk_in_the_middle_of_a_batch_of_parts_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = feed(dir.path(), "p%(batch_id)d.jsonl", FeedFormat::JsonLines, by_rows(3));
    sink.open(&job(None)).unwrap();
    let (_, mark) = write(&mut sink, &numbered(0, 4));
    // The third part cannot be begun: somebody else's file stands where it is to be written.
    let obstacle: PathBuf = dir.path().join("p3.jsonl.part");
    std::fs::create_dir(&obstacle).unwrap();
    let mut outcomes = Vec::new();
    wait(sink.write(&numbered(4, 10), &mut outcomes)).unwrap_err();
    assert!(outcomes.is_empty());
    std::fs::remove_dir(&obstacle).unwrap();
    committed(&mut sink, &mark);
    write(&mut sink, &numbered(4, 10));
    finish(&mut sink);
    let all: String = (1..=5).map(|number| text(&dir.path().join(format!("p{number}.jsonl")))).collect();
    let urls: Vec<&str> = all.lines().map(|line| &line[21..26]).collect();
    assert_eq!(urls, (0..14).map(|id| format!("{id:05}")).collect::<Vec<_>>());
}

#[test]
fn killed_at_the_end_the_last_part_is_gone_on_with() {
    for (name, format) in
        [("i.csv", FeedFormat::Csv), ("i.parquet", FeedFormat::Parquet), ("i.jl.gz", FeedFormat::JsonLines)]
    {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = feed(dir.path(), name, format, PartLimits::default());
        sink.open(&job(None)).unwrap();
        let (_, mark) = write(&mut sink, &numbered(0, 60));
        wait(sink.finish(Outcome::Finished, true)).unwrap();
        // Killed before the end was written down; a stop that was not written down either: more items come.
        drop(sink);
        let mut sink = feed(dir.path(), name, format, PartLimits::default());
        sink.open(&job(Some(mark))).unwrap();
        assert!(!names(dir.path()).iter().any(|found| found == name), "{name} is not complete now");
        write(&mut sink, &numbered(60, 40));
        finish(&mut sink);
        assert_eq!(names(dir.path()), [name], "nothing else is left");
        let got = std::fs::read(dir.path().join(name)).unwrap();
        let whole = at_once(name, format, PartLimits::default());
        if Compression::of(name).0 == Compression::None {
            assert!(got == whole[name], "{name}");
        } else {
            std::fs::write(dir.path().join("whole.gz"), &whole[name]).unwrap();
            assert_eq!(text(&dir.path().join(name)), text(&dir.path().join("whole.gz")));
        }
    }
}

/// A folder that stands for a server.
struct Elsewhere(PathBuf);

impl Remote for Elsewhere {
    fn place(&self) -> String {
        "folder://elsewhere".to_owned()
    }

    fn exists(&mut self, name: &str) -> Result<bool, SinkError> {
        Ok(self.0.join(name).exists())
    }

    fn put(&mut self, name: &str, file: &Path) -> Result<(), SinkError> {
        std::fs::copy(file, self.0.join(name)).map(drop).map_err(|error| SinkError::io("copy", file, &error))
    }

    fn get(&mut self, name: &str, to: &mut std::fs::File) -> Result<(), SinkError> {
        let mut file = std::fs::File::open(self.0.join(name)).unwrap();
        std::io::copy(&mut file, to).map(drop).map_err(|error| SinkError::io("copy", Path::new(name), &error))
    }

    fn remove(&mut self, name: &str) -> Result<(), SinkError> {
        std::fs::remove_file(self.0.join(name)).map_err(|error| SinkError::io("remove", Path::new(name), &error))
    }
}

#[test]
fn a_feed_without_items_killed_at_the_end_is_gone_on_with() {
    for name in ["i.jsonl", "i.json", "i.csv", "i.xml", "i.parquet", "i.jl.gz", "i.csv.zst", "p%(batch_id)d.jsonl"] {
        let format = FeedFormat::from_name(name.split('.').nth(1).unwrap()).unwrap();
        for remote in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (spool, there) = (dir.path().join("spool"), dir.path().join("there"));
            std::fs::create_dir(&there).unwrap();
            let sink = || match remote {
                false => feed(&there, name, format, PartLimits::default()),
                true => FeedSink::named(Template::parse(name, &BTreeMap::new()).unwrap(), format)
                    .with_compression(Compression::of(name).0)
                    .elsewhere(Box::new(Elsewhere(there.clone())), &spool),
            };
            let mut first = sink();
            first.open(&job(None)).unwrap();
            wait(first.finish(Outcome::Finished, true)).unwrap();
            let visible = name.replace("%(batch_id)d", "1");
            assert!(there.join(&visible).exists(), "{name}");
            // Killed before the end was written down; nothing was confirmed, so there is no mark.
            drop(first);
            let mut again = sink();
            again.open(&job(None)).unwrap_or_else(|error| panic!("{name}, {remote}: {error}"));
            assert!(remote || !there.join(&visible).exists(), "{name} is not complete now");
            write(&mut again, &numbered(0, 100));
            finish(&mut again);
            assert_eq!(names(&there), [&*visible], "nothing else is left");
            assert!(!remote || names(&spool).is_empty(), "{:?}", names(&spool));
            let whole = &at_once(name, format, PartLimits::default())[&visible];
            assert!(std::fs::read(there.join(&visible)).unwrap() == *whole, "{name}");
            let mut rows = 0;
            wait(sink().read_back(&job(None), &mut |_| rows += 1)).unwrap();
            assert_eq!(rows, 100, "{name}, {remote}");
            // For another job it is what it always was.
            let mut other = job(None);
            other.job.0 += 1;
            let error = sink().open(&other).unwrap_err().to_string();
            assert!(error.contains("exists already"), "{error}");
        }
    }
}
