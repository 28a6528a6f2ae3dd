//! Items that were delivered without a location, looked up later: a job without start URLs, fed from a sink that holds them.
//!
//! Decides which rows enter: those of the job whose address is there and whose location is not, as far as the state knows their content.
//! Knows no provider and writes nothing itself: what enters passes the geocoder and the sinks like an item of a page. Invariants:
//! - a filled item has the version of its page and a microsecond: so every sink's rule "the newest version wins" lets it in, and lets in
//!   whatever was fetched later;
//! - its content hash is the one that a crawl with the same location gives: so that crawl changes nothing;
//! - rows are read when nothing of the job waits any more: what an interrupted run left is finished first, and not entered twice;
//! - rows lie in a file in between, so a sink is read at once however slow the providers are, and memory holds no row.

use crate::document::{Document, JobEntry};
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::stored::{self, Values};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use weir_connector::{Read, Sink, StoredItem};
use weir_model::{ExtractionNote, Item, ItemSchema, JobId, Value, wire};
use weir_spider::{Geocode, Spider};

/// Rows that enter at once.
const LOT: usize = 256;
/// Rows under way: at one call a second they are answered long before an item gives up waiting.
const UNDER_WAY_MAX: u64 = 1_000;
/// The file's name in the state directory.
const SPOOL: &str = "backfill.rows";

/// Whose locations are looked up.
pub struct Backfill {
    /// The job whose items they are.
    pub job: u64,
    /// The sink that its items are read from.
    pub source: Box<dyn Sink>,
    /// Rows that may enter, at most.
    pub limit: Option<u64>,
}

/// The rows of a backfill, on the driver's side.
pub(crate) struct Rows {
    backfill: Backfill,
    /// The job that fills.
    job: JobId,
    entry: JobEntry,
    document: Document,
    /// By item type as the entry numbers them: the type now, and what may be filled.
    types: Vec<Option<(u16, Vec<Geocode>)>>,
    path: PathBuf,
    spool: Option<BufReader<File>>,
    under_way_max: u64,
}

/// Why a row that lacks a location does not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Passed {
    /// Marked as gone.
    Gone,
    /// Not what the state knows as newest.
    OtherVersion,
    /// Its values are not those that were written, or not all of them.
    Altered,
    /// Beyond the limit.
    Beyond,
}

impl Passed {
    fn counter(self) -> &'static str {
        match self {
            Passed::Gone => "backfill/gone",
            Passed::OtherVersion => "backfill/other_version",
            Passed::Altered => "backfill/altered",
            Passed::Beyond => "backfill/beyond_limit",
        }
    }
}

/// What the state knows of an item.
#[derive(Clone, Copy)]
struct Wanted {
    version: u64,
    hash: u64,
    gone: bool,
    seen: bool,
}

impl Rows {
    /// Compares the spider with the job whose items are to be filled.
    pub fn new(
        backfill: Backfill,
        job: JobId,
        (document, state): (&Document, &Path),
        spider: &Spider,
        waiters_max: usize,
    ) -> Result<Rows, CrawlError> {
        let entry = stored::job_of(document, backfill.job, state)?;
        stored::check_sink(document, &entry, &*backfill.source)?;
        if spider.geocodes().is_empty() {
            return Err(CrawlError::Usage(format!(
                "the spider {:?} has no geocode field: nothing to fill",
                spider.name()
            )));
        }
        let mut types = Vec::with_capacity(entry.schemas.len());
        for before in &entry.schemas {
            let now = spider.schemas().iter().position(|schema| schema.name == before.name);
            let Some(now) = now else {
                types.push(None);
                continue;
            };
            let fields = |schema: &ItemSchema| schema.fields.clone();
            if fields(&spider.schemas()[now]) != fields(before) {
                return Err(CrawlError::Usage(format!(
                    "job {}: its items of type {:?} had other fields than the spider {:?} gives them now; give the file as it was with --spider, \
                     or crawl anew",
                    entry.id,
                    before.name,
                    spider.name()
                )));
            }
            let geocodes = spider.geocodes().iter().filter(|geocode| geocode.item == now).cloned().collect();
            types.push(u16::try_from(now).ok().map(|now| (now, geocodes)));
        }
        let under_way_max = UNDER_WAY_MAX.min(waiters_max as u64 / 2);
        let path = state.join(SPOOL);
        Ok(Rows { backfill, job, entry, document: document.clone(), types, path, spool: None, under_way_max })
    }

