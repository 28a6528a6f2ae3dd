//! A job's items out of a sink that holds them: each that the state knows to be the job's, once, in the sink's own order.
//!
//! Reads and counts; who writes them where is the caller's. Changes neither the state's records nor the sink. Invariant: holds of the items
//! no more than their identities, however many there are.

use crate::clock::SystemClock;
use crate::error::CrawlError;
use crate::state::State;
use crate::stored::{self, Values};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use weir_connector::{Sink, SinkKind, StoredItem};
use weir_model::{Item, JobId};
use weir_spider::identity;

/// What is exported.
pub struct ExportOptions {
    /// The state directory.
    pub state: PathBuf,
    /// The job's number.
    pub job: u64,
    /// The sink that is read: one of the job's.
    pub sink: Box<dyn Sink>,
    /// Items of this type alone, by its number; `None`: of all.
    pub item: Option<u16>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Items given.
    pub items: u64,
    /// Items of the job that the sink does not hold.
    pub lacking: u64,
    /// Fields whose values no crawl has written, so that they are empty: how often, and the first item.
    pub foreign: BTreeMap<String, (u64, String)>,
}

/// Gives each item of a job that the sink holds. Takes the state's lease: not while a crawl runs on it.
pub fn export(mut options: ExportOptions, each: &mut (dyn FnMut(Item) + Send)) -> Result<Exported, CrawlError> {
    let clock = SystemClock::start();
    let mut state = State::open(&options.state, &clock)?;
    let done = read(&mut options, &mut state, &clock, each);
    let closed = state.close();
    let done = done?;
    closed?;
    Ok(done)
}

fn read(
    options: &mut ExportOptions,
    state: &mut State,
    clock: &SystemClock,
    each: &mut (dyn FnMut(Item) + Send),
) -> Result<Exported, CrawlError> {
    let entry = stored::job_of(&state.document, options.job, &options.state)?;
    let name = stored::check_sink(&state.document, &entry, &*options.sink)?;
    if options.sink.describe().kind != SinkKind::Keyed {
        return Err(CrawlError::Usage(format!(
            "{name}: a feed is an export already, expected a sink that keeps a row an item; copy the file"
        )));
    }
    // The state's own memory goes before the rows come.
    let mut wanted: HashMap<u128, (u64, bool)> = HashMap::new();
    let mut engine = stored::engine_of(state, clock)?;
    state.letters.append(&engine.take_letters(), &state.document)?;
    stored::each_of_job(&engine, &state.document, &entry, &mut |known| {
        if options.item.is_none_or(|item| item == known.schema) {
            wanted.insert(known.id.0, (known.hash, false));
        }
    });
    drop(engine);
    let info = stored::info_of(&state.document, &entry);
    let mut found = Exported::default();
    let mut take = |row: StoredItem| {
        let Some(schema) = info.schemas.get(usize::from(row.schema)) else { return };
        let Values { values, .. } = stored::values_of(schema, &row);
        let Some(id) = row.id.or_else(|| identity::id_of(schema, &values)) else { return };
        // A row may come twice while others are written.
        let Some((hash, seen)) = wanted.get_mut(&id.0) else { return };
        if std::mem::replace(seen, true) {
            return;
        }
        for (field, _) in
            schema.fields.iter().zip(&row.values).filter(|(_, read)| **read == weir_connector::Read::Foreign)
        {
            let named = found.foreign.entry(field.name.clone()).or_default();
            if named.0 == 0 {
                named.1 = row.name(schema).unwrap_or_else(|| id.to_hex());
            }
            named.0 += 1;
        }
        found.items += 1;
        let (version, hash) = (row.version.unwrap_or_default(), row.hash.unwrap_or(*hash));
        each(Item { job: JobId(entry.id), schema: row.schema, id, hash, version, values });
    };
    stored::read_back(&mut *options.sink, &info, &mut take)?
        .map_err(|error| CrawlError::Sink { name, error: error.to_string() })?;
    found.lacking = wanted.values().filter(|(_, seen)| !seen).count() as u64;
    Ok(found)
}
