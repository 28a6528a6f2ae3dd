//! How a crawl is put together before its loop begins: engine recovered from the state, job, sinks, fetch parts.

use crate::document::{Chosen, Document};
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::fetchers::FetchParts;
use crate::io::EngineConfig;
use crate::jobs::{JobRun, StartSource, StopRule};
use crate::report::{CrawlOptions, Output};
use crate::settings::{Order, Settings};
use crate::state::State;
use std::sync::Arc;
use weir_connector::{ErrorClass, JobInfo, SinkKind, SinkMark, asks_for_more};
use weir_frontier::retry::RetryPolicy;
use weir_frontier::{Addr, ComputeStep, FrontierConfig, GeocodeField, JobSpec, LawBook};
use weir_geo::GeoConfig;
use weir_model::{Clock, JobId, LinkBatch, SinkId, Tick, UnixMs};
use weir_spider::{Computation, Geocode, Spider};
use weir_stage::{Geocoding, SinkMasks, Stage, StageConfig};
use weir_store::{Recovery, Replayed};
struct SpiderStart(Arc<Spider>);

impl StartSource for SpiderStart {
    fn fill(&self, from: u64, count: usize, out: &mut LinkBatch) {
        self.0.start_urls().fill(from..from + count as u64, out);
    }
}

pub(crate) fn fetch_parts(
    settings: &Settings,
    spider: &Arc<Spider>,
    clock: &Arc<dyn Clock>,
    chosen: &Chosen,
) -> FetchParts {
    let (fetch, guard, budget) = crate::fetching::parts(settings, spider);
    FetchParts {
        settings: fetch,
        guard,
        budget,
        clock: Arc::clone(clock),
        spider: Arc::clone(spider),
        job: chosen.job,
        server: crate::fetching::server_name(),
    }
}

pub(crate) fn open_engine(
    options: &CrawlOptions,
    state: &mut State,
    chosen: &Chosen,
    laws: Arc<dyn LawBook>,
    now: Tick,
) -> Result<Engine, CrawlError> {
    let settings = &options.settings;
    let lanes = state.store.allocate_lanes(options.workers + 1);
    let boot = state.document.boot;
    let frontier = Arc::new(FrontierConfig {
        laws,
        request_timeout_us: settings.fetch_timeout.as_micros() as u64,
        log: options.events.is_some() || settings.log_level >= crate::settings::LogLevel::Debug,
        ..FrontierConfig::default()
    });
    let geocoding = options.geocoding.as_ref().map(|options| {
        let config = GeoConfig {
            margin_us: frontier.margin_us,
            hash_seed: crate::fetchers::hash_seed(),
            ..GeoConfig::clone(&options.geocoding.config)
        };
        Arc::new(Geocoding { config: Arc::new(config), ..options.geocoding.clone() })
    });
    let stage = Stage::new(&StageConfig { frontier, boot, lanes: lanes[..options.workers].to_vec(), geocoding });
    let mut config = EngineConfig::new(lanes[options.workers], boot);
    config.concurrency = settings.concurrency;
    config.group_us = settings.journal_group_time.as_micros() as u64;
    config.outbox_bytes_max = settings.outbox_bytes_max as usize;
    config.computing_max = settings.compute_waiting_max;
    config.sink_names = state.document.sinks.iter().map(|sink| sink.name.clone()).collect();
    config.letter_bytes_max = settings.dead_letters_bytes_max;
    let mut engine = Engine::new(stage, config);
    engine.open_job(job_run(options, chosen, now));
    recover(&mut engine, &mut state.recovery)?;
    engine.finish_replay(now);
    for job in &chosen.given_up {
        engine.give_up(now, *job);
    }
    Ok(engine)
}

/// Applies everything that the state holds.
pub(crate) fn recover(engine: &mut Engine, recovery: &mut Recovery) -> Result<(), CrawlError> {
    let mut section = Vec::new();
    recovery.for_each(&mut |event| match event {
        Replayed::SectionBegin { .. } => {
            section.clear();
            Ok(())
        }
        Replayed::SectionChunk { bytes, .. } => {
            section.extend_from_slice(bytes);
            Ok(())
        }
        Replayed::SectionEnd { name } => engine.restore(name, &section).map_err(|error| format!("{name}: {error}")),
        Replayed::Record { addr, bytes } => {
            engine.replay(&[(Addr(addr.0), bytes)]).map_err(|error| format!("record at {addr:?}: {error}"))
        }
        Replayed::GroupEnd { .. } => Ok(()),
    })?;
    Ok(())
}

pub(crate) fn job_run(options: &CrawlOptions, chosen: &Chosen, now: Tick) -> JobRun {
    let (settings, spider) = (&options.settings, &options.spider);
    let mut masks = SinkMasks::default();
    for (sink, id) in options.sinks.iter().zip(&chosen.sinks) {
        let appends = sink.sink.describe().kind == SinkKind::Appending;
        let mask = if appends { &mut masks.append } else { &mut masks.upsert };
        *mask |= 1 << id.0;
    }
    // A replay is for its letters: the pages behind them are another crawl's.
    let depth_max = options.replay.as_ref().filter(|replay| !replay.follow).map_or(settings.depth_max, |_| Some(0));
    let settings = Settings { depth_max, ..settings.clone() };
    let has_none = options.replay.is_some() || options.backfill.is_some();
    let start_count = if has_none { 0 } else { spider.start_urls().len() };
    JobRun { masks, start_count, ..new_run(&settings, spider, chosen.job, now) }
}

