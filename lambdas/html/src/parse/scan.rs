//! Finding things in bytes, eight at a time.
//!
//! Decides nothing about HTML beyond which bytes end a name or a value. Invariant: pages hold no NUL, so 0 stands for
//! "past the end". The word tricks flag the lowest match of a word exactly; flags above it may be false and are not used.

use memchr::memchr;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Bit n is set if the character n is white space, or NUL, which stands for the end of the page.
const SPACES_AND_NUL: u64 = 1 | 1 << b'\t' | 1 << b'\n' | 1 << 0x0c | 1 << b'\r' | 1 << b' ';

/// HTML's white space.
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\r' | 0x0c)
}

/// The byte at `at`, 0 past the end.
#[inline]
pub(super) fn byte_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// Eight bytes from `at`, the first lowest; zeros past the end.
#[inline]
pub(super) fn word_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => word_at_the_end(bytes, at),
    }
}

#[cold]
fn word_at_the_end(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or(&[]);
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    let x = word ^ (ONES * byte as u64);
    x.wrapping_sub(ONES) & !x & HIGHS
}

/// Flags bytes below `bound` (at most 128).
#[inline]
fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(ONES * bound as u64) & !word & HIGHS
}

/// Index of the lowest flagged byte.
#[inline]
fn lowest(flags: u64) -> usize {
    (flags.trailing_zeros() >> 3) as usize
}

/// ASCII upper case to lower case in each byte.
#[inline]
pub(super) fn lower(word: u64) -> u64 {
    let low = word & !HIGHS;
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let past_z = low + ONES * (0x80 - (b'Z' as u64 + 1));
    word | ((!word & HIGHS & (from_a ^ past_z)) >> 2)
}

/// The bytes that end a name: white space, `/`, `>`, and in an attribute's name `=`.
#[inline]
fn ends_name(byte: u8, attribute: bool) -> bool {
    is_space(byte) || byte == b'/' || byte == b'>' || byte == 0 || (attribute && byte == b'=')
}

/// Length of the name at `at`, whose first byte counts whatever it is.
pub(super) fn name_len(bytes: &[u8], at: usize, attribute: bool) -> usize {
    let mut end = at + 1;
    loop {
        let word = word_at(bytes, end);
        let flags = name_flags(word, attribute);
        if flags == 0 {
            end += 8;
            continue;
        }
        end += lowest(flags);
        if ends_name(byte_at(bytes, end), attribute) {
            return end - at;
        }
        end += 1;
    }
}

#[inline]
fn name_flags(word: u64, attribute: bool) -> u64 {
    let flags = below(word, 0x21) | equal(word, b'>') | equal(word, b'/');
    if attribute { flags | equal(word, b'=') } else { flags }
}

/// A name of at most eight bytes as one lower-cased, zero-padded word, and its length. `None` sends to the long way: a
/// longer name, or a control character, or an attribute name that starts with `=`.
#[inline(always)]
pub(super) fn short_name(bytes: &[u8], at: usize, attribute: bool) -> Option<(u64, usize)> {
    let word = word_at(bytes, at);
    let flags = name_flags(word, attribute);
    if flags == 0 {
        return ends_name(byte_at(bytes, at + 8), attribute).then(|| (lower(word), 8));
    }
    // The flag is the high bit of the byte that ends the name: everything below that byte is the name.
    let bit = flags & flags.wrapping_neg();
    let mask = (bit >> 7).wrapping_sub(1);
    let len = lowest(flags);
    let end = (word >> (8 * len)) as u8;
    if mask == 0 || (end <= b' ' && SPACES_AND_NUL >> end & 1 == 0) {
        return None;
    }
    // Upper-case letters lack the bit that all other usual characters of names have.
    let name = word & mask;
    let name = if !name & mask & (ONES * 0x20) == 0 { name } else { lower(name) };
    Some((name, len))
}

/// Position of the next `<`, or the end.
#[inline]
pub(super) fn find_tag(bytes: &[u8], mut at: usize) -> usize {
    for _ in 0..4 {
        let flags = equal(word_at(bytes, at), b'<');
        if flags != 0 {
            return at + lowest(flags);
        }
        at += 8;
    }
    match bytes.get(at..).and_then(|rest| memchr(b'<', rest)) {
        Some(step) => at + step,
        None => bytes.len(),
    }
}