    /// Rows were read.
    pub fn is_read(&self) -> bool {
        self.spool.is_some()
    }

    /// Whether more may enter beside so many that are under way.
    pub fn has_room(&self, under_way: u64) -> bool {
        under_way < self.under_way_max
    }

    /// Reads the sink back; what is to enter lies in the file afterwards. Gives what is to be counted.
    pub fn read(&mut self, engine: &Engine) -> Result<Vec<(JobId, ExtractionNote)>, CrawlError> {
        let mut wanted = HashMap::new();
        let sinks = self.entry.sinks.iter().fold(0u32, |mask, at| mask | 1 << at);
        stored::each_of_job(engine, &self.document, &self.entry, &mut |known| {
            let (version, hash) = (known.version, known.hash);
            wanted.insert(known.id.0, Wanted { version, hash, gone: known.delisted & sinks != 0, seen: false });
        });
        let file = File::create(&self.path).map_err(|error| self.broken("create", &error))?;
        let mut out = BufWriter::new(file);
        let info = stored::info_of(&self.document, &self.entry);
        let mut counts: std::collections::BTreeMap<&'static str, u32> = std::collections::BTreeMap::new();
        let (mut left, mut bytes, mut failed) = (self.backfill.limit.unwrap_or(u64::MAX), Vec::new(), None);
        let (job, types) = (self.job, &self.types);
        let mut take = |row: StoredItem| {
            let Some(schema) = info.schemas.get(usize::from(row.schema)) else { return };
            let Some(Some((now, geocodes))) = types.get(usize::from(row.schema)) else { return };
            let Values { values, .. } = stored::values_of(schema, &row);
            let Some(id) = row.id.or_else(|| weir_spider::identity::id_of(schema, &values)) else { return };
            let Some(known) = wanted.get_mut(&id.0) else { return };
            if std::mem::replace(&mut known.seen, true) {
                return;
            }
            *counts.entry("backfill/rows").or_default() += 1;
            let lacks = |geocode: &Geocode| {
                row.values.get(geocode.field) == Some(&Read::Value(Value::Null))
                    && has_text(values.get(geocode.address))
            };
            if !geocodes.iter().any(lacks) {
                return;
            }
            *counts.entry("backfill/lacking").or_default() += 1;
            if let Some(passed) = passes(known, schema, &row, &values).or((left == 0).then_some(Passed::Beyond)) {
                *counts.entry(passed.counter()).or_default() += 1;
                return;
            }
            left -= 1;
            let version = known.version.max(row.version.unwrap_or_default()) + 1;
            bytes.clear();
            wire::put_item(&mut bytes, &Item { job, schema: *now, id, hash: known.hash, version, values });
            let length = (bytes.len() as u64).to_le_bytes();
            if let Err(error) = out.write_all(&length).and_then(|()| out.write_all(&bytes)) {
                failed.get_or_insert(error);
            }
        };
        let name = self.backfill.source.describe().url;
        stored::read_back(&mut *self.backfill.source, &info, &mut take)?
            .map_err(|error| CrawlError::Sink { name, error: error.to_string() })?;
        if let Some(error) = failed.or_else(|| out.flush().err()) {
            return Err(self.broken("write", &error));
        }
        let file = File::open(&self.path).map_err(|error| self.broken("open", &error))?;
        self.spool = Some(BufReader::new(file));
        let note =
            |(counter, count): (&str, u32)| ExtractionNote { counter: counter.into(), count, example: "".into() };
        Ok(counts.into_iter().map(|count| (job, note(count))).collect())
    }

