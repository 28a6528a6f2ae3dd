//! Parquet: the columns of the item types, and a whole file made of a part's log of items.
//!
//! A Parquet file is nothing before its footer, so a part is a log while it is written (items in their compact binary form, synced a batch
//! at a time, cut back to a mark like any other part) and becomes a file when it is full. The same log always gives the same bytes.
//!
//! Invariants: what `check` accepts can be written; a row group holds about `GROUP_BYTES_MAX` of log, and no more is ever in memory.

mod column;
mod read;

use crate::part::HOUSEKEEPING;
use column::{Leaf, Source};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
pub(crate) use read::read;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;
use weir_connector::{ErrorClass, SinkError};
use weir_model::{FieldKind, Item, ItemSchema, crash, wire};

/// Bytes of log in one row group: a reader holds a few of them in memory.
const GROUP_BYTES_MAX: usize = 16 << 20;

/// The columns of a feed: the fields of all item types by name.
#[derive(Debug)]
pub(crate) struct Columns {
    columns: Vec<Column>,
    schema: TypePtr,
    spider: String,
}

#[derive(Debug)]
struct Column {
    name: String,
    kind: FieldKind,
    many: bool,
    source: Source,
}

impl Columns {
    /// `Err` says which field has two types.
    pub fn new(schemas: &[Arc<ItemSchema>], spider: &str, housekeeping: bool) -> Result<Columns, String> {
        let mut columns: Vec<Column> = Vec::new();
        for schema in schemas {
            for field in &schema.fields {
                match columns.iter().find(|column| column.name == field.name) {
                    Some(column) if (column.kind, column.many) == (field.kind, field.many) => {}
                    Some(_) => return Err(format!("the field {:?} has another type in {:?}", field.name, schema.name)),
                    None => columns.push(Column {
                        name: field.name.clone(),
                        kind: field.kind,
                        many: field.many,
                        source: Source::Field,
                    }),
                }
            }
        }
        if housekeeping {
            for name in HOUSEKEEPING {
                let (kind, source) = match name {
                    "_job" => (FieldKind::Int, Source::Job),
                    "_version" => (FieldKind::Int, Source::Version),
                    "_spider" => (FieldKind::Str, Source::Spider),
                    "_hash" => (FieldKind::Str, Source::Hash),
                    "_fetched_at" => (FieldKind::Datetime, Source::Fetched),
                    _ => (FieldKind::Str, Source::Id),
                };
                columns.push(Column { name: name.to_owned(), kind, many: false, source });
            }
        }
        let fields = columns.iter().map(|column| column::type_of(&column.name, column.kind, column.many));
        let fields = fields.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let schema = Type::group_type_builder("item").with_fields(fields).build().map_err(|error| error.to_string())?;
        Ok(Columns { columns, schema: Arc::new(schema), spider: spider.to_owned() })
    }

    /// Whether an item's values are of the columns' types; `Err` says which is not.
    pub fn check(&self, schema: &ItemSchema, item: &Item) -> Result<(), String> {
        for (field, value) in schema.fields.iter().zip(&item.values) {
            column::check(field.kind, field.many, value)
                .map_err(|expected| format!("field {:?} is no {expected}, as its column in Parquet is", field.name))?;
        }
        Ok(())
    }

    fn leaves(&self) -> Vec<Leaf> {
        self.columns.iter().flat_map(|column| Leaf::of(column.kind, column.many)).collect()
    }

    /// Adds an item's values to the leaves.
    fn push(&self, leaves: &mut [Leaf], schemas: &[Arc<ItemSchema>], item: &Item) -> Result<(), String> {
        let schema = schemas.get(usize::from(item.schema)).ok_or("an item type that the job does not have")?;
        let mut at = 0;
        for column in &self.columns {
            let own;
            let value = match column.source {
                Source::Field => schema.position(&column.name).and_then(|position| item.values.get(position)),
                source => {
                    own = column::housekeeping(source, item, &self.spider);
                    Some(&own)
                }
            };
            let count = Leaf::count(column.kind);
            column::push(&mut leaves[at..at + count], column.kind, column.many, value)?;
            at += count;
        }
        Ok(())
    }
}

