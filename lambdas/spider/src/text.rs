//! Python's text functions, as Scrapy users know them: `str.strip`, `str.title`, `str.capitalize`, `" ".join(s.split())`.
//!
//! Invariant: what needs no change is given back as it is, without a copy.

use std::borrow::Cow;

/// What Python's `str.strip()` and `str.split()` take for space.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `s.strip()`, without a copy.
pub(crate) fn trim(value: Cow<'_, str>) -> Cow<'_, str> {
    trim_by(value, is_space)
}

/// Strips characters at both ends, without a copy.
pub(crate) fn trim_by(value: Cow<'_, str>, strip: impl Fn(char) -> bool) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(strip)),
        Cow::Owned(mut text) => {
            let end = text.trim_end_matches(&strip).len();
            text.truncate(end);
            let start = end - text.trim_start_matches(&strip).len();
            text.drain(..start);
            Cow::Owned(text)
        }
    }
}

/// `" ".join(s.split())`.
pub(crate) fn collapse(value: Cow<'_, str>) -> Cow<'_, str> {
    let value = trim(value);
    let mut spaced = false;
    let plain = value.chars().all(|c| {
        let space = is_space(c);
        let fine = !space || (c == ' ' && !spaced);
        spaced = space;
        fine
    });
    if plain {
        return value;
    }
    let mut out = String::with_capacity(value.len());
    for word in value.split(is_space).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    Cow::Owned(out)
}

/// `s.lower()`.
pub(crate) fn lower(value: Cow<'_, str>) -> Cow<'_, str> {
    if value.is_ascii() {
        if !value.bytes().any(|b| b.is_ascii_uppercase()) {
            return value;
        }
        let mut text = value.into_owned();
        text.make_ascii_lowercase();
        return Cow::Owned(text);
    }
    Cow::Owned(value.to_lowercase())
}

/// `s.upper()`.
pub(crate) fn upper(value: Cow<'_, str>) -> Cow<'_, str> {
    if value.is_ascii() {
        if !value.bytes().any(|b| b.is_ascii_lowercase()) {
            return value;
        }
        let mut text = value.into_owned();
        text.make_ascii_uppercase();
        return Cow::Owned(text);
    }
    Cow::Owned(value.to_uppercase())
}

/// `s.title()`: a letter after a letter is lowered, any other is title-cased.
pub(crate) fn title_case(value: Cow<'_, str>) -> Cow<'_, str> {
    if value.is_ascii() {
        let mut after_letter = false;
        let changes = value.bytes().any(|b| {
            let change = if after_letter { b.is_ascii_uppercase() } else { b.is_ascii_lowercase() };
            after_letter = b.is_ascii_alphabetic();
            change
        });
        if !changes {
            return value;
        }
        let mut bytes = value.into_owned().into_bytes();
        let mut after_letter = false;
        for b in &mut bytes {
            let letter = b.is_ascii_alphabetic();
            *b = if after_letter { b.to_ascii_lowercase() } else { b.to_ascii_uppercase() };
            after_letter = letter;
        }
        return Cow::Owned(String::from_utf8(bytes).expect("ASCII stays ASCII"));
    }
    let mut out = String::with_capacity(value.len() + 8);
    let mut after_cased = false;
    for (at, c) in value.char_indices() {
        if after_cased {
            push_lower(&mut out, &value, at, c);
        } else {
            push_title(&mut out, c);
        }
        after_cased = is_cased(c);
    }
    Cow::Owned(out)
}

/// `s.capitalize()`: the first character title-cased, the rest lowered.
pub(crate) fn capitalize(value: Cow<'_, str>) -> Cow<'_, str> {
    let Some(first) = value.chars().next() else { return value };
    let mut out = String::with_capacity(value.len() + 4);
    push_title(&mut out, first);
    for (at, c) in value.char_indices().skip(1) {
        push_lower(&mut out, &value, at, c);
    }
    Cow::Owned(out)
}

/// Derived property Cased: lower case, upper case, or title case.
fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || is_title(c)
}

/// General category Lt, all 31 of it.
fn is_title(c: char) -> bool {
    matches!(c,
        '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}' | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}'
        | '\u{1fa8}'..='\u{1faf}' | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}')
}

fn push_lower(out: &mut String, whole: &str, at: usize, c: char) {
    if c == 'Σ' {
        // Final or not depends on its surroundings, which `to_lowercase` of the whole knows.
        let before = whole[..at].to_lowercase().len();
        let sigma = whole.to_lowercase()[before..].chars().next().unwrap_or('σ');
        out.push(sigma);
    } else {
        out.extend(c.to_lowercase());
    }
}

/// Title case: upper case, but for the 135 characters where Unicode (SpecialCasing, UnicodeData) says otherwise.
fn push_title(out: &mut String, c: char) {
    let code = u32::from(c);
    let one = |shift: u32| char::from_u32(shift).unwrap_or(c);
    match code {
        0xdf => out.push_str("Ss"),
        0x1c4..=0x1c6 => out.push('\u{1c5}'),
        0x1c7..=0x1c9 => out.push('\u{1c8}'),
        0x1ca..=0x1cc => out.push('\u{1cb}'),
        0x1f1..=0x1f3 => out.push('\u{1f2}'),
        0x587 => out.push_str("\u{535}\u{582}"),
        0x10d0..=0x10fa | 0x10fd..=0x10ff => out.push(c),
        0x1f80..=0x1faf => out.push(one(code | 8)),
        0x1fb3 => out.push('\u{1fbc}'),
        0x1fc3 => out.push('\u{1fcc}'),
        0x1ff3 => out.push('\u{1ffc}'),
        0x1fbc | 0x1fcc | 0x1ffc => out.push(c),
        0x1fb2 => out.push_str("\u{1fba}\u{345}"),
        0x1fb4 => out.push_str("\u{386}\u{345}"),
        0x1fb7 => out.push_str("\u{391}\u{342}\u{345}"),
        0x1fc2 => out.push_str("\u{1fca}\u{345}"),
        0x1fc4 => out.push_str("\u{389}\u{345}"),
        0x1fc7 => out.push_str("\u{397}\u{342}\u{345}"),
        0x1ff2 => out.push_str("\u{1ffa}\u{345}"),
        0x1ff4 => out.push_str("\u{38f}\u{345}"),
        0x1ff7 => out.push_str("\u{3a9}\u{342}\u{345}"),
        0xfb00 => out.push_str("Ff"),
        0xfb01 => out.push_str("Fi"),
        0xfb02 => out.push_str("Fl"),
        0xfb03 => out.push_str("Ffi"),
        0xfb04 => out.push_str("Ffl"),
        0xfb05 | 0xfb06 => out.push_str("St"),
        0xfb13 => out.push_str("\u{544}\u{576}"),
        0xfb14 => out.push_str("\u{544}\u{565}"),
        0xfb15 => out.push_str("\u{544}\u{56b}"),
        0xfb16 => out.push_str("\u{54e}\u{576}"),
        0xfb17 => out.push_str("\u{544}\u{56d}"),
        _ => out.extend(c.to_uppercase()),
    }
}

/// Removes every occurrence of each needle.
pub(crate) fn remove<'a>(value: Cow<'a, str>, needles: &[Box<str>]) -> Cow<'a, str> {
    let mut value = value;
    for needle in needles {
        if value.contains(needle.as_ref()) {
            value = Cow::Owned(value.replace(needle.as_ref(), ""));
        }
    }
    value
}

/// Replaces every occurrence.
pub(crate) fn replace<'a>(value: Cow<'a, str>, (from, to): &(Box<str>, Box<str>)) -> Cow<'a, str> {
    if value.contains(from.as_ref()) { Cow::Owned(value.replace(from.as_ref(), to)) } else { value }
}

