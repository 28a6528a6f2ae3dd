//! The header of a CSV file that is to be gone on with: rows of other columns below it would be read as what they are not.

use crate::export::ExportOptions;
use crate::file::At;
use crate::readback::cells;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use weir_connector::{Compression, ErrorClass, SinkError};

/// A header is no longer: what has no line's end is no CSV.
const BYTES_MAX: u64 = 1 << 20;
/// Of a header, what a person is shown.
const SHOWN_CHARS: usize = 200;

/// Refuses a file whose columns are not those of the rows to come. A file that is not there, or is empty, gets its header.
pub(crate) fn check(target: &Path, compression: Compression, options: &ExportOptions) -> Result<(), SinkError> {
    let Some(columns) = options.fields.as_ref().filter(|_| options.header) else { return Ok(()) };
    let file = match File::open(target) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        result => result.at("open", target)?,
    };
    if file.metadata().at("look at", target)?.len() == 0 {
        return Ok(());
    }
    let plain: Box<dyn Read> = match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file).at("read", target)?),
    };
    let bytes = first_record(plain.take(BYTES_MAX)).at("read", target)?;
    let text = options.charset.unwrap_or_default().decode(&bytes);
    // Spreadsheets put a mark in front.
    let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    if text.is_empty() && bytes.is_empty() {
        return Ok(()); // compressed nothing
    }
    let found = cells(text);
    if found.iter().eq(columns.iter().map(|(_, title)| title)) {
        return Ok(());
    }
    let meant: Vec<&str> = columns.iter().map(|(_, title)| title.as_str()).collect();
    Err(SinkError::new(
        ErrorClass::Configuration,
        format!("nothing can be appended to a CSV file of other columns ({})", shown(&found.join(","))),
        target.display().to_string(),
        format!("the header {}", shown(&meant.join(","))),
        "Name another file with -o, or give --overwrite",
    ))
}

/// Up to the end of the line on which every quote is closed.
fn first_record(file: impl Read) -> std::io::Result<Vec<u8>> {
    let (mut reader, mut record) = (BufReader::new(file), Vec::new());
    loop {
        let length = reader.read_until(b'\n', &mut record)?;
        if length == 0 || record.iter().filter(|byte| **byte == b'"').count() % 2 == 0 {
            return Ok(record);
        }
    }
}

fn shown(header: &str) -> String {
    match header.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}...", &header[..end]),
        None => format!("{header:?}"),
    }
}
