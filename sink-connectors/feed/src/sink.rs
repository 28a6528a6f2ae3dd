//! The feed as a sink. Every batch is one write and one sync; the mark is the committed length and a hash of its end.
//!
//! Parts that are full wait beside their place until the state keeps a mark behind them: only then do they become visible, and from then
//! on nobody touches them again.

mod parts;

use crate::charset::Charset;
use crate::claim::Claim;
use crate::export::ExportOptions;
use crate::file::PartNames;
use crate::mark::Mark;
use crate::name::Template;
use crate::parquet::Columns;
use crate::part::{HOUSEKEEPING, Part, Rows};
use crate::remote::Remote;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use weir_connector::{
    BatchPolicy, BoxFuture, Compression, ErrorClass, FeedFormat, ItemOutcome, JobInfo, Opened, Sink, SinkError,
    SinkInfo, SinkKind, SinkMark, StoredItem,
};
use weir_model::{Item, ItemSchema, Outcome};
use xxhash_rust::xxh3::xxh3_64;

/// What to do with a feed that exists from another job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Say so and stop.
    #[default]
    Refuse,
    /// Keep it and write behind it; with parts, behind the last of them.
    Append,
    /// Replace it, when the new one is complete.
    Overwrite,
}

/// When a part is full: with the row that reaches a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartLimits {
    /// Rows.
    pub rows: Option<u64>,
    /// Bytes before compression.
    pub bytes: Option<u64>,
    /// From the fetch of the first item in it: a later one begins the next part.
    pub time: Option<Duration>,
}

impl PartLimits {
    fn any(self) -> bool {
        self != PartLimits::default()
    }
}

/// A feed.
pub struct FeedSink {
    template: Template,
    place: Place,
    format: FeedFormat,
    compression: Compression,
    options: ExportOptions,
    existing: Existing,
    limits: PartLimits,
    housekeeping: bool,
    job: Option<Job>,
    /// What the last part was made of, until the state knows of the job's end.
    kept: Option<(PartNames, Option<Claim>)>,
}

impl std::fmt::Debug for FeedSink {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("FeedSink").field("name", &self.shown()).field("format", &self.format).finish_non_exhaustive()
    }
}

enum Place {
    Disk,
    Elsewhere { remote: Box<dyn Remote>, spool: PathBuf },
}

struct Job {
    info: JobInfo,
    options: ExportOptions,
    rows: Rows,
    /// What was told last: after a failure everything goes back to it.
    told: Mark,
    failed: bool,
    /// Nothing of it was ever told: what `open` made is nobody's if the job does not begin.
    fresh: bool,
    number: u64,
    pending_from: u64,
    /// Parts below are in the state's mark.
    committed: u64,
    part: Option<Part>,
    /// The places that the job holds, by the number of their parts: until these are complete.
    claims: BTreeMap<u64, Claim>,
}

impl FeedSink {
    /// A feed file of the schema's fields in UTF-8; JSON arrays and XML have an item a line.
    #[must_use]
    pub fn new(path: impl AsRef<Path>, format: FeedFormat) -> FeedSink {
        FeedSink::named(Template::verbatim(&path.as_ref().to_string_lossy()), format)
    }

    /// A feed file, or several, whose names are filled in.
    #[must_use]
    pub fn named(template: Template, format: FeedFormat) -> FeedSink {
        let options = ExportOptions { indent: Some(0), charset: Some(Charset::Utf8), ..ExportOptions::default() };
        FeedSink {
            template,
            place: Place::Disk,
            format,
            compression: Compression::None,
            options,
            existing: Existing::Refuse,
            limits: PartLimits::default(),
            housekeeping: false,
            job: None,
            kept: None,
        }
    }

    /// The files go elsewhere, each when it is complete; until then they lie in the folder `spool`.
    #[must_use]
    pub fn elsewhere(mut self, remote: Box<dyn Remote>, spool: impl Into<PathBuf>) -> FeedSink {
        self.place = Place::Elsewhere { remote, spool: spool.into() };
        self
    }

    /// How it is written.
    #[must_use]
    pub fn with_options(mut self, options: ExportOptions) -> FeedSink {
        self.options = options;
        self
    }

