//! Changing the number of stages: what each had goes to files, and from these to the stages that own it from then on.
//!
//! Decides who gets what, and when a state may be used again. Works on states that no stage runs on, and asks no queue. What is exported is
//! not deleted: a state that has exported knows its new number of stages, and drops at its next start what is not its own any more.
//! Invariants:
//! - an export is committed by one write of the state's document, when all its files are durable; before it, it never happened;
//! - after it, no stage starts before it has imported what the others exported; each export is taken in once;
//! - an import that broke off goes on where it stopped: its parts are groups of the journal that know their number;
//! - laws move with the hits that still count, so nothing has to be waited for.

mod export;
mod file;
mod import;

pub use export::{Exported, export_slices};
pub use file::Seat;
pub(super) use import::waits_for;
pub use import::{Imported, import_slice};

use super::Pace;
use super::desk::job_settings;
use super::opening::frontier_config;
use crate::document::StageDocument;
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::io::EngineConfig;
use crate::jobs::JobRun;
use crate::law::{self, Law, LawOptions};
use crate::opening::{new_run, recover};
use crate::state::State;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_frontier::Slice;
use weir_geo::GeoConfig;
use weir_model::{Clock, Tick};
use weir_spider::Spider;
use weir_stage::{Geocoding, Stage, StageConfig};
use weir_store::StoreError;
use weir_store::lease::Lease;

/// How a state is opened for a move: as its stage would open it.
pub struct MoveOptions {
    /// The state directory.
    pub state: PathBuf,
    /// The deployment, when it is known: another one's state is refused.
    pub stack: Option<String>,
    /// The laws of the stage: which hits still count follows from them.
    pub laws: LawOptions,
    /// How functions and queues are reckoned with.
    pub pace: Pace,
}

fn refuse<T>(what: String) -> Result<T, CrawlError> {
    Err(CrawlError::Usage(what))
}

/// The stage that a state belongs to.
fn stage_of<'a>(state: &'a State, options: &MoveOptions) -> Result<&'a StageDocument, CrawlError> {
    let path = options.state.display();
    let Some(stage) = &state.document.stage else {
        return refuse(format!("{path} is no state of a stage: expected the folder that weir stage --state names"));
    };
    match &options.stack {
        Some(stack) if *stack != stage.stack => refuse(format!(
            "{path} belongs to the deployment {:?}, not to {stack:?}; name its own --state",
            stage.stack
        )),
        _ => Ok(stage),
    }
}

fn seat_of(stage: &StageDocument) -> Seat {
    Seat { index: stage.index, of: stage.of }
}

/// An engine without threads and sinks, recovered, and the lanes it may write.
fn open_engine(
    options: &MoveOptions,
    state: &mut State,
    seat: Seat,
    now: Tick,
) -> Result<(Engine, Vec<u16>), CrawlError> {
    let lanes = state.store.allocate_lanes(2);
    let boot = state.document.boot;
    let slice = Slice { index: seat.index, of: seat.of };
    let law = Law::open(&options.laws, state.store.get_document(law::DOCUMENT)?)?;
    let frontier = Arc::new(frontier_config(&options.pace, &law.book(), slice, false));
    let stage = Stage::new(&StageConfig { frontier, boot, lanes: vec![lanes[0]], geocoding: Some(rememberer()) });
    let mut config = EngineConfig::new(lanes[1], boot);
    config.stage = seat.index;
    let mut engine = Engine::new(stage, config);
    let known = state.document.stage.as_ref().map(|stage| stage.jobs.clone()).unwrap_or_default();
    for entry in known.into_iter().filter(|entry| entry.outcome.is_none()) {
        let Some(header) = entry.header else { continue };
        let wrong =
            |why: String| CrawlError::State(format!("job {} in {}: {why}", header.job.0, options.state.display()));
        let args: Vec<(String, String)> = header.args.clone().into_iter().collect();
        let spider = Spider::load(&header.hash.spider_key(), &entry.spider, &args).map(Arc::new);
        let spider = spider.map_err(|errors| wrong(errors.to_string()))?;
        let settings = job_settings(&spider, &header).map_err(wrong)?;
        engine.open_job(JobRun { header: Some(header.clone()), ..new_run(&settings, &spider, header.job, now) });
    }
    recover(&mut engine, &mut state.recovery)?;
    engine.finish_replay(now);
    state.letters.append(&engine.take_letters(), &state.document)?;
    Ok((engine, lanes))
}

/// A geocoder that asks nobody: what was learned moves, too, as much as a stage remembers.
fn rememberer() -> Arc<Geocoding> {
    let config = GeoConfig { memory_bytes_max: usize::MAX, ..GeoConfig::default() };
    Arc::new(Geocoding { config: Arc::new(config), gazetteer: Arc::default(), providers: Vec::new() })
}

/// Keeps the right to write while much is read or written.
fn keep(lease: &mut Lease, clock: &dyn Clock) -> Result<(), StoreError> {
    let now = clock.now();
    if lease.next_renewal() <= now { lease.renew(now) } else { Ok(()) }
}

/// Opens the state, does something with it, and gives it back whatever came of it.
fn with_state<T>(
    path: &Path,
    act: impl FnOnce(&mut State, &dyn Clock) -> Result<T, CrawlError>,
) -> Result<T, CrawlError> {
    let clock = crate::clock::SystemClock::start();
    let mut state = State::open(path, &clock)?;
    let done = act(&mut state, &clock);
    let closed = state.close();
    let done = done?;
    closed.map(|()| done)
}
