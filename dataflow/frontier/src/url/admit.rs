//! What the frontier asks of every link: is it an absolute http(s) URL, what is fetched for it, what does dedup compare, and whose
//! server is it.
//!
//! The fetch form is the safe URL as a browser would send it: host by the URL living standard, no userinfo, no fragment, no default
//! port, no dot at the end of the host, dot segments resolved, path never empty. The canonical form is `canonicalize_url` of it.

use super::canonical::{QueryScratch, canonical_path_into, remove_dot_segments};
use super::safe::dot_segment;
use super::{UrlError, bytes, fast, host, split};
use crate::domain;
use weir_model::DomainKey;
use xxhash_rust::xxh3::xxh3_64;

/// The longest URL that is fetched. RFC 9110 asks for 8,000; Scrapy's default is 2,083.
pub const URL_BYTES_MAX: usize = 8_192;

/// The two schemes that are crawled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// http.
    Http,
    /// https.
    Https,
}

impl Scheme {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port without one.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Where the parts of a fetch form are, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub scheme: Scheme,
    pub host_start: usize,
    pub host_end: usize,
    pub port: u16,
    pub path_start: usize,
    pub end: usize,
}

/// Memory for one URL after the other: after the first few nothing is allocated.
#[derive(Debug, Default)]
pub struct Scratch {
    fetch: Vec<u8>,
    canonical: Vec<u8>,
    query: QueryScratch,
    /// The host before, since links of a page mostly share one.
    host: Vec<u8>,
    domain_start: usize,
    domain_key: DomainKey,
}

/// A URL that can be crawled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted<'a> {
    fetch: &'a str,
    canonical: &'a [u8],
    shape: Shape,
    domain_start: usize,
    domain_key: DomainKey,
}

impl<'a> Admitted<'a> {
    /// What is fetched.
    #[must_use]
    pub fn fetch(&self) -> &'a str {
        self.fetch
    }

    /// What dedup compares: ASCII.
    #[must_use]
    pub fn canonical(&self) -> &'a [u8] {
        self.canonical
    }

    /// 64 bits over the canonical form alone (a request's identity is `FingerprintSeed::of`).
    #[must_use]
    pub fn canonical_hash(&self) -> u64 {
        xxh3_64(self.canonical)
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.shape.scheme
    }

    /// The host in lower case, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &'a str {
        &self.fetch[self.shape.host_start..self.shape.host_end]
    }

    /// The port that is connected to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.shape.port
    }

    /// Scheme, host and port as written: `http://localhost:9312`.
    #[must_use]
    pub fn origin(&self) -> &'a str {
        &self.fetch[..self.shape.path_start]
    }

    /// Path and query: what robots.txt is asked about.
    #[must_use]
    pub fn path_and_query(&self) -> &'a str {
        &self.fetch[self.shape.path_start..]
    }

    /// The registered domain.
    #[must_use]
    pub fn domain(&self) -> &'a str {
        &self.fetch[self.domain_start..self.shape.host_end]
    }

    /// Where the registered domain is in the fetch form.
    #[must_use]
    pub fn domain_range(&self) -> std::ops::Range<usize> {
        self.domain_start..self.shape.host_end
    }

    /// The exchange key of politeness.
    #[must_use]
    pub fn domain_key(&self) -> DomainKey {
        self.domain_key
    }
}

/// Fetch form and canonical form of an absolute URL. The result lives as long as `raw` and `scratch` are left alone.
///
/// # Errors
/// Why it cannot be crawled.
pub fn admit_form<'a>(raw: &'a str, scratch: &'a mut Scratch) -> Result<Admitted<'a>, UrlError> {
    if let Some(shape) = fast::shape(raw) {
        let (domain_start, domain_key) = scratch.domain(raw.as_bytes(), &shape);
        let fetch = &raw[..shape.end];
        return Ok(Admitted { fetch, canonical: fetch.as_bytes(), shape, domain_start, domain_key });
    }
    admit_general(raw, scratch)
}

