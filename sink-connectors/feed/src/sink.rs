//! The feed as a sink. Every batch is one write and one sync; the mark is the committed length and a hash of its end.

use crate::cell::Cell;
use crate::charset::Charset;
use crate::export::{ExportOptions, Exporter};
use crate::file::{PartFile, Position};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_connector::{
    BatchPolicy, BoxFuture, ErrorClass, FeedFormat, ItemOutcome, JobInfo, Opened, Sink, SinkError, SinkInfo, SinkKind,
    SinkMark, StoredItem, text,
};
use weir_model::{Item, ItemSchema, Outcome};

/// What to do with a feed that exists from another job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Say so and stop.
    #[default]
    Refuse,
    /// Keep it and write behind it.
    Append,
    /// Replace it, when the new one is complete.
    Overwrite,
}

/// A feed file.
#[derive(Debug)]
pub struct FeedSink {
    path: PathBuf,
    format: FeedFormat,
    options: ExportOptions,
    existing: Existing,
    housekeeping: bool,
    open: Option<OpenFeed>,
}

#[derive(Debug)]
struct OpenFeed {
    part: PartFile,
    exporter: Exporter,
    schemas: Vec<Arc<ItemSchema>>,
    spider: String,
    buffer: Vec<u8>,
}

impl FeedSink {
    /// A feed of the schema's fields in UTF-8; JSON arrays have an item a line.
    #[must_use]
    pub fn new(path: impl AsRef<Path>, format: FeedFormat) -> FeedSink {
        let options = ExportOptions { indent: Some(0), charset: Some(Charset::Utf8), ..ExportOptions::default() };
        FeedSink {
            path: path.as_ref().to_owned(),
            format,
            options,
            existing: Existing::Refuse,
            housekeeping: false,
            open: None,
        }
    }

    /// How it is written.
    #[must_use]
    pub fn with_options(mut self, options: ExportOptions) -> FeedSink {
        self.options = options;
        self
    }

    /// What to do with a file from another job.
    #[must_use]
    pub fn with_existing(mut self, existing: Existing) -> FeedSink {
        self.existing = existing;
        self
    }

    /// Adds `_id, _job, _spider, _version, _hash, _fetched_at` behind the fields.
    #[must_use]
    pub fn with_housekeeping(mut self) -> FeedSink {
        self.housekeeping = true;
        self
    }

    fn start(&mut self, job: &JobInfo) -> Result<(), SinkError> {
        let mut options = self.options.clone();
        if self.format == FeedFormat::Csv && options.fields.is_none() {
            // All fields of all item types, so that the columns do not hang on which item came first.
            options.fields = Some(self.columns(&job.schemas));
        }
        let (part, exporter) = match &job.resume {
            Some(mark) => {
                let (position, rows) = read_mark(mark).ok_or_else(|| self.unreadable_mark())?;
                let part = PartFile::resume(&self.path, &job.tag(), position)?;
                options.header &= position.len == 0;
                let mut exporter = Exporter::new(self.format, options);
                exporter.resume(rows);
                (part, exporter)
            }
            None => self.begin(&job.tag(), options)?,
        };
        self.open = Some(OpenFeed {
            part,
            exporter,
            schemas: job.schemas.clone(),
            spider: job.spider.clone(),
            buffer: Vec::new(),
        });
        Ok(())
    }

    fn begin(&self, tag: &str, mut options: ExportOptions) -> Result<(PartFile, Exporter), SinkError> {
        if self.format == FeedFormat::Json && self.existing == Existing::Append {
            return Err(SinkError::new(
                ErrorClass::Configuration,
                "a JSON array cannot be appended to",
                self.path.display().to_string(),
                "a format with an item a line",
                "Write -o PATH.jsonl, or give --overwrite",
            ));
        }
        let (mut part, appending) = PartFile::begin(&self.path, tag, self.existing)?;
        if appending {
            options.header = false;
        }
        let mut exporter = Exporter::new(self.format, options);
        let mut preamble = Vec::new();
        exporter.begin(&mut preamble);
        if !preamble.is_empty() {
            part.append(&preamble)?;
        }
        Ok((part, exporter))
    }

    fn columns(&self, schemas: &[Arc<ItemSchema>]) -> Vec<(String, String)> {
        let mut columns: Vec<(String, String)> = Vec::new();
        let housekeeping = if self.housekeeping { &HOUSEKEEPING[..] } else { &[] };
        let names = schemas.iter().flat_map(|schema| schema.fields.iter().map(|field| field.name.as_str()));
        for name in names.chain(housekeeping.iter().copied()) {
            if columns.iter().all(|(column, _)| column != name) {
                columns.push((name.to_owned(), name.to_owned()));
            }
        }
        columns
    }

