//! The file of dead letters in a state directory: `dead-letters.jsonl`, a JSON object a line.
//!
//! Decides bytes only; the journal decides what is in it. Each line is `{"KIND":BODY,"sum":"16 hexadecimal digits"}`, the sum being
//! xxh3 over the body's text: `kept` a letter with the names that people know, `gone` the number of one that entered again, `beyond`
//! how many found no room. Whoever lists letters reads the file alone, also while a crawl runs.
//!
//! Invariants: a line is appended after the journal's group is durable, so none tells what did not happen; what a crash kept from
//! the file the journal tells again, and what is there already is not written twice; a line that is torn is cut away, one that is
//! damaged is left out and said.

use crate::document::Document;
use crate::error::CrawlError;
use crate::letter_pages::PAGE_LETTERS;
use crate::letters::{Content, Letter, LetterOp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use weir_connector::read;
use weir_model::crash;
use xxhash_rust::xxh3::xxh3_64;

/// The file's name in the state directory.
pub const LETTERS_FILE: &str = "dead-letters.jsonl";

/// A letter with the names of what it speaks of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptLetter {
    /// The letter.
    #[serde(flatten)]
    pub letter: Letter,
    /// The spider of its job.
    pub spider: String,
    /// The sink that refused it: its redacted URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// The item's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_type: Option<String>,
    /// Names of the item's values, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// What a person calls the item: its key's values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What a file of dead letters holds.
#[derive(Clone, Debug, Default)]
pub struct DeadLetters {
    /// Those that are there, by number.
    pub letters: BTreeMap<u64, KeptLetter>,
    /// How many found no room.
    pub beyond: u64,
    /// Damaged lines, as `FILE:LINE: what`.
    pub damaged: Vec<String>,
    /// Numbers that were there and are gone.
    gone: BTreeSet<u64>,
    /// Bytes up to the end of the last whole line.
    whole_bytes: u64,
    /// Bytes of lines that say nothing any more.
    idle_bytes: u64,
    sizes: BTreeMap<u64, u64>,
}

impl DeadLetters {
    /// Reads the file of a state directory; one that is not there holds nothing.
    pub fn read(state: &Path) -> Result<DeadLetters, CrawlError> {
        let path = state.join(LETTERS_FILE);
        let mut found = DeadLetters::default();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(told(&path, "open", &error)),
        };
        let reader = BufReader::with_capacity(1 << 16, file);
        found.fill(&path.display().to_string(), reader).map_err(|error| told(&path, "read", &error))?;
        Ok(found)
    }

    /// Reads a page of a stage's letters; `name` is for people.
    #[must_use]
    pub fn of_page(name: &str, bytes: &[u8]) -> DeadLetters {
        let mut found = DeadLetters::default();
        found.fill(name, bytes).expect("bytes in memory can be read");
        found
    }

    fn fill(&mut self, name: &str, mut reader: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            if length == 0 || line.last() != Some(&b'\n') {
                // Torn while it was written: the journal tells it again.
                break;
            }
            let text = String::from_utf8_lossy(&line[..length - 1]);
            match read_line(&text) {
                Ok(said) => self.apply(said, length as u64),
                Err(what) => {
                    self.damaged.push(format!("{name}:{number}: {what}"));
                    self.idle_bytes += length as u64;
                }
            }
            self.whole_bytes += length as u64;
        }
        Ok(())
    }

    fn apply(&mut self, said: Line, bytes: u64) {
        match said {
            Line::Kept(kept) => {
                let id = kept.letter.id;
                if self.gone.contains(&id) || self.letters.contains_key(&id) {
                    self.idle_bytes += bytes;
                    return;
                }
                self.letters.insert(id, *kept);
                self.sizes.insert(id, bytes);
            }
            Line::Gone(id) => {
                self.letters.remove(&id);
                self.idle_bytes += bytes + self.sizes.remove(&id).unwrap_or_default();
                self.gone.insert(id);
            }
            Line::Beyond(count) => {
                self.idle_bytes += bytes;
                self.beyond = self.beyond.max(count);
            }
        }
    }

    /// True when a change is in the file already.
    fn knows(&self, op: &LetterOp) -> bool {
        match op {
            LetterOp::Kept(letter) => self.letters.contains_key(&letter.id) || self.gone.contains(&letter.id),
            LetterOp::Gone(id) => self.gone.contains(id),
            LetterOp::Beyond(count) => self.beyond >= *count,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Kept(Box<KeptLetter>),
    Gone(u64),
    Beyond(u64),
}

const SUM: &str = ",\"sum\":\"";

pub(crate) fn put_line(out: &mut Vec<u8>, line: &Line) {
    // `{"kept":{...}}`: the sum goes before the last brace.
    let text = serde_json::to_string(line).expect("a letter is plain data with text keys");
    let body = &text[..text.len() - 1];
    out.extend_from_slice(body.as_bytes());
    out.extend_from_slice(format!("{SUM}{:016x}\"}}\n", xxh3_64(body.as_bytes())).as_bytes());
}

fn read_line(text: &str) -> Result<Line, String> {
    let (body, sum) = text.rsplit_once(SUM).ok_or("expected a line with a sum at its end")?;
    let sum = sum.strip_suffix("\"}").ok_or("expected a line with a sum at its end")?;
    if sum != format!("{:016x}", xxh3_64(body.as_bytes())) {
        return Err("the line and its sum do not agree".to_owned());
    }
    serde_json::from_str(&format!("{body}}}")).map_err(|error| format!("expected a dead letter: {error}"))
}

fn told(path: &Path, action: &str, error: &io::Error) -> CrawlError {
    CrawlError::State(format!(
        "cannot {action} the dead letters ({error}): {}: expected a file that can be read and written and a disk with room. \
         Correct that, then run the same command again",
        path.display()
    ))
}

/// The file, open to be appended to.
#[derive(Debug)]
pub(crate) struct LetterFile {
    path: PathBuf,
    known: DeadLetters,
    file: Option<File>,
    is_dirty: bool,
    /// Numbers of pages that nobody has asked for since they changed.
    pub(crate) changed_pages: BTreeSet<u64>,
}

impl LetterFile {
    /// Reads what is there and cuts a torn line away. When most of it says nothing any more, it is written anew.
    pub fn open(state: &Path) -> Result<LetterFile, CrawlError> {
        let path = state.join(LETTERS_FILE);
        let known = DeadLetters::read(state)?;
        let changed_pages = known.letters.keys().map(|id| id / PAGE_LETTERS).collect();
        let mut letters = LetterFile { path, known, file: None, is_dirty: false, changed_pages };
        if letters.path.exists() {
            letters.tidy()?;
        }
        Ok(letters)
    }

    /// Those that are there.
    pub fn known(&self) -> &DeadLetters {
        &self.known
    }

    fn tidy(&mut self) -> Result<(), CrawlError> {
        let at = |action: &'static str| move |(path, error): (&Path, io::Error)| told(path, action, &error);
        let file = OpenOptions::new().write(true).open(&self.path);
        let file = file.map_err(|error| at("open")((&self.path, error)))?;
        let length = file.metadata().map_err(|error| at("read")((&self.path, error)))?.len();
        if length > self.known.whole_bytes {
            crash::point("dead letters: truncate");
            file.set_len(self.known.whole_bytes).map_err(|error| at("write")((&self.path, error)))?;
        }
        if self.known.idle_bytes <= 1 << 20 || self.known.idle_bytes < length / 2 {
            return Ok(());
        }
        let mut bytes = Vec::new();
        if self.known.beyond > 0 {
            put_line(&mut bytes, &Line::Beyond(self.known.beyond));
        }
        for letter in self.known.letters.values() {
            put_line(&mut bytes, &Line::Kept(Box::new(letter.clone())));
        }
        let part = self.path.with_extension("jsonl.part");
        let write = || -> io::Result<()> {
            crash::point("dead letters: write anew");
            let mut file = File::create(&part)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            crash::point("dead letters: rename");
            std::fs::rename(&part, &self.path)?;
            sync_folder(&self.path)
        };
        write().map_err(|error| told(&part, "write", &error))?;
        self.known.whole_bytes = bytes.len() as u64;
        self.known.idle_bytes = 0;
        Ok(())
    }

    /// Appends what is not there yet.
    pub fn append(&mut self, ops: &[LetterOp], document: &Document) -> Result<(), CrawlError> {
        let mut bytes = Vec::new();
        for op in ops {
            if self.known.knows(op) {
                continue;
            }
            let line = match op {
                LetterOp::Kept(letter) => {
                    self.changed_pages.insert(letter.id / PAGE_LETTERS);
                    Line::Kept(Box::new(named(letter, document)))
                }
                LetterOp::Gone(id) => {
                    self.changed_pages.insert(id / PAGE_LETTERS);
                    Line::Gone(*id)
                }
                LetterOp::Beyond(count) => Line::Beyond(*count),
            };
            let before = bytes.len();
            put_line(&mut bytes, &line);
            self.known.apply(line, (bytes.len() - before) as u64);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.write(&bytes).map_err(|error| told(&self.path, "write", &error))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                crash::point("dead letters: create");
                self.file.insert(OpenOptions::new().append(true).create(true).open(&self.path)?)
            }
        };
        crash::point("dead letters: write");
        file.write_all(bytes)?;
        self.is_dirty = true;
        Ok(())
    }

    /// Makes what was appended durable: before a snapshot takes the journal's word away, and at the end.
    pub fn sync(&mut self) -> Result<(), CrawlError> {
        let Some(file) = self.file.as_mut().filter(|_| self.is_dirty) else { return Ok(()) };
        crash::point("dead letters: sync");
        file.sync_all().and_then(|()| sync_folder(&self.path)).map_err(|error| told(&self.path, "write", &error))?;
        self.is_dirty = false;
        Ok(())
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A letter with the names that the state knows.
fn named(letter: &Letter, document: &Document) -> KeptLetter {
    let job = document.jobs.iter().find(|job| job.id == letter.job.0);
    let mut kept = KeptLetter {
        letter: letter.clone(),
        spider: job.map(|job| job.spider.clone()).unwrap_or_default(),
        sink: None,
        item_type: None,
        fields: Vec::new(),
        key: None,
    };
    if let Content::Item { sink, .. } = &letter.content {
        let place = job.map(|job| document.place(job, sink.0).map(str::to_owned));
        let name = || document.sinks.get(usize::from(sink.0)).map(|sink| sink.name.clone());
        kept.sink = place.flatten().or_else(name);
    }
    if let Content::Item { item, .. } | Content::Uncomputed { item, .. } = &letter.content
        && let Some(schema) = job.and_then(|job| job.schemas.get(usize::from(item.schema)))
    {
        kept.item_type = Some(schema.name.clone());
        kept.fields = schema.fields.iter().map(|field| field.name.clone()).collect();
        kept.key = read::name_of(schema, item);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{Item, ItemId, JobId, SinkId, UnixMs, Value};

    fn letter(id: u64) -> LetterOp {
        let values = vec![Value::Str("é\n".into()), Value::Float(0.1), Value::Geo { lat: 1.5, lon: -2.0 }];
        let item =
            Item { job: JobId(1), schema: 0, id: ItemId(u128::from(id) << 90), hash: u64::MAX, version: 7, values };
        let content = Content::Item { sink: SinkId(0), item };
        let reason = "too long, \"really\"".to_owned();
        LetterOp::Kept(Box::new(Letter { id, job: JobId(1), at_ms: UnixMs(5), reason, content }))
    }

    fn ids(folder: &Path) -> Vec<u64> {
        DeadLetters::read(folder).expect("readable").letters.into_keys().collect()
    }

    #[test]
    fn what_is_told_twice_is_there_once_and_what_is_gone_stays_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let document = Document::default();
        let mut file = LetterFile::open(folder.path()).expect("opened");
        assert!(!folder.path().join(LETTERS_FILE).exists(), "no letters, no file");
        file.append(&[letter(1), letter(2), LetterOp::Gone(1)], &document).expect("written");
        file.append(&[letter(1), letter(3), LetterOp::Beyond(4)], &document).expect("written");
        let mut again = LetterFile::open(folder.path()).expect("opened");
        again
            .append(&[letter(1), letter(2), LetterOp::Gone(1), letter(3), LetterOp::Beyond(4)], &document)
            .expect("written");
        assert_eq!(ids(folder.path()), [2, 3]);
        let found = DeadLetters::read(folder.path()).expect("readable");
        assert_eq!(found.beyond, 4);
        let LetterOp::Kept(meant) = letter(2) else { unreachable!() };
        assert_eq!(found.letters[&2].letter, *meant, "every value as it was");
    }

    #[test]
    fn a_torn_line_is_cut_away_and_a_damaged_one_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(LETTERS_FILE);
        let document = Document::default();
        LetterFile::open(folder.path())
            .and_then(|mut file| file.append(&[letter(1), letter(2)], &document))
            .expect("written");
        let whole = std::fs::read(&path).expect("there");
        for cut in 1..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            let mut file = LetterFile::open(folder.path()).expect("opened");
            assert!(file.known().damaged.is_empty(), "cut at {cut}");
            file.append(&[letter(1), letter(2)], &document).expect("written");
            assert_eq!(ids(folder.path()), [1, 2], "cut at {cut}");
        }
        let mut damaged = whole.clone();
        damaged[40] ^= 1;
        std::fs::write(&path, &damaged).expect("written");
        let found = DeadLetters::read(folder.path()).expect("readable");
        assert_eq!(found.letters.keys().copied().collect::<Vec<_>>(), [2]);
        assert!(found.damaged[0].contains("dead-letters.jsonl:1: "), "{:?}", found.damaged);
    }

    #[test]
    fn a_file_that_mostly_says_nothing_is_written_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let document = Document::default();
        let mut file = LetterFile::open(folder.path()).expect("opened");
        for id in 1..6_000 {
            file.append(&[letter(id), LetterOp::Gone(id)], &document).expect("written");
        }
        file.append(&[letter(6_000)], &document).expect("written");
        let before = std::fs::metadata(folder.path().join(LETTERS_FILE)).expect("there").len();
        LetterFile::open(folder.path()).expect("opened");
        let after = std::fs::metadata(folder.path().join(LETTERS_FILE)).expect("there").len();
        assert!(before > 1 << 20 && after < 2_000, "{before} bytes, then {after}");
        assert_eq!(ids(folder.path()), [6_000]);
    }
}
