//! Start tags and end tags.

use super::build::{Span, Written};
use super::lexis::{is_blank, name_length, predefined, qualified_name};
use super::reader::Reader;
use crate::parse::ParseError;

impl<'p> Reader<'_, 'p> {
    /// At `<`. Returns whether an element is open now. One whose tag goes wrong is closed where it does; its attributes up
    /// to there stay.
    pub(super) fn start_tag(&mut self) -> Result<bool, ParseError> {
        self.at += 1;
        let (length, colon) = qualified_name(self.rest());
        let name = &self.rest()[..length];
        self.at += length;
        if length == 0 {
            self.malformed = true;
            return Ok(false);
        }
        self.skip_blanks();
        let mut attributes = std::mem::take(&mut self.attributes);
        while !self.at_tag_end() && self.byte(0).is_some_and(|byte| byte >= 0x20 || is_blank(byte)) {
            let (length, colon) = qualified_name(self.rest());
            let whole = &self.rest()[..length];
            self.at += length;
            if length == 0 {
                break;
            }
            self.skip_blanks();
            let value = if self.takes("=") {
                self.skip_blanks();
                self.value()?
            } else {
                None
            };
            match value {
                Some(value) => {
                    let local = colon.map_or(whole, |colon| &whole[colon + 1..]);
                    attributes.push(Written { prefix: colon.map(|colon| &whole[..colon]), local, whole, value });
                }
                None => self.malformed = true,
            }
            if self.at_tag_end() || self.skip_blanks() == 0 {
                break;
            }
        }
        let twice = self.out.element(self.page, (name, colon), &attributes)?;
        self.malformed |= twice;
        attributes.clear();
        self.attributes = attributes;
        if self.out.arena.truncated {
            return Ok(false);
        }
        if self.takes(">") {
            return Ok(true);
        }
        self.malformed |= !self.takes("/>");
        self.out.close();
        Ok(false)
    }

    fn at_tag_end(&self) -> bool {
        self.byte(0) == Some(b'>') || self.sees("/>")
    }

    /// At `</`. Whatever the name, the innermost element ends.
    pub(super) fn end_tag(&mut self) {
        self.at += 2;
        let open = self.out.innermost().unwrap_or("");
        let rest = self.rest();
        let matches =
            rest.starts_with(open) && rest.as_bytes().get(open.len()).is_some_and(|&b| b == b'>' || is_blank(b));
        self.malformed |= !matches;
        self.at += if matches { open.len() } else { name_length(rest) };
        self.skip_blanks();
        self.malformed |= !self.takes(">");
        self.out.close();
    }

    /// At the quote of an attribute's value. `None`, and the reader stands where it went wrong, if it does.
    fn value(&mut self) -> Result<Option<Span>, ParseError> {
        let Some(quote @ (b'"' | b'\'')) = self.byte(0) else { return Ok(None) };
        self.at += 1;
        let (from, bytes) = (self.at, self.page.as_bytes());
        let plain = |&byte: &u8| byte >= 0x20 && byte != quote && byte != b'&';
        let run =
            |at: usize| bytes[at..].iter().position(|byte| !plain(byte)).map_or(bytes.len(), |length| at + length);
        let end = run(from);
        self.check_value(from, end);
        if bytes.get(end) == Some(&quote) {
            self.at = end + 1;
            return Ok(Some(Span::of_page(from, end)));
        }
        let start = self.out.arena.extra.len();
        self.out.arena.extra.push_str(&self.page[from..end]);
        self.at = end;
        loop {
            let decoded = match self.byte(0) {
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return self.out.span_since(start).map(Some);
                }
                Some(b'&') if self.byte(1) == Some(b'#') => self.character_reference(),
                Some(b'&') => {
                    // One that is not known is dropped.
                    if let Some(c) = self.value_entity() {
                        self.out.arena.extra.push(c);
                    }
                    continue;
                }
                Some(b'\t' | b'\n' | b'\r') => {
                    self.at += if self.sees("\r\n") { 2 } else { 1 };
                    Some(' ')
                }
                Some(byte) if byte < 0x20 => {
                    self.malformed = true;
                    self.at += 1;
                    Some('\u{fffd}')
                }
                Some(_) => {
                    let end = run(self.at);
                    self.check_value(self.at, end);
                    self.out.arena.extra.push_str(&self.page[self.at..end]);
                    self.at = end;
                    continue;
                }
                None => None,
            };
            match decoded {
                Some(c) => self.out.arena.extra.push(c),
                None => {
                    self.out.arena.extra.truncate(start);
                    return Ok(None);
                }
            }
        }
    }

    fn value_entity(&mut self) -> Option<char> {
        let name = self.entity_name()?;
        let c = predefined(name);
        self.malformed |= c.is_none() && !self.is_declared(name);
        c
    }

    /// What a value may hold only by mistake stays, but is noted.
    fn check_value(&mut self, from: usize, to: usize) {
        if !self.malformed {
            let value = &self.page[from..to];
            let rare = memchr::memchr2(b'<', 0xef, value.as_bytes()).is_some();
            self.malformed = rare && value.contains(['<', '\u{fffe}', '\u{ffff}']);
        }
    }

    /// A reference's name, the reader behind its `;`. At `&`. What is no reference is skipped with its name.
    pub(super) fn entity_name(&mut self) -> Option<&'p str> {
        self.at += 1;
        let length = name_length(self.rest());
        let name = &self.rest()[..length];
        self.at += length;
        if length == 0 || !self.takes(";") {
            self.malformed = true;
            return None;
        }
        Some(name)
    }
}
