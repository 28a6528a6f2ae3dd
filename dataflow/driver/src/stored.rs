//! What a sink holds of a job, as the state knows it: which items are the job's, and what a row's values say of themselves.
//!
//! Shared by what looks at sinks afterwards: `audit`, `export`, `backfill`. Only looks. Invariant: an item is its last job's, and what a
//! backfill of a job has filled stays that job's.

use crate::document::{Document, JobEntry};
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::io::EngineConfig;
use crate::opening::recover;
use crate::state::State;
use std::path::Path;
use std::sync::Arc;
use weir_connector::{JobInfo, Read, Sink, StoredItem, identity};
use weir_frontier::FrontierConfig;
use weir_geo::{Location, hash_with_location};
use weir_model::{Clock, FieldKind, ItemSchema, JobId, Value};
use weir_spider::identity as content;
use weir_stage::{KnownItem, Stage, StageConfig};

/// Empty cells of an item without a key whose meaning is tried out.
const NOTHINGS_MAX: usize = 6;
/// Geocoded fields of an item whose order of filling is tried out.
const PLACES_MAX: usize = 3;

/// A job by its number; an unknown one is a mistake that names those that are there.
pub(crate) fn job_of(document: &Document, job: u64, state: &Path) -> Result<JobEntry, CrawlError> {
    if document.job(job).is_some_and(|entry| entry.unopened) {
        return Err(CrawlError::Usage(format!(
            "job {job} was never begun: one of its sinks was refused. Crawl again first; the same command goes on with this number"
        )));
    }
    document.job(job).cloned().ok_or_else(|| {
        let known: Vec<String> = document.begun().map(|job| format!("{} ({})", job.id, job.spider)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        CrawlError::Usage(format!("job {job}: {} has no such job, expected one of: {known}", state.display()))
    })
}

/// The state in memory, as a crawl has it, with no job open.
pub(crate) fn engine_of(state: &mut State, clock: &dyn Clock) -> Result<Engine, CrawlError> {
    let lanes = state.store.allocate_lanes(2);
    let boot = state.document.boot;
    let frontier = Arc::new(FrontierConfig::default());
    let stage = Stage::new(&StageConfig { frontier, boot, lanes: lanes[..1].to_vec(), geocoding: None });
    let mut engine = Engine::new(stage, EngineConfig::new(lanes[1], boot));
    recover(&mut engine, &mut state.recovery)?;
    engine.finish_replay(clock.now());
    Ok(engine)
}

/// A job as its sinks are asked about it.
pub(crate) fn info_of(document: &Document, entry: &JobEntry) -> JobInfo {
    JobInfo {
        state: document.state_id(),
        job: JobId(entry.id),
        spider: entry.spider.clone(),
        started: entry.started,
        schemas: entry.schemas.iter().cloned().map(Arc::new).collect(),
        resume: None,
    }
}

/// Items whose last job this is, and those of them that a backfill of it has filled since.
pub(crate) fn each_of_job(engine: &Engine, document: &Document, entry: &JobEntry, visit: &mut dyn FnMut(KnownItem)) {
    let backfills = document.jobs.iter().filter(|job| job.backfills == Some(entry.id)).map(|job| JobId(job.id));
    let jobs: Vec<JobId> = std::iter::once(JobId(entry.id)).chain(backfills).collect();
    engine.each_known(&mut |known| {
        if jobs.contains(&known.job) {
            visit(known);
        }
    });
}

/// The number of a job's sink by a name of its place.
pub(crate) fn number_of(document: &Document, entry: &JobEntry, name: &str) -> Option<u8> {
    let meant = identity(name);
    let is_it = |at: &u8| document.place(entry, *at).is_some_and(|place| identity(place) == meant);
    entry.sinks.iter().copied().find(is_it)
}

/// The name of a sink, which must be one of the job's.
pub(crate) fn check_sink(document: &Document, entry: &JobEntry, sink: &dyn Sink) -> Result<String, CrawlError> {
    let name = sink.describe().url;
    if number_of(document, entry, &name).is_some() {
        return Ok(name);
    }
    let names: Vec<&str> = entry.sinks.iter().filter_map(|at| document.place(entry, *at)).collect();
    Err(CrawlError::Usage(format!(
        "job {}: {name} is none of its sinks, expected one of {}",
        entry.id,
        names.join(", ")
    )))
}

/// Reads a sink back, whatever its connector needs for that.
pub(crate) fn read_back(
    sink: &mut dyn Sink,
    info: &JobInfo,
    each: &mut (dyn FnMut(StoredItem) + Send),
) -> Result<Result<(), weir_connector::SinkError>, CrawlError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CrawlError::System { what: "a sink's runtime", error })?;
    Ok(runtime.block_on(sink.read_back(info, each)).map_err(weir_connector::SinkError::not_tried_again))
}

