//! Small text documents with a checksum in their first line, replaced atomically: identity of the state, owner, job notes.
//!
//! Shape: `weir-KIND VERSION CHECKSUM LENGTH\n` and the body as it is, so that a person can read it with `cat`.

use crate::error::{At, shown};
use crate::{Disk, OpenMode, StoreError};
use xxhash_rust::xxh3::xxh3_64;

/// Version of everything in a state directory.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// A document is small: it is read whole.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// The file's content for a body.
pub(crate) fn encode(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("weir-{kind} {FORMAT_VERSION} {:016x} {}\n", xxh3_64(body), body.len()).into_bytes();
    out.extend_from_slice(body);
    out
}

/// The body, when the content is whole, ours and of this version.
pub(crate) fn decode<'a>(disk: &dyn Disk, name: &str, kind: &str, content: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let line_end = content.iter().position(|&b| b == b'\n').unwrap_or(content.len());
    let first = String::from_utf8_lossy(&content[..line_end]);
    let words: Vec<&str> = first.split(' ').collect();
    let foreign = |expected: String, found: String| StoreError::Foreign { path: disk.path(name), expected, found };
    let damaged = |offset: usize, expected: String, found: String| StoreError::Damaged {
        path: disk.path(name),
        offset: offset as u64,
        expected,
        found,
    };
    if words[0] != format!("weir-{kind}") {
        return Err(foreign(format!("a first line that begins with \"weir-{kind}\""), shown(content)));
    }
    let [_, version, checksum, length] = words[..] else {
        return Err(damaged(0, "kind, version, checksum and length".to_owned(), shown(content)));
    };
    if version != FORMAT_VERSION.to_string() {
        return Err(foreign(format!("format version {FORMAT_VERSION}"), format!("version {version:?}")));
    }
    let body = content.get(line_end + 1..).unwrap_or_default();
    if length != body.len().to_string() {
        return Err(damaged(line_end + 1, format!("{length} bytes"), format!("{} bytes", body.len())));
    }
    if checksum != format!("{:016x}", xxh3_64(body)) {
        return Err(damaged(
            line_end + 1,
            format!("a body with checksum {checksum}"),
            format!("{:016x}", xxh3_64(body)),
        ));
    }
    Ok(body)
}

/// Reads a whole file; `None` when it is not there.
pub(crate) fn read_whole(disk: &dyn Disk, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match disk.open(name, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at(disk, name, "open"),
    };
    let len = file.len().at(disk, name, "read")?;
    if len > DOCUMENT_BYTES_MAX {
        return Err(StoreError::Foreign {
            path: disk.path(name),
            expected: format!("a document of at most {DOCUMENT_BYTES_MAX} bytes"),
            found: format!("{len} bytes"),
        });
    }
    let mut content = vec![0; usize::try_from(len).expect("bounded above")];
    let filled = file.read_at(0, &mut content).at(disk, name, "read")?;
    content.truncate(filled);
    Ok(Some(content))
}

/// Replaces a file: a part, synced, renamed, the directory synced.
pub(crate) fn replace(disk: &dyn Disk, name: &str, content: &[u8]) -> Result<(), StoreError> {
    let part = format!("{name}.part");
    let mut file = disk.open(&part, OpenMode::Create).at(disk, &part, "create")?;
    file.write_at(0, content).at(disk, &part, "write")?;
    file.sync().at(disk, &part, "sync")?;
    drop(file);
    disk.rename(&part, name).at(disk, &part, "rename")?;
    disk.sync_dir().at(disk, "", "sync")
}
