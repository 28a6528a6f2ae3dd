//! XML's characters and names, by the fifth edition of XML 1.0.

/// What ends a run of text that needs no second look: markup, `]`, CR, what is not ASCII, and what no XML page may hold.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x20..=0x7f) && !matches!(byte, b'<' | b'&' | b']')
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.')
}

const fn table(of: u8) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = if of == 0 { is_plain(byte as u8) } else { is_name(byte as u8) };
        byte += 1;
    }
    table
}

pub(super) const PLAIN: [bool; 256] = table(0);
const NAME: [bool; 256] = table(1);

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// What a page may not hold, by the bytes that begin at `at`: control characters, U+FFFE and U+FFFF.
#[inline]
pub(super) fn is_invalid(bytes: &[u8], at: usize) -> bool {
    match bytes[at] {
        byte if byte < 0x20 => !is_blank(byte),
        0xef => bytes[at + 1] == 0xbf && bytes[at + 2] >= 0xbe,
        _ => false,
    }
}

fn starts_name(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | '_' | ':' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

fn continues_name(c: char) -> bool {
    starts_name(c) || matches!(c, '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// Bytes of the name tokens (any characters of names) that `text` begins with.
pub(super) fn token_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(|&byte| NAME[byte as usize]) {
            at += 1;
        }
        match text[at..].chars().next() {
            Some(c) if !c.is_ascii() && continues_name(c) => at += c.len_utf8(),
            _ => return at,
        }
    }
}

/// Bytes of the name that begins `text`, colons included; 0 if none does.
pub(super) fn name_length(text: &str) -> usize {
    if text.chars().next().is_some_and(starts_name) { token_length(text) } else { 0 }
}

/// Bytes of the name without a colon that begins `text`; 0 if none does.
fn part_length(text: &str) -> usize {
    let length = name_length(text);
    text[..length].find(':').unwrap_or(length)
}

/// A name of an element or attribute: its bytes, and where its colon stands if that parts a prefix from a local name. A name
/// with colons elsewhere (`a:b:c`, `:a`, `a:`) is one without a prefix, as libxml2 recovers.
pub(super) fn qualified_name(text: &str) -> (usize, Option<usize>) {
    let first = part_length(text);
    if first == 0 && !text.starts_with(':') {
        return (0, None);
    }
    if first > 0 {
        let Some(rest) = text[first..].strip_prefix(':') else { return (first, None) };
        let second = part_length(rest);
        if second > 0 && !rest[second..].starts_with(':') {
            return (first + 1 + second, Some(first));
        }
    }
    (first + token_length(&text[first..]), None)
}

/// Line ends as XML has them: LF alone.
pub(super) fn push_lines(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\r', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        out.push('\n');
        rest = &rest[at + 1..];
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    out.push_str(rest);
}

/// The character that one of the five references that every page knows stands for.
pub(super) fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}