    fn unreadable_mark(&self) -> SinkError {
        SinkError::new(
            ErrorClass::Configuration,
            "the state's mark of this feed cannot be read",
            self.path.display().to_string(),
            "the mark of a feed",
            "Was the sink's name used for something else? Give --fresh to begin the job anew",
        )
    }

    fn not_open(&self) -> SinkError {
        let place = self.path.display().to_string();
        SinkError::new(
            ErrorClass::Permanent,
            "the feed is not open",
            place,
            "open before write",
            "This is a mistake in weir: please report it",
        )
    }

    fn write_now(&mut self, items: &[Arc<Item>], outcomes: &mut Vec<ItemOutcome>) -> Result<SinkMark, SinkError> {
        outcomes.clear();
        let housekeeping = self.housekeeping;
        if self.open.is_none() {
            return Err(self.not_open());
        }
        let Some(open) = &mut self.open else { unreachable!("seen above") };
        open.buffer.clear();
        let rows_before = open.exporter.rows();
        for item in items {
            outcomes.push(match open.export(item, housekeeping) {
                Ok(()) => ItemOutcome::Stored,
                Err(reason) => ItemOutcome::Refused { reason },
            });
        }
        if !open.buffer.is_empty()
            && let Err(error) = open.part.append(&open.buffer)
        {
            open.exporter.resume(rows_before);
            outcomes.clear();
            return Err(error);
        }
        Ok(mark(open.part.position()?, open.exporter.rows()))
    }

    fn finish_now(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        if matches!(outcome, Outcome::Shutdown | Outcome::Failed) {
            return Ok(()); // to be resumed: the part stays
        }
        open.buffer.clear();
        open.exporter.finish(&mut open.buffer);
        if !open.buffer.is_empty() {
            let end = std::mem::take(&mut open.buffer);
            if let Err(error) = open.part.append(&end) {
                self.open = Some(open);
                return Err(error);
            }
        }
        open.part.complete()
    }
}

const HOUSEKEEPING: [&str; 6] = ["_id", "_job", "_spider", "_version", "_hash", "_fetched_at"];

impl OpenFeed {
    fn export(&mut self, item: &Item, housekeeping: bool) -> Result<(), String> {
        let schema = self
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
        let mut cells: Vec<(&str, Cell<'_>)> = Vec::with_capacity(schema.fields.len() + 6);
        cells.extend(
            schema.fields.iter().zip(&item.values).map(|(field, value)| (field.name.as_str(), Cell::Value(value))),
        );
        if !housekeeping {
            return self.exporter.export(&cells, &mut self.buffer);
        }
        let (id, hash, fetched) =
            (item.id.to_hex(), format!("{:016x}", item.hash), text::version_as_time(item.version));
        let values = [
            Cell::Text(&id),
            Cell::Number(item.job.0),
            Cell::Text(&self.spider),
            Cell::Number(item.version),
            Cell::Text(&hash),
            Cell::Text(&fetched),
        ];
        cells.extend(HOUSEKEEPING.into_iter().zip(values));
        self.exporter.export(&cells, &mut self.buffer)
    }
}

impl Sink for FeedSink {
    fn describe(&self) -> SinkInfo {
        SinkInfo {
            name: "feed",
            url: self.path.display().to_string(),
            kind: SinkKind::Appending,
            batch: BatchPolicy::default(),
        }
    }

    fn open(&mut self, job: &JobInfo) -> Result<Opened, SinkError> {
        self.start(job)?;
        // A feed belongs to its job and holds every item of it.
        let generation = u64::from_str_radix(&job.tag()[32..], 16).unwrap_or_default() ^ job.state as u64;
        Ok(Opened { generation })
    }

    fn write<'a>(
        &'a mut self,
        items: &'a [Arc<Item>],
        outcomes: &'a mut Vec<ItemOutcome>,
    ) -> BoxFuture<'a, Result<SinkMark, SinkError>> {
        Box::pin(async move { self.write_now(items, outcomes) })
    }

    fn read_back<'a>(
        &'a mut self,
        job: &'a JobInfo,
        each: &'a mut (dyn FnMut(StoredItem) + Send),
    ) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move { crate::readback::read_back(&self.path, self.format, job, each) })
    }

    fn finish<'a>(&'a mut self, outcome: Outcome, _complete: bool) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move { self.finish_now(outcome) })
    }
}

/// `feed 1 LENGTH ROWS TAIL`.
fn mark(position: Position, rows: u64) -> SinkMark {
    SinkMark(format!("feed 1 {} {rows} {:016x}", position.len, position.tail).into_bytes())
}

fn read_mark(mark: &SinkMark) -> Option<(Position, u64)> {
    let text = std::str::from_utf8(&mark.0).ok()?;
    let ["feed", "1", len, rows, tail] = text.split(' ').collect::<Vec<_>>()[..] else { return None };
    Some((Position { len: len.parse().ok()?, tail: u64::from_str_radix(tail, 16).ok()? }, rows.parse().ok()?))
}
