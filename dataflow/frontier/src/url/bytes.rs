//! Percent-encoding, byte by byte: which bytes stay, which are written as `%XX`.

/// A set of bytes that need no escape.
pub(super) struct Safe([bool; 256]);

impl Safe {
    /// The unreserved characters of RFC 3986 and `extra`.
    const fn with(extra: &[u8]) -> Safe {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            let b = byte as u8;
            table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
            byte += 1;
        }
        let mut at = 0;
        while at < extra.len() {
            table[extra[at] as usize] = true;
            at += 1;
        }
        Safe(table)
    }

    #[inline]
    pub(super) const fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }
}

/// Letters, digits, `-._~`.
pub(super) static UNRESERVED: Safe = Safe::with(b"");
/// User names and passwords: safe for every URL standard.
pub(super) static USERINFO: Safe = Safe::with(b"!$&'()*+,");
/// Paths, queries of other schemes, fragments: safe for every URL standard. `%` stays, so that what is escaped stays escaped.
pub(super) static PATH: Safe = Safe::with(b":/?@!$&'()*+,;=%");
/// Queries of the schemes that browsers treat specially.
pub(super) static SPECIAL_QUERY: Safe = Safe::with(b":/?@!$&()*+,;=%");
/// Paths in canonical form: brackets and `|` are written out.
pub(super) static CANONICAL_PATH: Safe = Safe::with(b":/?[]@!$&'()*+,;=|%");

const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[inline]
pub(super) fn push_escape(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// Appends `data` with every byte outside `safe` escaped.
pub(super) fn quote_into(data: &[u8], safe: &Safe, out: &mut Vec<u8>) {
    for &byte in data {
        if safe.has(byte) {
            out.push(byte);
        } else {
            push_escape(byte, out);
        }
    }
}

/// As `quote_into` with the unreserved characters, and a space becomes `+`.
pub(super) fn quote_plus_into(data: &[u8], out: &mut Vec<u8>) {
    for &byte in data {
        if UNRESERVED.has(byte) {
            out.push(byte);
        } else if byte == b' ' {
            out.push(b'+');
        } else {
            push_escape(byte, out);
        }
    }
}

/// The value of the escape at the start of `data` (`%XX`), if it is one.
#[inline]
pub(super) fn escape_at(data: &[u8]) -> Option<u8> {
    match data {
        [b'%', high, low, ..] => Some((nibble(*high)? << 4) | nibble(*low)?),
        _ => None,
    }
}

#[inline]
const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Calls `each` for every byte after decoding; escapes that are none stay as they are.
#[inline]
pub(super) fn unquoted(data: &[u8], mut each: impl FnMut(u8)) {
    let mut at = 0;
    while at < data.len() {
        if let Some(byte) = escape_at(&data[at..]) {
            each(byte);
            at += 3;
        } else {
            each(data[at]);
            at += 1;
        }
    }
}

/// The decoded bytes.
pub(super) fn unquote(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    unquoted(data, |byte| out.push(byte));
    out
}

/// Appends the decoded bytes of a query part: `+` is a space.
pub(super) fn unquote_plus_into(data: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < data.len() {
        if let Some(byte) = escape_at(&data[at..]) {
            out.push(byte);
            at += 3;
        } else {
            out.push(if data[at] == b'+' { b' ' } else { data[at] });
            at += 1;
        }
    }
}
