//! The canonical form of a URL: equal for URLs that a server answers alike.

use super::bytes::{self, CANONICAL_PATH};
use super::safe::{SafeOptions, SafeParts, ascii, safe_parts};
use super::{Charset, UrlError, host, split};

/// How a URL is canonicalised; the defaults are w3lib's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanonicalOptions<'a> {
    /// Keep query arguments without a value.
    pub keep_blank_values: bool,
    /// Keep the fragment.
    pub keep_fragments: bool,
    /// Charset of the query; UTF-8 where it cannot write it.
    pub encoding: Charset,
    /// What separates query arguments.
    pub query_separator: &'a str,
}

impl Default for CanonicalOptions<'_> {
    fn default() -> Self {
        CanonicalOptions {
            keep_blank_values: true,
            keep_fragments: false,
            encoding: Charset::Utf8,
            query_separator: "&",
        }
    }
}

/// One argument, decoded: name and value lie in `QueryScratch::bytes`.
#[derive(Clone, Copy, Debug)]
struct Pair {
    start: u32,
    middle: u32,
    end: u32,
}

/// Memory for sorting a query, used again and again.
#[derive(Debug, Default)]
pub(super) struct QueryScratch {
    bytes: Vec<u8>,
    pairs: Vec<Pair>,
}

impl QueryScratch {
    /// Appends the query with its arguments sorted by name and value, escapes in one spelling, spaces as `+`.
    pub(super) fn canonical_into(
        &mut self,
        query: &[u8],
        keep_blank_values: bool,
        separator: &[u8],
        out: &mut Vec<u8>,
    ) {
        self.bytes.clear();
        self.pairs.clear();
        for_each_field(query, separator, |field| {
            let equals = memchr::memchr(b'=', field);
            let (name, value) = equals.map_or((field, &field[..0]), |at| (&field[..at], &field[at + 1..]));
            if value.is_empty() && !keep_blank_values {
                return;
            }
            let start = self.bytes.len() as u32;
            bytes::unquote_plus_into(name, &mut self.bytes);
            let middle = self.bytes.len() as u32;
            bytes::unquote_plus_into(value, &mut self.bytes);
            self.pairs.push(Pair { start, middle, end: self.bytes.len() as u32 });
        });
        let QueryScratch { bytes, pairs } = self;
        let name = |pair: &Pair| &bytes[pair.start as usize..pair.middle as usize];
        let value = |pair: &Pair| &bytes[pair.middle as usize..pair.end as usize];
        if pairs.len() > 1 {
            pairs.sort_unstable_by(|a, b| (name(a), value(a)).cmp(&(name(b), value(b))));
        }
        for (index, pair) in pairs.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(separator);
            }
            bytes::quote_plus_into(name(pair), out);
            out.push(b'=');
            bytes::quote_plus_into(value(pair), out);
        }
    }
}

/// The arguments of a query that are not empty.
pub(super) fn for_each_field<'q>(query: &'q [u8], separator: &[u8], mut each: impl FnMut(&'q [u8])) {
    let mut start = 0;
    if !separator.is_empty() {
        for at in memchr::memmem::find_iter(query, separator) {
            if at > start {
                each(&query[start..at]);
            }
            start = at + separator.len();
        }
    }
    if start < query.len() {
        each(&query[start..]);
    }
}

/// Appends the path with its escapes in one spelling: what can stand for itself does, except `%`, `/`, `;` and `?`.
pub(super) fn canonical_path_into(path: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < path.len() {
        let (byte, length) = match bytes::escape_at(&path[at..]) {
            Some(byte @ (b'%' | b'/' | b';' | b'?')) => {
                bytes::push_escape(byte, out);
                at += 3;
                continue;
            }
            Some(byte) => (byte, 3),
            None => (path[at], 1),
        };
        if CANONICAL_PATH.has(byte) {
            out.push(byte)
        } else {
            bytes::push_escape(byte, out)
        }
        at += length;
    }
}

/// Resolves `.` and `..` in the path that begins at `start` of `out`, in place (RFC 3986, section 5.2.4).
pub(super) fn remove_dot_segments(out: &mut Vec<u8>, start: usize) {
    if out.get(start) != Some(&b'/') || memchr::memmem::find(&out[start..], b"/.").is_none() {
        return;
    }
    let end = out.len();
    let mut write = start;
    let mut read = start;
    while read < end {
        let next = memchr::memchr(b'/', &out[read + 1..end]).map_or(end, |at| read + 1 + at);
        let last = next == end;
        let dots = match &out[read + 1..next] {
            b"." => 1,
            b".." => 2,
            _ => 0,
        };
        if dots == 2 {
            write = memchr::memrchr(b'/', &out[start..write]).map_or(start, |at| start + at);
        }
        if dots == 0 {
            out.copy_within(read..next, write);
            write += next - read;
        } else if last {
            out[write] = b'/';
            write += 1;
        }
        read = next;
    }
    out.truncate(write);
}

/// The canonical form of `url`: w3lib's `canonicalize_url`.
///
/// # Errors
/// As `safe_url_string`; a charset that cannot write the URL is replaced by UTF-8.
pub fn canonicalize_url(url: &str, options: &CanonicalOptions<'_>) -> Result<String, UrlError> {
    let with = |encoding| safe_parts(url, &SafeOptions { encoding, ..SafeOptions::default() });
    let parts = match with(options.encoding) {
        Err(UrlError::Unencodable) => with(Charset::Utf8)?,
        other => other?,
    };
    let SafeParts { scheme, netloc, path, query, fragment } = parts;
    let (path, params) = split::split_params(&scheme, &path);
    let mut canonical_query = Vec::with_capacity(query.len());
    QueryScratch::default().canonical_into(
        query.as_bytes(),
        options.keep_blank_values,
        options.query_separator.as_bytes(),
        &mut canonical_query,
    );
    let mut canonical_path = Vec::with_capacity(path.len() + params.len() + 1);
    canonical_path_into(path.as_bytes(), &mut canonical_path);
    if canonical_path.is_empty() {
        canonical_path.push(b'/');
    }
    remove_dot_segments(&mut canonical_path, 0);
    if !params.is_empty() {
        canonical_path.push(b';');
        canonical_path.extend_from_slice(params.as_bytes());
    }
    Ok(split::unsplit(
        &scheme,
        &canonical_netloc(&netloc),
        &ascii(canonical_path),
        &String::from_utf8(canonical_query).expect("separator and escaped bytes are text"),
        if options.keep_fragments { &fragment } else { "" },
    ))
}

fn canonical_netloc(netloc: &str) -> String {
    let host_start = netloc.rfind('@').map_or(0, |at| at + 1);
    let host = netloc[host_start..].to_lowercase();
    let mut out = netloc[..host_start].to_owned();
    out.push_str(host.strip_suffix(':').unwrap_or(&host));
    let Some(open) = out.find('[') else { return out };
    let Some(close) = out[open..].find(']').map(|at| at + open) else { return out };
    match host::normalize_ipv6(&out[open + 1..close]) {
        Some(address) => format!("{}[{address}]{}", &out[..open], &out[close + 1..]),
        None => out,
    }
}
