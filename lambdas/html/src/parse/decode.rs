//! References and line ends: what a stretch of the page means as text.
//!
//! Decides nothing about where a text starts or ends. Invariant: only `&` and CR ever change, so a text without them is
//! borrowed from the page.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::entities::ENTITIES;

/// Where a text stands decides which references count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refs {
    /// None: comments, scripts.
    None,
    /// All, `&amp` without a semicolon too.
    InText,
    /// Without a semicolon only when no letter, digit or `=` follows (`?a=1&copy=2` keeps its `&copy`).
    InAttribute,
}

/// Does `raw` hold anything that `decode` would change? (It may say yes for a lone `&`.)
#[inline]
pub(crate) fn needs_decoding(raw: &str, refs: Refs) -> bool {
    match refs {
        Refs::None => memchr(b'\r', raw.as_bytes()).is_some(),
        _ => memchr2(b'&', b'\r', raw.as_bytes()).is_some(),
    }
}

/// The text that `raw` stands for: references replaced, CR LF and CR read as LF.
pub(crate) fn decode(raw: &str, refs: Refs) -> Cow<'_, str> {
    if needs_decoding(raw, refs) { Cow::Owned(decode_slowly(raw, refs)) } else { Cow::Borrowed(raw) }
}

fn decode_slowly(raw: &str, refs: Refs) -> String {
    let bytes = raw.as_bytes();
    let mut out = String::with_capacity(raw.len());
    let mut kept = 0;
    let mut at = 0;
    while let Some(step) = match refs {
        Refs::None => memchr(b'\r', &bytes[at..]),
        _ => memchr2(b'&', b'\r', &bytes[at..]),
    } {
        let here = at + step;
        if bytes[here] == b'\r' {
            out.push_str(&raw[kept..here]);
            if bytes.get(here + 1) != Some(&b'\n') {
                out.push('\n');
            }
            at = here + 1;
            kept = at;
            continue;
        }
        let after = &bytes[here + 1..];
        let read = if after.first() == Some(&b'#') {
            numeric(&after[1..]).map(|(c, len)| {
                out.push_str(&raw[kept..here]);
                out.push(c);
                len + 1
            })
        } else {
            named(after, refs).map(|(text, len)| {
                out.push_str(&raw[kept..here]);
                out.push_str(text);
                len
            })
        };
        at = here + 1 + read.unwrap_or(0);
        if read.is_some() {
            kept = at;
        }
    }
    out.push_str(&raw[kept..]);
    out
}

/// The reference at the start of `bytes`, if there is one: its first character and its length.
pub(super) fn reference(bytes: &[u8], refs: Refs) -> Option<(char, usize)> {
    let after = bytes.strip_prefix(b"&")?;
    if let Some(digits) = after.strip_prefix(b"#") {
        return numeric(digits).map(|(c, len)| (c, len + 2));
    }
    let (text, len) = named(after, refs)?;
    text.chars().next().map(|c| (c, len + 1))
}

/// A numeric reference after `&#`: its character and length, the semicolon included.
fn numeric(bytes: &[u8]) -> Option<(char, usize)> {
    let (radix, start) = match bytes.first() {
        Some(b'x' | b'X') => (16, 1),
        _ => (10, 0),
    };
    let mut value = 0u32;
    let mut at = start;
    while let Some(digit) = bytes.get(at).and_then(|&b| (b as char).to_digit(radix)) {
        value = (value * radix + digit).min(0x11_0000);
        at += 1;
    }
    if at == start {
        return None;
    }
    if bytes.get(at) == Some(&b';') {
        at += 1;
    }
    Some((char_of(value), at))
}

/// The character of a code point; what Windows-1252 means where C1 controls would stand, U+FFFD for no character at all.
fn char_of(value: u32) -> char {
    const C1: [u32; 32] = [
        0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d,
        0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d,
        0x17e, 0x178,
    ];
    let value = if (0x80..0xa0).contains(&value) { C1[value as usize - 0x80] } else { value };
    char::from_u32(value).filter(|&c| c != '\0').unwrap_or('\u{fffd}')
}

/// The longest named reference after `&`: its text and length, the semicolon included.
fn named(bytes: &[u8], refs: Refs) -> Option<(&'static str, usize)> {
    let mut range = &ENTITIES[..];
    let mut found = None;
    for (depth, &byte) in bytes.iter().enumerate() {
        if !byte.is_ascii_alphanumeric() {
            break;
        }
        let first = range.partition_point(|e| e.0.as_bytes().get(depth).is_none_or(|&b| b < byte));
        let past = range.partition_point(|e| e.0.as_bytes().get(depth).is_none_or(|&b| b <= byte));
        range = &range[first..past];
        let Some(&(name, text, legacy)) = range.first() else { break };
        if name.len() == depth + 1 {
            let next = bytes.get(depth + 1).copied().unwrap_or(0);
            if next == b';' {
                found = Some((text, depth + 2));
            } else if legacy && (refs == Refs::InText || !(next.is_ascii_alphanumeric() || next == b'=')) {
                found = Some((text, depth + 1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_count_by_where_they_stand() {
        for (raw, text, attribute) in [
            ("a &amp; b", "a & b", "a & b"),
            ("&copy=1&copy;&copyx", "©=1©©x", "&copy=1©&copyx"),
            ("&notit;&notin;", "¬it;∉", "&notit;∉"),
            ("&#65;&#x42&#0;&#128;&#xd800;&#;", "AB\u{fffd}€\u{fffd}&#;", "AB\u{fffd}€\u{fffd}&#;"),
            ("&#99999999999999999999;", "\u{fffd}", "\u{fffd}"),
            ("a\rb\r\nc&#13;", "a\nb\nc\r", "a\nb\nc\r"),
            ("&CounterClockwiseContourIntegral;&nGt;&", "∳≫\u{20d2}&", "∳≫\u{20d2}&"),
        ] {
            assert_eq!(decode(raw, Refs::InText), text, "{raw}");
            assert_eq!(decode(raw, Refs::InAttribute), attribute, "{raw}");
        }
        assert_eq!(decode("&amp;\r", Refs::None), "&amp;\n");
        assert!(matches!(decode("plain", Refs::InText), Cow::Borrowed("plain")));
    }

    #[test]
    fn every_reference_of_the_table_is_found_by_its_whole_name() {
        for (name, text, legacy) in &ENTITIES {
            assert_eq!(decode(&format!("&{name};"), Refs::InAttribute), *text, "{name}");
            let bare = decode(&format!("&{name}"), Refs::InAttribute).into_owned();
            assert_eq!(bare == *text, *legacy, "{name}");
        }
    }
}
