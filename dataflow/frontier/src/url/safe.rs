//! The safe form of a URL: what browsers and servers of every standard accept.

use super::bytes::{self, PATH, SPECIAL_QUERY, Safe, USERINFO};
use super::{Charset, UrlError, host, split};

/// How a URL is made safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafeOptions {
    /// Of the query and the fragment: the page's own charset.
    pub encoding: Charset,
    /// Of the path.
    pub path_encoding: Charset,
    /// Whether the path is escaped at all.
    pub quote_path: bool,
}

impl Default for SafeOptions {
    fn default() -> Self {
        SafeOptions { encoding: Charset::Utf8, path_encoding: Charset::Utf8, quote_path: true }
    }
}

/// The five parts of a safe URL.
pub(super) struct SafeParts {
    pub scheme: String,
    pub netloc: String,
    pub path: String,
    pub query: String,
    pub fragment: String,
}

impl SafeParts {
    fn unsplit(&self) -> String {
        split::unsplit(&self.scheme, &self.netloc, &self.path, &self.query, &self.fragment)
    }
}

fn quoted(data: &[u8], safe: &Safe) -> String {
    let mut out = Vec::with_capacity(data.len() + data.len() / 4);
    bytes::quote_into(data, safe, &mut out);
    ascii(out)
}

/// Bytes that were written by `quote_into`.
pub(super) fn ascii(quoted: Vec<u8>) -> String {
    String::from_utf8(quoted).expect("escaped bytes are ASCII")
}

pub(super) fn safe_parts(url: &str, options: &SafeOptions) -> Result<SafeParts, UrlError> {
    let stripped = split::strip(url);
    let prepared = split::prepare(&stripped);
    let parts = split::split(&prepared)?;
    let mut netloc = String::with_capacity(parts.netloc.len() + 8);
    if let Some(username) = parts.username {
        netloc.push_str(&quoted(&bytes::unquote(username.as_bytes()), &USERINFO));
        if let Some(password) = parts.password {
            netloc.push(':');
            netloc.push_str(&quoted(&bytes::unquote(password.as_bytes()), &USERINFO));
        }
        netloc.push('@');
    }
    let hostname = host::lower(parts.hostname);
    if hostname.contains(':') {
        netloc.push('[');
        netloc.push_str(&hostname);
        netloc.push(']');
    } else {
        netloc.push_str(&host::idna_or_raw(&hostname));
    }
    if let Some(port) = parts.port {
        netloc.push(':');
        netloc.push_str(&port.to_string());
    }
    let special = split::is_special(&parts.scheme);
    let mut path = if options.quote_path {
        quoted(&options.path_encoding.encode(parts.path)?, &PATH)
    } else {
        parts.path.to_owned()
    };
    let query = quoted(&options.encoding.encode(parts.query)?, if special { &SPECIAL_QUERY } else { &PATH });
    let fragment = quoted(&options.encoding.encode(parts.fragment)?, &PATH);
    // Without a path the query would be sent as the request target.
    if path.is_empty() && !query.is_empty() && special {
        path.push('/');
    }
    Ok(SafeParts { scheme: parts.scheme, netloc, path, query, fragment })
}

/// A URL equivalent to `url` that a wide range of browsers and servers accept: w3lib's `safe_url_string`.
///
/// # Errors
/// Brackets that hold no address, a bad port, look-alike delimiters in the host, or a character that the charset lacks.
pub fn safe_url_string(url: &str, options: &SafeOptions) -> Result<String, UrlError> {
    Ok(safe_parts(url, options)?.unsplit())
}

/// As `safe_url_string`, without fragment, and with a path that does not leave the root: w3lib's `safe_download_url`.
///
/// # Errors
/// As `safe_url_string`.
pub fn safe_download_url(url: &str, encoding: Charset, path_encoding: Charset) -> Result<String, UrlError> {
    let safe = safe_url_string(url, &SafeOptions { encoding, path_encoding, quote_path: true })?;
    let prepared = split::prepare(&safe);
    let parts = split::split(&prepared)?;
    let path = if parts.path.is_empty() { "/".to_owned() } else { normalized(parts.path) };
    Ok(split::unsplit(&parts.scheme, parts.netloc, &path, parts.query, ""))
}

fn normalized(path: &str) -> String {
    let plain: Vec<&str> = path.split('/').map(|segment| dot_segment(segment).unwrap_or(segment)).collect();
    let trailing_slash = plain.last() == Some(&"");
    let mut normal = without_parents(&normpath(&plain.join("/")));
    if trailing_slash && !normal.ends_with('/') {
        normal.push('/');
    }
    normal
}

/// The dot segment that `segment` is, escaped or not (URL living standard).
pub(super) fn dot_segment(segment: &str) -> Option<&'static str> {
    match segment {
        "." => Some("."),
        ".." => Some(".."),
        _ if segment.len() > 6 || !segment.starts_with(['.', '%']) => None,
        _ => match segment.to_ascii_lowercase().as_str() {
            "%2e" => Some("."),
            ".%2e" | "%2e." | "%2e%2e" => Some(".."),
            _ => None,
        },
    }
}

/// POSIX path normalisation: one slash between names, no `.`, `..` applied where it can be.
fn normpath(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let root = match path.len() - path.trim_start_matches('/').len() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            ".." if !root.is_empty() && names.is_empty() => {}
            _ => names.push(name),
        }
    }
    let joined = format!("{root}{}", names.join("/"));
    if joined.is_empty() { ".".to_owned() } else { joined }
}

/// Removes every run of `../`, and a slash before it.
fn without_parents(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find("../") {
        let kept = &rest[..at];
        out.push_str(kept.strip_suffix('/').unwrap_or(kept));
        rest = &rest[at..];
        while let Some(after) = rest.strip_prefix("../") {
            rest = after;
        }
    }
    out.push_str(rest);
    out
}
