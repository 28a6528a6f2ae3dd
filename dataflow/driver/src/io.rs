//! What goes into the engine and what comes out: bounds, inputs, actions. Only values.

use crate::exchange::{Inward, Parcel};
use crate::letters::LetterOp;
use weir_frontier::Addr;
use weir_model::{ExtractionNote, FetchMessage, Item, JobId, ReceiptId, Report, SinkId};
use weir_stage::{Computed, Computing, LaneBytes, OutboxId, OutboxItem, SinkVerdict};

/// Bounds of an engine. Each is a limit on something in flight.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Requests under way, all domains together.
    pub concurrency: usize,
    /// Releases packed into one fetch message.
    pub message_releases_max: usize,
    /// A message under a law leaves this long before its first slot; until then it is gathered. `u64::MAX`: at once.
    pub message_lead_us: u64,
    /// A group closes at this age.
    pub group_us: u64,
    /// A group closes when it holds this many bytes, whatever its age.
    pub group_bytes_max: usize,
    /// A group closes when this many events went into it.
    pub group_events_max: usize,
    /// Nothing is released while items waiting for sinks hold more than this.
    pub outbox_bytes_max: usize,
    /// Nothing is released while more items than this wait for a computation.
    pub computing_max: usize,
    /// Start URLs are offered when fewer URLs than this are queued.
    pub start_low_water: u64,
    /// Start URLs offered in one step.
    pub start_batch: usize,
    /// Events applied in one step.
    pub step_events_max: usize,
    /// Dead letters that are kept, in bytes.
    pub letter_bytes_max: u64,
    /// Names of the sinks by their number, for remarks.
    pub sink_names: Vec<String>,
    /// The driver's own lane of the journal.
    pub lane: u16,
    /// Part of message ids: they differ from those of every other start.
    pub boot: u32,
    /// Which stage of several this is.
    pub stage: u32,
}

impl EngineConfig {
    /// The defaults of `weir crawl`.
    #[must_use]
    pub fn new(lane: u16, boot: u32) -> Self {
        EngineConfig {
            concurrency: 100,
            message_releases_max: 32,
            message_lead_us: u64::MAX,
            group_us: 20_000,
            group_bytes_max: 4 << 20,
            group_events_max: 10_000,
            outbox_bytes_max: 64 << 20,
            computing_max: 10_000,
            letter_bytes_max: 64 << 20,
            sink_names: Vec::new(),
            start_low_water: 20_000,
            start_batch: 2_000,
            step_events_max: 4_096,
            lane,
            boot,
            stage: 0,
        }
    }
}

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// A message of reports was received.
    Reports {
        /// To be settled when everything in it is durable.
        receipt: ReceiptId,
        /// The reports.
        reports: Vec<Report>,
    },
    /// What functions took, as the message of reports that comes next says; with its bytes.
    Spent {
        /// By job.
        spent: Vec<weir_model::json::Spent>,
        /// Of the message.
        report_bytes: u64,
    },
    /// A message about a job was received.
    Inward {
        /// To be settled when it is durable.
        receipt: ReceiptId,
        /// Which job: open, or ended.
        job: JobId,
        /// What it says.
        inward: Inward,
    },
    /// A parcel lies on its owner's queue.
    ParcelSent {
        /// As in `Action::HandOn`.
        job: JobId,
        /// As there.
        to: u32,
        /// As there.
        id: u64,
    },
    /// A sink has settled items.
    Written {
        /// Of which job.
        job: JobId,
        /// Which sink.
        sink: SinkId,
        /// Each item's fate.
        outcomes: Vec<(OutboxId, SinkVerdict)>,
        /// Why, for those that were refused, in the order of `outcomes`; a missing one is an empty reason.
        reasons: Vec<(OutboxId, Box<str>)>,
        /// Where the sink stands now (a feed's committed length); kept in the journal.
        mark: Option<Vec<u8>>,
        /// What else the sink did to items: counters of the job.
        notes: Vec<ExtractionNote>,
    },
    /// A body was read back.
    Loaded {
        /// The worker that asked.
        worker: usize,
        /// Its address.
        addr: Addr,
        /// The record.
        record: Vec<u8>,
    },
    /// A geocode provider or cache has answered.
    Geocoded(Vec<weir_geo::Event>),
    /// Rows of a backfill enter.
    Rows {
        /// Items as a sink holds them, for an open job, with the version that they are to be written with.
        items: Vec<Item>,
        /// Counters.
        notes: Vec<(JobId, ExtractionNote)>,
    },
    /// A computation has ended, or there is something to count of one.
    Computed {
        /// What came of an item.
        answer: Option<Box<Computed>>,
        /// Counters.
        notes: Vec<(JobId, ExtractionNote)>,
    },
    /// The group with this number is durable.
    Synced {
        /// As in `Action::Append`.
        group: u64,
    },
}

/// What is to be done outside.
#[derive(Debug)]
pub enum Action {
    /// Append to the journal as one group, make it durable, answer `Synced`.
    Append {
        /// Number of the group, from 1.
        group: u64,
        /// Its parts.
        parts: Vec<LaneBytes>,
    },
    /// Hand to a fetch-parse function.
    Dispatch(FetchMessage),
    /// Read back, answer `Loaded`.
    Load(Vec<(usize, Addr)>),
    /// Write to the sinks that each names, answer `Written`.
    Write(Vec<OutboxItem>),
    /// Ask geocode providers and caches, answer `Geocoded`.
    Geocode(Vec<weir_geo::Command>),
    /// Compute, answer `Computed` for each.
    Compute(Vec<Computing>),
    /// Put on its owner's queue, answer `ParcelSent`.
    HandOn(Parcel),
    /// Put into the file of dead letters, in this order; what is there already is a repetition.
    Letters(Vec<LetterOp>),
    /// Tell sinks that these marks of jobs are durable.
    Committed(Vec<((JobId, SinkId), Vec<u8>)>),
    /// Delete from the queue.
    Settle(Vec<ReceiptId>),
}
