//! Sinks that are slow, fail for a while, refuse items by name, and die in the middle of a batch.
//!
//! As the driver's sink threads: one batch at a time, one outcome an item, a mark with each confirmation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use weir_model::{Item, ItemId, SinkId, Value};
use weir_stage::{OutboxId, SinkVerdict};

/// An item as a sink holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub page: String,
    pub at: i64,
    pub id: ItemId,
    pub version: u64,
    pub hash: u64,
}

impl Row {
    fn of(item: &Item) -> Row {
        let (page, at) = match &item.values[..] {
            [Value::Str(page), Value::Int(at), ..] => (page.to_string(), *at),
            other => unreachable!("items of this web begin with page and place, not {other:?}"),
        };
        Row { page, at, id: item.id, version: item.version, hash: item.hash }
    }
}

#[derive(Debug)]
pub(crate) enum Rows {
    /// Newest version a key.
    Upsert(BTreeMap<ItemId, Row>),
    /// Everything, in order; its length is its mark.
    Append(Vec<Row>),
}

#[derive(Debug)]
pub(crate) struct SimSink {
    pub id: SinkId,
    pub rows: Rows,
    /// Keys it refuses.
    pub refuses: BTreeSet<ItemId>,
    waiting: VecDeque<(OutboxId, Arc<Item>)>,
    batch: Vec<(OutboxId, Arc<Item>)>,
    /// Failures of the batch in hand so far.
    pub failures: u32,
}

/// What a sink says of a batch.
pub(crate) type Said = (Vec<(OutboxId, SinkVerdict)>, Option<Vec<u8>>);

impl SimSink {
    pub fn new(id: SinkId, rows: Rows, refuses: BTreeSet<ItemId>) -> SimSink {
        SimSink { id, rows, refuses, waiting: VecDeque::new(), batch: Vec::new(), failures: 0 }
    }

    pub fn take(&mut self, items: impl Iterator<Item = (OutboxId, Arc<Item>)>) {
        self.waiting.extend(items);
    }

    /// Begins the next batch; true when there is one.
    pub fn begin(&mut self, batch_max: usize) -> bool {
        if self.batch.is_empty() {
            let count = self.waiting.len().min(batch_max);
            self.batch = self.waiting.drain(..count).collect();
            self.failures = 0;
            return !self.batch.is_empty();
        }
        false
    }

    /// A failed attempt: the first `count` items may be there already in a sink that upserts; a feed is as it was.
    pub fn fail(&mut self, count: usize) {
        self.failures += 1;
        if matches!(self.rows, Rows::Upsert(_)) {
            self.apply(count);
        }
    }

    /// The batch is written.
    pub fn finish(&mut self) -> Said {
        let outcomes = self.apply(self.batch.len());
        self.batch.clear();
        let mark = match &self.rows {
            Rows::Append(rows) => (rows.len() as u64).to_le_bytes().to_vec(),
            Rows::Upsert(_) => Vec::new(),
        };
        (outcomes, Some(mark))
    }

    /// Says that the batch is written, which it is not.
    pub fn pretend(&mut self) -> Vec<(OutboxId, SinkVerdict)> {
        self.batch.drain(..).map(|(id, _)| (id, SinkVerdict::Stored)).collect()
    }

    /// Items that it was given and has not settled, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        let items = || self.batch.iter().chain(&self.waiting);
        (items().count(), items().map(|(_, item)| item.bytes()).sum())
    }

    fn apply(&mut self, count: usize) -> Vec<(OutboxId, SinkVerdict)> {
        let mut outcomes = Vec::with_capacity(count);
        for (id, item) in &self.batch[..count] {
            let row = Row::of(item);
            let verdict = match &mut self.rows {
                _ if self.refuses.contains(&item.id) => SinkVerdict::Refused,
                Rows::Append(rows) => {
                    rows.push(row);
                    SinkVerdict::Stored
                }
                Rows::Upsert(rows) => match rows.get(&item.id) {
                    Some(held) if (held.version, held.hash) > (row.version, row.hash) => SinkVerdict::Stale,
                    _ => {
                        rows.insert(item.id, row);
                        SinkVerdict::Stored
                    }
                },
            };
            outcomes.push((*id, verdict));
        }
        outcomes
    }

    /// The process dies when `count` items of the batch in hand were written.
    pub fn die(&mut self, count: usize) {
        self.apply(count.min(self.batch.len()));
        self.batch.clear();
        self.waiting.clear();
    }

    /// How many items of the batch in hand there are.
    pub fn batch_len(&self) -> usize {
        self.batch.len()
    }

    /// Opens for a process: a feed is cut back to its mark. An error says why the mark cannot be right.
    pub fn open(&mut self, mark: Option<&[u8]>, cut: bool) -> Result<(), String> {
        let Rows::Append(rows) = &mut self.rows else { return Ok(()) };
        let mark = mark.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes) as usize;
        if mark > rows.len() {
            return Err(format!("the mark says {mark} rows, the feed holds {}", rows.len()));
        }
        if cut {
            rows.truncate(mark);
        }
        Ok(())
    }
}
