//! How a stage is put together: its state, whose it is, the jobs that go on, the engine where the journal ends.

use super::desk::{OpenJob, prepare_job};
use super::{Pace, StageOptions};
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::io::EngineConfig;
use crate::opening::recover;
use crate::state::{Document, StageDocument, State};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_frontier::{FrontierConfig, Slice};
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
        document.stage = Some(StageDocument { stack: stack.to_owned(), index, of, jobs: Vec::new() });
        return Ok(());
    };
    if stage.stack != stack {
        return refuse(format!(
            "this state belongs to the deployment {:?}, not to {stack:?}; name its own --state, or set WEIR_STACK={}",
            stage.stack, stage.stack
        ));
    }
    if (stage.index, stage.of) != (slice.index, slice.of) {
        return refuse(format!(
            "this state is that of stage {} of {}, not of stage {} of {}: who owns which domain is decided by these numbers. Start it as it \
             was (WEIR_STAGE={} WEIR_STAGES={}), or move its domains first (docs/deploy.md, Scale)",
            stage.index, stage.of, slice.index, slice.of, stage.index, stage.of
        ));
    }
    Ok(())
}

/// The engine with the jobs that go on.
pub(super) fn open_engine(
    options: &StageOptions,
    state: &mut State,
    now: Tick,
) -> Result<(Engine, BTreeMap<JobId, OpenJob>), CrawlError> {
    let lanes = state.store.allocate_lanes(options.workers + 1);
    let boot = state.document.boot;
    let frontier = Arc::new(frontier_config(options));
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
        let mut open = prepared.into_job(entry.opened_at);
        open.sink_ids = entry.sinks.clone();
        engine.open_job(open.run(now));
        jobs.insert(job, open);
    }
    recover(&mut engine, &mut state.recovery)?;
    engine.finish_replay(now);
    state.letters.append(&engine.take_letters(), &state.document)?;
    Ok((engine, jobs))
}

fn frontier_config(options: &StageOptions) -> FrontierConfig {
    let us = |duration: std::time::Duration| duration.as_micros() as u64;
    let Pace { margin, slot, lookahead, timeout, grace, .. } = options.pace;
    FrontierConfig {
        laws: Arc::clone(&options.laws),
        margin_us: us(margin),
        slot_us: us(slot),
        lookahead_us: us(lookahead),
        request_timeout_us: us(timeout),
        lease_grace_us: us(grace),
        log: options.settings.log_level >= crate::settings::LogLevel::Debug,
        slice: options.slice,
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
