//! What a crawl is asked for and what it tells: options, progress, report. Only values.

use crate::backfill::Backfill;
use crate::compute::ComputeOptions;
use crate::document::MadeBy;
use crate::figures::JobFigures;
use crate::geocoder::GeocodeOptions;
use crate::law::LawOptions;
use crate::settings::Settings;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use weir_connector::Sink;
use weir_frontier::LogLine;
use weir_model::Outcome;
use weir_spider::Spider;

/// A crawl to run.
pub struct CrawlOptions {
    /// The spider.
    pub spider: Arc<Spider>,
    /// Settings.
    pub settings: Settings,
    /// Who may be asked how often.
    pub laws: LawOptions,
    /// The state directory.
    pub state: PathBuf,
    /// Where items go.
    pub sinks: Vec<Output>,
    /// How locations are found; `None`: fields to be geocoded stay empty.
    pub geocoding: Option<GeocodeOptions>,
    /// Who may compute, and with what.
    pub compute: ComputeOptions,
    /// Stage workers.
    pub workers: usize,
    /// Gives up an unfinished job.
    pub fresh: bool,
    /// Dead letters to let enter again, instead of the start URLs.
    pub replay: Option<Replay>,
    /// Locations to look up that a job's items lack, instead of the start URLs.
    pub backfill: Option<Backfill>,
    /// How the command was given: kept with the job.
    pub made_by: Option<MadeBy>,
    /// Takes a line for each event (docs/events.md).
    pub events: Option<Box<dyn Write + Send>>,
    /// Set from outside: finish what is under way and stop.
    pub stop: Arc<AtomicBool>,
}

/// A job that lets dead letters enter again.
pub struct Replay {
    /// Which; `None`: all.
    pub ids: Option<Vec<u64>>,
    /// Links on pages that are fetched again are followed, as in a crawl.
    pub follow: bool,
}

/// A sink of a crawl.
pub struct Output {
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// The crawl waits for it. Otherwise it is best effort: while it is away its items are missed, and the next crawl brings them.
    pub required: bool,
    /// Its name in the state where every job has a place of its own (`sqlite:%(job)s.db`); `None`: its URL is its name. What one job wrote
    /// says nothing of the place of another.
    pub known_as: Option<String>,
}

impl Output {
    /// A sink whose name is its URL.
    #[must_use]
    pub fn new(sink: Box<dyn Sink>, required: bool) -> Output {
        Output { sink, required, known_as: None }
    }

    /// Its name in the state: the redacted URL, unless each job has a place of its own.
    #[must_use]
    pub fn name(&self) -> String {
        self.known_as.clone().unwrap_or_else(|| self.sink.describe().url)
    }
}

/// How a crawl goes.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Since this run began.
    pub elapsed: Duration,
    /// Answers.
    pub pages: u64,
    /// Items that left pages.
    pub items: u64,
    /// URLs that went wrong for good, and refused items.
    pub errors: u64,
    /// URLs in queues.
    pub queued: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Pages whose items are on their way to the sinks.
    pub pending: u64,
}

/// How a crawl ended.
#[derive(Clone, Debug)]
pub struct CrawlReport {
    /// The job's number in its state.
    pub job: u64,
    /// It went on where an earlier run stopped.
    pub continued: bool,
    /// The outcome.
    pub outcome: Outcome,
    /// What made it fail.
    pub failure: Option<String>,
    /// Figures of the whole job.
    pub figures: JobFigures,
    /// Reports for releases that were settled before.
    pub redelivered: u64,
    /// How long this run took.
    pub elapsed: Duration,
}

/// What a crawl tells while it runs.
pub trait Observer {
    /// About ten times a second.
    fn progress(&mut self, progress: &Progress);
    /// A line of the crawl log.
    fn log(&mut self, line: &LogLine);
    /// Something a person should know.
    fn say(&mut self, text: &str);
}
