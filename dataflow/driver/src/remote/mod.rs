//! A stage with queues: the same engine, with messages in the place of calls.
//!
//! ```text
//!  requests, reports, control ──> inboxes ──┐                    ┌──> fetch queue (Dispatch)
//!  journal thread ──synced──────────────────┼──> Engine.advance ─┼──> journal thread (Append, Load)
//!  sink threads, a set a job ──written──────┤     (this thread)  ├──> sink threads (Write)
//!  spider files ────────────────────────────┘                    └──> other stages' requests (HandOn), receipts (Settle)
//! ```
//! Decides when a job is opened, ended and told of; what messages mean for URLs is decided in the engine. Sees queues and artifacts
//! by their traits. Never waits for a sink: each is opened on a thread of its own. Invariants: a receipt is settled when its effects are in the journal; a job is in the state's document before
//! its first record; a state belongs to one stage of one deployment and refuses every other.

mod awaiting;
mod begin;
mod census;
pub mod client;
mod counting;
mod desk;
mod ending;
mod errands;
mod health;
mod intake;
mod law;
mod letters;
pub mod moving;
mod opening;
mod outside;
mod performing;
mod replaying;
mod seats;
mod spending;
mod stage;
mod status;
mod telling;
mod unbegun;
mod untold;
mod window;

pub(crate) use awaiting::SinkOpened;
pub use outside::FromOutside;
pub use spending::{StageTariff, measured};
pub use status::{JobDocument, JobPart, StageStatus, job_key, part_key, status_key};

use crate::compute::ComputeOptions;
use crate::geocoder::GeocodeOptions;
use crate::law::LawOptions;
use crate::report::Output;
use crate::settings::Settings;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use weir_connector::SinkError;
use weir_frontier::Slice;
use weir_model::json::JobHeader;
use weir_queue::{ArtifactStore, Claims, MessageQueue};
use weir_spider::Spider;

pub use stage::run_stage;

/// The queues of a stage.
#[derive(Clone)]
pub struct StageQueues {
    /// Shards, parcels of other stages, tallies.
    pub requests: Arc<dyn MessageQueue>,
    /// Reports of functions. Its name is the address that functions answer to.
    pub reports: Arc<dyn MessageQueue>,
    /// Commands.
    pub control: Arc<dyn MessageQueue>,
    /// Releases, for functions.
    pub fetch: Arc<dyn MessageQueue>,
    /// What cannot be used.
    pub dead_letters: Arc<dyn MessageQueue>,
    /// The requests queues of all stages, by number.
    pub peers: Vec<Arc<dyn MessageQueue>>,
    /// Spiders and status objects.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Where functions claim fetch messages.
    pub claims: Arc<dyn Claims>,
}

/// Makes the sinks of a job.
pub type SinkMaker = Box<dyn Fn(&Spider, &JobHeader) -> Result<Vec<Output>, SinkError>>;

/// How functions and queues are reckoned with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bounds the difference of clocks, and how long a function may stand still between check and write.
    pub margin: Duration,
    /// How long a slot stays open: for the queue and a function's start.
    pub slot: Duration,
    /// How far ahead of its slot a request is released: below a function's idle budget.
    pub lookahead: Duration,
    /// How long before its first slot a message leaves the stage: for the queue, a function's start and its connections.
    pub lead: Duration,
    /// The longest a request may take: what a job asks for beyond it is cut.
    pub timeout: Duration,
    /// How long a received message is hidden from others: it is extended while this stage works on it, so it is how soon the next
    /// process has what a killed one held.
    pub visibility: Duration,
    /// How long beyond all that a release may stay unreported before its function is taken for dead.
    pub grace: Duration,
}

impl Default for Pace {
    /// For SQS and a function of 90 s.
    fn default() -> Self {
        Pace {
            margin: Duration::from_millis(50),
            slot: Duration::from_secs(10),
            lookahead: Duration::from_secs(1),
            lead: Duration::from_millis(250),
            timeout: Duration::from_secs(60),
            visibility: Duration::from_secs(60),
            grace: Duration::from_secs(60),
        }
    }
}

/// A stage to run.
pub struct StageOptions {
    /// The deployment's name.
    pub stack: String,
    /// Which stage of how many.
    pub slice: Slice,
    /// The state directory.
    pub state: PathBuf,
    /// An empty state begins also where the deployment had another number of stages: nothing is to be imported.
    pub begins_anew: bool,
    /// Settings of the process: journal, outbox, concurrency. A job brings its own.
    pub settings: Settings,
    /// Who may be asked how often.
    pub laws: LawOptions,
    /// Makes the sinks of a job.
    pub sinks: SinkMaker,
    /// How locations are found; `None`: fields to be geocoded stay empty.
    pub geocoding: Option<GeocodeOptions>,
    /// Who may compute, and with what.
    pub compute: ComputeOptions,
    /// Workers of the dataflow.
    pub workers: usize,
    /// See there.
    pub pace: Pace,
    /// What a job's cost is reckoned by.
    pub tariff: StageTariff,
    /// The queues.
    pub queues: StageQueues,
    /// What queues and artifacts are used on.
    pub runtime: tokio::runtime::Runtime,
    /// Where health and metrics are served, on loopback.
    pub health_port: Option<u16>,
    /// Gets a line a minute with the metrics: CloudWatch reads them from the log.
    pub heartbeat: Box<dyn FnMut(&str)>,
    /// Set from outside: finish what is under way and stop.
    pub stop: Arc<AtomicBool>,
}
