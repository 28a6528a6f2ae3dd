//! String functions that need neither page nor context.

use std::borrow::Cow;

use super::number;

pub(super) fn slice(text: Cow<'_, str>, range: std::ops::Range<usize>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(mut text) => {
            text.truncate(range.end);
            text.drain(..range.start);
            Cow::Owned(text)
        }
    }
}

/// XPath's `substring`: characters whose position p has round(start) <= p < round(start) + round(length).
pub(super) fn substring(text: Cow<'_, str>, start: f64, length: Option<f64>) -> Cow<'_, str> {
    let from = number::round(start);
    let to = length.map_or(f64::INFINITY, |length| from + number::round(length));
    if from.is_nan() || to.is_nan() {
        return Cow::Borrowed("");
    }
    let skip = (from - 1.0).clamp(0.0, 1e15) as usize;
    let count = (to - 1.0).clamp(0.0, 1e15) as usize;
    let byte = |chars: usize| text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    let (from, to) = (byte(skip), byte(count));
    slice(text, from.min(to)..to)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// White space at the ends removed, inside folded to one space.
pub(super) fn normalized(text: Cow<'_, str>) -> Cow<'_, str> {
    let start = text.len() - text.trim_start_matches(is_blank).len();
    let end = start + text[start..].trim_end_matches(is_blank).len();
    let bytes = &text.as_bytes()[start..end];
    let folded =
        !bytes.windows(2).any(|pair| pair == b"  ") && !bytes.iter().any(|b| matches!(b, b'\t' | b'\n' | b'\r'));
    if folded {
        return slice(text, start..end);
    }
    let mut out = String::with_capacity(end - start);
    for word in text[start..end].split(is_blank).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    Cow::Owned(out)
}

pub(super) fn translated<'e>(text: &str, from: &str, to: &str) -> Cow<'e, str> {
    let mut map: Vec<(char, Option<char>)> = Vec::new();
    let mut ascii: [Option<Option<char>>; 128] = [None; 128];
    let mut targets = to.chars();
    for c in from.chars() {
        let target = targets.next();
        match ascii.get_mut(c as usize) {
            Some(slot) => *slot = (*slot).or(Some(target)),
            None if map.iter().all(|(known, _)| *known != c) => map.push((c, target)),
            None => {}
        }
    }
    text.chars()
        .filter_map(|c| match ascii.get(c as usize) {
            Some(slot) => slot.unwrap_or(Some(c)),
            None => map.iter().find(|(known, _)| *known == c).map_or(Some(c), |(_, target)| *target),
        })
        .collect::<String>()
        .into()
}