/// Makes the file `to` of the log `from`, durably.
pub(crate) fn make(from: &Path, to: &Path, columns: &Columns, schemas: &[Arc<ItemSchema>]) -> Result<(), SinkError> {
    crash::point("feed: make parquet");
    let log = File::open(from).map_err(|error| SinkError::io("open", from, &error))?;
    let out = File::create(to).map_err(|error| SinkError::io("create", to, &error))?;
    let done = write(BufReader::new(log), &out, columns, schemas);
    done.map_err(|failure| match failure {
        Failure::Log(what) => SinkError::new(
            ErrorClass::Permanent,
            format!("the part's log cannot be read: {what}"),
            from.display().to_string(),
            "the items that the job wrote",
            "Check the disk, or give --fresh to begin the job anew",
        ),
        Failure::Read(error) => SinkError::io("read", from, &error),
        Failure::Write(error) => SinkError::io("write", to, &error),
    })?;
    crash::point("feed: sync parquet");
    out.sync_all().map_err(|error| SinkError::io("sync", to, &error))
}

enum Failure {
    Log(String),
    Read(std::io::Error),
    Write(std::io::Error),
}

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Failure {
        // What the writer says of the file system is wrapped; its kind decides whether it is tried again.
        match error {
            ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
                Ok(error) => Failure::Write(*error),
                Err(other) => Failure::Write(std::io::Error::other(other)),
            },
            other => Failure::Write(std::io::Error::other(other)),
        }
    }
}

fn write(mut log: impl Read, out: &File, columns: &Columns, schemas: &[Arc<ItemSchema>]) -> Result<(), Failure> {
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by("weir".to_owned()).build();
    let mut writer = SerializedFileWriter::new(out, Arc::clone(&columns.schema), Arc::new(properties))?;
    let mut leaves = columns.leaves();
    let (mut bytes, mut item) = (0, Vec::new());
    while next(&mut log, &mut item)? {
        let read = wire::read_item(&mut wire::Reader::new(&item)).map_err(|error| Failure::Log(error.to_string()))?;
        columns.push(&mut leaves, schemas, &read).map_err(Failure::Log)?;
        bytes += item.len();
        if bytes >= GROUP_BYTES_MAX {
            put_group(writer.next_row_group()?, &mut leaves)?;
            bytes = 0;
        }
    }
    if bytes > 0 {
        put_group(writer.next_row_group()?, &mut leaves)?;
    }
    writer.close()?;
    Ok(())
}

fn put_group<W: Write + Send>(
    mut group: SerializedRowGroupWriter<'_, W>,
    leaves: &mut [Leaf],
) -> Result<(), ParquetError> {
    for leaf in leaves {
        let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("a column is missing".to_owned()))?;
        leaf.write(&mut column)?;
        column.close()?;
    }
    group.close()?;
    Ok(())
}

/// The next record of the log: a length of seven bits a byte, then so many bytes. False at its end.
fn next(log: &mut impl Read, item: &mut Vec<u8>) -> Result<bool, Failure> {
    let (mut len, mut shift, mut byte) = (0u64, 0, [0u8]);
    loop {
        match log.read(&mut byte) {
            Ok(0) if shift == 0 => return Ok(false),
            Ok(0) => return Err(Failure::Log("it ends in the middle of a length".to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Read(error)),
        }
        len |= u64::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
        if shift > 56 {
            return Err(Failure::Log("a length is none".to_owned()));
        }
    }
    item.clear();
    log.take(len).read_to_end(item).map_err(Failure::Read)?;
    if item.len() as u64 == len { Ok(true) } else { Err(Failure::Log("it ends in the middle of an item".to_owned())) }
}

#[cfg(test)]
mod tests;
