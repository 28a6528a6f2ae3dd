//! The sink trait and what it exchanges with the driver.

use crate::{BatchPolicy, ErrorClass, SinkError, StoredItem};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use weir_model::{ExtractionNote, Item, ItemId, ItemSchema, JobId, Outcome, UnixMs};

/// A place where items go.
pub trait Sink: Send {
    /// Who it is; nothing secret in it.
    fn describe(&self) -> SinkInfo;

    /// Makes the place ready for a job: tables compared with the schemas, files opened or cut back to the mark. Refuses with a
    /// reason before anything was written.
    fn open(&mut self, job: &JobInfo) -> Result<Opened, SinkError>;

    /// The job does not begin after all, since another of its sinks cannot be opened: takes away what `open` made for it alone. Nothing was
    /// written since `open`, which may have failed; what was written before stays.
    fn unopened(&mut self) {}

    /// Writes items. Pushes exactly one outcome an item, in order, onto `outcomes` (which it empties first). When it returns `Ok`,
    /// what is called stored is durable, and the mark says how far. After `Err` nothing is promised: the same items come again.
    fn write<'a>(
        &'a mut self,
        items: &'a [Arc<Item>],
        outcomes: &'a mut Vec<ItemOutcome>,
    ) -> BoxFuture<'a, Result<SinkMark, SinkError>>;

    /// What it did to items beside storing them, since the last call: counters of the job's stats.
    fn notes(&mut self) -> Vec<ExtractionNote> {
        Vec::new()
    }

    /// True when `delist` is more than an error.
    fn can_delist(&self) -> bool {
        false
    }

    /// Marks listings of an item type that a complete crawl no longer found as gone since `at` (the version it would have given
    /// them); what is stored of them stays, and a newer version takes the mark off. One outcome an id, in order: stored, unchanged
    /// (marked before, or not there), stale (seen since), or retry. Calling it again changes nothing.
    fn delist<'a>(
        &'a mut self,
        _schema: u16,
        _ids: &'a [ItemId],
        _at: u64,
    ) -> BoxFuture<'a, Result<Vec<ItemOutcome>, SinkError>> {
        let SinkInfo { name, url, .. } = self.describe();
        let unsupported = SinkError::new(
            ErrorClass::Permanent,
            format!("a sink of kind {name} cannot mark listings as gone"),
            url,
            "a sink that keeps one row an item",
            "Ask `can_delist` first: this is a mistake in weir, please report it",
        );
        Box::pin(std::future::ready(Err(unsupported)))
    }

    /// Reads back what is stored of the job's item types, whichever job wrote it; opened or not, and without changing anything. Each
    /// item goes to `each`, in any order.
    fn read_back<'a>(
        &'a mut self,
        _job: &'a JobInfo,
        _each: &'a mut (dyn FnMut(StoredItem) + Send),
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        let SinkInfo { name, url, .. } = self.describe();
        let unsupported = SinkError::new(
            ErrorClass::Configuration,
            format!("a sink of kind {name} cannot be read back"),
            url,
            "a sink that can",
            "Compare it by its own means",
        );
        Box::pin(std::future::ready(Err(unsupported)))
    }

    /// The state keeps this mark, or a later one of this sink: what was written up to it will not be asked for again. Given to appending
    /// sinks alone, some time after the write that gave the mark, never before. Calling it again changes nothing.
    fn committed<'a>(&'a mut self, _mark: &'a SinkMark) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The job has ended, or pauses (`Shutdown`, `Failed`: it will be resumed with the last mark). `complete` says that the crawl
    /// saw everything. Calling it again changes nothing.
    fn finish<'a>(&'a mut self, outcome: Outcome, complete: bool) -> BoxFuture<'a, Result<(), SinkError>>;

    /// The job's end is in the state: nothing of it will be gone on with, what was kept for that can go.
    fn ended(&mut self) {}
}

/// How a sink treats an item it has seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// One row an item id; the newest version wins.
    Keyed,
    /// One line an item written; a resumed job is cut back to its mark.
    Appending,
}

/// A sink as logs, stats and the dashboard show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkInfo {
    /// `sqlite`, `feed`.
    pub name: &'static str,
    /// Its URL without secrets.
    pub url: String,
    /// See there.
    pub kind: SinkKind,
    /// How it likes its batches.
    pub batch: BatchPolicy,
}

/// The job that a sink is opened for.
#[derive(Clone, Debug)]
pub struct JobInfo {
    /// Id of the state (state directory or stack): with `job` unique everywhere.
    pub state: u128,
    /// The job.
    pub job: JobId,
    /// The spider's name.
    pub spider: String,
    /// When the job began: the same however often it is gone on with.
    pub started: UnixMs,
    /// Item types; `Item::schema` is an index into them.
    pub schemas: Vec<Arc<ItemSchema>>,
    /// The mark that this sink gave last for this job; `None` when none was recorded.
    pub resume: Option<SinkMark>,
}

impl JobInfo {
    /// Unique over states and jobs: 48 hexadecimal digits.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("{:032x}{:016x}", self.state, self.job.0)
    }
}

/// What `open` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Another number than last time: the place is new or was emptied, so it gets every item.
    pub generation: u64,
}

/// How far a sink got: kept in the state with what it confirmed, given back at `open`. Opaque, at most a few hundred bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkMark(pub Vec<u8>);

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemOutcome {
    /// Durable.
    Stored,
    /// The same version was there already.
    Unchanged,
    /// A newer version is there.
    Stale,
    /// Cannot be stored by this sink, now or later: to the dead letters, with the reason.
    Refused {
        /// For a person.
        reason: String,
    },
    /// Not stored, may work later.
    Retry {
        /// For a person.
        reason: String,
    },
}

impl ItemOutcome {
    /// True when the item needs nothing more from this sink.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !matches!(self, ItemOutcome::Retry { .. })
    }
}
