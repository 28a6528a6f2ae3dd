//! Path patterns and the spelling in which patterns and paths are compared.
//!
//! RFC 9309, section 2.2.2: escapes of what needs none are decoded, what is not ASCII is escaped, then bytes are compared. Beyond
//! its letter, ASCII characters that URLs carry both ways (`[`, `|`, `'`, `:` ...) are decoded too, since a fetch form has them
//! escaped where a robots.txt usually has not. Escapes that mean something else than the character stay: `%25 %2F %3F %23 %26 %3D
//! %2B %3B` and controls; a `/` in a query means itself either way. `*` and `$` are escaped unless they are a pattern's own signs.

/// A compiled path pattern: the text in comparison spelling, `*` between its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub text: Box<[u8]>,
    /// It ended in `$`.
    pub anchored: bool,
    /// Octets as written, non-ASCII escaped: the longest match wins.
    pub length: u32,
}

impl Pattern {
    /// Compiles the value of an Allow or Disallow line.
    pub(super) fn new(value: &[u8]) -> Pattern {
        let length = value.len() + 2 * value.iter().filter(|b| !b.is_ascii()).count();
        let (value, anchored) = value.strip_suffix(b"$").map_or((value, false), |rest| (rest, true));
        let mut text = Vec::with_capacity(value.len());
        compare_spelling(value, true, &mut text);
        Pattern { text: text.into(), anchored, length: length as u32 }
    }
}

/// Whether a pattern matches a path in comparison spelling. Linear: each part is looked for once, leftmost first.
pub(super) fn matches(text: &[u8], anchored: bool, path: &[u8]) -> bool {
    let Some(star) = memchr::memchr(b'*', text) else {
        return if anchored { path == text } else { path.starts_with(text) };
    };
    let Some(mut rest) = path.strip_prefix(&text[..star]) else { return false };
    let mut parts = text[star + 1..].split(|b| *b == b'*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() && anchored {
            return rest.ends_with(part);
        }
        match memchr::memmem::find(rest, part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Appends `text` in comparison spelling.
pub(super) fn compare_spelling(text: &[u8], is_pattern: bool, out: &mut Vec<u8>) {
    let mut in_query = false;
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        if let Some(value) = escape_at(&text[at..]) {
            if stays_escaped(value) && !(in_query && value == b'/') {
                push_escape(value, out);
            } else {
                out.push(value);
            }
            at += 3;
            continue;
        }
        in_query |= byte == b'?';
        match byte {
            // Runs of stars are one.
            b'*' if is_pattern => {
                if out.last() != Some(&b'*') {
                    out.push(b'*');
                }
            }
            b'*' | b'$' => push_escape(byte, out),
            _ if byte.is_ascii_graphic() || byte == b' ' => out.push(byte),
            _ => push_escape(byte, out),
        }
        at += 1;
    }
}

fn stays_escaped(value: u8) -> bool {
    !(value.is_ascii_graphic() || value == b' ')
        || matches!(value, b'%' | b'/' | b'?' | b'#' | b'&' | b'=' | b'+' | b';' | b'*' | b'$')
}

fn escape_at(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |b: u8| char::from(b).to_digit(16);
    Some((digit(*high)? * 16 + digit(*low)?) as u8)
}

fn push_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// True when a path is its own comparison spelling, so that nothing needs to be written.
pub(super) fn is_compare_spelling(path: &[u8]) -> bool {
    path.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'*' | b'$'))
}

/// Path and query of a URL, or of what is left of one: no scheme, no host, no fragment, with a slash before it.
pub(super) fn path_and_query(url: &str) -> (bool, &str) {
    let skip = if url.starts_with("//") { 2 } else { 0 };
    let first = |from: usize| url[from..].find(['/', '?', ';']).map(|at| at + from);
    // A path, parameters or query before `://` mean that it is no scheme's.
    let after_scheme = match (url[skip..].find("://").map(|at| at + skip), first(skip)) {
        (Some(scheme), Some(early)) if early < scheme => skip,
        (Some(scheme), _) => scheme + 3,
        (None, _) => skip,
    };
    let end = url[skip..].find('#').map_or(url.len(), |at| at + skip);
    match first(after_scheme) {
        Some(start) if start < end => (!url[start..].starts_with('/'), &url[start..end]),
        _ => (true, ""),
    }
}
