//! One job in one process: its state, its engine and its threads, put together.
//!
//! ```text
//!   fetch threads ──reports──┐                    ┌──> fetch threads (Dispatch)
//!   journal thread ──synced──┼──> Engine.advance ─┼──> journal thread (Append, Load)
//!   sink threads ──written───┤     (this thread)  ├──> sink threads (Write)
//!   geocoder ──geocoded──────┤                    ├──> geocoder (Geocode)
//!   programs ──computed──────┘                    └──> programs, functions (Compute)
//! ```
//! The loop itself is in `embedded`.

use crate::backfill::Rows;
use crate::clock::SystemClock;
use crate::compute::{self, Broken, Computer};
use crate::delisting::Delisting;
use crate::document::{Chosen, Document, Wanted};
use crate::embedded::Driver;
use crate::engine::Engine;
use crate::error::CrawlError;
use crate::events::{Events, EventsOf};
use crate::fetchers::Fetchers;
use crate::figures::JobFigures;
use crate::geocoder::GeocodeThread;
use crate::journal::JournalThread;
use crate::law::{self, ControlSocket, Law, LawNews, PolicyWatch};
use crate::letter_file::DeadLetters;
use crate::letters::Letter;
use crate::opening::{fetch_parts, open_engine, open_sinks};
use crate::replay;
use crate::report::{CrawlOptions, CrawlReport, Observer, Output};
use crate::sinks::{SinkStart, SinkThread, Written};
use crate::state::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::channel;
use weir_frontier::Addr;
use weir_model::{Clock, ExtractionNote, ItemSchema, Report, SinkId, Tick};
use weir_stage::Computed;

/// What the threads tell the driver.
pub(crate) enum ToDriver {
    Reports(Vec<Report>),
    Written {
        job: weir_model::JobId,
        sink: SinkId,
        written: Written,
    },
    Synced {
        group: u64,
        journal_bytes: u64,
    },
    Loaded {
        worker: usize,
        addr: Addr,
        record: Vec<u8>,
    },
    Geocoded(Vec<weir_geo::Event>),
    Computed {
        answer: Option<Box<Computed>>,
        notes: Vec<(weir_model::JobId, ExtractionNote)>,
    },
    Law(LawNews),
    Remote(Box<crate::remote::FromOutside>),
    SinkOpened(Box<crate::remote::SinkOpened>),
    /// A required sink cannot go on; its thread has ended.
    SinkFailed {
        job: weir_model::JobId,
        sink: SinkId,
        error: CrawlError,
    },
    JournalFailed(CrawlError),
    Failed(CrawlError),
}

/// What a job needs of others before it begins.
struct Ready {
    rows: Option<Rows>,
    letters: Vec<Letter>,
    /// Its sinks, each with whether it is there.
    opened: Vec<(Output, bool)>,
}

/// Looks at what is to be filled or replayed, and opens the sinks. After an error nothing of it stays.
fn ready(
    options: &mut CrawlOptions,
    (chosen, now): (&Chosen, Tick),
    known: &DeadLetters,
    engine: &mut Engine,
    document: &mut Document,
) -> Result<Ready, CrawlError> {
    let rows = match options.backfill.take() {
        Some(backfill) => {
            let waiters_max =
                options.geocoding.as_ref().map_or(usize::MAX, |geocoding| geocoding.geocoding.config.waiters_max);
            let place = (&*document, &*options.state);
            Some(Rows::new(backfill, chosen.job, place, &options.spider, waiters_max)?)
        }
        None => None,
    };
    let letters = replay::letters(options, known, &chosen.sinks)?;
    let (outputs, job) = (std::mem::take(&mut options.sinks), (chosen.job, chosen.started, now));
    let opened = open_sinks(outputs, &chosen.sinks, job, &options.spider, engine, document)?;
    Ok(Ready { rows, letters, opened })
}

