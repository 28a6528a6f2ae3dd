//! Query arguments read, cleaned, added and replaced, as w3lib does it.

use super::canonical::for_each_field;
use super::{UrlError, bytes, split};
use std::collections::HashSet;

/// True when the text begins with `file://`, `http://` or `https://`, in lower case.
#[must_use]
pub fn is_url(text: &str) -> bool {
    matches!(text.split_once("://").map_or(text, |(scheme, _)| scheme), "file" | "http" | "https")
}

/// Which arguments `url_query_cleaner` keeps; the defaults are w3lib's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryCleaner<'a> {
    /// Names to keep, or to remove with `remove`.
    pub parameters: &'a [&'a str],
    /// Separates arguments.
    pub separator: &'a str,
    /// Separates a name from its value.
    pub key_value_separator: &'a str,
    /// Keep all but the named ones.
    pub remove: bool,
    /// Keep the first argument of each name only.
    pub unique: bool,
    /// Keep the fragment.
    pub keep_fragments: bool,
}

impl Default for QueryCleaner<'_> {
    fn default() -> Self {
        QueryCleaner {
            parameters: &[],
            separator: "&",
            key_value_separator: "=",
            remove: false,
            unique: true,
            keep_fragments: false,
        }
    }
}

/// The URL with only the wanted query arguments, in their order: w3lib's `url_query_cleaner`. Nothing is escaped or decoded.
#[must_use]
pub fn url_query_cleaner(url: &str, cleaner: &QueryCleaner<'_>) -> String {
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut out = String::with_capacity(url.len());
    out.push_str(base);
    if !cleaner.parameters.is_empty() || cleaner.remove {
        let wanted: HashSet<&str> = cleaner.parameters.iter().copied().collect();
        let mut seen = HashSet::new();
        let mut first = true;
        for field in query.split(cleaner.separator).filter(|field| !field.is_empty()) {
            let name = field.split_once(cleaner.key_value_separator).map_or(field, |(name, _)| name);
            if (cleaner.unique && !seen.insert(name)) || wanted.contains(name) == cleaner.remove {
                continue;
            }
            out.push_str(if first { "?" } else { cleaner.separator });
            out.push_str(field);
            first = false;
        }
    }
    if cleaner.keep_fragments && !fragment.is_empty() {
        out.push('#');
        out.push_str(fragment);
    }
    out
}

/// Name and value of each argument, decoded.
fn arguments(query: &str, keep_blank_values: bool, separator: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut out = Vec::new();
    for_each_field(query.as_bytes(), separator.as_bytes(), |field| {
        let equals = memchr::memchr(b'=', field);
        let (name, value) = equals.map_or((field, &field[..0]), |at| (&field[..at], &field[at + 1..]));
        if keep_blank_values || !value.is_empty() {
            let mut pair = (Vec::new(), Vec::new());
            bytes::unquote_plus_into(name, &mut pair.0);
            bytes::unquote_plus_into(value, &mut pair.1);
            out.push(pair);
        }
    });
    out
}

/// The first value of a query argument: w3lib's `url_query_parameter`. Bytes that are no UTF-8 are replaced.
///
/// # Errors
/// A URL that cannot be cut into its parts.
pub fn url_query_parameter(
    url: &str,
    parameter: &str,
    keep_blank_values: bool,
    separator: &str,
) -> Result<Option<String>, UrlError> {
    let prepared = split::prepare(url);
    let parts = split::split(&prepared)?;
    let found =
        arguments(parts.query, keep_blank_values, separator).into_iter().find(|(n, _)| n == parameter.as_bytes());
    Ok(found.map(|(_, value)| String::from_utf8_lossy(&value).into_owned()))
}

/// Sets one query argument: w3lib's `add_or_replace_parameter`.
///
/// # Errors
/// A URL that cannot be cut into its parts.
pub fn add_or_replace_parameter(url: &str, name: &str, value: &str, separator: &str) -> Result<String, UrlError> {
    add_or_replace_parameters(url, &[(name, value)], separator)
}

/// Sets query arguments: the first argument of a name gets its value, further ones go, missing ones are added in order. w3lib's
/// `add_or_replace_parameters`.
///
/// # Errors
/// A URL that cannot be cut into its parts.
pub fn add_or_replace_parameters(url: &str, new: &[(&str, &str)], separator: &str) -> Result<String, UrlError> {
    let prepared = split::prepare(url);
    let parts = split::split(&prepared)?;
    let mut query = Vec::with_capacity(parts.query.len() + 16);
    let mut add = |name: &[u8], value: &[u8]| {
        if !query.is_empty() {
            query.extend_from_slice(separator.as_bytes());
        }
        bytes::quote_plus_into(name, &mut query);
        query.push(b'=');
        bytes::quote_plus_into(value, &mut query);
    };
    let mut replaced: HashSet<&str> = HashSet::new();
    for (name, value) in arguments(parts.query, true, separator) {
        match new.iter().rev().find(|(n, _)| n.as_bytes() == name) {
            Some((n, v)) => {
                if replaced.insert(n) {
                    add(&name, v.as_bytes());
                }
            }
            None => add(&name, &value),
        }
    }
    for (name, value) in new {
        if !replaced.contains(name) {
            add(name.as_bytes(), value.as_bytes());
        }
    }
    let query = String::from_utf8(query).expect("separator and escaped bytes are text");
    Ok(split::unsplit(&parts.scheme, parts.netloc, parts.path, &query, parts.fragment))
}
