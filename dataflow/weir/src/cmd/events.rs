//! `--events FILE`: the file, opened before anything begins. It is only ever added to. `-` is standard output, which has no past.

use crate::cmd::Usage;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// `-`, and names of the same: opened as a file, what is printed beside it would overwrite it (`> events.jsonl`).
pub fn is_standard_output(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// Opens the file at its end. A line that a crash has cut is ended there, so that the next one is whole.
pub fn open(path: &Path) -> Result<Box<dyn Write + Send>, Usage> {
    if is_standard_output(path) {
        return Ok(Box::new(std::io::stdout()));
    }
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let mut file = opened.map_err(|error| refused(path, &error))?;
    if cut(path).map_err(|error| refused(path, &error))? {
        file.write_all(b"\n").map_err(|error| refused(path, &error))?;
    }
    Ok(Box::new(file))
}

fn refused(path: &Path, error: &std::io::Error) -> Usage {
    Usage(format!(
        "--events {}: {error}, expected a file that can be written, in a folder that is there. Name another",
        path.display()
    ))
}

/// Whether the last line has no end. A pipe has no past.
fn cut(path: &Path) -> std::io::Result<bool> {
    let found = std::fs::metadata(path)?;
    if !found.is_file() || found.len() == 0 {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
