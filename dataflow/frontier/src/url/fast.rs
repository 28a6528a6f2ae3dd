//! The fast path: recognises URLs that are their own fetch form and their own canonical form, which most links of a crawl are.
//!
//! It only ever says "this one is" or "ask the general path". Invariant: for every URL that it accepts the general path gives the
//! same bytes (a property test holds them together), so everything here may be conservative and nothing may be clever.

use super::admit::{Scheme, Shape, URL_BYTES_MAX};
use super::bytes::{CANONICAL_PATH, PATH, UNRESERVED, escape_at};
use std::net::Ipv4Addr;

const HOST: u8 = 1;
const PATH_SAME: u8 = 2;
const QUERY_SAME: u8 = 4;
const PATH_ESCAPE: u8 = 8;
const QUERY_ESCAPE: u8 = 16;

/// For each byte: may it stand in a host, path or query as it is; does its escape stay an escape there.
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_') {
            table[byte] |= HOST;
        }
        // `;` may begin parameters; `?` and `%` have their own meaning.
        if PATH.has(b) && CANONICAL_PATH.has(b) && !matches!(b, b';' | b'?' | b'%') {
            table[byte] |= PATH_SAME;
        }
        if UNRESERVED.has(b) || matches!(b, b'+') {
            table[byte] |= QUERY_SAME;
        }
        if !CANONICAL_PATH.has(b) || matches!(b, b'%' | b'/' | b';' | b'?') {
            table[byte] |= PATH_ESCAPE;
        }
        if !UNRESERVED.has(b) && b != b' ' {
            table[byte] |= QUERY_ESCAPE;
        }
        byte += 1;
    }
    table
}

/// Recognises a URL that needs no change; what follows `#` does not count.
pub(super) fn shape(raw: &str) -> Option<Shape> {
    let bytes = raw.as_bytes();
    if bytes.len() > URL_BYTES_MAX {
        return None;
    }
    let (scheme, host_start) = if bytes.starts_with(b"http://") {
        (Scheme::Http, 7)
    } else if bytes.starts_with(b"https://") {
        (Scheme::Https, 8)
    } else {
        return None;
    };
    let host_end = host_end(bytes, host_start)?;
    let (port, path_start) = port(bytes, host_end, scheme)?;
    let (path_end, end_of) = path(bytes, path_start)?;
    let end = match end_of {
        b'?' => query(bytes, path_end + 1)?,
        _ => path_end,
    };
    Some(Shape { scheme, host_start, host_end, port, path_start, end })
}

/// The end of a host of lower-case labels, or of an IPv4 address.
fn host_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut label = start;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        if CLASS[usize::from(byte)] & HOST != 0 {
            at += 1;
        } else if byte == b'.' && at > label && !bytes[label..at].starts_with(b"xn--") {
            at += 1;
            label = at;
        } else {
            break;
        }
    }
    if at == label || bytes[label..at].starts_with(b"xn--") {
        return None;
    }
    // A name that ends in a number is read as an address, in forms that only the general path knows.
    if bytes[label].is_ascii_digit() {
        std::str::from_utf8(&bytes[start..at]).ok()?.parse::<Ipv4Addr>().ok()?;
    }
    Some(at)
}

/// The port (as it is effective), and where the path begins.
fn port(bytes: &[u8], host_end: usize, scheme: Scheme) -> Option<(u16, usize)> {
    match bytes.get(host_end)? {
        b'/' => Some((scheme.default_port(), host_end)),
        b':' => {
            let digits = &bytes[host_end + 1..];
            let length = digits.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
            if !(1..=5).contains(&length) || digits[0] == b'0' || digits.get(length) != Some(&b'/') {
                return None;
            }
            let port = digits[..length].iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0'));
            let port = u16::try_from(port).ok().filter(|port| *port != scheme.default_port())?;
            Some((port, host_end + 1 + length))
        }
        _ => None,
    }
}

/// The end of the path and what ends it (`?`, `#`, or nothing).
fn path(bytes: &[u8], start: usize) -> Option<(usize, u8)> {
    let mut at = start;
    let mut before = 0;
    while let Some(&byte) = bytes.get(at) {
        if CLASS[usize::from(byte)] & PATH_SAME != 0 {
            // A dot at the start of a segment may be a dot segment.
            if byte == b'.' && before == b'/' {
                return None;
            }
            at += 1;
        } else if byte == b'%' {
            at = stays(bytes, at, PATH_ESCAPE)?;
        } else if matches!(byte, b'?' | b'#') {
            return Some((at, byte));
        } else {
            return None;
        }
        before = byte;
    }
    Some((at, 0))
}

/// The position after an upper-case escape that the canonical form keeps.
fn stays(bytes: &[u8], at: usize, class: u8) -> Option<usize> {
    let value = escape_at(&bytes[at..])?;
    let upper = !bytes[at + 1].is_ascii_lowercase() && !bytes[at + 2].is_ascii_lowercase();
    (upper && CLASS[usize::from(value)] & class != 0).then_some(at + 3)
}

/// The end of a query whose arguments are complete (`name=value`), in order and in canonical spelling.
fn query(bytes: &[u8], start: usize) -> Option<usize> {
    let mut previous: Option<(&[u8], &[u8])> = None;
    let mut plain = true;
    let mut field = start;
    let mut equals = None;
    let mut at = start;
    loop {
        let byte = bytes.get(at).copied().unwrap_or(b'#');
        if CLASS[usize::from(byte)] & QUERY_SAME != 0 {
            plain &= byte != b'+';
            at += 1;
        } else if byte == b'%' {
            plain = false;
            at = stays(bytes, at, QUERY_ESCAPE)?;
        } else if byte == b'=' && equals.is_none() {
            equals = Some(at);
            at += 1;
        } else if matches!(byte, b'&' | b'#') {
            let middle = equals.take()?;
            let pair = (&bytes[field..middle], &bytes[middle + 1..at]);
            match previous {
                // Escapes would have to be decoded to compare.
                Some(earlier) if !plain || earlier > pair => return None,
                _ => previous = Some(pair),
            }
            if byte == b'#' {
                return Some(at);
            }
            at += 1;
            field = at;
        } else {
            return None;
        }
    }
}
