//! Tags, comments and text: how a page is written.
//!
//! Decides where each of these starts and ends and hands it to the `Builder`, without ever making a token of it. Must not
//! know what closes what. Invariant: every turn of every loop moves forward in the page.

use super::decode::{Refs, reference};
use super::open::{BODY, Builder, HEAD, HTML};
use super::raw::{raw_end, script_end};
use super::rules::raw;
use super::scan::{
    byte_at, find_bare_end, find_quote, find_tag, is_space, name_len, short_name, skip_space, starts_with_any_case,
    word_at,
};
use super::{Limits, ParseError};
use crate::names::NAME_BYTES_MAX;
use crate::tree::{FLAG_FINAL, NONE, NameId};
use memchr::memchr;

/// How a tag ends.
#[derive(PartialEq)]
enum TagEnd {
    /// `>`
    Open,
    /// `/>`
    Closed,
    /// The page ended first: the tag counts for nothing.
    Missing,
}

/// One page being read.
pub(super) struct Reader<'p, 's> {
    pub bytes: &'s [u8],
    pub build: Builder<'p>,
    /// Number of the current start tag, counted over all pages of the parser.
    pub tag: &'p mut u32,
    /// `FLAG_FINAL` if the page has no CR, else 0: what a value without `&` is marked with.
    pub plain: u32,
    /// Where the tag stands that nests too deep; the page's length if none does.
    pub stopped_at: usize,
}

impl Reader<'_, '_> {
    /// Reads the whole page.
    pub(super) fn read(&mut self, limits: &Limits) -> Result<(), ParseError> {
        let bytes = self.bytes;
        let mut at = 0;
        while at < bytes.len() {
            let tag = find_tag(bytes, at);
            if tag > at {
                self.text(at, tag);
                if tag == bytes.len() {
                    break;
                }
            }
            at = match byte_at(bytes, tag + 1) {
                b'/' => self.end_tag(tag),
                b'!' => self.declaration(tag),
                b'?' => self.bogus_comment(tag + 1),
                byte if byte.is_ascii_alphabetic() => self.start_tag(tag),
                _ => {
                    self.build.imply_for_text();
                    if !self.build.stopped {
                        self.build.text(tag, tag + 1);
                    }
                    tag + 1
                }
            };
            if self.build.stopped {
                self.stopped_at = tag;
                break;
            }
            self.check(limits)?;
        }
        Ok(())
    }

    #[inline]
    fn check(&self, limits: &Limits) -> Result<(), ParseError> {
        let arena = &*self.build.arena;
        if arena.nodes.len() > limits.nodes_max as usize {
            return Err(ParseError::TooManyNodes { max: limits.nodes_max });
        }
        if arena.attrs.len() > limits.attrs_max as usize {
            return Err(ParseError::TooManyAttrs { max: limits.attrs_max });
        }
        if arena.names.len() > limits.names_max as usize {
            return Err(ParseError::TooManyNames { max: limits.names_max });
        }
        Ok(())
    }

    #[inline]
    fn text(&mut self, a: usize, b: usize) {
        if self.build.top.name.0 <= HEAD.0 {
            self.text_outside_body(a, b);
        } else {
            self.build.text(a, b);
        }
    }

    /// Text right below the document, html or head: white space stays there, anything else brings a body.
    fn text_outside_body(&mut self, a: usize, b: usize) {
        let mut at = a;
        while at < b {
            if is_space(self.bytes[at]) {
                at += 1;
            } else if self.bytes[at] == b'&' {
                match reference(&self.bytes[at..b], Refs::InText) {
                    Some((c, len)) if c.is_ascii() && is_space(c as u8) => at += len,
                    _ => break,
                }
            } else {
                break;
            }
        }
        if at > a && self.build.top.name != NameId::DOCUMENT {
            self.build.text(a, at);
        }
        if at < b {
            self.build.imply_for_text();
            if !self.build.stopped {
                self.build.text(at, b);
            }
        }
    }

    /// The name at `at` and the position after it.
    #[inline(always)]
    fn name(&mut self, at: usize, attribute: bool) -> (NameId, usize) {
        match short_name(self.bytes, at, attribute) {
            Some((word, len)) => (self.build.arena.names.intern_word(word, len as u32), at + len),
            None => self.long_name(at, attribute),
        }
    }