/// Runs one job to its end.
pub fn crawl(mut options: CrawlOptions, observer: &mut dyn Observer) -> Result<CrawlReport, CrawlError> {
    // What is read back from a sink has been computed.
    let computes = options.backfill.is_none();
    if computes {
        compute::check(&options.compute, &options.spider).map_err(CrawlError::Usage)?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let started_at = clock.now();
    let mut state = State::open(&options.state, &*clock)?;
    if let Some(why) = &state.recovery.report.fallback {
        observer.say(&format!("the newest snapshot was not used, all it held comes from the journal: {why}"));
    }
    if let Some(torn) = &state.recovery.report.torn {
        observer.say(&format!("{}: an unfinished write of {} bytes was cut away", torn.path, torn.bytes));
    }
    let wanted = Wanted {
        spider: options.spider.name().to_owned(),
        args: options.spider.args().clone(),
        spider_hash: options.spider.content_hash(),
        sinks: options.sinks.iter().map(Output::name).collect(),
        best_effort: options.sinks.iter().filter(|sink| !sink.required).map(Output::name).collect(),
        replays: options.replay.is_some(),
        backfills: options.backfill.as_ref().map(|backfill| backfill.job),
        made_by: options.made_by.clone(),
        schemas: options.spider.schemas().iter().map(|schema| ItemSchema::clone(schema)).collect(),
        now: started_at.unix_ms(),
    };
    let before = state.document.clone();
    let chosen = state.document.choose(&wanted, options.fresh)?;
    state.document.began(chosen.job, started_at);
    state.save()?;
    if chosen.file_changed {
        observer.say("the spider file has changed since the job began; the job goes on with the new one");
    }
    let law = Law::open(&options.laws, state.store.get_document(law::DOCUMENT)?)?;
    let mut engine = open_engine(&options, &mut state, &chosen, law.book(), started_at)?;
    state.letters.append(&engine.take_letters(), &state.document)?;
    for damaged in &state.letters.known().damaged {
        observer.say(&format!("a dead letter is lost: {damaged}"));
    }
    let mut events = match options.events.take() {
        Some(file) => Some(Events::start(EventsOf::job(&options, &chosen), file)?),
        None => None,
    };
    let mut document = state.document.clone();
    if let Some(outcome) = engine.ended(chosen.job) {
        // The end was in the journal but not yet in the document: the crash came between. Now it is in both, and the job is over.
        document.ended(chosen.job, outcome);
        state.document = document;
        state.save()?;
        state.close()?;
        let report = CrawlReport {
            job: chosen.job.0,
            continued: true,
            outcome,
            failure: None,
            figures: engine.figures(chosen.job),
            redelivered: engine.redelivered(),
            elapsed: clock.now().since(started_at),
        };
        if let Some(mut events) = events {
            events.opened(options.spider.name(), true);
            events.end(clock.now().unix_ms(), &report);
        }
        return Ok(report);
    }
    let ready = ready(&mut options, (&chosen, started_at), state.letters.known(), &mut engine, &mut document);
    let Ready { rows, letters, opened } = match ready {
        Ok(ready) => ready,
        Err(error) if chosen.continued => return Err(error),
        Err(error) => {
            // Nothing was written for it: as if it had never been asked for, so that nobody is told to finish it first.
            state.document = before;
            state.save()?;
            return Err(error);
        }
    };
    let snapshot_bytes = options.settings.journal_snapshot_bytes;
    let (to_driver, inbox) = channel();
    let mut sinks = Vec::new();
    let this = document.job(chosen.job.0).expect("it was chosen from this document");
    let mut delisting = Delisting::new(&document, this, &options.spider);
    for ((Output { sink, required, .. }, is_there), id) in opened.into_iter().zip(&chosen.sinks) {
        let marks = options.settings.delist && is_there;
        let sink = if marks { delisting.wrap(*id, sink, &options.stop) } else { sink };
        let start = SinkStart {
            job: chosen.job,
            id: *id,
            name: sink.describe().url,
            schemas: options.spider.schemas().to_vec(),
            batch: options.settings.sink_batch_items.min(sink.describe().batch.items_max),
            sink: is_there.then_some(sink),
            required,
            stop: Arc::clone(&options.stop),
            clock: Arc::clone(&clock),
        };
        sinks.push(SinkThread::start(start, to_driver.clone())?);
    }
    document.opened(chosen.job);
    state.document = document;
    state.save()?;
    let document = state.document;
    let watch = options.laws.file.as_ref().map(|file| PolicyWatch::start(file, to_driver.clone())).transpose()?;
    let socket = ControlSocket::start(&options.state, to_driver.clone());
    let journal = JournalThread::start(
        state.store,
        state.lease,
        (state.letters, document.clone()),
        Arc::clone(&clock),
        to_driver.clone(),
    )?;
    let parts = fetch_parts(&options.settings, &options.spider, &clock, &chosen);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = options.settings.fetch_threads.unwrap_or(cores);
    let fetchers = Fetchers::start(threads, &parts, &to_driver)?;
    let geocoder = match options.geocoding {
        Some(geocoding) => GeocodeThread::start(geocoding, Arc::clone(&clock), to_driver.clone())?,
        None => GeocodeThread::none(),
    };
    let mut computer = Computer::new(options.compute, Broken::Fails, to_driver.clone());
    if computes {
        computer.open(chosen.job, &options.spider)?;
    }
    if let Some(events) = &mut events {
        events.opened(options.spider.name(), chosen.continued);
    }
    let mut driver = Driver {
        engine,
        law,
        _watch: watch,
        _socket: socket,
        events,
        clock,
        inbox,
        journal,
        fetchers,
        geocoder,
        computer: Some(computer),
        rows,
        sinks,
        unanswered: BTreeMap::new(),
        leaving: BTreeSet::new(),
        delisting,
        job: chosen.job,
        started_at,
        receipts: 0,
        journal_bytes: 0,
        snapshot_at: snapshot_bytes,
        snapshot_bytes,
        failure: None,
    };
    if !letters.is_empty() {
        driver.engine.replay_letters(driver.clock.now(), chosen.job, letters);
    }
    let outcome = driver.run(&options.stop, observer);
    driver.end(outcome, document, chosen.continued)
}

/// Counts of remarks, for the closing stats.
#[must_use]
pub fn notes(figures: &JobFigures) -> &BTreeMap<String, (u64, String)> {
    &figures.notes
}
