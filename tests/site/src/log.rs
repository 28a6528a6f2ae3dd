//! The access log, the judge of politeness: when each request arrived, from whom, for what, with which status. In memory,
//! bounded, and written to a file when asked.
//!
//! The arrival is read when the request's head is complete, before anything is done for it. With several threads entries
//! may be noted a few microseconds out of order; `entries` sorts, the file does not.

use crate::clock::UnixMicros;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// When its head was complete.
    pub arrived: UnixMicros,
    /// The `Host` header.
    pub host: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The status that was answered; 0 when the connection was closed instead.
    pub status: u16,
    /// The client's port: requests with the same one came over one connection.
    pub port: u16,
}

/// What is noted of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub arrived: UnixMicros,
    pub host: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    pub port: u16,
}

/// Entries that share one allocation of text.
const CHUNK_ENTRIES: usize = 4_096;

#[derive(Debug, Default)]
struct Chunk {
    text: String,
    entries: Vec<Packed>,
}

#[derive(Debug)]
struct Packed {
    arrived: UnixMicros,
    text_at: u32,
    host_len: u16,
    method_len: u16,
    path_len: u32,
    status: u16,
    port: u16,
}

#[derive(Debug)]
pub(crate) struct Log {
    chunks_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    chunks: VecDeque<Chunk>,
    forgotten: u64,
    file: Option<BufWriter<File>>,
}

impl Log {
    pub fn new(entries_max: usize, file: Option<&Path>) -> io::Result<Log> {
        let file = match file {
            Some(path) => Some(BufWriter::new(File::create(path).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot write the access log {}: {error}", path.display()))
            })?)),
            None => None,
        };
        let inner = Inner { file, ..Inner::default() };
        Ok(Log { chunks_max: entries_max.div_ceil(CHUNK_ENTRIES).max(1), inner: Mutex::new(inner) })
    }

    pub fn note(&self, entry: Entry<'_>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut inner.file {
            let Entry { arrived, host, method, path, status, port } = entry;
            if let Err(error) = writeln!(file, "{} {host} {method} {path} {status} {port}", arrived.0) {
                // A full disk must not stop the site; a log that has a gap must not pass for a whole one.
                eprintln!("the access log ends here: {error}");
                inner.file = None;
            }
        }
        if inner.chunks.back().is_none_or(|chunk| chunk.entries.len() == CHUNK_ENTRIES) {
            if inner.chunks.len() == self.chunks_max {
                inner.forgotten += CHUNK_ENTRIES as u64;
                inner.chunks.pop_front();
            }
            inner.chunks.push_back(Chunk { text: String::new(), entries: Vec::with_capacity(CHUNK_ENTRIES) });
        }
        let chunk = inner.chunks.back_mut().expect("pushed above");
        // A head is at most 64 KiB, so that a chunk's text stays below 4,096 times as much.
        let text_at = u32::try_from(chunk.text.len()).expect("a chunk holds less than 4 GiB");
        chunk.text.push_str(entry.host);
        chunk.text.push_str(entry.method);
        chunk.text.push_str(entry.path);
        chunk.entries.push(Packed {
            arrived: entry.arrived,
            text_at,
            host_len: entry.host.len() as u16,
            method_len: entry.method.len() as u16,
            path_len: entry.path.len() as u32,
            status: entry.status,
            port: entry.port,
        });
    }

    /// All entries that are remembered, by arrival.
    pub fn entries(&self) -> Vec<Access> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let unpack = |chunk: &Chunk, packed: &Packed| {
            let at = packed.text_at as usize;
            let method = at + usize::from(packed.host_len);
            let path = method + usize::from(packed.method_len);
            Access {
                arrived: packed.arrived,
                host: chunk.text[at..method].to_owned(),
                method: chunk.text[method..path].to_owned(),
                path: chunk.text[path..path + packed.path_len as usize].to_owned(),
                status: packed.status,
                port: packed.port,
            }
        };
        let mut all: Vec<Access> =
            inner.chunks.iter().flat_map(|chunk| chunk.entries.iter().map(|packed| unpack(chunk, packed))).collect();
        all.sort_by_key(|access| access.arrived);
        all
    }

    /// How many entries were given up for newer ones.
    pub fn forgotten(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).forgotten
    }

    /// Forgets all entries; the file stays.
    pub fn clear(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.chunks.clear();
        inner.forgotten = 0;
    }

    /// Hands what was written to the operating system.
    pub fn flush(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = inner.file.as_mut().map(Write::flush) {
            eprintln!("the access log ends here: {error}");
            inner.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(arrived: u64) -> Entry<'static> {
        Entry { arrived: UnixMicros(arrived), host: "localhost", method: "GET", path: "/a?b", status: 200, port: 7 }
    }

    #[test]
    fn entries_come_back_by_arrival() {
        let log = Log::new(10, None).unwrap();
        log.note(entry(5));
        log.note(Entry { host: "a.localhost:1", status: 404, ..entry(3) });
        let all = log.entries();
        assert_eq!(all.iter().map(|a| a.arrived.0).collect::<Vec<_>>(), [3, 5]);
        assert_eq!((all[0].host.as_str(), all[0].status, all[0].path.as_str()), ("a.localhost:1", 404, "/a?b"));
        assert_eq!((all[1].method.as_str(), all[1].port), ("GET", 7));
    }

    #[test]
    fn oldest_entries_are_given_up_and_counted() {
        let log = Log::new(CHUNK_ENTRIES, None).unwrap();
        for arrived in 0..=CHUNK_ENTRIES as u64 {
            log.note(entry(arrived));
        }
        assert_eq!(log.forgotten(), CHUNK_ENTRIES as u64);
        assert_eq!(log.entries().len(), 1);
    }

    #[test]
    fn the_file_has_a_line_a_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = Log::new(10, Some(&path)).unwrap();
        log.note(entry(9));
        log.flush();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "9 localhost GET /a?b 200 7\n");
    }
}