    #[inline(never)]
    fn long_name(&mut self, at: usize, attribute: bool) -> (NameId, usize) {
        let end = at + name_len(self.bytes, at, attribute);
        let whole = &self.bytes[at..end.min(self.bytes.len())];
        let mut name = [0; NAME_BYTES_MAX];
        let mut len = 0;
        if whole.len() <= NAME_BYTES_MAX {
            len = whole.len();
            name[..len].copy_from_slice(whole);
        } else {
            // A character that does not fit is left out, a shorter one after it may fit again.
            for c in whole.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
                if len + c.len_utf8() <= NAME_BYTES_MAX {
                    len += c.encode_utf8(&mut name[len..]).len();
                }
            }
        }
        name[..len].make_ascii_lowercase();
        (self.build.arena.names.intern(&name[..len]), end)
    }

    /// A start tag whose `<` stands at `at`; the position after it.
    fn start_tag(&mut self, at: usize) -> usize {
        let (name, at) = self.name(at + 1, false);
        let rule = self.build.rule(name);
        self.build.close_for(rule.closes);
        self.build.imply(rule.implied);
        let dropped = name.0 <= BODY.0 && self.is_dropped(name);
        let attrs = self.build.arena.attrs.len();
        let (at, end) = self.attributes(at);
        if end == TagEnd::Missing || dropped {
            self.build.arena.attrs.truncate(attrs);
            if end == TagEnd::Closed {
                // What libxml2 does: the slash of a dropped tag closes the element around it.
                self.build.close();
            }
            return at;
        }
        let attrs = attrs as u32;
        if rule.void || (end == TagEnd::Closed && name.0 > BODY.0) {
            self.build.append_void(name, attrs);
            return at;
        }
        self.build.open(name, attrs);
        if end == TagEnd::Closed && !self.build.stopped {
            self.build.close();
        } else if rule.raw != raw::PARSED && !self.build.stopped {
            return self.raw_text(at, name, rule.raw);
        }
        at
    }

    /// A second html or body, or a head in the wrong place, is no element.
    fn is_dropped(&mut self, name: NameId) -> bool {
        let drop = match name {
            HTML => self.build.depth() > 0,
            HEAD => self.build.depth() != 1,
            _ => self.build.arena.names.entry(BODY).open != 0,
        };
        self.build.dropped += u32::from(drop);
        drop
    }

    /// The attributes from `at` on, and the end of the tag.
    fn attributes(&mut self, mut at: usize) -> (usize, TagEnd) {
        let bytes = self.bytes;
        *self.tag += 1;
        let tag = *self.tag;
        loop {
            match byte_at(bytes, at) {
                b'>' => return (at + 1, TagEnd::Open),
                b' ' | b'\n' | b'\t' | b'\r' | 0x0c => at += 1,
                b'/' if byte_at(bytes, at + 1) == b'>' => return (at + 2, TagEnd::Closed),
                b'/' => at += 1,
                0 => return (bytes.len(), TagEnd::Missing),
                _ => {
                    let (name, after) = self.name(at, true);
                    let Some((value, end)) = value(bytes, after) else { return (bytes.len(), TagEnd::Missing) };
                    let (a, b) = match value {
                        Some((a, b, plain)) => (a as u32, b as u32 | if plain { self.plain } else { 0 }),
                        None if self.build.rule(name).boolean => (NONE, NONE),
                        None => (0, FLAG_FINAL),
                    };
                    self.build.attr(name, tag, a, b);
                    at = end;
                }
            }
        }
    }

    /// An end tag whose `<` stands at `at`; the position after it.
    #[inline]
    fn end_tag(&mut self, at: usize) -> usize {
        let top = &self.build.top;
        if word_at(self.bytes, at + 2) & top.close_mask == top.close_word {
            let after = at + 2 + top.close_len as usize;
            self.build.close();
            return after;
        }
        self.end_tag_slowly(at)
    }

    fn end_tag_slowly(&mut self, start: usize) -> usize {
        let bytes = self.bytes;
        let at = start + 2;
        match byte_at(bytes, at) {
            0 => {
                self.build.imply_for_text();
                if !self.build.stopped {
                    self.build.text(start, at);
                }
                return bytes.len();
            }
            b'>' => return at + 1,
            byte if !byte.is_ascii_alphabetic() => return self.bogus_comment(at),
            _ => {}
        }
        let (name, mut at) = self.name(at, false);
        // Attributes of an end tag are read and forgotten.
        loop {
            match byte_at(bytes, at) {
                b'>' => {
                    at += 1;
                    break;
                }
                b'/' if byte_at(bytes, at + 1) == b'>' => {
                    at += 2;
                    break;
                }
                b'/' => at += 1,
                0 => return bytes.len(),
                byte if is_space(byte) => at += 1,
                _ => match value(bytes, at + name_len(bytes, at, true)) {
                    Some((_, end)) => at = end,
                    None => return bytes.len(),
                },
            }
        }
        self.build.close_named(name);
        at
    }

    /// What starts with `<!` at `at`; the position after it.
    fn declaration(&mut self, at: usize) -> usize {
        let bytes = self.bytes;
        if bytes[at..].starts_with(b"<!--") {
            return self.comment(at + 4);
        }
        if starts_with_any_case(bytes, at + 2, b"doctype") {
            return memchr(b'>', &bytes[at..]).map_or(bytes.len(), |step| at + step + 1);
        }
        self.bogus_comment(at + 2)
    }

    /// A comment whose content starts at `start`; the position after it.
    fn comment(&mut self, start: usize) -> usize {
        let bytes = self.bytes;
        let rest = &bytes[start..];
        let skip = if rest.starts_with(b">") {
            1
        } else if rest.starts_with(b"->") {
            2
        } else {
            0
        };
        if skip > 0 {
            self.build.comment(start, start);
            return start + skip;
        }
        let mut at = start;
        let (end, after) = loop {
            let Some(step) = memchr(b'-', &bytes[at..]) else { break (bytes.len(), bytes.len()) };
            at += step;
            // The page's end cuts `--!>` short and still ends the comment.
            let skip = match &bytes[at + 1..] {
                [] => 1,
                [b'-'] => 2,
                [b'-', b'>', ..] => 3,
                [b'-', b'!'] => 3,
                [b'-', b'!', b'>', ..] => 4,
                _ => 0,
            };
            if skip > 0 {
                break (at, at + skip);
            }
            at += 1;
        };
        self.build.comment(start, end);
        after
    }

    /// Something that is no comment but kept as one, up to `>`: `<?php ?>`, `<![CDATA[`, `</ x>`.
    fn bogus_comment(&mut self, start: usize) -> usize {
        let end = memchr(b'>', &self.bytes[start..]).map_or(self.bytes.len(), |step| start + step);
        self.build.comment(start, end);
        (end + 1).min(self.bytes.len())
    }

    /// The content of an element that holds text alone; the position of its end tag.
    fn raw_text(&mut self, start: usize, name: NameId, kind: u8) -> usize {
        let bytes = self.bytes;
        let tag = self.build.arena.names.text(name).as_bytes();
        let end = match kind {
            raw::TO_THE_END => bytes.len(),
            raw::SCRIPT => script_end(bytes, start, tag),
            _ => raw_end(bytes, start, tag),
        };
        if end > start {
            if kind == raw::TEXT_WITH_REFS {
                self.build.text(start, end);
            } else {
                self.build.raw_text(start, end);
            }
        }
        end
    }
}

/// A value as a range, and whether it is known to hold no `&`.
type Value = (usize, usize, bool);

/// The value after an attribute's name, if it has one, and the position after it. `None`: the page ends within.
#[inline]
fn value(bytes: &[u8], after_name: usize) -> Option<(Option<Value>, usize)> {
    let mut at = after_name;
    if byte_at(bytes, at) != b'=' {
        at = skip_space(bytes, at);
        if byte_at(bytes, at) != b'=' {
            return Some((None, at));
        }
    }
    at += 1;
    let mut quote = byte_at(bytes, at);
    if is_space(quote) {
        at = skip_space(bytes, at);
        quote = byte_at(bytes, at);
    }
    if quote == b'"' || quote == b'\'' {
        let (end, plain) = find_quote(bytes, at + 1, quote)?;
        return Some((Some((at + 1, end, plain)), end + 1));
    }
    let end = find_bare_end(bytes, at);
    Some((Some((at, end, false)), end))
}
