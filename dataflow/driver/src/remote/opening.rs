//! How a stage is put together: its state, whose it is, the jobs that go on, the engine where the journal ends.

use super::desk::{OpenJob, load_spider, prepare_job};
use super::moving::waits_for;
use super::{Pace, StageOptions};
use crate::document::{Document, StageDocument, StageJob};
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::io::EngineConfig;
use crate::opening::recover;
use crate::report::Output;
use crate::state::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_connector::identity;
use weir_frontier::{FrontierConfig, LawBook, Slice};
use weir_geo::GeoConfig;
use weir_model::json::JobHeader;
use weir_model::{JobId, SinkId, Tick};
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

/// A job of the state that cannot go on, and why.
pub(super) struct Broken {
    pub header: JobHeader,
    pub why: String,
}

type Opened = (Engine, BTreeMap<JobId, OpenJob>, Vec<Broken>);

/// The engine with the jobs that go on, and those that cannot.
pub(super) fn open_engine(
    options: &StageOptions,
    state: &mut State,
    laws: &Arc<dyn LawBook>,
    now: Tick,
) -> Result<Opened, CrawlError> {
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
    let (mut jobs, mut broken, mut lacking) = (BTreeMap::new(), Vec::new(), Vec::new());
    let known = state.document.stage.as_ref().map(|stage| stage.jobs.clone()).unwrap_or_default();
    for entry in known.into_iter().filter(|entry| entry.outcome.is_none()) {
        let Some(header) = entry.header.clone() else { continue };
        let job = header.job;
        let spider = load_spider(&header, &entry.spider)
            .map_err(|why| format!("it cannot go on with the spider file in its state: {why}"));
        if let Ok(spider) = &spider {
            // The operator's to allow, not the job's: another start may.
            crate::compute::check(&options.compute, spider)
                .map_err(|why| CrawlError::Usage(format!("job {} cannot go on: {why}", job.0)))?;
        }
        let mut prepared = match spider.and_then(|spider| prepare_job(options, header.clone(), spider)) {
            Ok(prepared) => prepared,
            Err(why) => {
                broken.push(Broken { header, why });
                continue;
            }
        };
        let made = std::mem::take(&mut prepared.sinks);
        let sinks = match sinks_of(&mut state.document, &entry, made)? {
            Ok(sinks) => sinks,
            Err(names) => {
                lacking.push((job, names));
                continue;
            }
        };
        let open = prepared.into_job(entry.opened_at, sinks);
        note_sinks(&mut state.document, &open);
        engine.open_job(open.run(now));
        jobs.insert(job, open);
    }
    refuse_lacking(&lacking)?;
    recover(&mut engine, &mut state.recovery)?;
    engine.finish_replay(now);
    state.letters.append(&engine.take_letters(), &state.document)?;
    Ok((engine, jobs, broken))
}

/// The sinks that a job began with, by their numbers, of those that are made now; or the names of those that are not among them.
type Found = Result<Vec<(SinkId, Output)>, Vec<String>>;

fn sinks_of(document: &mut Document, entry: &StageJob, made: Vec<Output>) -> Result<Found, CrawlError> {
    if entry.sinks.is_empty() {
        // It was imported, or had none: its sinks are those of this stage.
        let names: Vec<String> = made.iter().map(Output::name).collect();
        return Ok(Ok(document.sinks_of(&names)?.into_iter().zip(made).collect()));
    }
    let (mut found, mut lacking, mut left) = (Vec::new(), Vec::new(), made);
    for id in &entry.sinks {
        let name = document.sinks.get(usize::from(*id)).map(|sink| sink.name.clone()).unwrap_or_default();
        match left.iter().position(|output| identity(&output.name()) == identity(&name)) {
            Some(at) => found.push((SinkId(*id), left.remove(at))),
            None => lacking.push(name),
        }
    }
    if lacking.is_empty() {
        for output in left {
            tracing::info!(
                job = entry.id.0,
                sink = output.name(),
                "this sink is new: jobs that run go on with those that they began with, the next ones get it"
            );
        }
        return Ok(Ok(found));
    }
    Ok(Err(lacking))
}

/// A job's items would lie in two places, and nowhere whole.
fn refuse_lacking(lacking: &[(JobId, Vec<String>)]) -> Result<(), CrawlError> {
    if lacking.is_empty() {
        return Ok(());
    }
    let told = lacking.iter().map(|(job, names)| format!("job {} writes to {}", job.0, names.join(" and ")));
    let told: Vec<String> = told.collect();
    Err(CrawlError::Usage(format!(
        "{}, which this stage is not given any more: it would hold a part of the job's items. Give it as before until the job has ended, \
         beside others that are new (-o, WEIR_SINKS, infra/deploy --stage Sinks=...); weir cancel ends a job",
        told.join("; ")
    )))
}

/// The numbers of a job's sinks, in both lists of jobs.
fn note_sinks(document: &mut Document, open: &OpenJob) {
    let job = open.header.job;
    let listed = open.listed();
    for entry in document.jobs.iter_mut().filter(|entry| entry.id == job.0) {
        (entry.sinks, entry.best_effort) = (listed.sinks.clone(), listed.best_effort.clone());
        entry.places.clone_from(&listed.places);
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
