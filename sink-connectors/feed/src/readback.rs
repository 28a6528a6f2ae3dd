//! Reading back: every row of a feed file, its cells as values again. Changes nothing.
//!
//! A feed has an item's fields and nothing else: no identity, no version, no type. The type is the one whose fields a row has.
//! CSV does not tell an empty text from none, nor where the values of a list end: such values are unsure.

mod xml;

use crate::parquet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_connector::{Compression, ErrorClass, FeedFormat, JobInfo, Read, SinkError, StoredItem, read};
use weir_model::{FieldKind, ItemSchema, Value};

pub(crate) fn read_back(
    path: &Path,
    format: FeedFormat,
    compression: Compression,
    job: &JobInfo,
    each: &mut dyn FnMut(StoredItem),
) -> Result<(), SinkError> {
    let part = PathBuf::from(format!("{}.part", path.display()));
    // The part of an unfinished job.
    let path = if !path.exists() && part.exists() { &part } else { path };
    let file = File::open(path).map_err(|error| {
        SinkError::new(
            ErrorClass::Configuration,
            format!("cannot open the feed ({error})"),
            path.display().to_string(),
            "the file that the job wrote",
            "Put it back, or name it as the job did with -o",
        )
    })?;
    read_file(path, file, format, compression, job, each)
}

/// Every row of a feed that is open; `path` is for people.
pub(crate) fn read_file(
    path: &Path,
    file: File,
    format: FeedFormat,
    compression: Compression,
    job: &JobInfo,
    each: &mut dyn FnMut(StoredItem),
) -> Result<(), SinkError> {
    if format == FeedFormat::Parquet {
        return parquet::read(path, file, job, each);
    }
    let plain: Box<dyn std::io::Read> = match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file).map_err(|error| failed(path, &error))?),
    };
    let mut reader = BufReader::with_capacity(1 << 16, plain);
    match format {
        FeedFormat::Csv => csv(path, &mut reader, job, each),
        FeedFormat::Xml => xml::read(path, &mut reader, job, each),
        FeedFormat::JsonLines | FeedFormat::Json | FeedFormat::Parquet => lines(path, &mut reader, job, each),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> SinkError {
    SinkError::io("read", path, error)
}

fn foreign(path: &Path, line: u64, what: &str) -> SinkError {
    SinkError::new(
        ErrorClass::Configuration,
        format!("line {line}: {what}"),
        path.display().to_string(),
        "a feed as weir wrote it",
        "Was it changed? Write it anew with a crawl",
    )
}

fn lines(
    path: &Path,
    reader: &mut dyn BufRead,
    job: &JobInfo,
    each: &mut dyn FnMut(StoredItem),
) -> Result<(), SinkError> {
    let mut line = String::new();
    for number in 1u64.. {
        line.clear();
        if reader.read_line(&mut line).map_err(|error| failed(path, &error))? == 0 {
            return Ok(());
        }
        // A JSON array has an item a line as well.
        let row = line.trim().trim_end_matches(',');
        if matches!(row, "" | "[" | "]") {
            continue;
        }
        let row: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(row).map_err(|error| foreign(path, number, &format!("no JSON object ({error})")))?;
        let has = |name: &str| row.contains_key(name);
        let Some((schema, of)) = schema_of(&job.schemas, row.len(), has) else {
            return Err(foreign(path, number, "its fields are those of no item type"));
        };
        let values = of.fields.iter().map(|field| match row.get(&field.name) {
            Some(json) => read::from_json(field, json),
            None => Read::Unsure(Value::Null),
        });
        each(StoredItem { schema, id: None, version: None, hash: None, values: values.collect() });
    }
    Ok(())
}

/// The item type whose fields a row has: all of them, else most.
fn schema_of(schemas: &[Arc<ItemSchema>], count: usize, has: impl Fn(&str) -> bool) -> Option<(u16, &ItemSchema)> {
    let found = |schema: &ItemSchema| schema.fields.iter().filter(|field| has(&field.name)).count();
    let exact = schemas.iter().position(|schema| schema.fields.len() == count && found(schema) == count);
    let at = exact
        .or_else(|| (0..schemas.len()).filter(|at| found(&schemas[*at]) > 0).max_by_key(|at| found(&schemas[*at])))?;
    Some((at as u16, &schemas[at]))
}

fn csv(
    path: &Path,
    reader: &mut dyn BufRead,
    job: &JobInfo,
    each: &mut dyn FnMut(StoredItem),
) -> Result<(), SinkError> {
    let mut number = 0;
    let mut next = || -> Result<Option<Vec<String>>, SinkError> {
        let mut record = String::new();
        loop {
            number += 1;
            let length = reader.read_line(&mut record).map_err(|error| failed(path, &error))?;
            if length == 0 && record.is_empty() {
                return Ok(None);
            }
            // A line ends a record when every quote is closed.
            if record.bytes().filter(|b| *b == b'"').count() % 2 == 0 {
                return Ok(Some(cells(record.trim_end_matches(['\r', '\n']))));
            }
            if length == 0 {
                return Err(foreign(path, number, "a quote that is not closed"));
            }
        }
    };
    let Some(columns) = next()? else { return Ok(()) };
    while let Some(row) = next()? {
        let cell_of = |name: &str| {
            let at = columns.iter().position(|column| column == name)?;
            row.get(at).map(String::as_str)
        };
        // Rows of all types have the same columns.
        let (schema, of) = match &job.schemas[..] {
            [one] => (0, &**one),
            several => schema_of(several, 0, |name| cell_of(name).is_some_and(|cell| !cell.is_empty()))
                .unwrap_or((0, &several[0])),
        };
        let values = of.fields.iter().map(|field| match cell_of(&field.name) {
            None | Some("") => Read::Unsure(Value::Null),
            Some(_) if field.many || field.kind == FieldKind::Json => Read::Unsure(Value::Null),
            Some(cell) => read::from_text(field, Some(cell)),
        });
        each(StoredItem { schema, id: None, version: None, hash: None, values: values.collect() });
    }
    Ok(())
}

/// The cells of a record, quotes taken off.
pub(crate) fn cells(record: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut chars = record.chars().peekable();
    while let Some(c) = chars.next() {
        let cell = cells.last_mut().expect("never empty");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_cut_where_cells_end() {
        assert_eq!(cells("a,\"x,y\",\"say \"\"hi\"\"\nthere\","), ["a", "x,y", "say \"hi\"\nthere", ""]);
        assert_eq!(cells("\"\""), [""]);
    }
}