    /// The next items; none: all have entered.
    pub fn next_lot(&mut self) -> Result<Vec<Item>, CrawlError> {
        let mut lot = Vec::new();
        while lot.len() < LOT {
            match self.next_item().map_err(|error| self.broken("read", &error))? {
                Some(item) => lot.push(item),
                None => break,
            }
        }
        Ok(lot)
    }

    fn next_item(&mut self) -> std::io::Result<Option<Item>> {
        let Some(spool) = &mut self.spool else { return Ok(None) };
        let mut length = [0; 8];
        match spool.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let mut bytes = vec![0; usize::try_from(u64::from_le_bytes(length)).map_err(std::io::Error::other)?];
        spool.read_exact(&mut bytes)?;
        wire::read_item(&mut wire::Reader::new(&bytes))
            .map(Some)
            .map_err(|error| std::io::Error::other(error.to_string()))
    }

    fn broken(&self, action: &str, error: &std::io::Error) -> CrawlError {
        CrawlError::State(format!(
            "cannot {action} {}: {error}; free space or correct the folder, then give the same command again",
            self.path.display()
        ))
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // The next backfill makes its own.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Why a row stays as it is; `None`: it may be filled.
fn passes(known: &Wanted, schema: &ItemSchema, row: &StoredItem, values: &[Value]) -> Option<Passed> {
    if known.gone {
        return Some(Passed::Gone);
    }
    if row.hash.is_some_and(|hash| hash != known.hash) {
        return Some(Passed::OtherVersion);
    }
    // Of a row that is not whole nothing may be written to the other sinks.
    let whole = !row.values.contains(&Read::Foreign) && stored::hashes_of(schema, values).contains(&known.hash);
    (!whole).then_some(Passed::Altered)
}

fn has_text(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Str(text)) => !text.trim().is_empty(),
        Some(Value::List(values)) => values.iter().any(|value| has_text(Some(value))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{Field, FieldKind, ItemId, KeyScope};
    use weir_spider::identity;

    #[test]
    fn a_row_enters_only_as_the_state_knows_it() {
        let field = |name: &str, kind| Field { name: name.into(), kind, many: false, volatile: false };
        let schema = ItemSchema {
            spider: "s".into(),
            name: "home".into(),
            fields: vec![
                field("url", FieldKind::Str),
                field("price", FieldKind::Int),
                field("at", FieldKind::GeoPoint),
            ],
            key: vec!["url".into()],
            key_scope: KeyScope::Spider,
        };
        let values = [Value::Str("u".into()), Value::Int(3), Value::Null];
        let hash = identity::identity_of(&schema, &values).1;
        let row = |price: Read, hash| StoredItem {
            schema: 0,
            id: Some(ItemId(1)),
            version: Some(5),
            hash: Some(hash),
            values: vec![Read::Value(values[0].clone()), price, Read::Value(Value::Null)],
        };
        let passed = |known: &Wanted, row: &StoredItem| {
            let Values { values, .. } = stored::values_of(&schema, row);
            passes(known, &schema, row, &values)
        };
        let known = Wanted { version: 5, hash, gone: false, seen: false };
        let price = |price| Read::Value(Value::Int(price));
        assert_eq!(passed(&known, &row(price(3), hash)), None);
        // What does not tell is believed when the hash agrees.
        assert_eq!(passed(&known, &row(Read::Unsure(Value::Int(3)), hash)), None);
        assert_eq!(passed(&known, &row(price(4), hash)), Some(Passed::Altered));
        assert_eq!(passed(&known, &row(Read::Foreign, hash)), Some(Passed::Altered));
        assert_eq!(passed(&known, &row(price(3), hash ^ 1)), Some(Passed::OtherVersion));
        assert_eq!(passed(&Wanted { gone: true, ..known }, &row(price(3), hash)), Some(Passed::Gone));
    }
}