/// The values of a row.
pub(crate) struct Values {
    pub values: Vec<Value>,
    /// Some that are no `now` may have been others.
    pub unsure: bool,
    /// Some that are no `now` were not written by a crawl.
    pub foreign: bool,
}

/// A row's values, the likeliest where it does not tell.
pub(crate) fn values_of(schema: &ItemSchema, stored: &StoredItem) -> Values {
    let mut out = Values { values: Vec::with_capacity(stored.values.len()), unsure: false, foreign: false };
    for (field, read) in schema.fields.iter().zip(&stored.values) {
        out.values.push(match read {
            Read::Value(value) => value.clone(),
            Read::Unsure(value) => {
                out.unsure |= !field.volatile;
                value.clone()
            }
            Read::Foreign => {
                out.foreign |= !field.volatile;
                Value::Null
            }
        });
    }
    out
}

/// What a row's values say of it.
pub(crate) struct StoredContent {
    /// The identities that it may have, the likeliest first; none when its key is not there, or when its values do not tell.
    pub ids: Vec<u128>,
    /// The content hashes that its values may have been written with; `None`: they do not tell.
    pub hashes: Option<Vec<u64>>,
}

pub(crate) fn content_of(schema: &ItemSchema, stored: &StoredItem) -> StoredContent {
    let Values { values, unsure, foreign } = values_of(schema, stored);
    let ids = ids_of(schema, stored, &values, unsure);
    let hashes = match (foreign, unsure) {
        (true, _) => Some(Vec::new()),
        (false, true) => None,
        (false, false) => Some(hashes_of(schema, &values)),
    };
    StoredContent { ids, hashes }
}

/// Without a key of its own an item's identity is its content, a location came after it, and nothing there may have been an empty text.
fn ids_of(schema: &ItemSchema, stored: &StoredItem, values: &[Value], unsure: bool) -> Vec<u128> {
    let id = |values: &[Value]| content::identity_of(schema, values).0.map(|id| id.0);
    if !schema.key.is_empty() || !unsure {
        return id(values).into_iter().collect();
    }
    let is_nothing = |value: &Value| value.is_null() || matches!(value, Value::Str(text) if text.is_empty());
    let mut open = Vec::new();
    for (at, field) in schema.fields.iter().enumerate().filter(|(_, field)| !field.volatile) {
        let Some(Read::Unsure(value)) = stored.values.get(at) else { continue };
        match field.kind {
            _ if field.many || !is_nothing(value) => return Vec::new(),
            FieldKind::Str | FieldKind::Date => open.push(at),
            FieldKind::Json => return Vec::new(),
            // Nothing there is no number, truth, instant or place.
            FieldKind::Int | FieldKind::Float | FieldKind::Bool | FieldKind::Datetime | FieldKind::GeoPoint => {}
        }
    }
    if open.len() > NOTHINGS_MAX {
        return Vec::new();
    }
    let choices = (0..1u32 << open.len()).map(|texts| {
        let mut values = values.to_vec();
        for (bit, at) in open.iter().enumerate() {
            values[*at] = if texts >> bit & 1 == 1 { Value::Str("".into()) } else { Value::Null };
        }
        id(&values)
    });
    choices.flatten().collect()
}

