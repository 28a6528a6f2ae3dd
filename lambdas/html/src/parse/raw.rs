//! Where an element ends whose content is text alone: style, textarea, script.
//!
//! Decides nothing but that. Invariant: the end found is the `<` of an end tag, or the page's end.

use memchr::{memchr, memchr2};

use super::scan::{byte_at, is_space, starts_with_any_case};

/// Is there an end (or, without `slash`, a start) tag of `name` at `at`, finished by white space, `/` or `>`?
fn is_tag(bytes: &[u8], at: usize, slash: bool, name: &[u8]) -> bool {
    let at = at + 1 + usize::from(slash);
    let after = byte_at(bytes, at + name.len());
    starts_with_any_case(bytes, at, name) && (matches!(after, b'>' | b'/') || is_space(after))
}

/// Where the end tag of `name` stands that ends a text begun before `at`; the page's end if there is none.
pub(super) fn raw_end(bytes: &[u8], mut at: usize, name: &[u8]) -> usize {
    while let Some(step) = memchr(b'<', &bytes[at..]) {
        at += step;
        if byte_at(bytes, at + 1) == b'/' && is_tag(bytes, at, true, name) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// The end of a script: within `<!--` a `<script` must be closed before `</script` ends the element.
pub(super) fn script_end(bytes: &[u8], mut at: usize, name: &[u8]) -> usize {
    #[derive(PartialEq)]
    enum Within {
        Script,
        Comment,
        ScriptInComment,
    }
    let mut within = Within::Script;
    loop {
        let rest = &bytes[at..];
        let step = if within == Within::Script { memchr(b'<', rest) } else { memchr2(b'<', b'-', rest) };
        let Some(step) = step else { return bytes.len() };
        at += step;
        if bytes[at] == b'-' {
            if bytes[at..].starts_with(b"-->") {
                within = Within::Script;
            }
        } else if within == Within::Script && byte_at(bytes, at + 1) == b'!' {
            if bytes[at..].starts_with(b"<!--") {
                within = Within::Comment;
            }
        } else if byte_at(bytes, at + 1) == b'/' {
            if is_tag(bytes, at, true, name) {
                if within != Within::ScriptInComment {
                    return at;
                }
                within = Within::Comment;
            }
        } else if within == Within::Comment && is_tag(bytes, at, false, name) {
            within = Within::ScriptInComment;
        }
        at += 1;
    }
}