/// Tags taken out: from `<` before a letter, `/` or `!` to the next `>`, as w3lib's `remove_tags` does it.
pub(crate) fn strip_tags(value: Cow<'_, str>) -> Cow<'_, str> {
    if !value.contains('<') {
        return value;
    }
    let mut out = String::with_capacity(value.len());
    let mut rest: &str = &value;
    while let Some(at) = rest.find('<') {
        let tag = rest.as_bytes().get(at + 1).is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'/' | b'!'));
        match rest[at..].find('>') {
            Some(end) if tag => {
                out.push_str(&rest[..at]);
                rest = &rest[at + end + 1..];
            }
            _ => {
                out.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A number with a decimal comma, written with a point: `1.234,50` becomes `1234.50`.
pub(crate) fn decimal_comma(value: Cow<'_, str>) -> Cow<'_, str> {
    let keep = |c: char| !(c == '.' || c == '\'' || is_space(c));
    if value.chars().all(|c| keep(c) && c != ',') {
        return value;
    }
    Cow::Owned(value.chars().filter(|c| keep(*c)).map(|c| if c == ',' { '.' } else { c }).collect())
}

/// Characters `start..end` as Python's slices count them: negative from the end.
pub(crate) fn slice(value: &str, start: Option<i64>, end: Option<i64>) -> Range<usize> {
    let count = if value.is_ascii() { value.len() } else { value.chars().count() };
    let at = |index: i64| {
        let magnitude = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
        if index < 0 { count.saturating_sub(magnitude) } else { magnitude.min(count) }
    };
    let from = start.map_or(0, at);
    let to = end.map_or(count, at).max(from);
    let byte = |n: usize| {
        if value.is_ascii() { n } else { value.char_indices().nth(n).map_or(value.len(), |(at, _)| at) }
    };
    byte(from)..byte(to)
}

use std::ops::Range;

/// Cuts a value to a byte range, without a copy.
pub(crate) fn cut(value: Cow<'_, str>, range: Range<usize>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(mut text) => {
            text.truncate(range.end);
            text.drain(..range.start);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titled(text: &str) -> String {
        title_case(text.into()).into_owned()
    }

    #[test]
    fn title_case_is_python_s() {
        // Expected values by CPython 3.11.
        for (text, expected) in [
            ("set unique family well", "Set Unique Family Well"),
            ("they're bill's", "They'Re Bill'S"),
            ("3RD floor x2y", "3Rd Floor X2Y"),
            ("ÉCOLE élan straße", "École Élan Straße"),
            ("ßtraße", "Sstraße"),
            ("ﬁne ǆungla", "Fine ǅungla"),
            ("ΟΔΟΣ ΣΑΣ", "Οδος Σας"),
            ("ქართული", "ქართული"),
            ("ᾳ ᾲ ŉa", "ᾼ Ὰͅ ʼNa"),
            ("İSTANBUL iİ", "İstanbul Ii̇"),
            ("", ""),
            ("  a", "  A"),
        ] {
            assert_eq!(titled(text), expected, "{text}");
        }
    }

    #[test]
    fn unchanged_text_is_not_copied() {
        for function in [trim, collapse, lower, title_case, strip_tags, decimal_comma] {
            for text in ["", "x1 y"] {
                let text = if std::ptr::fn_addr_eq(function, title_case as fn(_) -> _) {
                    text.to_uppercase()
                } else {
                    text.to_owned()
                };
                if text.contains(' ') && std::ptr::fn_addr_eq(function, decimal_comma as fn(_) -> _) {
                    continue;
                }
                assert!(matches!(function(Cow::Borrowed(&text)), Cow::Borrowed(_)), "{text:?}");
            }
        }
    }

    #[test]
    fn trim_takes_what_python_calls_space() {
        assert_eq!(trim("\u{1f}\u{a0} x \u{85}\n".into()), "x");
        assert_eq!(trim(Cow::Owned("  x y\t".to_owned())), "x y");
        assert_eq!(trim(Cow::Owned(" \n ".to_owned())), "");
    }

    #[test]
    fn slices_count_characters_from_both_ends() {
        let cut_of = |text: &str, a, b| text[slice(text, a, b)].to_owned();
        assert_eq!(cut_of("abcdef", Some(1), Some(-1)), "bcde");
        assert_eq!(cut_of("äöüß", Some(1), Some(3)), "öü");
        assert_eq!(cut_of("äöüß", Some(-2), None), "üß");
        assert_eq!(cut_of("abc", Some(2), Some(1)), "");
        assert_eq!(cut_of("abc", Some(i64::MIN), Some(i64::MAX)), "abc");
    }

    #[test]
    fn tags_go_and_lone_angle_brackets_stay() {
        assert_eq!(strip_tags("a <b class='x'>b</b> < c <!-- d --> e <f".into()), "a b < c  e <f");
    }

    #[test]
    fn whitespace_collapses() {
        assert_eq!(collapse(" a \n\t b  c ".into()), "a b c");
        assert_eq!(collapse("a\nb".into()), "a b");
    }

    #[test]
    fn decimal_comma_becomes_a_point() {
        assert_eq!(decimal_comma("1.234,50".into()), "1234.50");
        assert_eq!(decimal_comma("1 234".into()), "1234");
    }
}