/// A job without sinks and start URLs.
pub(crate) fn new_run(settings: &Settings, spider: &Arc<Spider>, job: JobId, now: Tick) -> JobRun {
    let agent = settings.user_agent.as_deref().unwrap_or(crate::fetching::USER_AGENT);
    let spec = JobSpec {
        id: job,
        allowed_domains: spider.allowed_domains().to_vec(),
        order: match settings.order {
            Order::Lifo => weir_frontier::Order::Lifo,
            Order::Fifo => weir_frontier::Order::Fifo,
        },
        depth_max: if settings.follow { settings.depth_max } else { Some(0) },
        redirects_max: if settings.redirect_enabled { settings.redirect_max } else { 0 },
        obey_robots: settings.robots,
        agent: agent.split(['/', ' ']).next().unwrap_or("weir").to_owned(),
        retry: RetryPolicy {
            enabled: settings.retry_enabled,
            max_retry_times: settings.retry_times,
            ..RetryPolicy::default()
        },
        // Start pages have no name: a page that is a start page and found again without `parse` is one page.
        targets: std::iter::once(String::new())
            .chain(spider.targets().iter().skip(1).map(|target| target.name.clone()))
            .collect(),
        concurrency_per_domain: settings.concurrency_per_domain,
        pages_per_domain_max: settings.pages_per_domain_max,
        geocodes: spider.geocodes().iter().filter_map(geocode_field).collect(),
        computes: spider.computations().iter().map(compute_step).collect(),
    };
    let stops = [
        settings.stop_items.map(StopRule::Items),
        settings.stop_pages.map(StopRule::Pages),
        settings.stop_errors.map(StopRule::Errors),
        settings.stop_seconds.map(|after| StopRule::Us(after.as_micros() as u64)),
    ];
    JobRun {
        spec: Arc::new(spec),
        masks: SinkMasks::default(),
        start: Box::new(SpiderStart(Arc::clone(spider))),
        pieces: Vec::new(),
        start_count: 0,
        start_next: 0,
        stops: stops.into_iter().flatten().collect(),
        started_at: now,
        stopping: None,
        ended: None,
        header: None,
    }
}

/// As the stage knows it. Items of types beyond 65,535 have none: their schema numbers are not their own.
fn geocode_field(geocode: &Geocode) -> Option<GeocodeField> {
    let schema = u16::try_from(geocode.item).ok()?;
    Some(GeocodeField { schema, field: geocode.field, address: geocode.address })
}

/// As the stage knows it. Every computation has its number, also one of a type that no item has.
fn compute_step(computation: &Computation) -> ComputeStep {
    let schema = u16::try_from(computation.item).unwrap_or(u16::MAX);
    ComputeStep { schema, fields: computation.fields.clone() }
}

/// Opens a job's sinks in their order, each with whether it is there. When one cannot be opened nothing stays that the others made for it.
pub(crate) fn open_sinks(
    mut outputs: Vec<Output>,
    ids: &[SinkId],
    job: (JobId, UnixMs, Tick),
    spider: &Spider,
    engine: &mut Engine,
    document: &mut Document,
) -> Result<Vec<(Output, bool)>, CrawlError> {
    let mut are_there = Vec::with_capacity(outputs.len());
    for (at, id) in (0..outputs.len()).zip(ids) {
        match open_sink(&mut outputs[at], *id, job, spider, engine, document) {
            Ok(is_there) => are_there.push(is_there),
            Err(error) => {
                outputs[..=at].iter_mut().for_each(|output| output.sink.unopened());
                return Err(error);
            }
        }
    }
    Ok(outputs.into_iter().zip(are_there).collect())
}

/// Opens a sink; one that is new to the state, was emptied or is to hold more gets every item. False: it is away, and not required.
fn open_sink(
    Output { sink, required, .. }: &mut Output,
    id: SinkId,
    (job, started, now): (JobId, UnixMs, Tick),
    spider: &Spider,
    engine: &mut Engine,
    document: &mut Document,
) -> Result<bool, CrawlError> {
    let required = *required;
    let name = sink.describe().url;
    let info = JobInfo {
        state: document.state_id(),
        job,
        spider: spider.name().to_owned(),
        started,
        schemas: spider.schemas().to_vec(),
        resume: engine.mark(job, id).map(|mark| SinkMark(mark.to_vec())),
    };
    let opened = match sink.open(&info) {
        Ok(opened) => opened,
        Err(error) if error.class == ErrorClass::Configuration => return Err(CrawlError::Usage(error.to_string())),
        Err(error) if !required => {
            tracing::warn!(
                sink = name,
                error = %error.not_tried_again(),
                "the sink cannot be opened; it is not required: the crawl goes on without it, the next run brings what it missed"
            );
            return Ok(false);
        }
        Err(error) => {
            let error = match error.class {
                ErrorClass::Transient => error.not_tried_again().and(
                    "At its start a crawl waits for no sink, and nothing is lost: run the same command again when it answers",
                ),
                _ => error,
            };
            return Err(CrawlError::Sink { name, error: error.to_string() });
        }
    };
    let entry = &mut document.sinks[usize::from(id.0)];
    if entry.generation != opened.generation || asks_for_more(&entry.name, &name) {
        engine.reset_sink(now, job, id);
        entry.generation = opened.generation;
    }
    entry.name = name;
    Ok(true)
}
