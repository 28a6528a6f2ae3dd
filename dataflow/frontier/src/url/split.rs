//! A URL cut into its parts as w3lib does it: `urllib.parse.urlsplit` with the URL living standard's treatment of tabs, newlines and
//! backslashes.

use super::UrlError;
use super::host;
use std::borrow::Cow;

/// Schemes that browsers treat specially.
pub(super) fn is_special(scheme: &str) -> bool {
    matches!(scheme, "ftp" | "file" | "http" | "https" | "ws" | "wss")
}

/// Schemes whose last path segment may carry `;parameters`.
fn uses_params(scheme: &str) -> bool {
    matches!(
        scheme,
        "" | "ftp"
            | "hdl"
            | "prospero"
            | "http"
            | "imap"
            | "https"
            | "shttp"
            | "rtsp"
            | "rtsps"
            | "rtspu"
            | "sip"
            | "sips"
            | "mms"
            | "sftp"
            | "tel"
    )
}

/// Schemes that are written with `//` even without an authority.
fn uses_netloc(scheme: &str) -> bool {
    matches!(
        scheme,
        "ftp"
            | "http"
            | "gopher"
            | "nntp"
            | "telnet"
            | "imap"
            | "wais"
            | "file"
            | "mms"
            | "https"
            | "shttp"
            | "snews"
            | "prospero"
            | "rtsp"
            | "rtsps"
            | "rtspu"
            | "rsync"
            | "svn"
            | "svn+ssh"
            | "sftp"
            | "nfs"
            | "git"
            | "git+ssh"
            | "ws"
            | "wss"
    )
}

/// The parts, as they were written; the scheme in lower case.
#[derive(Debug)]
pub(super) struct Split<'a> {
    pub scheme: String,
    pub netloc: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub fragment: &'a str,
    pub username: Option<&'a str>,
    pub password: Option<&'a str>,
    pub hostname: &'a str,
    pub port: Option<u16>,
}

fn is_c0_or_space(c: char) -> bool {
    c <= ' '
}

/// Without the white space around it, and without tabs and newlines anywhere.
pub(super) fn strip(url: &str) -> Cow<'_, str> {
    without_tabs(url.trim_matches(is_c0_or_space))
}

fn without_tabs(url: &str) -> Cow<'_, str> {
    if url.bytes().any(|b| matches!(b, b'\t' | b'\n' | b'\r')) {
        Cow::Owned(url.replace(['\t', '\n', '\r'], ""))
    } else {
        Cow::Borrowed(url)
    }
}

/// Where the scheme's `:` is.
fn scheme_end(url: &str) -> Option<usize> {
    let bytes = url.as_bytes();
    if !bytes.first()?.is_ascii_alphabetic() {
        return None;
    }
    let end = bytes.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))?;
    (bytes[end] == b':').then_some(end)
}

/// The text that `split` cuts: no tabs, no leading white space, and for special schemes `\` read as `/` before query and fragment.
pub(super) fn prepare(url: &str) -> Cow<'_, str> {
    let url = match without_tabs(url) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_start_matches(is_c0_or_space)),
        Cow::Owned(text) => Cow::Owned(text.trim_start_matches(is_c0_or_space).to_owned()),
    };
    let Some(colon) = scheme_end(&url) else { return url };
    if !is_special(&url[..colon].to_ascii_lowercase()) {
        return url;
    }
    let cut = url[colon..].find(['?', '#']).map_or(url.len(), |at| at + colon);
    if url[colon..cut].contains('\\') {
        let mut text = url[..cut].replace('\\', "/");
        text.push_str(&url[cut..]);
        return Cow::Owned(text);
    }
    url
}

/// Cuts a prepared URL.
pub(super) fn split(url: &str) -> Result<Split<'_>, UrlError> {
    let (scheme, mut rest) = match scheme_end(url) {
        Some(colon) => (url[..colon].to_ascii_lowercase(), &url[colon + 1..]),
        None => (String::new(), url),
    };
    let mut netloc = "";
    let mut bracketed = false;
    if let Some(after) = rest.strip_prefix("//") {
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        netloc = &after[..end];
        rest = &after[end..];
        let (open, close) = (netloc.contains('['), netloc.contains(']'));
        if open != close {
            return Err(UrlError::Ipv6);
        }
        bracketed = open;
        if bracketed {
            host::check_brackets(netloc)?;
        }
        host::check_delimiters(netloc)?;
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));

    let (userinfo, hostinfo) = match netloc.rsplit_once('@') {
        Some((userinfo, hostinfo)) => (Some(userinfo), hostinfo),
        None => (None, netloc),
    };
    let (username, password) = match userinfo.map(|info| (info, info.split_once(':'))) {
        None => (None, None),
        Some((_, Some((name, password)))) => (Some(name), Some(password)),
        Some((name, None)) => (Some(name), None),
    };
    let (hostname, port) = if bracketed {
        let inner = hostinfo.split_once('[').map_or("", |(_, inner)| inner);
        let (name, after) = inner.split_once(']').unwrap_or((inner, ""));
        (name, after.split_once(':').map_or("", |(_, port)| port))
    } else {
        hostinfo.split_once(':').unwrap_or((hostinfo, ""))
    };
    let port = if port.is_empty() { None } else { Some(parse_port(port)?) };
    Ok(Split { scheme, netloc, path, query, fragment, username, password, hostname, port })
}

fn parse_port(text: &str) -> Result<u16, UrlError> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UrlError::Port);
    }
    let digits = text.trim_start_matches('0');
    if digits.is_empty() { Ok(0) } else { digits.parse().map_err(|_| UrlError::Port) }
}

/// The path and its `;parameters`: only a `;` in the last segment begins them.
pub(super) fn split_params<'a>(scheme: &str, path: &'a str) -> (&'a str, &'a str) {
    if uses_params(scheme) {
        let last = path.rfind('/').map_or(0, |at| at + 1);
        if let Some(semicolon) = path[last..].find(';') {
            return (&path[..last + semicolon], &path[last + semicolon + 1..]);
        }
    }
    (path, "")
}

/// A URL of the six parts that Python's `urlparse` makes, as `urlunparse` puts them together.
#[must_use]
pub fn unparse(scheme: &str, netloc: &str, path: &str, params: &str, query: &str, fragment: &str) -> String {
    if params.is_empty() {
        return unsplit(scheme, netloc, path, query, fragment);
    }
    unsplit(scheme, netloc, &format!("{path};{params}"), query, fragment)
}

/// The parts put together again.
pub(super) fn unsplit(scheme: &str, netloc: &str, path: &str, query: &str, fragment: &str) -> String {
    let mut url =
        String::with_capacity(scheme.len() + netloc.len() + path.len() + query.len() + fragment.len() + "://?#/".len());
    if !scheme.is_empty() {
        url.push_str(scheme);
        url.push(':');
    }
    if !netloc.is_empty() {
        url.push_str("//");
        url.push_str(netloc);
        if !path.is_empty() && !path.starts_with('/') {
            url.push('/');
        }
    } else if path.starts_with("//") || (uses_netloc(scheme) && (path.is_empty() || path.starts_with('/'))) {
        url.push_str("//");
    }
    url.push_str(path);
    if !query.is_empty() {
        url.push('?');
        url.push_str(query);
    }
    if !fragment.is_empty() {
        url.push('#');
        url.push_str(fragment);
    }
    url
}