    /// How it is compressed.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> FeedSink {
        self.compression = compression;
        self
    }

    /// When a new part begins. The name must have the part's number in it.
    #[must_use]
    pub fn with_parts(mut self, limits: PartLimits) -> FeedSink {
        self.limits = limits;
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

    /// Takes away what was written and will not be completed: a file of an earlier job stays as it is.
    pub fn discard(&mut self) -> Result<(), SinkError> {
        if let Some(job) = self.job.take() {
            drop(job.part);
            self.names(&job.info, job.number).discard(&job.info.tag())?;
        }
        Ok(())
    }

    fn configuration(&self, what: &str, expected: &str, todo: &str) -> SinkError {
        SinkError::new(ErrorClass::Configuration, what, self.shown(), expected, todo)
    }

    fn shown(&self) -> String {
        match &self.place {
            Place::Disk => self.template.as_written().to_owned(),
            Place::Elsewhere { remote, .. } => format!("{}/{}", remote.place(), self.template.as_written()),
        }
    }

    /// A job's part on this machine.
    fn names(&self, info: &JobInfo, number: u64) -> PartNames {
        match &self.place {
            Place::Disk => {
                PartNames::new(Path::new(&self.template.name(info, number)), self.format != FeedFormat::Parquet)
            }
            Place::Elsewhere { spool, .. } => {
                let name = format!("{:016x}-{}-{number}", xxh3_64(self.shown().as_bytes()), info.job.0);
                PartNames::new(&spool.join(name), false)
            }
        }
    }

    /// True when there is a file of that number already.
    fn is_there(&mut self, info: &JobInfo, number: u64) -> Result<bool, SinkError> {
        let names = self.names(info, number);
        match &mut self.place {
            Place::Disk => names.is_complete(),
            Place::Elsewhere { remote, .. } => remote.exists(&self.template.name(info, number)),
        }
    }

    /// True when another job has written the file of that number.
    fn is_taken(&mut self, info: &JobInfo, number: u64) -> Result<bool, SinkError> {
        let there = self.is_there(info, number)?;
        Ok(there && !self.names(info, number).is_of(&info.tag())?)
    }

    fn start(&mut self, info: &JobInfo) -> Result<(), SinkError> {
        if self.limits.any() && !self.template.has_number() {
            return Err(self.configuration(
                "a feed in parts needs a name for each of them",
                "a name with %(batch_id)05d",
                "Put the part's number into the name, or leave the limits of parts away",
            ));
        }
        let appends_to_file = self.existing == Existing::Append && !self.template.has_number();
        if appends_to_file && !self.can_append() && info.resume.is_none() && self.is_taken(info, 1)? {
            return Err(self.configuration(
                "nothing can be appended to such a feed, and it exists already, from another job",
                "JSON Lines or CSV on this machine, parts (%(batch_id)d in the name), or a file that is not there yet",
                "Name another file with -o, such as PATH.jsonl; a crawl replaces one with --overwrite",
            ));
        }
        let mut options = self.options.clone();
        if self.format == FeedFormat::Csv && options.fields.is_none() {
            // All fields of all item types, so that the columns do not hang on which item came first.
            options.fields = Some(self.columns(&info.schemas));
        }
        let columns = match self.format {
            FeedFormat::Parquet => Some(
                Columns::new(&info.schemas, &info.spider, self.housekeeping)
                    .map_err(|what| self.configuration(&what, "one type a column", "Rename one of the fields"))?,
            ),
            _ => None,
        };
        let rows = Rows {
            schemas: info.schemas.clone(),
            spider: info.spider.clone(),
            housekeeping: self.housekeeping,
            columns,
        };
        let fresh = info.resume.is_none();
        let told = match &info.resume {
            Some(mark) => Mark::read(mark).ok_or_else(|| {
                self.configuration(
                    "the state's mark of this feed cannot be read",
                    "the mark of a feed",
                    "Was the sink's name used for something else? Give --fresh to begin the job anew",
                )
            })?,
            None => {
                let number = self.first_number(info)?;
                Mark { number, pending_from: number, open: None }
            }
        };
        self.job = Some(Job {
            info: JobInfo { resume: None, ..info.clone() },
            options,
            rows,
            failed: false,
            fresh,
            number: told.number,
            pending_from: told.pending_from,
            committed: told.number,
            part: None,
            claims: BTreeMap::new(),
            told,
        });
        if fresh {
            self.begin_part()?;
            let open = self.opened()?.part.as_ref().map(Part::open).transpose()?;
            self.opened()?.told.open = open;
            self.discard_later()
        } else {
            self.take_up()
        }
    }

    fn can_append(&self) -> bool {
        self.format.can_append() && matches!(self.place, Place::Disk)
    }

    /// The number of a new job's first part. Elsewhere it is also asked whether the place can be used.
    fn first_number(&mut self, info: &JobInfo) -> Result<u64, SinkError> {
        let mut number = 1;
        while self.existing == Existing::Append && self.template.has_number() && self.is_taken(info, number)? {
            number += 1;
        }
        if matches!(self.place, Place::Elsewhere { .. })
            && self.is_taken(info, number)?
            && self.existing == Existing::Refuse
        {
            let place = self.names_elsewhere(info, number);
            return Err(SinkError::new(
                ErrorClass::Configuration,
                "the feed exists already, from another job",
                place,
                "no such file, or --overwrite",
                "Name another file with -o, or give --overwrite",
            ));
        }
        Ok(number)
    }

    fn names_elsewhere(&self, info: &JobInfo, number: u64) -> String {
        match &self.place {
            Place::Disk => self.template.name(info, number),
            Place::Elsewhere { remote, .. } => format!("{}/{}", remote.place(), self.template.name(info, number)),
        }
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

    fn opened(&mut self) -> Result<&mut Job, SinkError> {
        let shown = self.shown();
        self.job.as_mut().ok_or_else(|| SinkError::not_open(&shown))
    }

    fn write_now(&mut self, items: &[Arc<Item>], outcomes: &mut Vec<ItemOutcome>) -> Result<SinkMark, SinkError> {
        outcomes.clear();
        let result = self.write_all(items, outcomes);
        if result.is_err() {
            outcomes.clear();
            if let Some(job) = &mut self.job {
                (job.part, job.failed) = (None, true);
            }
        }
        result
    }

    fn write_all(&mut self, items: &[Arc<Item>], outcomes: &mut Vec<ItemOutcome>) -> Result<SinkMark, SinkError> {
        if self.opened()?.failed {
            self.take_up()?;
        }
        for item in items {
            outcomes.push(self.row(item)?);
        }
        let job = self.opened()?;
        let open = match &mut job.part {
            Some(part) => {
                part.flush()?;
                Some(part.open()?)
            }
            None => None,
        };
        job.told = Mark { number: job.number, pending_from: job.pending_from, open };
        Ok(job.told.write())
    }
}

impl Sink for FeedSink {
    fn describe(&self) -> SinkInfo {
        SinkInfo { name: "feed", url: self.shown(), kind: SinkKind::Appending, batch: BatchPolicy::default() }
    }

    fn open(&mut self, job: &JobInfo) -> Result<Opened, SinkError> {
        self.start(job)?;
        // A feed belongs to its job and holds every item of it.
        let generation = u64::from_str_radix(&job.tag()[32..], 16).unwrap_or_default() ^ job.state as u64;
        Ok(Opened { generation })
    }

    fn unopened(&mut self) {
        if self.job.as_ref().is_some_and(|job| job.fresh) {
            // What stays is taken away by the next job that writes there, when it may.
            let _ = self.discard();
        }
        self.job = None;
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
        Box::pin(async move { self.read_now(job, each) })
    }

    fn committed<'a>(&'a mut self, mark: &'a SinkMark) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move { self.committed_now(mark) })
    }

    fn finish<'a>(&'a mut self, outcome: Outcome, _complete: bool) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move { self.finish_now(outcome) })
    }

    fn ended(&mut self) {
        if let Some((names, _claim)) = self.kept.take() {
            // What stays is taken away by the next job that writes there.
            let _ = names.forget();
        }
    }
}