/// As `admit_form`, without the fast path.
pub(super) fn admit_general<'a>(raw: &str, scratch: &'a mut Scratch) -> Result<Admitted<'a>, UrlError> {
    let shape = scratch.general(raw)?;
    let fetch = std::mem::take(&mut scratch.fetch);
    let (domain_start, domain_key) = scratch.domain(&fetch, &shape);
    scratch.fetch = fetch;
    let fetch = std::str::from_utf8(&scratch.fetch).expect("a fetch form is ASCII");
    Ok(Admitted { fetch, canonical: &scratch.canonical, shape, domain_start, domain_key })
}

impl Scratch {
    /// Memory for one URL after the other.
    #[must_use]
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// Where the registered domain begins in `fetch`, and its key.
    #[inline]
    fn domain(&mut self, fetch: &[u8], shape: &Shape) -> (usize, DomainKey) {
        let host = &fetch[shape.host_start..shape.host_end];
        if self.host != host {
            let text = std::str::from_utf8(host).expect("a host is ASCII");
            let name = domain::registered_domain(text);
            self.domain_start = host.len() - name.len();
            self.domain_key = domain::domain_key(name);
            self.host.clear();
            self.host.extend_from_slice(host);
        }
        (shape.host_start + self.domain_start, self.domain_key)
    }

    /// Writes both forms.
    fn general(&mut self, raw: &str) -> Result<Shape, UrlError> {
        let stripped = split::strip(raw);
        let prepared = split::prepare(&stripped);
        let parts = split::split(&prepared)?;
        let scheme = match parts.scheme.as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "" => return Err(UrlError::Relative),
            _ => return Err(UrlError::Scheme),
        };
        if parts.path.len() + parts.query.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        let bracketed = parts.netloc.rsplit('@').next().is_some_and(|host| host.starts_with('['));
        let host = host::for_fetch(parts.hostname, bracketed)?;
        let port = parts.port.unwrap_or(scheme.default_port());

        let out = &mut self.fetch;
        out.clear();
        out.extend_from_slice(scheme.as_str().as_bytes());
        out.extend_from_slice(b"://");
        let host_start = out.len();
        out.extend_from_slice(host.as_bytes());
        let host_end = out.len();
        if port != scheme.default_port() {
            out.push(b':');
            out.extend_from_slice(port.to_string().as_bytes());
        }
        let path_start = out.len();
        write_path(parts.path, out);
        let path_end = out.len();
        if !parts.query.is_empty() {
            out.push(b'?');
            bytes::quote_into(parts.query.as_bytes(), &bytes::SPECIAL_QUERY, out);
        }
        if out.len() > URL_BYTES_MAX {
            return Err(UrlError::TooLong);
        }
        self.write_canonical(path_start, path_end);
        Ok(Shape { scheme, host_start, host_end, port, path_start, end: self.fetch.len() })
    }

    /// `canonicalize_url` of the fetch form.
    fn write_canonical(&mut self, path_start: usize, path_end: usize) {
        let Scratch { fetch, canonical, query, .. } = self;
        let path = &fetch[path_start..path_end];
        let last = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
        let (path, params) = match memchr::memchr(b';', &path[last..]) {
            Some(at) => (&path[..last + at], &path[last + at + 1..]),
            None => (path, &path[..0]),
        };
        canonical.clear();
        canonical.extend_from_slice(&fetch[..path_start]);
        canonical_path_into(path, canonical);
        remove_dot_segments(canonical, path_start);
        if !params.is_empty() {
            canonical.push(b';');
            canonical.extend_from_slice(params);
        }
        if path_end < fetch.len() {
            let question = canonical.len();
            canonical.push(b'?');
            query.canonical_into(&fetch[path_end + 1..], true, b"&", canonical);
            if canonical.len() == question + 1 {
                canonical.pop();
            }
        }
    }
}

/// Appends the path, escaped and without dot segments, never empty.
fn write_path(path: &str, out: &mut Vec<u8>) {
    let start = out.len();
    if !path.starts_with('/') {
        out.push(b'/');
    }
    if memchr::memmem::find(path.as_bytes(), b"/%2").is_some() || path.contains("/.%") {
        for (index, segment) in path.split('/').enumerate() {
            if index > 0 {
                out.push(b'/');
            }
            bytes::quote_into(dot_segment(segment).unwrap_or(segment).as_bytes(), &bytes::PATH, out);
        }
    } else {
        bytes::quote_into(path.as_bytes(), &bytes::PATH, out);
    }
    remove_dot_segments(out, start);
}