/// Position of the closing quote (`None`: the page ends first), and whether no `&` is known to stand before it.
#[inline(always)]
pub(super) fn find_quote(bytes: &[u8], mut at: usize, quote: u8) -> Option<(usize, bool)> {
    // `"` and `&` differ in one bit, and so do `'` and `&`: one comparison finds either.
    let differ = quote ^ b'&';
    for _ in 0..4 {
        let word = word_at(bytes, at);
        let flags = equal(word | (ONES * differ as u64), quote | differ);
        if flags != 0 {
            at += lowest(flags);
            return if bytes.get(at) == Some(&quote) { Some((at, true)) } else { find_quote_slowly(bytes, at, quote) };
        }
        at += 8;
    }
    find_quote_slowly(bytes, at, quote)
}

#[inline(never)]
fn find_quote_slowly(bytes: &[u8], mut at: usize, quote: u8) -> Option<(usize, bool)> {
    for _ in 0..2 {
        let flags = equal(word_at(bytes, at), quote);
        if flags != 0 {
            return Some((at + lowest(flags), false));
        }
        at += 8;
    }
    let step = memchr(quote, bytes.get(at..)?)?;
    Some((at + step, false))
}

/// End of a value without quotes: white space or `>`.
pub(super) fn find_bare_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let word = word_at(bytes, at);
        let flags = below(word, 0x21) | equal(word, b'>');
        if flags == 0 {
            at += 8;
            continue;
        }
        at += lowest(flags);
        match byte_at(bytes, at) {
            b'>' | 0 => return at.min(bytes.len()),
            byte if is_space(byte) => return at,
            _ => at += 1,
        }
    }
}

/// Position of the first byte from `at` on that is no white space.
#[inline]
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while is_space(byte_at(bytes, at)) {
        at += 1;
    }
    at
}

/// Does `bytes[at..]` start with `text` (given in lower-case letters), whatever its case?
pub(super) fn starts_with_any_case(bytes: &[u8], at: usize, text: &[u8]) -> bool {
    bytes.get(at..at + text.len()).is_some_and(|found| found.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_word_is_lowered_as_ascii_lowers_it() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut word = *b"aZ\xc3\x84@[z{";
                word[place] = byte;
                let expected = word.map(|b| b.to_ascii_lowercase());
                assert_eq!(lower(u64::from_le_bytes(word)).to_le_bytes(), expected);
            }
        }
    }

    #[test]
    fn names_end_where_a_plain_loop_ends_them() {
        let texts =
            ["a>", "div class", "data-id=3", "h1/>", "eight678>", "ninenine9 x", "a\u{1}b>", "=x=", "é=1", "abc"];
        for text in texts {
            for attribute in [false, true] {
                let bytes = text.as_bytes();
                let plain = (1..bytes.len()).find(|&i| ends_name(bytes[i], attribute)).unwrap_or(bytes.len());
                assert_eq!(name_len(bytes, 0, attribute), plain, "{text} {attribute}");
                if let Some((word, len)) = short_name(bytes, 0, attribute) {
                    assert_eq!(len, plain, "{text} {attribute}");
                    assert_eq!(&word.to_le_bytes()[..len], bytes[..len].to_ascii_lowercase(), "{text}");
                }
            }
        }
    }

    #[test]
    fn quotes_are_found_wherever_they_stand_and_marks_after_them_do_not_count() {
        for lead in 0..40 {
            let text = format!("{}\"&", "x".repeat(lead));
            let (at, plain) = find_quote(text.as_bytes(), 0, b'"').expect("there is one");
            assert_eq!((at, plain), (lead, lead < 32));
            let marked = format!("&{}\"", "x".repeat(lead));
            assert_eq!(find_quote(marked.as_bytes(), 0, b'"'), Some((lead + 1, false)));
        }
        assert_eq!(find_quote(b"no end", 0, b'"'), None);
    }
}