/// The content hashes that an item with these values may have: a location that the geocoder found was not in the hash that the page
/// gave, and of several any may have come first.
pub(crate) fn hashes_of(schema: &ItemSchema, values: &[Value]) -> Vec<u64> {
    let mut places = Vec::new();
    for (at, field) in schema.fields.iter().enumerate().filter(|(_, field)| field.kind == FieldKind::GeoPoint) {
        if let Value::Geo { lat, lon } = values[at]
            && !field.volatile
            && let Ok(location) = Location::new(lat, lon)
            && places.len() < PLACES_MAX
        {
            places.push((at, location));
        }
    }
    let mut hashes = Vec::new();
    in_every_order(schema, values, &places, &mut Vec::new(), &mut hashes);
    hashes
}

fn in_every_order(
    schema: &ItemSchema,
    values: &[Value],
    places: &[(usize, Location)],
    found: &mut Vec<(usize, Location)>,
    hashes: &mut Vec<u64>,
) {
    let mut before = values.to_vec();
    found.iter().for_each(|(at, _)| before[*at] = Value::Null);
    let page = content::identity_of(schema, &before).1;
    hashes.push(found.iter().fold(page, |hash, (at, location)| hash_with_location(hash, *at, Some(*location))));
    for place in places {
        if !found.contains(place) {
            found.push(*place);
            in_every_order(schema, values, places, found, hashes);
            found.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_without_a_key_is_found_whatever_its_empty_cells_were() {
        let field = |name: &str, kind| Field { name: name.into(), kind, many: false, volatile: false };
        let fields =
            vec![field("title", FieldKind::Str), field("note", FieldKind::Str), field("price", FieldKind::Float)];
        let schema =
            ItemSchema { spider: "s".into(), name: "t".into(), fields, key: Vec::new(), key_scope: KeyScope::Spider };
        let row = |values: Vec<Read>| StoredItem { schema: 0, id: None, version: None, hash: None, values };
        let nothing = || Read::Unsure(Value::Null);
        let title = Value::Str("a".into());
        let found = content_of(&schema, &row(vec![Read::Value(title.clone()), nothing(), nothing()])).ids;
        for note in [Value::Null, Value::Str("".into())] {
            let id = content::identity_of(&schema, &[title.clone(), note, Value::Null]).0.expect("of its content");
            assert!(found.contains(&id.0));
        }
        assert_eq!(found.len(), 2);
        // A text that may have been cut could have been any.
        let cut = Read::Unsure(Value::Str("a".into()));
        assert!(content_of(&schema, &row(vec![cut, nothing(), nothing()])).ids.is_empty());
    }
    use weir_model::{Field, KeyScope};

    #[test]
    fn two_locations_may_have_been_found_in_either_order() {
        let field = |name: &str, kind| Field { name: name.into(), kind, many: false, volatile: false };
        let schema = ItemSchema {
            spider: "s".into(),
            name: "trip".into(),
            fields: vec![
                field("url", FieldKind::Str),
                field("from", FieldKind::GeoPoint),
                field("to", FieldKind::GeoPoint),
            ],
            key: vec!["url".into()],
            key_scope: KeyScope::Spider,
        };
        let (here, there) = (Location::new(51.5, 0.5).unwrap(), Location::new(48.0, 2.0).unwrap());
        let page = content::identity_of(&schema, &[Value::Str("u".into()), Value::Null, Value::Null]).1;
        let hashes = hashes_of(&schema, &[Value::Str("u".into()), here.into(), there.into()]);
        let forth = hash_with_location(hash_with_location(page, 1, Some(here)), 2, Some(there));
        let back = hash_with_location(hash_with_location(page, 2, Some(there)), 1, Some(here));
        assert!(hashes.contains(&forth) && hashes.contains(&back) && !hashes.contains(&page), "{hashes:?}");
    }
}
