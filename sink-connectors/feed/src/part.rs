//! One part while it is written: rows become text or a log of items, are compressed, and reach the file a batch at a time.
//!
//! Invariant: after a flush the file holds exactly the rows that were given, up to a length that `open()` tells.

use crate::cell::Cell;
use crate::compress::Compressor;
use crate::export::Exporter;
use crate::file::PartFile;
use crate::mark::Open;
use std::sync::Arc;
use weir_connector::{SinkError, text};
use weir_model::{Item, ItemSchema, wire};

/// Fields that every item has, behind its own.
pub(crate) const HOUSEKEEPING: [&str; 6] = ["_id", "_job", "_spider", "_version", "_hash", "_fetched_at"];

/// What the rows of a feed have in common.
#[derive(Debug)]
pub(crate) struct Rows {
    pub schemas: Vec<Arc<ItemSchema>>,
    pub spider: String,
    pub housekeeping: bool,
    /// The columns of a Parquet file.
    pub columns: Option<crate::parquet::Columns>,
}

/// An open part.
#[derive(Debug)]
pub(crate) struct Part {
    file: PartFile,
    exporter: Exporter,
    compressor: Compressor,
    /// Rows that have not reached the file.
    buffer: Vec<u8>,
    rows: u64,
    plain: u64,
    /// The version of its first item.
    pub since: u64,
}

impl Part {
    /// A part at its beginning, or behind content that is kept.
    pub fn new(file: PartFile, mut exporter: Exporter, compressor: Compressor) -> Part {
        let mut buffer = Vec::new();
        exporter.begin(&mut buffer);
        let plain = buffer.len() as u64;
        Part { file, exporter, compressor, buffer, rows: 0, plain, since: 0 }
    }

    /// A part that a mark tells of.
    pub fn resumed(file: PartFile, mut exporter: Exporter, compressor: Compressor, open: &Open) -> Part {
        if open.len == 0 && open.rows == 0 {
            return Part::new(file, exporter, compressor);
        }
        exporter.resume(open.rows);
        let (rows, plain, since) = (open.rows, open.plain, open.since);
        Part { file, exporter, compressor, buffer: Vec::new(), rows, plain, since }
    }

    /// Rows in it, those that have not reached the file included.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes in it before compression.
    pub fn plain(&self) -> u64 {
        self.plain
    }

    /// One more row; `Err` with the reason when it cannot be one.
    pub fn push(&mut self, item: &Item, rows: &Rows) -> Result<(), String> {
        let schema = rows
            .schemas
            .get(usize::from(item.schema))
            .ok_or_else(|| format!("the item is of type {}, which the job does not have", item.schema))?;
        if item.values.len() != schema.fields.len() {
            return Err(format!(
                "the item has {} values, {:?} has {} fields",
                item.values.len(),
                schema.name,
                schema.fields.len()
            ));
        }
        let before = self.buffer.len();
        match &rows.columns {
            Some(columns) => {
                columns.check(schema, item)?;
                let mut bytes = Vec::new();
                wire::put_item(&mut bytes, item);
                wire::put_bytes(&mut self.buffer, &bytes);
            }
            None => self.export(item, schema, rows)?,
        }
        if self.rows == 0 {
            self.since = item.version;
        }
        self.rows += 1;
        self.plain += (self.buffer.len() - before) as u64;
        Ok(())
    }

    fn export(&mut self, item: &Item, schema: &ItemSchema, rows: &Rows) -> Result<(), String> {
        let mut cells: Vec<(&str, Cell<'_>)> = Vec::with_capacity(schema.fields.len() + 6);
        cells.extend(
            schema.fields.iter().zip(&item.values).map(|(field, value)| (field.name.as_str(), Cell::Value(value))),
        );
        if !rows.housekeeping {
            return self.exporter.export(&cells, &mut self.buffer);
        }
        let (id, hash, fetched) =
            (item.id.to_hex(), format!("{:016x}", item.hash), text::version_as_time(item.version));
        let values = [
            Cell::Text(&id),
            Cell::Number(item.job.0),
            Cell::Text(&rows.spider),
            Cell::Number(item.version),
            Cell::Text(&hash),
            Cell::Text(&fetched),
        ];
        cells.extend(HOUSEKEEPING.into_iter().zip(values));
        self.exporter.export(&cells, &mut self.buffer)
    }

    /// Everything given so far becomes durable.
    pub fn flush(&mut self) -> Result<(), SinkError> {
        let mut bytes = Vec::new();
        self.compressor.push(&self.buffer, &mut bytes);
        self.buffer.clear();
        if bytes.is_empty() { Ok(()) } else { self.file.append(&bytes) }
    }

    /// The last bytes: nothing comes behind them.
    pub fn seal(mut self) -> Result<(), SinkError> {
        self.exporter.finish(&mut self.buffer);
        let mut bytes = Vec::new();
        self.compressor.push(&self.buffer, &mut bytes);
        self.compressor.end(self.file.len == 0 && bytes.is_empty(), &mut bytes);
        if bytes.is_empty() { Ok(()) } else { self.file.append(&bytes) }
    }

    /// Where it stands, after a flush.
    pub fn open(&self) -> Result<Open, SinkError> {
        let position = self.file.position()?;
        Ok(Open {
            len: position.len,
            tail: position.tail,
            rows: self.rows,
            plain: self.plain,
            since: self.since,
            frame: self.compressor.frame(),
        })
    }
}
