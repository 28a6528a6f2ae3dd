//! How a stage is put together: its state, whose it is, the jobs that go on, the engine where the journal ends.

use super::desk::{OpenJob, prepare_job};
use super::moving::waits_for;
use super::{Pace, StageOptions};
use crate::document::{Document, StageDocument};
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::io::EngineConfig;
use crate::opening::recover;
use crate::state::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_frontier::{FrontierConfig, LawBook, Slice};
use weir_geo::GeoConfig;
use weir_model::{JobId, Tick};
use weir_stage::{Geocoding, Stage, StageConfig};

/// Releases in a fetch message: as many as a function makes at once, and reports of small pages that fill one billed unit.
const MESSAGE_RELEASES: usize = 200;

/// Checks that the state is this stage's, and makes it so when it is new.
pub(super) fn claim(document: &mut Document, stack: &str, slice: Slice) -> Result<(), CrawlError> {
    let refuse = |what: String| Err(CrawlError::Usage(what));
    let Some(stage) = &document.stage else {
        if !document.jobs.is_empty() {
            return refuse(
                "this state belongs to weir crawl; a stage needs one of its own: name another --state".into(),
            );
        }
        let (index, of) = (slice.index, slice.of);
        document.stage = Some(StageDocument { stack: stack.to_owned(), index, of, ..StageDocument::default() });
        return Ok(());
    };
    if stage.stack != stack {
        return refuse(format!(
            "this state belongs to the deployment {:?}, not to {stack:?}; name its own --state, or set WEIR_STACK={}",
            stage.stack, stage.stack
        ));
    }
    if stage.index >= stage.of {
        return refuse(format!(
            "this state was stage {}, and has exported all it had: there are {} stages now. When their imports are done it may go",
            stage.index, stage.of
        ));
    }
    if (stage.index, stage.of) != (slice.index, slice.of) {
        return refuse(format!(
            "this state is that of stage {} of {}, not of stage {} of {}: who owns which domain is decided by these numbers. Start it as it \
             was (WEIR_STAGE={} WEIR_STAGES={}), or move its domains first (docs/deploy.md, Scale)",
            stage.index, stage.of, slice.index, slice.of, stage.index, stage.of
        ));
    }
    if !stage.awaits.is_empty() {
        return refuse(format!(
            "stage {} of {} takes over what others had{} (weir stage import)",
            stage.index,
            stage.of,
            waits_for(stage)
        ));
    }
    Ok(())
}

/// The engine with the jobs that go on.
pub(super) fn open_engine(
    options: &StageOptions,
    state: &mut State,
    laws: &Arc<dyn LawBook>,
    now: Tick,
) -> Result<(Engine, BTreeMap<JobId, OpenJob>), CrawlError> {
    let lanes = state.store.allocate_lanes(options.workers + 1);
    let boot = state.document.boot;
    let log = options.settings.log_level >= crate::settings::LogLevel::Debug;
    let frontier = Arc::new(frontier_config(&options.pace, laws, options.slice, log));
    let geocoding = options.geocoding.as_ref().map(|options| {
        let config = GeoConfig {
            margin_us: 0,
            hash_seed: crate::fetchers::hash_seed(),
            ..GeoConfig::clone(&options.geocoding.config)
        };
        Arc::new(Geocoding { config: Arc::new(config), ..options.geocoding.clone() })
    });
    let stage = Stage::new(&StageConfig { frontier, boot, lanes: lanes[..options.workers].to_vec(), geocoding });
    let mut config = EngineConfig::new(lanes[options.workers], boot);
    config.stage = options.slice.index;
    config.concurrency = options.settings.concurrency;
    config.message_releases_max = MESSAGE_RELEASES;
    config.message_lead_us = options.pace.lead.as_micros() as u64;
    config.group_us = options.settings.journal_group_time.as_micros() as u64;
    config.outbox_bytes_max = options.settings.outbox_bytes_max as usize;
    config.computing_max = options.settings.compute_waiting_max;
    config.sink_names = state.document.sinks.iter().map(|sink| sink.name.clone()).collect();
    config.letter_bytes_max = options.settings.dead_letters_bytes_max;
    let mut engine = Engine::new(stage, config);
    let mut jobs = BTreeMap::new();
    let known = state.document.stage.as_ref().map(|stage| stage.jobs.clone()).unwrap_or_default();
    for entry in known.into_iter().filter(|entry| entry.outcome.is_none()) {
        let Some(header) = entry.header else { continue };
        let job = header.job;
        let prepared = prepare_job(options, header, &entry.spider).map_err(|why| {
            CrawlError::State(format!("job {} cannot go on with the spider file in its state: {why}", job.0))
        })?;
        let names = prepared.sink_names();
        let mut open = prepared.into_job(entry.opened_at);
        open.sink_ids = match entry.sinks.is_empty() {
            // It was imported: its sinks are those of this stage.
            true => state.document.sinks_of(&names)?.iter().map(|id| id.0).collect(),
            false => entry.sinks.clone(),
        };
        note_sinks(&mut state.document, &open);
        engine.open_job(open.run(now));
        jobs.insert(job, open);
    }
    recover(&mut engine, &mut state.recovery)?;
    engine.finish_replay(now);
    state.letters.append(&engine.take_letters(), &state.document)?;
    Ok((engine, jobs))
}

/// The numbers of a job's sinks, in both lists of jobs.
fn note_sinks(document: &mut Document, open: &OpenJob) {
    let job = open.header.job;
    let listed = open.listed();
    for entry in document.jobs.iter_mut().filter(|entry| entry.id == job.0) {
        (entry.sinks, entry.best_effort) = (listed.sinks.clone(), listed.best_effort.clone());
    }
    let stages = document.stage.iter_mut().flat_map(|stage| &mut stage.jobs);
    for entry in stages.filter(|entry| entry.id == job) {
        entry.sinks.clone_from(&open.sink_ids);
    }
}

pub(super) fn frontier_config(pace: &Pace, laws: &Arc<dyn LawBook>, slice: Slice, log: bool) -> FrontierConfig {
    let us = |duration: std::time::Duration| duration.as_micros() as u64;
    let Pace { margin, slot, lookahead, timeout, grace, .. } = *pace;
    FrontierConfig {
        laws: Arc::clone(laws),
        margin_us: us(margin),
        slot_us: us(slot),
        lookahead_us: us(lookahead),
        request_timeout_us: us(timeout),
        lease_grace_us: us(grace),
        log,
        slice,
        ..FrontierConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_belongs_to_one_stage_of_one_deployment() {
        let slice = |index, of| Slice { index, of };
        let mut document = Document::default();
        claim(&mut document, "weir", slice(0, 1)).expect("new");
        claim(&mut document, "weir", slice(0, 1)).expect("the same");
        for (stack, slice, told) in [
            ("other", slice(0, 1), "WEIR_STACK=weir"),
            ("weir", slice(0, 2), "stage 0 of 1, not of stage 0 of 2"),
            ("weir", slice(1, 2), "WEIR_STAGE=0 WEIR_STAGES=1"),
        ] {
            let error = claim(&mut document, stack, slice).expect_err("refused").to_string();
            assert!(error.contains(told), "{told:?} in {error}");
        }
    }
}
