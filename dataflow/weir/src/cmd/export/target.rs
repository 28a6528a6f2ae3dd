//! Where an export goes: a file that is complete or not there, or standard output, row by row.

use crate::cmd::Usage;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_connector::{Compression, ErrorClass, FeedFormat, ItemOutcome, JobInfo, Sink, SinkError};
use weir_feed::{Cell, Charset, Existing, ExportOptions, Exporter, FeedSink};
use weir_model::{Item, ItemSchema, Outcome};

const FORMATS: &str = "csv, json, jsonl, xml or parquet";

/// Place and format.
pub struct Target {
    /// `None`: standard output.
    path: Option<PathBuf>,
    format: FeedFormat,
    compression: Compression,
    overwrite: bool,
}

impl Target {
    /// By what the command line says.
    pub fn parse(output: &str, format: Option<&str>, overwrite: bool) -> Result<Target, Usage> {
        let named = format
            .map(|name| {
                FeedFormat::from_name(name).ok_or_else(|| Usage(format!("--format {name}: expected {FORMATS}")))
            })
            .transpose()?;
        if output == "-" {
            let format =
                named.ok_or_else(|| Usage(format!("which format? --format FORMAT, with {FORMATS}, or -o FILE")))?;
            return Ok(Target { path: None, format, compression: Compression::None, overwrite });
        }
        if output.contains("://") {
            return Err(Usage(format!("-o {output}: expected a file on this machine, or - for standard output")));
        }
        let (compression, plain) = Compression::of(output);
        let by_name = Path::new(plain).extension().and_then(|extension| FeedFormat::from_name(extension.to_str()?));
        let Some(format) = named.or(by_name) else {
            return Err(Usage(format!("-o {output}: its name says no format; add --format, with {FORMATS}")));
        };
        if format == FeedFormat::Parquet && compression != Compression::None {
            return Err(Usage(format!("-o {output}: Parquet is compressed by itself; leave .gz or .zst away")));
        }
        let path = PathBuf::from(output);
        if path.exists() && !overwrite {
            return Err(Usage(format!("-o {output}: the file exists; name another one, or give --overwrite")));
        }
        Ok(Target { path: Some(path), format, compression, overwrite })
    }

    /// Ready for the first item.
    pub fn open(self, info: &JobInfo) -> anyhow::Result<Writer> {
        let refused = Refused::default();
        let (path, folder) = match (self.path, self.format) {
            (Some(path), _) => (path, None),
            (None, FeedFormat::Parquet) => {
                // Nothing of it is one before its end.
                let folder = std::env::temp_dir().join(format!("weir-export-{}", std::process::id()));
                std::fs::create_dir_all(&folder)?;
                (folder.join("export.parquet"), Some(Folder(folder)))
            }
            (None, format) => {
                let printer = Printer::new(format, info);
                return Ok(Writer { place: Place::Printed(Box::new(printer)), refused });
            }
        };
        let mut feed = FeedSink::new(&path, self.format).with_compression(self.compression);
        if self.overwrite {
            feed = feed.with_existing(Existing::Overwrite);
        }
        feed.open(info).map_err(told)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Writer { place: Place::File { feed: Box::new(feed), runtime, path, folder }, refused })
    }
}

/// Items that cannot be written in the format.
#[derive(Default)]
pub struct Refused {
    pub count: u64,
    pub first: String,
}

impl Refused {
    fn add(&mut self, reason: String) {
        if self.count == 0 {
            self.first = reason;
        }
        self.count += 1;
    }
}

/// Writes items.
pub struct Writer {
    place: Place,
    refused: Refused,
}

enum Place {
    File {
        feed: Box<FeedSink>,
        runtime: tokio::runtime::Runtime,
        path: PathBuf,
        /// To be printed at the end, and taken away.
        folder: Option<Folder>,
    },
    Printed(Box<Printer>),
}

impl Writer {
    /// Some more items.
    pub fn write(&mut self, items: &[Arc<Item>]) -> anyhow::Result<()> {
        match &mut self.place {
            Place::Printed(printer) => printer.write(items, &mut self.refused),
            Place::File { feed, runtime, .. } => {
                let mut outcomes = Vec::new();
                runtime.block_on(feed.write(items, &mut outcomes)).map_err(told)?;
                for outcome in outcomes {
                    if let ItemOutcome::Refused { reason } | ItemOutcome::Retry { reason } = outcome {
                        self.refused.add(reason);
                    }
                }
            }
        }
        Ok(())
    }

    /// The end: now the file is there.
    pub fn finish(mut self) -> anyhow::Result<Refused> {
        match &mut self.place {
            Place::Printed(printer) => printer.finish(),
            Place::File { feed, runtime, path, folder } => {
                runtime.block_on(feed.finish(Outcome::Finished, true)).map_err(told)?;
                feed.ended();
                if folder.is_some() {
                    let mut file = std::fs::File::open(&*path)?;
                    let mut out = std::io::stdout();
                    crate::out::note(std::io::copy(&mut file, &mut out).and_then(|_| out.flush()));
                }
            }
        }
        Ok(self.refused)
    }

    /// Something went wrong: no file.
    pub fn discard(self) {
        if let Place::File { mut feed, .. } = self.place
            && let Err(error) = feed.discard()
        {
            crate::out::err!("weir: {error}");
        }
    }
}

/// A feed's text on standard output.
struct Printer {
    exporter: Exporter,
    schemas: Vec<Arc<ItemSchema>>,
    buffer: Vec<u8>,
}

impl Printer {
    fn new(format: FeedFormat, info: &JobInfo) -> Printer {
        let mut columns: Vec<(String, String)> = Vec::new();
        for field in info.schemas.iter().flat_map(|schema| &schema.fields) {
            if columns.iter().all(|(name, _)| *name != field.name) {
                columns.push((field.name.clone(), field.name.clone()));
            }
        }
        // As the file would be.
        let options = ExportOptions {
            indent: Some(0),
            charset: Some(Charset::Utf8),
            fields: (format == FeedFormat::Csv).then_some(columns),
            ..ExportOptions::default()
        };
        let (mut exporter, mut buffer) = (Exporter::new(format, options), Vec::new());
        exporter.begin(&mut buffer);
        Printer { exporter, schemas: info.schemas.clone(), buffer }
    }

    fn write(&mut self, items: &[Arc<Item>], refused: &mut Refused) {
        for item in items {
            let Some(schema) = self.schemas.get(usize::from(item.schema)) else { continue };
            let cells = schema.fields.iter().zip(&item.values);
            let cells: Vec<_> = cells.map(|(field, value)| (field.name.as_str(), Cell::Value(value))).collect();
            if let Err(reason) = self.exporter.export(&cells, &mut self.buffer) {
                refused.add(reason);
            }
        }
        self.print();
    }

    fn finish(&mut self) {
        self.exporter.finish(&mut self.buffer);
        self.print();
    }

    fn print(&mut self) {
        crate::out::note(std::io::stdout().write_all(&self.buffer));
        self.buffer.clear();
    }
}

/// Taken away with all in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is in the folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn told(error: SinkError) -> anyhow::Error {
    match error.class {
        ErrorClass::Configuration => Usage(error.to_string()).into(),
        ErrorClass::Transient | ErrorClass::Permanent => error.into(),
    }
}
